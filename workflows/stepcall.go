package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// callStep calls another workflow.
type callStep struct{}

func (callStep) key() field {
	return field{"call", is(kindText), false, "a workflow's id"}
}

func (callStep) modifiers() []string {
	return []string{"with", "retry", "detach", "timeout", "deadline", "foreach", "output", "on_failure"}
}

func (callStep) read(r stepReader, s *Step) {
	if r.o.has("call") {
		s.callPos = r.o.at("call")
	}
}

func (callStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	s.call(st, sc)
}

// call checks that the called workflow exists and accepts the inputs.
func (s *stepChecker) call(st *Step, sc *expr.Scope) {
	src := s.w.src
	st.With.check(sc.In("a called workflow's inputs")) // they are stored, so they must not contain secrets
	callee := s.c.p.Workflows[st.Call]
	if callee == nil && st.Call == "" {
		return // a call without a name is reported where it is read
	}
	if callee == nil {
		src.add(st.callPos, "unknown-workflow", fmt.Sprintf("no workflow %q", st.Call), s.callables(st.Call))
		return
	}
	callable := false
	for _, start := range callee.Starts {
		callable = callable || start.Kind == "call"
	}
	if !callable {
		src.add(st.callPos, "unknown-workflow", fmt.Sprintf("workflow %s cannot be called: it has no on: call", st.Call),
			"add call to on: in workflows/"+st.Call+".yaml")
	}
	var names []string
	for _, in := range callee.Inputs {
		names = append(names, in.Name)
		if in.Required && !hasField(st.With.fields(), in.Name) {
			sample := (&ActionInput{Name: in.Name, Type: in.Type, Options: in.Options}).sample()
			src.add(st.callPos, "missing-input", fmt.Sprintf("%s: input %s is missing", st.Call, in.Name),
				missingHint(in.Name, sample, in.Description, st.With.fields()))
		}
	}
	for _, f := range st.With.fields() {
		if !slices.Contains(names, f.name) {
			src.add(f.value.keyPos(src, f.name), "unknown-input", fmt.Sprintf("%s has no input %q", st.Call, f.name),
				spelling.Suggest(f.name, names))
		}
		for _, in := range callee.Inputs {
			if in.Name == f.name {
				s.calledWith(st, in, f.value)
			}
		}
	}
}

// workflowPath matches the extension in the path of a workflow's file.
var workflowPath = lazyregexp.New(`\.ya?ml$`)

// callables suggests a workflow instead of a missing one: the nearest that can be called, or else
// all of them.
func (s *stepChecker) callables(name string) string {
	var known []string
	for _, id := range slices.Sorted(maps.Keys(s.c.p.Workflows)) {
		for _, start := range s.c.p.Workflows[id].Starts {
			if start.Kind == "call" && id != s.w.ID {
				known = append(known, id)
			}
		}
	}
	if id := strings.TrimPrefix(strings.TrimPrefix(workflowPath.ReplaceAllString(name, ""), "./"), "workflows/"); id != name {
		if slices.Contains(known, id) {
			return "a workflow is called by its id: write call: " + id
		}
		name = id
	}
	if hint := spelling.Suggest(name, known); hint != "" {
		return hint
	}
	if len(known) > 0 && len(known) <= 12 {
		return "those with on: call are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("write it: workflows/%s.yaml with on: call", name)
}
