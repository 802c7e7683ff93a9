package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

// replayFlags are those of replay besides the filters of the lists.
type replayFlags struct {
	listFlags
	from, version string
	rate          int
	dry, again    bool
}

func (a *app) replayCmd() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{Use: "replay [ID...]", Short: "Replay runs or events, by id or by filters",
		Long: `Runs stored runs and events again, through the running server.

A run (run_...) is repeated for the same event, once: a second replay gives the run
that the first one made, unless --again is given. --from failed keeps the steps that
had succeeded, and makes a call in doubt (cut before its answer came) again with the
same idempotency key; --version current uses the workflow as it is now. With a filter such as
--status failed in place of ids, or --dead for all dead letters, many runs are replayed.

For an event (evt_...) its runs are repeated; with --workflow that workflow decides it
again with today's rule. An event without runs is decided by all workflows that listen
to its trigger today. What would run is printed first; --dry-run stops there.

--trigger T --since 30d decides many events again, narrowed by --workflow and --status
(skipped, filtered, rule_failed, dropped, unmatched, disabled). It prints how many would
run and what they would call, then starts a batch (hookloom batches). Each workflow runs
at most once per event, however often you ask; --again lifts that.

A refused delivery (ref_...) is verified again, as of the time it arrived; if it is
genuine now, it becomes an event.`,
		Example: "  hookloom replay run_0d3c6f2a41e00000\n  hookloom replay evt_0d3c6f2a41c00000 --workflow fulfil\n  hookloom replay --trigger shop --workflow fulfil --since 30d --dry-run\n" +
			"  hookloom replay --status failed --since 1h --dry-run\n  hookloom replay --dead --workflow paid --from failed --version current",
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return a.replayIDs(c.Context(), &f, args)
			case f.decides(c):
				return a.replayEvents(c, &f)
			case f.q.Status == "" && f.q.Workflow == "" && f.since == "" && f.q.Trigger == "" && f.q.Type == "" && f.q.Grep == "" && f.q.Host == "" && !f.q.DeadOnly:
				return usageError("nothing to replay: give ids, or filters such as --status failed --since 1h, or --trigger T --since 30d")
			}
			if c.Flags().Changed("rate") {
				return usageError("--rate is for deciding events again: use it with --trigger, or with --status skipped, rule_failed or another outcome")
			}
			return a.replayFound(c, &f)
		}}
	f.add(c)
	f.addHost(c, "with --dead: only those that failed at this host")
	f.addReason(c, "with --dead: only with one of these error codes, separated by commas")
	c.Flags().StringVar(&f.from, "from", "start", "start or failed")
	c.Flags().StringVar(&f.version, "version", "pinned", "pinned or current")
	c.Flags().IntVar(&f.rate, "rate", engine.DefaultRate, "at most so many runs of a batch begin in a second")
	c.Flags().BoolVar(&f.again, "again", false, "run again even what was already replayed")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "show what would run, and stop")
	c.Flags().BoolVar(&f.q.DeadOnly, "dead", false, "the dead letters that the other filters leave")
	return c
}

// decides tells that the filters are about events to decide again, not about runs.
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

// replayEvents has many events decided again.
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
		Plan *engine.Forecast `json:"plan,omitempty"`
	}
	order := map[string]any{"trigger": f.q.Trigger, "workflow": f.q.Workflow, "status": f.q.Status, "since": f.since, "until": f.until, "again": f.again, "rate": f.rate,
		"by": os.Getenv("USER"), "dry_run": true}
	var planned, started answer
	if err := adminCall(c.Context(), l, "POST", "/api/v1/replays", order, &planned); err != nil {
		return err
	}
	if !a.json() {
		a.printForecast(planned.Plan)
	}
	if f.dry {
		if a.json() {
			return a.printJSON(map[string]any{"dry_run": true, "plan": planned.Plan})
		}
		return nil
	}
	order["dry_run"] = false
	if err := adminCall(c.Context(), l, "POST", "/api/v1/replays", order, &started); err != nil {
		return err
	}
	started.Plan = planned.Plan
	if a.json() {
		return a.printJSON(started)
	}
	a.printf("batch %s has started, at most %d runs a second; progress: hookloom batches show %s\n", started.ID, started.Rate, started.ID)
	return nil
}

