package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// This file lists what needs attention, and reads the filters of lists.

// eventStatuses are the statuses by which events can be listed.
var eventStatuses = append(slices.Clone(engine.Outcomes), "pending", "ended_wait", engine.Unreadable)

// statuses parses a filter of one or more statuses, separated by commas. Statuses in alone cannot
// be combined with others.
func statuses(text string, known []string, alone ...string) ([]string, error) {
	list := strings.Split(text, ",")
	for i, s := range list {
		list[i] = strings.TrimSpace(s)
		if slices.Contains(alone, list[i]) {
			return nil, fmt.Errorf("%w: status %s cannot be combined with others", engine.ErrQuery, list[i])
		}
		if !slices.Contains(known, list[i]) {
			return nil, fmt.Errorf("%w: unknown status %q; use one of %s", engine.ErrQuery, list[i],
				strings.Join(append(slices.Clone(known), alone...), ", "))
		}
	}
	return list, nil
}

const (
	noDecision = `NOT EXISTS (SELECT 1 FROM decisions d WHERE d.event_id = e.id)`
	inInbox    = `EXISTS (SELECT 1 FROM inbox i WHERE i.event_id = e.id)`
	endedWait  = `EXISTS (SELECT 1 FROM ended_waits x WHERE x.event_id = e.id)`
)

// eventStatus narrows events to those of a status. It uses the same condition that lists show, so
// each listed event has the status.
func eventStatus(w *where, text string) error {
	list, err := statuses(text, eventStatuses, "by-content", "repeated-body", "conflicting", "test")
	if err != nil {
		return err
	}
	var either []string
	var args []any
	for _, s := range list {
		switch s {
		case "pending":
			either = append(either, inInbox)
		case "unmatched":
			either = append(either, "("+noDecision+" AND NOT "+inInbox+" AND NOT "+endedWait+")")
		case engine.Unreadable:
			either = append(either, unreadable)
		case "ended_wait":
			either = append(either, endedWait)
		default:
			either = append(either, "EXISTS (SELECT 1 FROM decisions d WHERE d.event_id = e.id AND d.outcome = ?)")
			args = append(args, s)
		}
	}
	w.add("("+strings.Join(either, " OR ")+")", args...)
	return nil
}

// endedWaits lists the steps whose waits an event ended.
func (h *History) endedWaits(ctx context.Context, id engine.EventID) ([]engine.EndedWait, error) {
	return collect(ctx, h.db, `SELECT printf('run_%016x', x.run_id), x.path, coalesce(r.workflow, '') FROM ended_waits x LEFT JOIN runs r ON `+
		`r.id = x.run_id WHERE x.event_id = ? ORDER BY x.run_id, x.path`, []any{int64(id)},
		func(s scanner) (x engine.EndedWait, err error) {
			err = s.Scan(&x.Run, &x.Step, &x.Workflow)
			return x, err
		})
}

// earlier lists the decisions about an event that newer ones have replaced.
func (h *History) earlier(ctx context.Context, id engine.EventID) ([]engine.DecisionItem, error) {
	return collect(ctx, h.db, `SELECT workflow, version, outcome, reason, trace, run_id, at FROM decision_history WHERE event_id = ? ORDER `+
		`BY rowid`, []any{int64(id)}, scanDecision)
}

const (
	failedRules = `SELECT printf('evt_%016x', d.event_id), d.workflow, d.version, d.reason, d.at, e.trigger, e.type, d.event_id FROM ` +
		`decisions d JOIN events e ON e.id = d.event_id WHERE d.outcome = 'rule_failed'`
	countFailed = `SELECT count(*) FROM (SELECT 1 FROM decisions WHERE outcome = 'rule_failed' LIMIT 10000)`
)

