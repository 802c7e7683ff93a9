package workflows

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/types"
)

// stepChecker walks the steps in the order they run, so that a name is visible
// exactly where it exists.
type stepChecker struct {
	c *checker
	w *Workflow
}

// sequence checks steps one after another; each sees those before it.
func (s *stepChecker) sequence(list []*Step, sc *scope) {
	s.hideLater(list, sc)
	for _, st := range list {
		s.step(st, sc)
	}
}

// hideLater gives steps that have not run yet a reason of their own.
func (s *stepChecker) hideLater(list []*Step, sc *scope) {
	eachStep(list, func(st *Step) {
		if st.ID != "" && sc.steps()[st.ID] == nil {
			sc.hiddenSteps[st.ID] = fmt.Sprintf("it runs later, on line %d", st.Pos.Line)
		}
	})
}

func (s *stepChecker) step(st *Step, sc *scope) {
	if st.If != nil {
		own := sc.in("a step's if")
		st.If.check(own, reflect.Bool)
	}
	at, before := sc, copyMap(sc.steps())
	if st.ForEach != nil {
		at = s.loop(st, sc)
	}
	s.needs(st, at)
	if st.Retry != nil && st.Retry.When != nil {
		st.Retry.When.check(at.in("retry.when").with("error", errorType()), reflect.Bool)
	}
	if len(st.OnFailure) > 0 {
		s.sequence(st.OnFailure, at.in("on_failure").with("error", errorType()))
	}
	if st.Output != nil {
		st.Output.check(at.in("a step's output").with("result", types.Any))
	}
	if st.ForEach != nil {
		for id := range at.steps() {
			if before[id] == nil {
				sc.hiddenSteps[id] = "it is inside a loop: read the loop's own output"
			}
		}
	}
	if st.ID != "" {
		sc.steps()[st.ID] = s.typeOf(st)
		delete(sc.hiddenSteps, st.ID)
		sc.maybe[st.ID] = st.If != nil && st.Body != "stop" && st.Body != "fail"
		sc.sync()
	}
}