func (a *app) printForecast(f *engine.Forecast) {
	least := ""
	if f.Looked < f.Events {
		least = fmt.Sprintf(" at least: %s were looked at before the time ran out", counted(f.Looked, "event"))
	}
	a.printf("%s, of %s%s\n", counted(f.Runs, "run")+" would begin", counted(f.Events, "event"), least)
	for _, w := range f.Workflows {
		a.printf("  %s (version %s): %s", w.Workflow, w.Version, counted(w.Runs, "run"))
		for _, x := range []struct {
			n    int
			text string
		}{{w.NotMatched, "no match for %d"}, {w.RuleFailed, "the rule fails for %d"}, {w.Known, "%d have a run already"}, {w.Unreadable, "%d cannot be read any more"}} {
			if x.n > 0 {
				a.printf("; "+x.text, x.n)
			}
		}
		a.printf("\n")
		if w.Reason != "" {
			a.printf("    the rule fails: %s\n", printable(w.Reason))
		}
		for _, c := range w.Calls {
			host := ""
			if c.Host != "" {
				host = " at " + printable(c.Host)
			}
			a.printf("    calls %s%s, %d times in %s\n", c.Action, host, c.Count, counted(w.Rehearsed, "rehearsed run"))
		}
		if w.Rehearsed > 0 && len(w.Calls) == 0 {
			a.printf("    makes no outside calls\n")
		}
		if w.Problem != "" {
			a.printf("    its calls cannot be determined: %s\n", printable(w.Problem))
		}
	}
}

// replayFound replays the runs, or the dead letters, that the filters find.
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

// replayedList is what replays answer.
type replayedList struct {
	Runs            []string        `json:"runs"`
	AlreadyReplayed bool            `json:"already_replayed,omitempty"`
	InDoubt         int             `json:"in_doubt,omitempty"`
	Items           []replayedAgain `json:"items"`
}

// replayedAgain is what became of an event for one workflow.
type replayedAgain struct {
	How string `json:"how"`
	engine.Again
}

