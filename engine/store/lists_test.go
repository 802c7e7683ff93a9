package store_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

func TestListsPageByKeyAndFilter(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	for i := 1; i <= 25; i++ {
		d := delivery("a", fmt.Sprintf("k%02d", i))
		if i%5 == 0 {
			d.Trigger, d.Raw = "b", []byte(`{"needle":"100%_sure"}`)
		}
		if _, err := s.Accept(ctx, engine.EventID(i), d); err != nil {
			t.Fatal(err)
		}
	}
	h := s.History()
	seen, after := 0, ""
	for {
		page, err := h.Events(ctx, engine.Query{Limit: 10, After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		seen += len(page)
		after = page[len(page)-1].ID
	}
	if seen != 25 {
		t.Errorf("pages hold %d", seen)
	}
	for _, c := range []struct {
		q    engine.Query
		want int
	}{{engine.Query{Trigger: "b"}, 5}, {engine.Query{Grep: "100%_sure"}, 5}, {engine.Query{Grep: "%"}, 5},
		{engine.Query{Grep: "' OR 1=1 --"}, 0}, {engine.Query{Type: "t", Limit: 100}, 25}} {
		if items, err := h.Events(ctx, c.q); err != nil || len(items) != c.want {
			t.Errorf("%+v: %d, %v", c.q, len(items), err)
		}
	}
	if _, err := h.Events(ctx, engine.Query{After: "evt_zz"}); err == nil {
		t.Error("a wrong cursor was taken")
	}
}

// TestSearchReadsABoundedNumberOfRows: a page costs the same however long the
// history is; what is further back is found by going on.
func TestSearchReadsABoundedNumberOfRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const runs = 50_000
	fill(t, path, runs)
	h := s.History()
	for name, page := range map[string]func(q engine.Query) (found int, next string, paused bool, err error){
		"events": func(q engine.Query) (int, string, bool, error) {
			q.Grep = `"n":7,`
			p, err := h.EventPage(t.Context(), q)
			return len(p.Items), p.Next, p.SearchedTo != nil, err
		},
		"runs": func(q engine.Query) (int, string, bool, error) {
			q.Status, q.Grep = "succeeded", "k7"
			p, err := h.RunPage(t.Context(), q)
			n := 0
			for _, i := range p.Items {
				if i.Event == engine.EventID(13).String() {
					n++
				}
			}
			return n, p.Next, p.SearchedTo != nil, err
		},
	} {
		var q engine.Query
		q.Limit = 1000
		found, pages, pauses := 0, 0, 0
		for {
			n, next, paused, err := page(q)
			if err != nil {
				t.Fatal(err)
			}
			found, pages = found+n, pages+1
			if paused {
				pauses++
			}
			if next == "" {
				break
			}
			q.After = next
		}
		if found != 1 || pauses < 2 || name == "events" && pages != 3 {
			t.Errorf("%s: found %d times on %d pages, %d of which paused", name, found, pages, pauses)
		}
	}
	all, err := h.Events(t.Context(), engine.Query{Grep: `"n":7,`})
	if err != nil || len(all) != 1 {
		t.Errorf("without pages: %d %v", len(all), err)
	}
}

// TestActivityCountsTheRows compares the counts with the rows.
func TestActivityCountsTheRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fill(t, path, 1000)
	epoch := engine.RunID(0).Time()
	b, err := s.History().Activity(t.Context(), epoch, time.Hour, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Bucket{At: epoch, Events: 1000, Runs: 1000, Failed: 9, Open: 1}
	if len(b) != 3 || b[0] != want || b[0].Succeeded() != 990 || b[1].Events != 0 {
		t.Errorf("%+v, want %+v", b, want)
	}
	at := epoch.Add(90 * time.Minute)
	if err := s.Refuse(t.Context(), engine.Refusal{At: at, Trigger: "shop", Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	if b, err = s.History().Activity(t.Context(), epoch, time.Hour, 3); err != nil || b[1].Refused != 1 || b[0].Refused != 0 {
		t.Errorf("%+v %v", b, err)
	}
	all, err := s.History().WorkflowStats(t.Context(), epoch)
	w := all["w2"]
	if err != nil || w.Runs != 143 || w.Failed != 2 || w.Took.P50 != 0.1 {
		t.Errorf("%+v %v", w, err)
	}
}

// TestLearnedGapIsOneAndAHalfTimesTheLongestSilence, once there are days of history.
func TestLearnedGapIsOneAndAHalfTimesTheLongestSilence(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	deliver := func(after time.Duration, inlet engine.Inlet) {
		at = at.Add(after)
		if _, err := s.Accept(t.Context(), engine.EventID(engine.FirstID(at)),
			&engine.Delivery{Trigger: "shop", Inlet: inlet, Key: at.String(), Time: at, ReceivedAt: at, Dedupe: time.Hour,
				Unsubscribed: true}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(d time.Duration) {
		t.Helper()
		if got, err := s.History().LearnedGap(t.Context(), "shop"); err != nil || got != d {
			t.Errorf("%v %v, want %v", got, err, d)
		}
	}
	want(0)
	for range 60 {
		deliver(time.Minute, "webhook")
	}
	want(0) // an hour tells nothing of the night
	for range 4 {
		deliver(14*time.Hour, "webhook")
		for range 10 {
			deliver(time.Hour, "webhook")
			deliver(0+time.Second, "poll")
		}
	}
	want(21*time.Hour + 1500*time.Millisecond)
}
