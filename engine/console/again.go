package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file is the part of the API that replays stored events and runs, and that switches workflows
// off and on.

type (
	// replayEventOrder says how to replay an event.
	replayEventOrder struct {
		replayOrder
		// Workflow is the workflow that evaluates the event again.
		Workflow string `json:"workflow,omitempty"`
		// DryRun only reports what would be done.
		DryRun bool `json:"dry_run,omitempty"`
	}
	// replaysOrder selects events to evaluate again.
	replaysOrder struct {
		Trigger  string `json:"trigger,omitempty"`
		Workflow string `json:"workflow,omitempty"`
		Status   words  `json:"status,omitempty"`
		// Since and Until are, for example, 30d or 2026-01-31T10:00:00Z.
		Since string `json:"since"`
		Until string `json:"until,omitempty"`
		Again bool   `json:"again,omitempty"`
		// SkipDone implies Again, and keeps the results of steps that earlier runs completed.
		SkipDone bool `json:"skip_done,omitempty"`
		// Rate is the number of runs to start per second.
		Rate   int  `json:"rate,omitempty"`
		DryRun bool `json:"dry_run,omitempty"`
		// Whole has a dry run evaluate all events, for up to an hour each, and return up to 20,000 changes.
		Whole bool   `json:"whole,omitempty"`
		By    string `json:"by,omitempty"`
	}
	// cancelOrder selects the runs to cancel by the filters of the lists.
	cancelOrder struct {
		Workflow string `json:"workflow,omitempty"`
		Trigger  string `json:"trigger,omitempty"`
		Type     string `json:"type,omitempty"`
		Status   words  `json:"status,omitempty"`
		Since    string `json:"since,omitempty"`
		DryRun   bool   `json:"dry_run,omitempty"`
	}
	switchOrder struct {
		By string `json:"by,omitempty"`
		// Hold keeps the events that arrive while the workflow is off, and runs them when it is
		// switched on.
		Hold bool `json:"hold,omitempty"`
	}

	// replayedAnswer lists the runs created by a replay.
	replayedAnswer struct {
		Runs []string `json:"runs"`
		// AlreadyReplayed reports whether an earlier request created all of them.
		AlreadyReplayed bool `json:"already_replayed,omitempty"`
		// InDoubt is the number of calls of the old runs that may have taken effect.
		InDoubt int            `json:"in_doubt,omitempty"`
		Items   []replayedItem `json:"items,omitempty"`
	}
	replayedItem struct {
		// How is repeat for a new run, or decide for a rule that is evaluated again.
		How string `json:"how"`
		engine.Again
	}
	// batchAnswer is a batch, or only its plan for a dry run.
	batchAnswer struct {
		engine.Batch
		Plan *ReplayPlan `json:"plan,omitempty"`
	}
	cancelledAnswer struct {
		Count int      `json:"count"`
		Runs  []string `json:"runs"`
		// More reports whether there are more.
		More bool `json:"more,omitempty"`
	}
	switchedAnswer struct {
		Status string `json:"status"`
		engine.Switched
		// Command runs the events that it missed.
		Command string `json:"command,omitempty"`
	}
)

