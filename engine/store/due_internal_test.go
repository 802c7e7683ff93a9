package store

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestNextWakeIsTheFirstRunLeftToAnotherNode: a node looks again when its wait for the others ends.
func TestNextWakeIsTheFirstRunLeftToAnotherNode(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir()+"/h.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now().Truncate(time.Millisecond)
	left := map[engine.RunID]time.Duration{}
	for i, wait := range []time.Duration{5, 3, 4} {
		run := engine.RunID(1000 + i)
		left[run] = wait * time.Second
		if err := s.w.do(t.Context(), true, func(t *tx) error {
			return t.exec(`INSERT INTO runs (id, event_id, workflow, version, status, created_at, due_at, boots) VALUES (?, 1, 'w', 'v', 'queued',
				?, ?, 0)`, int64(run), now.UnixMilli(), now.UnixMilli())
		}); err != nil {
			t.Fatal(err)
		}
	}
	none := func(engine.RunID) bool { return false }
	ids, next, err := s.due(t.Context(), now, 10, none, func(id engine.RunID) time.Duration { return left[id] })
	if err != nil || len(ids) != 0 || !next.Equal(now.Add(3*time.Second)) {
		t.Errorf("due: %v, next in %v: %v", ids, next.Sub(now), err)
	}
	ids, next, err = s.due(t.Context(), now.Add(3*time.Second), 10, none, func(id engine.RunID) time.Duration { return left[id] })
	if err != nil || len(ids) != 1 || ids[0] != 1001 || !next.Equal(now.Add(4*time.Second)) {
		t.Errorf("due three seconds later: %v, next in %v: %v", ids, next.Sub(now), err)
	}
}
