package workflows

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// stepChecker walks the steps in the order they run, so that a name is visible
// exactly where it exists.
type stepChecker struct {
	c *checker
	w *Workflow
}

// sequence checks steps one after another; each sees those before it.
func (s *stepChecker) sequence(list []*Step, sc *expr.Scope) {
	s.hideLater(list, sc)
	for _, st := range list {
		s.step(st, sc)
	}
}

// hideLater gives steps that have not run yet a reason of their own.
func (s *stepChecker) hideLater(list []*Step, sc *expr.Scope) {
	eachStep(list, func(st *Step) {
		if st.ID != "" && sc.Steps()[st.ID] == nil {
			sc.HiddenSteps[st.ID] = fmt.Sprintf("it runs later, on line %d", st.Pos.Line)
		}
	})
}

func (s *stepChecker) step(st *Step, sc *expr.Scope) {
	if st.If != nil {
		own := sc.In("a step's if")
		st.If.check(own, reflect.Bool)
	}
	at, before := sc, maps.Clone(sc.Steps())
	if st.ForEach != nil {
		at = s.loop(st, sc)
	}
	s.needs(st, at)
	if st.Retry != nil && st.Retry.When != nil {
		st.Retry.When.check(at.In("retry.when").With("error", expr.ErrorType()), reflect.Bool)
	}
	if len(st.OnFailure) > 0 {
		s.sequence(st.OnFailure, at.In("on_failure").With("error", expr.ErrorType()))
	}
	if st.Output != nil {
		st.Output.check(at.In("a step's output").With("result", expr.Any))
	}
	if st.ForEach != nil {
		for id := range at.Steps() {
			if before[id] == nil {
				sc.HiddenSteps[id] = "it is inside a loop: read the loop's own output"
			}
		}
	}
	if st.ID != "" {
		sc.Steps()[st.ID] = s.typeOf(st)
		delete(sc.HiddenSteps, st.ID)
		sc.MaybeNil[st.ID] = st.If != nil && st.Body != "stop" && st.Body != "fail"
		sc.Sync()
	}
}

// needs checks what a step does. In the text of a run that has begun, what a step needs
// and what is gone since fails that step, if and when it comes to it, and nothing else.
func (s *stepChecker) needs(st *Step, sc *expr.Scope) {
	before := len(s.w.src.mistakes)
	s.body(st, sc)
	if !s.c.stored || st.Body != "uses" && st.Body != "call" && st.Body != "wait" {
		return
	}
	kept := s.w.src.mistakes[:before]
	for _, m := range s.w.src.mistakes[before:] {
		if m.Warning {
			kept = append(kept, m)
		} else if st.Gone == "" {
			st.Gone = "the project has changed since the run began: " + m.Problem
		}
	}
	s.w.src.mistakes = kept
}

// body checks what a step does.
func (s *stepChecker) body(st *Step, sc *expr.Scope) {
	switch st.Body {
	case "": // the body's key is misspelt; what is beside it can still be checked
		st.With.check(sc.In("with").With("secrets", expr.AnySecret))
	case "uses":
		s.uses(st, sc)
	case "switch":
		s.switches(st, sc)
	case "steps":
		s.group(st, sc)
	case "parallel":
		s.parallel(st, sc)
	case "call":
		s.call(st, sc)
	case "sleep":
		st.Sleep.check(sc.In("sleep"))
	case "wait":
		s.wait(st, sc)
	case "set":
		for _, v := range st.Set {
			v.Value.check(sc.In("set"))
			sc.AddVar(v.Name)
		}
	case "stop", "fail":
		st.Text.check(sc.In(st.Body))
	}
}

// loop gives the scope of one iteration.
func (s *stepChecker) loop(st *Step, sc *expr.Scope) *expr.Scope {
	st.ForEach.check(sc.In("foreach"), reflect.Invalid)
	inner := sc.In(sc.Where)
	if _, taken := inner.Names[st.As]; taken {
		s.w.src.add(st.Pos, "needs-key", fmt.Sprintf("this loop is inside another whose item is named %s too", st.As),
			"the inner loop must name its item with as:")
	}
	inner.Names[st.As], inner.Names["index"] = expr.Any, expr.Int
	inner.Sync()
	return inner
}

// parallel checks branches that run at once: none sees the others.
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
		// What a branch sets is seen there only, so that no race can be written.
		inner.Names["vars"] = expr.Map{}
		s.merge(inner, sc, before, true)
	}
}

