package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// waits are the promises of RunStore and EventStore about what runs wait for. An event and a wait
// for it may be stored in either order: neither misses the other.
var waits = []test{
	{"an event wakes the runs that wait for its key, and no others", eventsWake},
	{"a wait finds an event that was stored before it", waitsFindEvents},
	{"a wait for an event and the event at the same time always meet", waitsAndEventsMeet},
	{"an event counts from the moment that the wait names", eventsCountFrom},
	{"a run uses each event once", eventsAreUsedOnce},
	{"an answer wakes its run, once", answersWake},
	{"an answer that came before the wait is found", earlyAnswers},
	{"the end of a called run wakes its caller", calledRunsWake},
	{"a waiting step is read back as it was stored", waitsAreReadBack},
	{"a clock that was set back moves what waits for a moment", clockSetBack},
	{"runs that a destination asked to wait are resumed", retryAfterResumed},
}

func forEvent(key string) plan.Wait {
	return plan.Wait{Kind: plan.WaitEvent, Trigger: "back", Key: key, From: at}
}

func awaits(key string) engine.EventWait {
	return engine.EventWait{Trigger: "back", Key: key, From: at}
}

// waiting stores a run that waits for an event of trigger back.
func waiting(t testing.TB, s Opened, n int64, key string) engine.RunUpdate {
	t.Helper()
	u := running(t, s, n)
	u.Awaits = []engine.EventWait{awaits(key)}
	put(t, s, u, time.Time{}, forEvent(key))
	return u
}

