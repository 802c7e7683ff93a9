package workflows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Nothing collects the expressions that inserted nil or an empty text into what people read: the
// inputs text, url, subject and message, at any depth. No error reports a text such as "Hello !".
type Nothing struct {
	// Of are the expressions, in order and without duplicates.
	Of []string
	// watched reports whether the value being rendered is below such a key.
	watched bool
}

// maxNothing limits the expressions reported for one step, since a loop could produce any number.
const maxNothing = 20

// forPeople reports whether people read the value of a key.
func forPeople(key string) bool {
	return key == "text" || key == "url" || key == "subject" || key == "message"
}

// enter begins the value of a key, and returns the argument for leave. Below the inputs, null has a
// meaning to an API: there only insertions into text count, not a value that is one expression.
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

// renderUnder is Render for the value of a key.
func (v *Value) renderUnder(key string, env *expr.Env, fill Fill, empty *Nothing) (any, error) {
	before := empty.enter(key)
	r, err := v.render(env, fill, empty)
	empty.leave(before)
	return r, err
}

// RenderInput renders an input of a step as it is sent and as it is recorded. It also reports an
// empty input that people read.
func (s *Shown) RenderInput(name string, v *Value, env *expr.Env, fill Fill) (value, shown any, err error) {
	before := s.Nothing.enter(name)
	value, shown, err = s.Render(v, env, fill)
	if err == nil && v != nil && v.kind == exprValue && (value == nil || value == "") {
		s.Nothing.note(v.expr)
	}
	s.Nothing.leave(before)
	return value, shown, err
}

// note records an expression that inserted nothing, unless the expression chooses a default for a
// missing value: then the result is intended.
func (n *Nothing) note(e *Expr) {
	if n == nil || !n.watched || len(n.Of) >= maxNothing || e.hasDefault() {
		return
	}
	if text := value.Clip(e.Text, 200); !slices.Contains(n.Of, text) {
		n.Of = append(n.Of, text)
	}
}

// Notes returns the messages about the step.
func (n *Nothing) Notes() []string {
	var out []string
	for _, text := range n.Of {
		out = append(out, "inserted nothing for "+text)
	}
	return out
}

// Err returns an error for a step that inserts nothing, if defaults: {strict: true} is set.
func (n *Nothing) Err() error {
	if len(n.Of) == 0 {
		return nil
	}
	return fmt.Errorf("%s is nil or empty, which defaults.strict does not allow; "+
		"write ?? '' for an empty text", strings.Join(n.Of, ", "))
}

// hasDefault reports whether an expression chooses a default for a missing value.
func (e *Expr) hasDefault() bool {
	return strings.Contains(e.Text, "??") || strings.Contains(e.Text, " ? ")
}
