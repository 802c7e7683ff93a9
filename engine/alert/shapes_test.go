package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
)

const readsAmount = "on: hook\nwhen: event.data.amount > 1\nsteps: [{stop: x}]"

// recent is a history of events of one trigger, newest first.
type recent struct {
	events []*engine.Event
	err    error
	// visited are the events that were looked at, limit the last limit.
	visited, limit int
}

func (r *recent) visit(_ context.Context, _ string, limit int, visit func(*engine.Event) bool) error {
	r.limit = limit
	for _, ev := range r.events {
		r.visited++
		if !visit(ev) {
			break
		}
	}
	return r.err
}

// add puts n events with the same data before the others.
func (r *recent) add(n int, kind string, data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	for range n {
		r.events = append([]*engine.Event{{ID: engine.EventID(len(r.events) + 1), Delivery: engine.Delivery{Trigger: "hook",
			Inlet: "webhook", Type: kind, Raw: raw,
			ReceivedAt: began}}}, r.events...)
	}
}

// TestChangedEventsAreReportedUntilTheyAreAsBefore compares what alerts are open after each new batch of events.
func TestChangedEventsAreReportedUntilTheyAreAsBefore(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, readsAmount)
	h := &recent{}
	r.o.Recent = h.visit
	last := map[string]engine.EventID{}
	look := func() string {
		r.lookAtShapes(t.Context(), r.o.Registry.Snapshot(), "hook", last)
		r.sendPending()
		var out []string
		for _, a := range r.OpenAlerts() {
			out = append(out, a.Trigger+": "+a.Message)
		}
		slices.Sort(out)
		return strings.Join(out, "; ")
	}
	whole := map[string]any{"amount": 5, "note": "x"}
	h.add(50, "paid", whole)
	h.add(newerEvents-1, "paid", map[string]any{"note": "x"})
	if got := look(); got != "" || h.limit != comparedEvents {
		t.Errorf("before there are enough: %s", got)
	}
	h.add(1, "paid", map[string]any{"note": "x"})
	const gone = "hook: events paid of trigger hook have changed: event.data.amount is gone: none of the last 50 has it; it is read by w"
	if got := look(); got != gone {
		t.Errorf("%s, want %s", got, gone)
	}
	visited := h.visited
	if got := look(); got != gone || h.visited != visited+1 {
		t.Errorf("without a new event: %s, %d events are read", got, h.visited-visited)
	}
	h.add(3, "paid", map[string]any{"note": "x", "amount": strings.Repeat("9", maxShapeBody)})
	h.add(1, "paid", nil)
	h.events[0].Raw = []byte("{")
	if got := look(); got != gone {
		t.Errorf("with events that are too large or have no data: %s", got)
	}
	h.add(1, "paid", map[string]any{"note": "x"})
	h.err = errors.New("down")
	if got := look(); got != gone || last["hook"] == h.events[0].ID {
		t.Errorf("with a history that fails: %s", got)
	}
	h.err = nil
	h.add(newerEvents, "paid", whole)
	if got := look(); got != "" {
		t.Errorf("as before: %s", got)
	}
	h.add(newerEvents, "paid", map[string]any{"amount": 5})
	if got := look(); !strings.HasSuffix(got, "event.data.note is gone: none of the last 50 has it; no expression reads it") {
		t.Errorf("of a field that nothing reads: %s", got)
	}
	if len(r.alerted) != 2 || fmt.Sprint(r.alerted[0].Data["touches"]) !=
		"[map[expression:event.data.amount > 1 workflow:w]]" ||
		fmt.Sprintf("%v %v %v", r.alerted[0].Data["path"], r.alerted[0].Data["of"],
			r.alerted[0].Data["event_type"]) != "event.data.amount 50 paid" {
		t.Errorf("%+v", r.alerted)
	}
}

// TestComparedEventsAreLimited checks the number of types and of changes, and that an ended check reports nothing.
func TestComparedEventsAreLimited(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, readsAmount)
	fields := map[string]any{}
	for i := range maxChanges + 1 {
		fields[fmt.Sprintf("f%02d", i)] = 1
	}
	h := &recent{}
	h.add(50, "last", fields)
	h.add(newerEvents, "last", map[string]any{})
	for i := range maxShapes - 1 {
		h.add(1, fmt.Sprint("other", i), 1)
	}
	r.o.Recent = h.visit
	look := func(ctx context.Context) int {
		r.lookAtShapes(ctx, r.o.Registry.Snapshot(), "hook", map[string]engine.EventID{})
		r.sendPending()
		return len(r.OpenAlerts())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	h.visited = 0
	if n := look(ended); n != 0 || h.visited != 1 {
		t.Errorf("a check that was ended: %d alerts of %d events", n, h.visited)
	}
	if n := look(t.Context()); n != maxChanges {
		t.Errorf("%d changes are reported, want %d", n, maxChanges)
	}
	r = newTestMonitor(t, readsAmount)
	r.o.Recent = h.visit
	h.add(1, "one more", 1)
	if n := look(t.Context()); n != 0 {
		t.Errorf("of one type more: %d", n)
	}
}

// TestExpressionsAboutAPathAreFound checks which expressions read a path or what is inside of it.
func TestExpressionsAboutAPathAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"event.data.items": true, "event?.data?.items": true, "event.data.items.x": true,
		"event.data.items2":  false,
		"event.data.items_x": false, "size(event.data.items)": true, "event.data.item": false, "eventXdata.items": false} {
		if got := readers("event.data.items[].price").MatchString(text); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// TestEventsAreComparedAtIntervals runs the loop, with and without a history.
func TestEventsAreComparedAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestMonitor(t, readsAmount)
		r.RunShapes(t.Context()) // without a history it returns
		h := &recent{}
		h.add(1, "paid", 1)
		r.o.Recent, r.o.ShapesEvery = h.visit, time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Second)
		defer cancel()
		began := time.Now()
		r.RunShapes(ctx)
		if h.visited != 2 || time.Since(began) != 2*time.Minute+time.Second {
			t.Errorf("%d looks in %s", h.visited, time.Since(began))
		}
		h.visited = 0
		reg := registry.New(registry.Options{Store: r.store, Redactor: &redact.Redactor{}, Log: slog.New(slog.DiscardHandler)})
		empty := New(Options{Store: r.store, Registry: reg, Recent: h.visit, ShapesEvery: time.Minute})
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Minute+time.Second)
		defer cancel()
		if empty.RunShapes(ctx); h.visited != 0 {
			t.Errorf("without a project: %d looks", h.visited)
		}
		if m := New(Options{}); m.o.Every != 15*time.Second || m.o.ShapesEvery != 10*time.Minute {
			t.Errorf("every %s and %s", m.o.Every, m.o.ShapesEvery)
		}
	})
}
