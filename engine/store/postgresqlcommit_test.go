package store

import (
	"errors"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestACommitIsSentWithTheRowsBeforeIt: an event takes two round trips, one that claims its key and one that stores
// it. A row that the server refuses is an error of its command alone, not a commit whose outcome is unknown.
func TestACommitIsSentWithTheRowsBeforeIt(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	postgrestest.Exec(t, address, `ALTER TABLE hookloom.events ADD CHECK (key <> 'refused')`)
	var ids engine.IDs
	accept := func(key string, body []byte) (trips int64, err error) {
		now := time.Now()
		before := s.RoundTrips()
		_, err = s.Accept(t.Context(), engine.EventID(ids.Next()), &engine.Delivery{Trigger: "t", Inlet: "webhook", Key: key, Type: "x",
			Time: now, ReceivedAt: now, Raw: body, Dedupe: time.Hour})
		return s.RoundTrips() - before, err
	}
	if _, err := accept("first", nil); err != nil { // its transaction finds that another node had the turn
		t.Fatal(err)
	}
	if trips, err := accept("small", []byte("{}")); err != nil || trips != 2 {
		t.Errorf("a small event: %d round trips, %v", trips, err)
	}
	if trips, err := accept("large", make([]byte, maxWithCommit+1)); err != nil || trips != 3 {
		t.Errorf("a large event: %d round trips, %v", trips, err)
	}
	if _, err := accept("refused", nil); err == nil || errors.Is(err, engine.ErrUnknown) {
		t.Errorf("an event that the server refuses: %v", err)
	}
	if _, err := accept("last", nil); err != nil {
		t.Error(err)
	}
	if got := postgrestest.Value(t, address, `SELECT string_agg(key, ' ' ORDER BY id) FROM hookloom.events`); got != "first small large last" {
		t.Errorf("stored: %s", got)
	}
}

// TestABatchWaitsForMoreCommandsUnderLoad: it waits for a third of the time that the last transaction took.
func TestABatchWaitsForMoreCommandsUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name          string
		wrote, queued int
		took, want    time.Duration
	}{
		{"little load", fewCommands - 1, 1, 3 * time.Millisecond, 0},
		{"load", fewCommands, 1, 3 * time.Millisecond, time.Millisecond},
		{"a long transaction", fewCommands, 1, time.Second, moreTime},
		{"a full batch", maxBatch, maxBatch, 3 * time.Millisecond, 0},
	} {
		w := &writer{pg: &postgresql{wrote: c.wrote, took: c.took}, queue: make(chan *command, maxBatch)}
		for range c.queued {
			w.queue <- &command{}
		}
		var slept time.Duration
		w.awaitMore(func(d time.Duration) { slept += d })
		if slept != c.want {
			t.Errorf("%s: waited %s, not %s", c.name, slept, c.want)
		}
	}
}
