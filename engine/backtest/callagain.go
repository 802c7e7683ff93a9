package backtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// callAgain answers a call of a side's run whose workflow changed since, or whose inputs differ: the
// recorded run that it called is simulated with the workflow of the side. again is false if neither
// changed, so that the recorded answer holds.
func (b *run) callAgain(ctx context.Context, it *item, old, c *call, side int) (out *answer, assumed bool, unknown string, again bool) {
	same := sameRequest(old, c)
	if it.run == nil || same && !b.calleeChanged(it, c.called.Workflow, side) {
		return nil, false, "", false
	}
	child, err := b.calledItem(ctx, it, old)
	switch {
	case err != nil:
		it.problem = cmp.Or(it.problem, fmt.Sprintf("the called run of %s cannot be read: %v", old.called.Workflow, err))
		return nil, false, err.Error(), true
	case child == nil || child.skipped != nil:
		return nil, false, "", false
	case child.problem != "":
		return nil, false, fmt.Sprintf("the called run of %s is unknown: %s", child.workflow, child.problem), true
	case child.base == nil || child.listener.Workflow == nil:
		return nil, false, "", false
	}
	c.answer = &answer{}
	m := b.madeCall(it, c, side)
	w := b.listening(side).project.Workflows[child.workflow]
	switch c.answer = nil; {
	case m == nil && !same:
		return nil, false, "", false
	case m == nil: // the edited workflow refuses what the recorded one took
		a, why := b.answerMade(ctx, it, c, side)
		return a, false, why, true
	case !same || otherDefaults(w, c, child.ev.Event.Inputs, m.event.Inputs):
		child.sides[afterSide] = newOnSide(as(m.event, child.ev.Event))
	}
	child.listener.Workflow = w
	a, why := b.answerCalled(ctx, child)
	if why != "" {
		return nil, false, why, true
	}
	if s := child.after; same && s != nil && sameEnd(child.base.end, s.end) && near(child.base.took(), s.took()) {
		return nil, false, "", false
	}
	return a, child.assumed, "", true
}

// otherDefaults reports whether the run that a call starts has other inputs because an input that the call
// does not give has another default.
func otherDefaults(w *workflows.Workflow, c *call, was, now map[string]any) bool {
	return w != nil && slices.ContainsFunc(w.Inputs, func(in workflows.Input) bool {
		return c.with[in.Name] == nil && !in.Secret && len(differences("", was[in.Name], now[in.Name], nil)) > 0
	})
}

// otherInputs reports whether a call that both sides make with the same inputs starts a run with other
// ones, because the edited workflow has other defaults.
func (b *run) otherInputs(ctx context.Context, it *item, old, c *call, was, now *made) (bool, error) {
	if c.called == nil {
		return false, nil
	}
	w := b.listening(afterSide).project.Workflows[c.called.Workflow]
	if b.o.Against != nil {
		return otherDefaults(w, c, was.event.Inputs, now.event.Inputs), nil
	}
	if it.run == nil || !b.calleeChanged(it, c.called.Workflow, afterSide) {
		return false, nil
	}
	child, err := b.calledItem(ctx, it, old)
	return err == nil && child != nil && otherDefaults(w, c, child.ev.Event.Inputs, now.event.Inputs), err
}

// took is how long a simulated run took.
func (s *simulation) took() time.Duration { return s.ended.Sub(s.st.StartedAt) }

// near reports whether two durations are the same, for the engine.
func near(a, b time.Duration) bool { return max(a-b, b-a) < slightly }

// calleeChanged reports whether a workflow is another one than the recorded run of an item called.
func (b *run) calleeChanged(it *item, callee string, side int) bool {
	w := b.listening(side).project.Workflows[callee]
	r := it.run.Run
	u, known := registry.UsesAsOf(b.versions.uses[r.Version], registry.AsOf(r, it.ev.Event))
	if w == nil || !known || u.Uses.Workflows[callee] == "" {
		return false
	}
	if u.Uses.Workflows[callee] != w.Version {
		return true
	}
	now, list := b.o.Project.Uses(w), b.versions.uses[w.Version]
	if len(list) == 0 {
		return false
	}
	was := list[len(list)-1].Uses
	for name, version := range now.Connectors {
		if was.Connectors[name] != version {
			return true
		}
	}
	return false
}

// calledItem returns the item of the run that a recorded call started; nil if it is not recorded.
func (b *run) calledItem(ctx context.Context, it *item, old *call) (*item, error) {
	r := it.run.Run
	id, err := b.o.History.MadeEvent(ctx, r.ID, old.called.Workflow, callKey(r.ID, old.path, old.attempt), old.began)
	if err != nil || id == 0 {
		return nil, err
	}
	page, err := b.o.History.RecordedPage(ctx, engine.RecordedQuery{IDs: []engine.EventID{id}, Limit: 1})
	if err != nil || len(page) == 0 {
		return nil, err
	}
	for _, child := range b.items(ctx, page[0], true) {
		if child.workflow == old.called.Workflow {
			return child, nil
		}
	}
	return nil, nil
}
