package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

// replayFlags are the flags of replay besides the filters of the lists.
type replayFlags struct {
	listFlags
	from, version string
	rate          int
	dry, again    bool
	skipDone      bool
	whole         bool
}

func (a *app) replayCmd() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{Use: "replay [ID...]", Short: "Replay runs or events, by id or by filters",
		Long: `Runs stored runs and events again, through the running server.

A run (run_...) is replayed for the same event, once: a second replay returns the run
that the first one made, unless --again is given. --from failed keeps the steps that had
succeeded, and repeats a call in doubt (interrupted before its response) with the same
idempotency key; --version current uses the current workflow. With a filter such as
--status failed instead of ids, or --dead for all dead letters, many runs are replayed.

For an event (evt_...), replays its runs. With --workflow, that workflow instead evaluates
its current rule on the event again. An event without runs is decided by all workflows
that listen to its trigger today. The command first prints what would run; --dry-run stops
there.

--trigger T --since 30d decides many events again, filtered by --workflow and --status
(skipped, filtered, rule_failed, dropped, unmatched, disabled). It prints how many would
run and what they would call, with a backtest of these events, then starts a batch
(hookloom batches). Counting and comparing each stop after 15 seconds and say what they
left out; --whole gives each an hour. Each workflow runs at most once per event, however
often you repeat the command; --again removes that limit. --skip-done removes it too, but
does not repeat steps with side effects that an earlier run of the event completed.
Sleeps, waits and steps without side effects are repeated.

A refused delivery (ref_...) is verified again, as of the time it arrived; if it is
valid now, it becomes an event.`,
		Example: "  hookloom replay run_0d3c6f2a41e00000\n  hookloom replay evt_0d3c6f2a41c00000 --workflow fulfil\n" +
			"  hookloom replay --trigger " +
			"shop --workflow fulfil --since 30d --dry-run\n" +
			"  hookloom replay --trigger shop --workflow fulfil --since 1d --skip-done\n" +
			"  hookloom replay --status failed --since 1h --dry-run\n  hookloom replay --dead --workflow paid --from failed --version current",
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case f.whole && (len(args) > 0 || !f.decides(c)):
				return usageError("--whole applies to events that are decided again: use it with --trigger and --since")
			case f.skipDone && (len(args) > 0 || !f.decides(c)):
				return usageError("--skip-done applies to events that are decided again: use it with --trigger and --since; for runs there is " +
					"--from failed")
			case len(args) > 0:
				return a.replayIDs(c.Context(), &f, args)
			case f.decides(c):
				return a.replayEvents(c, &f)
			case f.q.Status == "" && f.q.Workflow == "" && f.since == "" && f.q.Trigger == "" && f.q.Type == "" && f.q.Grep == "" &&
				f.q.Host == "" && !f.q.DeadOnly:
				return usageError("nothing to replay: give ids, or filters such as --status failed --since 1h, or --trigger T --since 30d")
			}
			if c.Flags().Changed("rate") {
				return usageError("--rate applies to events that are decided again: use it with --trigger, or with --status skipped, rule_failed or " +
					"another outcome")
			}
			return a.replayFound(c, &f)
		}}
	f.add(c)
	limit := c.Flags().Lookup("limit") // here only a given limit applies
	limit.Usage, limit.DefValue = "with filters: maximum number of runs or dead letters to replay, the oldest first; without it, all", "0"
	f.addHost(c, "with --dead: only those that failed at this host")
	f.addReason(c, "with --dead: only with one of these error codes, separated by commas")
	c.Flags().StringVar(&f.from, "from", "start", "start or failed")
	c.Flags().StringVar(&f.version, "version", "pinned", "pinned or current")
	c.Flags().IntVar(&f.rate, "rate", engine.DefaultRate, "maximum number of runs a batch starts per second")
	c.Flags().BoolVar(&f.again, "again", false, "run again even if it was already replayed")
	c.Flags().BoolVar(&f.skipDone, "skip-done", false, "with --trigger: run again, but keep the steps that earlier runs completed")
	c.Flags().BoolVar(&f.whole, "whole", false, "with --trigger: compare all events first, for up to an hour, not only those of 15 seconds")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "only show what would run")
	c.Flags().BoolVar(&f.q.DeadOnly, "dead", false, "all dead letters that match the other filters")
	return c
}

