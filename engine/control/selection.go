package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// EachSelected calls do for each event of a selection, once per workflow, until the time until. It
// returns how many events there are and how many were processed. It writes nothing; the memory
// share of an event is held during the call of do.
func (ctl *Control) EachSelected(ctx context.Context, s engine.Selection, until time.Time, do func(engine.Selected)) (events, looked int,
	err error) {
	if err := ctl.normalize(&s, time.Now().UTC()); err != nil {
		return 0, 0, err
	}
	triggers, cursor, end := ctl.triggersOf(s), engine.EventID(engine.FirstID(s.Since)-1), engine.EventID(engine.FirstID(s.Until))
	if events, err = ctl.o.Store.CountEvents(ctx, triggers, cursor, end); err != nil {
		return 0, 0, fmt.Errorf("counting events: %w", err)
	}
	for time.Now().Before(until) {
		list, err := ctl.o.Store.Undone(ctx, triggers, cursor, end, batchLook)
		if err != nil {
			return 0, 0, fmt.Errorf("reading events: %w", err)
		}
		for _, at := range list {
			if err := ctl.selected(ctx, s, at, do); err != nil {
				return 0, 0, err
			}
			looked++
			cursor = at.Event
		}
		if len(list) < batchLook {
			break
		}
	}
	return events, looked, nil
}

// selected calls do for one event of a selection.
func (ctl *Control) selected(ctx context.Context, s engine.Selection, at engine.DecidedState, do func(engine.Selected)) error {
	ev, err := ctl.o.Store.Event(ctx, at.Event)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("reading event %s: %w", at.Event, err)
	}
	p := ctl.o.Registry.Snapshot()
	wanted := func(l engine.Listener) bool { return s.Workflow == "" || s.Workflow == l.Workflow.ID }
	var done []engine.DoneStep
	give := func(l engine.Listener, ev *engine.Event, known bool) {
		do(engine.Selected{Workflow: l.Workflow, Start: l.Start, Types: l.Types, Event: ev, Known: known,
			Ran: slices.Contains(at.Ran, l.Workflow.ID), Done: done})
	}
	if err != nil || ev.CanReplay() != nil {
		for _, name := range ctl.triggersOf(s) {
			if list := slices.DeleteFunc(slices.Clone(p.ByTrigger[name]), func(l engine.Listener) bool { return !wanted(l) }); len(list) > 0 {
				give(list[0], nil, false)
				return nil
			}
		}
		return nil
	}
	if ev, err = ctl.o.Machine.AwaitShare(ctx, ev); err != nil {
		return err
	}
	defer ev.Share.Release()
	take, _ := takes(p, s, ev, at)
	for _, l := range p.Listeners(&ev.Delivery) {
		id := l.Workflow.ID
		if wanted(l) && (at.Outcomes[id] == engine.Matched || slices.Contains(at.Ran, id)) && !s.Again {
			give(l, ev, true)
		}
	}
	for _, l := range take {
		if slices.Contains(at.Ran, l.Workflow.ID) {
			if done, err = ctl.doneSteps(ctx, ev.ID, l.Workflow); err != nil {
				return err
			}
		}
		give(l, ev, false)
		done = nil
	}
	return nil
}
