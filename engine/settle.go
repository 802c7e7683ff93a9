package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// drive carries a run on until it has ended or waits. A bug that one run brings out
// ends that run alone.
func (e *Engine) drive(dr *driver) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a run panicked", "run", dr.run.ID, "panic", p, "stack", string(debug.Stack()))
			e.unrecorded(dr, panicked(p))
		}
	}()
	e.carry(dr)
}

// panicked is what is on record of a bug.
func panicked(p any) error { return fmt.Errorf("this run panicked, which is a bug of Hookloom: %v", p) }

// carry makes what is due, asks the plan, and stores, again and again.
func (e *Engine) carry(dr *driver) {
	for {
		dr.perform()
		mark := uint64(0)
		if dr.held {
			mark = e.destinations.Mark()
		}
		s := dr.settle()
		if dr.held {
			e.destinations.Forget(int64(dr.run.ID), mark) // those that it did not take
		}
		var next time.Time
		err := e.store(func() (err error) {
			next, err = e.o.Store.Settle(context.WithoutCancel(e.work), s)
			return err
		})
		if err != nil {
			if e.rowsFault(err) {
				err = fmt.Errorf("what this run did cannot be recorded: %w", err)
			}
			e.unrecorded(dr, err)
			return
		}
		e.began(s)
		e.dueAt(next)
		e.observe(dr.event, s)
		dr.stored(s.Records)
		if len(dr.due) == 0 && dr.inFlight == 0 {
			ended := dr.run.Status.Ended()
			if !ended {
				e.noteQuestions(dr)
			}
			e.release(dr)
			if ended {
				e.logEnd(dr.run, dr.masker())
			} else {
				e.dueAt(dr.run.DueAt)
			}
			return
		}
	}
}

// maxLogged is how many bytes of an error are logged.
const maxLogged = 4 << 10

func (e *Engine) logEnd(r *Run, m *Masker) {
	if r.Error != nil {
		e.o.Log.Warn("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event, "step", r.Error.Step, "error", m.Text(workflows.CutText(r.Error.Message, maxLogged)))
		return
	}
	if !e.o.Log.Enabled(context.Background(), slog.LevelDebug) {
		return // the attributes cost more than the call
	}
	e.o.Log.Debug("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event)
}

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

func (e *Engine) isStopping() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping
}

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
		r := &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Running, StartedAt: dr.state.Now, Input: d.Shown, Destination: dr.permits[d.Path].Name(), Notes: d.Notes}
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
	if status == Waiting && due.IsZero() {
		dr.run.DueAt = now.AddDate(100, 0, 0) // until somebody answers
	}
	s := Settlement{Run: dr.run, Records: dr.unsaved, Answers: -1, Calls: dr.calls, Called: dr.event.Inlet == "call", Leaves: dr.state.Workflow.Bounded(), Cancelable: len(dr.state.Workflow.CancelOn) > 0, Wrote: dr.wrote.Load(), Mask: dr.masker()}
	if dr.news != nil {
		s.Answers, s.Awaits, s.Came = dr.answers, dr.awaits, dr.came(dr.unsaved)
		s.AnyWaits, s.EndsAnyWaits = anyWaits(dr.unsaved), status.Ended() && dr.state.Workflow.WaitsForAny()
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
			if id, err := ParseEventID(plan.Called(r)); err == nil {
				dr.ends = append(dr.ends, EndCall{id, dr.whyEnded()})
			}
			ended := *r
			ended.Status, ended.FinishedAt, ended.Output = plan.Failed, at, nil
			ended.Error = &plan.Error{Message: "the run ended", Code: plan.CutCode}
			dr.state.AddRecord(&ended)
			dr.unsaved = append(dr.unsaved, &ended)
		}
	}
}

func (dr *driver) timedOut() bool {
	return dr.run.Active+time.Since(dr.since) > dr.state.Workflow.Timeout
}

