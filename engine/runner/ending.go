package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file ends a called run together with its caller. A caller that stops waiting for a called
// run stores, in the same transaction, the order to end it. The order is kept until the run has
// ended, so a crash in between loses nothing: orders are executed at the next start before any run
// continues. A call that timed out is recorded as waiting until its run has ended, and is retried
// only then.

// ending lists the called runs that records order to be ended.
func ending(records []*plan.Record) (out []engine.EndCall) {
	for _, r := range records {
		call := r.Call()
		if call == nil || call.Ending == nil {
			continue
		}
		if id, err := engine.ParseEventID(call.Event); err == nil {
			out = append(out, engine.EndCall{Event: id, Why: call.Ending.Message})
		}
	}
	return out
}

// whyEnded is the reason recorded for a run that is ended with its caller.
func (ex *Execution) whyEnded() string { return engine.WhyEnded(ex.Run) }

// endCalled executes the stored orders on another goroutine.
func (rn *Runner) endCalled() {
	rn.mu.Lock()
	going := !rn.stopping.Load() && rn.work != nil
	if going {
		rn.goroutines.Add(1)
	}
	rn.mu.Unlock()
	if !going {
		return // the next start does it
	}
	go func() {
		defer rn.goroutines.Done()
		if err := rn.carryOutEnds(rn.work); err != nil && rn.work.Err() == nil {
			rn.o.Log.Error("called runs were not ended", "error", err)
		}
	}()
}

// loadEnds loads the stored orders at a start, before any run continues.
func (rn *Runner) loadEnds(ctx context.Context) error {
	list, err := rn.store.EndCalls(ctx)
	if err != nil {
		return fmt.Errorf("looking for called runs to end: %w", err)
	}
	for _, x := range list {
		rn.toEnd.Store(x.Event, x.Why)
	}
	if len(list) > 0 {
		rn.endCalled()
	}
	return nil
}

// carryOutEnds ends the called runs that are to be ended, until only undecided events are left.
func (rn *Runner) carryOutEnds(ctx context.Context) error {
	select {
	case rn.ends <- struct{}{}:
		defer func() { <-rn.ends }()
	case <-ctx.Done():
		return nil // the next start continues
	}
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		list, err := rn.store.EndCalls(ctx)
		if err != nil {
			return err
		}
		left := false
		for _, x := range list {
			// Before the store is asked: an event that is decided afterwards sees it.
			rn.toEnd.Store(x.Event, x.Why)
			atWork, err := rn.endCall(ctx, x)
			if err != nil {
				return err
			}
			left = left || atWork
		}
		if !left || rn.stopping.Load() {
			return nil // what remains at a stop waits for something; the next start continues
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// endCall ends the run of one event. An undecided event begins no run, see evaluate; an executing
// run ends when its attempts have been cancelled.
func (rn *Runner) endCall(ctx context.Context, x engine.EndCall) (atWork bool, err error) {
	c, err := rn.store.Called(ctx, x.Event)
	switch {
	case err != nil || !c.Decided:
		return rn.store.Shared(), err // another node may decide it, which does not know of the order
	case c.Run == nil || c.Run.Status.Ended():
		rn.toEnd.Delete(x.Event)
		return false, rn.store.Retry(func() error { return rn.store.EndedCall(ctx, x.Event) })
	}
	err = rn.store.Retry(func() error { return rn.cancel(ctx, c.Run.ID, &plan.Error{Message: x.Why, Code: "cancelled"}) })
	if errors.Is(err, engine.ErrStale) || errors.Is(err, engine.ErrNotFound) {
		err = nil // it has ended in the meantime
	}
	return true, err
}

// IsToEnd reports whether the run of an event is to be ended, and why.
func (rn *Runner) IsToEnd(id engine.EventID) (why string, is bool) {
	v, is := rn.toEnd.Load(id)
	why, _ = v.(string)
	return why, is
}
