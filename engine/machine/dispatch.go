package machine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// dispatch takes up what is only in the store: events of the inbox and runs that are due. It
// sleeps until something is due or it is woken.
func (e *Engine) dispatch(ctx context.Context) error {
	for {
		if err := e.takeInbox(ctx); err != nil {
			return err
		}
		if err := e.takeDue(ctx); err != nil {
			return err
		}
		pause := e.pause()
		if at := e.destinations.Look(time.Now()); !at.IsZero() {
			pause = max(min(pause, time.Until(at)), time.Millisecond)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case err := <-e.failed:
			timer.Stop()
			return err
		case <-timer.C:
		case <-e.wake:
			timer.Stop()
		}
	}
}

// dueAgain is how often due runs are looked for when nobody has said that one is.
const dueAgain = 5 * time.Second

// pause is the time until the next run is due, at most dueAgain: wall clocks step, and
// a timer set by the old time would sleep through.
func (e *Engine) pause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dozing = !e.backlog || e.room() == 0; !e.dozing {
		return lookAgain
	}
	longest := dueAgain
	if e.backlog {
		longest = countAgain // until then runs may turn out to be slow
	}
	if e.nextDue.IsZero() || len(e.atWork) >= e.o.MaxRuns {
		return longest
	}
	return min(max(time.Until(e.nextDue), time.Millisecond), longest)
}

// wakeUp lets the dispatcher look again.
func (e *Engine) wakeUp(behind bool) {
	e.mu.Lock()
	e.backlog = e.backlog || behind
	look := e.canLook()
	e.mu.Unlock()
	if look {
		e.poke()
	}
}

// The inbox is looked at when manyAtOnce events can be taken up, or half of what can
// be at all; when fewer can, every lookAgain: each look costs a query.
const (
	manyAtOnce = 64
	lookAgain  = 10 * time.Millisecond
)

// room is how many events may be taken up now. What would only wait for a run's slot,
// or for its turn at a destination that is kept busy, is better left in the inbox: as a
// run it would be written and read back. But slow runs hold back no event as long as
// there are slots: those that have been at work for slowFrom do not count. Events that
// are being decided may each begin a run, so that with them there are never more runs
// than the permits of one destination. It is called with the lock held.
func (e *Engine) room() int {
	n := len(e.atWork)
	free := e.o.MaxRuns - n
	if n >= e.maxRunsForIntake() {
		n -= e.slow()
	}
	deciding := len(e.matching) + e.fast.deciding
	return max(0, min(e.o.MaxMatches-deciding, e.maxRunsForIntake()-n, free, e.maxPermits()-n-deciding))
}

// maxRunsForIntake is the number of quick runs at work above which no more events are taken
// up: 5/8 of MaxRuns. It is below maxPermits, so that new runs do not queue for a permit.
func (e *Engine) maxRunsForIntake() int { return e.o.MaxRuns - e.o.MaxRuns*3/8 }

// maxPermits is how many runs one destination may keep busy (package destination).
func (e *Engine) maxPermits() int { return e.o.MaxRuns - e.o.MaxRuns/4 }

const (
	slowFrom   = 250 * time.Millisecond
	countAgain = 50 * time.Millisecond
)

// slow counts, every countAgain, the runs that have been at work for slowFrom.
func (e *Engine) slow() int {
	if now := time.Now(); now.Sub(e.counted) >= countAgain {
		e.counted, e.slowRuns = now, 0
		for _, ex := range e.atWork {
			if now.Sub(ex.taken) >= slowFrom {
				e.slowRuns++
			}
		}
	}
	return min(e.slowRuns, len(e.atWork))
}

// many tells that a look at the inbox is worth its query.
func (e *Engine) many(room int) bool {
	return room >= min(manyAtOnce, (e.o.MaxMatches+1)/2, (e.maxRunsForIntake()+1)/2)
}

// canLook tells that the dispatcher is to be woken for the inbox. It is called with
// the lock held.
func (e *Engine) canLook() bool {
	room := e.room()
	return e.backlog && room > 0 && (e.dozing || e.many(room))
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// dueAt tells the dispatcher of a run that waits in the store.
func (e *Engine) dueAt(t time.Time) {
	if e.noteDue(t) {
		e.poke()
	}
}

// noteDue keeps the earliest moment at which a run is due; zero is no moment.
func (e *Engine) noteDue(t time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	earlier := !t.IsZero() && (e.nextDue.IsZero() || t.Before(e.nextDue))
	if earlier {
		e.nextDue = t
	}
	return earlier
}

// takeInbox matches events that were stored when nobody was free, among them
// those of the time before a crash.
func (e *Engine) takeInbox(ctx context.Context) error {
	e.mu.Lock()
	room := e.room()
	look := e.backlog && (e.many(room) || room > 0 && time.Since(e.looked) >= lookAgain)
	if look {
		e.backlog, e.looked = false, time.Now()
	}
	known := len(e.matching)
	missed := e.ordered.missed
	e.mu.Unlock()
	if !look {
		return nil
	}
	// Those in work are still in the table, so as many more are asked for.
	limit := room + known
	events, whole, err := e.o.Store.Inbox(ctx, limit, func(id engine.EventID) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.matching[id]
	})
	if err != nil {
		return e.readError(ctx, fmt.Errorf("reading the inbox: %w", err))
	}
	for i, ev := range events {
		events[i] = nil // arrived lets go of a large body
		e.reg.SeenID(int64(ev.ID))
		e.mu.Lock()
		known := e.matching[ev.ID]
		e.mu.Unlock()
		if !known {
			e.arrived(ev, true)
		}
	}
	e.mu.Lock()
	if whole {
		e.ordered.caughtUp(missed)
	} else {
		e.backlog = true
	}
	e.mu.Unlock()
	return nil
}

