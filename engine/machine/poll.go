package machine

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// Poll stores what a poll found. It gives how many events are new.
func (e *Engine) Poll(ctx context.Context, b *engine.PollBatch) (fresh int, err error) {
	ids := make([]engine.EventID, len(b.Items))
	for i, d := range b.Items {
		ids[i] = engine.EventID(e.reg.NextID())
		e.reg.MarkUnsubscribed(d)
		e.reg.MaskEvent(d)
	}
	var receipts []engine.Receipt
	err = e.untilKnown(ctx, func(ctx context.Context) (err error) {
		receipts, err = e.o.Store.Poll(ctx, ids, b)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("storing what the poll of %s found: %w", b.Trigger, err)
	}
	var missed []any
	for i, r := range receipts {
		e.compareData(ctx, b.Items[i], r)
		if r.Event != 0 && !r.Duplicate {
			fresh++
			e.accepted(b.Items[i], r)
			if b.Items[i].Recovered {
				missed = append(missed, r.Event.String())
			}
		}
	}
	if e.o.Watch != nil && b.Cost.Outcome != "" {
		e.o.Watch.Polled(b, fresh)
	}
	if o := b.Cost.Outcome; o == "ok" || o == "unchanged" {
		e.AlertOver(engine.AlertPollFailing, b.Trigger)
		if len(missed) == 0 {
			e.AlertOver(engine.AlertWebhookMissed, b.Trigger)
		}
	}
	if len(missed) > 0 {
		e.Alert(ctx, engine.Alert{Kind: engine.AlertWebhookMissed, Trigger: b.Trigger,
			Message: fmt.Sprintf("the webhook of trigger %s missed %d events; polling found them, and they run now", b.Trigger, len(missed)),
			Data:    map[string]any{"count": len(missed), "events": missed[:min(len(missed), 20)]}})
	}
	return fresh, nil
}

// InletState gives how far a poll or a schedule has come.
func (e *Engine) InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error) {
	return e.o.Store.InletState(ctx, trigger, inlet)
}

// Known tells which keys of a trigger a poll would not take for new.
func (e *Engine) Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error) {
	return e.o.Store.Known(ctx, trigger, keys)
}

// Fired stores a planned time of a schedule as an event, once, and how far the
// schedule has come.
func (e *Engine) Fired(ctx context.Context, f engine.Firing) error {
	b := &engine.PollBatch{Trigger: f.Trigger, Inlet: f.Inlet,
		State: engine.InletState{Cursor: f.Timetable, Rest: f.SetBack, AskedAt: f.Planned, OKAt: f.Planned}}
	if f.Delivery != nil {
		b.Items = []*engine.Delivery{f.Delivery}
	}
	_, err := e.Poll(ctx, b)
	return err
}

// compareData keeps where the data of a later delivery by another inlet differs from
// the event's: then rules would have seen another thing, had it come first.
func (e *Engine) compareData(ctx context.Context, d *engine.Delivery, r engine.Receipt) {
	if r.Event == 0 || !r.Duplicate || d.Partial {
		return
	}
	first, err := e.o.Store.Event(ctx, r.Event)
	if err != nil || first.Inlet == d.Inlet || first.Stripped {
		return // pruned meanwhile, or the same inlet: nothing to compare
	}
	later := &engine.Event{ID: r.Event, Delivery: *d}
	if n := first.MemorySize() + later.MemorySize(); n > 0 {
		if e.decoded.Take(ctx, n) != nil {
			return // the server stops
		}
		defer e.decoded.Give(n)
	}
	a, err := first.Names()
	if err != nil {
		return
	}
	b, err := later.Names()
	if err != nil {
		return
	}
	diff := map[string]any{}
	engine.Differences("", a["data"], b["data"], diff)
	if err := e.o.Store.SaveDifference(ctx, r.Event, d.Inlet, diff); err != nil && ctx.Err() == nil {
		e.o.Log.Warn("how two deliveries of an event differ was not kept", "event", r.Event, "error", err)
	}
}
