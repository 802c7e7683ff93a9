package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

func (a *app) tailCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "tail", Short: "Print events as they are decided, and runs as their status changes, live", Args: cobra.NoArgs,
		Example: "  hookloom tail --workflow refunds\n  hookloom tail --since 10m          # first what changed in the last ten minutes\n" +
			"  hookloom tail --after run_0d3c6f2a41e00000",
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				if err := f.checkNames(c.Context(), h); err != nil {
					return err
				}
				return a.tail(c.Context(), h, f.q)
			})
		}}
	f.addPlace(c)
	f.addFilters(c)
	c.Flags().StringVar(&f.q.After, "after", "",
		"first print what changed after this event or run, or after this \"after\" of --output json")
	return c
}

// tail prints events as they are decided and each status of their runs, in commit order.
func (a *app) tail(ctx context.Context, h *store.History, q engine.Query) error {
	at, err := tailFrom(ctx, h, q)
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
			err = a.tailChanges(ctx, h, at, q, list)
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

// tailFrom returns where tail begins: after --after, at --since, or now.
func tailFrom(ctx context.Context, h *store.History, q engine.Query) (engine.Cursor, error) {
	end, err := h.FeedEnd(ctx)
	if err != nil || q.After == "" && q.Since.IsZero() {
		return end, err
	}
	if q.After == "" {
		return min(engine.Cursor(engine.FirstID(q.Since)), end), nil
	}
	if id, err := engine.ParseRunID(q.After); err == nil {
		return min(engine.Cursor(id), end), nil
	}
	at, err := engine.ParseCursor(q.After)
	if err != nil {
		return 0, usageError("--after: %q is not an ID: write one that tail printed (evt_ or run_ and 16 hex digits)", q.After)
	}
	return min(at, end), nil
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// byStatus splits a filter into outcomes of events and statuses of runs.
func byStatus(status string) (outcomes string, runs []string) {
	var rest []string
	for s := range strings.SplitSeq(status, ",") {
		if s = strings.TrimSpace(s); slices.Contains(engine.RunStatuses, s) {
			runs = append(runs, s)
		} else if s != "" {
			rest = append(rest, s)
		}
	}
	return strings.Join(rest, ","), runs
}

// tailChanges prints the changes after a position that match the query.
func (a *app) tailChanges(ctx context.Context, h *store.History, at engine.Cursor, q engine.Query, list []engine.FeedChange) error {
	outcomes, statuses := byStatus(q.Status)
	q.Status = outcomes
	for len(list) > 0 {
		part := list[:min(len(list), 500)]
		list = list[len(part):]
		events, runs := engine.ChangedIDs(part)
		if len(statuses) > 0 && outcomes == "" {
			events = nil
		}
		eventItems, err := h.FeedEvents(ctx, events, q)
		if err != nil {
			return err
		}
		runItems, err := h.FeedRuns(ctx, runs, engine.Query{Workflow: q.Workflow}, q)
		if err != nil {
			return err
		}
		for _, x := range part {
			at = max(at, x.At) // for a change that the feed no longer has, x.At is 0
			x.At = at
			if x.Run != 0 && len(statuses) > 0 && !slices.Contains(statuses, string(x.Status)) {
				continue
			}
			if e, ok := eventItems[x.Event]; ok {
				err = a.tailEvent(x, e)
			} else if r, ok := runItems[x.Run]; ok {
				err = a.tailRun(x, r.As(x.Status))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *app) tailEvent(x engine.FeedChange, e engine.EventItem) error {
	if a.json() {
		return json.NewEncoder(a.out).Encode(map[string]any{"after": x.At.String(), "event": e})
	}
	a.printf("%s  %s  %s  %s  %s\n", clock(e.ReceivedAt), e.ID, e.Trigger, printable(e.Type), e.Shown())
	return nil
}

func (a *app) tailRun(x engine.FeedChange, r engine.RunItem) error {
	if a.json() {
		return json.NewEncoder(a.out).Encode(map[string]any{"after": x.At.String(), "run": r})
	}
	a.printf("%s  %s  %s  %s  %s\n", clock(changedAt(x, r)), r.ID, r.Workflow, r.Status, printable(r.Error))
	return nil
}

// changedAt returns when a run got the status of a change. A change that the feed no longer has
// carries the reader's own position, from before the run; then it returns when the run was created.
func changedAt(x engine.FeedChange, r engine.RunItem) time.Time {
	at := engine.EventID(x.At).Time()
	switch {
	case r.FinishedAt != nil:
		return *r.FinishedAt
	case at.Before(r.CreatedAt):
		return r.CreatedAt
	}
	return at
}
