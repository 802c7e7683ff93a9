package backtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file follows what runs make: an event that only the edited run makes starts further runs, a
// recorded one that it no longer makes starts none, and one with other data is decided by that data.

// mostAltered is the maximum number of recorded events that are awaited with other data: those of
// runs that were compared, and that come later in the history.
const mostAltered = 100_000

// listening returns the workflows of a side: with another version to compare with, the project
// contains that on one side, and the other workflows are the same on both.
func (b *run) listening(side int) listeners {
	if side == beforeSide && b.o.Against != nil {
		return b.against
	}
	return b.listen
}

// awaited are the items of a recorded event whose run has not been compared yet.
type awaited struct {
	ev    *engine.RecordedEvent
	items []*item
}

// arriveEvent passes the items of an event on, with the data that the edited side gives it.
func (b *run) arriveEvent(ctx context.Context, ev *engine.RecordedEvent, items []*item) error {
	if o, ok := originOf(ev); ok && b.o.Chosen == nil { // chosen events are decided again as they are
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
	if b.o.Workflows == nil && b.o.Chosen == nil {
		return
	}
	for _, ev := range page {
		for _, r := range ev.Runs {
			w := r.Run.Workflow
			if b.o.Workflows[w] || b.o.Chosen[engine.Chosen{Event: ev.Event.ID, Workflow: w}] || b.answered[w] >= mostAnswered {
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

// alteredItems returns the items of a recorded event that the edited side makes otherwise, for all
// workflows.
func (b *run) alteredItems(ctx context.Context, ev *engine.RecordedEvent, m *made) []*item {
	items := b.items(ctx, ev, true)
	var sides [2]*onSide
	for side, x := range [2]*engine.Event{m.was, m.event} {
		if x != nil {
			sides[side] = newOnSide(as(x, ev.Event))
		}
	}
	for _, it := range items {
		it.cause, it.sides, it.absent = &m.cause, sides, b.o.Against != nil && m.was == nil
		if m.unknown != "" {
			it.problem = cmp.Or(it.problem, m.unknown)
		} else if m.event == nil {
			it.listener = engine.Listener{}
		}
		b.compareItem(ctx, it)
	}
	return items
}

// made registers what the runs of an item make on the edited side only, and what they no longer
// make.
func (b *run) made(ctx context.Context, it *item) error {
	if it.skipped != nil || it.after == nil && it.before == nil {
		return nil
	}
	if err := b.madeBySteps(ctx, it, it.paths()); err != nil {
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
		if err := b.madeByStep(ctx, it, c, nil); err != nil {
			return err
		}
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

// madeByStep follows one event: old is the call that makes it before, c the one of the edited run; nil
// for none.
func (b *run) madeByStep(ctx context.Context, it *item, old, c *call) error {
	var was, now *made
	if old != nil {
		was = b.madeAt(it, old, beforeSide)
	}
	if c != nil {
		now = b.madeAt(it, c, afterSide)
	}
	if was == nil && now == nil {
		return nil
	}
	if was != nil && now != nil && sameRequest(old, c) {
		if other, err := b.otherInputs(ctx, it, old, c, was, now); err != nil || !other {
			return err
		}
	}
	m, recorded := now, old
	if b.o.Against != nil {
		m, recorded = pair(was, now), baseCall(it, old, c)
	} else if m == nil {
		m = was
		m.event = nil
	}
	if now == nil {
		m.unknown = unknownIn(it.after)
	} else if was == nil && b.o.Against != nil {
		m.unknown = unknownIn(it.before)
	}
	if recorded == nil || it.run == nil || duplicate(recorded) || b.madeAt(it, recorded, beforeSide) == nil {
		b.later(ctx, m)
		return nil
	}
	m.recorded = b.recordedAs(it, recorded)
	b.alter(b.placeOf(it, recorded), m)
	return nil
}

// unknownIn is why it is not known what a run makes; "" if it is known.
func unknownIn(s *simulation) string {
	if s == nil || s.unknown == "" {
		return ""
	}
	return "the run that made it is " + unknownFrom(s)
}

// pair returns what two sides make at the same place; nil for neither.
func pair(was, now *made) *made {
	switch {
	case was == nil:
		return now
	case now == nil:
		was.was, was.event = was.event, nil
		return was
	}
	now.was = was.event
	return now
}

// baseCall returns the recorded call in whose place two simulated ones are; nil if there is none.
func baseCall(it *item, old, c *call) *call {
	if it.base == nil {
		return nil
	}
	for _, x := range []struct {
		s *simulation
		c *call
	}{{it.before, old}, {it.after, c}} {
		if x.s == nil || x.c == nil {
			continue
		}
		path, ok := x.c.path, true
		if f, is := x.s.answers.(*following); is {
			path, ok = f.paths[x.c.path]
		}
		for _, r := range it.base.calls {
			if ok && r.path == path && r.attempt == x.c.attempt && samePlace(r, x.c) {
				return r
			}
		}
	}
	return nil
}

// recordedAs tells how to find the event that a recorded call made.
func (b *run) recordedAs(it *item, c *call) recordedAs {
	if c.called != nil {
		id := it.run.Run.ID
		return recordedAs{trigger: c.called.Workflow, key: callKey(id, c.path, c.attempt), at: c.began}
	}
	m, _ := c.answer.output.(map[string]any)
	id, err := engine.ParseEventID(value.Shown(m["event"]))
	if err != nil {
		return recordedAs{}
	}
	return recordedAs{id: id}
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

// alter registers how the edited side makes a recorded event that comes later.
func (b *run) alter(o origin, m *made) {
	if len(b.altered) >= mostAltered {
		m.event, m.unknown = nil, "too many events of changed runs are awaited at once"
	}
	b.altered[o] = m
}

// later starts the runs of an event that is not recorded, when its time has come.
func (b *run) later(ctx context.Context, m *made) {
	b.agenda.at(cmp.Or(m.event, m.was).ReceivedAt, func() error { return b.start(ctx, m) })
}

// start starts the runs of an event that is not recorded.
func (b *run) start(ctx context.Context, m *made) error {
	ev := cmp.Or(m.event, m.was)
	known, err := b.emittedBefore(ctx, ev)
	if err != nil || known {
		return err
	}
	after := b.listen.of(ev)
	list := slices.Clone(after)
	if m.was != nil {
		for _, l := range b.against.of(m.was) {
			if !slices.ContainsFunc(list, func(x engine.Listener) bool { return x.Workflow.ID == l.Workflow.ID }) {
				list = append(list, l)
			}
		}
	}
	for i, l := range list {
		it := b.itemOf(m, l.Workflow)
		if it.listener = l; m.event == nil || i >= len(after) {
			it.listener = engine.Listener{}
		}
		b.compareItem(ctx, it)
		if err := b.arriveItem(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// rest does what is due after the last selected event, and compares the recorded events that a
// selected run makes otherwise and that are not selected themselves: those of other triggers, those
// outside a sample, and those that the events to decide again made.
func (b *run) rest(ctx context.Context) error {
	for {
		if err := b.agenda.rest(); err != nil || len(b.altered) == 0 {
			return err
		}
		b.outside = true
		list := b.altered
		b.altered = map[origin]*made{}
		for _, o := range slices.SortedFunc(maps.Keys(list), origin.compare) {
			began := time.Now()
			if err := b.compareOutside(ctx, o, list[o]); err != nil {
				return err
			}
			if b.o.Gentle {
				if err := rest(ctx, time.Since(began)); err != nil {
					return err
				}
			}
		}
	}
}

// compareOutside compares a recorded event that is not selected.
func (b *run) compareOutside(ctx context.Context, o origin, m *made) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	id, r := m.recorded.id, m.recorded
	if id == 0 && r.trigger != "" {
		var err error
		if id, err = b.o.History.MadeEvent(ctx, o.run, r.trigger, r.key, r.at); err != nil {
			return err
		}
	}
	if id == 0 {
		return nil // it is pruned
	}
	page, err := b.o.History.RecordedPage(ctx, engine.RecordedQuery{IDs: []engine.EventID{id}, Limit: 1})
	if err != nil {
		return fmt.Errorf("reading the history: %w", err)
	}
	for _, ev := range page {
		b.noteEvent(ev)
		for _, it := range b.alteredItems(ctx, ev, m) {
			if err := b.arrive(ctx, it); err != nil {
				return err
			}
		}
	}
	return nil
}

// unsettle remembers that a run has not been compared, so that what it made waits for it.
func (b *run) unsettle(it *item) {
	if it.run != nil {
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