func eventsWake(t *testing.T, s Opened) {
	waiting(t, s, 1, "k")
	waiting(t, s, 2, "other")
	if names, err := s.Awaited(t.Context()); err != nil || !slices.Equal(names, []string{"back"}) {
		t.Errorf("%v %v", names, err)
	}
	accept(t, s, event(50), delivery("back", "k"))
	w := awaits("k")
	r := match(t, s, engine.Match{Event: event(50), At: at, Wakes: &w})
	if ids := due(t, s, at); r.Woken != 1 || !slices.Equal(ids, []engine.RunID{run(1)}) {
		t.Errorf("%d woken, due: %v", r.Woken, ids)
	}
	got, err := s.EventByKey(t.Context(), w, status(t, s, run(1)))
	if err != nil || got == nil || got.ID != event(50) {
		t.Errorf("%+v %v", got, err)
	}
	if n, err := s.SizeOf(t.Context(), w); err != nil || n != int64(len(`{"a":1}`)) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func waitsFindEvents(t *testing.T, s Opened) {
	u := running(t, s, 1)
	// The event has the larger id and is stored first, or has the smaller one: neither matters.
	accept(t, s, event(50), delivery("back", "k"))
	match(t, s, engine.Match{Event: event(50), At: at})
	u.Awaits = []engine.EventWait{awaits("k")}
	put(t, s, u, time.Time{}, forEvent("k"))
	if u.Run.DueAt.IsZero() || len(due(t, s, time.Now())) != 1 {
		t.Errorf("due at %v", u.Run.DueAt)
	}
}

func waitsAndEventsMeet(t *testing.T, s Opened) {
	const meetings = 100
	for n := range int64(meetings) {
		u, key := running(t, s, n), fmt.Sprint("k", n)
		done := make(chan error, 1)
		go func() {
			w := awaits(key)
			_, err := s.Accept(t.Context(), event(200+n), delivery("back", key))
			if err == nil {
				_, err = s.Match(t.Context(), []engine.Match{{Event: event(200 + n), At: at, Wakes: &w}})
			}
			done <- err
		}()
		u.Awaits = []engine.EventWait{awaits(key)}
		put(t, s, u, time.Time{}, forEvent(key))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if ids := due(t, s, time.Now()); len(ids) != meetings {
		t.Errorf("%d of %d runs were woken", len(ids), meetings)
	}
}

func eventsCountFrom(t *testing.T, s Opened) {
	old := delivery("back", "k")
	old.ReceivedAt = at.Add(-time.Second)
	accept(t, s, event(50), old)
	u := running(t, s, 1)
	u.Awaits = []engine.EventWait{awaits("k")}
	put(t, s, u, time.Time{}, forEvent("k"))
	if !u.Run.DueAt.IsZero() {
		t.Error("an event of before the moment has woken the run")
	}
	if ev, err := s.EventByKey(t.Context(), awaits("k"), u.Run); err != nil || ev != nil {
		t.Errorf("%+v %v", ev, err)
	}
	w := awaits("k")
	w.From = old.ReceivedAt
	if ev, err := s.EventByKey(t.Context(), w, u.Run); err != nil || ev == nil {
		t.Errorf("%+v %v", ev, err)
	}
}

func eventsAreUsedOnce(t *testing.T, s Opened) {
	u := waiting(t, s, 1, "k")
	accept(t, s, event(50), delivery("back", "k"))
	w := awaits("k")
	match(t, s, engine.Match{Event: event(50), At: at, Wakes: &w})
	if err := s.Take(t.Context(), run(1)); err != nil {
		t.Fatal(err)
	}
	done := attempt("a", plan.Succeeded)
	done.Waited = true
	u.Awaits, u.Came, u.Run.DueAt = nil, []engine.CameEvent{{Path: "a", Event: event(50)}}, time.Time{}
	commit(t, s, u, engine.Running, done)
	if ev, err := s.EventByKey(t.Context(), w, u.Run); err != nil || ev != nil {
		t.Errorf("the event would end a second wait: %+v %v", ev, err)
	}
	if names, err := s.Awaited(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("the wait is not over: %v %v", names, err)
	}
	d, err := s.History.RunDetail(t.Context(), run(1))
	if err != nil || len(d.EndedBy) != 1 || d.EndedBy[0].Event != event(50).String() {
		t.Errorf("%+v %v", d.EndedBy, err)
	}
}

func answersWake(t *testing.T, s Opened) {
	put(t, s, running(t, s, 1), time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	a := engine.Answer{Run: run(1), Path: "a", By: "ada", At: at, Answer: plan.Answer{Attempt: 1, Verdict: "approve", At: at}}
	if err := s.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := s.Answer(t.Context(), a); !errors.Is(err, engine.ErrStale) {
		t.Errorf("answered twice: %v", err)
	}
	if ids := due(t, s, at); !slices.Equal(ids, []engine.RunID{run(1)}) {
		t.Errorf("due: %v", ids)
	}
	got, err := takeUp(t, s, run(1))
	if err != nil || got.Answered != 1 || got.Answers["a"] == nil || got.Answers["a"].Verdict != "approve" {
		t.Errorf("%+v %v", got, err)
	}
	a.Run = run(9)
	if err := s.Answer(t.Context(), a); !errors.Is(err, engine.ErrStale) {
		t.Errorf("no such run: %v", err)
	}
}

func earlyAnswers(t *testing.T, s Opened) {
	u := running(t, s, 1)
	a := engine.Answer{Run: run(1), Path: "a", By: "ada", At: at, Answer: plan.Answer{Attempt: 1, Verdict: "approve", At: at}}
	if err := s.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	u.Answers = 0 // the run has seen no answer
	put(t, s, u, time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	if u.Run.DueAt.IsZero() {
		t.Error("the run waits for an answer that is here")
	}
}

func calledRunsWake(t *testing.T, s Opened) {
	u := running(t, s, 1)
	called := &engine.Event{ID: event(50), Delivery: *delivery("other", event(50).String())}
	called.Inlet, called.Only = "call", "other"
	u.Emits, u.Awaits = []*engine.Event{called}, []engine.EventWait{{Key: event(50).String()}}
	put(t, s, u, time.Time{}, plan.Wait{Kind: plan.WaitCall, Event: event(50).String(), Workflow: "other"})
	if !u.Run.DueAt.IsZero() {
		t.Fatal("due before the called run has begun")
	}
	inner := start(run(50), event(50))
	m := matched(event(50), inner)
	m.Called = true
	match(t, s, m)
	if ids := due(t, s, at); len(ids) != 0 {
		t.Errorf("due before the called run has ended: %v", ids)
	}
	inner.New, inner.Called = false, true
	inner.Run.Output = "of the called run"
	commit(t, s, inner, engine.Succeeded, attempt("a", plan.Succeeded))
	if ids := due(t, s, at); !slices.Equal(ids, []engine.RunID{run(1)}) {
		t.Errorf("due: %v", ids)
	}
	later := at.Add(48 * time.Hour)
	for _, o := range []engine.PruneOrder{{Now: later, Bodies: later}, {Now: later, Before: later}} {
		o.DefaultDedupe = time.Hour
		if _, err := s.Prune(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Run(t.Context(), run(50)); err != nil || r.Output != "of the called run" {
			t.Errorf("a result that its caller has yet to read was pruned: %+v %v", r, err)
		}
	}
}

func waitsAreReadBack(t *testing.T, s Opened) {
	want := []plan.Wait{{Kind: plan.WaitEvent, Any: true, Trigger: "back", Key: "k", From: at, Until: at.Add(time.Hour)},
		{Kind: plan.WaitApproval, Any: true, Approval: "Ship?", By: []string{"ada", "bo"}, Until: at.Add(time.Hour), Fixed: true}}
	put(t, s, running(t, s, 1), at.Add(time.Hour), want...)
	got, err := s.LoadRun(t.Context(), run(1))
	if err != nil || len(got.Records) != 1 || fmt.Sprint(got.Records[0].Waits) != fmt.Sprint(want) {
		t.Errorf("%+v %v\nwant %+v", got.Records[0].Waits, err, want)
	}
}

func clockSetBack(t *testing.T, s Opened) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	put(t, s, running(t, s, 1), until, plan.Wait{Kind: plan.WaitSleep, Until: until})
	put(t, s, running(t, s, 2), until, plan.Wait{Kind: plan.WaitSleep, Until: until, Fixed: true})
	if err := s.ClockSetBack(t.Context(), 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int64]time.Time{1: until.Add(-10 * time.Minute), 2: until} {
		got, err := s.LoadRun(t.Context(), run(n))
		if err != nil || !got.Records[0].Waits[0].Until.Equal(want) || got.Run.DueAt.Sub(want).Abs() > 10*time.Minute {
			t.Errorf("run %d: until %v, due %v (%v), want %v", n, got.Records[0].Waits[0].Until, got.Run.DueAt, err, want)
		}
	}
}

func retryAfterResumed(t *testing.T, s Opened) {
	u := running(t, s, 1)
	r := attempt("a", plan.Failed)
	r.Destination, r.Error = "api.example.com", &plan.Error{Message: "429", Code: "http_status", RetryAfter: time.Hour, Retryable: true}
	u.Run.DueAt = at.Add(time.Hour)
	commit(t, s, u, engine.Waiting, r)
	for _, c := range []struct {
		host string
		want int
	}{{"other.example.com", 0}, {"api.example.com", 1}} {
		if n, err := s.ResumeRuns(t.Context(), []string{c.host}, at); err != nil || n != c.want {
			t.Errorf("%s: %d %v", c.host, n, err)
		}
	}
	got, err := s.LoadRun(t.Context(), run(1))
	if err != nil || !got.Run.DueAt.Equal(at) || !got.Records[0].Error.Resumed {
		t.Errorf("%+v %+v %v", got.Run, got.Records[0].Error, err)
	}
}