// readError passes an error on that ends the process: not one of rows, which the next
// look may get past, and none while the engine is being stopped.
func (e *Engine) readError(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, engine.ErrClosed) {
		return nil
	}
	if errors.Is(err, engine.ErrBusy) {
		e.o.Log.Warn("what is due cannot be read now; it is tried again", "error", err)
		e.mu.Lock()
		e.backlog, e.nextDue = true, time.Now().Add(100*time.Millisecond)
		e.mu.Unlock()
		return nil
	}
	if !errors.Is(err, engine.ErrDisk) {
		e.o.Log.Error("rows cannot be read; hookloom check says which", "error", err)
		return nil
	}
	return err
}

// takeDue takes up runs whose time has come, as far as there is room.
func (e *Engine) takeDue(ctx context.Context) error {
	e.mu.Lock()
	room := e.o.MaxRuns - len(e.atWork)
	now := time.Now()
	due := room > 0 && (!e.nextDue.IsZero() && !now.Before(e.nextDue) || now.Sub(e.lookedDue) >= dueAgain)
	if due {
		e.lookedDue = now
		// Emptied before the store is read: what comes while it is read stays.
		e.nextDue = time.Time{}
	}
	e.mu.Unlock()
	if !due {
		return nil
	}
	ids, next, err := e.o.Store.Due(ctx, time.Now(), min(room, 256))
	if err != nil {
		return e.readError(ctx, fmt.Errorf("looking for due runs: %w", err))
	}
	if len(ids) == min(room, 256) {
		next = time.Now()
	}
	e.noteDue(next)
	for _, id := range ids {
		e.resume(id, false)
	}
	return nil
}

// takeSlot claims the right to work on a run; false when all are in use.
func (e *Engine) takeSlot(ex *execution) bool {
	id := ex.Run.ID
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.atWork) >= e.o.MaxRuns && !ex.suspect || e.stopping || e.atWork[id] != nil {
		if e.atWork[id] == nil {
			e.nextDue = time.Now() // looked for again when a slot is free
		}
		return false // who works on it says when it is due again
	}
	e.atWork[id], ex.taken = ex, time.Now()
	return true
}

// release gives a run's slot back.
func (e *Engine) release(ex *execution) {
	ex.putDown()
	if !ex.slot {
		ex.cancel()
		return
	}
	e.mu.Lock()
	full := len(e.atWork) >= e.o.MaxRuns
	delete(e.atWork, ex.Run.ID)
	look := full || e.canLook()
	cut := ex.cut()
	e.mu.Unlock()
	ex.cancel()
	ex.giveBack()
	if ex.held && e.destinations.HasTicket(int64(ex.Run.ID)) {
		// It was called in the moment it was put down.
		if ex.Run.Status.Ended() {
			e.destinations.Forget(int64(ex.Run.ID), math.MaxUint64)
		} else if e.resume(ex.Run.ID, false) == nil {
			e.destinations.PutBack(int64(ex.Run.ID))
		}
	}
	if cut && ex.Run.Status == engine.Waiting {
		// Cancelled when its last word was on record already.
		if err := e.store(func() error { return e.cancelStored(e.work, ex.Run.ID, ex.why) }); err != nil {
			e.o.Log.Warn("a run was not cancelled", "run", ex.Run.ID, "error", err)
		}
	}
	if look {
		e.poke()
	}
}

// store repeats a write until it is on disk. A full disk passes; one that cannot be
// used ends the process. Other errors are about the rows, and the caller's.
func (e *Engine) store(write func() error) error {
	pause := 50 * time.Millisecond
	for {
		err := write()
		switch {
		case err == nil, errors.Is(err, engine.ErrStale), errors.Is(err, engine.ErrNotFound):
			return err
		case errors.Is(err, engine.ErrDisk), errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrUnknown):
			e.fail(err)
			return err
		case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrBusy):
			e.o.Log.Warn("a run cannot be recorded yet", "error", err)
			select {
			case <-time.After(pause):
				pause = min(2*pause, 5*time.Second)
				continue
			case <-e.work.Done():
				return err
			}
		}
		return err
	}
}

// rowsFault tells that an error of the store is about rows: about one run or one event,
// which fails alone.
func (e *Engine) rowsFault(err error) bool {
	for _, other := range []error{engine.ErrStale, engine.ErrNotFound, engine.ErrDisk, engine.ErrClosed, engine.ErrUnknown,
		engine.ErrFull, engine.ErrBusy} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil && (e.work == nil || e.work.Err() == nil)
}
