package engine

import (
	"context"
	"time"
)

// This file is the short way of an event: it is decided before its sender is
// answered, so that what happened, what the workflows say to it, the runs that begin
// and their first attempts are one transaction, and the attempts go out as soon as it
// is on disk. An answer must never be late or lost by this. Whatever takes long, would
// have to act or to queue before the event is known to be new, or finds nobody free
// goes the long way: the event is stored by itself, and waits in the inbox until it is
// decided.

const (
	// patience is how long an answer waits for decisions.
	patience = 50 * time.Millisecond
	// slowFor is how long the events of a trigger go the long way after one that took
	// longer, busyFor after one that would have had to act or to queue.
	slowFor = time.Second
	busyFor = 100 * time.Millisecond
	// maxEarly is the size in bytes up to which a body is decided on the short way.
	maxEarly = 64 << 10
)

// early is what the short way knows; it is guarded by the engine's lock.
type early struct {
	// deciding counts the events on it.
	deciding int
	// apart are the triggers whose events go the long way, and until when.
	apart map[string]time.Time
}

// acceptDecided is stops 1 and 2 in one. It gives !ok when nothing was stored, so that
// the event has to go the long way.
func (e *Engine) acceptDecided(ctx context.Context, id EventID, d *Delivery) (r Receipt, ok bool) {
	if d.Unheard || len(d.Raw) > maxEarly || !e.enterEarly(d.Trigger) {
		return r, false
	}
	defer e.leaveEarly()
	until := time.Now().Add(patience)
	ev := &Event{ID: id, Delivery: *d}
	if !e.tryShare(ev) {
		return r, false
	}
	defer ev.share.letGo()
	p, decided := e.deciding()
	defer decided()
	m, live := e.consider(p, ev, until)
	defer func() {
		if !ok || r.Duplicate {
			for _, dr := range live {
				e.release(dr)
			}
		}
	}()
	if !time.Now().Before(until) {
		e.keepApart(d.Trigger, slowFor)
		return r, false
	}
	for _, dr := range live {
		if dr.declined {
			e.keepApart(d.Trigger, busyFor)
			return r, false
		}
		dr.early, dr.state.Until = false, time.Time{}
	}
	r, result, err := e.o.Store.AcceptDecided(ctx, id, d, m)
	if err != nil {
		return r, false // the long way says what is wrong
	}
	if !r.Duplicate {
		e.AlertOver(AlertSilence, d.Trigger)
		if e.o.Watch != nil {
			e.o.Watch.Stored(d, r)
		}
		e.driveBeside(e.matched(ev, m, result, live))
	}
	return r, true
}

// enterEarly tells whether an event of a trigger may go the short way now.
func (e *Engine) enterEarly(trigger string) bool {
	p := e.project.Load()
	e.mu.Lock()
	defer e.mu.Unlock()
	// The lane keeps an order, and what is in the inbox is older.
	if p == nil || p.gated[trigger] || e.behind || e.stopping || e.work == nil || e.room() == 0 {
		return false
	}
	if until, ok := e.early.apart[trigger]; ok {
		if time.Now().Before(until) {
			return false
		}
		delete(e.early.apart, trigger)
	}
	e.early.deciding++
	e.drivers.Add(1)
	return true
}

func (e *Engine) leaveEarly() {
	e.mu.Lock()
	e.early.deciding--
	e.mu.Unlock()
	e.drivers.Done()
	e.wakeUp(false)
}

// keepApart sends a trigger's events the long way for a while.
func (e *Engine) keepApart(trigger string, pause time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.early.apart == nil {
		e.early.apart = map[string]time.Time{}
	}
	e.early.apart[trigger] = time.Now().Add(pause)
}
