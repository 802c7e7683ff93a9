package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

// listed reads a list by the filters, and where it goes on: the last id when there is
// more.
func listed[T any](ctx context.Context, h *store.History, f *listFlags, read func(context.Context, engine.Query) ([]T, error), id func(T) string) (items []T, next string, err error) {
	if err := f.checkNames(ctx, h); err != nil {
		return nil, "", err
	}
	q := f.q
	if q.Limit < 1 || q.Limit > 100_000 {
		return nil, "", usageError("--limit must be a number from 1 to 100000")
	}
	q.Limit++
	for len(items) < q.Limit {
		more := q
		more.Limit = min(q.Limit-len(items), 1000)
		if len(items) > 0 {
			more.After = id(items[len(items)-1])
		}
		page, err := read(ctx, more)
		if err != nil {
			return nil, "", err
		}
		items = append(items, page...)
		if len(page) < more.Limit {
			break
		}
	}
	if len(items) == q.Limit {
		items = items[:f.q.Limit]
		next = id(items[len(items)-1])
	}
	return items, next, nil
}

// printList prints a table, and how to see what comes after it.
func (a *app) printList(t *table, next string) error {
	if err := t.print(a.out); err != nil {
		return err
	}
	if next != "" {
		a.printf("there are more: continue with --after %s, or raise --limit\n", next)
	}
	return nil
}

// checkNames refuses a workflow or trigger that there never was.
func (f *listFlags) checkNames(ctx context.Context, h *store.History) error {
	l, err := load(f.dir)
	if err != nil {
		return nil // lists can be read while the project cannot
	}
	p := l.project
	for kind, name := range map[string]string{"workflow": f.q.Workflow, "trigger": f.q.Trigger} {
		if name == "" || p.Workflows[name] != nil || kind == "trigger" && p.Triggers[name] != nil {
			continue
		}
		known, workflow, trigger := sortedKeys(p.Workflows), name, ""
		if kind == "trigger" {
			known, workflow, trigger = sortedKeys(p.Triggers), "", name
		}
		found, err := h.HasName(ctx, workflow, trigger)
		if err != nil {
			return err
		}
		if !found {
			return usageError("there is no %s %q, in the project or in its history; there are %s", kind, name, strings.Join(known, ", "))
		}
	}
	return nil
}

func tookText(i engine.RunItem) string {
	if i.StartedAt == nil || i.FinishedAt == nil {
		return "-"
	}
	return i.FinishedAt.Sub(*i.StartedAt).Round(time.Millisecond).String()
}

func (a *app) deadlettersCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "deadletters", Short: "List failed runs and failed rules that were not replayed", Args: cobra.NoArgs,
		Long: `Lists runs that failed for good, and events for which a workflow's rule could not be
evaluated (rule_failed), until they are replayed. hookloom replay --dead replays
them: runs are repeated, events are decided again with today's rule.`,
		Example: "  hookloom deadletters --workflow fulfil_order --since 2h\n  hookloom deadletters --status rule_failed",
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				if err := f.checkNames(c.Context(), h); err != nil {
					return err
				}
				p, err := h.DeadLetters(c.Context(), f.q)
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(p)
				}
				t := newTable("DEAD LETTER", "KIND", "AT", "WORKFLOW", "STATUS", "ERROR")
				for _, i := range p.Items {
					t.row(i.ID, i.Kind, clockPointer(i.FinishedAt), i.Workflow, i.Status, short(i.Error, 80))
				}
				return a.printList(t, p.Next)
			})
		}}
	f.add(c)
	return c
}

// deadLetters lists all dead letters that the filters leave, the oldest first.
func deadLetters(ctx context.Context, h *store.History, q engine.Query, limit int) ([]engine.DeadLetter, error) {
	var out []engine.DeadLetter
	q.Limit = 1000
	for {
		p, err := h.DeadLetters(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Items...)
		if q.After = p.Next; p.Next == "" {
			break
		}
	}
	slices.Reverse(out)
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

// counted writes a number with its word.
func counted(n int, word string) string { return fmt.Sprintf("%d %s", n, plural(n, word)) }