// words is a list of texts, which may be given as one comma-separated text.
type words []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = nil
		for _, x := range strings.Split(one, ",") {
			if x = strings.TrimSpace(x); x != "" {
				*w = append(*w, x)
			}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

type (
	getRoute  func(path, id, about string, query []string, answer any, h http.HandlerFunc) route
	postRoute func(path, id, about, action string, status int, body, answer any, h http.HandlerFunc) route
)

// againAPI lists the calls of this part.
func (c *Console) againAPI(get getRoute, post postRoute) []route {
	return []route{
		post("events/{id}/replay", "replayEvent",
			"Replays the event's runs, once per workflow. An event without runs, or with a workflow, is decided again.", "event.replay",
			202, replayEventOrder{}, replayedAnswer{}, c.replayEvent),
		post("runs/{id}/replay", "replayRun", "Makes a new run of the same event, once.", "run.replay", 202, replayOrder{},
			replayedAnswer{}, c.replayRun),
		post("runs/cancel", "cancelRuns", "Cancels the open runs that match the filters, at most 1000 at once.", "run.cancel", 202,
			cancelOrder{}, cancelledAnswer{}, c.cancelRuns),
		get("deadletters", "listDeadLetters", "Failed runs and failed rules that were not replayed.", deadFilters,
			engine.Page[engine.DeadLetter]{}, c.listDead),
		get("deadletters/groups", "listDeadGroups", "All dead letters, grouped by cause: workflow, step, host, code and message.",
			groupFilters, engine.Page[engine.DeadGroup]{}, c.listDeadGroups),
		post("deadletters/replay", "replayDeadLetters",
			"Replays the dead letters that match the filters, each once, at most 1000 at once; with dry_run it only shows them.",
			"run.replay", 202, deadOrder{}, deadAnswer{}, c.replayDeadLetters),
		post("replays", "startReplays", "Decides stored events again with the current rules; with dry_run it only shows what would be done.",
			"batch.start", 202, replaysOrder{}, batchAnswer{}, c.startReplays),
		get("batches", "listBatches", "Batches of events decided again, newest first.", nil, engine.Page[engine.Batch]{},
			c.listBatches),
		get("batches/{id}", "getBatch", "One batch and its progress.", nil, engine.Batch{}, c.oneBatch),
		post("batches/{id}/pause", "pauseBatch", "Pauses a batch.", "batch.pause", 200, nil, engine.Batch{},
			c.changeBatch(engine.BatchPaused)),
		post("batches/{id}/resume", "resumeBatch", "Resumes a paused batch.", "batch.resume", 200, nil, engine.Batch{},
			c.changeBatch(engine.BatchRunning)),
		post("batches/{id}/cancel", "cancelBatch", "Cancels a batch; the runs it has started continue.", "batch.cancel", 200, nil,
			engine.Batch{}, c.changeBatch(engine.BatchCancelled)),
		post("workflows/{id...}/enable", "enableWorkflow", "Switches a workflow on again, and returns what it missed.", "workflow.enable",
			200, switchOrder{}, switchedAnswer{}, c.enable),
		post("workflows/{id...}/disable", "disableWorkflow",
			"Switches a workflow off, also after a restart; with hold, events are held and run later.", "workflow.disable", 200,
			switchOrder{}, switchedAnswer{}, c.disable),
	}
}

// orderOf decodes the body of a request into o, and returns the author.
func orderOf[T any](w http.ResponseWriter, r *http.Request, o *T, by *string, check func() error) bool {
	err := readOrder(r, o)
	if err == nil && check != nil {
		err = check()
	}
	*by = authorOf(r, *by)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
	}
	return err == nil
}

func (c *Console) replayRun(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseRunID)
	if !ok {
		return
	}
	var o replayOrder
	if !orderOf(w, r, &o, &o.By, o.check) {
		return
	}
	note(r, "from", o.From, "version", o.Version)
	x, err := c.o.Operator.ReplayRun(r.Context(), id, o.order())
	if err != nil {
		c.conflict(w, err)
		return
	}
	note(r, "as", x.Run.String())
	replyReplayed(w, replayedAnswer{Runs: []string{x.Run.String()}, AlreadyReplayed: x.Already, InDoubt: x.InDoubt})
}

func (o replayOrder) order() engine.ReplayOrder {
	return engine.ReplayOrder{From: o.From, Version: o.Version, By: o.By, Again: o.Again}
}

// replyReplayed responds with 202 if a run was started, and with 200 if an earlier request started
// it.
func replyReplayed(w http.ResponseWriter, a replayedAnswer) {
	status := http.StatusAccepted
	if a.AlreadyReplayed {
		status = http.StatusOK
	}
	reply(w, status, a)
}

func (c *Console) replayEvent(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseEventID)
	if !ok {
		return
	}
	var o replayEventOrder
	if !orderOf(w, r, &o, &o.By, o.check) {
		return
	}
	note(r, "workflow", o.Workflow, "from", o.From, "version", o.Version)
	items, err := c.runAgain(r.Context(), id, o)
	if err != nil {
		c.conflict(w, err)
		return
	}
	a := replayedAnswer{Runs: []string{}, Items: items, AlreadyReplayed: true}
	for _, x := range items {
		if x.Run != "" && !o.DryRun {
			a.Runs = append(a.Runs, x.Run)
		}
		a.AlreadyReplayed, a.InDoubt = a.AlreadyReplayed && x.AlreadyReplayed, a.InDoubt+x.InDoubt
	}
	if o.DryRun {
		reply(w, http.StatusOK, a)
		return
	}
	replyReplayed(w, a)
}

