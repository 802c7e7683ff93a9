package cmd

import (
	"context"
	"encoding/json"
	"errors"
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

// tail prints events as they are decided and each status of their runs, in the order of
// the commits.
func (a *app) tail(ctx context.Context, h *store.History, q engine.Query) error {
	at, err := tailFrom(ctx, h, q.After)
	if err != nil {
		return ignoreCanceled(ctx, err)
	}
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		list, err := h.Feed(ctx, at, 500)
		end := at
		if errors.Is(err, engine.ErrFeedGone) {
			list, end, err = h.MissedChanges(ctx, at)
		}
		if err == nil {
			err = a.tailChanges(ctx, h, q, list)
		}
		if err != nil {
			return ignoreCanceled(ctx, err)
		}
		if n := len(list); n > 0 {
			at = max(end, list[n-1].At)
			continue
		}
		at = end
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// tailFrom is where tail begins: after the id that --after gives, or now.
func tailFrom(ctx context.Context, h *store.History, after string) (engine.Cursor, error) {
	end, err := h.FeedEnd(ctx)
	if err != nil || after == "" {
		return end, err
	}
	at, err := engine.ParseCursor(after)
	if err != nil {
		return 0, usageError("--after: %v", err)
	}
	return min(at, end), nil
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// tailChanges prints what the query asks for.
func (a *app) tailChanges(ctx context.Context, h *store.History, q engine.Query, list []engine.FeedChange) error {
	for len(list) > 0 {
		part := list[:min(len(list), 500)]
		list = list[len(part):]
		events, runs := engine.ChangedIDs(part)
		eventItems, err := h.FeedEvents(ctx, events, q)
		if err != nil {
			return err
		}
		runItems, err := h.FeedRuns(ctx, runs, engine.Query{}, q)
		if err != nil {
			return err
		}
		for _, x := range part {
			if e, ok := eventItems[x.Event]; ok {
				err = a.tailEvent(e)
			} else if r, ok := runItems[x.Run]; ok {
				err = a.tailRun(r.As(x.Status))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *app) tailEvent(e engine.EventItem) error {
	if a.json() {
		return json.NewEncoder(a.out).Encode(map[string]any{"event": e})
	}
	a.printf("%s  %s  %s  %s  %s\n", clock(e.ReceivedAt), e.ID, e.Trigger, printable(e.Type), e.Shown())
	return nil
}

func (a *app) tailRun(r engine.RunItem) error {
	if a.json() {
		return json.NewEncoder(a.out).Encode(map[string]any{"run": r})
	}
	a.printf("%s  %s  %s  %s  %s\n", clock(time.Now()), r.ID, r.Workflow, r.Status, printable(r.Error))
	return nil
}
