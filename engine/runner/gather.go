package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
)

// heldBack returns the update of a run that does not begin now; nil for one that does.
func (ex *Execution) heldBack() (*engine.RunUpdate, error) {
	if err := ex.FindCancelKeys(); err != nil {
		return nil, err
	}
	s := engine.RunUpdate{Run: ex.Run, New: true, Answers: -1, Cancels: ex.Cancels}
	var err error
	if ex.State.Workflow.Gather != nil && ex.Event.Inlet != "manual" && !ex.alone {
		s.Gather, err = ex.Gathering()
	} else if s.Slot, err = ex.SlotRequest(); s.Slot == nil {
		return nil, err
	}
	held := s // only runs that are held back pay for the allocation
	return &held, err
}

const (
	// closeAtOnce is the number of gatherings closed per query.
	closeAtOnce = 256
	// longestLag is how long a due gathering waits for events that were accepted before it was due
	// and are not matched yet.
	longestLag = 10 * time.Second
	// lagAgain is how long it waits between two looks.
	lagAgain = 10 * time.Millisecond
)

// RunGatherings begins gathered runs when they are due. While there are none it sleeps. Each node closes
// those that it knows of; of several that try, one closes a gathering.
func (rn *Runner) RunGatherings(ctx context.Context) {
	began := time.Now()
	for {
		next, err := rn.closeDue(ctx, began)
		if err != nil && ctx.Err() == nil {
			rn.o.Log.Warn("gathered runs cannot begin yet", "error", rn.o.Redactor.Text(err.Error()))
			next = time.Now().Add(time.Second)
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			// Wall clocks step, and a timer set by the old time would sleep too long.
			timer = time.After(min(max(time.Until(next), time.Millisecond), dueAgain))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer:
		case <-rn.wakeGather:
		}
	}
}

// closeDue closes due gatherings, and returns when to look again; zero for never.
func (rn *Runner) closeDue(ctx context.Context, began time.Time) (time.Time, error) {
	for {
		now := time.Now()
		list, next, oldest, err := rn.store.DueGatherings(ctx, now, closeAtOnce)
		if err != nil {
			return next, rn.readError(ctx, err)
		}
		rn.mu.Lock()
		rn.gatherNext = next
		rn.mu.Unlock()
		for _, g := range list {
			lag := now.Sub(g.Due)
			if up := now.Sub(began); up < lag {
				lag = up
			}
			if oldest != 0 && !oldest.Time().After(g.Due) && lag < longestLag {
				return now.Add(lagAgain), nil // an event that belongs to it may be among them
			}
			changed, err := rn.closeGathering(ctx, g)
			if err != nil {
				return next, err
			}
			if again := now.Add(lagAgain); changed && (next.IsZero() || again.Before(next)) {
				next = again // it is due later, and may have been before next was known
			}
		}
		if len(list) < closeAtOnce {
			return next, nil
		}
	}
}

// GatherDue reports that a gathering is due at a time.
func (rn *Runner) GatherDue(at time.Time) {
	if at.IsZero() {
		return
	}
	rn.mu.Lock()
	earlier := rn.gatherNext.IsZero() || at.Before(rn.gatherNext)
	if earlier {
		rn.gatherNext = at
	}
	rn.mu.Unlock()
	if earlier {
		select {
		case rn.wakeGather <- struct{}{}:
		default:
		}
	}
}

// closeGathering lets a gathered run begin. changed reports that it does not begin now, because an event
// arrived since the gathering was found due, or the run was cancelled.
func (rn *Runner) closeGathering(ctx context.Context, g engine.DueGathering) (changed bool, err error) {
	c := engine.Closing{Run: g.Run, Event: g.Event, At: time.Now().UTC()}
	var refused error
	c.Slot, refused = rn.gatheredSlot(ctx, g)
	if refused != nil {
		return false, rn.cancelGathered(ctx, g.Run, &plan.Error{Message: refused.Error(), Code: "expression"})
	}
	var out engine.Closed
	err = rn.store.Retry(func() (err error) {
		out, err = rn.store.CloseGathering(ctx, c)
		return err
	})
	switch {
	case errors.Is(err, engine.ErrStale), errors.Is(err, engine.ErrNotFound):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("starting gathered run %s: %w", g.Run, err)
	case out.Dropped != "":
		return false, rn.cancelGathered(ctx, g.Run, &plan.Error{Message: out.Dropped, Code: "dropped"})
	}
	rn.DueAt(out.Due)
	rn.replaceBeside(out.Replaced)
	rn.wakeUp()
	return false, nil
}

func (rn *Runner) cancelGathered(ctx context.Context, id engine.RunID, why *plan.Error) error {
	if err := rn.cancel(ctx, id, why); err != nil && !errors.Is(err, engine.ErrStale) && !errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("ending gathered run %s: %w", id, err)
	}
	return nil
}

// gatheredSlot is the slot that a gathered run requests before it begins. An unreadable run
// requests none: its load reports the error.
func (rn *Runner) gatheredSlot(ctx context.Context, g engine.DueGathering) (*engine.SlotRequest, error) {
	w, err := rn.version(ctx, &engine.Run{ID: g.Run, Workflow: g.Workflow, Version: g.Version}, g.Run)
	if err != nil || !w.Bounded() {
		return nil, nil
	}
	var rc *registry.RunContext
	err = rn.store.Retry(func() error {
		ev, err := rn.store.Event(ctx, g.Event)
		if err != nil {
			return err
		}
		rc, err = rn.reg.ContextOf(ctx, w, ev, &engine.Run{ID: g.Run, Event: ev.ID, Workflow: w.ID, Version: w.Version}, g.Run)
		return err
	})
	if err != nil {
		return nil, nil
	}
	return rc.SlotRequest()
}

// loadBatch loads the events of a batch that is about to continue. They share one memory share;
// the run holds none while it waits for it.
func (ex *Execution) loadBatch() error {
	if !registry.IsBatch(ex.State.Workflow) {
		return nil
	}
	var size int64
	err := ex.rn.store.Retry(func() (err error) {
		_, size, err = ex.rn.store.Gathered(ex.rn.work, ex.Run.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for the events of the batch: %w", err)
	}
	if size += memory.DecodedSize(ex.Event.Raw); size > memory.Small {
		ex.putDown()
		if err := ex.rn.store.Decoded.Take(ex.rn.work, size); err != nil {
			return err
		}
		ex.share = memory.NewShare(ex.rn.store.Decoded, size)
	}
	return ex.rn.store.Retry(func() error { return ex.ReadEvents(ex.rn.work, ex.Run.ID) })
}
