package runner

import (
	"math"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// A run is slow once it has been executing for slowFrom. Slow runs are counted every countAgain.
const (
	slowFrom   = 250 * time.Millisecond
	countAgain = 50 * time.Millisecond
)

// AtWork is how many runs have a slot.
func (rn *Runner) AtWork() int { return int(rn.working.Load()) }

// Slow is how many runs have been executing for slowFrom. They are counted every countAgain.
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

// takeSlot takes a slot for a run; false if all are in use.
func (rn *Runner) takeSlot(ex *Execution) bool {
	id := ex.Run.ID
	rn.mu.Lock()
	defer rn.mu.Unlock()
	if len(rn.atWork) >= rn.o.MaxRuns && !ex.suspect || rn.stopping.Load() || rn.atWork[id] != nil {
		if rn.atWork[id] == nil {
			rn.nextDue = time.Now() // looked for again when a slot is free
		}
		return false // the goroutine that executes it reports when it is due again
	}
	rn.atWork[id], ex.taken = ex, time.Now()
	rn.working.Store(int64(len(rn.atWork)))
	return true
}

// Release frees a run's slot and everything else it holds. The execution must not be used
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
	if ex.held && rn.destinations.HasReservation(int64(ex.Run.ID)) {
		// Its permit became ready just as it was suspended.
		if ex.Run.Status.Ended() {
			rn.destinations.Forget(int64(ex.Run.ID), math.MaxUint64)
		} else if rn.resume(ex.Run.ID, false) == nil {
			rn.destinations.Requeue(int64(ex.Run.ID))
		}
	}
	if cut && ex.Run.Status == engine.Waiting {
		// Cancelled when its last update was already stored.
		if err := rn.store.Retry(func() error { return rn.cancelStored(rn.work, ex.Run.ID, ex.why) }); err != nil {
			rn.o.Log.Warn("a run was not cancelled", "run", ex.Run.ID, "error", err)
		}
	}
	if full {
		rn.wakeUp() // due runs may have waited for the slot
	}
	rn.o.Arrivals.SlotFreed()
}
