package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// identities are the promises of EventStore about what makes two deliveries one event.
var identities = []test{
	{"an equal body under another id is another event, and marked", equalBodyMarked},
	{"a sample is marked as a test in events, runs and sightings", sampleMarked},
	{"with replays: body an equal type and body is the same event", equalBodyIsTheSame},
	{"the same signature is the same event whatever its id", sameClaim},
	{"each signature of a known event is spent", claimsAreSpent},
	{"a signature is spent as long as it is genuine", claimsOutliveTheKey},
	{"a thousand equal contents at once are one event, until their time is over", aThousandContents},
	{"a known key with another body is kept as a conflict, once", conflictsAreKept},
	{"a body that differs only in its signature is no conflict", signatureIsNoConflict},
	{"the same event id again is the same acceptance", sameIDIsMine},
	{"the same event id again with its decisions is the same acceptance", sameIDDecidedIsMine},
	{"the same event ids again of a request or a poll are the same acceptance", sameIDsAreMine},
	{"an id that another event has is refused", takenID},
}

func sampleMarked(t *testing.T, s Opened) {
	sample := delivery("shop", "sample")
	sample.Headers = map[string]string{"user-agent": engine.SampleAgent, "x-event-id": "sample"}
	if _, _, err := s.AcceptDecided(t.Context(), event(1), sample, matched(event(1), start(run(1), event(1)))); err != nil {
		t.Fatal(err)
	}
	accept(t, s, event(2), delivery("shop", "genuine"))
	page, err := s.History.EventPage(t.Context(), engine.Query{})
	if err != nil || len(page.Items) != 2 || page.Items[0].Test || !page.Items[1].Test {
		t.Fatalf("%+v %v", page.Items, err)
	}
	page, err = s.History.EventPage(t.Context(), engine.Query{Status: "test"})
	if err != nil || len(page.Items) != 1 || page.Items[0].Key != "sample" {
		t.Errorf("%+v %v", page.Items, err)
	}
	runs, err := s.History.RunPage(t.Context(), engine.Query{})
	if err != nil || len(runs.Items) != 1 || !runs.Items[0].Test {
		t.Errorf("%+v %v", runs, err)
	}
	// A sample of an event that was received does not count as a delivery of the provider.
	repeat := delivery("shop", "genuine")
	repeat.Headers = sample.Headers
	if r := accept(t, s, event(3), repeat); !r.Duplicate {
		t.Errorf("%+v", r)
	}
	seen, err := s.History.Sightings(t.Context(), "shop", at.Add(-time.Hour))
	if err != nil || len(seen.Events) != 2 || !seen.Events[0].Test || seen.Events[1].Test || seen.Events[1].Repeats != 0 {
		t.Errorf("%+v %v", seen, err)
	}
}

func equalBodyMarked(t *testing.T, s Opened) {
	for i, key := range []string{"id-1", "id-2", "id-3"} {
		d := delivery("a", key)
		d.SameBody = engine.BodyMarked
		r := accept(t, s, event(1+int64(i)), d)
		if r.Duplicate || r.RepeatsBodyOf != map[bool]engine.EventID{false: event(1)}[i == 0] {
			t.Errorf("%s: %+v", key, r)
		}
	}
	late := delivery("a", "id-4")
	late.SameBody, late.ReceivedAt = engine.BodyMarked, at.Add(2*time.Hour)
	if r := accept(t, s, event(4), late); r.RepeatsBodyOf != 0 {
		t.Errorf("after the window: %+v", r)
	}
	page, err := s.History.EventPage(t.Context(), engine.Query{Status: "repeated-body"})
	if err != nil || len(page.Items) != 2 || page.Items[0].RepeatsBodyOf != event(1).String() {
		t.Errorf("%+v %v", page.Items, err)
	}
}

