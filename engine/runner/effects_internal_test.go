package runner

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/alert"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// stored is a Runner over a real store, with a project of one trigger.
func stored(t *testing.T) (*Runner, *arrivals, storetest.Opened) {
	t.Helper()
	return storedWith(t, nil, nil)
}

// storedWith is stored with workflows, and with an action test/act that they may use.
func storedWith(t *testing.T, flows map[string]string, act engine.Action) (*Runner, *arrivals, storetest.Opened) {
	t.Helper()
	s := storetest.New(t)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	files := map[string]string{"hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none}}\n  back: {webhook: {auth: none}}\n"}
	for id, text := range flows {
		files["workflows/"+id+".yaml"] = text
	}
	p := projecttest.Load(t, files, workflows.Catalog{Actions: workflows.NewActions(map[string]*workflows.ActionSpec{
		"test/act": {Name: "test/act", SideEffects: true, Inputs: []workflows.ActionInput{{Name: "n", Type: "any"}}}}, nil)})
	redactor := &redact.Redactor{}
	reg := registry.New(registry.Options{Store: s.Store, Redactor: redactor, Log: log,
		Secrets: func(string) (string, bool) { return "", false }, RunURL: engine.RunID.String,
		OnUse: func(_ context.Context, _ *registry.Snapshot, publish func()) error { publish(); return nil }})
	if err := reg.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	keeper := persist.New(s.Store, log)
	keeper.Start(t.Context())
	a := &arrivals{}
	alerts := alert.New(alert.Options{Store: s.Store, Registry: reg, Redactor: redactor, Log: log, RunURL: engine.RunID.String,
		Accept: func(context.Context, *engine.Delivery) (engine.Receipt, error) { return engine.Receipt{}, nil }})
	rn := New(Options{Store: keeper, Registry: reg, Alerts: alerts, Arrivals: a, Budgets: NewBudgets(),
		Actions: map[string]engine.Action{"test/act": act}, Redactor: redactor, Log: log, MaxRuns: 2, BreakerPause: time.Second,
		MaxHeld: time.Minute})
	rn.Start(t.Context())
	return rn, a, s
}

