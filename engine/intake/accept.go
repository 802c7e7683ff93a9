package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/runner"
	"github.com/hookloom/hookloom/workflows/value"
)

// Accept stores a delivery: it becomes an event on disk, or is recognized as a duplicate. Once it
// returns without an error, the sender may be answered.
func (in *Intake) Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error) {
	id := engine.EventID(in.reg.NextID())
	in.reg.MarkUnsubscribed(d)
	in.reg.MaskEvent(d)
	if d.Key == "" {
		d.Key = id.String() // every manual start is a new event
	}
	if r, ok := in.acceptFast(ctx, id, d); ok {
		if r.Duplicate {
			in.Accepted(d, r)
		}
		return r, nil
	}
	var r engine.Receipt
	err := in.reg.Current(ctx, func() error {
		return in.store.UntilKnown(ctx, func(ctx context.Context) (err error) {
			in.reg.MarkUnsubscribed(d)
			r, err = in.store.Accept(ctx, id, d)
			return err
		})
	})
	if err != nil {
		return engine.Receipt{}, fmt.Errorf("storing the event: %w", err)
	}
	in.Accepted(d, r)
	return r, nil
}

// AcceptAll stores the events of one request, all or none.
func (in *Intake) AcceptAll(ctx context.Context, ds []*engine.Delivery) ([]engine.Receipt, error) {
	ids := make([]engine.EventID, len(ds))
	for i, d := range ds {
		ids[i] = engine.EventID(in.reg.NextID())
		in.reg.MaskEvent(d)
	}
	var out []engine.Receipt
	err := in.reg.Current(ctx, func() error {
		return in.store.UntilKnown(ctx, func(ctx context.Context) (err error) {
			for _, d := range ds {
				in.reg.MarkUnsubscribed(d)
			}
			out, err = in.store.AcceptAll(ctx, ids, ds)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("storing %d events: %w", len(ds), err)
	}
	for i, d := range ds {
		in.Accepted(d, out[i])
	}
	return out, nil
}

// Accepted continues after a delivery has been stored.
func (in *Intake) Accepted(d *engine.Delivery, r engine.Receipt) {
	if d.Inlet == "webhook" {
		in.alerts.AlertOver(engine.AlertSilence, d.Trigger)
	}
	if in.o.Watch != nil {
		in.o.Watch.Stored(d, r)
	}
	if p := in.reg.Snapshot(); r.Duplicate && p != nil && p.Polled[d.Trigger] {
		in.compareLater(d, r)
	}
	if r.Behind {
		in.mu.Lock()
		in.ordered.backlog = true // RunInbox reads it with the earlier events of its lane
		in.mu.Unlock()
	}
	if !r.Duplicate && !d.Unsubscribed && !r.Elsewhere {
		in.arrived(&engine.Event{ID: r.Event, Delivery: *d}, false)
	}
}

// compareLater compares the data of a repeated delivery with the event's, without delaying the answer
// to the sender. What is stored before Start is compared by Start.
func (in *Intake) compareLater(d *engine.Delivery, r engine.Receipt) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.stopping:
	case in.work != nil:
		in.goroutines.Go(func() { in.compareData(in.work, d, r) })
	case len(in.early) < maxEarly:
		in.early = append(in.early, repeat{d, r})
	}
}

// Arrived processes an event that was stored with the update of a run.
func (in *Intake) Arrived(ev *engine.Event) { in.arrived(ev, false) }

// arrived passes on a stored event while it is still in memory. If no slot is free to match it, or
// to execute the runs it would begin, it stays in the inbox, where RunInbox finds it: a backlog
// takes rows, not memory.
func (in *Intake) arrived(ev *engine.Event, fromInbox bool) {
	p := in.reg.Snapshot()
	in.mu.Lock()
	if p.Gated[ev.Trigger] && !in.stopping && in.work != nil {
		in.enqueueOrdered(ev, fromInbox)
		in.mu.Unlock()
		return
	}
	if in.stopping || in.room() == 0 || in.work == nil {
		first := !in.backlog.Swap(true)
		in.mu.Unlock()
		if first {
			in.signalInbox() // from now on RunInbox checks for free capacity
		}
		return
	}
	in.matching[ev.ID] = true
	in.goroutines.Add(1)
	in.mu.Unlock()
	if !in.store.TryShare(ev) {
		ev = ev.WithoutBody()
	}
	go in.matchAndExecute(ev)
}

// matchAndExecute matches an event as soon as memory for it is available, and executes one of its
// runs.
func (in *Intake) matchAndExecute(ev *engine.Event) {
	defer in.goroutines.Done()
	runner.GrowStack()
	id := ev.ID
	ev, err := in.store.AwaitShare(in.work, ev)
	if err != nil {
		in.putBack(id, err)
		return
	}
	going := in.match(ev)
	ev.Share.Release()
	if len(going) > 0 {
		in.runner.ExecuteAll(going[1:])
		in.runner.Execute(going[0]) // this goroutine's stack has already grown to the size that runs need
	}
}

// putBack leaves an event in the inbox if it could not be loaded again.
func (in *Intake) putBack(id engine.EventID, err error) {
	if err != nil && in.work.Err() == nil {
		in.o.Log.Warn("an event stays in the inbox", "event", id, "error", err)
	}
	in.mu.Lock()
	delete(in.matching, id)
	in.backlog.Store(true)
	in.mu.Unlock()
}

// Refuse stores a refused delivery. It never returns an error to the caller.
func (in *Intake) Refuse(r engine.Refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	in.alerts.Refused(r)
	in.reg.MaskRefusal(&r)
	if err := in.store.Refuse(ctx, r); err != nil {
		in.often.Warn(in.o.Log, "a refused delivery was not stored", "trigger", r.Trigger, "reason", r.Reason, "error", err)
	}
}

// Fire starts one workflow by hand. who and why are stored with the event.
func (in *Intake) Fire(ctx context.Context, workflow string, inputs map[string]any, who, why string) (engine.Receipt, error) {
	p := in.reg.Snapshot()
	if p == nil {
		return engine.Receipt{}, fmt.Errorf("no project is loaded")
	}
	w := p.Workflows[workflow]
	if w == nil {
		return engine.Receipt{}, fmt.Errorf("workflow %q: %w", workflow, engine.ErrNotFound)
	}
	if !p.Enabled(w) {
		return engine.Receipt{}, fmt.Errorf("workflow %s is not enabled", w.ID)
	}
	checked, err := manualInputs(w, inputs)
	if err == nil {
		if _, err = value.Fit(checked); err != nil {
			err = fmt.Errorf("%s: the inputs: %w: pass less data", w.ID, err)
		}
	}
	if err != nil {
		return engine.Receipt{}, err
	}
	now := time.Now().UTC()
	d := &engine.Delivery{Trigger: workflow, Inlet: "manual", Type: "manual", Time: now, ReceivedAt: now, Inputs: checked,
		Only: workflow, SecretInputs: w.SecretInputs(),
		Headers: map[string]string{"x-fired-by": who, "x-fired-why": why}}
	d.Hidden = registry.HiddenInputs(d.SecretInputs, checked, nil)
	return in.Accept(ctx, d)
}
