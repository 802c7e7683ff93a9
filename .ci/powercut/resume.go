package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
)

// resumed runs the engine after a cut until every run has ended, and returns their number and what is
// wrong with them.
func resumed(dir string) (ended int, wrong []string, err error) {
	err = open(dir, "FULL", func(s *store.Store) error {
		h := s.History()
		err := withEngine(s, func(ctx context.Context, _ *machine.Engine) error {
			for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				c, err := h.Counts(ctx)
				if err != nil || c.Open == 0 && c.Inbox == 0 {
					return err
				}
			}
			return errors.New("runs are still open two minutes after a power cut")
		})
		if err != nil {
			return err
		}
		ended, wrong, err = outcome(context.Background(), h)
		return err
	})
	return ended, wrong, err
}

// outcome compares the runs with the events.
func outcome(ctx context.Context, h *store.History) (ended int, wrong []string, err error) {
	in, called := map[string]int{}, map[string]int{} // runs by workflow and event, called runs by caller
	orders, charges := 0, 0
	for q := (engine.Query{Limit: 1000}); ; {
		page, err := h.RunPage(ctx, q)
		if err != nil {
			return 0, nil, err
		}
		for _, r := range page.Items {
			id, err := engine.ParseRunID(r.ID)
			if err != nil {
				return 0, nil, err
			}
			d, err := h.RunDetail(ctx, id)
			if err != nil {
				return 0, nil, err
			}
			ended++
			if r.Status != "succeeded" && (r.Workflow != "ended" || r.Status != "cancelled") {
				wrong = append(wrong, fmt.Sprintf("%s of %s is %s: %s", r.ID, r.Workflow, r.Status, r.Error))
			}
			in[r.Workflow+" "+r.Event]++
			for _, ev := range d.Events {
				in[r.Workflow+" "+ev]++
			}
			pruned, err := isPruned(ctx, h, r.Event)
			if err != nil {
				return 0, nil, err
			}
			switch r.Workflow {
			case "charge":
				charges++
				if !pruned {
					called[d.CalledBy]++
				}
			case "order":
				orders++
				if want := fmt.Sprintf("%q", r.EventKey); string(d.Output) != want && !pruned || len(d.EndedBy) != 1 {
					wrong = append(wrong, fmt.Sprintf("%s ended with %s, expected %s; its wait was ended by %v", r.ID, d.Output, want, d.EndedBy))
				}
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	for caller, n := range called {
		if n != 1 {
			wrong = append(wrong, fmt.Sprintf("%s called %d runs", caller, n))
		}
	}
	if charges != orders {
		wrong = append(wrong, fmt.Sprintf("%d runs called %d", orders, charges))
	}
	more, err := eachOnce(ctx, h, in)
	return ended, append(wrong, more...), err
}

// isPruned reports whether the payload of an event was removed before the cut, and with it the outputs of
// its runs, and who called them.
func isPruned(ctx context.Context, h *store.History, event string) (bool, error) {
	id, err := engine.ParseEventID(event)
	if err != nil {
		return false, err
	}
	d, err := h.EventDetail(ctx, id)
	if err != nil {
		return false, err
	}
	return d.Pruned, nil
}

// eachOnce checks that each event of the shop is in one run of each workflow that takes all.
func eachOnce(ctx context.Context, h *store.History, in map[string]int) (wrong []string, err error) {
	for q := (engine.Query{Limit: 1000}); ; {
		items, err := h.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range items {
			if e.Trigger != "shop" {
				continue
			}
			for _, w := range []string{"order", "last", "all"} {
				if n := in[w+" "+e.ID]; n != 1 {
					wrong = append(wrong, fmt.Sprintf("%s is in %d runs of %s", e.ID, n, w))
				}
			}
		}
		if len(items) < q.Limit {
			return wrong, nil
		}
		q.After = items[len(items)-1].ID
	}
}
