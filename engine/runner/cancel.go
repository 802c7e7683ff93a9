package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// Cancel cancels a run, executing or stored.
func (rn *Runner) Cancel(ctx context.Context, id engine.RunID) error { return rn.cancel(ctx, id, nil) }

// cancel cancels a run. why is the reason to record; nil if a person cancelled it.
func (rn *Runner) cancel(ctx context.Context, id engine.RunID, why *plan.Error) error {
	for {
		rn.mu.Lock()
		ex := rn.atWork[id]
		if ex != nil && !(ex.ending && why != nil) { // a person may cancel finally steps, an event may not
			ex.why = why
			ex.cancel() // under the lock, so that it cannot be released
		}
		rn.mu.Unlock()
		if ex != nil {
			return nil
		}
		err := rn.cancelStored(ctx, id, why)
		if !errors.Is(err, engine.ErrStale) {
			return err
		}
		// It has ended, or was loaded or suspended just now.
		r, readErr := rn.store.Run(ctx, id)
		if readErr != nil {
			return fmt.Errorf("run %s: %w", id, readErr)
		}
		if r.Status.Ended() {
			return &engine.HasEnded{Run: id, Status: r.Status}
		}
		if r.Status == engine.Running && rn.store.Shared() && !rn.has(id) {
			return rn.orderCancel(ctx, id, why)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// has reports whether a run has a slot here.
func (rn *Runner) has(id engine.RunID) bool {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	return rn.atWork[id] != nil
}

// cancelStored cancels a run that is not being executed.
func (rn *Runner) cancelStored(ctx context.Context, id engine.RunID, why *plan.Error) error {
	r, err := rn.store.Run(ctx, id)
	if err != nil && r == nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	if r.Ending != nil && why != nil {
		return nil // it is being cancelled already
	}
	if later, err := rn.cancelLater(ctx, r, why); later || err != nil {
		return err
	}
	ev, err := rn.store.Event(ctx, r.Event)
	if err != nil && !rn.store.RowsFault(err) && !errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("event of run %s: %w", id, err)
	}
	if err != nil { // a run need not be readable to be cancelled
		ev = &engine.Event{ID: r.Event}
	}
	rn.large.Delete(id)
	r.Output = nil
	r.Status, r.FinishedAt, r.DueAt, r.Error = engine.Cancelled, time.Now().UTC(), time.Time{}, why
	s := engine.RunUpdate{Run: r, Called: ev.Inlet == "call", Emits: rn.subscriberEvents(r, ev)}
	cut, next, ends, err := rn.store.Cancel(ctx, r, s.Emits)
	if err != nil {
		return err
	}
	if ends {
		rn.endCalled()
	}
	s.Records = cut
	rn.began(s)
	rn.DueAt(next)
	rn.ReportUpdate(ev, s)
	return nil
}
