package backtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file follows what runs make: an event that only the edited run makes starts further runs, a
// recorded one that it no longer makes starts none, and one with other data is decided by that data.

// mostAltered is the maximum number of recorded events that are awaited with other data: those of
// runs that were compared, and that come later in the history.
const mostAltered = 100_000

// follows reports whether the events that runs make are followed. Against another version than the
// one that ran, and for chosen events, the record does not contain both sides.
func (b *run) follows() bool { return b.o.Against == nil && b.o.Chosen == nil }

// awaited are the items of a recorded event whose run has not been compared yet.
type awaited struct {
	ev    *engine.RecordedEvent
	items []*item
}

// arriveEvent passes the items of an event on, with the data that the edited side gives it.
func (b *run) arriveEvent(ctx context.Context, ev *engine.RecordedEvent, items []*item) error {
	if o, ok := originOf(ev); ok && b.follows() {
		if list, waits := b.unsettled[o.run]; waits {
			b.unsettled[o.run] = append(list, awaited{ev, items})
			return nil
		}
		if m := b.altered[o]; m != nil {
			delete(b.altered, o)
			items = b.alteredItems(ctx, ev, m)
		}
	}
	for _, it := range items {
		if err := b.arrive(ctx, it); err != nil {
			return err
		}
	}
	return b.endsBeside(ctx, ev)
}

// mostAnswered is how many runs of each workflow that is not selected provide answers for the runs
// that are followed to it.
const mostAnswered = 20

// beside takes the answers of some runs of workflows that are not selected.
func (b *run) beside(ctx context.Context, page []*engine.RecordedEvent) {
	if b.o.Workflows == nil || !b.follows() {
		return
	}
	for _, ev := range page {
		for _, r := range ev.Runs {
			if w := r.Run.Workflow; b.o.Workflows[w] || b.answered[w] >= mostAnswered {
				continue
			}
			it := &item{ev: ev, workflow: r.Run.Workflow, run: r}
			if it.names, it.namesErr = ev.Event.Names(); ev.Event.Stripped || it.namesErr != nil {
				continue
			}
			if b.simulateBase(ctx, it); it.base != nil && it.problem == "" {
				b.answered[it.workflow]++
				b.shared.add(it.base.calls)
			}
		}
	}
}

