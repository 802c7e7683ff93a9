package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// dispatch is stop 3: it takes up what nobody holds in memory. It sleeps until
// something is due or somebody wakes it; there is no polling.
func (e *Engine) dispatch(ctx context.Context) error {
	for {
		if err := e.takeInbox(ctx); err != nil {
			return err
		}
		if err := e.takeDue(ctx); err != nil {
			return err
		}
		timer := time.NewTimer(e.pause())
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

// pause is the time until the next run is due, at most a minute: wall clocks
// step, and a timer set by the old time would sleep through.
func (e *Engine) pause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.behind && len(e.matching) < e.o.MaxMatches/2 {
		return 10 * time.Millisecond
	}
	if e.nextDue.IsZero() || len(e.atWork) >= e.o.MaxRuns {
		return time.Minute
	}
	return min(max(time.Until(e.nextDue), time.Millisecond), time.Minute)
}

// wakeUp lets the dispatcher look again.
func (e *Engine) wakeUp(behind bool) {
	e.mu.Lock()
	e.behind = e.behind || behind
	look := e.behind && len(e.matching) < e.o.MaxMatches/2
	e.mu.Unlock()
	if look {
		e.poke()
	}
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// dueAt tells the dispatcher of a run that waits in the store.
func (e *Engine) dueAt(t time.Time) {
	e.mu.Lock()
	earlier := e.nextDue.IsZero() || t.Before(e.nextDue)
	if earlier {
		e.nextDue = t
	}
	e.mu.Unlock()
	if earlier {
		e.poke()
	}
}

// takeInbox matches events that were stored when nobody was free, among them
// those of the time before a crash.
func (e *Engine) takeInbox(ctx context.Context) error {
	e.mu.Lock()
	room := e.o.MaxMatches - len(e.matching)
	look := e.behind && room >= e.o.MaxMatches/2
	if look {
		e.behind = false
	}
	e.mu.Unlock()
	if !look {
		return nil
	}
	// Those in work are still in the table, so as many more are asked for.
	events, err := e.o.Store.Inbox(ctx, 0, room+e.o.MaxMatches)
	if err != nil {
		return e.readError(ctx, fmt.Errorf("reading the inbox: %w", err))
	}
	for _, ev := range events {
		e.ids.Seen(int64(ev.ID))
		e.mu.Lock()
		known := e.matching[ev.ID]
		e.mu.Unlock()
		if !known {
			e.arrived(ev)
		}
	}
	return nil
}

// readError passes an error on unless the engine is being stopped.
func (e *Engine) readError(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// takeDue takes up runs whose time has come, as far as there is room.
func (e *Engine) takeDue(ctx context.Context) error {
	e.mu.Lock()
	room := e.o.MaxRuns - len(e.atWork)
	due := !e.nextDue.IsZero() && !time.Now().Before(e.nextDue)
	e.mu.Unlock()
	if !due || room <= 0 {
		return nil
	}
	ids, next, err := e.o.Store.Due(ctx, time.Now(), min(room, 256))
	if err != nil {
		return e.readError(ctx, fmt.Errorf("looking for due runs: %w", err))
	}
	e.mu.Lock()
	e.nextDue = next
	if len(ids) == min(room, 256) {
		e.nextDue = time.Now()
	}
	e.mu.Unlock()
	for _, id := range ids {
		e.resume(id)
	}
	return nil
}

// takeSlot claims the right to work on a run; false when all are in use.
func (e *Engine) takeSlot(id RunID, cancel context.CancelFunc) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.atWork) >= e.o.MaxRuns || e.stopping || e.atWork[id] != nil {
		return false
	}
	e.atWork[id] = cancel
	return true
}

// release gives a run's slot back.
func (e *Engine) release(dr *driver) {
	dr.cancel()
	if !dr.slot {
		return
	}
	e.mu.Lock()
	full := len(e.atWork) >= e.o.MaxRuns
	delete(e.atWork, dr.run.ID)
	e.mu.Unlock()
	if full {
		e.poke()
	}
}

// store repeats a write until it is on disk. A full disk passes; other errors of
// the store end the process.
func (e *Engine) store(write func() error) error {
	pause := 50 * time.Millisecond
	for {
		err := write()
		switch {
		case err == nil, errors.Is(err, ErrStale), errors.Is(err, ErrNotFound):
			return err
		case errors.Is(err, ErrFull), errors.Is(err, ErrBusy):
			e.o.Log.Warn("a run cannot be recorded yet", "error", err)
			select {
			case <-time.After(pause):
				pause = min(2*pause, 5*time.Second)
				continue
			case <-e.work.Done():
				return err
			}
		}
		e.fail(err)
		return err
	}
}
