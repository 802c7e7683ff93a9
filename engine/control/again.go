package control

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
)

// DecideAgain decides an event again for one workflow, with the current rule, and runs it if the rule
// matches.
func (ctl *Control) DecideAgain(ctx context.Context, id engine.EventID, workflow string, again bool, by string) (engine.Again, error) {
	select {
	case <-ctl.o.Machine.Working():
	case <-ctx.Done():
		return engine.Again{}, ctx.Err()
	}
	ev, err := ctl.replayable(ctx, id)
	if err != nil {
		return engine.Again{}, err
	}
	l, err := ctl.listenerOf(ev, workflow)
	if err != nil {
		return engine.Again{}, err
	}
	if ev, err = ctl.o.Machine.AwaitShare(ctx, ev); err != nil {
		return engine.Again{}, err
	}
	defer ev.Share.Release()
	once := engine.OnceAsked
	if again {
		once = engine.EachTime
	}
	now := time.Now().UTC()
	r := ctl.redecision(l, ev, once, false, ctl.o.Machine.ReplayAt(now), by)
	out, err := ctl.redecide(ctx, nil, r)
	if err != nil {
		return engine.Again{}, err
	}
	x := out[0]
	if x.Known && x.Open {
		return engine.Again{}, fmt.Errorf("event %s has an open run of %s, %s: wait until it ends, or cancel it", id, workflow, x.Run)
	}
	a := engine.Again{Workflow: workflow, Version: r.Decision.Version, Outcome: string(x.Outcome), Reason: x.Reason,
		Rule: r.Decision.Conditions, AlreadyReplayed: x.Known}
	if x.Run != 0 {
		a.Run = x.Run.String()
	}
	if x.Repeats != 0 {
		a.Repeats = x.Repeats.String()
	}
	if x.Known {
		a.Rule = nil
	}
	return a, nil
}

// Undecided lists the workflows that listen to an event today, are switched on, and
// have had no run for it.
func (ctl *Control) Undecided(ctx context.Context, id engine.EventID) ([]string, error) {
	ev, err := ctl.replayable(ctx, id)
	if err != nil {
		return nil, err
	}
	at, err := ctl.o.Store.Decided(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	if at.Pending {
		return nil, fmt.Errorf("event %s: %w", id, engine.ErrPending)
	}
	var out []string
	p := ctl.o.Registry.Snapshot()
	for _, l := range p.Listeners(&ev.Delivery) {
		if p.Enabled(l.Workflow) && !slices.Contains(at.Ran, l.Workflow.ID) && !slices.Contains(out, l.Workflow.ID) {
			out = append(out, l.Workflow.ID)
		}
	}
	return out, nil
}

// replayable loads an event that can be decided again.
func (ctl *Control) replayable(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	ev, err := ctl.o.Store.Event(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	if err := ev.CanReplay(); err != nil {
		return nil, err
	}
	return ev, nil
}

// listenerOf returns how a workflow listens to an event today.
func (ctl *Control) listenerOf(ev *engine.Event, workflow string) (engine.Listener, error) {
	p := ctl.o.Registry.Snapshot()
	w := p.Workflows[workflow]
	if w == nil {
		return engine.Listener{}, fmt.Errorf("workflow %q: %w", workflow, engine.ErrNotFound)
	}
	for _, l := range p.Listeners(&ev.Delivery) {
		if l.Workflow.ID != workflow {
			continue
		}
		if p.Off[workflow].State == engine.SwitchDraining {
			return l, nil
		}
		if !p.Enabled(w) {
			return engine.Listener{}, ctl.offError(p, workflow)
		}
		return l, nil
	}
	return engine.Listener{}, fmt.Errorf("workflow %s does not use trigger %s, the source of event %s", workflow, ev.Trigger, ev.ID)
}

func (ctl *Control) offError(p *registry.Snapshot, workflow string) error {
	if _, off := p.Off[workflow]; off {
		return &engine.OffError{Workflow: workflow}
	}
	return fmt.Errorf("workflow %s has enabled: false in %s", workflow, p.Workflows[workflow].File)
}

// redecision evaluates the current rule for an event. Batches and holds process one event at a time,
// which therefore needs no memory share. A run that begins is queued briefly.
func (ctl *Control) redecision(l engine.Listener, ev *engine.Event, once engine.Onceness, many bool, notBefore time.Time,
	by string) engine.Redecision {
	r := engine.Redecision{Event: ev.ID, Once: once, At: time.Now().UTC(), By: cmp.Or(by, "somebody"), Source: ev}
	names, err := ev.Names()
	l.Off, l.Replayed = "", once != engine.OnlyHeld
	// A single event that a person requests runs by itself; many are gathered as usual.
	alone := once == engine.OnceAsked || once == engine.EachTime && !many
	r.Decision, r.Start = ctl.o.Machine.EvaluateQueued(l, ev, names, err, alone)
	if r.Start != nil {
		r.Start.Run.DueAt = notBefore
	}
	return r
}

// redecide stores new decisions in one transaction, with the progress of the batch
// that makes them, and lets their runs begin.
func (ctl *Control) redecide(ctx context.Context, step *engine.BatchStep, rs ...engine.Redecision) ([]engine.Redecided, error) {
	out, err := ctl.o.Store.Redecide(ctx, rs, step)
	if err != nil {
		return nil, fmt.Errorf("deciding again: %w", err)
	}
	for i, x := range out {
		if x.Known {
			continue
		}
		d := rs[i].Decision
		d.Outcome, d.Reason, d.Run = x.Outcome, x.Reason, x.Run
		ev := cmp.Or(rs[i].Source, &engine.Event{ID: rs[i].Event})
		ctl.o.Machine.Decided(ev, &d)
		ctl.o.Machine.GatherDue(x.Gather)
		ctl.o.Machine.DueAt(x.Due)
	}
	return out, nil
}

// slotOf is the slot that a replay needs before it begins, and the keys by which it can be ended. A
// replay is never dropped and never replaces other runs when its group is full: a person asked for
// it.
func (ctl *Control) slotOf(ctx context.Context, of *engine.Run, ev *engine.Event, r engine.Replay) (*engine.SlotRequest,
	[]engine.CancelKey, error) {
	w, err := ctl.o.Registry.Version(ctx, &engine.Run{Workflow: of.Workflow, Version: r.Version}, r.New)
	if err != nil {
		return nil, nil, err
	}
	if !w.Bounded() && len(w.CancelOn) == 0 {
		return nil, nil, nil
	}
	rc, err := ctl.o.Registry.ContextOf(ctx, w, ev, &engine.Run{ID: r.New, Event: ev.ID, Workflow: w.ID, Version: w.Version, Repeats: of.ID},
		of.ID)
	if err == nil {
		err = rc.FindCancelKeys()
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := rc.SlotRequest()
	if p != nil {
		p.OnFull, p.MaxQueue, p.RateDrop = "queue", math.MaxInt, false
	}
	return p, rc.Cancels, err
}
