package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/spf13/cobra"
)

// batchesCmd lists the batches of hookloom replay, and stops or resumes them.
func (a *app) batchesCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "batches", Short: "List replay batches; show, pause, resume or cancel one", Args: cobra.NoArgs,
		Long: `Lists the batches that hookloom replay has started. After a restart a batch
continues where it stopped. Cancelling a batch does not cancel the runs that it
has started; hookloom cancel does that.`,
		Example: "  hookloom batches\n  hookloom batches show bat_0d3c6f2a41e00000\n  hookloom batches pause bat_0d3c6f2a41e00000",
		RunE:    func(c *cobra.Command, _ []string) error { return a.listBatches(c.Context(), &at) }}
	at.flags(c.PersistentFlags())
	c.AddCommand(&cobra.Command{Use: "list", Short: "List batches", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.listBatches(c.Context(), &at) }})
	for _, x := range []struct{ verb, about, method, path string }{
		{"show", "Show a batch and its progress", "GET", ""},
		{"pause", "Pause a batch", "POST", "/pause"},
		{"resume", "Resume a paused batch", "POST", "/resume"},
		{"cancel", "Cancel a batch; the runs it has started continue", "POST", "/cancel"},
	} {
		c.AddCommand(&cobra.Command{Use: x.verb + " ID", Short: x.about, Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				if _, err := engine.ParseBatchID(args[0]); err != nil {
					return usageError("%v", err)
				}
				l, err := at.load()
				if err != nil {
					return err
				}
				var b engine.Batch
				if err := adminCall(c.Context(), l, x.method, "/api/v1/batches/"+args[0]+x.path, map[string]any{}, &b); err != nil {
					return err
				}
				return a.printBatch(b)
			}})
	}
	return c
}

func (a *app) listBatches(ctx context.Context, at *place) error {
	l, err := at.load()
	if err != nil {
		return err
	}
	var p engine.Page[engine.Batch]
	if err := adminCall(ctx, l, "GET", "/api/v1/batches", map[string]any{}, &p); err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(p)
	}
	t := newTable("BATCH", "STARTED", "STATE", "TRIGGER", "WORKFLOW", "STATUS", "LOOKED AT", "RUNS")
	for _, b := range p.Items {
		t.row(b.ID, clock(b.At), b.State, b.Trigger, b.Workflow, strings.Join(b.Statuses, ","), fmt.Sprintf("%d of %d", b.Looked, b.Total),
			fmt.Sprint(b.Runs))
	}
	return t.print(a.out)
}

func (a *app) printBatch(b engine.Batch) error {
	if a.json() {
		return a.printJSON(b)
	}
	a.printf("%s  %s\n", b.ID, b.State)
	if b.Reason != "" {
		a.printf("  why       %s\n", printable(b.Reason))
	}
	a.printf("  started   %s by %s\n", clock(b.At), printable(b.By))
	for _, x := range [][2]string{{"trigger", b.Trigger}, {"workflow", b.Workflow}, {"status", strings.Join(b.Statuses, ", ")}} {
		if x[1] != "" {
			a.printf("  %-8s  %s\n", x[0], printable(x[1]))
		}
	}
	a.printf("  events    %s to %s\n  progress  %d of %d events, at most %d runs per second\n", clock(b.Since), clock(b.Until), b.Looked,
		b.Total, b.Rate)
	a.printf("  runs      %d; no match for %d; the rule fails for %d; %d have a run already\n", b.Runs, b.NotMatched, b.Failed, b.Known)
	if b.FinishedAt != nil {
		a.printf("  finished  %s\n", clock(*b.FinishedAt))
	}
	return nil
}
