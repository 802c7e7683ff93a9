package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// RunInbox takes up events that are only in the store, as there is room for them, until ctx ends.
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

// idle is the time until the next look while nothing is known to wait in the inbox.
const idle = 5 * time.Second

// pause is the time until the next look at the inbox.
func (in *Intake) pause() time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	backlog := in.backlog.Load()
	in.dozing = !backlog || in.room() == 0
	switch {
	case !in.dozing:
		return lookAgain
	case backlog:
		return roomAgain // until then runs may turn out to be slow
	}
	return idle
}

// wakeUp has RunInbox look at a backlog, when there is room for it.
func (in *Intake) wakeUp() {
	if !in.backlog.Load() {
		return
	}
	in.mu.Lock()
	look := in.canLook()
	in.mu.Unlock()
	if look {
		in.poke()
	}
}

func (in *Intake) poke() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// The inbox is looked at when manyAtOnce events can be taken up, or half of what can
// be at all; when fewer can, every lookAgain: each look costs a query. While there is no
// room, it is asked for every roomAgain.
const (
	manyAtOnce = 64
	lookAgain  = 10 * time.Millisecond
	roomAgain  = 50 * time.Millisecond
)

// room is how many events may be taken up now. What would only wait for a run's slot,
// or for its turn at a destination that is kept busy, is better left in the inbox: as a
// run it would be written and read back. But slow runs hold back no event as long as
// there are slots: those do not count that have been at work for a while (Runner.Slow). Events
// that are being decided may each begin a run, so that with them there are never more runs
// than the permits of one destination. It is called with the lock held.
func (in *Intake) room() int {
	n := in.runner.AtWork()
	free := in.o.MaxRuns - n
	if n >= in.maxRunsForIntake() {
		n -= min(in.runner.Slow(), n)
	}
	deciding := len(in.matching) + in.fast.deciding
	return max(0, min(in.o.MaxMatches-deciding, in.maxRunsForIntake()-n, free, in.maxPermits()-n-deciding))
}

// maxRunsForIntake is the number of quick runs at work above which no more events are taken
// up: 5/8 of MaxRuns. It is below maxPermits, so that new runs do not queue for a permit.
func (in *Intake) maxRunsForIntake() int { return in.o.MaxRuns - in.o.MaxRuns*3/8 }

// maxPermits is how many runs one destination may keep busy (package destination).
func (in *Intake) maxPermits() int { return in.o.MaxRuns - in.o.MaxRuns/4 }

// many tells that a look at the inbox is worth its query.
func (in *Intake) many(room int) bool {
	return room >= min(manyAtOnce, (in.o.MaxMatches+1)/2, (in.maxRunsForIntake()+1)/2)
}

// canLook tells that RunInbox is to be woken. It is called with the lock held.
func (in *Intake) canLook() bool {
	if !in.backlog.Load() {
		return false
	}
	room := in.room()
	return room > 0 && (in.dozing || in.many(room))
}

// takeInbox matches events that were stored when nobody was free, among them
// those of the time before a crash.
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
	// Those in work are still in the table, so as many more are asked for.
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
		events[i] = nil // arrived lets go of a large body
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
