package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

func (a *app) tailCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "tail", Short: "Print runs as they end, live", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				if err := f.checkNames(c.Context(), h); err != nil {
					return err
				}
				return a.tail(c.Context(), h, f.q)
			})
		}}
	f.add(c)
	return c
}

// tail follows the events, and each one's runs until they have ended.
func (a *app) tail(ctx context.Context, h *store.History, q engine.Query) error {
	q.Ascending, q.Limit = true, 1000
	after := fmt.Sprintf("evt_%016x", engine.FirstID(time.Now()))
	open := map[string]string{} // run -> status printed last
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		q.After = after
		events, err := h.Events(ctx, q)
		if err != nil {
			return ignoreCanceled(ctx, err)
		}
		for _, e := range events {
			if e.Outcome == "pending" {
				break // its runs do not exist yet
			}
			after = e.ID
			if err := a.tailEvent(ctx, h, e, open); err != nil {
				return ignoreCanceled(ctx, err)
			}
		}
		for id := range open {
			if err := a.tailRun(ctx, h, id, open); err != nil {
				return ignoreCanceled(ctx, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *app) tailEvent(ctx context.Context, h *store.History, e engine.EventItem, open map[string]string) error {
	if a.json() {
		if err := json.NewEncoder(a.out).Encode(map[string]any{"event": e}); err != nil {
			return err
		}
	} else {
		a.printf("%s  %s  %s  %s  %s\n", clock(e.ReceivedAt), e.ID, e.Trigger, printable(e.Type), e.Shown())
	}
	runs, err := h.Runs(ctx, engine.Query{Event: e.ID, Limit: 1000})
	for _, r := range runs {
		open[r.ID] = ""
	}
	return err
}

func (a *app) tailRun(ctx context.Context, h *store.History, id string, open map[string]string) error {
	run, err := engine.ParseRunID(id)
	if err != nil {
		return err
	}
	d, err := h.RunDetail(ctx, run)
	if err != nil {
		return err
	}
	if d.Status == open[id] {
		return nil
	}
	open[id] = d.Status
	if engine.RunStatus(d.Status).Ended() {
		delete(open, id)
	}
	if a.json() {
		return json.NewEncoder(a.out).Encode(map[string]any{"run": d.RunItem})
	}
	a.printf("%s  %s  %s  %s  %s\n", clock(time.Now()), d.ID, d.Workflow, d.Status, printable(d.Error))
	return nil
}
