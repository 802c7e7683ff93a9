package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// RunInbox picks up events from the store as capacity allows, until ctx ends.
func (in *Intake) RunInbox(ctx context.Context) {
	for {
		if err := in.takeInbox(ctx); err != nil {
			in.store.Fail(err)
			return
		}
		timer := time.NewTimer(in.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-in.wake:
			timer.Stop()
		}
	}
}

// idle is the time between two queries of the inbox while no backlog is known.
const idle = 5 * time.Second

// pause is the time until the next query of the inbox.
func (in *Intake) pause() time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	backlog := in.backlog.Load()
	in.sleeping = !backlog || in.room() == 0
	switch {
	case !in.sleeping:
		return lookAgain
	case backlog:
		return roomAgain // by then some runs may count as slow
	}
	return idle
}

// wakeUp wakes RunInbox if there is a backlog and capacity for it.
func (in *Intake) wakeUp() {
	if !in.backlog.Load() {
		return
	}
	in.mu.Lock()
	look := in.canLook()
	in.mu.Unlock()
	if look {
		in.signalInbox()
	}
}

func (in *Intake) signalInbox() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// Every query of the inbox has a cost. It is therefore made when manyAtOnce events can be picked
// up, or half of the maximum; if fewer can, every lookAgain. While there is no capacity, it is
// checked every roomAgain.
const (
	manyAtOnce = 64
	lookAgain  = 10 * time.Millisecond
	roomAgain  = 50 * time.Millisecond
)

// room is how many events may be picked up now. An event whose run would only wait for a slot, or
// for a permit of a busy destination, is better left in the inbox: as a run it would be written and
// read back. Slow runs (Runner.Slow) do not count, so that they hold back no event as long as slots
// are free. Events being decided count as runs, because each may begin one; so there are never more
// runs than the permits of one destination. The caller holds the lock.
func (in *Intake) room() int {
	n := in.runner.AtWork()
	free := in.o.MaxRuns - n
	if n >= in.maxRunsForIntake() {
		n -= min(in.runner.Slow(), n)
	}
	deciding := len(in.matching) + in.fast.deciding
	return max(0, min(in.o.MaxMatches-deciding, in.maxRunsForIntake()-n, free, in.maxPermits()-n-deciding))
}

// maxRunsForIntake is the number of active quick runs above which no more events are picked up: 5/8
// of MaxRuns. It is below maxPermits, so that new runs do not queue for a permit.
func (in *Intake) maxRunsForIntake() int { return in.o.MaxRuns - in.o.MaxRuns*3/8 }

// maxPermits is the largest number of runs that may use one destination at once (package
// destination).
func (in *Intake) maxPermits() int { return in.o.MaxRuns - in.o.MaxRuns/4 }

// many reports whether enough events can be picked up to justify a query of the inbox.
func (in *Intake) many(room int) bool {
	return room >= min(manyAtOnce, (in.o.MaxMatches+1)/2, (in.maxRunsForIntake()+1)/2)
}

// canLook reports whether RunInbox should be woken. The caller holds the lock.
func (in *Intake) canLook() bool {
	if !in.backlog.Load() {
		return false
	}
	room := in.room()
	return room > 0 && (in.sleeping || in.many(room))
}

// takeInbox matches events that were stored while no slot was free to match them, including those
// from before a crash.
func (in *Intake) takeInbox(ctx context.Context) error {
	in.mu.Lock()
	room := in.room()
	look := in.backlog.Load() && (in.many(room) || room > 0 && time.Since(in.looked) >= lookAgain)
	if look {
		in.backlog.Store(false)
		in.looked = time.Now()
	}
	known := len(in.matching)
	missed := in.ordered.missed
	in.mu.Unlock()
	if !look {
		return nil
	}
	// Events being decided are still in the table, so the limit is raised by their number.
	limit := room + known
	events, whole, err := in.store.ClaimInbox(ctx, in.store.Owner(), limit, in.isMatching)
	if err != nil {
		again, fatal := in.store.ReadError(ctx, fmt.Errorf("reading the inbox: %w", err))
		if again {
			in.mu.Lock()
			in.backlog.Store(true)
			in.mu.Unlock()
		}
		return fatal
	}
	for i, ev := range events {
		events[i] = nil // arrived releases a large body
		in.reg.SeenID(int64(ev.ID))
		if !in.isMatching(ev.ID) {
			in.arrived(ev, true)
		}
	}
	in.mu.Lock()
	if whole {
		in.ordered.caughtUp(missed)
	} else {
		in.backlog.Store(true)
	}
	in.mu.Unlock()
	return nil
}

func (in *Intake) isMatching(id engine.EventID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.matching[id]
}
