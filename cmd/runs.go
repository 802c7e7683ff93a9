package cmd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

func (a *app) runsCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "runs", Short: "List runs", Args: cobra.NoArgs,
		Example: "  hookloom runs --workflow fulfil_order --since 2h\n  hookloom runs --status queued,waiting\n" +
			"  hookloom runs --waits-for approval,review\n" +
			"  hookloom runs --host api.example.com --since \"2026-01-31 14:00\" --until \"2026-01-31 14:20\"",
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				p, err := listed(c.Context(), h, &f, h.Runs, h.CountRuns, func(i engine.RunItem) string { return i.ID })
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(p)
				}
				t := newTable("RUN", "STARTED", "WORKFLOW", "EVENT KEY", "STATUS", "WORKED", "WAITED", "WAITS FOR", "ERROR")
				for _, i := range p.Items {
					t.row(i.ID, clockPointer(i.StartedAt), i.Workflow, short(i.EventKey, 30)+testMark(i), i.Status, workedText(i), millisText(i.WaitedMS),
						waitsText(i), short(i.Problem(), 80))
				}
				return printList(a, t, p)
			})
		}}
	f.add(c)
	f.addHost(c, "only with an attempt to this host")
	c.Flags().StringVar(&f.q.WaitsFor, "waits-for", "", "only those that wait for one of these, separated by commas: "+
		strings.Join(engine.WaitKinds, ", "))
	return c
}

// testMark marks the runs of samples in lists.
func testMark(i engine.RunItem) string {
	if i.Test {
		return " (test)"
	}
	return ""
}

func (a *app) runCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "run ID", Short: "Show one run in full: each step, attempt, input and output", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := engine.ParseRunID(args[0])
			if err != nil {
				return otherID(err, "run_", args[0], "hookloom runs lists the runs")
			}
			return f.reading(func(h *store.History) error {
				d, err := runDetail(c.Context(), h, id)
				if err != nil {
					return err
				}
				f.sent(c.Context(), h, d)
				if a.json() {
					return a.printJSON(d)
				}
				return a.printRun(d)
			})
		}}
	f.addPlace(c)
	return c
}

// runDetail reads a run; it returns an error if the run does not exist.
func runDetail(ctx context.Context, h *store.History, id engine.RunID) (*engine.RunDetail, error) {
	d, err := h.RunDetail(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("no run %s in this database", id)
	}
	return d, err
}

// sent adds the requests and responses of a run's attempts, as far as the project can be read.
func (f *listFlags) sent(ctx context.Context, h *store.History, d *engine.RunDetail) {
	l, err := load(f.dir)
	if err != nil {
		return
	}
	actions.Sent(ctx, d, func(version string) *workflows.Workflow {
		flow := l.project.Workflows[d.Workflow]
		if flow != nil && flow.Version == version {
			return flow
		}
		text, err := h.VersionText(ctx, version)
		if err != nil {
			return nil
		}
		flow, mistakes := l.project.Compile(d.Workflow, []byte(text), workflows.Pins{})
		if mistakes.Errors() > 0 {
			return nil
		}
		return flow
	}, l.project)
}

