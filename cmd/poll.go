package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

func (a *app) pollCmd() *cobra.Command {
	var f listFlags
	var dry bool
	c := &cobra.Command{Use: "poll TRIGGER", Short: "Poll a trigger's service for new items now", Args: cobra.ExactArgs(1),
		Long: `Polls now, through the running server. If a poll is in progress, waits for it first. With
several nodes, any of them takes the command: the node that polls this trigger hands over
after its current poll. With --dry-run nothing is stored and no server is needed: it shows
what the request finds, which items are new to the history, and the cursor that would be
stored. Use it to try a changed request or key: items shown as new would start runs.`,
		Example: "  hookloom poll orders\n  hookloom poll orders --dry-run",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := f.load()
			if err != nil {
				return err
			}
			if t := l.project.Triggers[args[0]]; t == nil || t.Poll == nil {
				return usageError("no trigger %q with a poll inlet", args[0])
			}
			var r triggers.PollReport
			if dry {
				r, err = a.dryPoll(c.Context(), &f, l, args[0])
			} else {
				err = adminCall(c.Context(), l, "POST", "/api/v1/triggers/"+args[0]+"/poll", map[string]string{}, &r)
			}
			if err != nil {
				return err
			}
			return a.printPoll(r, dry)
		}}
	f.addPlace(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would be found")
	return c
}

// dryRunInbox is the Inbox of a dry run: it knows the history, if there is one, and stores nothing.
type dryRunInbox struct{ h *store.History }

func (in dryRunInbox) Poll(context.Context, *engine.PollBatch) (int, error) {
	return 0, errors.New("a dry run stores nothing")
}

func (in dryRunInbox) Fired(context.Context, engine.Firing) error {
	return errors.New("a dry run stores nothing")
}

func (in dryRunInbox) Leads(context.Context, string) bool { return true }

func (in dryRunInbox) Turn(context.Context, string) (func(), bool) { return func() {}, true }

func (in dryRunInbox) AskForTurn(context.Context, string) (func(), bool) { return func() {}, true }

func (in dryRunInbox) LearnedGap(context.Context, string) (time.Duration, error) { return 0, nil }
func (in dryRunInbox) LastDelivery(context.Context, string) (time.Time, error) {
	return time.Time{}, nil
}

func (in dryRunInbox) Alert(context.Context, engine.Alert) {}

func (in dryRunInbox) InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error) {
	if in.h == nil {
		return engine.InletState{}, nil
	}
	return in.h.InletState(ctx, trigger, inlet)
}

func (in dryRunInbox) Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error) {
	if in.h == nil {
		return nil, nil
	}
	return in.h.Known(ctx, trigger, keys)
}

func (a *app) dryPoll(ctx context.Context, f *listFlags, l *loaded, trigger string) (r triggers.PollReport, err error) {
	if l, err = l.inForce(ctx, f.dir, trigger, a.warnf); err != nil {
		return r, err
	}
	guard, err := egress.NewGuard(l.project.Egress.Allow)
	if err != nil {
		return r, &exitError{exitUsage, err}
	}
	in := dryRunInbox{}
	if h, err := f.history(); err == nil { // without a history everything is new
		in.h = h
		defer h.Close()
	}
	return triggers.DryPoll(ctx, l.project, trigger, actions.Ask(l.project.Connections, l.secrets.Lookup, guard.Client(), nil),
		l.secrets.Lookup, in)
}

func (a *app) printPoll(r triggers.PollReport, dry bool) error {
	if a.json() {
		return a.printJSON(r)
	}
	if dry && len(r.Found) > 0 {
		t := newTable("KEY", "TYPE", "NEW", "DATA")
		for _, i := range r.Found {
			fresh := "-"
			if i.New {
				fresh = "new"
			}
			t.row(short(i.Key, 40), i.Type, fresh, jsonText(i.Data))
		}
		if err := t.print(a.out); err != nil {
			return err
		}
	}
	a.printf("%d %s, %d bytes, %d items, %d new", r.Requests, plural(r.Requests, "request"), r.Bytes, r.Items, r.New)
	switch {
	case r.Again:
		a.printf("; the list has several pages, and the next poll reads it again to find items that moved between them")
	case r.More:
		a.printf("; the list continues, and the next poll reads the rest")
	}
	switch {
	case r.Unchanged:
		a.printf("; nothing has changed (304)")
	case r.First && dry:
		a.printf("; the first poll remembers them and starts nothing (backfill: false)")
	case r.First:
		a.printf("; the first poll remembers them and starts nothing (backfill: false)")
	}
	if len(r.Cursor) > 0 {
		a.printf("; cursor %s", printable(string(r.Cursor)))
	}
	a.printf("\n")
	if r.Warning != "" {
		a.printf("warning: %s\n", printable(r.Warning))
	}
	return nil
}

