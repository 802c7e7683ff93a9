package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows/value"
)

// verdicts are the verdicts that fit each kind of question.
var verdicts = map[string][]string{"approval": {"approve", "reject"}, "review": {"resend", "done", "fail"}}

// Answer records a response of a person to a waiting run, which then continues. It returns the
// question that was answered; ErrStale if it already has its answer.
func (ctl *Control) Answer(ctx context.Context, id engine.RunID, response engine.Response) (plan.Question, error) {
	questions, err := ctl.Questions(ctx, id)
	if err != nil {
		return plan.Question{}, err
	}
	q, err := choose(questions, response)
	if err != nil {
		return q, &engine.NotAnswered{Reason: fmt.Sprintf("run %s: %v", id, err)}
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
	if err := ctl.o.Store.Answer(ctx, a); err != nil {
		if errors.Is(err, engine.ErrStale) {
			return q, fmt.Errorf("run %s: step %s already has an answer: %w", id, q.Path, err)
		}
		return q, fmt.Errorf("storing the answer to %s: %w", q.Path, err)
	}
	ctl.o.Log.Info("a run was answered", "run", id, "step", q.Path, "verdict", response.Verdict, "by", response.By)
	ctl.o.Machine.Answered(id, now)
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
		return plan.Question{}, errors.New("it does not wait for an answer")
	case len(fit) == 0 && response.Path != "":
		return plan.Question{}, fmt.Errorf("step %s does not wait for an answer; %s does", response.Path, strings.Join(paths, ", "))
	case len(fit) == 0:
		return plan.Question{}, fmt.Errorf("%s cannot answer this run: %s waits for %s", response.Verdict, questions[0].Path,
			strings.Join(verdicts[questions[0].Kind], ", "))
	case len(fit) > 1:
		return plan.Question{}, fmt.Errorf("several steps wait for an answer: name one of %s", strings.Join(paths, ", "))
	}
	q := fit[0]
	if !slices.Contains(verdicts[q.Kind], response.Verdict) {
		return q, fmt.Errorf("step %s is answered by %s, not by %q", q.Path, strings.Join(verdicts[q.Kind], ", "), response.Verdict)
	}
	if len(q.By) > 0 && !slices.Contains(q.By, response.By) {
		return q, fmt.Errorf("step %s can be answered by %s only, not by %q", q.Path, strings.Join(q.By, ", "), response.By)
	}
	if len(q.By) > 0 && response.Proof == "" {
		return q, fmt.Errorf("step %s can be answered by %s only, and the name must be proved: "+
			"use that person's token (server: {tokens: {%s: ...}} in hookloom.yaml), "+
			"or send a signed link (hookloom approve RUN --step %s --by %s --link)", q.Path, strings.Join(q.By, ", "), response.By, q.Path,
			response.By)
	}
	return q, nil
}

// Questions lists what a run waits for, by asking the planner with the stored records. It changes
// nothing.
func (ctl *Control) Questions(ctx context.Context, id engine.RunID) ([]plan.Question, error) {
	t, err := ctl.o.Store.LoadRun(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	if t.Run.Status.Ended() {
		return nil, &engine.NotAnswered{Reason: fmt.Sprintf("run %s has ended as %s", id, t.Run.Status)}
	}
	if t.Unreadable != nil {
		return nil, fmt.Errorf("run %s cannot be read: %w", id, t.Unreadable)
	}
	rc := &registry.RunContext{Reg: ctl.o.Registry, Event: t.Event, Run: t.Run}
	w, err := ctl.o.Registry.Version(ctx, t.Run, registry.AsOf(t.Run, t.Event))
	names, unread := t.Event.Names()
	if err := cmp.Or(err, unread); err != nil {
		// What the run will do is unknown, but its questions are stored.
		rc.Hide(t.Event.Hidden)
		return rc.Masked(plan.Asked(t.Records, t.Answers)), nil
	}
	rc.Begin(w, names, t.Run.StartedAt)
	rc.State.Now, rc.State.Answers = time.Now().UTC(), t.Answers
	for _, r := range t.Records {
		rc.State.AddRecord(r)
	}
	rc.CarryOn(t)
	if err := rc.ReadEvents(ctx, id); err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	for _, r := range t.Records {
		rc.HideCredentials(r)
	}
	return rc.Masked(plan.Next(rc.State).Questions), nil
}
