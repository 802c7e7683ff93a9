package machine_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// The tests of crashes hold over any store: they open it by storetest.Fresh and ask it by the
// contract alone.

// startOver is start over a database of any kind.
func (w *world) startOver(open storetest.Open, fault func(int) error) (e *machine.Engine, s storetest.Opened, stop func() error) {
	w.t.Helper()
	s, err := open(fault)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.feedBegan == nil {
		at, err := s.History.FeedEnd(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		w.feedBegan = &at
	}
	e, stop = w.runOver(s.Store, func() error {
		feedTells(w.t, s.History, *w.feedBegan)
		return s.Close()
	})
	return e, s, stop
}

// runsIn lists all runs of a history, the newest first.
func runsIn(t testing.TB, h engine.History) (list []engine.RunItem) {
	t.Helper()
	for q := (engine.Query{Limit: 1000}); ; {
		page, err := h.RunPage(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, page.Items...)
		if q.After = page.Next; page.Next == "" {
			return list
		}
	}
}

// eventsIn lists all events of a history, the newest first.
func eventsIn(t testing.TB, h engine.History) (list []engine.EventItem) {
	t.Helper()
	for q := (engine.Query{Limit: 1000}); ; {
		page, err := h.EventPage(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, page.Items...)
		if q.After = page.Next; page.Next == "" {
			return list
		}
	}
}

// isOpen tells whether events are undecided or runs have not ended.
func isOpen(ctx context.Context, h engine.History) (bool, error) {
	s, err := h.Standing(ctx)
	return s.Inbox+s.Queued+s.Waiting+s.AtWork > 0, err
}

// settledIn is settled over any store.
func settledIn(t testing.TB, h engine.History, runs int) []engine.RunItem {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		// The list is read first: a run that begins after it must not count as ended.
		list := runsIn(t, h)
		open, err := isOpen(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if !open && len(list) >= runs {
			return runsIn(t, h)
		}
	}
	t.Fatalf("events are undecided, runs are still open, or there are fewer than %d: %+v", runs, runsIn(t, h))
	return nil
}

// feedTells is feedFits by the contract, so that it holds for any store: the feed from a
// position on tells the status of each run, and of each event that is decided, once.
func feedTells(t testing.TB, h engine.History, at engine.Cursor) {
	t.Helper()
	told, statuses := map[string]int{}, map[string]string{}
	for {
		list, err := h.Feed(context.Background(), at, 1000)
		if err != nil {
			t.Error(err)
			return
		}
		if len(list) == 0 {
			break
		}
		for _, c := range list {
			if c.Event != 0 {
				told[c.Event.String()]++
			} else {
				statuses[c.Run.String()] = string(c.Status)
			}
			at = c.At
		}
	}
	for _, r := range runsIn(t, h) {
		if statuses[r.ID] != r.Status {
			t.Errorf("%s is %s; the feed says %q", r.ID, r.Status, statuses[r.ID])
		}
	}
	for _, ev := range eventsIn(t, h) {
		if ev.Outcome != "pending" && told[ev.ID] != 1 {
			t.Errorf("%s, %s, is %d times in the feed", ev.ID, ev.Outcome, told[ev.ID])
		}
	}
}
