package workflows

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
)

// stepChecker checks the steps in the order in which they run, so that an expression can use only
// the names defined before it.
type stepChecker struct {
	c *checker
	w *Workflow
}

// sequence checks steps that run in order; each can read those before it.
func (s *stepChecker) sequence(list []*Step, sc *expr.Scope) {
	s.hideLater(list, sc)
	for _, st := range list {
		s.step(st, sc)
	}
}

// hideLater marks the steps that have not run yet, so that a reference to one is explained.
func (s *stepChecker) hideLater(list []*Step, sc *expr.Scope) {
	eachStep(list, func(st *Step) {
		if st.ID != "" && sc.Steps()[st.ID] == nil {
			sc.HiddenSteps[st.ID] = fmt.Sprintf("it runs later, on line %d", st.Pos.Line)
		}
	})
}

func (s *stepChecker) step(st *Step, sc *expr.Scope) {
	if _, later := sc.HiddenSteps[st.ID]; later && st.ID != "" {
		sc.HiddenSteps[st.ID] = "it is this step itself, which has no output yet"
		if st.Body == "steps" || st.Body == "parallel" || st.Body == "switch" {
			sc.HiddenSteps[st.ID] = "it has not ended yet: this is inside it"
		}
	}
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

// needs checks the body of a step. In the stored text of a run that has begun, something missing
// fails only the step that needs it, when that step runs.
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

// body checks the body of a step.
func (s *stepChecker) body(st *Step, sc *expr.Scope) {
	k := stepKindOf(st.Body)
	if k == nil { // the key is misspelled; the other keys can still be checked
		st.With.check(sc.In("with").With("secrets", expr.AnySecret))
		return
	}
	k.check(s, st, sc)
}

// loop returns the scope of one iteration.
func (s *stepChecker) loop(st *Step, sc *expr.Scope) *expr.Scope {
	want := reflect.Slice
	if s.c.stored {
		want = reflect.Invalid
	}
	st.ForEach.check(sc.In("foreach"), want)
	inner := sc.In(sc.Where)
	if _, taken := inner.Names[st.As]; taken {
		s.w.src.add(st.Pos, "needs-key", fmt.Sprintf("this loop is inside another whose item is named %s too", st.As),
			"the inner loop must name its item with as:")
	}
	inner.Names[st.As], inner.Names["index"] = expr.Any, expr.Int
	inner.Item = st.As
	inner.Sync()
	return inner
}

// laterActions are planned and not implemented yet.
var laterActions = []string{"discord/post", "teams/post"}

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

// urlSecrets warns about a secret in a URL: proxies and servers log URLs. There is no alternative
// for a URL that is a secret as a whole, such as an incoming webhook of Slack or Discord.
func (s *stepChecker) urlSecrets(st *Step) {
	if u := st.With.Field("url"); u != nil && u.secrets && u.kind != exprValue {
		s.w.src.warn(u.pos, "secret-in-url", "a secret in a URL ends up in the logs of other systems", "send it in a header, or use auth:")
	}
}

type namedValue struct {
	name  string
	value *Value
}

// fields returns the entries of a mapping, constant or not.
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

// keyPos returns the position of the key before a value: on its line or a few lines above.
func (v *Value) keyPos(src *source, key string) Pos {
	for n := v.pos.Line; n > 0 && n > v.pos.Line-3; n-- {
		if i := strings.Index(src.line(n), key+":"); i >= 0 {
			return Pos{n, len([]rune(src.line(n)[:i])) + 1, len([]rune(key))}
		}
	}
	return v.pos
}
