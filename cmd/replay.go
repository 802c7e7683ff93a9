package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

func (a *app) replayCmd() *cobra.Command {
	var f listFlags
	var from, version string
	var dry bool
	c := &cobra.Command{Use: "replay [ID...]", Short: "Run again: runs or events by id, or all that the filters list",
		Long: `Makes a new run of the same event, through the running server. --from failed
keeps the steps that had succeeded; --version current takes the workflow as it is
now. With filters in place of ids, --dry-run first tells how many there are; --dead
takes those of the deadletters list. Many replays begin spread out, twenty a second,
so that they do not overrun what they call; each is linked to the run it repeats.
The id of a refused delivery (ref_...) has it judged again, as of the moment it
came; when it is genuine now, it becomes an event.`,
		Example: "  hookloom replay run_0d3c6f2a41e00000\n  hookloom replay --status failed --since 1h --dry-run\n  hookloom replay --dead --workflow paid --from failed --version current",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && f.q.Status == "" && f.q.Workflow == "" && f.since == "" && f.q.Trigger == "" && f.q.Type == "" && f.q.Grep == "" && !f.q.DeadOnly {
				return usageError("replay what? give ids, or filters such as --status failed --since 1h")
			}
			ids := args
			if len(ids) == 0 {
				limit := 0
				if c.Flags().Changed("limit") {
					limit = f.q.Limit
				}
				err := f.reading(func(h *store.History) (err error) {
					ids, err = endedRuns(c.Context(), h, f.q, limit)
					return err
				})
				if err != nil {
					return err
				}
			}
			if dry {
				return a.printCount(ids)
			}
			l, err := load(f.dir)
			if err != nil {
				return err
			}
			made := []string{}
			for _, id := range ids {
				if strings.HasPrefix(id, "ref_") {
					if err := a.admit(c.Context(), l, id); err != nil {
						return err
					}
					continue
				}
				kind := "runs"
				if strings.HasPrefix(id, "evt_") {
					kind = "events"
				}
				var out struct {
					Runs []string `json:"runs"`
				}
				body := map[string]string{"from": from, "version": version, "by": os.Getenv("USER")}
				if err := adminCall(c.Context(), l, "POST", "/api/v1/"+kind+"/"+id+"/replay", body, &out); err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				made = append(made, out.Runs...)
				if !a.json() {
					a.printf("%s replayed as %s\n", id, strings.Join(out.Runs, ", "))
				}
			}
			if a.json() {
				return a.printJSON(map[string]any{"runs": made})
			}
			return nil
		}}
	f.add(c)
	c.Flags().StringVar(&from, "from", "start", "start or failed")
	c.Flags().StringVar(&version, "version", "pinned", "pinned or current")
	c.Flags().BoolVar(&dry, "dry-run", false, "only count")
	c.Flags().BoolVar(&f.q.DeadOnly, "dead", false, "the dead letters that the other filters leave")
	return c
}

func (a *app) printCount(ids []string) error {
	if a.json() {
		return a.printJSON(map[string]any{"count": len(ids), "ids": ids})
	}
	a.printf("%d %s would be replayed\n", len(ids), plural(len(ids), "run"))
	return nil
}

// endedRuns lists the runs that can be replayed, the oldest first, so that replays
// come in the order in which the runs came. limit 0 is all of them.
func endedRuns(ctx context.Context, h *store.History, q engine.Query, limit int) ([]string, error) {
	var ids []string
	q.Limit, q.Ascending = 1000, true
	for {
		runs, err := h.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			if engine.RunStatus(r.Status).Ended() && (limit == 0 || len(ids) < limit) {
				ids = append(ids, r.ID)
			}
		}
		if len(runs) < q.Limit || limit > 0 && len(ids) == limit {
			return ids, nil
		}
		q.After = runs[len(runs)-1].ID
	}
}

