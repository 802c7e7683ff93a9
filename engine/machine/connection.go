package machine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// HoldConnection has the steps of a connection wait until ConnectionReady, and tells
// people once why.
func (e *Engine) HoldConnection(ctx context.Context, name, why string) {
	e.heldConnections.Store(name, why)
	e.Alert(ctx, engine.Alert{Kind: engine.AlertConnectionHeld, Subject: name, Message: why, Data: map[string]any{"connection": name}})
}

// ConnectionReady lets the steps of a connection go on. It returns how many runs waited.
func (e *Engine) ConnectionReady(ctx context.Context, name string) (int, error) {
	_, held := e.heldConnections.LoadAndDelete(name)
	e.AlertOver(engine.AlertConnectionHeld, name)
	if !held {
		return 0, nil
	}
	e.mu.Lock()
	for _, ex := range e.atWork {
		if ex.turn != nil {
			select {
			case ex.turn <- struct{}{}: // it looks whether it was held by this connection
			default: // it has been called
			}
		}
	}
	e.mu.Unlock()
	return e.resumeHeld(ctx, name)
}

// resumeHeld makes the runs due that wait on record for a connection.
func (e *Engine) resumeHeld(ctx context.Context, name string) (int, error) {
	n, err := e.o.Store.ResumeHeld(ctx, engine.HeldDestination(name), time.Now())
	if err != nil {
		return 0, fmt.Errorf("connection %s: %w", name, err)
	}
	if n > 0 {
		e.dueAt(time.Now())
	}
	return n, nil
}

// noteHeld notes that an attempt waits for a connection.
func (ex *execution) noteHeld(name string) {
	if !slices.Contains(ex.heldBy, name) {
		ex.heldBy = append(ex.heldBy, name)
	}
	ex.watchPermit()
}

// resumeReady lets a run go on that was put down for a connection which has become ready
// while the run was being recorded: ConnectionReady did not find it waiting.
func (e *Engine) resumeReady(ex *execution) {
	for _, name := range ex.heldBy {
		if _, held := e.heldConnections.Load(name); held {
			continue
		}
		if _, err := e.resumeHeld(e.work, name); err != nil && e.work.Err() == nil {
			e.o.Log.Error("runs that wait for a connection cannot be resumed yet", "connection", name, "error", err)
		}
	}
}

// heldConnection gives the connection of an attempt that only a person can mend, and why;
// an empty name when nothing holds it.
func (ex *execution) heldConnection(a engine.Action, d plan.Due) (why, name string) {
	c, ok := a.(engine.Connected)
	if !ok {
		return "", ""
	}
	if name = c.Connection(ex.input(d)); name == "" {
		return "", ""
	}
	v, held := ex.e.heldConnections.Load(name)
	if !held {
		return "", ""
	}
	return v.(string), name
}

// heldAttempt is the record of an attempt that found that its connection needs a person.
// It was not made, and waits.
func (ex *execution) heldAttempt(r *plan.Record, d plan.Due, held *engine.HeldError) *plan.Record {
	r.Status, r.FinishedAt, r.Output, r.Error, r.Input = plan.Waiting, time.Time{}, nil, nil, d.Shown
	r.Destination = engine.HeldDestination(held.Connection)
	r.Waits = []plan.Wait{{Kind: plan.WaitDestination, Destination: ex.Masker().Text(held.Why)}}
	return r
}