// resume takes a run up from the store. The channel closes when the run has ended
// or waits; it is nil when there was no slot.
func (e *Engine) resume(id RunID, suspect bool) <-chan struct{} {
	dr := &driver{e: e, run: &Run{ID: id}, slot: true, suspect: suspect}
	dr.ctx, dr.cancel = context.WithCancel(e.work)
	if !e.takeSlot(dr) {
		dr.cancel()
		return nil
	}
	done := make(chan struct{})
	e.drivers.Add(1)
	go func() {
		defer e.drivers.Done()
		defer close(done)
		if err := e.loadAlone(dr); err != nil {
			if !errors.Is(err, ErrStale) && !errors.Is(err, errGaveUp) && e.work.Err() == nil {
				e.o.Log.Error("a run cannot go on", "run", id, "error", err)
			}
			if errors.Is(err, ErrStale) {
				e.large.Delete(id) // it has ended meanwhile
			}
			e.release(dr)
			e.destinations.Forget(int64(id), math.MaxUint64)
			// The run was put aside, or has changed. If it became due again while this slot
			// was held, the dispatcher passed it by.
			e.dueAt(time.Now())
			return
		}
		e.drive(dr)
	}()
	return done
}

// loadAlone loads a run; a bug that its data brings out ends it as one that cannot run.
func (e *Engine) loadAlone(dr *driver) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a run panicked", "run", dr.run.ID, "panic", p, "stack", string(debug.Stack()))
			if dr.event == nil {
				dr.event = &Event{ID: dr.run.Event}
			}
			err = e.giveUp(dr, panicked(p))
		}
	}()
	return e.load(dr)
}

// load fills a driver from the store. A run whose workflow or event cannot be
// read any more ends as failed, with the reason.
func (e *Engine) load(dr *driver) error {
	if aside, err := e.parked(e.work, dr.run.ID); aside || err != nil {
		return cmp.Or(err, ErrStale)
	}
	if err := e.makeRoom(dr); err != nil {
		return err
	}
	var t *Taken
	err := e.store(func() (err error) {
		t, err = e.o.Store.Take(e.work, dr.run.ID)
		return err
	})
	if err != nil {
		return err
	}
	dr.run, dr.since = t.Run, time.Now()
	if t.Unreadable != nil {
		dr.event = t.Event
		return e.giveUp(dr, fmt.Errorf("a row of this run cannot be read: %w (hookloom replay %s runs it again from its event)", t.Unreadable, dr.run.ID))
	}
	if why, is := e.isToEnd(t.Run.Event); is && t.Event.Inlet == "call" {
		dr.cutBy(&plan.Error{Message: why, Code: "cancelled"})
	}
	ev := t.Event
	t.Event = nil // so that a large body is not held while it waits
	if !e.tryShare(ev) {
		ev = ev.withoutBody()
	}
	if dr.event, err = e.awaitShare(e.work, ev); e.rowsFault(err) {
		dr.event = &Event{ID: ev.ID, Delivery: Delivery{Trigger: ev.Trigger, Inlet: ev.Inlet}}
		return e.giveUp(dr, err)
	} else if err != nil {
		return err
	}
	dr.share = dr.event.share
	if dr.run.StartedAt.IsZero() {
		dr.run.StartedAt = dr.since.UTC()
	}
	w, err := e.version(e.work, dr.run, asOf(dr.run, dr.event))
	if err == nil && dr.run.Boots > maxBoots {
		err = fmt.Errorf("the process ended %d times while this run was at work", dr.run.Boots)
	}
	names, nameErr := dr.event.names()
	if err == nil {
		err = nameErr
	}
	if err != nil {
		return e.giveUp(dr, err)
	}
	return e.loadState(dr, w, names, t)
}

