package intake

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// Poll stores what a poll found. It returns how many events are new.
func (in *Intake) Poll(ctx context.Context, b *engine.PollBatch) (fresh int, err error) {
	ids := make([]engine.EventID, len(b.Items))
	for i, d := range b.Items {
		ids[i] = engine.EventID(in.reg.NextID())
		in.reg.MaskEvent(d)
	}
	var receipts []engine.Receipt
	err = in.reg.Current(ctx, func() error {
		return in.store.UntilKnown(ctx, func(ctx context.Context) (err error) {
			for _, d := range b.Items {
				in.reg.MarkUnsubscribed(d)
			}
			receipts, err = in.store.Poll(ctx, ids, b)
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("storing what the poll of %s found: %w", b.Trigger, err)
	}
	var missed []any
	for i, r := range receipts {
		in.compareData(ctx, b.Items[i], r)
		if r.Event != 0 && !r.Duplicate {
			fresh++
			in.Accepted(b.Items[i], r)
			if b.Items[i].Recovered {
				missed = append(missed, r.Event.String())
			}
		}
	}
	if in.o.Watch != nil && b.Cost.Outcome != "" {
		in.o.Watch.Polled(b, fresh)
	}
	if o := b.Cost.Outcome; o == "ok" || o == "unchanged" {
		in.alerts.AlertOver(engine.AlertPollFailing, b.Trigger)
		if len(missed) == 0 {
			in.alerts.AlertOver(engine.AlertWebhookMissed, b.Trigger)
		}
	}
	if len(missed) > 0 {
		in.alerts.Alert(ctx, engine.Alert{Kind: engine.AlertWebhookMissed, Trigger: b.Trigger,
			Message: fmt.Sprintf("the webhook of trigger %s missed %d events; polling found them, and they run now", b.Trigger, len(missed)),
			Data:    map[string]any{"count": len(missed), "events": missed[:min(len(missed), 20)]}})
	}
	return fresh, nil
}

// Fired stores a planned time of a schedule as an event, once, together with the progress of the
// schedule.
func (in *Intake) Fired(ctx context.Context, f engine.Firing) error {
	b := &engine.PollBatch{Trigger: f.Trigger, Inlet: f.Inlet,
		State: engine.InletState{Cursor: f.Timetable, Rest: f.SetBack, AskedAt: f.Planned, OKAt: f.Planned}}
	if f.Delivery != nil {
		b.Items = []*engine.Delivery{f.Delivery}
	}
	_, err := in.Poll(ctx, b)
	return err
}

// compareData records how the data of a later delivery, by another inlet, differs from the event's
// data: rules would have seen different data if that delivery had come first.
func (in *Intake) compareData(ctx context.Context, d *engine.Delivery, r engine.Receipt) {
	if r.Event == 0 || !r.Duplicate || d.Partial {
		return
	}
	first, err := in.store.Event(ctx, r.Event)
	if err != nil || first.Inlet == d.Inlet || first.Stripped {
		return // pruned meanwhile, or the same inlet: nothing to compare
	}
	later := &engine.Event{ID: r.Event, Delivery: *d}
	if n := first.MemorySize() + later.MemorySize(); n > 0 {
		if in.store.Decoded.Take(ctx, n) != nil {
			return // the server stops
		}
		defer in.store.Decoded.Give(n)
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
	if err := in.store.SaveDifference(ctx, r.Event, d.Inlet, diff); err != nil && ctx.Err() == nil {
		in.o.Log.Warn("the difference between two deliveries of an event was not stored", "event", r.Event, "error", err)
	}
}
