package workflows

import "github.com/hookloom/hookloom/workflows/expr"

// usesStep runs an action.
type usesStep struct{}

func (usesStep) key() field {
	return field{"uses", is(kindText), false, "an action"}
}

func (usesStep) modifiers() []string {
	return []string{"with", "retry", "on_unknown", "timeout", "deadline", "foreach", "output", "on_failure"}
}

func (usesStep) read(stepReader, *Step) {}

func (usesStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	s.uses(st, sc)
}
