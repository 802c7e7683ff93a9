package machine

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/value"
)

// Accept stores a delivery: it becomes an event on disk, or is found to be
// known. When it returns without an error the sender may be answered.
func (e *Engine) Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error) {
	id := engine.EventID(e.reg.NextID())
	e.reg.MarkUnsubscribed(d)
	e.reg.MaskEvent(d)
	if d.Key == "" {
		d.Key = id.String() // a manual start is an event of its own
	}
	if r, ok := e.acceptFast(ctx, id, d); ok {
		if r.Duplicate {
			e.accepted(d, r)
		}
		return r, nil
	}
	var r engine.Receipt
	err := e.untilKnown(ctx, func(ctx context.Context) (err error) {
		r, err = e.o.Store.Accept(ctx, id, d)
		return err
	})
	if err != nil {
		return engine.Receipt{}, fmt.Errorf("storing the event: %w", err)
	}
	e.accepted(d, r)
	return r, nil
}

// AcceptAll stores the events of one request, all or none.
func (e *Engine) AcceptAll(ctx context.Context, ds []*engine.Delivery) ([]engine.Receipt, error) {
	ids := make([]engine.EventID, len(ds))
	for i, d := range ds {
		ids[i] = engine.EventID(e.reg.NextID())
		e.reg.MarkUnsubscribed(d)
		e.reg.MaskEvent(d)
	}
	var out []engine.Receipt
	err := e.untilKnown(ctx, func(ctx context.Context) (err error) {
		out, err = e.o.Store.AcceptAll(ctx, ids, ds)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("storing %d events: %w", len(ds), err)
	}
	for i, d := range ds {
		e.accepted(d, out[i])
	}
	return out, nil
}

func (e *Engine) accepted(d *engine.Delivery, r engine.Receipt) {
	if d.Inlet == "webhook" {
		e.AlertOver(engine.AlertSilence, d.Trigger)
	}
	if e.o.Watch != nil {
		e.o.Watch.Stored(d, r)
	}
	if p := e.reg.Snapshot(); r.Duplicate && p != nil && p.Polled[d.Trigger] {
		e.mu.Lock()
		going := !e.stopping && e.work != nil
		if going {
			e.goroutines.Add(1)
		}
		e.mu.Unlock()
		if going { // the sender is not kept waiting for it
			go func() {
				defer e.goroutines.Done()
				e.compareData(e.work, d, r)
			}()
		}
	}
	if !r.Duplicate && !d.Unsubscribed {
		e.arrived(&engine.Event{ID: r.Event, Delivery: *d}, false)
	}
}

// arrived hands a stored event on while it is in memory. When nobody is free to match
// it, or to work on what it would begin, it stays in the inbox, where the dispatcher
// finds it: the backlog costs rows.
func (e *Engine) arrived(ev *engine.Event, fromInbox bool) {
	p := e.reg.Snapshot()
	e.mu.Lock()
	if p.Gated[ev.Trigger] && !e.stopping && e.work != nil {
		e.enqueueOrdered(ev, fromInbox)
		e.mu.Unlock()
		return
	}
	if e.stopping || e.room() == 0 || e.work == nil {
		first := !e.backlog
		e.backlog = true
		e.mu.Unlock()
		if first {
			e.poke() // from now on the dispatcher looks whether there is room
		}
		return
	}
	e.matching[ev.ID] = true
	e.goroutines.Add(1)
	e.mu.Unlock()
	if !e.tryShare(ev) {
		ev = ev.WithoutBody()
	}
	go e.matchAndDrive(ev)
}

// matchAndDrive matches an event, as soon as there is memory for it, and works on a run
// of it.
func (e *Engine) matchAndDrive(ev *engine.Event) {
	defer e.goroutines.Done()
	growStack()
	id := ev.ID
	ev, err := e.awaitShare(e.work, ev)
	if err != nil {
		e.putBack(id, err)
		return
	}
	going := e.match(ev)
	ev.Share.Release()
	if len(going) > 0 {
		e.executeAll(going[1:])
		e.execute(going[0]) // this goroutine's stack has grown to what work needs
	}
}

// putBack leaves an event in the inbox that could not be loaded again.
func (e *Engine) putBack(id engine.EventID, err error) {
	if e.work.Err() == nil {
		e.o.Log.Warn("an event stays in the inbox", "event", id, "error", err)
	}
	e.mu.Lock()
	delete(e.matching, id)
	e.backlog = true
	e.mu.Unlock()
}

// Refuse keeps a refused delivery. It never fails the caller.
func (e *Engine) Refuse(r engine.Refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	e.noteRefusal(r)
	e.reg.MaskRefusal(&r)
	if err := e.o.Store.Refuse(ctx, r); err != nil {
		e.o.Log.Warn("a refused delivery was not kept", "trigger", r.Trigger, "reason", r.Reason, "error", err)
	}
}

// Fire starts one workflow by hand. who and why are kept with the event.
func (e *Engine) Fire(ctx context.Context, workflow string, inputs map[string]any, who, why string) (engine.Receipt, error) {
	p := e.reg.Snapshot()
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
			err = fmt.Errorf("%s: the inputs: %w: hand over less", w.ID, err)
		}
	}
	if err != nil {
		return engine.Receipt{}, err
	}
	now := time.Now().UTC()
	d := &engine.Delivery{Trigger: workflow, Inlet: "manual", Type: "manual", Time: now, ReceivedAt: now, Inputs: checked,
		Only: workflow, SecretInputs: w.SecretInputs(),
		Headers: map[string]string{"x-fired-by": who, "x-fired-why": why}}
	d.Hidden = hiddenInputs(d.SecretInputs, checked, nil)
	return e.Accept(ctx, d)
}
