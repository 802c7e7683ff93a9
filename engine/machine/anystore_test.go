package machine_test

import (
	"context"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// database is an open database of any kind, which the tests use by the contract of stores.
type database struct {
	engine.Store
	History history
	// wrong lists the invariants of the stored rows that do not hold.
	wrong func(context.Context) ([]string, error)
	Close func() error
}

func opened(o storetest.Opened) database {
	return database{o.Store, history{o.History}, o.Wrong, o.Close}
}

// holds checks the invariants of the stored rows.
func (d database) holds(t testing.TB, where string) {
	t.Helper()
	wrong, err := d.wrong(context.Background())
	if err != nil || len(wrong) > 0 {
		t.Errorf("%s: %q, %v", where, wrong, err)
	}
}

// history is an engine.History with lists that are not cut into pages.
type history struct{ engine.History }

// Runs lists runs, the newest first.
func (h history) Runs(ctx context.Context, q engine.Query) ([]engine.RunItem, error) {
	return pages(ctx, q, h.RunPage)
}

// Events lists events, the newest first.
func (h history) Events(ctx context.Context, q engine.Query) ([]engine.EventItem, error) {
	return pages(ctx, q, h.EventPage)
}

func pages[T any](ctx context.Context, q engine.Query, page func(context.Context, engine.Query) (engine.Page[T], error),
) (list []T, err error) {
	if q.Limit == 0 {
		q.Limit = 50
	}
	for limit := q.Limit; ; q.Limit = limit - len(list) {
		p, err := page(ctx, q)
		if err != nil {
			return nil, err
		}
		if list = append(list, p.Items...); len(list) >= limit || p.Next == "" {
			return list, nil
		}
		q.After = p.Next
	}
}

// Steps lists the attempts of a run.
func (h history) Steps(ctx context.Context, id engine.RunID) ([]engine.StepItem, error) {
	d, err := h.RunDetail(ctx, id)
	if err != nil {
		return nil, err
	}
	return d.Steps, nil
}

// counts are the runs that have not ended, and the events that are not decided.
type counts struct{ Open, Inbox int }

// Counts counts open work.
func (h history) Counts(ctx context.Context) (counts, error) {
	s, err := h.CurrentState(ctx)
	return counts{s.Queued + s.Waiting + s.AtWork, s.Inbox}, err
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

// checkFeed compares the feed from a position on with the history: the last status that it tells of
// each run is the run's, and it has told each event that is decided, once.
func checkFeed(t testing.TB, h engine.History, at engine.Cursor) {
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
