package runner

import (
	"cmp"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
)

// maxInline is after how many records an update is stored although the run could go on. Otherwise
// the event of a run that begins with a long loop without side effects would stay undecided, a crash
// would repeat the loop from its beginning, and a stop would wait for its end.
const maxInline = 1000

// advance asks the planner for the next steps and returns the update to store: finished attempts,
// attempts about to start, and the run's new status. It also executes actions without side
// effects.
func (ex *Execution) advance() engine.RunUpdate {
	for _, r := range ex.unsaved {
		ex.State.Fit(r)
		ex.State.AddRecord(r)
	}
	ex.grow()
	ex.wake, ex.more = time.Time{}, false
	ex.followClock()
	for {
		ex.State.Now = time.Now().UTC()
		ex.State.TimedOut = ex.timedOut()
		if ex.news != nil {
			ex.State.GoneTriggers = ex.rn.reg.GoneTriggers(ex.State.Workflow)
		}
		ex.noteFinally()
		if ex.cut() && ex.inFlight > 0 {
			return ex.update(engine.Running, time.Time{}) // wait for its attempts first
		}
		if ex.cut() && !ex.toFinally() {
			ex.rn.mu.Lock()
			ex.Run.Error = cmp.Or(ex.why, ex.Run.Ending)
			ex.rn.mu.Unlock()
			return ex.whenQuiet(engine.Cancelled, time.Time{})
		}
		if ex.forgot || ex.crowded && ex.inFlight > 0 {
			return ex.whenQuiet(engine.Queued, ex.State.Now)
		}
		d := plan.Next(ex.State)
		ex.unsaved = append(ex.unsaved, d.Finished...)
		if ex.cutBeforeFinally(d) {
			continue
		}
		if d.End != nil {
			if ex.inFlight == 0 {
				ex.Run.Output, ex.Run.Error, ex.Run.Text = d.End.Output, d.End.Error, d.End.Text
			}
			return ex.whenQuiet(engine.RunStatus(d.End.Status), time.Time{})
		}
		if ex.call(d.Calls) {
			continue
		}
		ex.recordWaits(d.Questions)
		ex.questions = d.Questions
		ready, next, failed := ex.ready(d)
		if failed {
			continue
		}
		if len(ready) == 0 {
			return ex.whenQuiet(engine.Waiting, next)
		}
		if ex.provisional && slices.ContainsFunc(ready, isLocal) {
			ex.declined = true
			return ex.update(engine.Waiting, ex.State.Now)
		}
		inlined := ex.inline(ready)
		if inlined && len(ex.unsaved) < maxInline {
			continue
		}
		if ex.rn.stopping.Load() || ex.crowded {
			// No attempt starts now. The run continues here after the next start of the process, or when it gets the memory.
			return ex.whenQuiet(engine.Queued, ex.State.Now)
		}
		if ex.more = inlined; !inlined {
			ex.open(ready)
			ex.wake = next
		}
		return ex.update(engine.Running, time.Time{})
	}
}

// whenQuiet returns the update to a status. While attempts are in flight it returns only the
// changes so far: a run stays running until its last attempt has returned.
func (ex *Execution) whenQuiet(status engine.RunStatus, due time.Time) engine.RunUpdate {
	if ex.inFlight == 0 {
		return ex.update(status, due)
	}
	if status == engine.Waiting {
		ex.wake = due
	}
	return ex.update(engine.Running, time.Time{})
}

// cutBy cancels the run before it continues.
func (ex *Execution) cutBy(why *plan.Error) {
	ex.rn.mu.Lock()
	defer ex.rn.mu.Unlock()
	ex.why = why
	ex.cancel()
}

// cut reports whether a person cancelled the run, as opposed to a shutdown of the process.
func (ex *Execution) cut() bool { return ex.ctx.Err() != nil && ex.rn.work.Err() == nil }