func (a *app) compareCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "compare TRIGGER", Short: "Compare webhook and polling: events, delay and cost of each",
		Args: cobra.ExactArgs(1),
		Long: `Compares the inlets of a trigger, from recorded events: which events only one inlet
delivered, how late each was, what polling cost, and what other intervals would have
cost. A poll with compare: true measures without starting anything.`,
		Example: "  hookloom compare orders --since 7d\n  hookloom compare orders --output json",
		RunE: func(c *cobra.Command, args []string) error {
			if l, err := load(f.dir); err == nil && l.project.Triggers[args[0]] == nil {
				return usageError("no trigger is named %q; this project has %s", args[0],
					cmp.Or(strings.Join(slices.Sorted(maps.Keys(l.project.Triggers)), ", "), "none"))
			}
			now := time.Now()
			since, err := console.Moment("since", f.since, now, zone())
			if err != nil {
				return usageError("%v", err)
			}
			return f.reading(func(h *store.History) error {
				s, err := h.Sightings(c.Context(), args[0], since)
				if err != nil {
					return err
				}
				return a.printComparison(engine.Compare(args[0], since.UTC(), now, s))
			})
		}}
	f.addPlace(c)
	c.Flags().StringVar(&f.since, "since", "30d", "since 2h, 7d or 2026-01-31T10:00:00Z")
	return c
}

func (a *app) printComparison(x engine.Comparison) error {
	if a.json() {
		return a.printJSON(x)
	}
	a.printf("%s  since %s\n\n", x.Trigger, clock(x.Since))
	t := newTable("EVENTS", "BOTH", "WEBHOOK ONLY", "POLL ONLY", "RECOVERED", "CAME AGAIN")
	t.row(fmt.Sprint(x.Events), fmt.Sprint(x.Both), fmt.Sprint(x.WebhookOnly), fmt.Sprint(x.PollOnly), fmt.Sprint(x.Recovered),
		fmt.Sprint(x.Repeats))
	if err := t.print(a.out); err != nil {
		return err
	}
	a.printf("\n")
	t = newTable("INLET", "FOUND", "ALONE", "FIRST", "DELAY OF", "P50", "P95", "P99", "MAX", "BEHIND THE OTHER, OF", "P50", "P95",
		"P99", "MAX")
	for _, i := range x.Inlets {
		t.row(slices.Concat([]string{string(i.Inlet), fmt.Sprint(i.Found), fmt.Sprint(i.Only), fmt.Sprint(i.First)}, delayCells(i.Delay),
			delayCells(i.Behind))...)
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	a.printf("Delay is measured from the event's own time, if the sender sends it.\n")
	if x.Tests > 0 {
		a.printf("Not compared: %d test %s of hookloom send or the console.\n", x.Tests, plural(x.Tests, "event"))
	}
	if x.FarTimes > 0 {
		a.printf("Without a delay: %d %s whose own time is more than 7 days before or an hour after the arrival.\n", x.FarTimes,
			plural(x.FarTimes, "event"))
	}
	if x.Polls > 0 {
		a.printf("\nPolling: %d polls, %d of them empty, %d failed; %d requests, %s", x.Polls, x.EmptyPolls, x.FailedPolls, x.Requests,
			console.Bytes(x.Bytes))
		if x.RequestsPerFind > 0 {
			a.printf("; %.1f requests per new event", x.RequestsPerFind)
		}
		if x.RequestsPerDay > 0 {
			a.printf("; %.0f requests per day", x.RequestsPerDay)
		}
		if x.Quota != "" {
			a.printf("; the provider's limit: %s left, %.1f %% used", printable(x.Quota), 100*x.QuotaUsed)
		}
		a.printf("\n")
	}
	if len(x.Intervals) > 0 {
		a.printf("\nPolling at another interval, over these events:\n")
		t = newTable("INTERVAL", "MEAN DELAY", "P95", "REQUESTS PER DAY", "EMPTY")
		for _, i := range x.Intervals {
			empty := "too few polls"
			if i.Empty != nil {
				empty = fmt.Sprintf("%.0f %%", 100**i.Empty)
			}
			t.row(i.Interval, secondsText(i.Mean), secondsText(i.P95), fmt.Sprintf("%.0f", i.RequestsPerDay), empty)
		}
		if err := t.print(a.out); err != nil {
			return err
		}
	}
	if b := x.BreakEven; b != nil {
		a.printf("\nTo be as fast as the webhook, polling would need an interval of %s: %.0f requests per day.\n", b.Interval, b.RequestsPerDay)
	}
	a.printf("\n%s\n", x.Verdict)
	return nil
}

func delayCells(d *engine.Delays) []string {
	if d == nil {
		return []string{"0", "-", "-", "-", "-"}
	}
	return []string{fmt.Sprint(d.Count), secondsText(d.P50), secondsText(d.P95), secondsText(d.P99), secondsText(d.Max)}
}

func secondsText(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d.Abs() < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// jsonText formats a value as JSON, shortened if it is long.
func jsonText(v any) string {
	b, err := value.EncodeJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(b), 300)
}
