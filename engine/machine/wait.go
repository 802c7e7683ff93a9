package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file is how a run that waits for something from outside goes on. A person's
// answer is a row; an event is found by its key, the one its trigger claimed for
// it. Either makes the run due, and the run itself looks for what has come: so
// nothing is lost when it comes early, at the same moment, or over a restart.

// watchNews makes the channel that signals answers and events to a run, if its workflow can
// wait for any.
func (ex *execution) watchNews(w *workflows.Workflow) {
	if w.MayWait() {
		ex.news = make(chan struct{}, 1)
	}
}

// notify lets a run at work look for what has come.
func (ex *execution) notify() {
	select {
	case ex.news <- struct{}{}:
	default: // it has been told, or never waits
	}
}

// notifyWaiting tells the runs at work that wait for an event; those that are not
// at work were made due.
func (e *Engine) notifyWaiting(w engine.EventWait) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ex := range e.atWork {
		if slices.ContainsFunc(ex.awaits, w.Same) {
			ex.notify()
		}
	}
}

// recordWaits keeps what the run waits for, so that the store can see whether it has
// come meanwhile.
func (ex *execution) recordWaits(questions []plan.Question) {
	if ex.news == nil {
		return
	}
	var awaits []engine.EventWait
	for _, q := range questions {
		if q.Kind == "event" || q.Kind == "call" {
			awaits = append(awaits, engine.EventWait{Trigger: q.Trigger, Key: q.Key, From: q.From})
		}
	}
	ex.e.mu.Lock()
	ex.awaits = awaits
	ex.e.mu.Unlock()
}

func (ex *execution) answersAre(t *engine.Taken) {
	if ex.state.Answers == nil {
		ex.state.Answers = map[string]*plan.Answer{}
	}
	maps.Copy(ex.state.Answers, t.Answers)
	ex.answers = t.Answered
}

// lookUp loads what has come for a run at work. An error leaves it for the next
// look: the run goes on without.
func (ex *execution) lookUp() {
	t, err := ex.e.o.Store.Peek(ex.e.work, ex.run.ID)
	if err == nil {
		ex.answersAre(t)
		err = ex.lookForEvents(t.Records)
	}
	if err != nil && ex.e.work.Err() == nil {
		ex.e.o.Log.Warn("what has come for a run cannot be read", "run", ex.run.ID, "error", err)
	}
}

