package runner

import (
	"context"
	"fmt"
	"time"
)

// RunDue loads runs from the store when they are due, until ctx ends. It sleeps until a run is due
// or it is woken.
func (rn *Runner) RunDue(ctx context.Context) {
	for {
		if err := rn.takeDue(ctx); err != nil {
			rn.store.Fail(err)
			return
		}
		pause := rn.pause()
		if at := rn.destinations.Tick(time.Now()); !at.IsZero() {
			pause = max(min(pause, time.Until(at)), time.Millisecond)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-rn.wake:
			timer.Stop()
		}
	}
}

// dueAgain is how often RunDue looks for due runs when it was not notified of one.
const dueAgain = 5 * time.Second

// pause is the time until the next run is due, at most dueAgain: wall clocks step, and a timer set
// by the old time would sleep too long.
func (rn *Runner) pause() time.Duration {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	if rn.nextDue.IsZero() || len(rn.atWork) >= rn.o.MaxRuns {
		return dueAgain
	}
	return min(max(time.Until(rn.nextDue), time.Millisecond), dueAgain)
}

func (rn *Runner) wakeUp() {
	select {
	case rn.wake <- struct{}{}:
	default:
	}
}

// DueAt reports that a stored run is due at a time; the zero time is ignored.
func (rn *Runner) DueAt(t time.Time) {
	if rn.noteDue(t) {
		rn.wakeUp()
	}
}

// noteDue keeps the earliest time at which a run is due; the zero time is ignored.
func (rn *Runner) noteDue(t time.Time) bool {
	if t.IsZero() {
		return false
	}
	rn.mu.Lock()
	defer rn.mu.Unlock()
	earlier := rn.nextDue.IsZero() || t.Before(rn.nextDue)
	if earlier {
		rn.nextDue = t
	}
	return earlier
}

// takeDue loads due runs, as far as slots are free.
func (rn *Runner) takeDue(ctx context.Context) error {
	rn.mu.Lock()
	room := rn.o.MaxRuns - len(rn.atWork)
	now := time.Now()
	due := room > 0 && (!rn.nextDue.IsZero() && !now.Before(rn.nextDue) || now.Sub(rn.lookedDue) >= dueAgain)
	if due {
		rn.lookedDue = now
		// Drained before the store is read, so that a signal sent during the read is kept.
		rn.nextDue = time.Time{}
	}
	rn.mu.Unlock()
	if !due {
		return nil
	}
	ids, next, err := rn.store.ClaimDue(ctx, rn.store.Owner(), time.Now(), min(room, 256))
	if err != nil {
		return rn.readError(ctx, fmt.Errorf("looking for due runs: %w", err))
	}
	if len(ids) == min(room, 256) {
		next = time.Now()
	}
	rn.noteDue(next)
	for _, id := range ids {
		rn.resume(id, false)
	}
	return nil
}

// readError returns an error that ends the process. When the store was busy, it schedules another
// look soon.
func (rn *Runner) readError(ctx context.Context, err error) error {
	again, fatal := rn.store.ReadError(ctx, err)
	if again {
		rn.mu.Lock()
		rn.nextDue = time.Now().Add(100 * time.Millisecond)
		rn.mu.Unlock()
	}
	return fatal
}

// replayPause is the time between the starts of two replays, so that a thousand of them do not
// overload the services they call.
const replayPause = 50 * time.Millisecond

// ReplayAt is when the next replay may begin.
func (rn *Runner) ReplayAt(now time.Time) time.Time {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	at := now
	if rn.nextReplay.After(now) {
		at = rn.nextReplay
	}
	rn.nextReplay = at.Add(replayPause)
	return at
}
