package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// groups are the promises of EventStore and RunStore about concurrency and rate.
var groups = []test{
	{"a group has at most its limit at work, and the others follow in order", groupsQueue},
	{"a full group drops or queues up to its number", groupsDrop},
	{"a newer run takes the place of those before it", groupsReplace},
	{"what is older than the newest of its group is dropped", groupsStale},
	{"a rate spreads the starts, and a start is taken when it happens", ratesSpread},
	{"the end of a cancelled run lets the next one begin", cancelledFreesSlot},
}

func slot(limit int) *engine.SlotRequest {
	return &engine.SlotRequest{Workflow: "w", Group: "g", Limit: limit, OnFull: "queue", MaxQueue: 100}
}

// enter stores an event whose run requests a slot.
func enter(t testing.TB, s Opened, n int64, p *engine.SlotRequest) engine.MatchResult {
	t.Helper()
	accept(t, s, event(n), delivery("hook", event(n).String()))
	u := start(run(n), event(n))
	u.Run.Status, u.Run.StartedAt, u.Records, u.Slot = engine.Queued, time.Time{}, nil, p
	return match(t, s, matched(event(n), u))
}

// finish takes a run and ends it.
func finish(t testing.TB, s Opened, id engine.RunID) time.Time {
	t.Helper()
	got, err := takeUp(t, s, id)
	if err != nil {
		t.Fatal(err)
	}
	return commit(t, s, engine.RunUpdate{Run: got.Run, FreesSlot: true, Answers: -1}, engine.Succeeded)
}

func groupsQueue(t *testing.T, s Opened) {
	for n := range int64(4) {
		r := enter(t, s, 1+n, slot(2))
		if begins := !r.Due.IsZero(); begins != (n < 2) || len(r.Dropped) > 0 {
			t.Errorf("run %d: %+v", n, r)
		}
	}
	if ids := due(t, s, at); !slices.Equal(ids, []engine.RunID{run(1), run(2)}) {
		t.Errorf("due: %v", ids)
	}
	if next := finish(t, s, run(2)); !next.Equal(at) {
		t.Errorf("next at %v", next)
	}
	if ids := due(t, s, at); !slices.Contains(ids, run(3)) || slices.Contains(ids, run(4)) {
		t.Errorf("after the end of one: %v", ids)
	}
	finish(t, s, run(1))
	finish(t, s, run(3))
	if next := finish(t, s, run(4)); !next.IsZero() {
		t.Errorf("the last one lets another begin at %v", next)
	}
}

func groupsDrop(t *testing.T, s Opened) {
	p := slot(1)
	p.MaxQueue = 1
	enter(t, s, 1, p)
	enter(t, s, 2, p)
	if r := enter(t, s, 3, p); !strings.Contains(r.Dropped[run(3)], "max_queue") {
		t.Errorf("%+v", r)
	}
	drop := slot(1)
	drop.OnFull, drop.Group = "drop", "other"
	enter(t, s, 4, drop)
	if r := enter(t, s, 5, drop); r.Dropped[run(5)] == "" {
		t.Errorf("%+v", r)
	}
	x, err := s.Decided(t.Context(), event(5))
	if err != nil || x.Outcomes["w"] != engine.Dropped {
		t.Errorf("%+v %v", x, err)
	}
}

func groupsReplace(t *testing.T, s Opened) {
	p := slot(1)
	p.OnFull = "replace"
	enter(t, s, 1, p)
	if r := enter(t, s, 2, p); !slices.Equal(r.Replaced, []engine.RunID{run(1)}) {
		t.Errorf("%+v", r)
	}
	if r := enter(t, s, 3, p); !slices.Equal(r.Replaced, []engine.RunID{run(2)}) {
		t.Errorf("%+v", r)
	}
	// They leave when they have ended; a restart finds them.
	list, err := s.Replaced(t.Context())
	slices.Sort(list)
	if err != nil || !slices.Equal(list, []engine.RunID{run(1), run(2)}) {
		t.Errorf("%v %v", list, err)
	}
	for n := range int64(2) {
		cancelRun(t, s, run(1+n))
	}
	if list, err = s.Replaced(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	if ids := due(t, s, at); !slices.Equal(ids, []engine.RunID{run(3)}) {
		t.Errorf("due: %v", ids)
	}
}

func cancelRun(t testing.TB, s Opened, id engine.RunID) time.Time {
	t.Helper()
	r := *status(t, s, id)
	r.Status, r.FinishedAt, r.Error = engine.Cancelled, at, &plan.Error{Message: "x", Code: "cancelled"}
	_, next, _, err := s.Cancel(t.Context(), &r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func groupsStale(t *testing.T, s Opened) {
	for i, c := range []struct {
		stale int64
		drops bool
	}{{5, false}, {4, true}, {5, false}, {6, false}} {
		p := slot(10)
		p.Stale = c.stale
		n := int64(1 + i)
		if r := enter(t, s, n, p); (r.Dropped[run(n)] != "") != c.drops {
			t.Errorf("%d: %+v", c.stale, r)
		} else if !c.drops {
			finish(t, s, run(n))
		}
	}
}

func ratesSpread(t *testing.T, s Opened) {
	// Whole seconds from now on: starts are counted by the clock of the store.
	begin := time.Now().UTC().Truncate(time.Millisecond)
	for n := range int64(3) {
		accept(t, s, event(1+n), delivery("hook", event(n).String()))
		u := start(run(1+n), event(1+n))
		u.Run.Status, u.Run.StartedAt, u.Records = engine.Queued, time.Time{}, nil
		u.Slot = &engine.SlotRequest{Workflow: "w", RateGroup: "g", RateLimit: 2, RatePer: time.Hour}
		m := matched(event(1+n), u)
		m.At = begin
		r := match(t, s, m)
		want := begin
		if n == 2 {
			want = begin.Add(time.Hour)
		}
		if !r.Due.Equal(want) {
			t.Errorf("run %d is due at %v, want %v", n, r.Due, want)
		}
	}
	for n := range int64(2) {
		if err := s.Take(t.Context(), run(1+n)); err != nil {
			t.Fatal(err)
		}
	}
	if ids := due(t, s, begin.Add(time.Minute)); len(ids) != 0 {
		t.Errorf("due within the stretch: %v", ids)
	}
}

func cancelledFreesSlot(t *testing.T, s Opened) {
	enter(t, s, 1, slot(1))
	enter(t, s, 2, slot(1))
	if next := cancelRun(t, s, run(1)); !next.Equal(at) {
		t.Errorf("next at %v", next)
	}
	if ids := due(t, s, at); !slices.Equal(ids, []engine.RunID{run(2)}) {
		t.Errorf("due: %v", ids)
	}
}
