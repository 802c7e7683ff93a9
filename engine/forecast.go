package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// This file tells what a batch would do, without doing it: the same rule decides about
// the same events, and some of the runs are rehearsed to see what they would call.

// Forecast is what a batch would do.
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
	// Calls are what Rehearsed of the runs would call.
	Calls     []PlannedCall `json:"calls"`
	Rehearsed int           `json:"rehearsed"`
	// Problem is why runs could not be rehearsed.
	Problem string `json:"problem,omitempty"`
}

// PlannedCall is an action that runs would carry out, and where.
type PlannedCall struct {
	Action string `json:"action"`
	Host   string `json:"host,omitempty"`
	// Count is how often in all runs that were rehearsed.
	Count int `json:"count"`
}

const (
	// forecastTime bounds a forecast, rehearsals is how many runs of a workflow are
	// rehearsed for it.
	forecastTime = 15 * time.Second
	rehearsals   = 5
)

// Forecast tells what a batch of a selection would do.
func (e *Engine) Forecast(ctx context.Context, s Selection) (*Forecast, error) {
	now := time.Now().UTC()
	if err := e.normalize(&s, now); err != nil {
		return nil, err
	}
	f := &Forecast{Workflows: []PlannedWorkflow{}}
	triggers, cursor, end := e.triggersOf(s), EventID(FirstID(s.Since)-1), EventID(FirstID(s.Until))
	var err error
	if f.Events, err = e.o.Store.CountEvents(ctx, triggers, cursor, end); err != nil {
		return nil, fmt.Errorf("counting events: %w", err)
	}
	by := map[string]*PlannedWorkflow{}
	for time.Since(now) < forecastTime {
		list, err := e.o.Store.Undone(ctx, triggers, cursor, end, batchLook)
		if err != nil {
			return nil, fmt.Errorf("reading events: %w", err)
		}
		for _, at := range list {
			if err := e.foresee(ctx, s, at, by); err != nil {
				return nil, err
			}
			f.Looked++
			cursor = at.Event
		}
		if len(list) < batchLook {
			break
		}
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		w := by[id]
		slices.SortFunc(w.Calls, func(a, b PlannedCall) int {
			return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Action, b.Action))
		})
		f.Runs += w.Runs
		f.Workflows = append(f.Workflows, *w)
	}
	return f, nil
}

// foresee adds what would become of one event.
func (e *Engine) foresee(ctx context.Context, s Selection, at DecidedState, by map[string]*PlannedWorkflow) error {
	ev, err := e.o.Store.Event(ctx, at.Event)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("reading event %s: %w", at.Event, err)
	}
	p := e.project.Load()
	planned := func(l listener) *PlannedWorkflow {
		id := l.workflow.ID
		if by[id] == nil {
			by[id] = &PlannedWorkflow{Workflow: id, Version: l.workflow.Version, Calls: []PlannedCall{}}
		}
		return by[id]
	}
	if err != nil || ev.canReplay() != nil {
		for _, name := range e.triggersOf(s) {
			for _, l := range p.byTrigger[name] {
				if s.Workflow == "" || s.Workflow == l.workflow.ID {
					planned(l).Unreadable++
					return nil
				}
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
		if (s.Workflow == "" || s.Workflow == l.workflow.ID) &&
			(at.Outcomes[l.workflow.ID] == Matched || slices.Contains(at.Ran, l.workflow.ID)) && !s.Again {
			planned(l).Known++
		}
	}
	for _, l := range take {
		e.foreseeRun(l, ev, planned(l))
	}
	return nil
}

func (e *Engine) foreseeRun(l listener, ev *Event, w *PlannedWorkflow) {
	names, err := ev.names()
	l.off = ""
	d := decide(l, ev, names, err, time.Time{})
	switch d.Outcome {
	case Matched:
		w.Runs++
	case RuleFailed:
		w.RuleFailed++
		w.Reason = cmp.Or(w.Reason, e.o.Redactor.Text(d.Reason))
	default:
		w.NotMatched++
	}
	if d.Outcome != Matched || w.Rehearsed >= rehearsals || w.Problem != "" {
		return
	}
	got, err := e.rehearse(l, ev)
	if err != nil {
		w.Problem = e.o.Redactor.Text(err.Error())
		return
	}
	w.Rehearsed++
	for _, c := range got.Calls {
		e.addCall(w, c)
	}
}

// rehearse carries a run through without effects.
func (e *Engine) rehearse(l listener, ev *Event) (got *Rehearsed, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rehearsing panicked, which is a bug of Hookloom: %v", p)
		}
	}()
	secret := func(name string) string {
		v, _ := e.o.Secrets(name)
		return v
	}
	copied := *ev // a rehearsal may change its inputs
	return Rehearse(Rehearsal{Project: e.project.Load().Project, Workflow: l.workflow, Event: &copied, Now: time.Now().UTC(), Secret: secret})
}

// addCall notes what an attempt of a rehearsal would have called.
func (e *Engine) addCall(w *PlannedWorkflow, c RehearsedCall) {
	if c.Due == nil || c.Due.Step.Spec == nil || !c.Due.Step.Spec.Leaves {
		return
	}
	call := PlannedCall{Action: c.Due.Step.Uses, Host: e.host(*c.Due)}
	i := slices.IndexFunc(w.Calls, func(x PlannedCall) bool { return x.Action == call.Action && x.Host == call.Host })
	if i < 0 {
		i, w.Calls = len(w.Calls), append(w.Calls, call)
	}
	w.Calls[i].Count++
}

// host is where an attempt would go; empty when it cannot be told.
func (e *Engine) host(d plan.Due) string {
	a, ok := e.o.Actions[actionName(d.Step)].(Destined)
	if !ok {
		return ""
	}
	in := Input{Spec: d.Step.Spec, With: d.With, Path: d.Path, Attempt: d.Attempt, Connections: e.project.Load().Connections,
		Secret: e.o.Secrets, Client: e.o.Client}
	return e.o.Redactor.Text(a.Destination(in))
}
