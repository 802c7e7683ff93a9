package cmd

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/spf13/cobra"
)

// switchedAnswer is the response to enable and disable.
type switchedAnswer struct {
	Status string `json:"status"`
	engine.Switched
	Command string `json:"command,omitempty"`
}

func (a *app) enableCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "enable WORKFLOW", Short: "Switch a workflow on again, through the running server", Args: cobra.ExactArgs(1),
		Long: `Switches on a workflow that hookloom disable or the console has switched off. Held
events run now, in order of arrival, and queued runs begin. For events that it missed
without --hold, the number and the command that runs them are printed.`,
		RunE: func(c *cobra.Command, args []string) error {
			out, err := a.switchCall(c, &at, args[0], "enable", map[string]any{"by": callerName(c.Context())})
			if err != nil || a.json() {
				return err
			}
			a.printf("%s is enabled\n", args[0])
			if out.Held > 0 {
				a.printf("%s arrived while it was off and %s held: they run now, in order\n", counted(out.Held, "event"), isWere(out.Held))
			}
			if out.Missed > 0 {
				a.printf("%s arrived while it was off. To run the missed events:\n  %s\n", counted(out.Missed, "event"), out.Command)
			}
			return nil
		}}
	at.flags(c.Flags())
	return c
}

func (a *app) disableCmd() *cobra.Command {
	var at place
	var hold bool
	c := &cobra.Command{Use: "disable WORKFLOW", Short: "Switch a workflow off, through the running server", Args: cobra.ExactArgs(1),
		Long: `Switches a workflow off; it stays off after a restart. Runs that have begun continue;
queued ones wait until it is enabled. Meanwhile events get the decision disabled;
with --hold they are held, and run in order when the workflow is enabled.`,
		Example: "  hookloom disable fulfil_order --hold",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := a.switchCall(c, &at, args[0], "disable", map[string]any{"by": callerName(c.Context()), "hold": hold})
			if err != nil || a.json() {
				return err
			}
			what := "new events get the decision disabled"
			if hold {
				what = "new events are held"
			}
			a.printf("%s is disabled; %s: hookloom enable %s switches it on\n", args[0], what, args[0])
			return nil
		}}
	at.flags(c.Flags())
	c.Flags().BoolVar(&hold, "hold", false, "hold new events, and run them when the workflow is enabled")
	return c
}

func (a *app) switchCall(c *cobra.Command, at *place, workflow, verb string, order map[string]any) (switchedAnswer, error) {
	var out switchedAnswer
	l, err := at.load()
	if err != nil {
		return out, err
	}
	if l.project.Workflows[workflow] == nil {
		return out, usageError("there is no workflow %q; there are %s", workflow,
			strings.Join(slices.Sorted(maps.Keys(l.project.Workflows)), ", "))
	}
	if err := adminCall(c.Context(), l, "POST", "/api/v1/workflows/"+url.PathEscape(workflow)+"/"+verb, order, &out); err != nil {
		return out, err
	}
	if a.json() {
		return out, a.printJSON(out)
	}
	return out, nil
}

func isWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// cancelCmd cancels one run, or those that match filters.
func (a *app) cancelCmd() *cobra.Command {
	var at place
	var dry bool
	order := map[string]*string{"workflow": new(string), "trigger": new(string), "type": new(string), "status": new(string),
		"since": new(string)}
	c := &cobra.Command{Use: "cancel [RUN]", Short: "Cancel a run, or all open runs that match filters, through the running server",
		Args: cobra.MaximumNArgs(1),
		Long: `Cancels a run that has not ended, and with it the runs that it called, except those
called with detach: true.`,
		Example: "  hookloom cancel run_0d3c6f2a41e00000\n  hookloom cancel --workflow mails --status queued,waiting --dry-run",
		RunE: func(c *cobra.Command, args []string) error {
			filtered := false
			for _, v := range order {
				filtered = filtered || *v != ""
			}
			switch {
			case len(args) == 0 && !filtered:
				return usageError("nothing to cancel: give a run, or filters such as --workflow W --status queued,waiting")
			case len(args) == 1 && (filtered || dry):
				return usageError("give a run, or filters, not both")
			case len(args) == 0:
				return a.cancelFound(c, &at, order, dry)
			}
			if _, err := engine.ParseRunID(args[0]); err != nil {
				return usageError("%v", err)
			}
			l, err := at.load()
			if err != nil {
				return err
			}
			var out map[string]string
			if err := adminCall(c.Context(), l, "POST", "/api/v1/runs/"+args[0]+"/cancel", map[string]string{}, &out); err != nil {
				return err
			}
			a.printf("%s cancelled\n", args[0])
			return nil
		}}
	fl := c.Flags()
	at.flags(fl)
	fl.StringVar(order["workflow"], "workflow", "", "only of this workflow")
	fl.StringVar(order["trigger"], "trigger", "", "only of this trigger")
	fl.StringVar(order["type"], "type", "", "only of this event type")
	fl.StringVar(order["status"], "status", "", "queued, waiting or running, separated by commas; all three by default")
	fl.StringVar(order["since"], "since", "", "only since 2h, 7d or 2026-01-31T10:00:00Z")
	fl.BoolVar(&dry, "dry-run", false, "only count")
	return c
}

// cancelFound cancels the runs that match filters, a thousand at a time.
func (a *app) cancelFound(c *cobra.Command, at *place, order map[string]*string, dry bool) error {
	l, err := at.load()
	if err != nil {
		return err
	}
	body := map[string]any{"dry_run": dry}
	for k, v := range order {
		if *v != "" {
			body[k] = *v
		}
	}
	ids, more, beyond := []string{}, true, ""
	for more {
		var out struct {
			Count int      `json:"count"`
			Runs  []string `json:"runs"`
			More  bool     `json:"more"`
		}
		if err := adminCall(c.Context(), l, "POST", "/api/v1/runs/cancel", body, &out); err != nil {
			return err
		}
		ids = append(ids, out.Runs...)
		more = out.More && !dry && out.Count > 0
		if out.More && dry {
			beyond = "more than "
		}
	}
	if a.json() {
		return a.printJSON(map[string]any{"dry_run": dry, "count": len(ids), "runs": ids})
	}
	if dry {
		a.printf("%s%s would be cancelled\n", beyond, counted(len(ids), "run"))
		return nil
	}
	a.printf("%s cancelled\n", counted(len(ids), "run"))
	return nil
}
