package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
)

// settle is stop 5: the plan says what is due now, what waits, or how the run
// ended. The result is one transaction: what was finished, what begins.
func (dr *driver) settle() Settlement {
	for _, r := range dr.unsaved {
		dr.state.Fit(r)
		dr.state.AddRecord(r)
	}
	dr.grow()
	dr.wake = time.Time{}
	dr.followClock()
	for {
		dr.state.Now = time.Now().UTC()
		dr.state.TimedOut = dr.timedOut()
		if dr.news != nil {
			dr.state.GoneTriggers = dr.e.goneTriggers(dr.state.Workflow)
		}
		dr.noteFinally()
		if dr.cut() && dr.inFlight > 0 {
			return dr.settlement(Running, time.Time{}) // its attempts come back first
		}
		if dr.cut() && !dr.toFinally() {
			dr.e.mu.Lock()
			dr.run.Error = cmp.Or(dr.why, dr.run.Ending)
			dr.e.mu.Unlock()
			return dr.whenQuiet(Cancelled, time.Time{})
		}
		if dr.forgot || dr.crowded && dr.inFlight > 0 {
			return dr.whenQuiet(Queued, dr.state.Now)
		}
		d := plan.Next(dr.state)
		dr.unsaved = append(dr.unsaved, d.Finished...)
		if dr.cutBeforeFinally(d) {
			continue
		}
		if d.End != nil {
			if dr.inFlight == 0 {
				dr.run.Output, dr.run.Error, dr.run.Text = d.End.Output, d.End.Error, d.End.Text
			}
			return dr.whenQuiet(RunStatus(d.End.Status), time.Time{})
		}
		if dr.call(d.Calls) {
			continue
		}
		dr.notice(d.Questions)
		dr.questions = d.Questions
		ready, next, failed := dr.ready(d)
		if failed {
			continue
		}
		if len(ready) == 0 {
			return dr.whenQuiet(Waiting, next)
		}
		if dr.early && slices.ContainsFunc(ready, inside) {
			dr.declined = true
			return dr.settlement(Waiting, dr.state.Now)
		}
		if dr.inline(ready) {
			continue
		}
		if dr.e.isStopping() || dr.crowded {
			// Nothing new begins; the next start, or who is lent the memory, goes on here.
			return dr.whenQuiet(Queued, dr.state.Now)
		}
		dr.open(ready)
		dr.wake = next
		return dr.settlement(Running, time.Time{})
	}
}

// whenQuiet settles a run, or, while attempts are open, what has changed so far:
// a run is at work until the last of them has come back.
func (dr *driver) whenQuiet(status RunStatus, due time.Time) Settlement {
	if dr.inFlight == 0 {
		return dr.settlement(status, due)
	}
	if status == Waiting {
		dr.wake = due
	}
	return dr.settlement(Running, time.Time{})
}

// cutBy cuts the run before it goes on.
func (dr *driver) cutBy(why *plan.Error) {
	dr.e.mu.Lock()
	defer dr.e.mu.Unlock()
	dr.why = why
	dr.cancel()
}

// cut tells that a person cancelled the run, as opposed to the whole stopping.
func (dr *driver) cut() bool { return dr.ctx.Err() != nil && dr.e.work.Err() == nil }

// ready picks the attempts whose time has come, and that may go to their
// destination; next is when the plan has to be asked again. It tells whether one
// has failed because it waited for too long.
func (dr *driver) ready(decision plan.Decision) (ready []plan.Due, next time.Time, failed bool) {
	next = decision.Wake
	later := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, d := range decision.Due {
		if d.NotBefore.After(dr.state.Now) {
			later(d.NotBefore)
			continue
		}
		h := dr.permit(d)
		if h == nil {
			ready = append(ready, d)
			continue
		}
		until := dr.state.Now.Add(destination.LookAgain)
		if h.Down {
			since := dr.state.Now
			if !d.HeldSince.IsZero() {
				since = d.HeldSince
			}
			until = since.Add(dr.e.o.MaxHeld)
		}
		if !dr.state.Now.Before(until) {
			dr.givesUp(d, h)
			failed = true
			continue
		}
		dr.hold(d, h)
		later(until)
	}
	if failed {
		// The plan is asked again; what has a permit keeps it until then.
		return nil, next, true
	}
	return ready, next, false
}

// inline carries out actions that leave nothing outside, such as log: they need
// no intent on record. It tells whether there was one.
func (dr *driver) inline(ready []plan.Due) bool {
	found := false
	for _, d := range ready {
		if inside(d) {
			dr.hide(d.Derived)
			r := dr.attempt(d, dr.allowed(d), nil)
			dr.state.AddRecord(r)
			dr.unsaved = append(dr.unsaved, r)
			found = true
		}
	}
	return found
}

// inside tells that an attempt leaves nothing outside.
func inside(d plan.Due) bool { return d.Step.Spec != nil && !d.Step.Spec.Leaves }

// open puts attempts on record before they are made: after a crash each of them
// is known to have possibly happened.
func (dr *driver) open(ready []plan.Due) {
	for _, d := range ready {
		dr.hide(d.Derived)
		r := &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Running, StartedAt: dr.state.Now,
			Input: d.Shown, Destination: dr.permits[d.Path].Name(), Notes: d.Notes}
		dr.state.AddRecord(r)
		dr.unsaved = append(dr.unsaved, r)
	}
	dr.due = ready
}

func (dr *driver) settlement(status RunStatus, due time.Time) Settlement {
	now := dr.state.Now
	worked := time.Now() // state.Now has no monotonic reading
	dr.run.Active += worked.Sub(dr.since)
	dr.since = worked
	dr.run.Status, dr.run.DueAt = status, due
	if status.Ended() {
		dr.run.FinishedAt = now
		dr.stopWaiting(dr.run.FinishedAt)
		dr.calls = append(dr.calls, dr.e.listening(dr.run, dr.event)...)
	}
	s := Settlement{Run: dr.run, Records: dr.unsaved, Answers: -1, Calls: dr.calls, Called: dr.event.Inlet == "call",
		Leaves: dr.state.Workflow.Bounded(), Cancelable: len(dr.state.Workflow.CancelOn) > 0, Wrote: dr.wrote.Load(), Mask: dr.masker()}
	if dr.news != nil {
		s.Answers, s.Awaits, s.Came = dr.answers, dr.awaits, dr.came(dr.unsaved)
		s.Ends = append(dr.ends, ending(dr.unsaved)...)
	}
	dr.ends = nil
	dr.unsaved, dr.calls = nil, nil
	return s
}

// stopWaiting closes the steps that still wait of a run that has ended, or has come to
// its finally steps.
func (dr *driver) stopWaiting(at time.Time) {
	for _, list := range dr.state.Records {
		if r := list[len(list)-1]; r.Status == plan.Waiting && (dr.run.Status.Ended() || !isFinal(r.Path)) {
			if call := r.Call(); call != nil {
				if id, err := ParseEventID(call.Event); err == nil {
					dr.ends = append(dr.ends, EndCall{id, dr.whyEnded()})
				}
			}
			ended := *r
			ended.Status, ended.FinishedAt, ended.Waits = plan.Failed, at, nil
			ended.Error = &plan.Error{Message: "the run ended", Code: plan.CutCode}
			dr.state.AddRecord(&ended)
			dr.unsaved = append(dr.unsaved, &ended)
		}
	}
}

func (dr *driver) timedOut() bool {
	return dr.run.Active+time.Since(dr.since) > dr.state.Workflow.Timeout
}
