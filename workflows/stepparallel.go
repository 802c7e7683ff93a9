package workflows

import (
	"maps"

	"github.com/hookloom/hookloom/workflows/expr"
)

// parallelStep runs steps in parallel.
type parallelStep struct{}

func (parallelStep) key() field {
	return field{"parallel", steps(1), false, "steps run at once"}
}

func (parallelStep) modifiers() []string {
	return []string{"timeout", "deadline", "foreach", "output", "on_failure"}
}

func (parallelStep) read(r stepReader, s *Step) {
	s.Parallel = r.branches("parallel")
}

func (parallelStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	s.parallel(st, sc)
}

// parallel checks the branches, none of which can read the others.
func (s *stepChecker) parallel(st *Step, sc *expr.Scope) {
	before := maps.Clone(sc.Steps())
	var branches []*expr.Scope
	for i, b := range st.Parallel {
		inner := sc.In(sc.Where)
		for j, other := range st.Parallel {
			if i != j {
				eachStep([]*Step{other}, func(x *Step) { inner.HiddenSteps[x.ID] = "it runs at the same time, in another branch" })
			}
		}
		s.step(b, inner)
		branches = append(branches, inner)
	}
	for _, inner := range branches {
		// A branch sees only the vars that it sets itself, which rules out races.
		inner.Names["vars"] = expr.Map{}
		s.merge(inner, sc, before, st.If != nil || st.ContinueOnError)
	}
}
