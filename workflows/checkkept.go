package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
)

// This file checks the steps that store data in Hookloom itself: the actions of the key-value
// store, and emitted events.

// longestKey is the maximum length of a store key in bytes; the engine enforces the same limit.
const longestKey = 256

// keptInputs reports secrets in inputs that are stored in clear text.
func (s *stepChecker) keptInputs(st *Step) {
	src := s.w.src
	for _, f := range st.With.fields() {
		in := st.Spec.Input(f.name)
		if in == nil || !in.Kept {
			continue
		}
		if f.value.UsesSecrets() {
			src.add(f.value.keyPos(src, f.name), "secret-stored", fmt.Sprintf("%s of %s is stored, and secrets must not be stored", f.name,
				st.Uses), "read ${{ secrets.NAME }} in the step that needs it")
		}
		if text, ok := f.value.constantText(); ok && f.name == "key" && strings.HasPrefix(st.Uses, "store/") && len(text) > longestKey {
			src.add(f.value.pos, "too-large", fmt.Sprintf("key has %d bytes, at most %d are kept", len(text), longestKey),
				"choose a shorter name")
		}
	}
	if v := st.With.Field("ttl"); v != nil && st.Spec.Input("ttl") != nil {
		if text, ok := v.constantText(); ok {
			if d, err := parseDuration(text); err == nil && d == 0 {
				src.add(v.pos, "out-of-range", "ttl must be longer than 0", "leave it out to keep the value, or write ttl: 1h")
			}
		}
	}
}

// emits checks the trigger that receives an emitted event.
func (s *stepChecker) emits(st *Step) {
	if st.Uses != "hookloom/emit" {
		return
	}
	v := st.With.Field("trigger")
	name, constant := v.constantText()
	if !constant {
		return
	}
	if s.c.p.Triggers[name] == nil {
		hint := spelling.Suggest(name, slices.Sorted(maps.Keys(s.c.p.Triggers)))
		switch {
		case name == AlertsTrigger:
			hint = "it is reserved for Hookloom's own alerts; declare your own: triggers: {NAME: {}}"
		case hint != "":
		case s.c.p.Workflows[name] != nil:
			hint = "to run a workflow write call: " + name
		case namePattern.MatchString(name):
			hint = "declare it in hookloom.yaml: triggers: {" + name + ": {}}"
		default:
			hint = "declare one in hookloom.yaml: triggers: {order_paid: {}}"
		}
		s.w.src.add(v.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", name), hint)
		return
	}
	s.emitsToItself(st, v, name)
}

// emitsToItself warns about a workflow whose runs start further runs of the same workflow.
func (s *stepChecker) emitsToItself(st *Step, at *Value, name string) {
	top := false
	for _, x := range s.w.Steps {
		top = top || x == st
	}
	if !top || st.If != nil || len(s.w.When) > 0 {
		return
	}
	typ, constant := st.With.Field("type").constantText()
	if st.With.Field("type") == nil {
		typ, constant = name, true
	}
	for _, start := range s.w.Starts {
		if start.Kind == "trigger" && start.Trigger == name && constant && MatchType(start.Events, typ) {
			s.w.src.warn(at.pos, "emit-loop",
				fmt.Sprintf("this workflow starts on %s and emits into it: each run begins another one, "+
					"until the chain is 10 deep", name),
				"add when: or if: that stops holding, or emit into another trigger")
			return
		}
	}
}
