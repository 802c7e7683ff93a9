package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/value"
)

// InletState is how far a poll or a schedule has come.
type InletState struct {
	// Cursor is JSON, nil before the first poll.
	Cursor json.RawMessage
	// Rest is what a poll remembers beside it, as JSON: where it stopped in a list that
	// goes on. Nil when there is nothing.
	Rest           json.RawMessage
	ETag, Modified string
	// AskedAt is when it was asked last, or the last planned time of a schedule; zero
	// when never. OKAt is when it last answered.
	AskedAt, OKAt time.Time
	// Failures counts those in a row since.
	Failures int
	Error    string
	// RetryAt is when the service wants to be asked again; zero when it did not say.
	RetryAt time.Time
	// Timetable is the cron or interval by which a poll was asked last; empty where
	// that was not noted. An edit changes it.
	Timetable string
}

// PollBatch is what one poll found, to be stored in one transaction with how far
// it has come.
type PollBatch struct {
	Trigger, Inlet string
	State          InletState
	// Items are those found, new or not, in the order of the answer.
	Items []*Delivery
	// Remember makes them known without an event: the first poll of a trigger.
	// Observe only notes them, to measure the webhook.
	Remember, Observe bool
	// New are the keys of items that came while the first poll was under way: they are
	// events though Remember is set.
	New  map[string]bool
	Cost PollCost
}

// PollCost is what a poll cost.
type PollCost struct {
	Requests int
	// Bytes were received.
	Bytes int64
	// Outcome is ok, unchanged or failed.
	Outcome string
	Took    time.Duration
	// Quota is what the provider's headers say is left, such as 4870/5000.
	Quota string
}

// Poll stores what a poll found. It gives how many events are new.
func (e *Engine) Poll(ctx context.Context, b *PollBatch) (fresh int, err error) {
	ids := make([]EventID, len(b.Items))
	for i, d := range b.Items {
		ids[i] = EventID(e.ids.Next())
		e.markUnsubscribed(d)
		e.maskEvent(d)
	}
	receipts, err := e.o.Store.Poll(ctx, ids, b)
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
		e.AlertOver(AlertPollFailing, b.Trigger)
		if len(missed) == 0 {
			e.AlertOver(AlertWebhookMissed, b.Trigger)
		}
	}
	if len(missed) > 0 {
		e.Alert(ctx, Alert{Kind: AlertWebhookMissed, Trigger: b.Trigger,
			Message: fmt.Sprintf("the webhook of trigger %s missed %d events; polling found them, and they run now", b.Trigger, len(missed)),
			Data:    map[string]any{"count": len(missed), "events": missed[:min(len(missed), 20)]}})
	}
	return fresh, nil
}

// InletState gives how far a poll or a schedule has come.
func (e *Engine) InletState(ctx context.Context, trigger, inlet string) (InletState, error) {
	return e.o.Store.InletState(ctx, trigger, inlet)
}

// Known tells which keys of a trigger a poll would not take for new.
func (e *Engine) Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error) {
	return e.o.Store.Known(ctx, trigger, keys)
}

// Firing is one planned time of a schedule.
type Firing struct {
	Trigger, Inlet string
	Planned        time.Time
	// Timetable is the text of the schedule's times as JSON; an edit changes it.
	Timetable json.RawMessage
	// SetBack is what the schedule remembers of a clock that was set back, as JSON.
	SetBack json.RawMessage
	// Delivery is the event of that time; nil only notes how far the schedule has come.
	Delivery *Delivery
}

// Fired stores a planned time of a schedule as an event, once, and how far the
// schedule has come.
func (e *Engine) Fired(ctx context.Context, f Firing) error {
	b := &PollBatch{Trigger: f.Trigger, Inlet: f.Inlet,
		State: InletState{Cursor: f.Timetable, Rest: f.SetBack, AskedAt: f.Planned, OKAt: f.Planned}}
	if f.Delivery != nil {
		b.Items = []*Delivery{f.Delivery}
	}
	_, err := e.Poll(ctx, b)
	return err
}

// maxDifferences bounds what is kept of how two deliveries differ.
const maxDifferences = 50

// compareData keeps where the data of a later delivery by another inlet differs from
// the event's: then rules would have seen another thing, had it come first.
func (e *Engine) compareData(ctx context.Context, d *Delivery, r Receipt) {
	if r.Event == 0 || !r.Duplicate || d.Partial {
		return
	}
	first, err := e.o.Store.Event(ctx, r.Event)
	if err != nil || first.Inlet == d.Inlet || first.Stripped {
		return // pruned meanwhile, or the same inlet: nothing to compare
	}
	later := &Event{ID: r.Event, Delivery: *d}
	if n := first.size() + later.size(); n > 0 {
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
	differences("", a["data"], b["data"], diff)
	if err := e.o.Store.Differ(ctx, r.Event, d.Inlet, diff); err != nil && ctx.Err() == nil {
		e.o.Log.Warn("how two deliveries of an event differ was not kept", "event", r.Event, "error", err)
	}
}

// differences collects the paths at which two values differ, with both.
func differences(path string, a, b any, into map[string]any) {
	if len(into) >= maxDifferences {
		return
	}
	x, ok := a.(map[string]any)
	y, too := b.(map[string]any)
	if ok && too {
		for _, k := range slices.Sorted(maps.Keys(x)) {
			differences(strings.TrimPrefix(path+"."+k, "."), x[k], y[k], into)
		}
		for _, k := range slices.Sorted(maps.Keys(y)) {
			if _, there := x[k]; !there {
				differences(strings.TrimPrefix(path+"."+k, "."), nil, y[k], into)
			}
		}
		return
	}
	if reflect.DeepEqual(a, b) {
		return
	}
	if path == "" {
		path = "data"
	}
	into[path] = []any{value.Cut(a), value.Cut(b)}
}
