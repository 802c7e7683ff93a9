package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file handles dead letters: grouped by cause, and replayed by filter.

type (
	// deadOrder selects dead letters by the filters of their list, or by one cause.
	deadOrder struct {
		// Group is the id of a group.
		Group    string `json:"group,omitempty"`
		Workflow string `json:"workflow,omitempty"`
		Trigger  string `json:"trigger,omitempty"`
		Type     string `json:"type,omitempty"`
		Status   words  `json:"status,omitempty"`
		Host     string `json:"host,omitempty"`
		Reason   words  `json:"reason,omitempty"`
		Since    string `json:"since,omitempty"`
		Until    string `json:"until,omitempty"`
		Q        string `json:"q,omitempty"`
		replayOrder
		DryRun bool `json:"dry_run,omitempty"`
	}
	// deadAnswer lists what is, or would be, replayed. Left is the number beyond the maximum of one
	// request.
	deadAnswer struct {
		Count    int        `json:"count"`
		Left     int        `json:"left"`
		Plan     []deadPlan `json:"plan"`
		Runs     []string   `json:"runs"`
		Problems []string   `json:"problems,omitempty"`
	}
	// deadPlan is a line of the plan for a replay.
	deadPlan struct {
		Workflow string `json:"workflow"`
		Step     string `json:"step,omitempty"`
		Host     string `json:"host,omitempty"`
		Code     string `json:"code,omitempty"`
		Count    int    `json:"count"`
		// Circuit is the state of the host's circuit breaker: see the list of destinations.
		Circuit string `json:"circuit,omitempty"`
		// Changed is the number that ran on another version than the current one.
		Changed int `json:"other_version"`
		// Current is the current version; empty if the project no longer has the workflow.
		Current string `json:"current,omitempty"`
	}
)

// allDead groups all dead letters; the result may be a few seconds old.
func (c *Console) allDead(ctx context.Context) ([]engine.DeadGroup, error) {
	return c.dead.get(true, time.Now(), func() ([]engine.DeadGroup, error) { return c.o.Log.DeadGroups(ctx, engine.Query{}) })
}

func (c *Console) listDeadGroups(w http.ResponseWriter, r *http.Request) {
	q, ok := c.listQuery(w, r)
	if !ok {
		return
	}
	groups, err := c.o.Log.DeadGroups(r.Context(), q)
	if err != nil {
		c.fail(w, err)
		return
	}
	n := len(groups)
	reply(w, http.StatusOK, engine.Page[engine.DeadGroup]{Items: groups, Total: &n})
}

// query returns the filters of the request.
func (o *deadOrder) query(now time.Time, zone *time.Location) (engine.Query, error) {
	q := engine.Query{Workflow: o.Workflow, Trigger: o.Trigger, Type: o.Type, Status: strings.Join(o.Status, ","), Host: o.Host,
		Reason: strings.Join(o.Reason, ","), Grep: o.Q, DeadOnly: true}
	return q, Window(&q, o.Since, o.Until, now, zone)
}

// chosen lists the dead letters of a request, newest first, and the number beyond most.
func (c *Console) chosen(ctx context.Context, q engine.Query, group string, most int) (out []engine.DeadLetter, left int, err error) {
	q.Limit, q.After = 1000, ""
	for {
		p, err := c.o.Log.DeadLetters(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		for _, d := range p.Items {
			switch {
			case group != "" && engine.GroupOf(d).ID != group:
			case len(out) < most:
				out = append(out, d)
			default:
				left++
			}
		}
		if q.After = p.Next; p.Next == "" {
			return out, left, nil
		}
	}
}

// planOf summarizes what a replay of dead letters would do.
func (c *Console) planOf(list []engine.DeadLetter) []deadPlan {
	p := c.o.Project()
	circuits := map[string]string{}
	for _, d := range c.o.Operator.Destinations() {
		if circuits[d.Host] == "" || d.Down() {
			circuits[d.Host] = d.Circuit
		}
	}
	type key struct{ workflow, step, host, code string }
	at := map[key]int{}
	out := []deadPlan{}
	for _, d := range list {
		k := key{d.Workflow, d.ErrorStep, d.Host, d.ErrorCode}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			x := deadPlan{Workflow: d.Workflow, Step: d.ErrorStep, Host: d.Host, Code: d.ErrorCode, Circuit: circuits[d.Host]}
			if flow := p.Workflows[d.Workflow]; flow != nil {
				x.Current = flow.Version
			}
			out = append(out, x)
		}
		out[i].Count++
		if d.Version != out[i].Current {
			out[i].Changed++
		}
	}
	slices.SortStableFunc(out, func(a, b deadPlan) int { return b.Count - a.Count })
	return out
}

// deadID returns the id of a dead letter in a request: a rule that failed is identified by event
// and workflow.
func deadID(d engine.DeadLetter) string {
	if d.Kind == "rule_failed" {
		return d.ID + " " + d.Workflow
	}
	return d.ID
}

