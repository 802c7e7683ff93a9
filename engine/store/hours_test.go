package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// hourFigures are all figures that use the counts of hours.
func hourFigures(t *testing.T, s *Store, now time.Time) []any {
	t.Helper()
	h, ctx := s.History(), t.Context()
	from := now.UTC().Truncate(time.Hour).Add(-9 * time.Hour)
	byHour, e1 := h.Activity(ctx, from, time.Hour, 10)
	byTwo, e2 := h.Activity(ctx, from.Truncate(2*time.Hour), 2*time.Hour, 6)
	byHalf, e3 := h.Activity(ctx, from, 30*time.Minute, 20)
	shop, e4 := h.TriggerStats(ctx, "shop", now.Add(-7*time.Hour-20*time.Minute))
	none, e5 := h.TriggerStats(ctx, "none", from)
	flows, e6 := h.WorkflowStats(ctx, from)
	groups, e7 := h.RefusalGroups(ctx, engine.Query{})
	for _, err := range []error{e1, e2, e3, e4, e5, e6, e7} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return []any{byHour, byTwo, byHalf, shop, none, flows, groups}
}

// hourHistory stores events with runs, one every ten minutes of the last eight hours.
func hourHistory(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	for n := range int64(48) {
		at := now.Add(-time.Duration(n) * 10 * time.Minute)
		id := engine.FirstID(at) + 2*n
		d := &engine.Delivery{Trigger: []string{"shop", "pay", "pay"}[n%3], Inlet: []engine.Inlet{"webhook", "webhook", "poll", "webhook"}[n%4],
			Key: fmt.Sprint(n), Type: "t", Time: at, ReceivedAt: at, Raw: []byte("{}"), Dedupe: time.Hour}
		if _, err := s.Accept(t.Context(), engine.EventID(id), d); err != nil {
			t.Fatal(err)
		}
		run := &engine.Run{ID: engine.RunID(id + 1), Event: engine.EventID(id), Workflow: fmt.Sprint("w", n%2), Version: "v", CreatedAt: at,
			StartedAt: at, FinishedAt: at.Add(time.Second), Status: engine.Succeeded}
		_, err := s.Match(t.Context(), []engine.Match{{Event: run.Event, At: at, Decisions: []engine.Decision{{Workflow: run.Workflow,
			Version: "v", Outcome: engine.Matched, Run: run.ID}}, Starts: []engine.RunUpdate{{Run: run, New: true, Answers: -1}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Refuse(t.Context(), engine.Refusal{At: now.Add(-6*time.Hour - 5*time.Minute), Trigger: "shop", Reason: "signature",
		Method: "POST"}); err != nil {
		t.Fatal(err)
	}
}

// TestHourlyCountsEqualTheRows: figures are the same before hours are counted, afterwards, after an event
// that is stored late, after pruning in the middle of an hour, and after a node of an earlier program has pruned,
// which does not drop counts.
func TestHourlyCountsEqualTheRows(t *testing.T) {
	t.Parallel()
	for _, path := range []string{filepath.Join(t.TempDir(), "x.db"), postgrestest.Shared(t).Database(t)} {
		s, err := Open(t.Context(), path, Options{Synchronous: "OFF"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		now := time.Now().Truncate(time.Hour).Add(25 * time.Minute)
		hourHistory(t, s, now)
		counted := func() (n int) {
			if err := s.readers.QueryRowContext(t.Context(), `SELECT count(*) FROM hour_counts WHERE kind = 'event' AND name = ''`).Scan(
				&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		check := func(what string, hours int) {
			t.Helper()
			if n := counted(); n != hours {
				t.Errorf("%s: %d hours are counted, not %d", what, n, hours)
			}
			got := hourFigures(t, s, now)
			if err := s.w.do(t.Context(), true, func(t *tx) error {
				return t.exec(`DELETE FROM hour_counts WHERE kind <> 'node'`)
			}); err != nil {
				t.Fatal(err)
			}
			if want := hourFigures(t, s, now); !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\n%+v\nof the rows:\n%+v", what, got, want)
			}
		}
		prune := func(o engine.PruneOrder) {
			t.Helper()
			o.Now, o.DefaultDedupe = now, 24*time.Hour
			if _, err := s.Prune(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		prune(engine.PruneOrder{})
		if s.w.pg != nil {
			check("without the lease for pruning", 0)
			if !engine.Leads(t.Context(), s, "prune") {
				t.Fatal("no lease")
			}
			prune(engine.PruneOrder{})
		}
		check("counted", 7)
		prune(engine.PruneOrder{})
		late := &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: "late", Type: "t", Time: now, ReceivedAt: now, Raw: []byte("{}"),
			Dedupe: time.Hour}
		if _, err := s.Accept(t.Context(), engine.EventID(engine.FirstID(now.Add(-3*time.Hour))+1), late); err != nil {
			t.Fatal(err)
		}
		check("one more", 6)
		prune(engine.PruneOrder{})
		if err := (&pruner{s: s, o: engine.PruneOrder{Now: now}}).history(t.Context(), engine.FirstID(now.Add(-5*time.Hour)), now); err != nil {
			t.Fatal(err)
		}
		check("pruned", 3)
		if s.w.pg == nil {
			continue
		}
		prune(engine.PruneOrder{})
		err = s.w.do(t.Context(), true, func(t *tx) error {
			return errors.Join(t.exec(`UPDATE leases SET epoch = epoch + 1`), t.exec(`DELETE FROM events WHERE id IN (SELECT max(e.id) FROM
				events e WHERE e.id < ? AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.event_id = e.id))`, engine.FirstID(now.Add(-2*time.Hour))))
		})
		if err != nil {
			t.Fatal(err)
		}
		check("pruned by an earlier program", 4)
	}
}
