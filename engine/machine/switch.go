package machine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
)

// parked puts a queued run aside whose workflow is switched off. It tells whether it
// did; a run that has begun goes on.
func (e *Engine) parked(ctx context.Context, id engine.RunID) (bool, error) {
	p := e.reg.Snapshot()
	if len(p.Resting) == 0 {
		return false, nil
	}
	r, err := e.o.Store.Run(ctx, id)
	if e.rowsFault(err) {
		return false, nil // who takes it up says what is wrong with it
	}
	if err != nil || r.Status != engine.Queued || !r.StartedAt.IsZero() || !p.Resting[r.Workflow] {
		return false, err
	}
	if err := e.store(func() error { return e.o.Store.Park(ctx, id) }); err != nil {
		return false, err
	}
	// A switch that came meanwhile has not seen it.
	if !e.reg.Snapshot().Resting[r.Workflow] {
		return true, e.unpark(ctx, r.Workflow)
	}
	return true, nil
}

// unpark lets the runs of workflows begin that were put aside.
func (e *Engine) unpark(ctx context.Context, workflows ...string) error {
	n, err := e.o.Store.Unpark(ctx, workflows, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("letting held runs begin: %w", err)
	}
	if n > 0 {
		e.dueAt(time.Now())
	}
	return nil
}

// unparkAll does so for all workflows that are on.
func (e *Engine) unparkAll(ctx context.Context, p *registry.Snapshot) error {
	names, err := e.o.Store.Parked(ctx)
	if err != nil {
		return fmt.Errorf("looking for held runs: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return p.Resting[n] })
	if len(names) == 0 {
		return nil
	}
	return e.unpark(ctx, names...)
}