// replayDeadLetters replays the dead letters that match the filters.
func (c *Console) replayDeadLetters(w http.ResponseWriter, r *http.Request) {
	var o deadOrder
	if !orderOf(w, r, &o, &o.By, o.check) {
		return
	}
	q, err := o.query(time.Now(), c.o.Project().Zone())
	if err == nil && o.Again {
		err = errors.New("again: dead letters are those that were not replayed; to replay one again, use its run id")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := c.names(r.Context(), q); err != nil {
		c.fail(w, err)
		return
	}
	list, left, err := c.chosen(r.Context(), q, o.Group, deadAtOnce)
	if err != nil {
		c.fail(w, err)
		return
	}
	a := deadAnswer{Count: len(list), Left: left, Plan: c.planOf(list), Runs: []string{}}
	if o.DryRun {
		reply(w, http.StatusOK, a)
		return
	}
	ids := make([]string, len(list))
	for i, d := range list {
		ids[len(list)-1-i] = deadID(d) // the oldest first
	}
	made, problems := c.replayMany(r.Context(), ids, o.replayOrder)
	for _, m := range made {
		a.Runs = append(a.Runs, m.Run)
	}
	a.Count, a.Problems = len(made), problems
	setTarget(r, fmt.Sprintf("%d dead letters", len(made)), "")
	note(r, "from", o.From, "version", o.Version, "group", o.Group, "workflow", o.Workflow, "host", o.Host, "reason",
		strings.Join(o.Reason, ","), "runs", madeText(made))
	reply(w, http.StatusAccepted, a)
}

// madeText names the first of the created runs, for the audit log.
func madeText(made []madeRun) string {
	var out []string
	for _, m := range firstN(made, 60) {
		out = append(out, m.Of)
	}
	return strings.Join(out, ",")
}

// deadOf returns the dead letters that a form selects: individual runs, or one cause with the
// filters of the page.
func (c *Console) deadOf(r *http.Request) (list []engine.DeadLetter, left int, err error) {
	if group := r.PostForm.Get("group"); group != "" {
		v, err := url.ParseQuery(r.PostForm.Get("filters"))
		if err != nil {
			return nil, 0, fmt.Errorf("%w: the filters are invalid", engine.ErrQuery)
		}
		q, err := query(v, c.zoneOf(r).At)
		if err == nil {
			err = c.names(r.Context(), q)
		}
		if err != nil {
			return nil, 0, err
		}
		return c.chosen(r.Context(), q, group, deadAtOnce)
	}
	ids := slices.Clone(r.PostForm["run"])
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > deadAtOnce {
		return nil, 0, fmt.Errorf("%w: at most %d at once; you chose %d", engine.ErrQuery, deadAtOnce, len(ids))
	}
	for _, text := range ids {
		if event, workflow, ok := strings.Cut(text, " "); ok {
			list = append(list, engine.DeadLetter{Kind: "rule_failed",
				RunItem: engine.RunItem{ID: event, Workflow: workflow, ErrorCode: "rule_failed"}})
			continue
		}
		id, err := engine.ParseRunID(text)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", engine.ErrQuery, err)
		}
		item, err := c.o.Log.RunOne(r.Context(), id)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, engine.DeadLetter{Kind: "run", RunItem: item})
	}
	return list, 0, nil
}

// deadReplay shows what would be replayed, and with confirm replays it, oldest first.
func (c *Console) deadReplay(w http.ResponseWriter, r *http.Request) {
	o, err := c.formOrder(r)
	if err != nil {
		c.errorPage(w, r, http.StatusBadRequest, err.Error())
		return
	}
	list, left, err := c.deadOf(r)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	group, filters := r.PostForm.Get("group"), r.PostForm.Get("filters")
	if len(list) == 0 {
		c.errorPage(w, r, http.StatusBadRequest, "Choose at least one dead letter. Those of this cause may have been replayed in the meantime.")
		return
	}
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = deadID(d)
	}
	slices.Sort(ids) // ids increase with time
	if r.PostForm.Get("confirm") == "" {
		data := map[string]any{"Title": "Replay dead letters?", "Count": len(list), "Left": left, "Plan": c.planOf(list), "Order": o,
			"Group": group, "Filters": filters, "Names": c.flowNames()}
		if group == "" {
			data["IDs"] = ids
		}
		if data["InDoubt"], err = c.o.Log.InDoubt(r.Context(), ids); err != nil {
			c.showError(w, r, err)
			return
		}
		c.render(w, r, http.StatusOK, "confirm", data)
		return
	}
	made, problems := c.replayMany(r.Context(), ids, o)
	c.audit(r, callerOf(r), "run.replay", fmt.Sprintf("%d dead letters", len(made)),
		auditDetail("from", o.From, "version", o.Version, "group", group, "filters", filters, "runs", madeText(made)), http.StatusOK)
	c.shown(w, r, "replayed", map[string]any{"Title": "Replayed", "Made": firstN(made, 200), "Count": len(made), "Left": left,
		"Problems": problems})
}
