package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// TestEventsOfRunsAreFoundByTheirKeys checks that the event that a run made is found by its key near
// the run's time only, and when a trigger last had a key.
func TestEventsOfRunsAreFoundByTheirKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hookloom.db")
	s := open(t, file, store.Options{})
	now := time.Now()
	id := engine.EventID(engine.FirstID(now) + 5)
	accept(t, s, id, delivery("ended", "run_1"))
	h, err := store.OpenHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	run := engine.RunID(engine.FirstID(now.Add(-time.Hour)))
	for _, x := range []struct {
		workflow, key string
		at            time.Time
		want          engine.EventID
	}{{"ended", "run_1", now, id}, {"ended", "run_1", now.Add(-time.Minute), 0}, {"ended", "run_2", now, 0}, {"other", "run_1", now, 0}} {
		if got, err := h.MadeEvent(t.Context(), run, x.workflow, x.key, x.at); got != x.want || err != nil {
			t.Errorf("%s %s at %s: %s %v, want %s", x.workflow, x.key, x.at, got, err, x.want)
		}
	}
	seen, err := h.KeySeen(t.Context(), "ended", "run_1")
	if d := now.Sub(seen); err != nil || d > time.Minute || d < -time.Minute {
		t.Errorf("seen at %s: %v", seen, err)
	}
	if seen, err := h.KeySeen(t.Context(), "ended", "run_2"); !seen.IsZero() || err != nil {
		t.Errorf("an unknown key was seen at %s: %v", seen, err)
	}
}