// needs checks what a step does. In the text of a run that has begun, what a step needs
// and what is gone since fails that step, if and when it comes to it, and nothing else.
func (s *stepChecker) needs(st *Step, sc *scope) {
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
func (s *stepChecker) body(st *Step, sc *scope) {
	switch st.Body {
	case "": // the body's key is misspelt; what is beside it can still be checked
		st.With.check(sc.in("with").with("secrets", anySecret))
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
		st.Sleep.check(sc.in("sleep"))
	case "wait":
		s.wait(st, sc)
	case "set":
		for _, v := range st.Set {
			v.Value.check(sc.in("set"))
			sc.addVar(v.Name, v.pos, s.w.src)
		}
	case "stop", "fail":
		st.Text.check(sc.in(st.Body))
	}
}

// loop gives the scope of one iteration.
func (s *stepChecker) loop(st *Step, sc *scope) *scope {
	st.ForEach.check(sc.in("foreach"), reflect.Invalid)
	inner := sc.in(sc.where)
	if _, taken := inner.names[st.As]; taken {
		s.w.src.add(st.Pos, "needs-key", fmt.Sprintf("this loop is inside another whose item is named %s too", st.As), "the inner loop must name its item with as:")
	}
	inner.names[st.As], inner.names["index"] = types.Any, types.Int
	inner.sync()
	return inner
}

// parallel checks branches that run at once: none sees the others.
func (s *stepChecker) parallel(st *Step, sc *scope) {
	before := copyMap(sc.steps())
	var branches []*scope
	for i, b := range st.Parallel {
		inner := sc.in(sc.where)
		for j, other := range st.Parallel {
			if i != j {
				eachStep([]*Step{other}, func(x *Step) { inner.hiddenSteps[x.ID] = "it runs at the same time, in another branch" })
			}
		}
		s.step(b, inner)
		branches = append(branches, inner)
	}
	for _, inner := range branches {
		// What a branch sets is seen there only, so that no race can be written.
		inner.names["vars"] = types.Map{}
		s.merge(inner, sc, before, true)
	}
}

// call checks that another workflow can be called, and with what.
func (s *stepChecker) call(st *Step, sc *scope) {
	src := s.w.src
	st.With.check(sc.in("a called workflow's inputs")) // they are stored, so without secrets
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
		src.add(st.Pos, "unknown-workflow", fmt.Sprintf("workflow %s cannot be called: it has no on: call", st.Call), "add call to on: in workflows/"+st.Call+".yaml")
	}
	var names []string
	for _, in := range callee.Inputs {
		names = append(names, in.Name)
		if in.Required && !hasField(st.With.fields(), in.Name) {
			src.add(st.Pos, "missing-input", fmt.Sprintf("%s: input %s is missing", st.Call, in.Name), in.Description)
		}
	}
	for _, f := range st.With.fields() {
		if !contains(names, f.name) {
			src.add(f.value.keyPos(src, f.name), "unknown-input", fmt.Sprintf("%s has no input %q", st.Call, f.name), suggest(f.name, names))
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
	for _, id := range sortedStrings(s.c.p.Workflows) {
		for _, start := range s.c.p.Workflows[id].Starts {
			if start.Kind == "call" && id != s.w.ID {
				known = append(known, id)
			}
		}
	}
	if hint := suggest(name, known); hint != "" {
		return hint
	}
	if len(known) > 0 && len(known) <= 12 {
		return "those with on: call are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("write it: workflows/%s.yaml with on: call", name)
}

// laterActions are in the language and not carried out yet.
var laterActions = []string{"email/send", "discord/post", "teams/post"}

// group checks a group; what ran inside is visible after it.
func (s *stepChecker) group(st *Step, sc *scope) {
	before := copyMap(sc.steps())
	inner := sc.in(sc.where)
	s.sequence(st.Steps, inner)
	s.merge(inner, sc, before, st.If != nil)
	other := sc.in(sc.where)
	for id := range inner.steps() {
		if before[id] == nil {
			delete(other.steps(), id)
			other.hiddenSteps[id] = "it is in the other branch"
		}
	}
	s.sequence(st.Else, other)
	s.merge(other, sc, before, true)
}

func (s *stepChecker) switches(st *Step, sc *scope) {
	if st.Switch != nil {
		st.Switch.check(sc.in("switch"), reflect.Invalid)
	}
	before := copyMap(sc.steps())
	branches := [][]*Step{st.Default}
	for _, c := range st.Cases {
		branches = append(branches, c.Steps)
	}
	for _, b := range branches {
		inner := sc.in(sc.where)
		for id := range inner.steps() {
			if before[id] == nil {
				delete(inner.steps(), id)
				inner.hiddenSteps[id] = "it is in another branch"
			}
		}
		s.sequence(b, inner)
		s.merge(inner, sc, before, true)
	}
}

// merge makes the steps and vars of a branch visible after it.
func (s *stepChecker) merge(from, to *scope, before types.Map, maybe bool) {
	for id, t := range from.steps() {
		if before[id] == nil {
			to.steps()[id] = t
			delete(to.hiddenSteps, id)
			to.maybe[id] = maybe || from.maybe[id]
		}
	}
	if vars, ok := from.names["vars"].(types.Map); ok {
		for name := range vars {
			to.addVar(name, Pos{}, s.w.src)
		}
	}
	to.sync()
}

// uses checks an action's name and inputs against its spec.
func (s *stepChecker) uses(st *Step, sc *scope) {
	src := s.w.src
	st.Spec = s.c.catalog.Actions[st.Uses]
	own := sc.in("with").with("secrets", anySecret)
	st.With.check(own)
	at := st.usesPos(src)
	if st.Spec == nil && contains(laterActions, st.Uses) {
		src.add(at, "not-yet", fmt.Sprintf("%s is part of the language, but this version cannot run it yet", st.Uses), "hookloom actions lists those it can run")
		return
	}
	if st.Spec == nil {
		connector, _, _ := strings.Cut(st.Uses, "/")
		if contains(s.c.p.brokenConnectors, connector) {
			return // its file could not be read, which is said there
		}
		hint := suggest(st.Uses, namedActions(s.c.catalog.Actions))
		if foreign := foreignActions[st.Uses]; foreign != "" {
			hint = foreign
		} else if file, ok := strings.CutPrefix(st.Uses, "./"); ok {
			hint = "to run another workflow write call: " + workflowID(strings.TrimPrefix(file, "workflows/"))
		} else if hint == "" {
			hint = s.actionsLike(st.Uses)
		}
		src.add(at, "unknown-action", fmt.Sprintf("there is no action %q", st.Uses), hint)
		return
	}
	if st.With != nil && st.With.kind != mapValue && st.With.kind != constantValue {
		src.add(st.With.pos, "wrong-kind", "with is a map of inputs", "")
		return
	}
	s.with(st, at)
	if st.Retry == nil && st.Spec.Retry != nil {
		st.Retry = st.Spec.Retry
	}
	if st.Timeout == 0 {
		st.Timeout = st.Spec.Timeout
	}
	if st.Timeout == 0 {
		st.Timeout = DefaultActionTimeout
	}
}

// namedActions are the names of actions whose connector has a name too.
func namedActions(all map[string]*ActionSpec) []string {
	var out []string
	for _, n := range sortedStrings(all) {
		if !strings.HasPrefix(n, "/") {
			out = append(out, n)
		}
	}
	return out
}

// actionsLike lists a connector's actions when only the last part is wrong.
func (s *stepChecker) actionsLike(name string) string {
	head, _, found := strings.Cut(name, "/")
	if !found {
		return "actions are named connector/action, such as http/post"
	}
	var have []string
	for _, n := range sortedStrings(s.c.catalog.Actions) {
		if strings.HasPrefix(n, head+"/") {
			have = append(have, n)
		}
	}
	if len(have) == 0 {
		return "hookloom actions lists them"
	}
	return "it has " + strings.Join(have, ", ")
}

func (st *Step) usesPos(src *source) Pos {
	for n := st.Pos.Line; n < st.Pos.Line+40; n++ {
		if i := strings.Index(src.line(n), st.Uses); i >= 0 && strings.Contains(src.line(n), "uses") {
			return Pos{n, len([]rune(src.line(n)[:i])) + 1, len([]rune(st.Uses))}
		}
	}
	return st.Pos
}

func (s *stepChecker) with(st *Step, at Pos) {
	src := s.w.src
	var names []string
	for _, in := range st.Spec.Inputs {
		names = append(names, in.Name)
	}
	if st.Spec.Connector != nil {
		names = append(names, "connection")
	}
	given, other := st.With.fields(), map[string]bool{}
	for _, f := range given {
		in := st.Spec.Input(f.name)
		if in == nil {
			if f.name == "connection" && st.Spec.Connector != nil {
				continue
			}
			hint := suggest(f.name, names)
			if said, meant := foreignInput(st.Uses, f.name); said != "" && st.Spec.Connector == nil {
				hint, other[meant] = said, true
			}
			if hint == "" {
				hint = "known are " + strings.Join(names, ", ")
			}
			src.add(f.value.keyPos(src, f.name), "unknown-input", fmt.Sprintf("%s has no input %q", st.Uses, f.name), hint)
			continue
		}
		f.value.takeBytes(in.Fill)
		if v, constant := f.value.IsConstant(); constant {
			s.constantInput(st, in, f.value, v)
		}
	}
	for _, in := range st.Spec.Inputs {
		if in.Required && !st.misspelt && !other[in.Name] && !hasField(given, in.Name) {
			src.add(at, "missing-input", fmt.Sprintf("%s: input %s is missing", st.Uses, in.Name), in.Help)
		}
	}
	s.urlSecrets(st)
	s.httpInputs(st)
	s.answerSize(st)
	s.keptInputs(st)
	s.emits(st)
	s.savedAnswer(st)
	s.sentFile(st)
	s.rawPath(st)
}

func (s *stepChecker) constantInput(st *Step, in *ActionInput, at *Value, v any) {
	src := s.w.src
	if v == nil {
		s.nothingGiven(st.Uses, in.Name, in.Required, at)
		return
	}
	if in.Type == "string" {
		// Plain numbers and booleans become text here, as inside a text.
		switch v.(type) {
		case map[string]any, []any:
			src.add(at.pos, "wrong-type", fmt.Sprintf("%s must be text", in.Name), "")
		}
		if t, ok := v.(string); ok && len(in.Words) > 0 && !contains(in.Words, t) {
			src.add(at.pos, "unknown-word", fmt.Sprintf("%s %q is not known", in.Name, t), suggestOr(t, in.Words))
		}
		return
	}
	if in.Name == "auth" && st.Spec.Connector == nil && !s.c.stored {
		return // stepAuth says more
	}
	if p := checkType(in.Type, v); p != "" {
		src.add(at.pos, "wrong-type", fmt.Sprintf("%s must be %s %s: %s", in.Name, article(in.Type), in.Type, p), typeHint(in, v))
	}
}

// typeHint says how a value of an input's type is written, or "".
func typeHint(in *ActionInput, v any) string {
	text, isText := v.(string)
	switch {
	case !isText:
		return ""
	case in.Name == "save":
		return "write save: true; the output's path says where the file is"
	case in.Type == "boolean":
		return "write true or false"
	case in.Type == "duration":
		return durationHint(text)
	case in.Type == "integer":
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return "write it without quotes: " + text
		}
	}
	return ""
}

// nothingGiven refuses null for an input that must have a value. It is mostly a name
// that YAML takes for a comment: channel: #sales.
func (s *stepChecker) nothingGiven(of, name string, required bool, at *Value) {
	if at.broken {
		return
	}
	src := s.w.src
	key := at.keyPos(src, name)
	line := src.line(key.Line)
	runes := []rune(line)
	rest := strings.TrimSpace(string(runes[min(key.Column-1+len([]rune(name)), len(runes)):]))
	comment := strings.TrimSpace(strings.TrimPrefix(rest, ":"))
	if strings.HasPrefix(comment, "#") && len(comment) > 1 && comment[1] != ' ' {
		d := decoder{source: src}
		from := strings.LastIndex(line, comment)
		p := d.posAt(src.offset(key.Line, 1)+from, len([]rune(comment)))
		src.report(p, "yaml-comment", !required || s.c.stored, "YAML reads this as a comment, and "+name+" as nothing", "put it in quotes: "+quoted(strings.TrimRight(comment, " ")))
		return
	}
	if required && !s.c.stored {
		src.add(key, "missing-input", fmt.Sprintf("%s: input %s is null, and it must have a value", of, name), "")
	}
}

func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an"
	}
	return "a"
}

func suggestOr(word string, words []string) string {
	if s := suggest(word, words); s != "" {
		return s
	}
	return "one of " + strings.Join(words, ", ")
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

// secretNames lists the secrets an expression names.
func (e *Expr) secretNames() []string { return e.named }

// secretsSet refuses to run without a secret that the expression names: nil in its
// place would be sent as null, or as nothing.
func (e *Expr) secretsSet(names Names) error {
	secrets, _ := names["secrets"].(map[string]any)
	for _, n := range e.named {
		if secrets[n] == nil {
			return &EvalError{Expr: e.Text, Line: 1, Column: 1, Problem: fmt.Sprintf("secret %s is not set: set it in the environment, in .env or in /run/secrets, and load the project again", n)}
		}
	}
	return nil
}
