package runner

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file resumes a run that waits for something from outside. A person's answer is a row; an
// event is found by the key that its trigger claimed for it. Either makes the run due, and the run
// itself looks for what has arrived: so nothing is lost if it arrives early, at the same moment,
// or over a restart.

// watchNews makes the channel that signals answers and events to a run, if its workflow can wait
// for any.
func (ex *Execution) watchNews(w *workflows.Workflow) {
	if w.MayWait() {
		ex.news = make(chan struct{}, 1)
	}
}

// notify makes an executing run look for what has arrived.
func (ex *Execution) notify() {
	select {
	case ex.news <- struct{}{}:
	default: // it is already signalled, or never waits
	}
}

// Answered resumes a run that got an answer; it is due at a time.
func (rn *Runner) Answered(id engine.RunID, at time.Time) {
	rn.DueAt(at)
	rn.mu.Lock()
	defer rn.mu.Unlock()
	if ex := rn.atWork[id]; ex != nil {
		ex.notify()
	}
}

// notifyWaiting signals the executing runs that wait for an event; stored ones were made due.
func (rn *Runner) notifyWaiting(w engine.EventWait) {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	for _, ex := range rn.atWork {
		if slices.ContainsFunc(ex.awaits, w.Same) {
			ex.notify()
		}
	}
}

// recordWaits keeps what the run waits for, so that the store can check whether it has already
// arrived.
func (ex *Execution) recordWaits(questions []plan.Question) {
	if ex.news == nil {
		return
	}
	var awaits []engine.EventWait
	for _, q := range questions {
		if q.Kind == "event" || q.Kind == "call" {
			awaits = append(awaits, engine.EventWait{Trigger: q.Trigger, Key: q.Key, From: q.From})
		}
	}
	ex.rn.mu.Lock()
	ex.awaits = awaits
	ex.rn.mu.Unlock()
}

func (ex *Execution) answersAre(t *engine.LoadedRun) {
	if ex.State.Answers == nil {
		ex.State.Answers = map[string]*plan.Answer{}
	}
	maps.Copy(ex.State.Answers, t.Answers)
	ex.answers = t.Answered
}

// lookUp loads what has arrived for an executing run. On an error the run continues without it,
// until the next look.
func (ex *Execution) lookUp() {
	t, err := ex.rn.store.LoadRun(ex.rn.work, ex.Run.ID)
	if err == nil {
		ex.answersAre(t)
		err = ex.lookForEvents(t.Records)
	}
	if err != nil && ex.rn.work.Err() == nil {
		ex.rn.o.Log.Warn("a run's answers and events cannot be read", "run", ex.Run.ID, "error", err)
	}
}

// lookForEvents finds the events that waiting steps wait for, and the ends of called runs.
func (ex *Execution) lookForEvents(records []*plan.Record) error {
	for _, r := range records {
		if call := r.Call(); call != nil {
			if err := ex.roomFor(engine.EventWait{Key: call.Event}); err != nil && !ex.rn.store.RowsFault(err) {
				return fmt.Errorf("looking for what step %s waits for: %w", r.Path, err)
			}
			if err := ex.lookForCalled(r, call); err != nil {
				return err
			}
			continue
		}
		var first *engine.Event
		index := 0
		for _, q := range plan.AwaitedEvents(r) {
			ev, err := ex.lookForEvent(engine.EventWait{Trigger: q.Trigger, Key: q.Key, From: q.From})
			if ex.rn.store.RowsFault(err) {
				ex.State.Answers[r.Path] = &plan.Answer{Attempt: r.Attempt, Verdict: "event", Index: q.Index,
					Err: &plan.Error{Message: "the event it waited for cannot be read: " + err.Error(), Code: "unreadable", Step: r.Path}}
				break
			}
			if err != nil {
				return err
			}
			if ev != nil && (first == nil || ev.ReceivedAt.Before(first.ReceivedAt)) {
				first, index = ev, q.Index
			}
		}
		if first != nil {
			ex.releases(r, first, index)
		}
	}
	return nil
}

func (ex *Execution) lookForEvent(w engine.EventWait) (ev *engine.Event, err error) {
	if err := ex.roomFor(w); err != nil && !ex.rn.store.RowsFault(err) {
		return nil, fmt.Errorf("looking for the awaited event: %w", err)
	}
	err = ex.rn.store.Retry(func() (err error) {
		ev, err = ex.rn.store.EventByKey(ex.rn.work, w, ex.Run)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for event %q of %s: %w", w.Key, w.Trigger, err)
	}
	return ev, nil
}

// releases makes an event the answer that a step waits for, unless a person answered first.
func (ex *Execution) releases(r *plan.Record, ev *engine.Event, index int) {
	if a := ex.State.Answers[r.Path]; a != nil && a.Attempt == r.Attempt && !a.At.IsZero() && a.At.Before(ev.ReceivedAt) {
		return
	}
	if ex.releasedBy == nil {
		ex.releasedBy = map[string]engine.EventID{}
	}
	ex.releasedBy[r.Path] = ev.ID
	a := &plan.Answer{Attempt: r.Attempt, Verdict: "event", Index: index}
	if names, err := ev.Names(); err != nil {
		a.Err = &plan.Error{Message: err.Error(), Code: "unreadable", Step: r.Path}
	} else {
		a.Output = names
	}
	ex.State.Answers[r.Path] = a
}

// came reports which of the records stored now were released by events.
func (ex *Execution) came(records []*plan.Record) []engine.CameEvent {
	var out []engine.CameEvent
	for _, r := range records {
		if id, ok := ex.releasedBy[r.Path]; ok && !r.FinishedAt.IsZero() {
			out = append(out, engine.CameEvent{Path: r.Path, Event: id})
		}
	}
	return out
}
