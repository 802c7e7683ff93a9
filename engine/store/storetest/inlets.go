package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// inlets are the promises of InletStore.
var inlets = []test{
	{"a poll's items and its cursor are stored together, and repeat nothing", pollsRepeatNothing},
	{"the first poll makes its items known without events", pollsRemember},
	{"a poll that only measures makes no events", pollsObserve},
	{"an item that a webhook brought is one event", pollsAndWebhooks},
	{"a gap is learned from enough history", gapLearned},
}

func item(key string) *engine.Delivery {
	d := delivery("shop", key)
	d.Inlet = "poll"
	return d
}

func poll(t testing.TB, s Opened, first int64, b *engine.PollBatch) []engine.Receipt {
	t.Helper()
	b.Trigger, b.Inlet = "shop", "poll"
	ids := make([]engine.EventID, len(b.Items))
	for i := range ids {
		ids[i] = event(first + int64(i))
	}
	out, err := s.Poll(t.Context(), ids, b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pollsRepeatNothing(t *testing.T, s Opened) {
	if st, err := s.InletState(t.Context(), "shop", "poll"); err != nil || st.Cursor != nil || !st.AskedAt.IsZero() {
		t.Errorf("before the first poll: %+v %v", st, err)
	}
	b := &engine.PollBatch{Items: []*engine.Delivery{item("1"), item("2")}, State: engine.InletState{Cursor: []byte(`"c1"`), AskedAt: at,
		OKAt: at, ETag: "e", Timetable: "1m"}, Cost: engine.PollCost{Requests: 1, Outcome: "ok"}}
	if out := poll(t, s, 1, b); out[0].Event != event(1) || out[1].Event != event(2) {
		t.Errorf("%+v", out)
	}
	b.Items = append(b.Items, item("3"))
	if out := poll(t, s, 10, b); out[0].Event != 0 || out[1].Event != 0 || out[2].Event != event(12) {
		t.Errorf("the same items again: %+v", out)
	}
	st, err := s.InletState(t.Context(), "shop", "poll")
	if err != nil || string(st.Cursor) != `"c1"` || !st.AskedAt.Equal(at) || st.ETag != "e" || st.Timetable != "1m" {
		t.Errorf("%+v %v", st, err)
	}
	known, err := s.Known(t.Context(), "shop", []string{"1", "9"})
	if err != nil || !known["1"] || known["9"] {
		t.Errorf("%v %v", known, err)
	}
}

func pollsRemember(t *testing.T, s Opened) {
	b := &engine.PollBatch{Items: []*engine.Delivery{item("old"), item("new")}, Remember: true, New: map[string]bool{"new": true}}
	if out := poll(t, s, 1, b); out[0].Event != 0 || out[1].Event != event(2) {
		t.Errorf("%+v", out)
	}
	second := &engine.PollBatch{Items: []*engine.Delivery{item("old"), item("later")}}
	if out := poll(t, s, 10, second); out[0].Event != 0 || out[1].Event == 0 {
		t.Errorf("the second poll: %+v", out)
	}
	if known, err := s.Known(t.Context(), "shop", []string{"old"}); err != nil || !known["old"] {
		t.Errorf("%v %v", known, err)
	}
}

func pollsObserve(t *testing.T, s Opened) {
	if out := poll(t, s, 1, &engine.PollBatch{Items: []*engine.Delivery{item("1")}, Observe: true}); out[0].Event != 0 {
		t.Errorf("%+v", out)
	}
	x, err := s.History.Sightings(t.Context(), "shop", at.Add(-time.Hour))
	if err != nil || len(x.Events) != 1 || x.Events[0].Key != "1" {
		t.Errorf("%+v %v", x, err)
	}
}

func pollsAndWebhooks(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("shop", "1"))
	out := poll(t, s, 10, &engine.PollBatch{Items: []*engine.Delivery{item("1")}})
	if !out[0].Duplicate || out[0].Event != event(1) {
		t.Fatalf("%+v", out)
	}
	if out := poll(t, s, 20, &engine.PollBatch{Items: []*engine.Delivery{item("1")}}); out[0].Event != 0 {
		t.Errorf("one sighting for each poll: %+v", out)
	}
	if err := s.SaveDifference(t.Context(), event(1), "poll", map[string]any{"a": []any{int64(1), int64(2)}}); err != nil {
		t.Fatal(err)
	}
	d, err := s.History.EventDetail(t.Context(), event(1))
	if err != nil || len(d.Sightings) != 1 || d.Sightings[0].SameBody {
		t.Errorf("%+v %v", d.Sightings, err)
	}
	if last, err := s.LastDelivery(t.Context(), "shop"); err != nil || !last.Equal(at) {
		t.Errorf("%v %v", last, err)
	}
}

func gapLearned(t *testing.T, s Opened) {
	add := func(i int, after time.Duration) {
		d := delivery("shop", fmt.Sprint(i))
		d.ReceivedAt = at.Add(after)
		accept(t, s, engine.EventID(engine.FirstID(d.ReceivedAt)), d)
	}
	for i := range 49 {
		add(i, time.Duration(i)*2*time.Hour)
	}
	if gap, err := s.LearnedGap(t.Context(), "shop"); err != nil || gap != 0 {
		t.Errorf("of 49 events: %v %v", gap, err)
	}
	add(49, 48*2*time.Hour+4*time.Hour)
	if gap, err := s.LearnedGap(t.Context(), "shop"); err != nil || gap != 6*time.Hour {
		t.Errorf("half as long again as the longest gap: %v %v", gap, err)
	}
}