func (a *app) printRun(d *engine.RunDetail) error {
	a.printf("%s  %s  %s\n", d.ID, d.Workflow, d.Status)
	a.printf("  event     %s  %s from %s\n  version   %s\n  started   %s\n  finished  %s\n", d.Event, printable(d.EventItem.Type),
		d.EventItem.Trigger, d.Version, clockPointer(d.StartedAt), clockPointer(d.FinishedAt))
	a.printf("  took      %s running, %s waiting\n", millisText(d.WorkedMS), millisText(d.WaitedMS))
	if d.WaitsFor != "" {
		a.printf("  waits for %s\n", waitsText(d.RunItem))
	}
	if on := d.GoesOn(zone()); on != "" {
		a.printf("  continues %s\n", printable(on))
	}
	if d.CalledBy != "" {
		a.printf("  called by %s\n", d.CalledBy)
	}
	for _, x := range d.Calls {
		a.printf("  calls     %s of %s at step %s\n", cmp.Or(x.Run, x.Event), x.Workflow, printable(x.Step))
	}
	if len(d.Events) > 0 {
		a.printf("  events    %d more: %s%s\n", d.EventCount, strings.Join(d.Events[:min(len(d.Events), 5)], ", "),
			strings.Repeat(", ...", min(1, d.EventCount/6)))
	}
	if d.Repeats != "" {
		a.printf("  replays   %s\n", d.Repeats)
		if len(d.KeptKeys) > 0 {
			a.printf("  same key  %s: the call was in doubt\n", printable(strings.Join(d.KeptKeys, ", ")))
		}
	}
	for _, x := range d.Emitted {
		a.printf("  emitted   %s into %s by step %s\n", x.Event, x.Trigger, printable(x.Step))
	}
	if len(d.ReplayedAs) > 0 {
		a.printf("  replayed  as %s\n", strings.Join(d.ReplayedAs, ", "))
	}
	if d.Text != "" {
		a.printf("  stopped   %s\n", printable(d.Text))
	}
	if d.Error != "" {
		a.printf("  error     %s\n", printable(d.Error))
	}
	if d.Warnings > 0 {
		a.printf("  warning   %s\n", printable(d.Warning))
	}
	if d.Decision != nil {
		a.printf("\nDecision\n")
		a.printDecision(*d.Decision)
	}
	a.printf("\nSteps\n")
	a.printSteps(d.Steps)
	for _, x := range d.EndedBy {
		a.printf("  event      %s  ended by %s, %s with key %s, received %s\n", printable(x.Step), x.Event, printable(x.Trigger),
			printable(x.Key), clock(x.ReceivedAt))
	}
	for _, w := range d.Answers {
		a.printf("  %-9s  %s  attempt %d  by %s  %s  %s\n", w.Verdict, printable(w.Path), w.Attempt, printable(cmp.Or(w.By, "?"))+
			proofText(w.Proof), clock(w.At), printable(w.Comment))
	}
	a.printf("\nOutput\n%s\n", indented(d.Output))
	return nil
}

// printSteps prints each attempt with its input and output.
func (a *app) printSteps(steps []engine.StepItem) {
	for _, s := range steps {
		took := attemptText(s)
		a.printf("  %-9s  %s  %s  attempt %d  %s  %s\n", s.Status, printable(s.Path), s.Action, s.Attempt, clock(s.StartedAt), took)
		if kept := s.KeptText(); kept != "" {
			a.printf("    %s\n", kept)
		}
		for _, part := range []struct {
			name string
			raw  json.RawMessage
		}{{"input", s.Input}, {"output", s.Output}, {"error", s.Error}} {
			if string(part.raw) != "null" {
				a.printf("    %-6s  %s\n", part.name, printable(compacted(part.raw)))
			}
		}
		a.printSent(s)
		for _, w := range s.Warnings {
			a.printf("    %-6s  %s\n", "warning", printable(w))
		}
	}
}

// printSent prints the request and the response of an attempt over HTTP.
func (a *app) printSent(s engine.StepItem) {
	indent := func(name, text string) {
		a.printf("    %s\n", name)
		for line := range strings.Lines(short(text, 4000)) {
			a.printf("      %s\n", printable(strings.TrimRight(line, "\n")))
		}
	}
	if r := s.Request; r != nil {
		if r.Method != "" {
			indent("request", console.SentRequestText(r))
		}
		if r.Note != "" {
			indent("note", r.Note)
		}
		if len(r.Curl) > 0 && len(r.Curl) < 4000 && printable(r.Curl) == r.Curl { // --json prints the others
			indent("as curl", r.Curl)
		}
	}
	if s.Response != nil {
		indent("response", console.SentResponseText(s.Response))
	}
}

func compacted(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return short(b.String(), 2000)
}
