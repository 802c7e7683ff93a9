package backtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file simulates the firings of schedules whose times the edit changes: those that appear are
// decided at their time, and those that vanish start no runs.

// schedule is a schedule whose times the edit changes.
type schedule struct {
	*engine.ScheduleChange
	appear, vanish int
}

// readSchedules determines the schedules whose times change, and plans their first new firings.
// chosen are the selected events; nil for all.
func (b *run) readSchedules(ctx context.Context, chosen []engine.EventID) error {
	if b.o.Schedules == nil || b.o.Against != nil || b.o.Chosen != nil {
		return nil
	}
	from, err := b.o.History.FirstReceived(ctx)
	if err != nil {
		return fmt.Errorf("reading the history: %w", err)
	}
	if from.IsZero() {
		return nil // nothing is known about the time before now
	}
	if b.o.Since.After(from) {
		from = b.o.Since
	}
	if b.o.Limit > 0 && len(chosen) == b.o.Limit { // earlier events are left out
		page, err := b.o.History.RecordedPage(ctx, engine.RecordedQuery{IDs: chosen[:1], Limit: 1})
		if err != nil {
			return fmt.Errorf("reading the history: %w", err)
		}
		if len(page) > 0 && page[0].Event.ReceivedAt.After(from) {
			from = page[0].Event.ReceivedAt
		}
	}
	until := time.Now()
	if !b.o.Until.IsZero() && b.o.Until.Before(until) {
		until = b.o.Until
	}
	list, err := b.o.Schedules(ctx, from, until)
	if err != nil {
		return err
	}
	for _, c := range list {
		if !b.wants(c.Trigger) {
			continue
		}
		s := &schedule{ScheduleChange: c}
		b.schedules = append(b.schedules, s)
		if b.o.Sample == 0 && b.o.Query.IDs == nil { // a firing that appears is none of the selected events
			if err := b.planFiring(ctx, s, time.Time{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// wants reports whether the events of a trigger are selected, and are for a selected workflow.
func (b *run) wants(trigger string) bool {
	if b.o.Query.Trigger != "" && b.o.Query.Trigger != trigger {
		return false
	}
	return b.o.Workflows == nil || b.o.Workflows[trigger] || // a trigger that is written in the workflow's file
		slices.ContainsFunc(b.listen.byTrigger[trigger], func(l engine.Listener) bool { return b.o.Workflows[l.Workflow.ID] })
}

// planFiring plans the first new firing of a schedule after a planned time.
func (b *run) planFiring(ctx context.Context, s *schedule, after time.Time) error {
	f, err := s.Next(after)
	if f == nil || err != nil {
		return err
	}
	b.agenda.at(f.Delivery.ReceivedAt, func() error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.appear++
		if err := b.fire(ctx, s, f); err != nil {
			return err
		}
		return b.planFiring(ctx, s, f.Planned)
	})
	return nil
}

// fire starts the runs of a firing that appears.
func (b *run) fire(ctx context.Context, s *schedule, f *engine.NewFiring) error {
	ev := &engine.Event{ID: engine.EventID(engine.FirstID(f.Delivery.ReceivedAt)), Delivery: *f.Delivery}
	firing := s.firing(f.Planned, true)
	for _, l := range b.listen.of(ev) {
		if b.o.Workflows != nil && !b.o.Workflows[l.Workflow.ID] {
			continue
		}
		it := &item{ev: &engine.RecordedEvent{Event: ev}, workflow: l.Workflow.ID, firing: firing, listener: l}
		it.names, it.namesErr = ev.Names()
		b.compareItem(ctx, it)
		if err := b.arriveItem(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

func (s *schedule) firing(planned time.Time, appears bool) *Firing {
	return &Firing{Trigger: s.Trigger, Schedule: s.Schedule, Planned: planned.In(s.Zone), Appears: appears, change: s}
}

// vanishes returns the firing of a recorded event, if the edited schedule does not have it; otherwise
// nil.
func (b *run) vanishes(ev *engine.Event) *Firing {
	if ev.Inlet != workflows.InletSchedule {
		return nil
	}
	for _, s := range b.schedules {
		if s.Trigger == ev.Trigger && !s.Keeps(ev.Key) {
			return s.firing(ev.Time, false)
		}
	}
	return nil
}

// countVanished counts a recorded event if it is a firing that vanishes.
func (b *run) countVanished(ev *engine.Event) {
	if f := b.vanishes(ev); f != nil {
		f.change.vanish++
	}
}

// because describes a firing that only one side has, by the times of its schedule.
func (f *Firing) because() Because {
	out := Because{Expression: "schedule"}
	if f.Schedule != "" {
		out.Expression += " " + f.Schedule
	}
	if s := f.change.Before; s != "" {
		out.Before = s
	}
	if s := f.change.After; s != "" {
		out.After = s
	}
	return out
}

// scheduleCounts returns the counts of firings for the report.
func (b *run) scheduleCounts() []ScheduleCount {
	out := []ScheduleCount{}
	for _, s := range b.schedules {
		out = append(out, ScheduleCount{Trigger: s.Trigger, Schedule: s.Schedule, Before: s.Before, After: s.After,
			Appear: s.appear, Vanish: s.vanish})
	}
	return out
}

// eventID is the id of the event of an item; empty if it is made by a firing that appears.
func (it *item) eventID() string {
	if it.firing != nil && it.firing.Appears {
		return ""
	}
	return it.ev.Event.ID.String()
}