// ready picks the attempts that are due and have a permit for their destination. next is when the
// planner must be asked again. It reports whether an attempt failed because it waited too long.
func (ex *Execution) ready(decision plan.Decision) (ready []plan.Due, next time.Time, failed bool) {
	next = decision.Wake
	later := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, d := range decision.Due {
		if d.NotBefore.After(ex.State.Now) {
			later(d.NotBefore)
			continue
		}
		h := ex.permit(d)
		if h == nil {
			ready = append(ready, d)
			continue
		}
		until := ex.State.Now.Add(destination.RecheckAfter)
		if h.Down {
			since := ex.State.Now
			if !d.HeldSince.IsZero() {
				since = d.HeldSince
			}
			until = since.Add(ex.rn.o.MaxHeld)
		}
		if !ex.State.Now.Before(until) {
			ex.givesUp(d, h)
			failed = true
			continue
		}
		ex.hold(d, h)
		later(until)
	}
	if failed {
		// The planner is asked again; attempts that have a permit keep it until then.
		return nil, next, true
	}
	return ready, next, false
}

// inline executes actions without side effects, such as log: they need no record before they
// start. It reports whether there was one.
func (ex *Execution) inline(ready []plan.Due) bool {
	found := false
	for _, d := range ready {
		if isLocal(d) {
			ex.Hide(d.Derived)
			r := ex.attempt(d, ex.allowed(d), nil)
			ex.State.AddRecord(r)
			ex.unsaved = append(ex.unsaved, r)
			found = true
		}
	}
	return found
}

// isLocal reports whether an attempt has no side effects outside the process.
func isLocal(d plan.Due) bool { return d.Step.Spec != nil && !d.Step.Spec.SideEffects }

// open records attempts before they start: after a crash the record shows which of them may have
// had effects.
func (ex *Execution) open(ready []plan.Due) {
	for _, d := range ready {
		ex.Hide(d.Derived)
		r := &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Running, StartedAt: ex.State.Now,
			Input: d.Shown, Destination: ex.permits[d.Path].Name(), Notes: d.Notes}
		ex.State.AddRecord(r)
		ex.unsaved = append(ex.unsaved, r)
	}
	ex.due = ready
}

func (ex *Execution) update(status engine.RunStatus, due time.Time) engine.RunUpdate {
	now := ex.State.Now
	worked := time.Now() // state.Now has no monotonic reading
	ex.Run.Active += worked.Sub(ex.since)
	ex.since = worked
	ex.Run.Status, ex.Run.DueAt = status, due
	if status.Ended() {
		ex.Run.FinishedAt = now
		ex.stopWaiting(ex.Run.FinishedAt)
		ex.emits = append(ex.emits, ex.rn.subscriberEvents(ex.Run, ex.Event)...)
	}
	s := engine.RunUpdate{Run: ex.Run, Records: ex.unsaved, Answers: -1, Emits: ex.emits, Called: ex.Event.Inlet == "call",
		FreesSlot: ex.State.Workflow.Bounded(), Cancelable: len(ex.State.Workflow.CancelOn) > 0, Wrote: ex.wrote.Load(), Mask: ex.Masker()}
	if ex.news != nil {
		s.Answers, s.Awaits, s.Came = ex.answers, ex.awaits, ex.came(ex.unsaved)
		s.Ends = append(ex.ends, ending(ex.unsaved)...)
	}
	ex.ends = nil
	ex.unsaved, ex.emits = nil, nil
	return s
}

// stopWaiting closes the waiting steps of a run that has ended or has reached its finally steps.
func (ex *Execution) stopWaiting(at time.Time) {
	for _, list := range ex.State.Records {
		if r := list[len(list)-1]; r.Status == plan.Waiting && (ex.Run.Status.Ended() || !isFinal(r.Path)) {
			if call := r.Call(); call != nil {
				if id, err := engine.ParseEventID(call.Event); err == nil {
					ex.ends = append(ex.ends, engine.EndCall{Event: id, Why: ex.whyEnded()})
				}
			}
			ended := *r
			ended.Status, ended.FinishedAt, ended.Waits = plan.Failed, at, nil
			ended.Error = &plan.Error{Message: "the run ended", Code: plan.CutCode}
			ex.State.AddRecord(&ended)
			ex.unsaved = append(ex.unsaved, &ended)
		}
	}
}

func (ex *Execution) timedOut() bool {
	return ex.Run.Active+time.Since(ex.since) > ex.State.Workflow.Timeout
}
