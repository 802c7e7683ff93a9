package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Listener is one workflow that receives a trigger's events.
type Listener struct {
	Workflow *workflows.Workflow
	Start    workflows.Start
	// Types are the event types that the trigger's webhook accepts; empty accepts all.
	Types []string
	// Off is the outcome recorded for events while the workflow is off; empty while it is on.
	Off Outcome
	// Replayed reports whether a person has the event decided again: whether its data fits the
	// trigger's schema is not asked then.
	Replayed bool
}

// Evaluate evaluates the rule of the workflow. An error in a rule is not false: it is the
// outcome rule_failed.
func (l Listener) Evaluate(ev *Event, names map[string]any, err error, until time.Time) Decision {
	d := Decision{Workflow: l.Workflow.ID, Version: l.Workflow.Version, Outcome: Matched}
	taken := l.Types
	if !ev.Inlet.Kind().Outside {
		taken = nil // polled items have no sender's type
	}
	for _, types := range [][]string{taken, l.Start.Events} {
		if !workflows.MatchType(types, ev.Type) {
			if ev.unreadable != nil && ev.Type == ev.Trigger && l.Off == "" {
				d.Outcome, d.Reason = RuleFailed,
					fmt.Sprintf("its type is unknown, and events: requires %s: %v", strings.Join(types, ", "), ev.notReadable())
				return d
			}
			d.Outcome, d.Reason = Filtered, fmt.Sprintf("type %s is not in events: %s", ev.Type, strings.Join(types, ", "))
			return d
		}
	}
	if l.Off == Disabled {
		return l.Away()
	}
	if why := ev.deadLetter(); why != "" && !l.Replayed {
		d.Outcome, d.Reason = RuleFailed, why
		return d
	}
	if err != nil {
		d.Outcome, d.Reason = RuleFailed, err.Error()
		return d
	}
	scope := expr.Names{"event": names, "inputs": ev.InputsOf(l.Workflow)}
	env := &expr.Env{Names: scope, Now: ev.ReceivedAt, Seed: ev.ID.String(), Until: until}
	for _, c := range l.Workflow.When {
		ok, err := false, ev.needsData(c)
		if err == nil {
			ok, err = c.Condition(env)
		}
		cond := Condition{Expr: c.Text, Values: c.Values(scope)}
		if err != nil {
			cond.Error = err.Error()
			d.Outcome, d.Reason = RuleFailed, Problem(err)
		} else {
			cond.Result = &ok
			if !ok {
				d.Outcome, d.Reason = Skipped, "false: "+c.Text
			}
		}
		d.Conditions = append(d.Conditions, cond)
		if d.Outcome != Matched {
			return d
		}
	}
	return d
}

// Problem returns the message of an expression error without its position.
func Problem(err error) string {
	var e *expr.EvalError
	if errors.As(err, &e) {
		return e.Problem
	}
	return err.Error()
}

// Away is the decision about an event that arrives while the workflow is off.
func (l Listener) Away() Decision {
	d := Decision{Workflow: l.Workflow.ID, Version: l.Workflow.Version, Outcome: l.Off}
	switch {
	case l.Off == Held:
		d.Reason = "held until the workflow is switched on"
	case l.Workflow.Enabled:
		d.Reason = "the workflow is switched off"
	default:
		d.Reason = "enabled: false in its file"
	}
	return d
}
