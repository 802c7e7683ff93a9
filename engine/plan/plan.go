// Package plan decides what may happen next in a run: which steps are due, what the run waits for,
// or how it ended. It is pure: the same workflow, records and time give the same result, so that
// recovery after a crash, dry runs, tests and backtests all use it. It must not know clocks, disks,
// networks, stores or actions.
package plan

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// outcome is the state of a list of steps.
type outcome int

const (
	done outcome = iota
	pending
	failed
	stopped
)

// planner walks the steps once, over the records.
type planner struct {
	st   *State
	out  *Decision
	vars map[string]any
	// steps are the results that expressions see; locals are the item and index of the enclosing
	// loops.
	steps  map[string]any
	locals expr.Names
	// limit is the enclosing limit that expires first: the timeout of a group, or a deadline.
	limit limit
	// bounded is the innermost step being walked that has its own deadline, and around the limit
	// outside it; handling is the last step whose on_failure is open.
	bounded, handling string
	around            limit
	err               *Error
	text              string
	// handled is the error that an on_failure handler sees.
	handled *Error
	// frozen reports that steps which have not begun must not begin.
	frozen bool
	// ended is the status of the run, while finally is walked.
	ended string
}

// Next decides what happens next. It changes nothing except the records it returns, which it also
// adds to the state, so that the next call returns what follows.
func Next(st *State) Decision {
	p := &planner{st: st, out: &Decision{}, steps: map[string]any{}}
	if end := p.start(); end != nil {
		return Decision{End: end}
	}
	if p.frozen = st.Cancelled != nil; p.frozen {
		p.sequence(st.Workflow.Steps, "") // finally can read the results of these steps
		p.rewind(mark{})
		p.frozen = false
		return p.conclude(&End{Status: "cancelled", Error: st.Cancelled})
	}
	if mark := p.last(markOf("")); mark != nil {
		return p.afterRunDeadline(mark)
	}
	if end := st.runDeadline(); !end.IsZero() {
		p.limit = limit{at: end, timeout: st.Workflow.Deadline, deadline: true}
	}
	last := p.sequence(st.Workflow.Steps, "")
	if p.overdue(last) {
		return p.endOverdue()
	}
	switch last {
	case pending:
		if !st.TimedOut {
			if !p.limit.at.IsZero() {
				p.wake(p.limit.at)
			}
			return *p.out
		}
		p.err = &Error{Message: fmt.Sprintf("the run took longer than %s", st.Workflow.Timeout), Code: "timeout", Step: p.openStep()}
		p.rewind(mark{})
		if p.cut("", "the run took longer than its timeout of "+st.Workflow.Timeout.String(), "timeout") {
			return *p.out // the runs it called end first
		}
		return p.finish("timed_out")
	case failed:
		if st.TimedOut && p.err.Code == "timeout" {
			return p.finish("timed_out")
		}
		return p.finish("failed")
	}
	end := &End{Status: "succeeded", Text: p.text}
	var v any
	var err error
	if st.Workflow.Output != nil {
		v, err = st.Workflow.Output.Render(p.env(st.Now, "output"), workflows.FillPlain)
	}
	if err != nil && last == stopped {
		v, err = nil, nil // it refers to steps that stop skipped, and stop ends the run successfully
	}
	if err != nil {
		p.err = expressionError(err, "output")
		return p.finish("failed")
	}
	if end.Output, p.err = fit(v, "the output of the run", "return less with output:", "output"); p.err != nil {
		return p.finish("failed")
	}
	return p.conclude(end)
}

// Names are what expressions see at the end of a run: its event, inputs, vars and the steps visible
// there.
func Names(st *State) expr.Names {
	p := &planner{st: st, out: &Decision{}, steps: map[string]any{}}
	if p.start() == nil {
		p.sequence(st.Workflow.Steps, "")
	}
	return p.names()
}

func (p *planner) start() *End {
	vars, err := p.st.Vars()
	if err != nil {
		return &End{Status: "failed", Error: err}
	}
	p.vars = maps.Clone(vars)
	return nil
}

