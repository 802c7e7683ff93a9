package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// Switch switches a workflow off, over restarts and whatever its file says, or leaves
// it to its file again. Runs that have begun go on.
func (e *Engine) Switch(ctx context.Context, o engine.SwitchOrder) (engine.Switched, error) {
	e.using.Lock()
	defer e.using.Unlock()
	p := e.project.Load()
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
	s, err := e.o.Store.Missed(ctx, o.Workflow)
	if err != nil {
		return s, fmt.Errorf("counting what workflow %s missed: %w", o.Workflow, err)
	}
	was, off := p.off[o.Workflow]
	switch {
	case !o.On:
		err = e.o.Store.SetSwitch(ctx, x, false)
	case off && was.State != engine.SwitchOff || s.Held > 0:
		x.State, x.By = engine.SwitchDraining, cmp.Or(o.By, was.By)
		err = e.o.Store.SetSwitch(ctx, x, false)
	default:
		err = e.o.Store.SetSwitch(ctx, x, true)
	}
	if err != nil {
		return s, fmt.Errorf("switching workflow %s: %w", o.Workflow, err)
	}
	if err := e.use(ctx, p.Project); err != nil {
		return s, err
	}
	e.pokeBatches()
	return s, nil
}

// SetEnabled switches a workflow off without holding what comes, or on.
func (e *Engine) SetEnabled(ctx context.Context, workflow string, on bool, by string) error {
	_, err := e.Switch(ctx, engine.SwitchOrder{Workflow: workflow, On: on, By: by})
	return err
}

// SwitchedOff tells which workflows a person has switched off.
func (e *Engine) SwitchedOff() map[string]engine.Switch {
	p := e.project.Load()
	if p == nil {
		return nil
	}
	return p.off
}

// offOutcome is what an event of a workflow is on record as while it is off; empty
// while it is on.
func (l *loaded) offOutcome(workflow string, inFile bool) engine.Outcome {
	x, off := l.off[workflow]
	switch {
	case off && x.State != engine.SwitchOff:
		return engine.Held
	case off || !inFile:
		return engine.Disabled
	}
	return ""
}

// deciding keeps a hold from ending while decisions that know of it are on their way to
// the disk. It gives the project to decide with.
func (e *Engine) deciding() (p *loaded, done func()) {
	if p = e.project.Load(); !p.holding {
		return p, func() {}
	}
	e.turning.RLock()
	return e.project.Load(), e.turning.RUnlock
}

// parked puts a queued run aside whose workflow is switched off. It tells whether it
// did; a run that has begun goes on.
func (e *Engine) parked(ctx context.Context, id engine.RunID) (bool, error) {
	p := e.project.Load()
	if len(p.resting) == 0 {
		return false, nil
	}
	r, err := e.o.Store.Run(ctx, id)
	if e.rowsFault(err) {
		return false, nil // who takes it up says what is wrong with it
	}
	if err != nil || r.Status != engine.Queued || !r.StartedAt.IsZero() || !p.resting[r.Workflow] {
		return false, err
	}
	if err := e.store(func() error { return e.o.Store.Park(ctx, id) }); err != nil {
		return false, err
	}
	// A switch that came meanwhile has not seen it.
	if !e.project.Load().resting[r.Workflow] {
		return true, e.unpark(ctx, r.Workflow)
	}
	return true, nil
}

// unpark lets the runs of workflows begin that were put aside.
func (e *Engine) unpark(ctx context.Context, workflows ...string) error {
	n, err := e.o.Store.Unpark(ctx, workflows, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("letting held runs begin: %w", err)
	}
	if n > 0 {
		e.dueAt(time.Now())
	}
	return nil
}

// unparkAll does so for all workflows that are on.
func (e *Engine) unparkAll(ctx context.Context, p *loaded) error {
	names, err := e.o.Store.Parked(ctx)
	if err != nil {
		return fmt.Errorf("looking for held runs: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return p.resting[n] })
	if len(names) == 0 {
		return nil
	}
	return e.unpark(ctx, names...)
}

// errSwitched tells that a workflow was switched off again, or taken away, while what
// was held for it is being decided. The rest is held still.
var errSwitched = errors.New("the workflow was switched off again")

// drainStep is how many held events are decided before other work is looked at.
const drainStep = 64

// drainHeld decides some of the events that were held for a workflow. It tells whether
// it is done, and the workflow is on.
func (e *Engine) drainHeld(ctx context.Context, x engine.Switch) (bool, error) {
	n, err := e.decideHeld(ctx, x)
	if errors.Is(err, errSwitched) {
		return false, nil
	}
	if err != nil || n == drainStep {
		return false, err
	}
	// Nothing is decided while the lock is held, so that what is left is all.
	e.turning.Lock()
	defer e.turning.Unlock()
	for n = drainStep; n == drainStep; {
		if n, err = e.decideHeld(ctx, x); errors.Is(err, errSwitched) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	e.using.Lock()
	defer e.using.Unlock()
	p := e.project.Load()
	if now, off := p.off[x.Workflow]; !off || now.State != engine.SwitchDraining {
		return true, nil // somebody has switched it off again
	}
	if err := e.o.Store.SetSwitch(ctx, x, true); err != nil {
		return false, fmt.Errorf("switching workflow %s on: %w", x.Workflow, err)
	}
	return true, e.use(ctx, p.Project)
}

// decideHeld decides the oldest events that are held for a workflow, each in a
// transaction of its own.
func (e *Engine) decideHeld(ctx context.Context, x engine.Switch) (int, error) {
	ids, err := e.o.Store.HeldEvents(ctx, x.Workflow, drainStep)
	if err != nil {
		return 0, fmt.Errorf("looking for what was held for workflow %s: %w", x.Workflow, err)
	}
	for _, id := range ids {
		if now, off := e.project.Load().off[x.Workflow]; !off || now.State != engine.SwitchDraining {
			return 0, errSwitched
		}
		r, err := e.heldDecision(ctx, id, x)
		if errors.Is(err, errSwitched) {
			return 0, err
		}
		if err == nil {
			_, err = e.redecide(ctx, nil, r)
		}
		if err != nil {
			return 0, fmt.Errorf("event %s, held for workflow %s: %w", id, x.Workflow, err)
		}
	}
	return len(ids), nil
}

// heldDecision is what becomes of a held event. One that can be decided no more says
// why, and holds up no other.
func (e *Engine) heldDecision(ctx context.Context, id engine.EventID, x engine.Switch) (engine.Redecision, error) {
	now := time.Now().UTC()
	ev, err := e.o.Store.Event(ctx, id)
	if err != nil && (errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrBusy) || errors.Is(err, engine.ErrClosed) ||
		errors.Is(err, engine.ErrDisk) || ctx.Err() != nil) {
		return engine.Redecision{}, err
	}
	var l engine.Listener
	if err == nil {
		l, err = e.listenerOf(ev, x.Workflow)
	}
	if err == nil {
		return e.redecision(l, ev, engine.OnlyHeld, true, now, x.By), nil
	}
	if off := (*engine.OffError)(nil); errors.As(err, &off) || e.project.Load().Workflows[x.Workflow] == nil {
		return engine.Redecision{}, errSwitched
	}
	d := engine.Decision{Workflow: x.Workflow, Outcome: engine.RuleFailed, Reason: err.Error()}
	if w := e.project.Load().Workflows[x.Workflow]; w != nil {
		d.Version = w.Version
	}
	return engine.Redecision{Event: id, Once: engine.OnlyHeld, At: now, By: x.By, Decision: d}, nil
}
