package workflows

import (
	"maps"

	"github.com/hookloom/hookloom/workflows/expr"
)

// groupStep is a group of steps, with if and else.
type groupStep struct{}

func (groupStep) key() field {
	return field{"steps", steps(1), false, "a group"}
}

func (groupStep) modifiers() []string {
	return []string{"else", "timeout", "deadline", "foreach", "output", "on_failure"}
}

func (groupStep) read(r stepReader, s *Step) {
	s.Steps, s.Else = r.list("steps"), r.list("else")
}

func (groupStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	s.group(st, sc)
}

// group checks a group; its steps can be read after it.
func (s *stepChecker) group(st *Step, sc *expr.Scope) {
	before := maps.Clone(sc.Steps())
	inner := sc.In(sc.Where)
	s.sequence(st.Steps, inner)
	s.merge(inner, sc, before, st.If != nil)
	other := sc.In(sc.Where)
	for id := range inner.Steps() {
		if before[id] == nil {
			delete(other.Steps(), id)
			other.HiddenSteps[id] = "it is in the other branch"
		}
	}
	s.sequence(st.Else, other)
	s.merge(other, sc, before, true)
}