func equalBodyIsTheSame(t *testing.T, s Opened) {
	strict := func(key, kind string) *engine.Delivery {
		d := delivery("a", key)
		d.SameBody, d.Type = engine.BodyDuplicate, kind
		return d
	}
	accept(t, s, event(1), strict("id-1", "paid"))
	for i, key := range []string{"id-2", "id-2", "id-1"} {
		if r := accept(t, s, event(2+int64(i)), strict(key, "paid")); !r.Duplicate || r.Event != event(1) {
			t.Errorf("%s: %+v", key, r)
		}
	}
	if r := accept(t, s, event(9), strict("id-9", "refunded")); r.Duplicate {
		t.Errorf("another type: %+v", r)
	}
}

func signed(key, claim, body string) *engine.Delivery {
	d := delivery("a", key)
	d.Claim, d.Raw = []byte(claim), []byte(body)
	return d
}

func sameClaim(t *testing.T, s Opened) {
	accept(t, s, event(1), signed("id-1", "token-1", `{"a":1}`))
	if r := accept(t, s, event(2), signed("id-2", "token-1", `{"a":1}`)); !r.Duplicate || r.Event != event(1) || r.Conflict {
		t.Errorf("under another id: %+v", r)
	}
	if r := accept(t, s, event(3), signed("id-2", "token-3", `{"b":1}`)); r.Duplicate {
		t.Errorf("an id that only a replay has used is the sender's still: %+v", r)
	}
	if r := accept(t, s, event(4), signed("id-4", "token-1", `{"forged":1}`)); !r.Duplicate || !r.Conflict || r.Event != event(1) {
		t.Errorf("with another body: %+v", r)
	}
	if r := accept(t, s, event(5), signed("id-5", "token-5", `{"a":1}`)); r.Duplicate || r.RepeatsBodyOf != 0 {
		t.Errorf("another signed content: %+v", r)
	}
}

func claimsAreSpent(t *testing.T, s Opened) {
	accept(t, s, event(1), signed("id-1", "token-1", `{"a":1}`))
	if r := accept(t, s, event(2), signed("id-1", "token-2", `{"a":1}`)); !r.Duplicate || r.Event != event(1) {
		t.Errorf("the repeat: %+v", r)
	}
	if r := accept(t, s, event(3), signed("id-3", "token-2", `{"forged":1}`)); !r.Duplicate || r.Event != event(1) || !r.Conflict {
		t.Errorf("the signature of the repeat under another id: %+v", r)
	}
}

func claimsOutliveTheKey(t *testing.T, s Opened) {
	for _, c := range []struct {
		name     string
		identity engine.Identity
	}{{"by content", engine.ByContent}, {"by an id that is not signed", engine.ByHeader}} {
		signed := func(id string, later time.Duration) *engine.Delivery {
			d := delivery("a", c.name+id)
			d.Claim, d.Dedupe, d.ClaimFor, d.Identity = []byte(c.name), time.Minute, 5*time.Minute, c.identity
			d.ReceivedAt = d.ReceivedAt.Add(later)
			return d
		}
		first := event(100 * (1 + int64(c.identity)))
		accept(t, s, first, signed("1", 0))
		if r := accept(t, s, first+1, signed("2", 4*time.Minute)); !r.Duplicate || r.Event != first {
			t.Errorf("%s, after dedupe: %+v", c.name, r)
		}
		if r := accept(t, s, first+2, signed("3", 6*time.Minute)); r.Duplicate {
			t.Errorf("%s, when the signature is stale: %+v", c.name, r)
		}
	}
}

func aThousandContents(t *testing.T, s Opened) {
	content := func() *engine.Delivery {
		d := delivery("a", "sha256:1")
		d.Identity, d.Claim, d.Dedupe = engine.ByContent, []byte("digest"), time.Minute
		return d
	}
	var firsts atomic.Int64
	var wg sync.WaitGroup
	for i := range int64(1000) {
		wg.Go(func() {
			r, err := s.Accept(t.Context(), event(i), content())
			if err != nil {
				t.Error(err)
			} else if !r.Duplicate {
				firsts.Add(1)
			}
		})
	}
	wg.Wait()
	if firsts.Load() != 1 {
		t.Errorf("%d events", firsts.Load())
	}
	later := content()
	later.ReceivedAt = at.Add(2 * time.Minute)
	if r := accept(t, s, event(2000), later); r.Duplicate {
		t.Errorf("after its window: %+v", r)
	}
	page, err := s.History.EventPage(t.Context(), engine.Query{Status: "by-content"})
	if err != nil || len(page.Items) != 2 || page.Items[0].Identity != "content" {
		t.Errorf("%+v %v", page.Items, err)
	}
	n, err := s.Prune(t.Context(), engine.PruneOrder{Now: later.ReceivedAt.Add(2 * time.Minute), DefaultDedupe: 24 * time.Hour})
	if err != nil || n.Keys != 1 {
		t.Errorf("pruned %+v %v", n, err)
	}
}

