package intake

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file is the fast path: an event is decided before its sender is answered. The event, the
// decisions, the runs that begin and their first attempts are then stored in one transaction, and
// the attempts start as soon as it is on disk. The fast path must never delay or lose an answer. An
// event takes the normal path if its decision takes too long, would have side effects or queue
// before the event is known to be new, or finds no free slot: the event is then stored alone and
// stays in the inbox until it is decided.

const (
	// decideDeadline is how long decisions may delay the answer to a sender.
	decideDeadline = 50 * time.Millisecond
	// slowFor and busyFor are how long the events of a trigger are diverted to the normal
	// path: after one that passed decideDeadline, and after one that would have had side
	// effects or queued.
	slowFor = time.Second
	busyFor = 100 * time.Millisecond
	// maxFastBody is the largest body, in bytes, of an event on the fast path.
	maxFastBody = 64 << 10
)

// fastPath is the state of the fast path, guarded by Intake.mu.
type fastPath struct {
	// deciding counts the events on it.
	deciding int
	// diverted are the triggers whose events take the normal path, and until when.
	diverted map[string]time.Time
}

// acceptFast stores and decides an event in one transaction. If ok is false, nothing was stored,
// and the event must take the normal path.
func (in *Intake) acceptFast(ctx context.Context, id engine.EventID, d *engine.Delivery) (r engine.Receipt, ok bool) {
	if d.Unsubscribed || len(d.Raw) > maxFastBody || !in.enterFastPath(d.Trigger) {
		return r, false
	}
	defer in.leaveFastPath()
	until := time.Now().Add(decideDeadline)
	ev := &engine.Event{ID: id, Delivery: *d}
	if !in.store.TryShare(ev) {
		return r, false
	}
	defer ev.Share.Release()
	rules := in.reg.Rules() // before Deciding: a change in between then makes the store reject the decisions
	p, decided := in.reg.Deciding()
	defer decided()
	m, live := in.evaluate(p, ev, until, nil)
	defer func() {
		if !ok || r.Duplicate {
			for _, ex := range live {
				in.runner.Release(ex)
			}
		}
	}()
	if !time.Now().Before(until) {
		in.divert(d.Trigger, slowFor)
		return r, false
	}
	for _, ex := range live {
		if ex.Declined() {
			in.divert(d.Trigger, busyFor)
			return r, false
		}
		ex.Confirm()
	}
	m.Rules = rules
	r, result, err := in.acceptDecided(ctx, id, d, m)
	if err != nil {
		return r, false // the normal path reports the error
	}
	if !r.Duplicate {
		in.alerts.AlertOver(engine.AlertSilence, d.Trigger)
		if in.o.Watch != nil {
			in.o.Watch.Stored(d, r)
		}
		in.runner.ExecuteAll(in.matched(ev, m, result, live))
	}
	return r, true
}

// enterFastPath reports whether an event of a trigger may take the fast path now. If it returns
// true, the caller must call leaveFastPath.
func (in *Intake) enterFastPath(trigger string) bool {
	p := in.reg.Snapshot()
	in.mu.Lock()
	defer in.mu.Unlock()
	// Ordered events keep their order, and events in the inbox are older.
	if p == nil || p.Gated[trigger] || in.backlog.Load() || in.stopping || in.work == nil || in.room() == 0 {
		return false
	}
	if until, ok := in.fast.diverted[trigger]; ok {
		if time.Now().Before(until) {
			return false
		}
		delete(in.fast.diverted, trigger)
	}
	in.fast.deciding++
	in.goroutines.Add(1)
	return true
}

func (in *Intake) leaveFastPath() {
	in.mu.Lock()
	in.fast.deciding--
	look := in.canLook()
	in.mu.Unlock()
	in.goroutines.Done()
	if look {
		in.signalInbox()
	}
}

// divert makes the events of a trigger take the normal path for a while.
func (in *Intake) divert(trigger string, pause time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fast.diverted == nil {
		in.fast.diverted = map[string]time.Time{}
	}
	in.fast.diverted[trigger] = time.Now().Add(pause)
}
