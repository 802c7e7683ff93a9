package workflows

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
)

// typeOf is what may be read of a step that ran: its record, with the output as far as
// it is known before it runs.
func (s *stepChecker) typeOf(st *Step) types.Map {
	t := stepType()
	if s.c.stored {
		return t
	}
	output := s.outputOf(st)
	if st.ForEach != nil {
		output = types.Array(output) // one for each turn
	}
	t["output"] = output
	return t
}

// outputOf is outputType, of steps too whose output other steps or workflows make.
func (s *stepChecker) outputOf(st *Step) types.Type {
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
func (s *stepChecker) outputsOf(list []*Step) types.Type {
	m := types.Map{}
	for _, st := range list {
		if st.ID != "" {
			m[st.ID] = s.typeOf(st)["output"]
		}
	}
	if len(m) == 0 {
		return types.Any
	}
	return m
}

// outputType names the fields of what a step gives, of one turn where it is a loop; any
// where they are not known. What is in the fields is any: only the names are certain.
func outputType(st *Step) types.Type {
	switch {
	case st.Output != nil:
		return valueNames(st.Output)
	case st.Wait != nil && st.Body == "wait" && st.Wait.Approval != nil:
		return namesOnly("approved", "by", "at", "comment")
	case st.Wait != nil && st.Body == "wait" && st.Wait.Event != "":
		return namesOnly(eventFields...)
	case st.Spec == nil:
		return types.Any
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
		return types.Any
	case strings.HasPrefix(st.Spec.Name, "http/") && st.saves() == yes:
		return namesOnly(savedNames...)
	case strings.HasPrefix(st.Spec.Name, "http/"):
		example, _ := st.Spec.Example.(map[string]any)
		return namesOnly(slices.Sorted(maps.Keys(example))...)
	}
	return types.Any
}

// OutputNames are the fields of the action's output, none where they are not known.
func (s *ActionSpec) OutputNames() []string {
	if m, ok := outputType(&Step{Spec: s}).(types.Map); ok {
		return slices.Sorted(maps.Keys(m))
	}
	return nil
}

// valueNames are the keys of a written map.
func valueNames(v *Value) types.Type {
	if m, ok := v.constant.(map[string]any); ok || v.kind == mapValue {
		return namesOnly(append(slices.Sorted(maps.Keys(m)), v.keys...)...)
	}
	return types.Any
}

func namesOnly(names ...string) types.Type {
	if len(names) == 0 {
		return types.Any
	}
	m := types.Map{}
	for _, n := range names {
		m[n] = types.Any
	}
	return m
}

// stepField checks what is read of a step after its id: steps.ID.output.body.
func (l *linter) stepField(keys []string, at []ast.Node) bool {
	steps, _ := l.sc.names["steps"].(types.Map)
	record, ok := steps[keys[0]].(types.Map)
	if !ok || len(keys) < 2 || l.sc.lenient {
		return true
	}
	output, typed := record["output"].(types.Map)
	path := "steps." + keys[0]
	if _, there := record[keys[1]]; !there {
		hint := "known are " + strings.Join(slices.Sorted(maps.Keys(record)), ", ")
		switch _, inOutput := output[keys[1]]; {
		case inOutput:
			hint = fmt.Sprintf("write %s.output.%s", path, keys[1])
		case slices.Contains([]string{
			"failed", "succeeded", "skipped", "success", "failure", "conclusion", "outcome", "result", "ok",
		}, keys[1]):
			status := map[string]string{"failed": "failed", "failure": "failed", "skipped": "skipped"}[keys[1]]
			hint = fmt.Sprintf(`write %s.status == %q`, path, cmp.Or(status, "succeeded"))
		case slices.Contains([]string{"outputs", "data", "response", "json"}, keys[1]):
			hint = fmt.Sprintf("write %s.output", path)
		case suggest(keys[1], slices.Sorted(maps.Keys(record))) != "":
			hint = suggest(keys[1], slices.Sorted(maps.Keys(record)))
		}
		l.fail("unknown-field", at[1], len([]rune(keys[1])), fmt.Sprintf("a step has no field %s", keys[1]), hint)
		return false
	}
	if keys[1] == "output" && len(keys) > 2 && isList(record["output"]) {
		l.fieldOfList(keys, at)
		return false
	}
	if keys[1] != "output" || !typed || len(keys) < 3 {
		return true
	}
	if _, there := output[keys[2]]; !there {
		known := slices.Sorted(maps.Keys(output))
		hint := suggest(keys[2], known)
		if slices.Contains(known, "sha256") && slices.Contains([]string{
			"file", "filename", "name", "file_path", "filepath", "content", "data",
		}, keys[2]) {
			hint = fmt.Sprintf("save: true puts the body into a file: write %s.output.path", path)
		}
		if hint == "" {
			hint = "known are " + strings.Join(known, ", ")
			if keys[2] == "body" && slices.Contains(known, "sha256") {
				hint = fmt.Sprintf("save: true puts the body into a file: write %s.output.path", path)
			}
			if slices.Contains(known, "body") {
				hint = fmt.Sprintf("what was answered is in body: write %s.output.body.%s", path, keys[2])
			}
		}
		l.fail("unknown-field", at[2], len([]rune(keys[2])), fmt.Sprintf("the output of step %s has no field %s", keys[0], keys[2]), hint)
		return false
	}
	if keys[2] == "headers" && len(keys) > 3 && strings.ToLower(keys[3]) != keys[3] &&
		slices.Contains(slices.Sorted(maps.Keys(output)), "body") {
		l.fail("header-case", at[3], len([]rune(keys[3])), "names of headers are in lower case",
			fmt.Sprintf("write [%q]", strings.ToLower(keys[3])))
		return false
	}
	return true
}

// isList tells whether a step's output is that of a loop.
func isList(output types.Type) bool { return strings.HasPrefix(output.String(), "Array{") }

// fieldOfList refuses a field of the output of a loop: it is a list with the output of
// each turn.
func (l *linter) fieldOfList(keys []string, at []ast.Node) {
	path := fmt.Sprintf("steps.%s.output", keys[0])
	l.fail("unknown-field", at[2], len([]rune(keys[2])),
		fmt.Sprintf("step %s is a loop: its output is a list, one entry for each turn", keys[0]),
		fmt.Sprintf("write map(%s, #.%s) for all, %s[0].%s for the first", path, strings.Join(keys[2:], "."), path,
			strings.Join(keys[2:], ".")))
}
