package backtest

import (
	"context"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file follows the ends of runs to the workflows that listen to them.

// madeByEnds compares which workflows receive the end of a run, and with which data.
func (b *run) madeByEnds(ctx context.Context, it *item) error {
	for _, l := range b.endPairs(it.workflow) {
		was, now := b.madeEnd(it, it.before, l[beforeSide]), b.madeEnd(it, it.after, l[afterSide])
		recorded, err := b.recordedEnd(ctx, it, l.id())
		if err != nil {
			return err
		}
		same := it.before != nil && it.after != nil && sameEnd(it.before.end, it.after.end)
		switch {
		case was == nil && now == nil && (recorded == 0 || b.o.Against != nil):
			continue
		case same && (recorded != 0 || was != nil && now != nil): // listensToEnd finds workflows that no longer listen
			continue
		}
		m := pair(was, now)
		if m == nil {
			m = newMade(it, nil, time.Time{}, workflows.InletWorkflowRun)
			m.event = nil
		}
		if now == nil {
			m.unknown = unknownIn(it.after)
		} else if was == nil && b.o.Against != nil {
			m.unknown = unknownIn(it.before)
		}
		if recorded == 0 {
			b.later(ctx, m)
			continue
		}
		m.recorded = recordedAs{id: recorded}
		b.alter(origin{run: it.run.Run.ID, workflow: l.id()}, m)
	}
	return nil
}

// recordedEnd returns the event that reported the end of a recorded run to a workflow; 0 for none.
func (b *run) recordedEnd(ctx context.Context, it *item, listener string) (engine.EventID, error) {
	if it.run == nil || it.base == nil || it.base.end == nil {
		return 0, nil
	}
	r := it.run.Run
	return b.o.History.MadeEvent(ctx, r.ID, listener, r.ID.String(), r.FinishedAt)
}

// listenerPair is one workflow that listens, on both sides; without a workflow on a side where it does
// not listen. Only the edited side is used unless another version is compared with.
type listenerPair [2]engine.Listener

func (l listenerPair) id() string {
	if w := l[afterSide].Workflow; w != nil {
		return w.ID
	}
	return l[beforeSide].Workflow.ID
}

// endPairs returns the workflows that listen to the ends of a workflow's runs.
func (b *run) endPairs(workflow string) (out []listenerPair) {
	for _, l := range b.endListeners(workflow, afterSide) {
		out = append(out, listenerPair{afterSide: l})
	}
	if b.o.Against == nil {
		return out
	}
	for _, l := range b.endListeners(workflow, beforeSide) {
		i := slices.IndexFunc(out, func(x listenerPair) bool { return x.id() == l.Workflow.ID })
		if i < 0 {
			i, out = len(out), append(out, listenerPair{})
		}
		out[i][beforeSide] = l
	}
	return out
}

// sameEnd reports whether listeners receive two ends with the same data.
func sameEnd(a, b *plan.End) bool {
	if a == nil || b == nil || a.Status != b.Status || !sameOutput(a.Output, b.Output) || (a.Error == nil) != (b.Error == nil) {
		return false
	}
	return a.Error == nil || a.Error.Code == b.Error.Code && a.Error.Message == b.Error.Message && a.Error.Step == b.Error.Step
}

// endsBeside starts the runs of selected workflows that newly listen to the ends of runs of
// workflows that are not selected: those runs end as recorded.
func (b *run) endsBeside(ctx context.Context, ev *engine.RecordedEvent) error {
	for _, r := range ev.Runs {
		if b.o.Workflows == nil || b.o.Workflows[r.Run.Workflow] || !r.Run.Status.Ended() || r.Unreadable != nil {
			continue
		}
		it := &item{ev: ev, workflow: r.Run.Workflow, run: r}
		s := &simulation{st: &plan.State{RunID: r.Run.ID.String()}, ended: r.Run.FinishedAt,
			end: &plan.End{Status: string(r.Run.Status), Output: r.Run.Output, Error: r.Run.Error}}
		for _, l := range b.endPairs(it.workflow) {
			m := pair(b.madeEnd(it, s, l[beforeSide]), b.madeEnd(it, s, l[afterSide]))
			if m == nil || m.event == nil && m.was == nil || !b.o.Workflows[l.id()] {
				continue
			}
			recorded, err := b.o.History.MadeEvent(ctx, r.Run.ID, l.id(), r.Run.ID.String(), r.Run.FinishedAt)
			if err != nil {
				return err
			}
			if recorded == 0 {
				b.later(ctx, m)
			}
		}
	}
	return nil
}
