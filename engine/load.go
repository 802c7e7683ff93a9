package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// resume takes a run up from the store. The channel closes when the run has ended
// or waits; it is nil when there was no slot.
func (e *Engine) resume(id RunID, suspect bool) <-chan struct{} {
	dr := e.newDriver(nil, &Run{ID: id})
	dr.slot, dr.suspect = true, suspect
	if !e.takeSlot(dr) {
		dr.cancel()
		return nil
	}
	done := make(chan struct{})
	e.drivers.Add(1)
	go func() {
		defer e.drivers.Done()
		defer close(done)
		if err := e.loadAlone(dr); err != nil {
			if !errors.Is(err, ErrStale) && !errors.Is(err, errGaveUp) && e.work.Err() == nil {
				e.o.Log.Error("a run cannot go on", "run", id, "error", err)
			}
			if errors.Is(err, ErrStale) {
				e.large.Delete(id) // it has ended meanwhile
			}
			e.release(dr)
			e.destinations.Forget(int64(id), math.MaxUint64)
			// The run was put aside, or has changed. If it became due again while this slot
			// was held, the dispatcher passed it by.
			e.dueAt(time.Now())
			return
		}
		e.drive(dr)
	}()
	return done
}

// loadAlone loads a run; a bug that its data brings out ends it as one that cannot run.
func (e *Engine) loadAlone(dr *driver) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a run panicked", "run", dr.run.ID, "panic", p, "stack", string(debug.Stack()))
			if dr.event == nil {
				dr.event = &Event{ID: dr.run.Event}
			}
			err = e.giveUp(dr, panicked(p))
		}
	}()
	return e.load(dr)
}

// load fills a driver from the store. A run whose workflow or event cannot be
// read any more ends as failed, with the reason.
func (e *Engine) load(dr *driver) error {
	if aside, err := e.parked(e.work, dr.run.ID); aside || err != nil {
		return cmp.Or(err, ErrStale)
	}
	if err := e.makeRoom(dr); err != nil {
		return err
	}
	var t *Taken
	err := e.store(func() (err error) {
		t, err = e.o.Store.Take(e.work, dr.run.ID)
		return err
	})
	if err != nil {
		return err
	}
	dr.run, dr.since = t.Run, time.Now()
	if t.Unreadable != nil {
		dr.event = t.Event
		return e.giveUp(dr, fmt.Errorf("a row of this run cannot be read: %w (hookloom replay %s runs it again from its event)",
			t.Unreadable, dr.run.ID))
	}
	if why, is := e.isToEnd(t.Run.Event); is && t.Event.Inlet == "call" {
		dr.cutBy(&plan.Error{Message: why, Code: "cancelled"})
	}
	ev := t.Event
	t.Event = nil // so that a large body is not held while it waits
	if !e.tryShare(ev) {
		ev = ev.withoutBody()
	}
	if dr.event, err = e.awaitShare(e.work, ev); e.rowsFault(err) {
		dr.event = &Event{ID: ev.ID, Delivery: Delivery{Trigger: ev.Trigger, Inlet: ev.Inlet}}
		return e.giveUp(dr, err)
	} else if err != nil {
		return err
	}
	dr.share = dr.event.share
	if dr.run.StartedAt.IsZero() {
		dr.run.StartedAt = dr.since.UTC()
	}
	w, err := e.version(e.work, dr.run, asOf(dr.run, dr.event))
	if err == nil && dr.run.Boots > maxBoots {
		err = fmt.Errorf("the process ended %d times while this run was at work", dr.run.Boots)
	}
	names, nameErr := dr.event.Names()
	if err == nil {
		err = nameErr
	}
	if err != nil {
		return e.giveUp(dr, err)
	}
	return e.loadState(dr, w, names, t)
}

// loadState fills a driver with what is on record of its run.
func (e *Engine) loadState(dr *driver, w *workflows.Workflow, names map[string]any, t *Taken) error {
	dr.begin(w, names, dr.run.StartedAt)
	if err := dr.loadBatch(); err != nil {
		if e.work.Err() != nil {
			return err
		}
		return e.giveUp(dr, err)
	}
	for _, r := range t.Records {
		dr.state.AddRecord(r)
		dr.hideCredentials(r)
	}
	dr.fitRoom()
	if dr.state.Cancelled = dr.run.Ending; dr.run.Ending != nil {
		dr.stopWaiting(dr.since)
	}
	dr.carryOn(t)
	dr.held = e.destinations.HasTicket(int64(dr.run.ID))
	e.mu.Lock()
	dr.listen(w)
	dr.ending = dr.run.Ending != nil
	e.mu.Unlock()
	if dr.news != nil {
		dr.answersAre(t)
		if err := dr.lookForEvents(t.Records); e.rowsFault(err) {
			return e.giveUp(dr, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}
