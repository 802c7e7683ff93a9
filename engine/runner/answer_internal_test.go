package runner

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// answering gives the same result to each answer, and keeps the last one.
type answering struct {
	*arrivals
	err error
	got engine.Response
}

func (a *answering) Answer(_ context.Context, _ engine.RunID, r engine.Response) (plan.Question, error) {
	a.got = r
	return plan.Question{Path: "ok", Text: "pay?"}, a.err
}

// TestAStepAnswersARunInTheNameOfASignedEvent checks what a step gets that answers another run, and when the name in its
// event is proved.
func TestAStepAnswersARunInTheNameOfASignedEvent(t *testing.T) {
	rn, a := idle(t)
	answers := &answering{arrivals: a}
	rn.o.Arrivals = answers
	ex := at(rn, 5)
	ex.State = plan.NewState(&workflows.Workflow{}, map[string]any{}, nil, "run", time.Now())
	run := engine.RunID(77).String()
	for _, x := range []struct {
		err  error
		want string
	}{
		{nil, "map[answered:true question:pay? reason: step:ok] <nil>"},
		{&engine.NotAnswered{Reason: "not now"}, "map[answered:false question:pay? reason:not now step:asked] <nil>"},
		{fmt.Errorf("it has one: %w", engine.ErrStale),
			fmt.Sprintf("map[answered:false question:pay? reason:it has one: %v step:asked] <nil>", engine.ErrStale)},
		{engine.ErrNotFound, fmt.Sprintf("map[answered:false question:pay? reason:%v step:asked] <nil>", engine.ErrNotFound)},
	} {
		answers.err = x.err
		got, err := ex.AnswerRun(t.Context(), run, engine.Response{Path: "asked", Verdict: "approve", By: "ada"})
		if text := fmt.Sprint(got, " ", err); text != x.want || answers.got.By != "ada" || answers.got.Proof != "" {
			t.Errorf("%v: %s, want %s; %+v", x.err, text, x.want, answers.got)
		}
	}
	answers.err = errors.New("no disk")
	if got, err := ex.AnswerRun(t.Context(), run, engine.Response{}); !errors.Is(err, answers.err) || !errors.Is(err,
		engine.ErrUnanswered) || got != nil {
		t.Errorf("an answer that may have been stored: %v %v", got, err)
	}
	var invalid *plan.Error
	if _, err := ex.AnswerRun(t.Context(), "x", engine.Response{}); !errors.As(err, &invalid) || invalid.Code != "invalid_input" {
		t.Errorf("a run that is none: %v", err)
	}
	answers.err = nil
	batch := &workflows.Workflow{Gather: &workflows.Gather{Kind: workflows.Batch}}
	for _, x := range []struct {
		proof string
		w     *workflows.Workflow
		want  string
	}{
		{"", &workflows.Workflow{}, ""}, {engine.BySignature, &workflows.Workflow{}, engine.ProofEvent},
		{engine.BySignature + " of slack", &workflows.Workflow{}, engine.ProofEvent}, {engine.BySignature, batch, ""}, {"token x",
			&workflows.Workflow{}, ""},
	} {
		ex.Event.Proof, ex.State.Workflow = engine.Proof(x.proof), x.w
		if _, err := ex.AnswerRun(t.Context(), run, engine.Response{By: "ada"}); err != nil || answers.got.Proof != x.want {
			t.Errorf("%q: the proof is %q, want %q; %v", x.proof, answers.got.Proof, x.want, err)
		}
	}
}

// brokenClock is a store that cannot move its times.
type brokenClock struct{ engine.Store }

func (brokenClock) ClockSetBack(context.Context, time.Duration) error { return errors.New("no disk") }

// TestRunsFollowAClockThatIsSetBack: those at work wait as long as before, and runs that are due are looked for at once.
func TestRunsFollowAClockThatIsSetBack(t *testing.T) {
	rn, _, s := stored(t)
	now := time.Now()
	ex := at(rn, 5)
	ex.State = plan.NewState(&workflows.Workflow{}, map[string]any{}, nil, "run", now)
	wait := func(fixed bool) *plan.Record {
		return &plan.Record{Path: "w", Attempt: 1, Status: plan.Waiting, Waits: []plan.Wait{{Until: now.Add(time.Hour), Fixed: fixed}}}
	}
	first, moving, fixed := wait(false), wait(false), wait(true)
	fixed.Path, moving.Attempt = "f", 2
	ex.State.Records = map[string][]*plan.Record{"w": {first, moving}, "f": {fixed}}
	rn.atWork[5] = ex
	rn.nextReplay, rn.nextDue = now.Add(time.Hour), now.Add(time.Hour)
	woken(rn)
	works := rn.store
	rn.store = persist.New(brokenClock{s.Store}, rn.o.Log)
	if rn.clockSetBack(t.Context(), time.Minute) || woken(rn) || ex.setBack.Load() != 0 {
		t.Error("a step that was not stored counts as done")
	}
	rn.store = works
	if !rn.clockSetBack(t.Context(), time.Minute) || !woken(rn) {
		t.Error("the runs that are due are not looked for")
	}
	if !rn.nextReplay.Equal(now.Add(59*time.Minute)) || rn.nextDue.After(time.Now()) {
		t.Errorf("the next replay is at %v, the next run that is due at %v", rn.nextReplay, rn.nextDue)
	}
	ex.followClock()
	ex.followClock()
	moved := ex.State.Records["w"]
	if !moved[1].Until().Equal(now.Add(59*time.Minute)) || !moved[0].Until().Equal(now.Add(time.Hour)) ||
		ex.State.Records["f"][0] != fixed {
		t.Errorf("the wait ends at %v, the one before at %v", moved[1].Until(), moved[0].Until())
	}
}
