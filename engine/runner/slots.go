package runner

import (
	"math"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// A run is slow when it has been at work for slowFrom. Slow runs are counted every countAgain.
const (
	slowFrom   = 250 * time.Millisecond
	countAgain = 50 * time.Millisecond
)

// AtWork is how many runs have a slot.
func (rn *Runner) AtWork() int { return int(rn.working.Load()) }

// Slow is how many runs have been at work for slowFrom. They are counted every countAgain.
func (rn *Runner) Slow() int {
	now := int64(time.Since(rn.made))
	if last := rn.counted.Load(); now-last >= int64(countAgain) && rn.counted.CompareAndSwap(last, now) {
		rn.countSlow(time.Now())
	}
	return int(min(rn.slow.Load(), rn.working.Load()))
}

func (rn *Runner) countSlow(now time.Time) {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	n := int64(0)
	for _, ex := range rn.atWork {
		if now.Sub(ex.taken) >= slowFrom {
			n++
		}
	}
	rn.slow.Store(n)
}

// takeSlot claims the right to work on a run; false when all are in use.
func (rn *Runner) takeSlot(ex *Execution) bool {
	id := ex.Run.ID
	rn.mu.Lock()
	defer rn.mu.Unlock()
	if len(rn.atWork) >= rn.o.MaxRuns && !ex.suspect || rn.stopping.Load() || rn.atWork[id] != nil {
		if rn.atWork[id] == nil {
			rn.nextDue = time.Now() // looked for again when a slot is free
		}
		return false // who works on it says when it is due again
	}
	rn.atWork[id], ex.taken = ex, time.Now()
	rn.working.Store(int64(len(rn.atWork)))
	return true
}

// Release gives a run's slot back, and all that it holds. The execution must not be used
// afterwards.
func (rn *Runner) Release(ex *Execution) {
	ex.putDown()
	if !ex.slot {
		ex.cancel()
		return
	}
	rn.mu.Lock()
	full := len(rn.atWork) >= rn.o.MaxRuns
	delete(rn.atWork, ex.Run.ID)
	rn.working.Store(int64(len(rn.atWork)))
	cut := ex.cut()
	rn.mu.Unlock()
	ex.cancel()
	ex.giveBack()
	if ex.held && rn.destinations.HasTicket(int64(ex.Run.ID)) {
		// It was called in the moment it was put down.
		if ex.Run.Status.Ended() {
			rn.destinations.Forget(int64(ex.Run.ID), math.MaxUint64)
		} else if rn.resume(ex.Run.ID, false) == nil {
			rn.destinations.PutBack(int64(ex.Run.ID))
		}
	}
	if cut && ex.Run.Status == engine.Waiting {
		// Cancelled when its last word was on record already.
		if err := rn.store.Retry(func() error { return rn.cancelStored(rn.work, ex.Run.ID, ex.why) }); err != nil {
			rn.o.Log.Warn("a run was not cancelled", "run", ex.Run.ID, "error", err)
		}
	}
	if full {
		rn.poke() // what is due may have waited for the slot
	}
	rn.o.Arrivals.SlotFreed()
}
