package machine_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
)

// onLine calls do for each message of a log step, with its number.
type onLine struct {
	slog.Handler
	lines *atomic.Int64
	do    func(n int64)
}

func (h onLine) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "line" {
		h.do(h.lines.Add(1))
	}
	return nil
}

func (h onLine) Enabled(context.Context, slog.Level) bool { return true }

func (h onLine) WithAttrs([]slog.Attr) slog.Handler { return h }

// TestRunWithALongFirstLoopIsStoredBeforeItsEnd: its event is decided and its first steps are
// stored while a loop without side effects goes on, so that a crash does not repeat all of it.
func TestRunWithALongFirstLoopIsStoredBeforeItsEnd(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - foreach: 1..12\n    as: o\n    max_parallel: 12\n    steps:\n" +
		"      - {foreach: 1..150, max_parallel: 50, uses: log, with: {message: line}}\n  - {uses: test/act}\n"})
	var s database
	var inbox atomic.Int64
	inbox.Store(-1)
	w.log = slog.New(onLine{slog.DiscardHandler, new(atomic.Int64), func(n int64) {
		if n%100 == 0 { // the first lines are written twice where the fast path gives up
			if counts, err := s.History.Counts(context.Background()); err == nil {
				inbox.Store(int64(counts.Inbox))
			}
		}
	}})
	e, opened, stop := w.start(nil)
	s = opened
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	if runs := settled(t, s, 1); runs[0].Status != "succeeded" {
		t.Errorf("%+v", runs[0])
	}
	mustStop(t, stop)
	if n := inbox.Load(); n != 0 {
		t.Errorf("%d undecided events at the last items, want 0", n)
	}
}