// admit has a refused delivery judged again.
func (a *app) admit(ctx context.Context, l *loaded, id string) error {
	var out struct {
		Status string `json:"status"`
		Event  string `json:"event"`
	}
	if err := adminCall(ctx, l, "POST", "/api/v1/quarantine/"+id+"/replay", map[string]string{}, &out); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if a.json() {
		return a.printJSON(map[string]any{"id": id, "status": out.Status, "event": out.Event})
	}
	a.printf("%s %s as %s\n", id, out.Status, out.Event)
	return nil
}

func (a *app) cancelCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "cancel RUN", Short: "End a run, through the running server", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := engine.ParseRunID(args[0]); err != nil {
				return usageError("%v", err)
			}
			l, err := load(dir)
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
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	return c
}

func (a *app) approveCmd() *cobra.Command {
	var dir, step, by, comment, review, result string
	var reject, link bool
	c := &cobra.Command{Use: "approve RUN", Short: "Answer a run that waits for a person, through the running server", Args: cobra.ExactArgs(1),
		Long: `Approves what a step with wait: {approval: ...} asks, or with --reject refuses it,
which fails the step. A step with on_unknown: review whose attempt was cut waits
too: --review resend makes the attempt again with the same idempotency key, done
takes it as made (with --result, JSON that later steps see as its output), fail
fails it. Each question is answered once.

--link answers nothing: it prints a signed link to hand to somebody else, good for
this one question, once, in the name of --by. It leads to the hooks address.`,
		Example: "  hookloom approve run_0d3c6f2a41e00000 --by ada\n  hookloom approve run_0d3c6f2a41e00000 --reject --comment 'wrong amount'\n  hookloom approve run_0d3c6f2a41e00000 --step 2/charge --review done --result '{\"id\": 7}'",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := engine.ParseRunID(args[0]); err != nil {
				return usageError("%v", err)
			}
			verdict := "approve"
			switch {
			case reject && review != "":
				return usageError("--reject answers an approval, --review an attempt in doubt: give one of them")
			case reject:
				verdict = "reject"
			case review != "":
				if review != "resend" && review != "done" && review != "fail" {
					return usageError("--review %s: resend, done or fail", review)
				}
				verdict = review
			}
			order := map[string]any{"step": step, "verdict": verdict, "by": by, "comment": comment}
			if link {
				if reject || review != "" || comment != "" || result != "" {
					return usageError("--link goes with --step and --by only: who opens it says the rest")
				}
				order = map[string]any{"step": step, "by": by, "link": true}
			}
			if result != "" {
				if verdict != "done" || !json.Valid([]byte(result)) {
					return usageError("--result goes with --review done, and is JSON")
				}
				order["result"] = json.RawMessage(result)
			}
			l, err := load(dir)
			if err != nil {
				return err
			}
			var out map[string]string
			if err := adminCall(c.Context(), l, "POST", "/api/v1/runs/"+args[0]+"/approve", order, &out); err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(out)
			}
			if link {
				url := out["link"]
				if strings.HasPrefix(url, "/") { // server.public_url is not set
					url = localURL(setting("", "HOOKLOOM_ADDR", l.project.Server.Addr)) + url
				}
				a.printf("%s\n", url)
				return nil
			}
			a.printf("%s  %s: %s\n  %s\n", args[0], out["step"], out["verdict"], printable(out["question"]))
			return nil
		}}
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	c.Flags().StringVar(&step, "step", "", "the step, when several wait")
	c.Flags().StringVar(&by, "by", os.Getenv("USER"), "who answers")
	c.Flags().StringVar(&comment, "comment", "", "why")
	c.Flags().BoolVar(&link, "link", false, "print a link with which --by answers")
	c.Flags().BoolVar(&reject, "reject", false, "refuse instead")
	c.Flags().StringVar(&review, "review", "", "resend, done or fail, for an attempt in doubt")
	c.Flags().StringVar(&result, "result", "", "with --review done: what the attempt gave, as JSON")
	return c
}
