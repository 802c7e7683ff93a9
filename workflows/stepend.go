package workflows

import "github.com/hookloom/hookloom/workflows/expr"

// stopStep ends the run as succeeded.
type stopStep struct{}

func (stopStep) key() field {
	return field{"stop", is(kindValue), false, "end the run as succeeded, with a text; a list or a map is written as JSON"}
}

func (stopStep) modifiers() []string {
	return nil
}

func (stopStep) read(r stepReader, s *Step) {
	if r.prefix == "finally" && r.o.has("stop") {
		r.add(r.o.keyAt("stop"), "misplaced-key", "stop is not allowed in finally: the run has its status by then", "")
	}
	r.ending("stop", s)
}

func (stopStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	st.Text.check(sc.In("stop"))
}

// failStep fails the run.
type failStep struct{}

func (failStep) key() field {
	return field{"fail", is(kindValue), false, "fail the run, with a text; a list or a map is written as JSON"}
}

func (failStep) modifiers() []string {
	return nil
}

func (failStep) read(r stepReader, s *Step) {
	r.ending("fail", s)
}

func (failStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	st.Text.check(sc.In("fail"))
}

// ending reads the text with which a run ends.
func (r stepReader) ending(key string, s *Step) {
	if v := r.o.vals[key]; v != nil {
		s.Text = r.value(v)
	}
}
