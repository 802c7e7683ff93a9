package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
)

// Switch switches a workflow off, across restarts and regardless of its file, or makes it follow
// its file again. Runs that have begun continue.
func (ctl *Control) Switch(ctx context.Context, o engine.SwitchOrder) (s engine.Switched, err error) {
	err = ctl.o.Registry.Reload(ctx, func(p *registry.Snapshot) (bool, error) {
		s, err = ctl.storeSwitch(ctx, p, o)
		return err == nil, err
	})
	if err == nil {
		ctl.signalBatches()
	}
	return s, err
}

// storeSwitch stores a switch. It returns what the workflow missed while it was off.
func (ctl *Control) storeSwitch(ctx context.Context, p *registry.Snapshot, o engine.SwitchOrder) (engine.Switched, error) {
	if p == nil || p.Workflows[o.Workflow] == nil {
		return engine.Switched{}, fmt.Errorf("workflow %q: %w", o.Workflow, engine.ErrNotFound)
	}
	x := engine.Switch{Workflow: o.Workflow, By: o.By, At: time.Now().UTC()}
	if o.Hold {
		x.State = engine.SwitchHold
	}
	if w := p.Workflows[o.Workflow]; o.On && !w.Enabled {
		return engine.Switched{}, fmt.Errorf("workflow %s has enabled: false in %s: change the file", w.ID, w.File)
	}
	s, err := ctl.o.Store.Missed(ctx, o.Workflow)
	if err != nil {
		return s, fmt.Errorf("counting what workflow %s missed: %w", o.Workflow, err)
	}
	was, off := p.Off[o.Workflow]
	switch {
	case !o.On:
		err = ctl.o.Store.SetSwitch(ctx, x, false)
	case off && was.State != engine.SwitchOff || s.Held > 0:
		x.State, x.By = engine.SwitchDraining, cmp.Or(o.By, was.By)
		err = ctl.o.Store.SetSwitch(ctx, x, false)
	default:
		err = ctl.o.Store.SetSwitch(ctx, x, true)
	}
	if err != nil {
		return s, fmt.Errorf("switching workflow %s: %w", o.Workflow, err)
	}
	return s, nil
}

// SetEnabled switches a workflow off without holding events, or on.
func (ctl *Control) SetEnabled(ctx context.Context, workflow string, on bool, by string) error {
	_, err := ctl.Switch(ctx, engine.SwitchOrder{Workflow: workflow, On: on, By: by})
	return err
}

// errSwitched means that a workflow was switched off again, or removed, while its held events were
// being decided. The remaining events stay held.
var errSwitched = errors.New("the workflow was switched off again")

// drainStep is how many held events are decided before other work gets a turn.
const drainStep = 64

// drainHeld decides some of the events held for a workflow. It reports whether all are decided and
// the workflow is on.
func (ctl *Control) drainHeld(ctx context.Context, x engine.Switch) (bool, error) {
	n, err := ctl.decideHeld(ctx, x)
	if errors.Is(err, errSwitched) {
		return false, nil
	}
	if err != nil || n == drainStep {
		return false, err
	}
	return ctl.o.Registry.WithoutDecisions(func() (bool, error) {
		// No events are added from here on.
		for n := drainStep; n == drainStep; {
			if n, err = ctl.decideHeld(ctx, x); errors.Is(err, errSwitched) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
		}
		on := false
		err := ctl.o.Registry.Reload(ctx, func(p *registry.Snapshot) (bool, error) {
			if now, off := p.Off[x.Workflow]; !off || now.State != engine.SwitchDraining {
				on = true // it was switched off again: there is nothing to be done
				return false, nil
			}
			err := ctl.o.Store.SetSwitch(ctx, x, true)
			if errors.Is(err, engine.ErrStale) {
				return false, nil // another node has held an event meanwhile
			}
			if err != nil {
				return false, fmt.Errorf("switching workflow %s on: %w", x.Workflow, err)
			}
			on = true
			return true, nil
		})
		return on, err
	})
}

// decideHeld decides the oldest events held for a workflow, each in its own transaction.
func (ctl *Control) decideHeld(ctx context.Context, x engine.Switch) (int, error) {
	ids, err := ctl.o.Store.HeldEvents(ctx, x.Workflow, drainStep)
	if err != nil {
		return 0, fmt.Errorf("looking for events held for workflow %s: %w", x.Workflow, err)
	}
	for _, id := range ids {
		if now, off := ctl.o.Registry.Snapshot().Off[x.Workflow]; !off || now.State != engine.SwitchDraining {
			return 0, errSwitched
		}
		r, err := ctl.heldDecision(ctx, id, x)
		if errors.Is(err, errSwitched) {
			return 0, err
		}
		if err == nil {
			if _, err = ctl.redecide(ctx, nil, r); r.Start != nil && refusedOf([]engine.Redecision{r}, err) == 0 {
				_, err = ctl.redecide(ctx, nil, unrecorded(r, err))
			}
		}
		if err != nil {
			return 0, fmt.Errorf("event %s, held for workflow %s: %w", id, x.Workflow, err)
		}
	}
	return len(ids), nil
}

// heldDecision is the decision about a held event. If it can no longer be decided, the decision has
// the reason, and other events are not blocked.
func (ctl *Control) heldDecision(ctx context.Context, id engine.EventID, x engine.Switch) (engine.Redecision, error) {
	now := time.Now().UTC()
	ev, err := ctl.o.Store.Event(ctx, id)
	if err != nil && (errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrBusy) || errors.Is(err, engine.ErrClosed) ||
		errors.Is(err, engine.ErrDisk) || ctx.Err() != nil) {
		return engine.Redecision{}, err
	}
	var l engine.Listener
	if err == nil {
		l, err = ctl.listenerOf(ev, x.Workflow)
	}
	if err == nil {
		return ctl.redecision(l, ev, engine.OnlyHeld, true, now, x.By), nil
	}
	if off := (*engine.OffError)(nil); errors.As(err, &off) || ctl.o.Registry.Snapshot().Workflows[x.Workflow] == nil {
		return engine.Redecision{}, errSwitched
	}
	d := engine.Decision{Workflow: x.Workflow, Outcome: engine.RuleFailed, Reason: err.Error()}
	if w := ctl.o.Registry.Snapshot().Workflows[x.Workflow]; w != nil {
		d.Version = w.Version
	}
	return engine.Redecision{Event: id, Once: engine.OnlyHeld, At: now, By: x.By, Decision: d}, nil
}