// DeadLetters lists, newest first, failed work that was not replayed: runs, and events about which
// a workflow's rule could not decide. Ids of runs and events share one order of time, so either can
// be the cursor.
func (h *History) DeadLetters(ctx context.Context, q engine.Query) (engine.Page[engine.DeadLetter], error) {
	out := engine.Page[engine.DeadLetter]{Items: []engine.DeadLetter{}}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Limit, q.DeadOnly = min(q.Limit, 1000), true
	after := q.After
	if strings.HasPrefix(after, "evt_") {
		q.After = "run_" + strings.TrimPrefix(after, "evt_")
	}
	if err := h.checkDead(ctx, q); err != nil {
		return out, err
	}
	rules := deadRules(q)
	if q.Status != "" {
		list := slices.DeleteFunc(strings.Split(q.Status, ","), func(s string) bool { return strings.TrimSpace(s) == "rule_failed" })
		q.Status = strings.Join(list, ",")
		if len(list) == 0 {
			q.Status = "rule_failed"
		}
	}
	if q.Status != "rule_failed" {
		runs, err := h.RunPage(ctx, q)
		if err != nil {
			return out, err
		}
		for _, r := range runs.Items {
			out.Items = append(out.Items, engine.DeadLetter{Kind: "run", RunItem: r})
		}
		out.Next, out.SearchedTo = runs.Next, runs.SearchedTo
	}
	if !rules {
		return out, nil
	}
	failed, err := h.failedRules(ctx, q)
	if err != nil {
		return out, err
	}
	return mergeDead(out, failed, q.Limit), nil
}

// failedRules lists the decisions of rules that failed, with all those of the last event: its id is
// the cursor, so that the next page has none of them.
func (h *History) failedRules(ctx context.Context, q engine.Query) ([]engine.DeadLetter, error) {
	w := ruleConditions(q)
	tail, err := w.page(q, "run_", "d.event_id")
	if err != nil {
		return nil, err
	}
	list, err := h.readFailed(ctx, w, tail)
	if err != nil || len(list) < q.Limit {
		return list, err
	}
	last, err := engine.ParseEventID(list[len(list)-1].ID)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(x engine.DeadLetter) bool { return x.ID == last.String() })
	w = ruleConditions(q)
	w.add("d.event_id = ?", int64(last))
	rest, err := h.readFailed(ctx, w, " ORDER BY d.workflow")
	return append(list, rest...), err
}

func (h *History) readFailed(ctx context.Context, w where, tail string) ([]engine.DeadLetter, error) {
	query := failedRules
	if len(w.parts) > 0 {
		query += " AND " + strings.Join(w.parts, " AND ")
	}
	return collect(ctx, h.db, query+tail, w.args, func(s scanner) (engine.DeadLetter, error) {
		var x engine.DeadLetter
		var at, id int64
		err := s.Scan(&x.ID, &x.Workflow, &x.Version, &x.Error, &at, &x.Trigger, &x.Type, &id)
		x.Kind, x.Event, x.Status, x.CreatedAt, x.ErrorCode = "rule_failed", x.ID, "rule_failed", fromMillis(at), "rule_failed"
		finished := x.CreatedAt
		x.FinishedAt = &finished
		return x, err
	})
}

// mergeDead merges failed rules into dead runs, in the order of their ids. If the page of runs
// continues, older rules wait for the next page.
func mergeDead(p engine.Page[engine.DeadLetter], failed []engine.DeadLetter, limit int) engine.Page[engine.DeadLetter] {
	number := func(x engine.DeadLetter) string { return x.ID[len("run_"):] }
	if p.Next != "" {
		failed = slices.DeleteFunc(failed, func(x engine.DeadLetter) bool { return number(x) < p.Next[len("run_"):] })
	}
	full := len(failed) >= limit
	p.Items = append(p.Items, failed...)
	slices.SortStableFunc(p.Items, func(a, b engine.DeadLetter) int { return strings.Compare(number(b), number(a)) })
	if len(p.Items) > limit {
		// Rules that failed for one event stay together: its id is the cursor.
		for limit < len(p.Items) && p.Items[limit].ID == p.Items[limit-1].ID {
			limit++
		}
		p.Items, full = p.Items[:limit], true
	}
	if full && len(p.Items) > 0 {
		p.Next, p.SearchedTo = p.Items[len(p.Items)-1].ID, nil
	}
	return p
}

func scanDecision(s scanner) (engine.DecisionItem, error) {
	var d engine.DecisionItem
	var trace string
	var run *int64
	var at int64
	err := s.Scan(&d.Workflow, &d.Version, &d.Outcome, &d.Reason, &trace, &run, &at)
	d.Conditions, d.At = json.RawMessage(trace), fromMillis(at)
	if run != nil {
		d.Run = engine.RunID(*run).String()
	}
	return d, err
}

// HasName reports whether the history contains a workflow or a trigger of this name.
func (h *History) HasName(ctx context.Context, workflow, trigger string) (bool, error) {
	var found bool
	err := h.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM versions WHERE workflow = ?1 AND ?1 <> '') OR EXISTS (SELECT 1 FROM `+
		`events WHERE trigger = ?2 AND ?2 <> '')`, workflow, trigger).Scan(&found)
	return found, classify(err)
}
