package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// Forecast is what a batch would do. Package dryrun makes it.
type Forecast struct {
	// Events is how many there are to look at, Looked how many were looked at: fewer when
	// there was no time for all, and the numbers are then at least so many.
	Events    int               `json:"events"`
	Looked    int               `json:"looked"`
	Runs      int               `json:"runs"`
	Workflows []PlannedWorkflow `json:"workflows"`
}

// PlannedWorkflow is what a batch would do of one workflow.
type PlannedWorkflow struct {
	Workflow string `json:"workflow"`
	Version  string `json:"version"`
	// Runs would begin. NotMatched is where the rule says no, RuleFailed where it cannot
	// be asked, Unreadable where the event was pruned or is damaged.
	Runs       int `json:"runs"`
	NotMatched int `json:"not_matched"`
	RuleFailed int `json:"rule_failed"`
	Known      int `json:"known"`
	Unreadable int `json:"unreadable,omitempty"`
	// Reason is that of the first rule that failed.
	Reason string `json:"reason,omitempty"`
	// Calls are what DryRuns of the runs would call.
	Calls   []PlannedCall `json:"calls"`
	DryRuns int           `json:"rehearsed"`
	// Problem is why a dry run was not possible.
	Problem string `json:"problem,omitempty"`
}

// PlannedCall is an action that runs would carry out, and where.
type PlannedCall struct {
	Action string `json:"action"`
	Host   string `json:"host,omitempty"`
	// Count is how often in all dry runs.
	Count int `json:"count"`
}

// Selected is one workflow that a selection has decide about one event.
type Selected struct {
	Workflow *workflows.Workflow
	Start    workflows.Start
	// Types are those that the trigger's webhook takes; empty takes all.
	Types []string
	// Event is nil when it was pruned or cannot be read.
	Event *Event
	// Known tells that it has a run already, so that nothing would be decided.
	Known bool
}

// EachSelected gives each event of a selection to do, once a workflow, until the moment
// until. It tells how many events there are and how many were looked at. It writes nothing;
// the memory of an event is lent for the call of do.
func (e *Engine) EachSelected(ctx context.Context, s Selection, until time.Time, do func(Selected)) (events, looked int, err error) {
	if err := e.normalize(&s, time.Now().UTC()); err != nil {
		return 0, 0, err
	}
	triggers, cursor, end := e.triggersOf(s), EventID(FirstID(s.Since)-1), EventID(FirstID(s.Until))
	if events, err = e.o.Store.CountEvents(ctx, triggers, cursor, end); err != nil {
		return 0, 0, fmt.Errorf("counting events: %w", err)
	}
	for time.Now().Before(until) {
		list, err := e.o.Store.Undone(ctx, triggers, cursor, end, batchLook)
		if err != nil {
			return 0, 0, fmt.Errorf("reading events: %w", err)
		}
		for _, at := range list {
			if err := e.selected(ctx, s, at, do); err != nil {
				return 0, 0, err
			}
			looked++
			cursor = at.Event
		}
		if len(list) < batchLook {
			break
		}
	}
	return events, looked, nil
}

// selected gives one event of a selection to do.
func (e *Engine) selected(ctx context.Context, s Selection, at DecidedState, do func(Selected)) error {
	ev, err := e.o.Store.Event(ctx, at.Event)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("reading event %s: %w", at.Event, err)
	}
	p := e.project.Load()
	wanted := func(l listener) bool { return s.Workflow == "" || s.Workflow == l.workflow.ID }
	give := func(l listener, ev *Event, known bool) {
		do(Selected{Workflow: l.workflow, Start: l.start, Types: l.types, Event: ev, Known: known})
	}
	if err != nil || ev.canReplay() != nil {
		for _, name := range e.triggersOf(s) {
			if list := slices.DeleteFunc(slices.Clone(p.byTrigger[name]), func(l listener) bool { return !wanted(l) }); len(list) > 0 {
				give(list[0], nil, false)
				return nil
			}
		}
		return nil
	}
	if ev, err = e.awaitShare(ctx, ev); err != nil {
		return err
	}
	defer ev.share.letGo()
	take, _ := p.takes(s, ev, at)
	for _, l := range p.listeners(&ev.Delivery) {
		id := l.workflow.ID
		if wanted(l) && (at.Outcomes[id] == Matched || slices.Contains(at.Ran, id)) && !s.Again {
			give(l, ev, true)
		}
	}
	for _, l := range take {
		give(l, ev, false)
	}
	return nil
}
