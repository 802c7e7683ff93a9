package workflows

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// DefaultSince is the maximum age of an event that was received before the run started and ends its
// wait.
const DefaultSince = time.Hour

// mostChoices is the maximum number of alternatives of one wait.
const mostChoices = 10

// Wait says what a step waits for: a person's approval, an event of a trigger with a key, or the
// first of several.
type Wait struct {
	Approval, Key *Value
	// By are the people who may answer an approval; empty for anybody.
	By    []string
	Event string
	// Since is the maximum age of an event that was received before the run started.
	Since time.Duration
	// Any are alternatives, of which the first to end ends the step; empty for a single wait.
	Any []*Wait
	pos Pos
	// sincePos is the position of since:; zero if it is not set.
	sincePos Pos
}

// Choices returns the alternatives of any, or the single wait. It returns none for nil.
func (w *Wait) Choices() []*Wait {
	switch {
	case w == nil:
		return nil
	case len(w.Any) > 0:
		return w.Any
	}
	return []*Wait{w}
}

// wait reads wait: of a step.
func (b *builder) wait(o, w *objectNode, s *Step, prefix string) {
	if prefix == "on_failure" || prefix == "finally" {
		b.add(o.keyAt("wait"), "misplaced-key", "wait is not allowed in "+prefix, "")
	}
	if !w.has("any") {
		s.Wait = b.waitChoice(w)
		return
	}
	s.Wait = &Wait{pos: w.keyAt("any")}
	for _, f := range waitFields {
		if w.has(f.name) {
			b.add(w.keyAt(f.name), "exclusive-keys", fmt.Sprintf("any: cannot be combined with %s:", f.name),
				"add it to the list: any: [{event: ..., key: ...}, {approval: ...}]")
			break
		}
	}
	list := w.vals["any"]
	if list == nil {
		return
	}
	for _, n := range list.Content {
		if one := b.object(n, "wait_choice"); one != nil {
			s.Wait.Any = append(s.Wait.Any, b.waitChoice(one))
		}
	}
	switch n := len(list.Content); {
	case n < 2:
		b.add(w.keyAt("any"), "out-of-range", fmt.Sprintf("any: needs at least two waits, got %d", n),
			"for a single wait leave out any:")
	case n > mostChoices:
		b.add(w.keyAt("any"), "out-of-range", fmt.Sprintf("any: has %d waits, at most %d are allowed", n, mostChoices), "")
	}
	approvals := 0
	for _, one := range s.Wait.Any {
		if one.Approval == nil {
			continue
		}
		if approvals++; approvals == 2 {
			b.add(one.pos, "exclusive-keys", "any: has two approvals", "one question is enough: list all who may answer it in by:")
		}
	}
}

// waitChoice reads a single wait: for an approval or an event.
func (b *builder) waitChoice(w *objectNode) *Wait {
	switch {
	case w.has("approval") && w.has("event"):
		b.add(w.pos(), "exclusive-keys", "wait needs approval or event, not both",
			"for whichever comes first write wait: {any: [{event: ...}, {approval: ...}]}")
	case !w.has("approval") && !w.has("event") && !w.unknown:
		b.add(w.pos(), "missing-key", "wait needs approval:, event: or any:", "to pause for a time write sleep: 5m")
	}
	if w.has("event") && !w.has("key") && !w.unknown {
		b.add(w.pos(), "missing-key", "wait for an event needs key:, which selects the event",
			"add key: ${{ ... }} with the value of the trigger's key for that event")
	}
	if w.has("event") && w.has("by") {
		b.add(w.keyAt("by"), "misplaced-key", "by needs approval", "")
	}
	for _, k := range []string{"key", "since"} {
		if w.has("approval") && !w.has("event") && w.has(k) {
			b.add(w.keyAt(k), "misplaced-key", k+" needs event", "")
		}
	}
	if v := w.vals["approval"]; v != nil && v.Kind != yaml.ScalarNode {
		b.add(b.pos(v), "wrong-kind", "approval must be text, got "+nodeKind(v), `write approval: "Ship it?", and by: [NAME] next to it`)
	}
	out := &Wait{Approval: b.value(w.vals["approval"]), Key: b.value(w.vals["key"]), By: w.texts("by"), Event: w.text("event", ""),
		Since: w.duration("since", DefaultSince), pos: w.at("event")}
	if out.Event == "" {
		out.pos = w.pos()
	}
	if v := w.vals["since"]; v != nil {
		if _, err := parseDuration(v.Value); err == nil {
			out.sincePos = w.at("since")
		}
	}
	return out
}

// waitStep waits for a person or an event.
type waitStep struct{}

func (waitStep) key() field {
	return field{"wait", object("wait"), false, "waits for an approval, an event, or with any the first of several"}
}

func (waitStep) modifiers() []string {
	return []string{"timeout", "deadline", "foreach", "output", "on_failure"}
}

func (waitStep) read(r stepReader, s *Step) {
	if w := r.o.object("wait"); w != nil {
		r.wait(r.o, w, s, r.prefix)
	}
}

