package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// gatherings are the promises of GatherStore, and of events that end runs.
var gatherings = []test{
	{"a burst is one run of its last event", debounced},
	{"a batch is one run of all its events, closed when it is full", batched},
	{"an event that is decided again joins a gathering", gatheredAgain},
	{"a gathering is closed once, and not before its time", closedOnce},
	{"an event ends the earlier runs that have its key", endedByEvents},
}

// gather stores an event whose run gathers others.
func gather(t testing.TB, s Opened, n int64, g *engine.Gathering, now time.Time) engine.MatchResult {
	t.Helper()
	accept(t, s, event(n), delivery("hook", event(n).String()))
	u := start(run(n), event(n))
	u.Run.Status, u.Run.StartedAt, u.Records, u.Gather = engine.Queued, time.Time{}, nil, g
	m := matched(event(n), u)
	m.At = now
	return match(t, s, m)
}

func debounced(t *testing.T, s Opened) {
	g := &engine.Gathering{Kind: workflows.Debounce, Key: "k", Wait: 10 * time.Second, Max: 25 * time.Second, Bytes: 10}
	if r := gather(t, s, 1, g, at); !r.Gather.Equal(at.Add(10 * time.Second)) {
		t.Errorf("%+v", r)
	}
	for i, after := range []time.Duration{8, 16, 24} {
		r := gather(t, s, 2+int64(i), g, at.Add(after*time.Second))
		if f := r.Folded[run(2+int64(i))]; f.Run != run(1) || !f.Newest {
			t.Errorf("%+v", r)
		}
	}
	list, next, oldest, err := s.DueGatherings(t.Context(), at.Add(24*time.Second), 10)
	if err != nil || len(list) != 0 || !next.Equal(at.Add(25*time.Second)) {
		t.Errorf("%+v %v %v %v", list, next, oldest, err)
	}
	list, _, _, err = s.DueGatherings(t.Context(), at.Add(25*time.Second), 10)
	if err != nil || len(list) != 1 || list[0].Run != run(1) || list[0].Event != event(4) {
		t.Errorf("%+v %v", list, err)
	}
	if r := status(t, s, run(1)); r.Event != event(4) {
		t.Errorf("the run is of %s", r.Event)
	}
	x, err := s.Decided(t.Context(), event(1))
	if err != nil || x.Outcomes["w"] != engine.Folded {
		t.Errorf("%+v %v", x, err)
	}
}

func batched(t *testing.T, s Opened) {
	g := &engine.Gathering{Kind: workflows.Batch, Key: "k", Wait: time.Minute, Size: 3, Bytes: 10}
	for n := range int64(4) {
		r := gather(t, s, 1+n, g, at.Add(time.Duration(n)*time.Second))
		if f, folded := r.Folded[run(1+n)]; folded != (n == 1 || n == 2) || folded && (f.Run != run(1) || f.Newest) {
			t.Errorf("event %d: %+v", n, r)
		}
	}
	ids, size, err := s.Gathered(t.Context(), run(1))
	if err != nil || !slices.Equal(ids, []engine.EventID{event(2), event(3)}) || size != 20 {
		t.Errorf("%v %d %v", ids, size, err)
	}
	list, _, _, err := s.DueGatherings(t.Context(), at.Add(5*time.Second), 10)
	if err != nil || len(list) != 1 || list[0].Run != run(1) {
		t.Errorf("the full one is due: %+v %v", list, err)
	}
}

func gatheredAgain(t *testing.T, s Opened) {
	g := &engine.Gathering{Kind: workflows.Batch, Key: "k", Wait: time.Minute, Size: 3, Bytes: 10}
	gather(t, s, 1, g, at)
	accept(t, s, event(2), delivery("hook", "again"))
	match(t, s, engine.Match{Event: event(2), At: at, Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Skipped}}})
	u := start(run(2), event(2))
	u.Run.Status, u.Run.StartedAt, u.Records, u.Gather = engine.Queued, time.Time{}, nil, g
	out, err := s.Redecide(t.Context(), []engine.Redecision{{Event: event(2), At: at, Once: engine.OnceAsked, By: "ada", Start: &u,
		Decision: engine.Decision{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run(2)}}}, nil)
	if err != nil || out[0].Run != run(1) || !out[0].Folded || out[0].Outcome != engine.Folded {
		t.Errorf("%+v %v", out, err)
	}
}

func closedOnce(t *testing.T, s Opened) {
	g := &engine.Gathering{Kind: workflows.Debounce, Key: "k", Wait: 10 * time.Second, Max: time.Minute, Bytes: 10}
	gather(t, s, 1, g, at)
	c := engine.Closing{Run: run(1), Event: event(1), At: at.Add(9 * time.Second)}
	if _, err := s.CloseGathering(t.Context(), c); !errors.Is(err, engine.ErrStale) {
		t.Errorf("before its time: %v", err)
	}
	gather(t, s, 2, g, at.Add(5*time.Second))
	c.At = at.Add(15 * time.Second)
	if _, err := s.CloseGathering(t.Context(), c); !errors.Is(err, engine.ErrStale) {
		t.Errorf("with an event that was folded: %v", err)
	}
	c.Event = event(2)
	closed, err := s.CloseGathering(t.Context(), c)
	if err != nil || !closed.Due.Equal(c.At) {
		t.Fatalf("%+v %v", closed, err)
	}
	if _, err := s.CloseGathering(t.Context(), c); !errors.Is(err, engine.ErrStale) {
		t.Errorf("closed twice: %v", err)
	}
	if ids := due(t, s, c.At); !slices.Equal(ids, []engine.RunID{run(1)}) {
		t.Errorf("due: %v", ids)
	}
	if r := gather(t, s, 3, g, at.Add(16*time.Second)); len(r.Folded) != 0 {
		t.Errorf("an event joined a closed gathering: %+v", r)
	}
}

func endedByEvents(t *testing.T, s Opened) {
	key := engine.CancelKey{Trigger: "payments", Rule: "w/0", Key: "o1"}
	for n := int64(1); n <= 2; n++ {
		accept(t, s, event(n), delivery("hook", event(n).String()))
		u := start(run(n), event(n))
		u.Cancels, u.Cancelable = []engine.CancelKey{key}, true
		if n == 2 {
			u.Cancels = []engine.CancelKey{{Trigger: "payments", Rule: "w/0", Key: "o2"}}
		}
		match(t, s, matched(event(n), u))
	}
	accept(t, s, event(10), delivery("payments", "p"))
	r := match(t, s, engine.Match{Event: event(10), At: at, Cancels: []engine.CancelKey{key}})
	if len(r.Cancelled) != 1 || r.Cancelled[0].Run != run(1) || r.Cancelled[0].Event != event(10) {
		t.Errorf("%+v", r)
	}
	list, err := s.CancelledBy(t.Context())
	if err != nil || len(list) != 1 || list[0].Run != run(1) {
		t.Errorf("a restart finds %+v (%v)", list, err)
	}
	if versions, err := s.CancelVersions(t.Context()); err != nil || len(versions) != 1 || versions[0].Version != "v" {
		t.Errorf("%+v %v", versions, err)
	}
	u := engine.RunUpdate{Run: status(t, s, run(1)), Answers: -1, Cancelable: true, CloseSteps: true}
	commit(t, s, u, engine.Cancelled)
	if list, err = s.CancelledBy(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}
