package workflows

import (
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
)

// typeOf returns the type of a finished step: its record, with its output as far as it is known in
// advance.
func (s *stepChecker) typeOf(st *Step) expr.Map {
	t := expr.StepType()
	if s.c.stored {
		return t
	}
	output := s.outputOf(st)
	if st.ForEach != nil {
		output = expr.ListOf(output) // one per iteration
	}
	t["output"] = output
	return t
}

// outputOf is like outputType, and also handles steps whose output comes from other steps or
// workflows.
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

// outputsOf returns the outputs of a list of steps, by id.
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

// outputType returns the names of a step's output fields, or any if they are not known; for a loop,
// those of one iteration. The fields themselves are any: only the names are certain.
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

// OutputNames returns the names of the action's output fields, none if they are not known.
func (s *ActionSpec) OutputNames() []string {
	if m, ok := outputType(&Step{Spec: s}).(expr.Map); ok {
		return slices.Sorted(maps.Keys(m))
	}
	return nil
}

// valueNames returns the keys of a map that is given in the file.
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