// decides reports whether the filters select events to decide again, not runs.
func (f *replayFlags) decides(c *cobra.Command) bool {
	if f.q.DeadOnly || c.Flags().Changed("from") || c.Flags().Changed("version") {
		return false
	}
	if f.q.Status == "" {
		return f.q.Trigger != ""
	}
	for _, s := range strings.Split(f.q.Status, ",") {
		if !slices.Contains(engine.RunStatuses, strings.TrimSpace(s)) {
			return true
		}
	}
	return false
}

// replayEvents decides many events again.
func (a *app) replayEvents(c *cobra.Command, f *replayFlags) error {
	if f.q.Type != "" || f.q.Grep != "" || f.q.After != "" || c.Flags().Changed("limit") {
		return usageError("select events to decide again with --trigger, --workflow, --status, --since and --until")
	}
	if f.since == "" {
		return usageError("give --since, for example --since 30d")
	}
	l, err := f.load()
	if err != nil {
		return err
	}
	type answer struct {
		engine.Batch
		Plan *console.ReplayPlan `json:"plan,omitempty"`
	}
	order := map[string]any{"trigger": f.q.Trigger, "workflow": f.q.Workflow, "status": f.q.Status, "since": f.since, "until": f.until,
		"again": f.again, "skip_done": f.skipDone, "rate": f.rate,
		"by": callerName(c.Context()), "dry_run": true, "whole": f.whole}
	var planned, started answer
	if err := adminCall(c.Context(), l, "POST", "/api/v1/replays", order, &planned); err != nil {
		return err
	}
	if !a.json() {
		if err := a.printPlan(planned.Plan); err != nil {
			return err
		}
	}
	if f.dry {
		if a.json() {
			return a.printJSON(map[string]any{"dry_run": true, "plan": planned.Plan})
		}
		return nil
	}
	order["dry_run"], order["whole"] = false, false
	if err := adminCall(c.Context(), l, "POST", "/api/v1/replays", order, &started); err != nil {
		return err
	}
	started.Plan = planned.Plan
	if a.json() {
		return a.printJSON(started)
	}
	a.printf("batch %s has started, at most %d runs per second; progress: hookloom batches show %s\n", started.ID, started.Rate, started.ID)
	return nil
}

// replayFound replays the runs, or the dead letters, that match the filters.
func (a *app) replayFound(c *cobra.Command, f *replayFlags) error {
	limit := 0
	if c.Flags().Changed("limit") {
		limit = f.q.Limit
	}
	var ids []string
	doubts := 0
	err := f.reading(func(h *store.History) error {
		err := f.checkNames(c.Context(), h)
		if err == nil && !f.q.DeadOnly {
			if ids, err = endedRuns(c.Context(), h, f.q, limit); err == nil {
				doubts, err = h.InDoubt(c.Context(), ids)
			}
			return err
		}
		var dead []engine.DeadLetter
		if err == nil {
			dead, err = deadLetters(c.Context(), h, f.q, limit)
		}
		for _, d := range dead {
			if d.Kind == "rule_failed" {
				d.ID += " " + d.Workflow
			}
			ids = append(ids, d.ID)
		}
		if err == nil {
			doubts, err = h.InDoubt(c.Context(), ids)
		}
		return err
	})
	if err != nil {
		return err
	}
	if f.dry {
		return a.printCount(ids, doubts, f.from)
	}
	if doubts > 0 {
		a.warnf("%s\n", doubtText(doubts, f.from))
	}
	return a.replayIDs(c.Context(), f, ids)
}

