package machine

import (
	"math"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// evaluateQueued evaluates one workflow as evaluateWorkflow does, for a run that waits in the store. With
// alone, its event joins no others.
func (e *Engine) evaluateQueued(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error,
	alone bool) (d engine.Decision, start *engine.RunUpdate) {
	defer func() {
		if p := recover(); p != nil {
			d, start = e.panicked(l, ev, p), nil
		}
	}()
	d = l.Evaluate(ev, names, unreadable, time.Time{})
	if d.Outcome != engine.Matched {
		return d, nil
	}
	d.Run = engine.RunID(e.reg.NextID())
	ex := e.newRun(ev, l.Workflow, d.Run, names)
	ex.cancel() // it is taken up from the store
	defer ex.putDown()
	ex.alone = alone
	held, err := ex.heldBack()
	if err != nil {
		d.Run, d.Outcome, d.Reason = 0, engine.RuleFailed, engine.Problem(err)
		return d, nil
	}
	if held == nil {
		held = &engine.RunUpdate{Run: ex.Run, New: true, Answers: -1, Cancels: ex.Cancels}
	}
	if slot := held.Slot; slot != nil {
		// A person asked for it: what is full makes it wait.
		slot.OnFull, slot.MaxQueue, slot.RateDrop = "queue", math.MaxInt, false
	}
	return d, held
}

// replayPause is the time between the starts of two replays, so that a thousand of them
// do not overload the services that they call.
const replayPause = 50 * time.Millisecond

// replayAt is when a replay may begin.
func (e *Engine) replayAt(now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := now
	if e.nextReplay.After(now) {
		at = e.nextReplay
	}
	e.nextReplay = at.Add(replayPause)
	return at
}
