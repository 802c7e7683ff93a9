package intake

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// TestTheResultsOfAMatchAreAppliedToItsDecisions: a decision whose run was dropped or joined another one has no run, and a
// rule that failed is logged.
func TestTheResultsOfAMatchAreAppliedToItsDecisions(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store}
	in := over(t, s)
	in.Start(t.Context())
	in.Wait()
	var log strings.Builder
	in.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	ended := func(id engine.RunID) engine.RunUpdate {
		return engine.RunUpdate{Run: &engine.Run{ID: id, Event: engine.EventID(id), Workflow: "w", Status: engine.Succeeded}}
	}
	endedOf.Store(0)
	ev := &engine.Event{ID: 1, Delivery: *arriving("webhook", "k", `{}`)}
	m := engine.Match{Event: 1, Starts: []engine.RunUpdate{ended(11), ended(12), ended(100)}, Decisions: []engine.Decision{
		{Workflow: "w", Outcome: engine.Matched, Run: 11}, {Workflow: "w", Outcome: engine.Matched, Run: 12},
		{Workflow: "w", Outcome: engine.Matched, Run: 100}, {Workflow: "bad", Outcome: engine.RuleFailed, Reason: "no number"}}}
	in.matched(ev, m, engine.MatchResult{Dropped: map[engine.RunID]string{11: "the queue is full"},
		Folded: map[engine.RunID]engine.Fold{12: {Run: 77}}}, nil)
	for i, want := range []engine.Decision{{Outcome: engine.Dropped, Reason: "the queue is full"}, {Outcome: engine.Folded, Run: 77},
		{Outcome: engine.Matched, Run: 100}, {Outcome: engine.RuleFailed, Reason: "no number"}} {
		if d := m.Decisions[i]; d.Outcome != want.Outcome || d.Run != want.Run || d.Reason != want.Reason {
			t.Errorf("%d: %+v, want %+v", i, d, want)
		}
	}
	if n := endedOf.Load(); n != 100 {
		t.Errorf("the events of the runs that began add up to %d, want 100", n)
	}
	if n := strings.Count(log.String(), "a rule failed"); n != 1 || !strings.Contains(log.String(), "workflow=bad") {
		t.Errorf("logged %d times: %s", n, &log)
	}
	d := notBegun(engine.Decision{Workflow: "w", Outcome: engine.Matched, Run: 5}, errors.New("no key"))
	if d.Run != 0 || d.Outcome != engine.RuleFailed || !strings.Contains(d.Reason, "no key") {
		t.Errorf("not begun: %+v", d)
	}
}

// noRuns is a store that returns an error for each run to be stored.
type noRuns struct{ *altered }

func (s noRuns) Match(ctx context.Context, ms []engine.Match) ([]engine.MatchResult, error) {
	if len(ms[0].Starts) > 0 {
		return nil, &engine.UnstorableError{Workflow: "w", Err: errors.New("a row is refused")}
	}
	return s.altered.Match(ctx, ms)
}

// TestADecisionThatTheDatabaseRefusesIsRecordedAsFailed, so that its event is decided.
func TestADecisionThatTheDatabaseRefusesIsRecordedAsFailed(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store}
	in := over(t, noRuns{s})
	in.Start(t.Context())
	in.Wait()
	d := arriving("webhook", "k", `{}`)
	if _, err := s.AcceptAll(t.Context(), []engine.EventID{1}, []*engine.Delivery{d}); err != nil {
		t.Fatal(err)
	}
	in.matching[1] = true
	if going := in.match(&engine.Event{ID: 1, Delivery: *d}); len(going) != 0 || in.runner.AtWork() != 0 || len(in.matching) != 0 {
		t.Errorf("%d runs go on, %d are at work; being decided: %v", len(going), in.runner.AtWork(), in.matching)
	}
	if len(s.matched) != 1 || len(s.matched[0].Decisions) != 1 || s.matched[0].Decisions[0].Outcome != engine.RuleFailed ||
		!strings.Contains(s.matched[0].Decisions[0].Reason, "a row is refused") {
		t.Errorf("%+v", s.matched)
	}
}
