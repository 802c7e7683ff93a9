package workflows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Nothing collects the expressions that inserted nil or an empty text where people read
// it: into the inputs text, url, subject and message, at any depth. A text "Hello !" is
// a mistake that no error tells of.
type Nothing struct {
	// Of are the expressions, each once, in their order.
	Of []string
	// watched reports whether what is being rendered stands under such a key.
	watched bool
}

// maxNothing bounds how many are told of one step; a loop in a text has no end of them.
const maxNothing = 20

// forPeople reports whether what stands under a key is read by people.
func forPeople(key string) bool {
	return key == "text" || key == "url" || key == "subject" || key == "message"
}

// enter begins what stands under a key, and gives what leave wants at its end. Deeper
// than the inputs, null means something to an API: there only what is inserted into a
// text counts, not a value that is one expression.
func (n *Nothing) enter(key string) bool {
	if n == nil {
		return false
	}
	before := n.watched
	n.watched = before || forPeople(key)
	return before
}

func (n *Nothing) leave(before bool) {
	if n != nil {
		n.watched = before
	}
}

// renderUnder is Render of the value of a key.
func (v *Value) renderUnder(key string, env *expr.Env, fill Fill, empty *Nothing) (any, error) {
	before := empty.enter(key)
	r, err := v.render(env, fill, empty)
	empty.leave(before)
	return r, err
}

// RenderInput renders an input of a step as it is sent and as it is kept on record. A
// whole input that people read is told of too when it is nothing.
func (s *Shown) RenderInput(name string, v *Value, env *expr.Env, fill Fill) (value, shown any, err error) {
	before := s.Nothing.enter(name)
	value, shown, err = s.Render(v, env, fill)
	if err == nil && v != nil && v.kind == exprValue && (value == nil || value == "") {
		s.Nothing.note(v.expr)
	}
	s.Nothing.leave(before)
	return value, shown, err
}

// note remembers an expression that inserted nothing. One that says itself what stands
// for a missing value means it.
func (n *Nothing) note(e *Expr) {
	if n == nil || !n.watched || len(n.Of) >= maxNothing || e.hasDefault() {
		return
	}
	if text := value.Clip(e.Text, 200); !slices.Contains(n.Of, text) {
		n.Of = append(n.Of, text)
	}
}

// Notes are what is told of the step.
func (n *Nothing) Notes() []string {
	var out []string
	for _, text := range n.Of {
		out = append(out, "inserted nothing for "+text)
	}
	return out
}

// Err refuses a step that inserts nothing, under defaults: {strict: true}.
func (n *Nothing) Err() error {
	if len(n.Of) == 0 {
		return nil
	}
	return fmt.Errorf("%s is nil or empty, which defaults.strict does not allow; "+
		"write ?? '' for an empty text", strings.Join(n.Of, ", "))
}

// hasDefault reports whether an expression chooses what stands for a missing value.
func (e *Expr) hasDefault() bool {
	return strings.Contains(e.Text, "??") || strings.Contains(e.Text, " ? ")
}
