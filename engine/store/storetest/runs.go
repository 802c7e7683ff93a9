package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// runs are the promises of RunStore about taking, committing and ending runs.
var runs = []test{
	{"a run is taken up once, with all that is recorded of it", takenOnce},
	{"an update of a run that is not at work is stale", staleUpdates},
	{"runs are due in the order of their times, and the next one is named", dueInOrder},
	{"an attempt ends in its own row and keeps its input", attemptsEndInPlace},
	{"after a crash runs are queued again and open attempts are unknown", recovered},
	{"a run that was at work at several crashes is a suspect", suspects},
	{"a queued or waiting run is cancelled once, its steps are cut", cancelledOnce},
	{"a run at work is not cancelled behind its back", runsAtWorkStay},
	{"a run that is to end is due with the reason", endedWithReason},
	{"a run that ends with open steps closes them", openStepsAreClosed},
	{"a called run that nobody waits for is ordered to end", calledRunsEnd},
	{"versions and what they use are kept once", versionsAreKept},
	{"kept values are written once for each operation", valuesOnce},
	{"kept values are refused beyond their limits, until some are gone", valuesBounded},
}

// put stores the run of an update as one that waits until a time; zero is no time.
func put(t testing.TB, s Opened, u engine.RunUpdate, until time.Time, waits ...plan.Wait) {
	t.Helper()
	r := attempt("a", plan.Waiting)
	r.Waits = waits
	u.Run.DueAt = until
	commit(t, s, u, engine.Waiting, r)
}

func takenOnce(t *testing.T, s Opened) {
	u := running(t, s, 1)
	if err := s.Take(t.Context(), run(1)); !errors.Is(err, engine.ErrStale) {
		t.Errorf("a run at work was taken up: %v", err)
	}
	u.Run.Active = 3 * time.Second
	put(t, s, u, at.Add(time.Minute), plan.Wait{Kind: plan.WaitSleep, Until: at.Add(time.Minute)})
	got, err := takeUp(t, s, run(1))
	if err != nil || got.Run.Status != engine.Running || got.Run.Active != 3*time.Second || got.Event.ID != event(1) ||
		got.Unreadable != nil || len(got.Records) != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	r := got.Records[0]
	if r.Path != "a" || r.Status != plan.Waiting || len(r.Waits) != 1 || r.Waits[0].Kind != plan.WaitSleep ||
		!r.Waits[0].Until.Equal(at.Add(time.Minute)) || !r.StartedAt.Equal(at) {
		t.Errorf("%+v", r)
	}
	if err := s.Take(t.Context(), run(1)); !errors.Is(err, engine.ErrStale) {
		t.Errorf("taken twice: %v", err)
	}
	if _, err := s.LoadRun(t.Context(), run(9)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such run: %v", err)
	}
}

func staleUpdates(t *testing.T, s Opened) {
	u := running(t, s, 1)
	commit(t, s, u, engine.Succeeded, attempt("a", plan.Succeeded))
	late := *u.Run
	late.Status, late.Error = engine.Failed, &plan.Error{Message: "late"}
	if _, err := s.CommitRun(t.Context(), engine.RunUpdate{Run: &late, Answers: -1}); !errors.Is(err, engine.ErrStale) {
		t.Errorf("an ended run was changed: %v", err)
	}
	if r := status(t, s, run(1)); r.Status != engine.Succeeded || r.Error != nil || !r.FinishedAt.Equal(at) {
		t.Errorf("%+v", r)
	}
}