func conflictsAreKept(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	for i := range int64(3) {
		other := delivery("a", "k")
		other.Raw = []byte(`{"a":2}`)
		if r := accept(t, s, event(2+i), other); !r.Duplicate || !r.Conflict || r.Event != event(1) {
			t.Errorf("%+v", r)
		}
	}
	kind := delivery("a", "k")
	kind.Type = "another"
	if r := accept(t, s, event(9), kind); !r.Conflict {
		t.Errorf("another type: %+v", r)
	}
	volatile := delivery("a", "k")
	volatile.Headers = map[string]string{"attempt": "2"}
	if r := accept(t, s, event(10), volatile); !r.Duplicate || r.Conflict {
		t.Errorf("other headers: %+v", r)
	}
	d, err := s.History.EventDetail(t.Context(), event(1))
	if err != nil || d.Conflicts != 2 || len(d.Conflicting) != 2 || d.Conflicting[0].Count != 3 ||
		fmt.Sprint(d.Conflicting[0].Differences) != "map[a:[1 2]]" {
		t.Fatalf("%+v %v", d, err)
	}
	c, err := s.Conflict(t.Context(), d.Conflicting[0].ID)
	if err != nil || string(c.Delivery.Raw) != `{"a":2}` || c.Event != event(1) {
		t.Errorf("%+v %v", c, err)
	}
	if err := s.ConflictAdmitted(t.Context(), c.ID, event(20)); err != nil {
		t.Fatal(err)
	}
	if c, err = s.Conflict(t.Context(), c.ID); err != nil || c.Admitted != event(20).String() {
		t.Errorf("%+v %v", c, err)
	}
}

func signatureIsNoConflict(t *testing.T, s Opened) {
	d := delivery("a", "k")
	d.ContentSum = 7
	accept(t, s, event(1), d)
	again := delivery("a", "k")
	again.Raw, again.ContentSum = []byte(`{"a":1,"signature":{"timestamp":2}}`), 7
	if r := accept(t, s, event(2), again); !r.Duplicate || r.Conflict {
		t.Errorf("%+v", r)
	}
	other := delivery("a", "k")
	other.Raw, other.ContentSum = []byte(`{"a":2,"signature":{"timestamp":2}}`), 8
	if r := accept(t, s, event(3), other); !r.Conflict {
		t.Errorf("%+v", r)
	}
}

// mineAgain stores a delivery again under its id, as a caller does that does not know the outcome.
func mineAgain(t *testing.T, s Opened, name string, id engine.EventID, d func() *engine.Delivery) {
	t.Helper()
	first := accept(t, s, id, d())
	if first.Duplicate || first.Mine {
		t.Errorf("%s: the first: %+v", name, first)
	}
	first.Mine = true
	for range 2 {
		if r := accept(t, s, id, d()); r != first {
			t.Errorf("%s: again: %+v, want %+v", name, r, first)
		}
	}
	x, err := s.History.EventDetail(t.Context(), id)
	if err != nil || x.Duplicates != 0 || x.Conflicts != 0 {
		t.Errorf("%s: %d duplicates, %d conflicts (%v)", name, x.Duplicates, x.Conflicts, err)
	}
	if r := accept(t, s, id+1, d()); d().Dedupe > 0 && (!r.Duplicate || r.Event != id) {
		t.Errorf("%s: under another id: %+v", name, r)
	}
}