// finish runs the workflow's on_failure after the first failure, then ends. A failure inside it is
// added to the first one and does not replace it.
func (p *planner) finish(status string) Decision {
	first := p.err
	p.handled, p.limit = first, limit{}
	switch p.sequence(p.st.Workflow.OnFailed, "on_failure") {
	case pending:
		return *p.out
	case failed:
		e := *first
		e.Handler = p.err
		first = &e
	}
	return p.conclude(&End{Status: status, Error: first})
}

// conclude runs the workflow's finally, then ends. A run that succeeded fails if its finally fails;
// otherwise that failure is added to the first one.
func (p *planner) conclude(end *End) Decision {
	if len(p.st.Workflow.Finally) > 0 {
		p.handled, p.ended, p.err, p.limit = end.Error, end.Status, nil, limit{}
		switch p.sequence(p.st.Workflow.Finally, FinallyPath) {
		case pending:
			return *p.out
		case failed:
			if end.Error == nil {
				end = &End{Status: "failed", Error: p.err}
			} else {
				e := *end.Error
				e.Handler = beside(e.Handler, p.err)
				end.Error = &e
			}
		}
	}
	p.out.End = end
	return *p.out
}

// beside adds the failure of finally to that of on_failure.
func beside(handler, e *Error) *Error {
	if handler == nil {
		return e
	}
	both := *handler
	both.Handler = e
	return &both
}

// FinallyPath is the first part of the paths of finally's steps.
const FinallyPath = "finally"

// names are what expressions see at this point.
func (p *planner) names() expr.Names {
	n := expr.Names{"event": p.st.Event, "inputs": p.st.Inputs, "run": p.st.Run, "vars": p.vars, "steps": p.steps}
	for k, v := range p.locals {
		n[k] = v
	}
	if p.handled != nil {
		n["error"] = p.handled.names()
	}
	if p.st.Events != nil {
		n["events"] = p.st.Events
	}
	if p.ended != "" {
		run := maps.Clone(p.st.Run)
		run["status"] = p.ended
		n["run"] = run
		if p.handled == nil {
			n["error"] = nil
		}
	}
	return n
}

// child walks a branch or an iteration: it sees the current names, and names that it sets are
// visible only inside it.
func (p *planner) child(locals expr.Names) *planner {
	c := &planner{st: p.st, out: p.out, vars: maps.Clone(p.vars), steps: maps.Clone(p.steps), locals: p.locals, limit: p.limit,
		handled: p.handled, frozen: p.frozen, ended: p.ended}
	if locals != nil {
		c.locals = maps.Clone(p.locals)
		if c.locals == nil {
			c.locals = expr.Names{}
		}
		maps.Copy(c.locals, locals)
	}
	return c
}

func (p *planner) env(now time.Time, path string) *expr.Env {
	return &expr.Env{Names: p.names(), Now: now, Seed: p.st.RunID + "/" + path, Until: p.st.Until}
}

func expressionError(err error, step string) *Error {
	var limit *expr.LimitError
	if errors.As(err, &limit) { // its message includes the advice
		return &Error{Message: err.Error(), Code: "too_large", Step: step, Attempts: 1}
	}
	if errors.Is(err, value.ErrTooLarge) {
		return &Error{Message: err.Error() + ": write less data into it", Code: "too_large", Step: step, Attempts: 1}
	}
	return &Error{Message: err.Error(), Code: "expression", Step: step, Attempts: 1}
}

// mark is a position in a decision.
type mark struct {
	due, calls, questions, open int
	wake                        time.Time
}

func (p *planner) mark() mark {
	return mark{len(p.out.Due), len(p.out.Calls), len(p.out.Questions), p.out.open, p.out.Wake}
}

// rewind discards what was to begin since the mark.
func (p *planner) rewind(m mark) {
	p.out.Due, p.out.Calls, p.out.Questions, p.out.Wake = p.out.Due[:m.due], p.out.Calls[:m.calls], p.out.Questions[:m.questions], m.wake
	p.out.open = m.open
}

// wake requests that the planner is asked again at a time.
func (p *planner) wake(t time.Time) {
	if p.out.Wake.IsZero() || t.Before(p.out.Wake) {
		p.out.Wake = t
	}
}