// loadState fills a driver with what is on record of its run.
func (e *Engine) loadState(dr *driver, w *workflows.Workflow, names map[string]any, t *Taken) error {
	dr.state = &plan.State{Workflow: w, Event: names, Inputs: dr.event.inputs(w), RunID: dr.keyRoot(), StartedAt: dr.run.StartedAt, Began: dr.run.began(dr.event),
		Secrets: e.secretsOf(w), Hidden: dr.event.Hidden}
	dr.hide(dr.event.Hidden)
	if err := dr.loadBatch(); err != nil {
		if e.work.Err() != nil {
			return err
		}
		return e.giveUp(dr, err)
	}
	for _, r := range t.Records {
		dr.state.AddRecord(r)
		dr.hideCredentials(r)
	}
	dr.fitRoom()
	if dr.state.Cancelled = dr.run.Ending; dr.run.Ending != nil {
		dr.stopWaiting(dr.since)
	}
	dr.describeRun(dr.run.StartedAt)
	dr.carryOn(t)
	dr.held = e.destinations.HasTicket(int64(dr.run.ID))
	e.mu.Lock()
	dr.listen(w)
	dr.ending = dr.run.Ending != nil
	e.mu.Unlock()
	if dr.news != nil {
		dr.answersAre(t)
		if err := dr.lookForEvents(t.Records); e.rowsFault(err) {
			return e.giveUp(dr, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// unrecorded ends the work on a run that cannot be recorded. When that is the fault of
// the run, it fails alone.
func (e *Engine) unrecorded(dr *driver, err error) {
	dr.abandon()
	if !errors.Is(err, ErrStale) {
		e.o.Log.Error("a run cannot be recorded", "run", dr.run.ID, "error", err)
	}
	if e.rowsFault(err) {
		dr.run.Output, dr.run.Text = nil, ""
		if gaveUp := e.giveUp(dr, err); !errors.Is(gaveUp, errGaveUp) {
			e.o.Log.Error("a run that failed cannot be recorded either", "run", dr.run.ID, "error", gaveUp)
		}
	}
	e.release(dr)
}

// errGaveUp means that a run was ended as one that cannot go on.
var errGaveUp = errors.New("the run has failed")

// giveUp ends a run that cannot go on as a dead letter, with the reason.
func (e *Engine) giveUp(dr *driver, cause error) error {
	now := time.Now().UTC()
	dr.run.Status, dr.run.FinishedAt, dr.run.DueAt = Failed, now, time.Time{}
	dr.run.Error = &plan.Error{Message: workflows.CutText(cause.Error(), plan.MaxErrorText), Code: "cannot_run"}
	s := Settlement{Run: dr.run, Called: dr.event.Inlet == "call", Calls: e.listening(dr.run, dr.event), Leaves: true, Cancelable: true, CloseSteps: true, EndsAnyWaits: true, Mask: dr.masker()}
	var next time.Time
	err := e.store(func() (err error) {
		next, err = e.o.Store.Settle(context.WithoutCancel(e.work), s)
		return err
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	e.endCalled() // it may have waited for runs that it called
	e.began(s)
	e.dueAt(next)
	e.observe(dr.event, s)
	e.logEnd(dr.run, dr.masker())
	return errGaveUp
}

// replayPause lies between the starts of two replays: a thousand of them must not
// overrun what they call.
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

// placeOf is what a replay has to ask for before it begins, and by what it can be ended.
// It never drops or replaces what is there for being full: a person asked for it.
func (e *Engine) placeOf(ctx context.Context, of *Run, ev *Event, r Replay) (*Place, []CancelKey, error) {
	w, err := e.version(ctx, &Run{Workflow: of.Workflow, Version: r.Version}, r.New)
	if err != nil {
		return nil, nil, err
	}
	if !w.Bounded() && len(w.CancelOn) == 0 {
		return nil, nil, nil
	}
	dr, err := e.askFor(ctx, w, ev, &Run{ID: r.New, Event: ev.ID, Workflow: w.ID, Version: w.Version}, of.ID)
	if err == nil {
		err = dr.findCancelKeys()
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := dr.place()
	if p != nil {
		p.OnFull, p.MaxQueue, p.RateDrop = "queue", math.MaxInt, false
	}
	return p, dr.cancels, err
}
