package machine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file is the fast path: an event is decided before its sender is answered. The event,
// the decisions, the runs that begin and their first attempts are then one transaction, and
// the attempts start as soon as it is on disk. An answer must never be late or lost because
// of it. What takes too long, would have side effects or queue before the event is known to
// be new, or finds no free slot takes the normal path: the event is stored alone and stays
// in the inbox until it is decided.

const (
	// decideDeadline is how long decisions may delay an answer.
	decideDeadline = 50 * time.Millisecond
	// slowFor and busyFor are how long the events of a trigger are diverted to the normal
	// path: after one that passed decideDeadline, and after one that would have had side
	// effects or queued.
	slowFor = time.Second
	busyFor = 100 * time.Millisecond
	// maxFastBody is the largest body, in bytes, that the fast path takes.
	maxFastBody = 64 << 10
)

// fastPath is the state of the fast path, guarded by Engine.mu.
type fastPath struct {
	// deciding counts the events on it.
	deciding int
	// diverted are the triggers whose events take the normal path, and until when.
	diverted map[string]time.Time
}

// acceptFast stores and decides an event in one transaction. With !ok nothing was stored,
// and the event has to take the normal path.
func (e *Engine) acceptFast(ctx context.Context, id engine.EventID, d *engine.Delivery) (r engine.Receipt, ok bool) {
	if d.Unsubscribed || len(d.Raw) > maxFastBody || !e.enterFastPath(d.Trigger) {
		return r, false
	}
	defer e.leaveFastPath()
	until := time.Now().Add(decideDeadline)
	ev := &engine.Event{ID: id, Delivery: *d}
	if !e.tryShare(ev) {
		return r, false
	}
	defer ev.Share.Release()
	p, decided := e.reg.Deciding()
	defer decided()
	m, live := e.evaluate(p, ev, until)
	defer func() {
		if !ok || r.Duplicate {
			for _, ex := range live {
				e.release(ex)
			}
		}
	}()
	if !time.Now().Before(until) {
		e.divert(d.Trigger, slowFor)
		return r, false
	}
	for _, ex := range live {
		if ex.declined {
			e.divert(d.Trigger, busyFor)
			return r, false
		}
		ex.provisional, ex.State.Until = false, time.Time{}
	}
	r, result, err := e.acceptDecided(ctx, id, d, m)
	if err != nil {
		return r, false // the normal path reports the error
	}
	if !r.Duplicate {
		e.AlertOver(engine.AlertSilence, d.Trigger)
		if e.o.Watch != nil {
			e.o.Watch.Stored(d, r)
		}
		e.executeAll(e.matched(ev, m, result, live))
	}
	return r, true
}

// enterFastPath reports whether an event of a trigger may take the fast path now. The caller
// must call leaveFastPath when it did.
func (e *Engine) enterFastPath(trigger string) bool {
	p := e.reg.Snapshot()
	e.mu.Lock()
	defer e.mu.Unlock()
	// Ordered events keep their order, and what is in the inbox is older.
	if p == nil || p.Gated[trigger] || e.backlog || e.stopping || e.work == nil || e.room() == 0 {
		return false
	}
	if until, ok := e.fast.diverted[trigger]; ok {
		if time.Now().Before(until) {
			return false
		}
		delete(e.fast.diverted, trigger)
	}
	e.fast.deciding++
	e.goroutines.Add(1)
	return true
}

func (e *Engine) leaveFastPath() {
	e.mu.Lock()
	e.fast.deciding--
	e.mu.Unlock()
	e.goroutines.Done()
	e.wakeUp(false)
}

// divert sends the events of a trigger to the normal path for a while.
func (e *Engine) divert(trigger string, pause time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fast.diverted == nil {
		e.fast.diverted = map[string]time.Time{}
	}
	e.fast.diverted[trigger] = time.Now().Add(pause)
}