// call checks that another workflow can be called, and with what.
func (s *stepChecker) call(st *Step, sc *expr.Scope) {
	src := s.w.src
	st.With.check(sc.In("a called workflow's inputs")) // they are stored, so without secrets
	callee := s.c.p.Workflows[st.Call]
	if callee == nil {
		src.add(st.Pos, "unknown-workflow", fmt.Sprintf("no workflow %q", st.Call), s.callables(st.Call))
		return
	}
	callable := false
	for _, start := range callee.Starts {
		callable = callable || start.Kind == "call"
	}
	if !callable {
		src.add(st.Pos, "unknown-workflow", fmt.Sprintf("workflow %s cannot be called: it has no on: call", st.Call),
			"add call to on: in workflows/"+st.Call+".yaml")
	}
	var names []string
	for _, in := range callee.Inputs {
		names = append(names, in.Name)
		if in.Required && !hasField(st.With.fields(), in.Name) {
			src.add(st.Pos, "missing-input", fmt.Sprintf("%s: input %s is missing", st.Call, in.Name), in.Description)
		}
	}
	for _, f := range st.With.fields() {
		if !slices.Contains(names, f.name) {
			src.add(f.value.keyPos(src, f.name), "unknown-input", fmt.Sprintf("%s has no input %q", st.Call, f.name),
				spelling.Suggest(f.name, names))
		}
		for _, in := range callee.Inputs {
			if v, constant := f.value.IsConstant(); constant && in.Name == f.name {
				if v == nil {
					s.nothingGiven(st.Call, in.Name, in.Required, f.value)
				} else {
					s.calledWith(st, in, f.value, v)
				}
			}
		}
	}
}

// callables helps with the name of a workflow that is not there: the nearest of those
// that can be called, else all of them.
func (s *stepChecker) callables(name string) string {
	var known []string
	for _, id := range slices.Sorted(maps.Keys(s.c.p.Workflows)) {
		for _, start := range s.c.p.Workflows[id].Starts {
			if start.Kind == "call" && id != s.w.ID {
				known = append(known, id)
			}
		}
	}
	if hint := spelling.Suggest(name, known); hint != "" {
		return hint
	}
	if len(known) > 0 && len(known) <= 12 {
		return "those with on: call are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("write it: workflows/%s.yaml with on: call", name)
}

// laterActions are in the language and not carried out yet.
var laterActions = []string{"discord/post", "teams/post"}

// group checks a group; what ran inside is visible after it.
func (s *stepChecker) group(st *Step, sc *expr.Scope) {
	before := maps.Clone(sc.Steps())
	inner := sc.In(sc.Where)
	s.sequence(st.Steps, inner)
	s.merge(inner, sc, before, st.If != nil)
	other := sc.In(sc.Where)
	for id := range inner.Steps() {
		if before[id] == nil {
			delete(other.Steps(), id)
			other.HiddenSteps[id] = "it is in the other branch"
		}
	}
	s.sequence(st.Else, other)
	s.merge(other, sc, before, true)
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

// merge makes the steps and vars of a branch visible after it.
func (s *stepChecker) merge(from, to *expr.Scope, before expr.Map, maybe bool) {
	for id, t := range from.Steps() {
		if before[id] == nil {
			to.Steps()[id] = t
			delete(to.HiddenSteps, id)
			to.MaybeNil[id] = maybe || from.MaybeNil[id]
		}
	}
	if vars, ok := from.Names["vars"].(expr.Map); ok {
		for name := range vars {
			to.AddVar(name)
		}
	}
	to.Sync()
}

func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an"
	}
	return "a"
}

// urlSecrets warns of a secret in a URL: proxies and targets write URLs down.
func (s *stepChecker) urlSecrets(st *Step) {
	if u := st.With.Field("url"); u != nil && u.secrets {
		s.w.src.warn(u.pos, "secret-in-url", "a secret in a URL ends in the logs of others", "send it in a header, or use auth:")
	}
}

type namedValue struct {
	name  string
	value *Value
}

// fields lists a map value's entries, also when it is all constant.
func (v *Value) fields() []namedValue {
	if v == nil {
		return nil
	}
	var out []namedValue
	for i, k := range v.keys {
		out = append(out, namedValue{k, v.values[i]})
	}
	if m, ok := v.constant.(map[string]any); ok && v.kind == constantValue && len(v.keys) == 0 {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, namedValue{k, &Value{constant: m[k], pos: v.pos}})
		}
	}
	return out
}

func hasField(list []namedValue, name string) bool {
	for _, f := range list {
		if f.name == name {
			return true
		}
	}
	return false
}

// keyPos finds the key before a value, on its line or the few above.
func (v *Value) keyPos(src *source, key string) Pos {
	for n := v.pos.Line; n > 0 && n > v.pos.Line-3; n-- {
		if i := strings.Index(src.line(n), key+":"); i >= 0 {
			return Pos{n, len([]rune(src.line(n)[:i])) + 1, len([]rune(key))}
		}
	}
	return v.pos
}