// endsBeside starts the runs of selected workflows that are newly told of the ends of runs of
// workflows that are not selected: these end as recorded.
func (b *run) endsBeside(ctx context.Context, ev *engine.RecordedEvent) error {
	for _, r := range ev.Runs {
		if b.o.Workflows == nil || b.o.Workflows[r.Run.Workflow] || !r.Run.Status.Ended() || !b.follows() || r.Unreadable != nil {
			continue
		}
		it := &item{ev: ev, workflow: r.Run.Workflow, run: r}
		s := &simulation{st: &plan.State{RunID: r.Run.ID.String()}, ended: r.Run.FinishedAt,
			end: &plan.End{Status: string(r.Run.Status), Output: r.Run.Output, Error: r.Run.Error}}
		for _, l := range b.endListeners(it.workflow) {
			m := b.madeEnd(it, s, l)
			if m == nil || !b.o.Workflows[l.Workflow.ID] {
				continue
			}
			recorded, err := b.o.History.MadeEvent(ctx, r.Run.ID, l.Workflow.ID, r.Run.ID.String(), r.Run.FinishedAt)
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

// alteredItems returns the items of a recorded event that the edited side makes otherwise, for all
// workflows.
func (b *run) alteredItems(ctx context.Context, ev *engine.RecordedEvent, m *made) []*item {
	items := b.items(ctx, ev, true)
	after := m.as(ev.Event)
	var names map[string]any
	var err error
	if after != nil {
		names, err = after.Names()
	}
	for _, it := range items {
		switch it.cause = &m.cause; {
		case m.unknown != "":
			it.problem = cmp.Or(it.problem, m.unknown)
		case after == nil:
			it.listener = engine.Listener{}
		default:
			it.edited, it.editedNames, it.editedErr = after, names, err
		}
		b.compareItem(ctx, it)
	}
	return items
}

// made registers what the runs of an item make on the edited side only, and what they no longer
// make.
func (b *run) made(ctx context.Context, it *item) error {
	if !b.follows() || it.skipped != nil || it.after == nil && it.before == nil {
		return nil
	}
	paths := map[string]string{}
	if it.after != nil {
		if f, ok := it.after.answers.(*following); ok {
			paths = f.paths
		}
	}
	if err := b.madeBySteps(ctx, it, paths); err != nil {
		return err
	}
	return b.madeByEnds(ctx, it)
}

// madeBySteps compares the events that steps make.
func (b *run) madeBySteps(ctx context.Context, it *item, paths map[string]string) error {
	type key struct {
		path    string
		attempt int
	}
	left := map[key]*call{}
	if it.before != nil {
		for _, c := range it.before.calls {
			if c.called != nil || c.action == emitAction {
				left[key{c.path, c.attempt}] = c
			}
		}
	}
	if it.after != nil {
		for _, c := range it.after.calls {
			if c.called == nil && c.action != emitAction {
				continue
			}
			at := key{c.path, c.attempt}
			if p, ok := paths[c.path]; ok && left[key{p, c.attempt}] != nil {
				at.path = p
			}
			old := left[at]
			if old != nil && !samePlace(old, c) {
				old = nil
			}
			if old != nil {
				delete(left, at)
			}
			if err := b.madeByStep(ctx, it, old, c); err != nil {
				return err
			}
		}
	}
	for _, c := range left {
		b.gone(it, c)
	}
	return nil
}

// samePlace reports whether two calls make an event at the same place: one trigger, or one workflow.
func samePlace(b, c *call) bool {
	if b.called != nil && c.called != nil {
		return b.called.Workflow == c.called.Workflow
	}
	return b.action == c.action && b.called == nil && c.called == nil && b.with["trigger"] == c.with["trigger"]
}

// madeByStep follows one event of the edited run; old is the call that made it before, nil for none.
func (b *run) madeByStep(ctx context.Context, it *item, old, c *call) error {
	var was *made
	if old != nil {
		was = b.madeAt(it, old)
	}
	now := b.madeAt(it, c)
	switch {
	case was == nil && now == nil || was != nil && now != nil && sameRequest(old, c):
		return nil
	case now == nil:
		b.gone(it, old)
		return nil
	case was == nil || duplicate(old):
		b.later(ctx, now)
		return nil
	}
	b.alter(b.placeOf(it, old), now)
	return nil
}

// duplicate reports whether a recorded emission was of a known event.
func duplicate(c *call) bool {
	m, _ := c.answer.output.(map[string]any)
	return c.action == emitAction && m["duplicate"] == true
}

// placeOf identifies the event that a recorded call made.
func (b *run) placeOf(it *item, c *call) origin {
	o := origin{run: it.run.Run.ID, step: c.path}
	if c.called != nil {
		o.attempt = c.attempt
	}
	return o
}

// gone registers that the edited run does not make an event that the recorded one made.
func (b *run) gone(it *item, c *call) {
	m := b.madeAt(it, c)
	if m == nil || it.run == nil || duplicate(c) {
		return
	}
	if m.event = nil; it.after != nil && it.after.unknown != "" {
		m.unknown = "the run that made it is " + unknownFrom(it.after)
	}
	b.alter(b.placeOf(it, c), m)
}

// alter registers how the edited side makes a recorded event that comes later.
func (b *run) alter(o origin, m *made) {
	if len(b.altered) >= mostAltered {
		m.event, m.unknown = nil, "too many events of changed runs are awaited at once"
	}
	b.altered[o] = m
}

// madeByEnds compares which workflows are told of the end of a run, and what.
func (b *run) madeByEnds(ctx context.Context, it *item) error {
	for _, l := range b.endListeners(it.workflow) {
		var recorded engine.EventID
		var err error
		if it.before != nil && it.run != nil {
			r := it.run.Run
			if recorded, err = b.o.History.MadeEvent(ctx, r.ID, l.Workflow.ID, r.ID.String(), r.FinishedAt); err != nil {
				return err
			}
		}
		now := b.madeEnd(it, it.after, l)
		switch {
		case recorded == 0 && now == nil:
		case now == nil && it.after != nil && sameEnd(it.before.end, it.after.end): // hears tells
		case recorded == 0:
			b.later(ctx, now)
		case now == nil:
			m := newMade(it, nil, time.Time{}, workflows.InletWorkflowRun)
			if m.event = nil; it.after != nil && it.after.end == nil {
				m.unknown = "the run that it is about is " + unknownFrom(it.after)
			}
			b.alter(origin{run: it.run.Run.ID, workflow: l.Workflow.ID}, m)
		case !sameEnd(it.before.end, it.after.end):
			b.alter(origin{run: it.run.Run.ID, workflow: l.Workflow.ID}, now)
		}
	}
	return nil
}

// sameEnd reports whether two ends are told in the same way.
func sameEnd(a, b *plan.End) bool {
	if a == nil || b == nil || a.Status != b.Status || !sameOutput(a.Output, b.Output) || (a.Error == nil) != (b.Error == nil) {
		return false
	}
	return a.Error == nil || a.Error.Code == b.Error.Code && a.Error.Message == b.Error.Message && a.Error.Step == b.Error.Step
}

// later starts the runs of an event that only the edited side makes, when its time has come.
func (b *run) later(ctx context.Context, m *made) {
	b.agenda.at(m.event.ReceivedAt, func() error { return b.start(ctx, m) })
}

// start starts the runs of an event that only the edited side makes.
func (b *run) start(ctx context.Context, m *made) error {
	known, err := b.emittedBefore(ctx, m.event)
	if err != nil || known {
		return err
	}
	for _, l := range b.listen.of(m.event) {
		it := b.itemOf(m, l.Workflow)
		it.listener = l
		b.compareItem(ctx, it)
		if err := b.arriveItem(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// unsettle remembers that a run has not been compared, so that what it made waits for it.
func (b *run) unsettle(it *item) {
	if it.run != nil && b.follows() {
		b.unsettled[it.run.Run.ID] = nil
	}
}

// settled passes on what a run made, once the run is compared.
func (b *run) settled(ctx context.Context, it *item) error {
	if it.run == nil || b.unsettled == nil {
		return nil
	}
	list := b.unsettled[it.run.Run.ID]
	delete(b.unsettled, it.run.Run.ID)
	for _, x := range slices.Clone(list) {
		if err := b.arriveEvent(ctx, x.ev, x.items); err != nil {
			return err
		}
	}
	return nil
}