func (waitStep) check(s *stepChecker, st *Step, sc *expr.Scope) {
	s.wait(st, sc)
}

// wait checks what a step waits for.
func (s *stepChecker) wait(st *Step, sc *expr.Scope) {
	type awaited struct{ trigger, key string }
	seen := map[awaited]bool{}
	for _, one := range st.Wait.Choices() {
		one.Approval.check(sc.In("wait"))
		one.Key.check(sc.In("wait"))
		if one.Event == "" {
			s.approvers(one)
			continue
		}
		s.waitTrigger(one)
		if key, constant := one.Key.constantText(); constant {
			if seen[awaited{one.Event, key}] {
				s.w.src.add(one.pos, "exclusive-keys", fmt.Sprintf("any: waits for %s with the key %q twice", one.Event, key), "remove one")
			}
			seen[awaited{one.Event, key}] = true
		}
	}
}

// approvers warns about a name in by: that looks like a misspelled name of server.tokens.
func (s *stepChecker) approvers(one *Wait) {
	known := s.c.p.Server.Tokens
	for _, name := range one.By {
		if hint := spelling.Suggest(name, slices.Sorted(maps.Keys(known))); known[name] == nil && hint != "" {
			s.w.src.warn(one.pos, "unknown-name",
				fmt.Sprintf("server.tokens has no %q, so only a signed link can answer under that name", name), hint)
		}
	}
}

// waitTrigger checks the trigger of the awaited event.
func (s *stepChecker) waitTrigger(one *Wait) {
	t := s.c.p.Triggers[one.Event]
	if t == nil {
		s.w.src.add(one.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", one.Event), triggerHint(one.Event, s.c.p))
		return
	}
	if !s.c.stored {
		s.waitKey(one, t)
	}
	dedupe, known := t.shortestDedupe()
	if known && dedupe > 0 && one.sincePos == (Pos{}) || s.c.stored {
		if known {
			one.Since = min(one.Since, dedupe)
		}
		return
	}
	switch {
	case known && dedupe == 0:
		s.w.src.add(one.pos, "trigger-without-keys",
			fmt.Sprintf("trigger %s remembers no keys (dedupe: off), so its events cannot be found by key", one.Event),
			"give the trigger a dedupe time, such as dedupe: 1d")
	case known && one.sincePos != (Pos{}) && one.Since > dedupe:
		s.w.src.add(one.sincePos, "out-of-range",
			fmt.Sprintf("since: %s is longer than trigger %s remembers its keys (dedupe: %s)", plainDuration(one.Since), one.Event,
				plainDuration(dedupe)),
			fmt.Sprintf("write since: %s, or give the trigger a longer dedupe:", plainDuration(dedupe)))
	}
}

// waitKey warns about waiting for an event whose trigger assigns no key by which it could be found.
func (s *stepChecker) waitKey(one *Wait, t *Trigger) {
	inlet := ""
	if w := t.Webhook; w != nil {
		p := presetOf(s.c.catalog.Presets, w.Provider)
		if len(w.Key) > 0 || p != nil && (len(p.Key) > 0 || p.CommonIDs) {
			return
		}
		inlet = "webhook"
	}
	if p := t.Poll; p != nil {
		if len(p.Key) > 0 {
			return
		}
		inlet = cmp.Or(inlet, "poll")
	}
	if inlet == "" || t.remembered > 0 {
		return // emitted events each have their own key
	}
	example := "body.id"
	if inlet == "poll" {
		example = "item.id"
	}
	s.w.src.warn(one.pos, "trigger-without-keys",
		fmt.Sprintf("trigger %s has no key:, so this wait cannot find its events by key", t.Name),
		fmt.Sprintf("add a key to the %s of trigger %s, such as key: %s", inlet, t.Name, example))
}

// shortestDedupe returns the shortest time that an inlet of the trigger remembers keys; known is
// false for a trigger without inlets.
func (t *Trigger) shortestDedupe() (shortest time.Duration, known bool) {
	take := func(d time.Duration) {
		if !known || d < shortest {
			shortest, known = d, true
		}
	}
	if t.Webhook != nil {
		take(t.Webhook.Dedupe)
	}
	if t.Poll != nil {
		take(t.Poll.Dedupe)
	}
	if t.remembered > 0 {
		take(t.remembered)
	}
	return shortest, known
}

// plainDuration formats a duration as a file does: 1h, 7d, 1h30m.
func plainDuration(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	out := ""
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.unit; n > 0 {
			out, d = out+fmt.Sprintf("%d%s", n, u.name), d-n*u.unit
		}
	}
	if out == "" {
		return "0s"
	}
	return out
}

// triggerHint suggests existing triggers instead of a missing one.
func triggerHint(name string, p *Project) string {
	if len(p.Triggers) == 0 {
		return "declare it in hookloom.yaml: triggers: {" + name + ": {webhook: {...}}}"
	}
	return spelling.SuggestOr(name, slices.Sorted(maps.Keys(p.Triggers)))
}
