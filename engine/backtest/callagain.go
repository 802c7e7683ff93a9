package backtest

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
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
		return nil, false, err.Error(), true
	case child == nil || child.skipped != nil:
		return nil, false, "", false
	case child.problem != "":
		return nil, false, fmt.Sprintf("the called run of %s is unknown: %s", child.workflow, child.problem), true
	case child.base == nil || child.listener.Workflow == nil:
		return nil, false, "", false
	}
	if !same {
		c.answer = &answer{}
		m := b.madeCall(it, c, side)
		if c.answer = nil; m == nil {
			return nil, false, "", false
		}
		child.sides[afterSide] = newOnSide(as(m.event, child.ev.Event))
	}
	child.listener.Workflow = b.listening(side).project.Workflows[child.workflow]
	a, why := b.answerCalled(ctx, child)
	if why != "" {
		return nil, false, why, true
	}
	if s := child.after; same && s != nil && sameEnd(child.base.end, s.end) && near(child.base.took(), s.took()) {
		return nil, false, "", false
	}
	return a, child.assumed, "", true
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
