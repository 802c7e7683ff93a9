package runner

import (
	"context"
	"fmt"
	"time"
)

// RunDue takes up runs of the store when they are due, until ctx ends. It sleeps until one is
// due or it is woken.
func (rn *Runner) RunDue(ctx context.Context) {
	for {
		if err := rn.takeDue(ctx); err != nil {
			rn.store.Fail(err)
			return
		}
		pause := rn.pause()
		if at := rn.destinations.Look(time.Now()); !at.IsZero() {
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

// dueAgain is how often due runs are looked for when nobody has said that one is.
const dueAgain = 5 * time.Second

// pause is the time until the next run is due, at most dueAgain: wall clocks step, and
// a timer set by the old time would sleep through.
func (rn *Runner) pause() time.Duration {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	if rn.nextDue.IsZero() || len(rn.atWork) >= rn.o.MaxRuns {
		return dueAgain
	}
	return min(max(time.Until(rn.nextDue), time.Millisecond), dueAgain)
}

func (rn *Runner) poke() {
	select {
	case rn.wake <- struct{}{}:
	default:
	}
}

// DueAt tells of a run that waits in the store and is due at a moment; zero is no moment.
func (rn *Runner) DueAt(t time.Time) {
	if rn.noteDue(t) {
		rn.poke()
	}
}

// noteDue keeps the earliest moment at which a run is due; zero is no moment.
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

// takeDue takes up runs whose time has come, as far as there is room.
func (rn *Runner) takeDue(ctx context.Context) error {
	rn.mu.Lock()
	room := rn.o.MaxRuns - len(rn.atWork)
	now := time.Now()
	due := room > 0 && (!rn.nextDue.IsZero() && !now.Before(rn.nextDue) || now.Sub(rn.lookedDue) >= dueAgain)
	if due {
		rn.lookedDue = now
		// Emptied before the store is read: what comes while it is read stays.
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

// readError passes an error on that ends the process. What is due is looked for soon again
// when the store was busy.
func (rn *Runner) readError(ctx context.Context, err error) error {
	again, fatal := rn.store.ReadError(ctx, err)
	if again {
		rn.mu.Lock()
		rn.nextDue = time.Now().Add(100 * time.Millisecond)
		rn.mu.Unlock()
	}
	return fatal
}

// replayPause is the time between the starts of two replays, so that a thousand of them
// do not overload the services that they call.
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
