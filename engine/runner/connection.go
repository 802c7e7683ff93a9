package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// HoldConnection makes the steps of a connection wait until ConnectionReady, and reports the
// reason once.
func (rn *Runner) HoldConnection(ctx context.Context, name, why string) {
	rn.heldConnections.Store(name, why)
	rn.alerts.Alert(ctx, engine.Alert{Kind: engine.AlertConnectionHeld, Subject: name, Message: why, Data: map[string]any{"connection": name}})
}

// ConnectionReady resumes the steps of a connection. It returns how many runs waited.
func (rn *Runner) ConnectionReady(ctx context.Context, name string) (int, error) {
	if err := rn.store.OrderNodes(ctx, engine.NodeOrder{Kind: engine.OrderReady, Subject: name}); err != nil {
		rn.o.Log.Warn("the other nodes were not notified that a connection is ready", "connection", name, "error", err)
	}
	return rn.ready(ctx, name)
}

// ready is ConnectionReady at this node.
func (rn *Runner) ready(ctx context.Context, name string) (int, error) {
	_, held := rn.heldConnections.LoadAndDelete(name)
	rn.alerts.AlertOver(engine.AlertConnectionHeld, name)
	if !held {
		return 0, nil
	}
	rn.mu.Lock()
	for _, ex := range rn.atWork {
		if ex.permitReady != nil {
			select {
			case ex.permitReady <- struct{}{}: // it checks whether this connection held it
			default: // it is already signalled
			}
		}
	}
	rn.mu.Unlock()
	return rn.resumeHeld(ctx, name)
}

// resumeHeld makes runs due that are stored as waiting for a connection.
func (rn *Runner) resumeHeld(ctx context.Context, name string) (int, error) {
	n, err := rn.store.ResumeHeld(ctx, engine.HeldDestination(name), time.Now())
	if err != nil {
		return 0, fmt.Errorf("connection %s: %w", name, err)
	}
	if n > 0 {
		rn.DueAt(time.Now())
	}
	return n, nil
}

// noteHeld notes that an attempt waits for a connection.
func (ex *Execution) noteHeld(name string) {
	if !slices.Contains(ex.heldBy, name) {
		ex.heldBy = append(ex.heldBy, name)
	}
	ex.watchPermit()
}

// resumeReady resumes a run that was suspended for a connection that became ready while the run
// was being stored: ConnectionReady did not find it waiting.
func (rn *Runner) resumeReady(ex *Execution) {
	for _, name := range ex.heldBy {
		if _, held := rn.heldConnections.Load(name); held {
			continue
		}
		if _, err := rn.resumeHeld(rn.work, name); err != nil && rn.work.Err() == nil {
			rn.o.Log.Error("cannot resume the runs that wait for a connection yet", "connection", name, "error", err)
		}
	}
}

// heldConnection returns the connection of an attempt that needs a person, and why; an empty name
// if nothing holds it.
func (ex *Execution) heldConnection(a engine.Action, d plan.Due) (why, name string) {
	c, ok := a.(engine.Connected)
	if !ok {
		return "", ""
	}
	if name = c.Connection(ex.input(d)); name == "" {
		return "", ""
	}
	v, held := ex.rn.heldConnections.Load(name)
	if !held {
		return "", ""
	}
	return v.(string), name
}

// heldAttempt is the record of an attempt whose connection needs a person. The attempt was not
// made, and waits.
func (ex *Execution) heldAttempt(r *plan.Record, d plan.Due, held *engine.HeldError) *plan.Record {
	r.Status, r.FinishedAt, r.Output, r.Error, r.Input = plan.Waiting, time.Time{}, nil, nil, d.Shown
	r.Destination = engine.HeldDestination(held.Connection)
	r.Waits = []plan.Wait{{Kind: plan.WaitDestination, Destination: ex.Masker().Text(held.Why)}}
	return r
}
