package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestAClaimOfDueRunsReadsNoMoreThanItNeeds: of a long backlog, each owner gets the next runs in order, and the
// server reads a page and not all of them.
func TestAClaimOfDueRunsReadsNoMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s := node(t, address, "a")
	const runs, limit = 1000, 30
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	want := make([]engine.RunID, runs)
	inParallel(runs, 64, func(i int) {
		id := engine.EventID(nodeID(s))
		run := &engine.Run{ID: engine.RunID(nodeID(s)), Event: id, Workflow: "w", Version: "v", Status: engine.Queued, CreatedAt: at,
			DueAt: at.Add(time.Duration(i) * time.Millisecond)}
		want[i] = run.ID
		if _, _, err := s.AcceptDecided(ctx, id, delivery("hook", fmt.Sprint("k", i)), engine.Match{Event: id, At: at,
			Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run.ID}},
			Starts:    []engine.RunUpdate{{New: true, Answers: -1, Run: run}}}); err != nil {
			t.Error(err)
		}
	})
	var got []engine.RunID
	for owner := range 10 {
		ids, next, err := s.ClaimDue(ctx, engine.Owner(fmt.Sprint(owner)), time.Now(), limit)
		if err != nil || !next.Equal(at.Add(time.Duration(len(got)+limit)*time.Millisecond)) {
			t.Fatalf("next at %v: %v", next, err)
		}
		got = append(got, ids...)
	}
	if !slices.Equal(got, want[:10*limit]) {
		t.Errorf("claimed in another order, or twice: %v\nwant %v", got, want[:10*limit])
	}
	closeStore(t, s) // its sessions report what they have read at their end
	if n := number(t, address, `SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'runs_due'`); n > 4*runs {
		t.Errorf("10 claims of %d of %d runs have read %d entries", limit, runs, n)
	}
}

func closeStore(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
