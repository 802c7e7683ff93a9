package workflows

import (
	"fmt"
	"maps"
	"reflect"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// switchStep runs the steps of the case that is equal to a value.
type switchStep struct{}

func (switchStep) key() field {
	return field{"switch", is(kindExpr), false, "a value: runs the steps of the equal case, else those of default"}
}

func (switchStep) modifiers() []string {
	return []string{"cases", "default", "timeout", "deadline", "foreach", "output", "on_failure"}
}

func (switchStep) read(r stepReader, s *Step) {
	s.Default = r.list("default")
	if v := r.o.vals["switch"]; v != nil {
		s.Switch = r.expression(v)
	}
	if v := r.o.vals["cases"]; v != nil {
		s.Cases = r.cases(v)
	}
}

func (switchStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	s.switches(st, sc)
}

func (r stepReader) cases(v *yaml.Node) []Case {
	if v.Kind != yaml.MappingNode {
		r.wrongKind(v, "cases", "a map")
		return nil
	}
	var out []Case
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k := v.Content[i]
		if seen[k.Value] {
			r.add(r.pos(k), "duplicate-key", fmt.Sprintf("case %q is listed twice", k.Value), "remove one")
			continue
		}
		seen[k.Value] = true
		// Cases are compared as text: 404 and "404" are the same case.
		out = append(out, Case{Value: k.Value, Steps: r.steps(v.Content[i+1], r.depth+1, r.prefix)})
	}
	return out
}

func (s *stepChecker) switches(st *Step, sc *expr.Scope) {
	if st.Switch != nil {
		st.Switch.check(sc.In("switch"), reflect.Invalid)
	}
	before := maps.Clone(sc.Steps())
	branches := [][]*Step{st.Default}
	for _, c := range st.Cases {
		branches = append(branches, c.Steps)
	}
	for _, b := range branches {
		inner := sc.In(sc.Where)
		for id := range inner.Steps() {
			if before[id] == nil {
				delete(inner.Steps(), id)
				inner.HiddenSteps[id] = "it is in another branch"
			}
		}
		s.sequence(b, inner)
		s.merge(inner, sc, before, true)
	}
}
