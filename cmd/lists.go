package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// listed reads a list by the filters, with its total number, and the last id if there is more.
func listed[T any](ctx context.Context, h *store.History, f *listFlags, read func(context.Context, engine.Query) ([]T, error),
	count func(context.Context, engine.Query, *engine.Page[T]) error, id func(T) string) (p engine.Page[T], err error) {
	if err := f.checkNames(ctx, h); err != nil {
		return p, err
	}
	q := f.q
	if q.Limit < 1 || q.Limit > 100_000 {
		return p, usageError("--limit must be a number from 1 to 100000")
	}
	q.Limit++
	p.Items = []T{}
	for len(p.Items) < q.Limit {
		more := q
		more.Limit = min(q.Limit-len(p.Items), 1000)
		if len(p.Items) > 0 {
			more.After = id(p.Items[len(p.Items)-1])
		}
		page, err := read(ctx, more)
		if err != nil {
			return p, queryError(err)
		}
		p.Items = append(p.Items, page...)
		if len(page) < more.Limit {
			break
		}
	}
	if len(p.Items) == q.Limit {
		p.Items = p.Items[:f.q.Limit]
		p.Next = id(p.Items[len(p.Items)-1])
	}
	return p, count(ctx, f.q, &p)
}

// queryError converts an impossible filter to a usage error.
func queryError(err error) error {
	if errors.Is(err, engine.ErrQuery) {
		return usageError("%s", strings.TrimPrefix(err.Error(), engine.ErrQuery.Error()+": "))
	}
	return err
}

// printList prints a table, the number of items, and how to see the next ones.
func printList[T any](a *app, t *table, p engine.Page[T]) error {
	if err := t.print(a.out); err != nil {
		return err
	}
	if p.Total == nil || p.Next == "" && !p.TotalMore {
		return nil // all items are shown
	}
	least := ""
	if p.TotalMore {
		least = "at least "
	}
	a.printf("%d of %s%d", len(p.Items), least, *p.Total)
	if p.Next != "" {
		a.printf("; there are more: continue with --after %s, or raise --limit", p.Next)
	}
	a.printf("\n")
	return nil
}

// checkNames returns an error for a workflow or trigger that never existed.
func (f *listFlags) checkNames(ctx context.Context, h *store.History) error {
	l, err := load(f.dir)
	if err != nil {
		return f.checkHost(ctx, h, nil) // lists can be read even if the project cannot
	}
	p := l.project
	for kind, name := range map[string]string{"workflow": f.q.Workflow, "trigger": f.q.Trigger} {
		if name == "" || p.Workflows[name] != nil || kind == "trigger" && p.Triggers[name] != nil {
			continue
		}
		known, workflow, trigger := slices.Sorted(maps.Keys(p.Workflows)), name, ""
		if kind == "trigger" {
			known, workflow, trigger = slices.Sorted(maps.Keys(p.Triggers)), "", name
		}
		found, err := h.HasName(ctx, workflow, trigger)
		if err != nil {
			return err
		}
		if !found {
			return usageError("there is no %s %q in the project or its history; known are %s", kind, name, strings.Join(known, ", "))
		}
	}
	return f.checkHost(ctx, h, l.project)
}

// checkHost returns an error for a host to which no attempt was made.
func (f *listFlags) checkHost(ctx context.Context, h *store.History, p *workflows.Project) error {
	return queryError(console.CheckHost(ctx, f.q.Host, p, nil, h))
}

// workedText returns how long a run was active.
func workedText(i engine.RunItem) string {
	if i.StartedAt == nil {
		return "-"
	}
	return millisText(i.WorkedMS)
}

func millisText(n int64) string { return (time.Duration(n) * time.Millisecond).String() }

// waitsText returns what a run waits for.
func waitsText(i engine.RunItem) string {
	if i.WaitsFor == "destination" && i.Host != "" {
		return i.Host
	}
	return i.WaitsFor
}

// attemptText returns how long an attempt was active, and how long it waited before.
func attemptText(s engine.StepItem) string {
	text := millisText(s.WorkedMS)
	if s.WaitedMS > 0 {
		text += ", waited " + millisText(s.WaitedMS)
	}
	if s.Destination != "" {
		text += "  " + printable(s.Destination)
	}
	if s.FinishedAt == nil {
		text += ", still open"
	}
	return text
}

func (a *app) deadlettersCmd() *cobra.Command {
	var f listFlags
	var groups bool
	c := &cobra.Command{Use: "deadletters", Short: "List failed runs and failed rules that were not replayed", Args: cobra.NoArgs,
		Long: `Lists runs that failed for good, and events for which a workflow's rule could not be
evaluated (rule_failed), until they are replayed. hookloom replay --dead replays
them: runs are repeated, events are decided again with the current rule.`,
		Example: "  hookloom deadletters --workflow fulfil_order --since 2h\n  hookloom deadletters --status rule_failed\n" +
			"  hookloom deadletters --groups\n  hookloom deadletters --host api.example.com --reason timeout",
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				if err := f.checkNames(c.Context(), h); err != nil {
					return err
				}
				if groups {
					return a.printDeadGroups(c.Context(), h, f.q)
				}
				p, err := h.DeadLetters(c.Context(), f.q)
				if err == nil {
					err = h.CountDead(c.Context(), f.q, &p)
				}
				if err != nil {
					return queryError(err)
				}
				if a.json() {
					return a.printJSON(p)
				}
				t := newTable("DEAD LETTER", "KIND", "AT", "WORKFLOW", "STEP", "HOST", "REASON", "STATUS", "ERROR")
				for _, i := range p.Items {
					t.row(i.ID, i.Kind, clockPointer(i.FinishedAt), i.Workflow, i.ErrorStep, i.Host, i.ErrorCode, i.Status, short(i.Error, 80))
				}
				return printList(a, t, p)
			})
		}}
	f.add(c)
	f.addHost(c, "only those that failed at this host")
	f.addReason(c, "only with one of these error codes, separated by commas, such as timeout,http_status")
	c.Flags().BoolVar(&groups, "groups", false, "count them by cause")
	c.Flags().Lookup("since").Usage += "; by the time they failed"
	return c
}

// printDeadGroups prints all dead letters, grouped by cause.
func (a *app) printDeadGroups(ctx context.Context, h *store.History, q engine.Query) error {
	groups, err := h.DeadGroups(ctx, q)
	if err != nil {
		return queryError(err)
	}
	if a.json() {
		n := len(groups)
		return a.printJSON(engine.Page[engine.DeadGroup]{Items: groups, Total: &n})
	}
	t := newTable("COUNT", "WORKFLOW", "STEP", "HOST", "REASON", "FIRST", "LAST", "CAUSE")
	for _, g := range groups {
		t.row(fmt.Sprint(g.Count), g.Workflow, g.Step, g.Host, g.Code, clock(g.First), clock(g.Last), short(g.Cause, 100))
	}
	return t.print(a.out)
}

// deadLetters lists all dead letters that match the filters, oldest first.
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

// counted returns a number followed by its noun.
func counted(n int, word string) string { return fmt.Sprintf("%d %s", n, plural(n, word)) }
