package registry

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// using is a registry over a database of its own, with a project whose triggers and workflows are given.
func using(t *testing.T, triggers string, flows map[string]string, switches ...engine.Switch) *Registry {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hookloom.yaml", "triggers: {"+triggers+"}\n")
	for id, text := range flows {
		write("workflows/"+id+".yaml", text)
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: workflows.NewActions(map[string]*workflows.ActionSpec{
		"act": {Name: "act", Inputs: []workflows.ActionInput{{Name: "token"}}}}, nil)}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	s := storetest.New(t).Store
	for _, x := range switches {
		x.At = time.Now()
		if err := s.SetSwitch(t.Context(), x, false); err != nil {
			t.Fatal(err)
		}
	}
	g := New(Options{Store: s, Redactor: &redact.Redactor{}, Log: slog.New(slog.DiscardHandler),
		RunURL: func(id engine.RunID) string { return id.String() }})
	if err := g.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return g
}

// names are the keys of a set that are true, in order.
func names(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(maps.Collect(func(yield func(string, bool) bool) {
		for name, is := range set {
			if is && !yield(name, is) {
				return
			}
		}
	}))), " ")
}

const hooks = "a: {webhook: {auth: none, key: body.id}}, b: {webhook: {auth: none, key: body.id}}, " +
	"c: {webhook: {auth: none, key: body.id, events: [x, y*]}}, d: {webhook: {auth: none, key: body.id, start: false}}"

// TestEventsAreOrderedWhereTheOrderMatters: with limits, cancel_on or a hold, for the triggers that begin or end the
// runs. A workflow that is off orders nothing and begins nothing, unless its events are held.
func TestEventsAreOrderedWhereTheOrderMatters(t *testing.T) {
	const free, grouped, ended = "steps: [{sleep: 1h}]\n", "concurrency: 1\nsteps: [{sleep: 1h}]\n",
		"cancel_on: {event: b, key: event.key}\nsteps: [{sleep: 1h}]\n"
	for name, c := range map[string]struct {
		flow           string
		state          engine.SwitchState
		off            bool
		gated, resting string
		holding        bool
		outcome        engine.Outcome
	}{
		"free":                    {"on: a\n" + free, 0, false, "", "", false, ""},
		"a group":                 {"on: a\n" + grouped, 0, false, "a w", "", false, ""},
		"ended by another":        {"on: a\n" + ended, 0, false, "a b w", "", false, ""},
		"off in its file":         {"enabled: false\non: a\n" + grouped, 0, false, "", "w", false, engine.Disabled},
		"off":                     {"on: a\n" + grouped, engine.SwitchOff, true, "", "w", false, engine.Disabled},
		"held":                    {"on: a\n" + free, engine.SwitchHold, true, "a w", "w", true, engine.Held},
		"held events are decided": {"on: a\n" + free, engine.SwitchDraining, true, "a w", "", true, engine.Held},
	} {
		t.Run(name, func(t *testing.T) {
			var switches []engine.Switch
			if c.off {
				switches = append(switches, engine.Switch{Workflow: "w", State: c.state})
			}
			l := using(t, hooks, map[string]string{"w": c.flow, "v": "on: c\n" + free}, switches...).Snapshot()
			if got := names(l.Gated); got != c.gated {
				t.Errorf("ordered: %q, want %q", got, c.gated)
			}
			if got := names(l.Resting); got != c.resting || l.holding != c.holding {
				t.Errorf("resting: %q, want %q; holding %t", got, c.resting, l.holding)
			}
			if list := l.ByTrigger["a"]; len(list) != 1 || list[0].Off != c.outcome || list[0].Workflow.ID != "w" {
				t.Errorf("%+v listen to a", list)
			}
			if list := l.ByTrigger["c"]; len(list) != 1 || list[0].Off != "" || fmt.Sprint(list[0].Types) != "[x y*]" {
				t.Errorf("%+v listen to c", list)
			}
		})
	}
}

