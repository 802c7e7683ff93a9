package workflows

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

// savedPath matches an expression that is the path of a saved response.
var savedPath = lazyregexp.New(`^steps\.([a-z][a-z0-9_]*)(?:\.|\?\.)output(?:\.|\?\.)path$`)

// rawPath warns if the path of a saved response is used where its content is expected.
func (s *stepChecker) rawPath(st *Step) {
	v := st.With.Field("raw")
	if st.Spec.Input("raw_file") == nil || !v.IsExpression() {
		return
	}
	m := savedPath.FindStringSubmatch(strings.TrimSpace(v.expr.Text))
	if m == nil {
		return
	}
	s.w.EachStep(func(other *Step) {
		if other.ID == m[1] && other.Spec != nil && other.Spec.Input("save") != nil && other.saves() == yes {
			s.w.src.warn(v.keyPos(s.w.src, "raw"), "wrong-type", "raw is the bytes themselves, and this is the path of a file",
				"write raw_file: ${{ "+v.expr.Text+" }}")
		}
	})
}

// calledWith checks the value for an input of a called workflow: a constant, or the outer kind of a
// value with expressions.
func (s *stepChecker) calledWith(st *Step, in Input, at *Value) {
	v, constant := at.IsConstant()
	if constant && v == nil {
		s.nothingGiven(st.Call, in.Name, in.Required, at)
		return
	}
	problem, hint := "", ""
	if constant {
		problem = in.check(v)
	} else if want, got := misfit(in.Type, at); want != "" {
		problem, hint = fmt.Sprintf("it is %s, got %s", want, got), kindHint(&ActionInput{Name: in.Name, Type: in.Type, Options: in.Options}, at)
	} else if problem, hint = neverOfType(in.Type, in.Name, at); problem != "" {
		problem += ", not " + article(in.Type) + " " + in.Type
	}
	if problem == "" || at.broken {
		return
	}
	switch v.(type) {
	case map[string]any, []any, nil:
	default:
		if text, err := value.Text(v); err == nil && in.Type == "string" {
			hint = fmt.Sprintf("quote it: %q", text)
		}
	}
	s.w.src.warn(at.pos, "wrong-type", fmt.Sprintf("%s: input %s: %s, so the call always fails", st.Call, in.Name, problem), hint)
}
