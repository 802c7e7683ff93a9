package machine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// unsure is a store whose connection is lost during the first call that accepts an event:
// before its commit, or after it.
type unsure struct {
	engine.Store
	after bool
	mu    sync.Mutex
	lost  map[engine.EventID]int
}

// lose reports whether the call for an event is lost.
func (u *unsure) lose(id engine.EventID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lost[id]++
	return u.lost[id] == 1
}

func (u *unsure) Accept(ctx context.Context, id engine.EventID, d *engine.Delivery) (r engine.Receipt, err error) {
	lost := u.lose(id)
	if !lost || u.after {
		r, err = u.Store.Accept(ctx, id, d)
	}
	if lost {
		return engine.Receipt{}, fmt.Errorf("the connection is gone: %w", engine.ErrUnknown)
	}
	return r, err
}

func (u *unsure) AcceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (r engine.Receipt,
	result engine.MatchResult, err error) {
	lost := u.lose(id)
	if !lost || u.after {
		r, result, err = u.Store.AcceptDecided(ctx, id, d, m)
	}
	if lost {
		return engine.Receipt{}, engine.MatchResult{}, fmt.Errorf("the connection is gone: %w", engine.ErrUnknown)
	}
	return r, result, err
}

// TestAcceptWithUnknownOutcomeIsOneEventWithOneRun: the connection to the database is
// lost while it commits. The sender gets an answer, and each event has one run that ends.
func TestAcceptWithUnknownOutcomeIsOneEventWithOneRun(t *testing.T) {
	for name, after := range map[string]bool{"not stored": false, "stored": true} {
		for way, wrap := range map[string]func(engine.Store) engine.Store{"fast path": nil, "inbox": viaInbox} {
			t.Run(name+", "+way, func(t *testing.T) {
				w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act, with: {n: \"${{ event.key }}\"}}]",
					"waits": "on: hook\nsteps: [{wait: {event: back, key: \"${{ event.key }}\"}}]"})
				w.store = func(s engine.Store) engine.Store {
					u := &unsure{Store: s, after: after, lost: map[engine.EventID]int{}}
					if wrap != nil {
						return wrap(u)
					}
					return u
				}
				e, s, stop := w.start(nil)
				defer mustStop(t, stop)
				for i := range 3 {
					r, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{}`))
					if err != nil || r.Duplicate {
						t.Fatalf("%+v %v", r, err)
					}
				}
				waitFor(t, func() bool { return w.target.calls() == 3 })
				for i := range 3 {
					d := delivery(fmt.Sprint("k", i), `{}`)
					d.Trigger = "back" // it wakes the run that waits for it, known or not
					if _, err := e.Accept(t.Context(), d); err != nil {
						t.Fatal(err)
					}
				}
				if runs := settled(t, s, 6); len(runs) != 6 || w.target.calls() != 3 {
					t.Errorf("%d runs, %d calls", len(runs), w.target.calls())
				}
			})
		}
	}
}