// runAgain replays an event: for the named workflow; or else its runs, one per workflow; or else
// for all workflows that listen to it now. A dry run only lists them.
func (c *Console) runAgain(ctx context.Context, id engine.EventID, o replayEventOrder) ([]replayedItem, error) {
	plan, err := c.runsOf(ctx, id, o)
	if err != nil || o.DryRun {
		return plan, err
	}
	for i, x := range plan {
		if x.How == "repeat" {
			of, err := engine.ParseRunID(x.Repeats)
			if err != nil {
				return nil, err
			}
			n, err := c.o.Operator.ReplayRun(ctx, of, o.order())
			if err != nil {
				return nil, err
			}
			plan[i].Run, plan[i].Outcome, plan[i].AlreadyReplayed, plan[i].InDoubt = n.Run.String(), "matched", n.Already, n.InDoubt
			continue
		}
		if plan[i].Again, err = c.o.Operator.DecideAgain(ctx, id, x.Workflow, o.Again, o.By); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// runsOf returns the workflows of a request.
func (c *Console) runsOf(ctx context.Context, id engine.EventID, o replayEventOrder) ([]replayedItem, error) {
	if o.Workflow != "" {
		if c.o.Project().Workflows[o.Workflow] == nil {
			return nil, fmt.Errorf("workflow %q: %w", o.Workflow, engine.ErrNotFound)
		}
		return []replayedItem{{How: "decide", Again: engine.Again{Workflow: o.Workflow}}}, nil
	}
	runs, err := c.o.Log.RunPage(ctx, engine.Query{Event: id.String(), Limit: 1000})
	if err != nil {
		return nil, err
	}
	var plan []replayedItem
	// The run to repeat is the newest; or, unless it is to be repeated again, the one that it
	// repeats, so that a duplicate request finds the run that the first created.
	newest := map[string]engine.RunItem{}
	for _, run := range runs.Items {
		if had, known := newest[run.Workflow]; !known || had.Repeats == run.ID && !o.Again {
			newest[run.Workflow] = run
		}
	}
	for _, name := range sortedNames(newest) {
		run := newest[name]
		if run.Repeats == "" && run.ReplayedBy != "" && !o.Again {
			plan = append(plan, replayedItem{How: "decide", Again: engine.Again{Workflow: name}}) // a request created it
			continue
		}
		plan = append(plan, replayedItem{How: "repeat", Again: engine.Again{Workflow: name, Version: run.Version, Repeats: run.ID}})
	}
	if len(plan) > 0 {
		return plan, nil
	}
	names, err := c.o.Operator.Undecided(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("no enabled workflow listens to this event today")
	}
	for _, name := range names {
		plan = append(plan, replayedItem{How: "decide", Again: engine.Again{Workflow: name}})
	}
	return plan, nil
}

func (c *Console) startReplays(w http.ResponseWriter, r *http.Request) {
	var o replaysOrder
	if !orderOf(w, r, &o, &o.By, nil) {
		return
	}
	s, err := o.selection(time.Now())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if o.DryRun {
		bounds := usualPlan
		if o.Whole {
			bounds, s.Within = wholePlan, wholePlan.time
		}
		plan, err := c.planReplays(r.Context(), s, true, bounds)
		if err != nil {
			c.conflict(w, err)
			return
		}
		s.Until = cmp.Or(s.Until, time.Now().UTC())
		b := engine.Batch{Selection: s, Total: plan.Events, Rate: cmp.Or(o.Rate, engine.DefaultRate)}
		reply(w, http.StatusOK, batchAnswer{Batch: b, Plan: plan})
		return
	}
	b, err := c.o.Operator.StartBatch(r.Context(), s, o.Rate, o.By)
	if err != nil {
		c.conflict(w, err)
		return
	}
	setTarget(r, b.ID, "")
	note(r, "trigger", o.Trigger, "workflow", o.Workflow, "status", strings.Join(o.Status, ","), "since", o.Since, "until", o.Until)
	reply(w, http.StatusAccepted, batchAnswer{Batch: *b})
}

func (c *Console) listBatches(w http.ResponseWriter, r *http.Request) {
	items, err := c.o.Operator.Batches(r.Context())
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, engine.Page[engine.Batch]{Items: items})
}

func (c *Console) oneBatch(w http.ResponseWriter, r *http.Request) {
	id, ok := named(c, w, r, engine.ParseBatchID)
	if !ok {
		return
	}
	b, err := c.o.Operator.Batch(r.Context(), id)
	if err != nil {
		c.fail(w, err)
		return
	}
	reply(w, http.StatusOK, b)
}

func (c *Console) changeBatch(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok := named(c, w, r, engine.ParseBatchID)
		if !ok {
			return
		}
		b, err := c.o.Operator.ChangeBatch(r.Context(), id, to)
		if err != nil {
			c.conflict(w, err)
			return
		}
		reply(w, http.StatusOK, b)
	}
}

