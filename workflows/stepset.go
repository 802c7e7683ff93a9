package workflows

import "github.com/hookloom/hookloom/workflows/expr"

// setStep sets vars.
type setStep struct{}

func (setStep) key() field {
	return field{"set", mapOf(is(kindValue)), false, "vars for the steps that follow"}
}

func (setStep) modifiers() []string {
	return nil
}

func (setStep) read(r stepReader, s *Step) {
	s.Set = r.vars(r.o.vals["set"])
}

func (setStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	for _, v := range st.Set {
		v.Value.check(sc.In("set"))
		sc.AddVar(v.Name)
	}
}
