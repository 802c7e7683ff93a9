package machine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
)

// seen keeps what a Watch is told of deliveries and polls.
type seen struct {
	mu   sync.Mutex
	list []string
}

func (c *seen) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

// next returns what was told since it was last called.
func (c *seen) next() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

func (c *seen) Stored(d *engine.Delivery, r engine.Receipt) {
	c.note("%s %s %t", d.Inlet, d.Key, r.Duplicate)
}
func (c *seen) Polled(b *engine.PollBatch, fresh int) { c.note("polled %s %d", b.Cost.Outcome, fresh) }
func (c *seen) Changed(engine.Change)                 {}
func (c *seen) Alerted(engine.Alert)                  {}
func (c *seen) Traces() bool                          { return false }

// polled is what a poll found.
func polled(outcome string, items ...*engine.Delivery) *engine.PollBatch {
	for _, d := range items {
		d.Inlet = "poll"
	}
	return &engine.PollBatch{Trigger: "hook", Inlet: "reconcile", Items: items, Cost: engine.PollCost{Outcome: outcome}}
}

// openAlerts waits until exactly these kinds of alerts are open.
func openAlerts(t *testing.T, e *machine.Engine, kinds ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got = nil
		for _, a := range e.OpenAlerts() {
			got = append(got, a.Kind)
		}
		if slices.Sort(got); slices.Equal(got, kinds) {
			return
		}
	}
	t.Fatalf("open alerts: %q, want %q", got, kinds)
}

// TestEachDeliveryAndPollIsCountedOnce, repeated deliveries as such. A schedule is no poll.
func TestEachDeliveryAndPollIsCountedOnce(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}]"})
	told := &seen{}
	w.options.Watch = told
	e, s, count, stop := w.warm(t)
	onFastPath(t, e, count)
	told.next()
	ctx := context.Background()
	accept := func(ds ...*engine.Delivery) func() error {
		return func() error {
			if len(ds) == 1 {
				_, err := e.Accept(ctx, ds[0])
				return err
			}
			_, err := e.AcceptAll(ctx, ds)
			return err
		}
	}
	poll := func(fresh int, b *engine.PollBatch) func() error {
		return func() error {
			n, err := e.Poll(ctx, b)
			if n != fresh {
				t.Errorf("%d items are new, want %d", n, fresh)
			}
			return err
		}
	}
	now := time.Now().UTC()
	for i, c := range []struct {
		do   func() error
		want []string
	}{
		{accept(delivery("a", `{}`)), []string{"webhook a false"}},
		{accept(delivery("a", `{}`)), []string{"webhook a true"}},
		{accept(delivery("b", `{}`), delivery("a", `{}`)), []string{"webhook b false", "webhook a true"}},
		{poll(1, polled("ok", delivery("a", `{}`), delivery("c", `{}`))), []string{"poll c false", "polled ok 1"}},
		{poll(0, polled("unchanged")), []string{"polled unchanged 0"}}, {poll(0, polled("failed")), []string{"polled failed 0"}},
		{func() error {
			return e.Fired(ctx, engine.Firing{Trigger: "hook", Inlet: "schedule", Planned: now, Timetable: []byte("x"),
				Delivery: delivery("d", `{}`)})
		}, []string{"webhook d false"}},
		{func() error { return e.Fired(ctx, engine.Firing{Trigger: "hook", Inlet: "schedule", Planned: now}) }, nil},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if got := told.next(); !slices.Equal(got, c.want) {
			t.Errorf("%d: told %q, want %q", i, got, c.want)
		}
		settled(t, s, 1)
	}
	if count.short.Load() < 2 {
		t.Errorf("%d went the short way", count.short.Load())
	}
	stop()
}

// TestAPollEndsAlertsOfItsTrigger when it has worked; a webhook that has missed events is told of until a poll
// finds none.
func TestAPollEndsAlertsOfItsTrigger(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}]"})
	e, _, stop := w.start(nil)
	ctx := context.Background()
	poll := func(b *engine.PollBatch) {
		t.Helper()
		if _, err := e.Poll(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	for _, outcome := range []string{"ok", "unchanged"} {
		e.Alert(ctx, engine.Alert{Kind: engine.AlertPollFailing, Trigger: "hook", Message: "no answer"})
		openAlerts(t, e, engine.AlertPollFailing)
		missed := delivery("missed "+outcome, `{}`)
		missed.Recovered = true
		poll(polled("failed", missed))
		openAlerts(t, e, engine.AlertPollFailing, engine.AlertWebhookMissed)
		again := delivery("again "+outcome, `{}`)
		again.Recovered = true
		poll(polled(outcome, again))
		openAlerts(t, e, engine.AlertWebhookMissed)
		poll(polled(outcome, delivery("found "+outcome, `{}`)))
		openAlerts(t, e)
	}
	e.Alert(ctx, engine.Alert{Kind: engine.AlertSilence, Trigger: "hook", Message: "quiet"})
	openAlerts(t, e, engine.AlertSilence)
	poll(polled("ok", delivery("by a poll", `{}`)))
	if _, err := e.Accept(ctx, delivery("by its webhook", `{}`)); err != nil {
		t.Fatal(err)
	}
	openAlerts(t, e)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