// cancelAtOnce is the maximum number of runs that one request cancels.
const cancelAtOnce = 1000

// cancelRuns cancels the runs that match the filters.
func (c *Console) cancelRuns(w http.ResponseWriter, r *http.Request) {
	var o cancelOrder
	if err := readOrder(r, &o); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if len(o.Status) == 0 {
		o.Status = words{"queued", "waiting", "running"}
	}
	q := engine.Query{Workflow: o.Workflow, Trigger: o.Trigger, Type: o.Type, Status: strings.Join(o.Status, ","), Limit: cancelAtOnce}
	open := []string{"queued", "waiting", "running"}
	for _, s := range o.Status {
		if !slices.Contains(open, s) {
			problem(w, http.StatusBadRequest, fmt.Sprintf("status %q: only open runs are cancelled: %s", s, strings.Join(open, ", ")))
			return
		}
	}
	if o.Workflow == "" && o.Trigger == "" && o.Type == "" && o.Since == "" {
		problem(w, http.StatusBadRequest, "nothing to cancel: give a workflow, a trigger, a type or since")
		return
	}
	if o.Since != "" {
		var err error
		if q.Since, err = Since(o.Since, time.Now()); err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if err := c.names(r.Context(), q); err != nil {
		c.fail(w, err)
		return
	}
	a, err := c.cancelAll(r.Context(), q, o.DryRun)
	if err != nil {
		c.fail(w, err)
		return
	}
	setTarget(r, fmt.Sprintf("%d runs", a.Count), "")
	note(r, "workflow", o.Workflow, "trigger", o.Trigger, "type", o.Type, "status", strings.Join(o.Status, ","), "since", o.Since, "runs",
		strings.Join(firstN(a.Runs, 50), ","))
	status := http.StatusAccepted
	if o.DryRun {
		status = http.StatusOK
	}
	reply(w, status, a)
}

// cancelAll cancels the runs of a query, the newest first: a run that ends gives its place to the
// next one in the queue, which would begin for a moment if it were still open. A run that has
// ended in the meantime is not an error.
func (c *Console) cancelAll(ctx context.Context, q engine.Query, dry bool) (cancelledAnswer, error) {
	a := cancelledAnswer{Runs: []string{}}
	for {
		p, err := c.o.Log.RunPage(ctx, q)
		if err != nil {
			return a, err
		}
		for _, run := range p.Items {
			id, err := engine.ParseRunID(run.ID)
			if err == nil && !dry {
				err = c.o.Operator.Cancel(ctx, id)
			}
			switch {
			case errors.Is(err, engine.ErrStale), errors.Is(err, engine.ErrNotFound):
			case err != nil:
				return a, err
			default:
				a.Runs = append(a.Runs, run.ID)
			}
		}
		a.Count = len(a.Runs)
		if p.Next == "" || a.Count >= cancelAtOnce {
			a.More = p.Next != ""
			return a, nil
		}
		q.After = p.Next
	}
}

func (c *Console) enable(w http.ResponseWriter, r *http.Request)  { c.switched(w, r, true) }
func (c *Console) disable(w http.ResponseWriter, r *http.Request) { c.switched(w, r, false) }

func (c *Console) switched(w http.ResponseWriter, r *http.Request, on bool) {
	var o switchOrder
	if !orderOf(w, r, &o, &o.By, nil) {
		return
	}
	id := r.PathValue("id")
	if o.Hold && !on {
		note(r, "hold", "true")
	}
	x, err := c.o.Operator.Switch(r.Context(), engine.SwitchOrder{Workflow: id, On: on, Hold: o.Hold && !on, By: o.By})
	if err != nil {
		c.conflict(w, err)
		return
	}
	a := switchedAnswer{Status: map[bool]string{true: "enabled", false: "disabled"}[on], Switched: x}
	if on && x.Missed > 0 {
		a.Command = missedCommand(id, x)
	}
	reply(w, http.StatusOK, a)
}

// missedCommand returns the command that runs the events a workflow missed.
func missedCommand(id string, x engine.Switched) string {
	return fmt.Sprintf("hookloom replay --workflow %s --status disabled --since %s", id, x.Since.UTC().Format("2006-01-02T15:04:05.000Z"))
}
