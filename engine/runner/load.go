package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// resume loads a run from the store and executes it. The channel closes when the run has ended or
// waits; it is nil if no slot was free.
func (rn *Runner) resume(id engine.RunID, suspect bool) <-chan struct{} {
	ex := rn.newExecution(nil, &engine.Run{ID: id})
	ex.slot, ex.suspect = true, suspect
	if !rn.takeSlot(ex) {
		ex.cancel()
		return nil
	}
	done := make(chan struct{})
	rn.goroutines.Add(1)
	go func() {
		defer rn.goroutines.Done()
		defer close(done)
		if err := rn.loadAlone(ex); err != nil {
			if !errors.Is(err, engine.ErrStale) && !errors.Is(err, errGaveUp) && rn.work.Err() == nil {
				rn.o.Log.Error("a run cannot continue", "run", id, "error", err)
			}
			if errors.Is(err, engine.ErrStale) {
				rn.large.Delete(id) // it has ended in the meantime
			}
			rn.Release(ex)
			rn.destinations.Forget(int64(id), math.MaxUint64)
			// The run was suspended, or has changed. If it became due again while this slot was
			// held, RunDue skipped it.
			rn.DueAt(time.Now())
			return
		}
		rn.Execute(ex)
	}()
	return done
}

// loadAlone loads a run. A panic caused by its data fails only that run.
func (rn *Runner) loadAlone(ex *Execution) (err error) {
	defer func() {
		if p := recover(); p != nil {
			rn.o.Log.Error("a run panicked", "run", ex.Run.ID, "panic", p, "stack", string(debug.Stack()))
			if ex.Event == nil {
				ex.Event = &engine.Event{ID: ex.Run.Event}
			}
			err = rn.giveUp(ex, panicked(p))
		}
	}()
	return rn.load(ex)
}

// load fills an execution from the store. A run whose workflow or event can no longer be read
// fails, with the reason.
func (rn *Runner) load(ex *Execution) error {
	if aside, err := rn.parked(rn.work, ex.Run.ID); aside || err != nil {
		return cmp.Or(err, engine.ErrStale)
	}
	if err := rn.makeRoom(ex); err != nil {
		return err
	}
	if err := rn.store.Retry(func() error { return rn.store.Take(rn.work, ex.Run.ID) }); err != nil {
		return err
	}
	// From here on the run is running, for this process alone: a read that fails is repeated.
	var t *engine.LoadedRun
	err := rn.store.Retry(func() (err error) {
		t, err = rn.store.LoadRun(rn.work, ex.Run.ID)
		return err
	})
	if err != nil {
		return err
	}
	ex.Run, ex.since = t.Run, time.Now()
	if t.Unreadable != nil {
		ex.Event = t.Event
		return rn.giveUp(ex, fmt.Errorf("a row of this run cannot be read: %w (hookloom replay %s runs it again from its event)",
			t.Unreadable, ex.Run.ID))
	}
	if why, is := rn.IsToEnd(t.Run.Event); is && t.Event.Inlet == "call" {
		ex.cutBy(&plan.Error{Message: why, Code: "cancelled"})
	}
	ev := t.Event
	t.Event = nil // so that a large body is not held while it waits
	if !rn.store.TryShare(ev) {
		ev = ev.WithoutBody()
	}
	if ex.Event, err = rn.store.AwaitShare(rn.work, ev); rn.store.RowsFault(err) || errors.Is(err, engine.ErrNotFound) {
		ex.Event = &engine.Event{ID: ev.ID, Delivery: engine.Delivery{Trigger: ev.Trigger, Inlet: ev.Inlet}}
		return rn.giveUp(ex, err)
	} else if err != nil {
		return err
	}
	ex.share = ex.Event.Share
	if ex.Run.StartedAt.IsZero() {
		ex.Run.StartedAt = ex.since.UTC()
	}
	w, err := rn.version(rn.work, ex.Run, registry.AsOf(ex.Run, ex.Event))
	if err == nil && ex.Run.Crashes > maxCrashes {
		err = fmt.Errorf("the process ended %d times while this run was executing", ex.Run.Crashes)
	}
	names, nameErr := ex.Event.Names()
	if err == nil {
		err = nameErr
	}
	if err != nil {
		return rn.giveUp(ex, err)
	}
	return rn.loadState(ex, w, names, t)
}

// version is the workflow of a run. Reading it is repeated while the database is away or busy, so an error
// says that it cannot be read at all.
func (rn *Runner) version(ctx context.Context, r *engine.Run, as engine.RunID) (w *workflows.Workflow, err error) {
	err = rn.store.Retry(func() (err error) {
		w, err = rn.reg.Version(ctx, r, as)
		return err
	})
	return w, err
}

// loadState fills an execution with the stored records of its run.
func (rn *Runner) loadState(ex *Execution, w *workflows.Workflow, names map[string]any, t *engine.LoadedRun) error {
	ex.Begin(w, names, ex.Run.StartedAt)
	if err := ex.loadBatch(); err != nil {
		if rn.work.Err() != nil {
			return err
		}
		return rn.giveUp(ex, err)
	}
	for _, r := range t.Records {
		ex.State.AddRecord(r)
		ex.HideCredentials(r)
	}
	ex.fitRoom()
	if ex.State.Cancelled = ex.Run.Ending; ex.Run.Ending != nil {
		ex.stopWaiting(ex.since)
	}
	ex.CarryOn(t)
	ex.held = rn.destinations.HasReservation(int64(ex.Run.ID))
	rn.mu.Lock()
	ex.watchNews(w)
	ex.ending = ex.Run.Ending != nil
	rn.mu.Unlock()
	if ex.news != nil {
		ex.answersAre(t)
		if err := ex.lookForEvents(t.Records); rn.store.RowsFault(err) {
			return rn.giveUp(ex, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}
