package machine

import (
	"cmp"
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

// resume takes a run up from the store. The channel closes when the run has ended
// or waits; it is nil when there was no slot.
func (e *Engine) resume(id engine.RunID, suspect bool) <-chan struct{} {
	ex := e.newExecution(nil, &engine.Run{ID: id})
	ex.slot, ex.suspect = true, suspect
	if !e.takeSlot(ex) {
		ex.cancel()
		return nil
	}
	done := make(chan struct{})
	e.goroutines.Add(1)
	go func() {
		defer e.goroutines.Done()
		defer close(done)
		if err := e.loadAlone(ex); err != nil {
			if !errors.Is(err, engine.ErrStale) && !errors.Is(err, errGaveUp) && e.work.Err() == nil {
				e.o.Log.Error("a run cannot go on", "run", id, "error", err)
			}
			if errors.Is(err, engine.ErrStale) {
				e.large.Delete(id) // it has ended meanwhile
			}
			e.release(ex)
			e.destinations.Forget(int64(id), math.MaxUint64)
			// The run was put aside, or has changed. If it became due again while this slot
			// was held, the dispatcher passed it by.
			e.dueAt(time.Now())
			return
		}
		e.execute(ex)
	}()
	return done
}

// loadAlone loads a run; a bug that its data brings out ends it as one that cannot run.
func (e *Engine) loadAlone(ex *execution) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a run panicked", "run", ex.Run.ID, "panic", p, "stack", string(debug.Stack()))
			if ex.Event == nil {
				ex.Event = &engine.Event{ID: ex.Run.Event}
			}
			err = e.giveUp(ex, panicked(p))
		}
	}()
	return e.load(ex)
}

// load fills an execution from the store. A run whose workflow or event cannot be
// read any more ends as failed, with the reason.
func (e *Engine) load(ex *execution) error {
	if aside, err := e.parked(e.work, ex.Run.ID); aside || err != nil {
		return cmp.Or(err, engine.ErrStale)
	}
	if err := e.makeRoom(ex); err != nil {
		return err
	}
	var t *engine.LoadedRun
	err := e.store(func() (err error) {
		t, err = e.o.Store.Take(e.work, ex.Run.ID)
		return err
	})
	if err != nil {
		return err
	}
	ex.Run, ex.since = t.Run, time.Now()
	if t.Unreadable != nil {
		ex.Event = t.Event
		return e.giveUp(ex, fmt.Errorf("a row of this run cannot be read: %w (hookloom replay %s runs it again from its event)",
			t.Unreadable, ex.Run.ID))
	}
	if why, is := e.isToEnd(t.Run.Event); is && t.Event.Inlet == "call" {
		ex.cutBy(&plan.Error{Message: why, Code: "cancelled"})
	}
	ev := t.Event
	t.Event = nil // so that a large body is not held while it waits
	if !e.tryShare(ev) {
		ev = ev.WithoutBody()
	}
	if ex.Event, err = e.awaitShare(e.work, ev); e.rowsFault(err) {
		ex.Event = &engine.Event{ID: ev.ID, Delivery: engine.Delivery{Trigger: ev.Trigger, Inlet: ev.Inlet}}
		return e.giveUp(ex, err)
	} else if err != nil {
		return err
	}
	ex.share = ex.Event.Share
	if ex.Run.StartedAt.IsZero() {
		ex.Run.StartedAt = ex.since.UTC()
	}
	w, err := e.reg.Version(e.work, ex.Run, registry.AsOf(ex.Run, ex.Event))
	if err == nil && ex.Run.Crashes > maxCrashes {
		err = fmt.Errorf("the process ended %d times while this run was at work", ex.Run.Crashes)
	}
	names, nameErr := ex.Event.Names()
	if err == nil {
		err = nameErr
	}
	if err != nil {
		return e.giveUp(ex, err)
	}
	return e.loadState(ex, w, names, t)
}

// loadState fills an execution with what is on record of its run.
func (e *Engine) loadState(ex *execution, w *workflows.Workflow, names map[string]any, t *engine.LoadedRun) error {
	ex.Begin(w, names, ex.Run.StartedAt)
	if err := ex.loadBatch(); err != nil {
		if e.work.Err() != nil {
			return err
		}
		return e.giveUp(ex, err)
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
	ex.held = e.destinations.HasTicket(int64(ex.Run.ID))
	e.mu.Lock()
	ex.watchNews(w)
	ex.ending = ex.Run.Ending != nil
	e.mu.Unlock()
	if ex.news != nil {
		ex.answersAre(t)
		if err := ex.lookForEvents(t.Records); e.rowsFault(err) {
			return e.giveUp(ex, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}