func sameIDIsMine(t *testing.T, s Opened) {
	for i, c := range []struct {
		name string
		make func(d *engine.Delivery)
	}{
		{"by key", func(*engine.Delivery) {}},
		{"with dedupe off", func(d *engine.Delivery) { d.Dedupe = 0 }},
		{"by content", func(d *engine.Delivery) { d.Identity, d.Claim = engine.ByContent, []byte("content") }},
		{"signed", func(d *engine.Delivery) { d.Claim = []byte("signature") }},
		{"with its body", func(d *engine.Delivery) { d.SameBody, d.Raw = engine.BodyDuplicate, []byte(`{"strict":1}`) }},
		{"marked by its body", func(d *engine.Delivery) { d.SameBody, d.Raw = engine.BodyMarked, []byte(`{"marked":1}`) }},
	} {
		mineAgain(t, s, c.name, event(10*int64(1+i)), func() *engine.Delivery {
			d := delivery("a", c.name)
			c.make(d)
			return d
		})
	}
	// The second of two equal bodies is marked, also when it is stored again.
	second := func() *engine.Delivery {
		d := delivery("a", "second")
		d.SameBody, d.Raw = engine.BodyMarked, []byte(`{"marked":1}`)
		return d
	}
	if r := accept(t, s, event(90), second()); r.RepeatsBodyOf != event(60) {
		t.Errorf("%+v", r)
	}
	if r := accept(t, s, event(90), second()); r.RepeatsBodyOf != event(60) || !r.Mine {
		t.Errorf("again: %+v", r)
	}
}

func sameIDDecidedIsMine(t *testing.T, s Opened) {
	decide := func() (engine.Receipt, engine.MatchResult) {
		t.Helper()
		r, m, err := s.AcceptDecided(t.Context(), event(1), delivery("a", "k"), matched(event(1), start(run(1), event(1))))
		if err != nil {
			t.Fatal(err)
		}
		return r, m
	}
	if r, m := decide(); r.Mine || m.Known {
		t.Errorf("%+v %+v", r, m)
	}
	if r, m := decide(); !r.Mine || r.Duplicate || !m.Known {
		t.Errorf("again: %+v %+v", r, m)
	}
	if r := accept(t, s, event(1), delivery("a", "k")); !r.Mine {
		t.Errorf("stored alone: %+v", r)
	}
	if ids := undecided(t, s); len(ids) != 0 {
		t.Errorf("in the inbox: %v", ids)
	}
	// What an earlier call stored without a decision is decided by the second.
	accept(t, s, event(2), delivery("a", "k2"))
	r, m, err := s.AcceptDecided(t.Context(), event(2), delivery("a", "k2"), matched(event(2), start(run(2), event(2))))
	if err != nil || !r.Mine || m.Known || status(t, s, run(2)).Status != engine.Running || len(undecided(t, s)) != 0 {
		t.Errorf("%+v %+v %v", r, m, err)
	}
}

func sameIDsAreMine(t *testing.T, s Opened) {
	for i := range 2 {
		out, err := s.AcceptAll(t.Context(), []engine.EventID{event(1), event(2)}, []*engine.Delivery{delivery("a", "1"), delivery("a", "2")})
		if err != nil || out[0].Event != event(1) || out[1].Event != event(2) || out[0].Mine != (i == 1) || out[1].Mine != (i == 1) {
			t.Errorf("%+v %v", out, err)
		}
		items := poll(t, s, 10, &engine.PollBatch{Items: []*engine.Delivery{item("1"), item("2")}})
		if items[0].Event != event(10) || items[0].Mine != (i == 1) || items[1].Event != event(11) || items[1].Mine != (i == 1) {
			t.Errorf("%+v", items)
		}
	}
}

func takenID(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	for name, d := range map[string]*engine.Delivery{"another key": delivery("a", "other"), "another trigger": delivery("b", "k")} {
		if r, err := s.Accept(t.Context(), event(1), d); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := accept(t, s, event(2), delivery("a", "other")); r.Duplicate {
		t.Error("the refused event has burnt its key")
	}
}
