package machine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestEachEventRunsOnceWhateverIsSwitched switches a workflow off, to hold and on in a
// random order, with batches, events and crashes in between: once it is on and a batch
// has run what it missed, each acknowledged event has had one run.
func TestEachEventRunsOnceWhateverIsSwitched(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { switchModel(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func switchModel(t *testing.T, r *rand.Rand) {
	flow := "on: hook\n"
	if r.IntN(2) == 0 {
		flow += "concurrency: 2\n"
	}
	w := newWorld(t, map[string]string{"w": flow + acts})
	if r.IntN(2) == 0 {
		w.store = viaInbox
	}
	ctx, before := context.Background(), time.Now().Add(-time.Second)
	sel := engine.Selection{Workflow: "w", Since: before}
	acked := map[string]bool{}
	for life := range 3 {
		crash, gone := int64(r.IntN(60)+3), atomic.Bool{}
		e, _, stop := w.start(func(n int) error {
			if int64(n) >= crash {
				gone.Store(true)
				return errCrash
			}
			return nil
		})
		for i := range 25 {
			switch r.IntN(8) {
			case 0:
				_ = e.SetEnabled(ctx, "w", false, "ada") // the crash is its error
			case 1:
				_, _ = e.Switch(ctx, engine.SwitchOrder{Workflow: "w", Hold: true, By: "ada"})
			case 2:
				_, _ = e.Switch(ctx, engine.SwitchOrder{Workflow: "w", On: true, By: "ada"})
			case 3:
				_, _ = e.StartBatch(ctx, sel, engine.MaxRate, "ada") // refused while it is off
			default:
				key := fmt.Sprintf("k%d-%d", life, i)
				if _, err := e.Accept(ctx, delivery(key, `{}`)); err == nil {
					acked[key] = true
				}
			}
			if gone.Load() {
				break
			}
		}
		_ = stop() // the crash is its error
	}
	e, s, stop := w.start(nil)
	if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "w", On: true, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is on", func() bool { return len(e.SwitchedOff()) == 0 })
	eventually(t, "all is decided", func() bool { c, err := s.History.Counts(ctx); return err == nil && c.Inbox == 0 })
	list, err := e.Batches(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		id, err := engine.ParseBatchID(b.ID)
		if err != nil {
			t.Fatal(err)
		}
		if b.State == engine.BatchPaused { // the workflow was off; the engine may resume the batch, and end it, by itself meanwhile
			if _, err := e.ChangeBatch(ctx, id, engine.BatchRunning); err != nil && !errors.Is(err, engine.ErrBatchState) {
				t.Fatal(err)
			}
		}
		finished(t, e, b.ID)
	}
	batched(t, e, sel, engine.MaxRate)
	runs := map[string]int{}
	for _, run := range settled(t, s, len(acked)) {
		runs[run.Event]++
	}
	events, err := s.History.Events(ctx, engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		if runs[ev.ID] != 1 {
			t.Errorf("%s has %d runs (%s)", ev.Key, runs[ev.ID], ev.Outcome)
		}
		delete(acked, ev.Key)
	}
	if len(acked) > 0 {
		t.Errorf("acknowledged and lost: %v", acked)
	}
	s.holds(t, "at the end")
	mustStop(t, stop)
}
