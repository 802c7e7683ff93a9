package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
)

// parked holds a queued run whose workflow is switched off. It reports whether it did; a run that
// has begun continues.
func (rn *Runner) parked(ctx context.Context, id engine.RunID) (bool, error) {
	p := rn.reg.Snapshot()
	if len(p.Resting) == 0 {
		return false, nil
	}
	r, err := rn.store.Run(ctx, id)
	if rn.store.RowsFault(err) {
		return false, nil // loading it reports what is wrong
	}
	if err != nil || r.Status != engine.Queued || !r.StartedAt.IsZero() || !p.Resting[r.Workflow] {
		return false, err
	}
	if err := rn.store.Retry(func() error { return rn.store.Park(ctx, id) }); err != nil {
		return false, err
	}
	// The workflow was switched on in the meantime; that did not find this run.
	if !rn.reg.Snapshot().Resting[r.Workflow] {
		return true, rn.unpark(ctx, r.Workflow)
	}
	return true, nil
}

// unpark lets held runs of workflows begin.
func (rn *Runner) unpark(ctx context.Context, workflows ...string) error {
	n, err := rn.store.Unpark(ctx, workflows, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("starting held runs: %w", err)
	}
	if n > 0 {
		rn.DueAt(time.Now())
	}
	return nil
}

// UnparkAll lets held runs begin, of all workflows that a project has switched on.
func (rn *Runner) UnparkAll(ctx context.Context, p *registry.Snapshot) error {
	names, err := rn.store.Parked(ctx)
	if err != nil {
		return fmt.Errorf("looking for held runs: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return p.Resting[n] })
	if len(names) == 0 {
		return nil
	}
	return rn.unpark(ctx, names...)
}