// lookForEvents finds the events that waiting steps wait for, and the ends of called
// runs.
func (ex *execution) lookForEvents(records []*plan.Record) error {
	for _, r := range records {
		if call := r.Call(); call != nil {
			if err := ex.roomFor(engine.EventWait{Key: call.Event}); err != nil && !ex.e.rowsFault(err) {
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
			if ex.e.rowsFault(err) {
				ex.state.Answers[r.Path] = &plan.Answer{Attempt: r.Attempt, Verdict: "event", Index: q.Index,
					Err: &plan.Error{Message: "the event that came cannot be read: " + err.Error(), Code: "unreadable", Step: r.Path}}
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

func (ex *execution) lookForEvent(w engine.EventWait) (ev *engine.Event, err error) {
	if err := ex.roomFor(w); err != nil && !ex.e.rowsFault(err) {
		return nil, fmt.Errorf("looking for what is waited for: %w", err)
	}
	err = ex.e.store(func() (err error) {
		ev, err = ex.e.o.Store.Arrived(ex.e.work, w, ex.run)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for event %q of %s: %w", w.Key, w.Trigger, err)
	}
	return ev, nil
}

// releases makes an event the answer that a step waits for, unless a person's came
// before it.
func (ex *execution) releases(r *plan.Record, ev *engine.Event, index int) {
	if a := ex.state.Answers[r.Path]; a != nil && a.Attempt == r.Attempt && !a.At.IsZero() && a.At.Before(ev.ReceivedAt) {
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
	ex.state.Answers[r.Path] = a
}

// came tells which of the records that are stored now were released by events.
func (ex *execution) came(records []*plan.Record) []engine.CameEvent {
	var out []engine.CameEvent
	for _, r := range records {
		if id, ok := ex.releasedBy[r.Path]; ok && !r.FinishedAt.IsZero() {
			out = append(out, engine.CameEvent{Path: r.Path, Event: id})
		}
	}
	return out
}

// verdicts are the words that fit a kind of question.
var verdicts = map[string][]string{"approval": {"approve", "reject"}, "review": {"resend", "done", "fail"}}

// Answer records a response of a person to a waiting run, which then continues. It
// returns the question that was answered; ErrStale when it has its answer.
func (e *Engine) Answer(ctx context.Context, id engine.RunID, response engine.Response) (plan.Question, error) {
	questions, err := e.Questions(ctx, id)
	if err != nil {
		return plan.Question{}, err
	}
	q, err := choose(questions, response)
	if err != nil {
		return q, fmt.Errorf("run %s: %w", id, err)
	}
	now := time.Now().UTC()
	a := engine.Answer{Run: id, Path: q.Path, At: now, By: response.By, Proof: response.Proof, Comment: response.Comment,
		Answer: plan.Answer{Attempt: q.Attempt, Verdict: response.Verdict}}
	if q.Kind == "approval" {
		a.Output = map[string]any{"approved": response.Verdict == "approve", "by": response.By, "at": now.Format(time.RFC3339Nano),
			"comment": response.Comment}
	} else if response.Verdict == "done" {
		a.Output = response.Result
	}
	if a.Output, err = value.Fit(a.Output); err != nil {
		return q, fmt.Errorf("%w: the answer %s: %w", engine.ErrQuery, "to "+q.Path, err)
	}
	if err := e.o.Store.Answer(ctx, a); err != nil {
		if errors.Is(err, engine.ErrStale) {
			return q, fmt.Errorf("run %s: step %s has its answer already: %w", id, q.Path, err)
		}
		return q, fmt.Errorf("storing the answer to %s: %w", q.Path, err)
	}
	e.o.Log.Info("a run was answered", "run", id, "step", q.Path, "verdict", response.Verdict, "by", response.By)
	e.dueAt(now)
	e.mu.Lock()
	if ex := e.atWork[id]; ex != nil {
		ex.notify()
	}
	e.mu.Unlock()
	return q, nil
}

// choose finds the question that a response answers.
func choose(questions []plan.Question, response engine.Response) (plan.Question, error) {
	var fit []plan.Question
	var paths []string
	for _, q := range questions {
		if verdicts[q.Kind] == nil {
			continue
		}
		paths = append(paths, q.Path)
		if response.Path == "" && slices.Contains(verdicts[q.Kind], response.Verdict) || q.Path == response.Path {
			fit = append(fit, q)
		}
	}
	switch {
	case len(paths) == 0:
		return plan.Question{}, errors.New("it does not wait for a person")
	case len(fit) == 0 && response.Path != "":
		return plan.Question{}, fmt.Errorf("step %s does not wait for a person; %s does", response.Path, strings.Join(paths, ", "))
	case len(fit) == 0:
		return plan.Question{}, fmt.Errorf("nothing can be answered by %s: %s waits for %s", response.Verdict, questions[0].Path,
			strings.Join(verdicts[questions[0].Kind], ", "))
	case len(fit) > 1:
		return plan.Question{}, fmt.Errorf("several steps wait for a person: say which of %s", strings.Join(paths, ", "))
	}
	q := fit[0]
	if !slices.Contains(verdicts[q.Kind], response.Verdict) {
		return q, fmt.Errorf("step %s is answered by %s, not by %q", q.Path, strings.Join(verdicts[q.Kind], ", "), response.Verdict)
	}
	if len(q.By) > 0 && !slices.Contains(q.By, response.By) {
		return q, fmt.Errorf("step %s can be answered by %s only, not by %q", q.Path, strings.Join(q.By, ", "), response.By)
	}
	if len(q.By) > 0 && response.Proof == "" {
		return q, fmt.Errorf("step %s can be answered by %s only, and a name that is typed proves nothing: "+
			"call with the token of that name (server: {tokens: {%s: ...}} in hookloom.yaml), "+
			"or hand out a signed link (hookloom approve RUN --step %s --by %s --link)", q.Path, strings.Join(q.By, ", "), response.By, q.Path,
			response.By)
	}
	return q, nil
}

// Questions lists what a run waits for from outside, by asking the plan on what
// is on record. It changes nothing.
func (e *Engine) Questions(ctx context.Context, id engine.RunID) ([]plan.Question, error) {
	t, err := e.o.Store.Peek(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	if t.Run.Status.Ended() {
		return nil, fmt.Errorf("run %s has ended as %s", id, t.Run.Status)
	}
	if t.Unreadable != nil {
		return nil, fmt.Errorf("run %s cannot be read: %w", id, t.Unreadable)
	}
	rc := &runContext{e: e, event: t.Event, run: t.Run}
	w, err := e.version(ctx, t.Run, asOf(t.Run, t.Event))
	names, unread := t.Event.Names()
	if err := cmp.Or(err, unread); err != nil {
		// What the run does then is not known, but what it asks is on record.
		rc.hide(t.Event.Hidden)
		return rc.masked(plan.Asked(t.Records, t.Answers)), nil
	}
	rc.begin(w, names, t.Run.StartedAt)
	rc.state.Now, rc.state.Answers = time.Now().UTC(), t.Answers
	for _, r := range t.Records {
		rc.state.AddRecord(r)
	}
	rc.carryOn(t)
	if err := rc.readEvents(ctx, id); err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	for _, r := range t.Records {
		rc.hideCredentials(r)
	}
	return rc.masked(plan.Next(rc.state).Questions), nil
}
