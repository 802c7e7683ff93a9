package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestCommandsOfABatchSeeEachOthersEffects: statements of a batch are executed together, and still the second
// delivery of a key is a duplicate, a repeated call is the same event, and only the update of a run that is not
// running fails.
func TestCommandsOfABatchSeeEachOthersEffects(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	address := postgrestest.Shared(t).Database(t)
	s, err := Open(t.Context(), address, Options{Fault: func(n int) error {
		if n == 1 {
			close(entered)
			<-release // until the others wait for the next batch
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var ids engine.IDs
	now := time.Now()
	delivery := func(key string) *engine.Delivery {
		return &engine.Delivery{Trigger: "t", Inlet: "webhook", Key: key, Type: "x", Time: now, ReceivedAt: now, Raw: []byte(`{"a":1}`),
			Claim: []byte("signature of " + key), Dedupe: time.Hour}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	duplicates := map[string]int{}
	accept := func(id engine.EventID, key string) {
		wg.Go(func() {
			r, err := s.Accept(t.Context(), id, delivery(key))
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if r.Duplicate {
				duplicates[key]++
			}
		})
	}
	accept(engine.EventID(ids.Next()), "first")
	<-entered
	for i := range 20 {
		accept(engine.EventID(ids.Next()), fmt.Sprint("key ", i))
	}
	for range 3 {
		accept(engine.EventID(ids.Next()), "same")
	}
	repeated := engine.EventID(ids.Next())
	accept(repeated, "repeated")
	accept(repeated, "repeated")
	stale := make(chan error, 1)
	wg.Go(func() {
		_, err := s.CommitRun(t.Context(), engine.RunUpdate{Run: &engine.Run{ID: 1, Status: engine.Succeeded, FinishedAt: now}})
		stale <- err
	})
	for len(s.w.queue) < 26 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if err := <-stale; !errors.Is(err, engine.ErrStale) {
		t.Errorf("the update of a run that is not there: %v", err)
	}
	if len(duplicates) != 1 || duplicates["same"] != 2 {
		t.Errorf("duplicates: %v", duplicates)
	}
	for query, want := range map[string]string{
		`SELECT count(*) FROM hookloom.events`:    "23",
		`SELECT count(*) FROM hookloom.inbox`:     "23",
		`SELECT count(*) FROM hookloom.keys`:      "23",
		`SELECT count(*) FROM hookloom.claims`:    "23",
		`SELECT count(*) FROM hookloom.sightings`: "2",
	} {
		if got := postgrestest.Value(t, address, query); got != want {
			t.Errorf("%s: %s, not %s", query, got, want)
		}
	}
}