// TestEmittedEventIsHeldToItsLimits: what is refused says which one, and what is at its bound passes.
func TestEmittedEventIsHeldToItsLimits(t *testing.T) {
	rn, _, _ := stored(t)
	text := func(n int) string { return strings.Repeat("x", n) }
	masks := func(s string) string { return strings.ReplaceAll(s, "secretPassw0rd2", "***") }
	for _, c := range []struct {
		name string
		o    engine.Emission
		code string
	}{
		{"data", engine.Emission{Trigger: "hook", Data: map[string]any{"a": 1}}, ""},
		{"no such trigger", engine.Emission{Trigger: "none", Data: 1}, "unknown_trigger"},
		{"a mebibyte", engine.Emission{Trigger: "hook", Data: text(1<<20 - 2)}, ""},
		{"a byte more", engine.Emission{Trigger: "hook", Data: text(1<<20 - 1)}, "too_large"},
		{"data that is no JSON", engine.Emission{Trigger: "hook", Data: func() {}}, "invalid_input"},
		{"a key of 1024 bytes", engine.Emission{Trigger: "hook", Data: 1, Key: text(1024)}, ""},
		{"a key of 1025 bytes", engine.Emission{Trigger: "hook", Data: 1, Key: text(1025)}, "too_large"},
		{"a type of 1025 bytes", engine.Emission{Trigger: "hook", Data: 1, Type: text(1025)}, "too_large"},
		{"a secret in data", engine.Emission{Trigger: "hook", Data: "secretPassw0rd2"}, "secret"},
		{"a secret in the key", engine.Emission{Trigger: "hook", Data: 1, Key: "secretPassw0rd2"}, "secret"},
		{"a secret in the type", engine.Emission{Trigger: "hook", Data: 1, Type: "secretPassw0rd2"}, "secret"},
	} {
		d, err := rn.emission(c.o, masks)
		var e *plan.Error
		if errors.As(err, &e) && e.Code != c.code || err == nil && c.code != "" || err != nil && c.code == "" {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
		if err == nil && (d.Trigger != "hook" || d.Inlet != "emit" || d.Key != workflows.ShortKey(c.o.Key) ||
			(d.Identity == engine.ByKey) != (c.o.Key != "") || d.Type != "hook" || d.Dedupe != rn.reg.Snapshot().Triggers["hook"].Dedupe()) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
	if _, err := rn.emission(engine.Emission{Trigger: "hook", Data: "secretPassw0rd2"}, nil); err != nil {
		t.Errorf("without anything to mask: %v", err)
	}
}

// TestAChainOfEventsEnds: the tenth run of a chain emits, and the one after it does not.
func TestAChainOfEventsEnds(t *testing.T) {
	rn, a, _ := stored(t)
	chain, d := "", &engine.Delivery{}
	for n := 1; n <= 11; n++ {
		ev := &engine.Event{ID: engine.EventID(n), Delivery: engine.Delivery{Inlet: "emit",
			Headers: map[string]string{registry.ChainHeader: chain}}}
		ex := rn.newExecution(ev, &engine.Run{ID: engine.RunID(n), Workflow: "w"})
		out, err := ex.Emit(t.Context(), engine.Input{Key: string(rune('a' + n)), Path: "a"}, engine.Emission{Trigger: "hook", Data: n})
		var e *plan.Error
		if n <= 10 && err != nil || n == 11 && (!errors.As(err, &e) || e.Code != "chain_too_deep") {
			t.Fatalf("run %d of the chain: %v %v", n, out, err)
		}
		if n <= 10 {
			d = a.accepted[n-1]
			chain = d.Headers[registry.ChainHeader]
		}
	}
	if len(a.accepted) != 10 {
		t.Errorf("%d events", len(a.accepted))
	}
	// The same attempt again is the same event, which is not processed twice.
	ex := rn.newExecution(&engine.Event{ID: 1}, &engine.Run{ID: 1, Workflow: "w"})
	for range 2 {
		if out, err := ex.Emit(t.Context(), engine.Input{Key: "op", Path: "a"}, engine.Emission{Trigger: "hook", Data: 1}); err != nil {
			t.Errorf("%v %v", out, err)
		}
	}
	if len(a.accepted) != 11 {
		t.Errorf("an event that is emitted again is processed %d times", len(a.accepted)-10)
	}
}

// TestStoredValuesBelongToTheirScope: a workflow's are its own, and a project's are everybody's.
func TestStoredValuesBelongToTheirScope(t *testing.T) {
	rn, _, _ := stored(t)
	one, other := rn.newExecution(nil, &engine.Run{ID: 1, Workflow: "one"}), rn.newExecution(nil, &engine.Run{ID: 2, Workflow: "other"})
	set := func(ex *Execution, project bool, op, v string) (any, error) {
		return ex.ChangeValue(t.Context(), engine.Input{Key: op}, project, engine.ValueChange{Kind: engine.ValueSet,
			ValueRef: engine.ValueRef{Key: "k"}, Value: v})
	}
	if _, err := set(one, false, "1", `"own"`); err != nil || !one.wrote.Load() || other.wrote.Load() {
		t.Fatal(err)
	}
	if _, err := set(one, true, "2", `"shared"`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ex      *Execution
		project bool
		want    any
	}{{one, false, "own"}, {one, true, "shared"}, {other, false, nil}, {other, true, "shared"}} {
		if v, there, err := c.ex.Value(t.Context(), c.project, "k"); err != nil || v != c.want || there != (c.want != nil) {
			t.Errorf("%s, project %t: %v %t %v", c.ex.Run.Workflow, c.project, v, there, err)
		}
	}
	if _, err := rn.changeValue(engine.ValueChange{Kind: engine.ValueSet, ValueRef: engine.ValueRef{Key: "s"}, Value: `"secretPassw0rd2"`},
		func(s string) string { return strings.ReplaceAll(s, "secretPassw0rd2", "***") }); err == nil {
		t.Error("a secret is kept")
	}
}

// TestAPausedEndpointIsResumedByItsNameOrKey, over a restart too.
func TestAPausedEndpointIsResumedByItsNameOrKey(t *testing.T) {
	rn, _, s := stored(t)
	ex := rn.newExecution(&engine.Event{}, &engine.Run{ID: 7})
	gone := &plan.Error{Message: "answered 410 Gone", Status: 410}
	for _, raw := range []string{"https://a.example/x?t=1", "https://b.example/y"} {
		err := ex.gone(t.Context(), raw, plan.Due{}, gone)
		if err == nil || !strings.Contains(err.Error(), "hookloom destinations --resume "+rn.showEndpoint(raw)) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	for _, err := range []error{nil, errors.New("x"), &plan.Error{Status: 404}} {
		if got := ex.gone(t.Context(), "https://c.example", plan.Due{}, err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := ex.gone(t.Context(), "", plan.Due{}, gone); err != gone {
		t.Errorf("without an endpoint: %v", err)
	}
	next := New(rn.o)
	next.Start(t.Context())
	if err := next.Load(t.Context()); err != nil || len(next.Paused()) != 2 {
		t.Fatalf("the next process knows %+v, %v", next.Paused(), err)
	}
	for _, c := range []struct {
		name string
		want int
	}{{"https://none.example", 0}, {"https://a.example/x", 1}, {"https://a.example/x", 0}, {endpointKey("https://b.example/y"), 1}} {
		if n, err := next.Unpause(t.Context(), c.name); err != nil || n != c.want {
			t.Errorf("%s: %d resumed, %v; want %d", c.name, n, err, c.want)
		}
	}
	if list, err := s.Paused(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("still paused in the store: %+v %v", list, err)
	}
}

// TestAHeldConnectionIsReadyOnce: runs at work are signalled, and a second report changes nothing.
func TestAHeldConnectionIsReadyOnce(t *testing.T) {
	rn, _, _ := stored(t)
	ex := at(rn, 1)
	ex.permitReady = make(chan struct{}, 1)
	rn.takeSlot(ex)
	if n, err := rn.ConnectionReady(t.Context(), "crm"); n != 0 || err != nil || len(ex.permitReady) != 0 {
		t.Errorf("ready before it was held: %d %v, signalled %d", n, err, len(ex.permitReady))
	}
	rn.HoldConnection(t.Context(), "crm", "why")
	if v, held := rn.heldConnections.Load("crm"); !held || v != "why" {
		t.Errorf("%v %t", v, held)
	}
	for range 2 {
		if n, err := rn.ConnectionReady(t.Context(), "crm"); n != 0 || err != nil || len(ex.permitReady) != 1 {
			t.Errorf("%d %v, signalled %d", n, err, len(ex.permitReady))
		}
	}
	ex.noteHeld("crm")
	ex.noteHeld("erp")
	ex.noteHeld("crm")
	if !slices.Equal(ex.heldBy, []string{"crm", "erp"}) {
		t.Errorf("held by %q", ex.heldBy)
	}
}