// TestTriggerWithoutStartOnlyEndsWaits: a trigger with start: false has no listeners.
func TestTriggerWithoutStartOnlyEndsWaits(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: [a, d]\nsteps: [{wait: {event: d, key: \"${{ event.key }}\"}, timeout: 1h}]\n"})
	l := g.Snapshot()
	if len(l.ByTrigger["a"]) != 1 || len(l.ByTrigger["d"]) != 0 {
		t.Errorf("%d workflows listen to a, %d to d", len(l.ByTrigger["a"]), len(l.ByTrigger["d"]))
	}
	if !g.Awaited("d") || g.Awaited("a") {
		t.Errorf("runs may wait for d: %t, for a: %t", g.Awaited("d"), g.Awaited("a"))
	}
	for trigger, want := range map[string]bool{"a": false, "b": true, "d": false} {
		d := &engine.Delivery{Trigger: trigger, Inlet: "webhook"}
		if g.MarkUnsubscribed(d); d.Unsubscribed != want {
			t.Errorf("nothing reacts to events of %s: %t", trigger, d.Unsubscribed)
		}
	}
}

// TestTriggersWithTwoInletsAreCompared: a webhook that is polled or reconciled too.
func TestTriggersWithTwoInletsAreCompared(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nsteps: [{sleep: 1h}]\n"})
	p := *g.Snapshot().Project
	p.Triggers = map[string]*workflows.Trigger{"hook": {Webhook: &workflows.Webhook{}}, "poll": {Poll: &workflows.Poll{}},
		"both": {Webhook: &workflows.Webhook{}, Poll: &workflows.Poll{}}, "time": {},
		"reconciled": {Webhook: &workflows.Webhook{Reconcile: &workflows.Poll{}}}}
	if err := g.Use(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	if got := names(g.Snapshot().Polled); got != "both reconciled" {
		t.Errorf("compared are %q", got)
	}
}

// TestTriggersOfOneWorkflowShareAQueue, and those of workflows that share one; its name is the first of theirs.
func TestTriggersOfOneWorkflowShareAQueue(t *testing.T) {
	on := func(id string, ends string, starts ...string) *workflows.Workflow {
		w := &workflows.Workflow{ID: id}
		for _, s := range starts {
			w.Starts = append(w.Starts, workflows.Start{Kind: "trigger", Trigger: s})
		}
		if ends != "" {
			w.CancelOn = []workflows.CancelOn{{Trigger: ends}}
		}
		return w
	}
	gated := map[string]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "u", "v", "w", "x"} {
		gated[name] = true
	}
	l := &Snapshot{Gated: gated, Project: &workflows.Project{Workflows: map[string]*workflows.Workflow{"u": on("u", "", "c", "b"),
		"v": on("v", "a", "b"), "w": on("w", "d", "e", "free"), "x": on("x", "", "f"), "y": on("y", "", "free", "x")}}}
	l.findLanes()
	for trigger, want := range map[string]string{"a": "a", "b": "a", "c": "a", "u": "a", "v": "a", "d": "d", "e": "d", "w": "d", "f": "f",
		"x": "f", "free": ""} {
		if got := l.Lane(trigger); got != want {
			t.Errorf("%s is in lane %q, want %q", trigger, got, want)
		}
	}
	if got := (*Snapshot)(nil).Lane("a"); got != "" {
		t.Errorf("without a project, the lane is %q", got)
	}
}

// contextOf is the context of a new run of workflow w.
func contextOf(t *testing.T, g *Registry, ev *engine.Event) *RunContext {
	t.Helper()
	seen, err := ev.Names()
	if err != nil {
		t.Fatal(err)
	}
	rc := &RunContext{Reg: g, Event: ev, Run: &engine.Run{ID: 1, Workflow: "w"}}
	rc.Begin(g.Snapshot().Workflows["w"], seen, time.Now())
	return rc
}

// TestKeyThatCannotBeEvaluatedStartsNoRun: an event could not end it. A run without a key is not ended by events, and
// what is masked in the run is masked in its key.
func TestKeyThatCannotBeEvaluatedStartsNoRun(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\ncancel_on: {event: b, key: event.data.order}\nsteps: [{sleep: 1h}]\n"})
	for body, want := range map[string]string{`{"order": 7}`: "7", `{"order": ""}`: "", `{"order": {"no": 7}}`: "error",
		`{"order": "secret-order"}`: "***"} {
		ev := &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "a", Inlet: "webhook", Raw: []byte(body),
			Headers: map[string]string{"content-type": "application/json"}, Hidden: []string{"secret-order"}}}
		rc := contextOf(t, g, ev)
		err := rc.FindCancelKeys()
		got := ""
		switch {
		case err != nil && strings.Contains(err.Error(), "cancel_on.key: "):
			got = "error"
		case len(rc.Cancels) == 1 && rc.Cancels[0].Trigger == "b":
			got = rc.Cancels[0].Key
		}
		if got != want || (want == "" || want == "error") != (len(rc.Cancels) == 0) {
			t.Errorf("%s: %q (%+v, %v), want %q", body, got, rc.Cancels, err, want)
		}
	}
}

// TestARunMasksASmallNumberOfValues: each once, besides those of its event; a masker is made for new ones only.
func TestARunMasksASmallNumberOfValues(t *testing.T) {
	g := using(t, hooks, map[string]string{"w": "on: a\nsteps: [{sleep: 1h}]\n"})
	rc := contextOf(t, g, &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "a", Inlet: "webhook", Hidden: []string{"of-the-event"}}})
	before := rc.Masker()
	rc.Hide([]string{"", "of-the-event"})
	if rc.Masker() != before || before.Text("x of-the-event") != "x ***" {
		t.Errorf("nothing is new, and %q", rc.Masker().Text("x of-the-event"))
	}
	for i := range 2 * maxHidden {
		rc.Hide([]string{fmt.Sprintf("value-%03d", i)})
	}
	if len(rc.Hidden) != 1+maxHidden || rc.Masker().Text("value-063") != "***" || rc.Masker().Text("value-064") != "value-064" {
		t.Errorf("%d values are masked: %s, %s", len(rc.Hidden), rc.Masker().Text("value-063"), rc.Masker().Text("value-064"))
	}
	plain := contextOf(t, g, &engine.Event{ID: 2, Delivery: engine.Delivery{Trigger: "a", Inlet: "webhook"}})
	if plain.Hide(nil); plain.Masker() != g.EveryRun() {
		t.Error("a run without values of its own has a masker of its own")
	}
}
