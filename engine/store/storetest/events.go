package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// events are the promises of EventStore about storing deliveries.
var events = []test{
	{"the same key is one event, and each delivery is recorded", theSameKeyIsOneEvent},
	{"a key is forgotten after its time, and not used with dedupe off", aKeyIsForgotten},
	{"a thousand copies at once are one event", aThousandCopies},
	{"an event that was stored waits in the inbox, oldest first", theInboxIsInOrder},
	{"an event without subscribers is not in the inbox", unsubscribedIsDecided},
	{"the events of one request are stored all or none", allOrNone},
	{"an event is read as it was accepted", anEventIsReadBack},
	{"an event of a step is stored once for its attempts", emittedOnce},
	{"a refused delivery is kept, with the event that it became", refusalsAreKept},
	{"uses of secrets add up", usesAddUp},
}

func theSameKeyIsOneEvent(t *testing.T, s Opened) {
	if r := accept(t, s, event(1), delivery("a", "k")); r.Duplicate || r.Event != event(1) {
		t.Fatalf("%+v", r)
	}
	changed := delivery("a", "k")
	changed.Raw = []byte(`{"a":2}`)
	for i, d := range []*engine.Delivery{delivery("a", "k"), changed} {
		if r := accept(t, s, event(2+int64(i)), d); !r.Duplicate || r.Event != event(1) {
			t.Errorf("%+v", r)
		}
	}
	if r := accept(t, s, event(5), delivery("b", "k")); r.Duplicate {
		t.Errorf("another trigger: %+v", r)
	}
	d, err := s.History.EventDetail(t.Context(), event(1))
	if err != nil || d.Duplicates != 2 || !d.Sightings[0].SameBody || d.Sightings[1].SameBody {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := s.Event(t.Context(), event(2)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("the id of a duplicate has an event: %v", err)
	}
}

func aKeyIsForgotten(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	later := delivery("a", "k")
	later.ReceivedAt = at.Add(2 * time.Hour)
	if r := accept(t, s, event(2), later); r.Duplicate {
		t.Errorf("after the time: %+v", r)
	}
	off := delivery("a", "k")
	off.Dedupe = 0
	if r := accept(t, s, event(3), off); r.Duplicate {
		t.Errorf("dedupe off: %+v", r)
	}
}

func aThousandCopies(t *testing.T, s Opened) {
	var firsts atomic.Int64
	var wg sync.WaitGroup
	var seen sync.Map
	for i := range int64(1000) {
		wg.Go(func() {
			r, err := s.Accept(t.Context(), event(i), delivery("a", "k"))
			if err != nil {
				t.Error(err)
				return
			}
			seen.Store(r.Event, true)
			if !r.Duplicate {
				firsts.Add(1)
			}
		})
	}
	wg.Wait()
	n := 0
	seen.Range(func(any, any) bool { n++; return true })
	if firsts.Load() != 1 || n != 1 {
		t.Errorf("%d firsts, %d events", firsts.Load(), n)
	}
	page, err := s.History.EventPage(t.Context(), engine.Query{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Duplicates != 999 {
		t.Errorf("%+v %v", page, err)
	}
}

func theInboxIsInOrder(t *testing.T, s Opened) {
	for _, n := range []int64{1, 2, 3} {
		accept(t, s, event(n), delivery("a", fmt.Sprint(n)))
	}
	list, whole, err := s.ClaimInbox(t.Context(), s.Owner(), 10, func(id engine.EventID) bool { return id == event(2) })
	if err != nil || !whole || len(list) != 2 || list[0].ID != event(1) || list[1].ID != event(3) {
		t.Errorf("%v %v %v", list, whole, err)
	}
	if _, whole, err = s.ClaimInbox(t.Context(), s.Owner(), 2, func(engine.EventID) bool { return false }); err != nil || whole {
		t.Errorf("two of three are the whole: %v", err)
	}
}

func unsubscribedIsDecided(t *testing.T, s Opened) {
	d := delivery("a", "k")
	d.Unsubscribed = true
	accept(t, s, event(1), d)
	if list, _, err := s.ClaimInbox(t.Context(), s.Owner(), 10, func(engine.EventID) bool { return false }); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

func allOrNone(t *testing.T, s Opened) {
	ids := []engine.EventID{event(1), event(2), event(3)}
	out, err := s.AcceptAll(t.Context(), ids, []*engine.Delivery{delivery("a", "1"), delivery("a", "2"), delivery("a", "1")})
	if err != nil || out[0].Event != event(1) || out[1].Event != event(2) || out[2].Event != event(1) || !out[2].Duplicate {
		t.Fatalf("%+v %v", out, err)
	}
	// An event that cannot be stored makes the others fail with it.
	odd := delivery("a", "4")
	odd.Inlet = "no such inlet"
	if _, err := s.AcceptAll(t.Context(), []engine.EventID{event(4), event(5)}, []*engine.Delivery{delivery("a", "3"), odd}); err == nil {
		t.Fatal("an inlet that does not exist was stored")
	}
	if _, err := s.Event(t.Context(), event(4)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("half of a request is stored: %v", err)
	}
	if r := accept(t, s, event(6), delivery("a", "3")); r.Duplicate {
		t.Error("the failed request has burnt a key")
	}
}

func anEventIsReadBack(t *testing.T, s Opened) {
	d := delivery("a", "k")
	d.Method, d.Path, d.Query, d.Flag, d.DataExpr = "POST", "/hooks/a", map[string]string{"q": "1"}, "odd", "body"
	d.Proof = engine.ProofOf(engine.BySignature, "KEY")
	accept(t, s, event(1), d)
	got, err := s.Event(t.Context(), event(1))
	if err != nil || got.ID != event(1) || got.Trigger != "a" || got.Key != "k" || got.Type != "t" || string(got.Raw) != `{"a":1}` ||
		!got.Time.Equal(at) || !got.ReceivedAt.Equal(at) || got.Method != "POST" || got.Path != "/hooks/a" || got.Query["q"] != "1" ||
		got.Headers["h"] != "v" || got.Flag != "odd" || got.DataExpr != "body" || got.Proof != d.Proof {
		t.Errorf("%+v %v", got, err)
	}
	manual := &engine.Delivery{Trigger: "w", Inlet: "manual", Type: "manual", Time: at, ReceivedAt: at, Only: "w",
		Inputs: map[string]any{"n": int64(7)}}
	accept(t, s, event(2), manual)
	if got, err = s.Event(t.Context(), event(2)); err != nil || got.Only != "w" || fmt.Sprint(got.Inputs["n"]) != "7" || got.Key == "" {
		t.Errorf("%+v %v", got, err)
	}
}

func emittedOnce(t *testing.T, s Opened) {
	running(t, s, 1)
	o := engine.Emission{Trigger: "out", Op: "op1", Run: run(1), Path: "a"}
	first, again, err := s.Emit(t.Context(), event(10), delivery("out", "k"), o)
	if err != nil || again || first.Event != event(10) {
		t.Fatalf("%+v %v %v", first, again, err)
	}
	second, again, err := s.Emit(t.Context(), event(11), delivery("out", "k"), o)
	if err != nil || !again || second != first {
		t.Errorf("%+v %v %v", second, again, err)
	}
	o.Op = "op2"
	if third, again, err := s.Emit(t.Context(), event(12), delivery("out", "k"), o); err != nil || again || !third.Duplicate {
		t.Errorf("another step with the same key: %+v %v %v", third, again, err)
	}
}

func refusalsAreKept(t *testing.T, s Opened) {
	err := s.Refuse(t.Context(), engine.Refusal{At: at, Trigger: "a", Reason: "signature", Method: "POST", Path: "/hooks/a",
		Body: []byte("body"), Size: 4, Headers: map[string]string{"x": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.History.Quarantine(t.Context(), engine.Query{Trigger: "a"})
	if err != nil || len(list) != 1 || list[0].Reason != "signature" {
		t.Fatalf("%+v %v", list, err)
	}
	if _, body, err := s.History.Refusal(t.Context(), list[0].ID); err != nil || string(body) != "body" {
		t.Errorf("%s %v", body, err)
	}
}

func usesAddUp(t *testing.T, s Opened) {
	for i, n := range []int64{3, 4} {
		use := engine.SecretUse{Trigger: "a", Secret: "S", Count: n, LastAt: at.Add(time.Duration(i) * time.Hour)}
		if err := s.UseSecrets(t.Context(), []engine.SecretUse{use}); err != nil {
			t.Fatal(err)
		}
	}
	uses, err := s.History.SecretUses(t.Context())
	if err != nil || len(uses) != 1 || uses[0].Count != 7 || !uses[0].LastAt.Equal(at.Add(time.Hour)) {
		t.Errorf("%+v %v", uses, err)
	}
}

// decisions are the promises of EventStore about decisions.
var decisions = []test{
	{"an event leaves the inbox with its decisions and runs, once", matchedOnce},
	{"an event that is decided at once is never in the inbox", acceptedDecided},
	{"of a known event that is decided at once only the delivery is kept", acceptedDecidedTwice},
	{"a workflow that does not run is recorded with its reason", decidedAgainst},
	{"what a called workflow decided and did is found by its event", calledState},
}

func undecided(t testing.TB, s Opened) (ids []engine.EventID) {
	t.Helper()
	list, err := s.History.EventPage(t.Context(), engine.Query{Status: "pending", Ascending: true, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		id, err := engine.ParseEventID(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func matchedOnce(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	m := matched(event(1), start(run(1), event(1)))
	if r := match(t, s, m); r.Known {
		t.Error("the first time is known")
	}
	if r := match(t, s, m); !r.Known {
		t.Error("the second time is not known")
	}
	if ids := undecided(t, s); len(ids) != 0 {
		t.Errorf("in the inbox: %v", ids)
	}
	page, err := s.History.RunPage(t.Context(), engine.Query{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Status != "running" {
		t.Errorf("%+v %v", page.Items, err)
	}
}

func acceptedDecided(t *testing.T, s Opened) {
	r, result, err := s.AcceptDecided(t.Context(), event(1), delivery("a", "k"), matched(event(1), start(run(1), event(1))))
	if err != nil || r.Duplicate || result.Known {
		t.Fatalf("%+v %+v %v", r, result, err)
	}
	if ids := undecided(t, s); len(ids) != 0 || status(t, s, run(1)).Status != engine.Running {
		t.Errorf("in the inbox: %v", ids)
	}
}

func acceptedDecidedTwice(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	r, _, err := s.AcceptDecided(t.Context(), event(2), delivery("a", "k"), matched(event(2), start(run(2), event(2))))
	if err != nil || !r.Duplicate || r.Event != event(1) {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err := s.Run(t.Context(), run(2)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a duplicate has begun a run: %v", err)
	}
	if ids := undecided(t, s); !slices.Equal(ids, []engine.EventID{event(1)}) {
		t.Errorf("in the inbox: %v", ids)
	}
}

func decidedAgainst(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	no := false
	match(t, s, engine.Match{Event: event(1), At: at, Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Filtered,
		Conditions: []engine.Condition{{Expr: "event.data.ok", Result: &no}}, Reason: "event.data.ok is false"}}})
	d, err := s.History.EventDetail(t.Context(), event(1))
	if err != nil || len(d.Decisions) != 1 || d.Decisions[0].Outcome != "filtered" || d.Decisions[0].Reason != "event.data.ok is false" {
		t.Errorf("%+v %v", d.Decisions, err)
	}
	x, err := s.Decided(t.Context(), event(1))
	if err != nil || x.Pending || x.Outcomes["w"] != engine.Filtered {
		t.Errorf("%+v %v", x, err)
	}
}

func calledState(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	if c, err := s.Called(t.Context(), event(1)); err != nil || c.Decided || c.Run != nil {
		t.Errorf("before its decision: %+v %v", c, err)
	}
	u := start(run(1), event(1))
	match(t, s, matched(event(1), u))
	u.New, u.Run.Output = false, map[string]any{"n": int64(1)}
	commit(t, s, u, engine.Succeeded, attempt("a", plan.Succeeded))
	c, err := s.Called(t.Context(), event(1))
	if err != nil || !c.Decided || c.Run == nil || c.Run.Status != engine.Succeeded || fmt.Sprint(c.Run.Output) != "map[n:1]" {
		t.Errorf("%+v %v", c, err)
	}
}
