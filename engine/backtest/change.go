package backtest

import (
	"context"
	"slices"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file describes an event that only one side has a run for.

func (b *run) newChange(it *item, kind string) *Change {
	c := &Change{Event: it.eventID(), Workflow: it.workflow, Kind: kind,
		Cause: it.cause, Firing: it.firing, Requests: Requests{Added: []Request{}, Removed: []Request{}, Changed: []RequestChange{}}}
	if it.run != nil {
		c.Run = it.run.Run.ID.String()
	}
	return c
}

// ruleChange is an event about which one side cannot decide.
func (b *run) ruleChange(it *item, before *workflows.Workflow, decided, after engine.Decision) *Change {
	c := b.newChange(it, ErrorChanged)
	c.Because, c.Error = b.whyMatched(it, before, it.listener.Workflow), &ErrorChange{Before: ruleError(decided), After: ruleError(after)}
	return c
}

func ruleError(d engine.Decision) *plan.Error {
	if d.Outcome != engine.RuleFailed {
		return nil
	}
	return &plan.Error{Message: d.Reason, Code: string(engine.RuleFailed)}
}

// matchChange is an event that only one side matches, with the requests of its run.
func (b *run) matchChange(ctx context.Context, it *item, before *workflows.Workflow, decided, after engine.Decision) *Change {
	if it.problem != "" {
		return nil
	}
	if it.matchedAfter {
		it.after = b.follow(ctx, it, it.listener.Workflow, afterSide)
	} else if !it.elsewhere {
		it.before = b.beforeRun(ctx, it, before)
	}
	return b.oneSided(it, before, decided, after)
}

// oneSided describes an event for which only one side has a run, which is simulated.
func (b *run) oneSided(it *item, before *workflows.Workflow, decided, after engine.Decision) *Change {
	c := b.newChange(it, StopsMatching)
	if it.matchedAfter {
		c.Kind = StartsMatching
	}
	decidedOnce := it.absent || it.listener.Workflow == nil || it.decision == nil && it.sides[beforeSide] == nil
	if c.Because = b.whyMatched(it, before, it.listener.Workflow); it.cause != nil && decidedOnce {
		c.Because = it.cause.because(it.matchedAfter)
	} else if it.firing != nil && it.cause == nil {
		c.Because = it.firing.because()
	}
	if x, y := ruleError(decided), ruleError(after); x != nil || y != nil {
		c.Error = &ErrorChange{Before: x, After: y}
	}
	c.Requests.Added, c.Requests.Removed = requestsOf(it.after), requestsOf(it.before)
	c.Assumed = it.assumed
	return c
}

// requestsOf returns the requests of a run; none for nil.
func requestsOf(s *simulation) []Request {
	out := []Request{}
	if s == nil {
		return out
	}
	for _, x := range s.requests() {
		out = append(out, requestOf(x))
	}
	return out
}

// requests returns the calls that send something.
func (s *simulation) requests() []*call {
	return slices.DeleteFunc(slices.Clone(s.calls), func(c *call) bool { return c.action == "wait" || c.local })
}
