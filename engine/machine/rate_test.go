package machine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// startsTooClose counts the runs that started within a rate's stretch of the one that
// lies limit before.
func startsTooClose(items []engine.RunItem, limit int, per time.Duration) (n int) {
	var starts []time.Time
	for _, r := range items {
		if r.StartedAt != nil {
			starts = append(starts, *r.StartedAt)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	for i := limit; i < len(starts); i++ {
		if starts[i].Sub(starts[i-limit]) < per {
			n++
		}
	}
	return n
}

// TestARateHoldsAfterAPause: what was planned while nothing ran does not start at once.
func TestARateHoldsAfterAPause(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"rate alone", "rate: {limit: 3, per: 200ms}\n"},
		{"rate with concurrency", "concurrency: 4\nrate: {limit: 3, per: 200ms}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"w": "on: hook\n" + c.text + "steps:\n  - {uses: test/act, with: {n: \"${{ event.key }}\"}}"})
			w.target.do = func(engine.Input, int) (any, error) { return nil, nil }
			e, _, stop := w.start(nil)
			for i := range 24 {
				if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
					t.Fatal(err)
				}
			}
			waitFor(t, func() bool { return w.target.calls() >= 4 })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(800 * time.Millisecond) // meanwhile twelve are planned
			_, s, stop := w.start(nil)
			items := settled(t, s, 24)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if n := startsTooClose(items, 3, 200*time.Millisecond); n != 0 {
				t.Errorf("%d starts came within 200 ms of the one three before", n)
			}
			if n := w.target.calls(); n != 24 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestRunCancelledBeforeItsStartUsesNoRate, and the others start all the same.
func TestRunCancelledBeforeItsStartUsesNoRate(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nrate: {limit: 1, per: 1s}\nsteps:\n  - {uses: test/act, with: {n: " +
		"\"${{ event.key }}\"}}"})
	w.target.do = func(engine.Input, int) (any, error) { return nil, nil }
	e, s, stop := w.start(nil)
	for i := range 4 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	// An accepted event has its run a moment later.
	waitFor(t, func() bool {
		runs, err := s.History.Runs(context.Background(), engine.Query{})
		return err == nil && len(runs) == 4 && w.target.calls() >= 1
	})
	runs, err := s.History.Runs(context.Background(), engine.Query{Status: "queued", Ascending: true})
	if err != nil || len(runs) < 2 {
		t.Fatalf("%d queued, %v", len(runs), err)
	}
	id, err := engine.ParseRunID(runs[len(runs)-2].ID) // one that starts later, and one is behind it
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	items := settled(t, s, 4)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, w.path, `SELECT count(*) FROM places WHERE started = 0`); n != 0 {
		t.Errorf("%d places are left", n)
	}
	if n := startsTooClose(items, 1, time.Second); n != 0 {
		t.Errorf("%d starts came too early", n)
	}
}