func (a *app) replayRun(ctx context.Context, l *loaded, f *replayFlags, id string, all *replayedList) error {
	var out replayedList
	order := map[string]any{"from": f.from, "version": f.version, "by": os.Getenv("USER"), "again": f.again}
	if err := adminCall(ctx, l, "POST", "/api/v1/runs/"+id+"/replay", order, &out); err != nil {
		return err
	}
	all.Runs, all.InDoubt = append(all.Runs, out.Runs...), all.InDoubt+out.InDoubt
	if a.json() {
		for _, run := range out.Runs {
			all.Items = append(all.Items, replayedAgain{"repeat", engine.Again{Run: run, Repeats: id, Outcome: "matched", AlreadyReplayed: out.AlreadyReplayed, InDoubt: out.InDoubt}})
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

// callsInDoubt says how many calls of a replayed run may have taken effect.
func callsInDoubt(n int, from string) string {
	switch {
	case n == 0:
		return ""
	case from == "failed":
		return fmt.Sprintf("; %s in doubt: made again with the same idempotency key", counted(n, "call"))
	}
	return fmt.Sprintf("; %s in doubt: made again with a new idempotency key", counted(n, "call"))
}

// replayEvent names what will run for an event, then runs it.
func (a *app) replayEvent(ctx context.Context, l *loaded, f *replayFlags, id string, all *replayedList) error {
	id, workflow, _ := strings.Cut(id, " ")
	if workflow == "" {
		workflow = f.q.Workflow
	}
	path := "/api/v1/events/" + id + "/replay"
	order := map[string]any{"from": f.from, "version": f.version, "by": os.Getenv("USER"), "again": f.again, "workflow": workflow, "dry_run": true}
	var plan, out replayedList
	if err := adminCall(ctx, l, "POST", path, order, &plan); err != nil {
		return err
	}
	if !a.json() {
		for _, x := range plan.Items {
			if x.How == "repeat" {
				a.printf("%s  %s: repeats its run %s\n", id, x.Workflow, x.Repeats)
			} else {
				a.printf("%s  %s: decided again with today's rule\n", id, x.Workflow)
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

func (a *app) printAgain(id string, x engine.Again, from string) {
	switch {
	case x.AlreadyReplayed:
		a.printf("%s  %s was already replayed as %s; --again makes another run\n", id, x.Workflow, x.Run)
	case x.Run != "":
		a.printf("%s  %s replayed as %s%s\n", id, x.Workflow, x.Run, callsInDoubt(x.InDoubt, from))
	default:
		a.printf("%s  %s does not run: %s: %s\n", id, x.Workflow, x.Outcome, printable(x.Reason))
	}
	for _, c := range x.Rule {
		result := "error"
		if c.Result != nil {
			result = fmt.Sprint(*c.Result)
		}
		a.printf("      %-5s  %s\n", result, printable(c.Expr))
		for _, k := range sortedKeys(c.Values) {
			if v, err := json.Marshal(c.Values[k]); err == nil {
				a.printf("             %s = %s\n", k, printable(string(v)))
			}
		}
	}
}

// doubtText says what becomes of runs with calls in doubt.
func doubtText(runs int, from string) string {
	has := "have calls"
	if runs == 1 {
		has = "has a call"
	}
	text := fmt.Sprintf("%s %s in doubt, which may have taken effect: ", counted(runs, "run"), has)
	if from == "failed" {
		return text + "these calls are made again with the same idempotency key"
	}
	return text + "from the start they are made again with a new idempotency key; --from failed keeps the key"
}

func (a *app) printCount(ids []string, doubts int, from string) error {
	if a.json() {
		return a.printJSON(map[string]any{"count": len(ids), "ids": ids, "in_doubt": doubts})
	}
	events := 0
	for _, id := range ids {
		if strings.HasPrefix(id, "evt_") {
			events++
		}
	}
	text := ""
	if events > 0 {
		text = fmt.Sprintf(", and %s decided again", counted(events, "event"))
	}
	a.printf("%s would be replayed%s\n", counted(len(ids)-events, "run"), text)
	if doubts > 0 {
		a.printf("%s\n", doubtText(doubts, from))
	}
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
		return err
	}
	if a.json() {
		return a.printJSON(map[string]any{"id": id, "status": out.Status, "event": out.Event})
	}
	a.printf("%s %s as %s\n", id, out.Status, out.Event)
	return nil
}

// answering is the order to answer a question, as flags give it.
type answering struct {
	step, by, comment, review, result string
	reject, link                      bool
}

// order is the body of the call of the API.
func (x *answering) order() (map[string]any, error) {
	verdict := "approve"
	switch {
	case x.reject && x.review != "":
		return nil, usageError("--reject answers an approval, --review an attempt in doubt: give one of them")
	case x.reject:
		verdict = "reject"
	case x.review != "":
		if x.review != "resend" && x.review != "done" && x.review != "fail" {
			return nil, usageError("--review %s: resend, done or fail", x.review)
		}
		verdict = x.review
	}
	if x.link {
		if x.reject || x.review != "" || x.comment != "" || x.result != "" {
			return nil, usageError("--link goes with --step and --by only: who opens it says the rest")
		}
		return map[string]any{"step": x.step, "by": x.by, "link": true}, nil
	}
	order := map[string]any{"step": x.step, "verdict": verdict, "by": x.by, "comment": x.comment}
	if x.result != "" {
		if verdict != "done" || !json.Valid([]byte(x.result)) {
			return nil, usageError("--result goes with --review done, and is JSON")
		}
		order["result"] = json.RawMessage(x.result)
	}
	return order, nil
}

const aboutApprove = `Approves what a step with wait: {approval: ...} asks, or with --reject refuses it,
which fails the step. A step with on_unknown: review whose attempt was cut waits
too: --review resend makes the attempt again with the same idempotency key, done
takes it as made (with --result, JSON that later steps see as its output), fail
fails it. Each question is answered once.

Where the step says by:, the name must be proved: by the token of that name
(server: {tokens: {ada: ...}} in hookloom.yaml, given as HOOKLOOM_TOKEN), or by a
signed link. Elsewhere --by is a word on record, not a proof.

--link answers nothing: it prints a signed link to hand to somebody else, good for
this one question, once, in the name of --by. It leads to the hooks address.`

func (a *app) approveCmd() *cobra.Command {
	var at place
	var x answering
	c := &cobra.Command{Use: "approve RUN", Short: "Answer a run that waits for a person, through the running server", Args: cobra.ExactArgs(1),
		Long:    aboutApprove,
		Example: "  HOOKLOOM_TOKEN=$ADA_TOKEN hookloom approve run_0d3c6f2a41e00000\n  hookloom approve run_0d3c6f2a41e00000 --by ada --link\n  hookloom approve run_0d3c6f2a41e00000 --reject --comment 'wrong amount'\n  hookloom approve run_0d3c6f2a41e00000 --step 2/charge --review done --result '{\"id\": 7}'",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := engine.ParseRunID(args[0]); err != nil {
				return usageError("%v", err)
			}
			order, err := x.order()
			if err != nil {
				return err
			}
			l, err := at.load()
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
			if x.link {
				url := out["link"]
				if strings.HasPrefix(url, "/") { // server.public_url is not set
					url = l.hooksURL() + url
				}
				a.printf("%s\n", url)
				return nil
			}
			a.printf("%s  %s: %s\n  %s\n", args[0], out["step"], out["verdict"], printable(out["question"]))
			return nil
		}}
	at.flags(c.Flags())
	c.Flags().StringVar(&x.step, "step", "", "the step, when several wait")
	c.Flags().StringVar(&x.by, "by", os.Getenv("USER"), "who answers")
	c.Flags().StringVar(&x.comment, "comment", "", "why")
	c.Flags().BoolVar(&x.link, "link", false, "print a link with which --by answers")
	c.Flags().BoolVar(&x.reject, "reject", false, "refuse instead")
	c.Flags().StringVar(&x.review, "review", "", "resend, done or fail, for an attempt in doubt")
	c.Flags().StringVar(&x.result, "result", "", "with --review done: what the attempt gave, as JSON")
	return c
}