func dueInOrder(t *testing.T, s Opened) {
	for n, after := range map[int64]time.Duration{1: 3, 2: 1, 3: 2, 4: 60} {
		until := at.Add(after * time.Second)
		put(t, s, running(t, s, n), until, plan.Wait{Kind: plan.WaitSleep, Until: until})
	}
	put(t, s, running(t, s, 5), time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	ids, next, err := s.ClaimDue(t.Context(), s.Owner(), at.Add(10*time.Second), 100)
	if err != nil || !slices.Equal(ids, []engine.RunID{run(2), run(3), run(1)}) || !next.Equal(at.Add(time.Minute)) {
		t.Errorf("%v %v %v", ids, next, err)
	}
	ids, next, err = s.ClaimDue(t.Context(), s.Owner(), at.Add(10*time.Second), 2)
	if err != nil || len(ids) != 2 || !next.Equal(at.Add(3*time.Second)) {
		t.Errorf("two at most: %v %v %v", ids, next, err)
	}
	if ids := due(t, s, at.AddDate(200, 0, 0)); slices.Contains(ids, run(5)) {
		t.Error("a run without a time is due some day")
	}
}

func attemptsEndInPlace(t *testing.T, s Opened) {
	u := running(t, s, 1)
	done := attempt("a", plan.Succeeded)
	done.Input, done.Output, done.FinishedAt = nil, map[string]any{"status": int64(200)}, at.Add(time.Second)
	commit(t, s, u, engine.Running, done, attempt("b", plan.Running))
	d, err := s.History.RunDetail(t.Context(), run(1))
	if err != nil || len(d.Steps) != 2 || d.Steps[0].Status != "succeeded" || string(d.Steps[0].Input) != `{"url":"x"}` ||
		string(d.Steps[0].Output) != `{"status":200}` || d.Steps[1].Status != "running" {
		t.Errorf("%+v %v", d.Steps, err)
	}
	// An ended run no longer changes.
	again := attempt("a", plan.Failed)
	commit(t, s, u, engine.Running, again)
	if d, err = s.History.RunDetail(t.Context(), run(1)); err != nil || d.Steps[0].Status != "succeeded" {
		t.Errorf("%+v %v", d.Steps, err)
	}
}

func recovered(t *testing.T, s Opened) {
	running(t, s, 1)
	put(t, s, running(t, s, 2), time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	commit(t, s, running(t, s, 3), engine.Succeeded, attempt("a", plan.Succeeded))
	for i, want := range []int{1, 0} {
		n, err := s.Recover(t.Context(), at.Add(time.Second))
		if err != nil || n != want {
			t.Errorf("start %d: %d %v", i, n, err)
		}
	}
	got, err := s.LoadRun(t.Context(), run(1))
	if err != nil || got.Run.Status != engine.Queued || got.Run.Crashes != 1 || got.Records[0].Status != plan.Unknown {
		t.Errorf("%+v %v", got, err)
	}
	if ids := due(t, s, at.Add(2*time.Second)); !slices.Equal(ids, []engine.RunID{run(1)}) {
		t.Errorf("due: %v", ids)
	}
	if a, b := status(t, s, run(2)), status(t, s, run(3)); a.Status != engine.Waiting || b.Status != engine.Succeeded {
		t.Errorf("%s %s", a.Status, b.Status)
	}
}

func suspects(t *testing.T, s Opened) {
	u := running(t, s, 1)
	for n := 1; n <= engine.SuspectCrashes+1; n++ {
		if _, err := s.Recover(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		few, alone, err := s.Suspects(t.Context())
		if err != nil || len(few) != map[bool]int{true: 1}[n == engine.SuspectCrashes] ||
			len(alone) != map[bool]int{true: 1}[n > engine.SuspectCrashes] {
			t.Errorf("after %d crashes: %v %v %v", n, few, alone, err)
		}
		if ids := due(t, s, at.Add(time.Hour)); (len(ids) == 0) != (n >= engine.SuspectCrashes) {
			t.Errorf("after %d crashes due: %v", n, ids)
		}
		if err := s.Take(t.Context(), run(1)); err != nil {
			t.Fatal(err)
		}
	}
	// A run that makes progress is no longer a suspect.
	unknown := attempt("a", plan.Unknown)
	commit(t, s, u, engine.Running, unknown, attempt("b", plan.Running))
	if r := status(t, s, run(1)); r.Crashes != 0 {
		t.Errorf("%d crashes", r.Crashes)
	}
}

func cancelledOnce(t *testing.T, s Opened) {
	put(t, s, running(t, s, 1), time.Time{}, plan.Wait{Kind: plan.WaitEvent, Trigger: "back", Key: "k", From: at})
	r := *status(t, s, run(1))
	r.Status, r.FinishedAt, r.Error = engine.Cancelled, at.Add(time.Minute), &plan.Error{Message: "by ada", Code: "cancelled"}
	listener := &engine.Event{ID: event(50), Delivery: *delivery("w", event(50).String())}
	listener.Inlet = "workflow_run"
	cut, _, _, err := s.Cancel(t.Context(), &r, []*engine.Event{listener})
	if err != nil || len(cut) != 1 || cut[0].Path != "a" || cut[0].Status != plan.Failed || cut[0].Error.Code != plan.CutCode {
		t.Fatalf("%+v %v", cut, err)
	}
	if _, _, _, err := s.Cancel(t.Context(), &r, nil); !errors.Is(err, engine.ErrStale) {
		t.Errorf("cancelled twice: %v", err)
	}
	got := status(t, s, run(1))
	if got.Status != engine.Cancelled || got.Error == nil || got.Error.Message != "by ada" || !slices.Contains(undecided(t, s), event(50)) {
		t.Errorf("%+v", got)
	}
	if list, err := s.Awaited(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("a cancelled run waits for %v (%v)", list, err)
	}
	none := r
	none.ID = run(9)
	if _, _, _, err := s.Cancel(t.Context(), &none, nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such run: %v", err)
	}
}

func runsAtWorkStay(t *testing.T, s Opened) {
	running(t, s, 1)
	r := *status(t, s, run(1))
	r.Status, r.FinishedAt = engine.Cancelled, at
	if _, _, _, err := s.Cancel(t.Context(), &r, nil); !errors.Is(err, engine.ErrStale) {
		t.Errorf("cancelled: %v", err)
	}
	if err := s.End(t.Context(), run(1), &plan.Error{Message: "x"}, at); !errors.Is(err, engine.ErrStale) {
		t.Errorf("ended: %v", err)
	}
	if status(t, s, run(1)).Status != engine.Running {
		t.Error("a run at work was changed")
	}
}

func endedWithReason(t *testing.T, s Opened) {
	put(t, s, running(t, s, 1), time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	if err := s.End(t.Context(), run(1), &plan.Error{Message: "by ada", Code: "cancelled"}, at); err != nil {
		t.Fatal(err)
	}
	if r := status(t, s, run(1)); r.Ending == nil || r.Ending.Message != "by ada" || r.Status != engine.Waiting {
		t.Errorf("%+v", r)
	}
	if ids := due(t, s, at); !slices.Equal(ids, []engine.RunID{run(1)}) {
		t.Errorf("due: %v", ids)
	}
}

func openStepsAreClosed(t *testing.T, s Opened) {
	u := running(t, s, 1)
	u.CloseSteps, u.Run.Error = true, &plan.Error{Message: "its version is gone", Code: "cannot_run"}
	commit(t, s, u, engine.Failed)
	got, err := s.LoadRun(t.Context(), run(1))
	if err != nil || got.Records[0].Status != plan.Unknown || got.Run.Error.Code != "cannot_run" {
		t.Errorf("%+v %v", got, err)
	}
}

func calledRunsEnd(t *testing.T, s Opened) {
	u := running(t, s, 1)
	called := &engine.Event{ID: event(50), Delivery: *delivery("other", event(50).String())}
	called.Inlet, called.Only = "call", "other"
	u.Emits = []*engine.Event{called}
	put(t, s, u, time.Time{}, plan.Wait{Kind: plan.WaitCall, Event: event(50).String(), Workflow: "other"})
	if !slices.Contains(undecided(t, s), event(50)) {
		t.Error("the called workflow's event is not stored with the step")
	}
	r := *status(t, s, run(1))
	r.Status, r.FinishedAt = engine.Cancelled, at
	if _, _, ends, err := s.Cancel(t.Context(), &r, nil); err != nil || !ends {
		t.Fatalf("%v %v", ends, err)
	}
	list, err := s.EndCalls(t.Context())
	if err != nil || len(list) != 1 || list[0].Event != event(50) || list[0].Why == "" {
		t.Fatalf("%+v %v", list, err)
	}
	for range 2 {
		if err := s.EndedCall(t.Context(), event(50)); err != nil {
			t.Fatal(err)
		}
	}
	if list, err = s.EndCalls(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

func versionsAreKept(t *testing.T, s Opened) {
	for _, text := range []string{"first", "second"} { // a version's text never changes
		if err := s.SaveFile(t.Context(), "connectors/x", "v1", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := s.Version(t.Context(), "v1"); err != nil || text != "first" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := s.Version(t.Context(), "v9"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such version: %v", err)
	}
	put(t, s, running(t, s, 1), time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	commit(t, s, running(t, s, 2), engine.Succeeded, attempt("a", plan.Succeeded))
	if open, err := s.OpenVersions(t.Context()); err != nil || len(open) != 1 || open[0].Version != "v" || open[0].Workflow != "w" {
		t.Errorf("%+v %v", open, err)
	}
}

func valuesOnce(t *testing.T, s Opened) {
	change := func(op string) string {
		t.Helper()
		next, err := s.ChangeValue(t.Context(), engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "w", Key: "n"}, Op: op, Run: run(1),
			By: "run", Kind: engine.ValueIncrement, Add: 1, Now: at, MaxKeys: 2, MaxBytes: 1000})
		if err != nil || next.Refused != nil {
			t.Fatal(err, next.Refused)
		}
		return next.Result
	}
	if got := change("op1") + " " + change("op1") + " " + change("op2"); got != "1 1 2" {
		t.Errorf("results %s", got)
	}
	if v, err := s.Value(t.Context(), engine.ValueRef{Workflow: "w", Key: "n"}, at); err != nil || string(v.Value) != "2" {
		t.Errorf("%+v %v", v, err)
	}
	next, err := s.ChangeValue(t.Context(), engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "w", Key: "n"}, Kind: engine.ValueSet,
		Value: "7", Expect: "1", Now: at, MaxKeys: 2, MaxBytes: 1000})
	if err != nil || next.Refused == nil {
		t.Errorf("another value was expected: %+v %v", next, err)
	}
	if _, err := s.Value(t.Context(), engine.ValueRef{Key: "n"}, at); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("the project's value: %v", err)
	}
}

func valuesBounded(t *testing.T, s Opened) {
	for _, c := range []struct {
		kind, key string
		expires   time.Duration
		now       time.Time
		want      bool
	}{
		{engine.ValueSet, "a", 0, at, true}, {engine.ValueSet, "b", time.Minute, at, true}, {engine.ValueSet, "c", 0, at, false},
		{engine.ValueSet, "a", 0, at, true},
		{engine.ValueDelete, "a", 0, at, true}, {engine.ValueSet, "c", 0, at, true}, {engine.ValueSet, "d", 0, at, false},
		{engine.ValueSet, "d", 0, at.Add(time.Hour), true},
	} {
		next, err := s.ChangeValue(t.Context(), engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "w", Key: c.key}, By: "run",
			Kind: c.kind, Value: "1", TTL: c.expires, Now: c.now, MaxKeys: 2, MaxBytes: 1000})
		if got := next.Refused == nil; err != nil || got != c.want {
			t.Errorf("%s %s at %v: %v %v", c.kind, c.key, c.now, got, err)
		}
	}
}

// takeUp marks a due run as running, and loads it.
func takeUp(t testing.TB, s Opened, id engine.RunID) (*engine.LoadedRun, error) {
	t.Helper()
	if err := s.Take(t.Context(), id); err != nil {
		return nil, err
	}
	return s.LoadRun(t.Context(), id)
}
