package workflows

import (
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// sleepStep waits for a duration or until a time.
type sleepStep struct{}

func (sleepStep) key() field {
	return field{"sleep", is(kindAny), false, "a duration, or until: and a time"}
}

func (sleepStep) modifiers() []string {
	return []string{"deadline"}
}

func (sleepStep) read(r stepReader, s *Step) {
	if v := r.o.vals["sleep"]; v != nil {
		r.sleep(v, s)
	}
}

func (sleepStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	st.Sleep.check(sc.In("sleep"))
}

func (b *builder) sleep(v *yaml.Node, s *Step) {
	if v.Kind == yaml.MappingNode {
		if o := b.object(v, "sleep"); o != nil {
			s.Sleep, s.SleepUntil = b.value(o.vals["until"]), true
		}
		return
	}
	s.Sleep = b.value(v)
	if !strings.Contains(v.Value, "${{") {
		if _, err := parseDuration(v.Value); err != nil {
			b.add(b.pos(v), "unit", "sleep: "+err.Error(), durationHint(v.Value))
		}
	}
}