// replayIDs replays what is named; evt_... may be followed by a workflow.
func (a *app) replayIDs(ctx context.Context, f *replayFlags, ids []string) error {
	l, err := f.load()
	if err != nil {
		return err
	}
	if f.q.Workflow != "" && !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, "evt_") }) {
		if f.q.Status == "" && !f.q.DeadOnly && f.since == "" {
			return usageError("--workflow needs an event (evt_...), which it decides again")
		}
	}
	if f.dry && slices.ContainsFunc(ids, func(id string) bool { return !strings.HasPrefix(id, "evt_") }) {
		doubts := 0
		err := f.reading(func(h *store.History) (err error) {
			doubts, err = h.InDoubt(ctx, ids)
			return err
		})
		if err != nil {
			return err
		}
		return a.printCount(ids, doubts, f.from)
	}
	out := replayedList{Runs: []string{}, Items: []replayedAgain{}}
	for _, id := range ids {
		switch {
		case strings.HasPrefix(id, "ref_"):
			err = a.admit(ctx, l, id)
		case strings.HasPrefix(id, "evt_"):
			err = a.replayEvent(ctx, l, f, id, &out)
		default:
			err = a.replayRun(ctx, l, f, id, &out)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	if a.json() && (len(ids) == 0 || !strings.HasPrefix(ids[0], "ref_")) {
		return a.printJSON(out)
	}
	return nil
}

func (a *app) replayRun(ctx context.Context, l *loaded, f *replayFlags, id string, all *replayedList) error {
	var out replayedList
	order := map[string]any{"from": f.from, "version": f.version, "by": callerName(ctx), "again": f.again}
	if err := adminCall(ctx, l, "POST", "/api/v1/runs/"+id+"/replay", order, &out); err != nil {
		return err
	}
	all.Runs, all.InDoubt = append(all.Runs, out.Runs...), all.InDoubt+out.InDoubt
	if a.json() {
		for _, run := range out.Runs {
			all.Items = append(all.Items,
				replayedAgain{"repeat", engine.Again{Run: run, Repeats: id, Outcome: "matched", AlreadyReplayed: out.AlreadyReplayed,
					InDoubt: out.InDoubt}})
		}
		return nil
	}
	if out.AlreadyReplayed {
		a.printf("%s was already replayed as %s; --again makes another run\n", id, strings.Join(out.Runs, ", "))
		return nil
	}
	a.printf("%s replayed as %s%s\n", id, strings.Join(out.Runs, ", "), callsInDoubt(out.InDoubt, f.from))
	return nil
}

// replayEvent prints what will run for an event, then runs it.
func (a *app) replayEvent(ctx context.Context, l *loaded, f *replayFlags, id string, all *replayedList) error {
	id, workflow, _ := strings.Cut(id, " ")
	if workflow == "" {
		workflow = f.q.Workflow
	}
	path := "/api/v1/events/" + id + "/replay"
	order := map[string]any{"from": f.from, "version": f.version, "by": callerName(ctx), "again": f.again, "workflow": workflow,
		"dry_run": true}
	var plan, out replayedList
	if err := adminCall(ctx, l, "POST", path, order, &plan); err != nil {
		return err
	}
	if !a.json() {
		for _, x := range plan.Items {
			if x.How == "repeat" {
				a.printf("%s  %s: repeats its run %s\n", id, x.Workflow, x.Repeats)
			} else {
				a.printf("%s  %s: decided again with the current rule\n", id, x.Workflow)
			}
		}
	}
	if f.dry {
		all.Items = append(all.Items, plan.Items...)
		return nil
	}
	order["dry_run"] = false
	if err := adminCall(ctx, l, "POST", path, order, &out); err != nil {
		return err
	}
	all.Runs, all.Items = append(all.Runs, out.Runs...), append(all.Items, out.Items...)
	all.InDoubt += out.InDoubt
	if !a.json() {
		for _, x := range out.Items {
			a.printAgain(id, x.Again, f.from)
		}
	}
	return nil
}

// endedRuns lists the runs that can be replayed, oldest first, so that replays have the order of
// the runs. limit 0 is all of them.
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

// admit verifies a refused delivery again.
func (a *app) admit(ctx context.Context, l *loaded, id string) error {
	var out struct {
		Status string `json:"status"`
		Event  string `json:"event"`
	}
	if err := adminCall(ctx, l, "POST", "/api/v1/quarantine/"+id+"/replay", map[string]string{}, &out); err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(map[string]any{"id": id, "status": out.Status, "event": out.Event})
	}
	a.printf("%s %s as %s\n", id, out.Status, out.Event)
	return nil
}
