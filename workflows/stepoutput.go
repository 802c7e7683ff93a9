package workflows

import (
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
)

// typeOf is what may be read of a step that ran: its record, with the output as far as
// it is known before it runs.
func (s *stepChecker) typeOf(st *Step) expr.Map {
	t := expr.StepType()
	if s.c.stored {
		return t
	}
	output := s.outputOf(st)
	if st.ForEach != nil {
		output = expr.ListOf(output) // one for each turn
	}
	t["output"] = output
	return t
}

// outputOf is outputType, of steps too whose output other steps or workflows make.
func (s *stepChecker) outputOf(st *Step) expr.Type {
	switch {
	case st.Output != nil:
		return valueNames(st.Output)
	case st.Call != "" && !st.Detach:
		if callee := s.c.p.Workflows[st.Call]; callee != nil && callee.Output != nil {
			return valueNames(callee.Output)
		}
	case st.Body == "set":
		var names []string
		for _, v := range st.Set {
			names = append(names, v.Name)
		}
		return namesOnly(names...)
	case st.Body == "steps" && len(st.Else) == 0:
		return s.outputsOf(st.Steps)
	case st.Body == "parallel":
		return s.outputsOf(st.Parallel)
	}
	return outputType(st)
}

// outputsOf are those of a list of steps, by id.
func (s *stepChecker) outputsOf(list []*Step) expr.Type {
	m := expr.Map{}
	for _, st := range list {
		if st.ID != "" {
			m[st.ID] = s.typeOf(st)["output"]
		}
	}
	if len(m) == 0 {
		return expr.Any
	}
	return m
}

// outputType names the fields of what a step gives, of one turn where it is a loop; any
// where they are not known. What is in the fields is any: only the names are certain.
func outputType(st *Step) expr.Type {
	switch {
	case st.Output != nil:
		return valueNames(st.Output)
	case st.Wait != nil && st.Body == "wait" && st.Wait.Approval != nil:
		return namesOnly("approved", "by", "at", "comment")
	case st.Wait != nil && st.Body == "wait" && st.Wait.Event != "":
		return namesOnly(expr.EventFields()...)
	case st.Spec == nil:
		return expr.Any
	case st.Spec.Action != nil && st.Spec.Action.Returns != nil:
		return st.Spec.Action.Returns.named()
	case st.Spec.Action != nil && st.Spec.Action.Pages != nil && st.Spec.Action.Output == nil:
		return namesOnly("items", "more")
	case len(st.Spec.Outputs) > 0 && !strings.HasPrefix(st.Spec.Name, "http/"):
		var names []string
		for _, o := range st.Spec.Outputs {
			names = append(names, o.Name)
		}
		return namesOnly(names...)
	case st.Spec.Action != nil && st.Spec.Action.Output != nil:
		return valueNames(st.Spec.Action.Output)
	case st.Spec.Action != nil:
		return namesOnly("status", "headers", "body")
	case strings.HasPrefix(st.Spec.Name, "http/") && st.saves() == maybe:
		return expr.Any
	case strings.HasPrefix(st.Spec.Name, "http/") && st.saves() == yes:
		return namesOnly(savedNames...)
	case strings.HasPrefix(st.Spec.Name, "http/"):
		example, _ := st.Spec.Example.(map[string]any)
		names := slices.Sorted(maps.Keys(example))
		if st.readsPages() {
			names = append(names, "more")
		}
		return namesOnly(names...)
	}
	return expr.Any
}

// OutputNames are the fields of the action's output, none where they are not known.
func (s *ActionSpec) OutputNames() []string {
	if m, ok := outputType(&Step{Spec: s}).(expr.Map); ok {
		return slices.Sorted(maps.Keys(m))
	}
	return nil
}

// valueNames are the keys of a written map.
func valueNames(v *Value) expr.Type {
	if m, ok := v.constant.(map[string]any); ok || v.kind == mapValue {
		return namesOnly(append(slices.Sorted(maps.Keys(m)), v.keys...)...)
	}
	return expr.Any
}

func namesOnly(names ...string) expr.Type {
	if len(names) == 0 {
		return expr.Any
	}
	m := expr.Map{}
	for _, n := range names {
		m[n] = expr.Any
	}
	return m
}
