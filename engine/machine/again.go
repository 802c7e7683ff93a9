package machine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// DecideAgain decides an event again for one workflow, with today's rule, and runs it
// when the rule matches.
func (e *Engine) DecideAgain(ctx context.Context, id engine.EventID, workflow string, again bool, by string) (engine.Again, error) {
	select {
	case <-e.working:
	case <-ctx.Done():
		return engine.Again{}, ctx.Err()
	}
	ev, err := e.replayable(ctx, id)
	if err != nil {
		return engine.Again{}, err
	}
	l, err := e.listenerOf(ev, workflow)
	if err != nil {
		return engine.Again{}, err
	}
	if ev, err = e.awaitShare(ctx, ev); err != nil {
		return engine.Again{}, err
	}
	defer ev.Share.Release()
	once := engine.OnceAsked
	if again {
		once = engine.EachTime
	}
	now := time.Now().UTC()
	r := e.redecision(l, ev, once, false, e.replayAt(now), by)
	out, err := e.redecide(ctx, nil, r)
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
func (e *Engine) Undecided(ctx context.Context, id engine.EventID) ([]string, error) {
	ev, err := e.replayable(ctx, id)
	if err != nil {
		return nil, err
	}
	at, err := e.o.Store.Decided(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	if at.Pending {
		return nil, fmt.Errorf("event %s: %w", id, engine.ErrPending)
	}
	var out []string
	p := e.project.Load()
	for _, l := range p.listeners(&ev.Delivery) {
		if p.enabled(l.Workflow) && !slices.Contains(at.Ran, l.Workflow.ID) && !slices.Contains(out, l.Workflow.ID) {
			out = append(out, l.Workflow.ID)
		}
	}
	return out, nil
}

// replayable loads an event that can be decided again.
func (e *Engine) replayable(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	ev, err := e.o.Store.Event(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	if err := ev.CanReplay(); err != nil {
		return nil, err
	}
	return ev, nil
}

// listenerOf is how a workflow listens to an event today.
func (e *Engine) listenerOf(ev *engine.Event, workflow string) (engine.Listener, error) {
	p := e.project.Load()
	w := p.Workflows[workflow]
	if w == nil {
		return engine.Listener{}, fmt.Errorf("workflow %q: %w", workflow, engine.ErrNotFound)
	}
	for _, l := range p.listeners(&ev.Delivery) {
		if l.Workflow.ID != workflow {
			continue
		}
		if p.off[workflow].State == engine.SwitchDraining {
			return l, nil
		}
		if !p.enabled(w) {
			return engine.Listener{}, e.offError(p, workflow)
		}
		return l, nil
	}
	return engine.Listener{}, fmt.Errorf("workflow %s does not listen to trigger %s, where event %s came from", workflow, ev.Trigger, ev.ID)
}

func (e *Engine) offError(p *loaded, workflow string) error {
	if _, off := p.off[workflow]; off {
		return &engine.OffError{Workflow: workflow}
	}
	return fmt.Errorf("workflow %s has enabled: false in %s", workflow, p.Workflows[workflow].File)
}

// redecision asks today's rule about an event. Batches and holds ask about one event at
// a time, which therefore needs no share of the memory. A run that begins is queued for a moment.
func (e *Engine) redecision(l engine.Listener, ev *engine.Event, once engine.Onceness, many bool, notBefore time.Time,
	by string) engine.Redecision {
	r := engine.Redecision{Event: ev.ID, Once: once, At: time.Now().UTC(), By: cmp.Or(by, "somebody"), Source: ev}
	names, err := ev.Names()
	l.Off = ""
	// One event that a person asks for runs by itself; many are gathered as they were.
	alone := once == engine.OnceAsked || once == engine.EachTime && !many
	r.Decision, r.Start = e.evaluateQueued(l, ev, names, err, alone)
	if r.Start != nil {
		r.Start.Run.DueAt = notBefore
	}
	return r
}

// evaluateQueued evaluates one workflow as evaluateWorkflow does, for a run that waits in the store. With
// alone, its event joins no others.
func (e *Engine) evaluateQueued(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error,
	alone bool) (d engine.Decision, start *engine.RunUpdate) {
	defer func() {
		if p := recover(); p != nil {
			d, start = e.panicked(l, ev, p), nil
		}
	}()
	d = l.Evaluate(ev, names, unreadable, time.Time{})
	if d.Outcome != engine.Matched {
		return d, nil
	}
	d.Run = engine.RunID(e.ids.Next())
	ex := e.newRun(ev, l.Workflow, d.Run, names)
	ex.cancel() // it is taken up from the store
	defer ex.putDown()
	ex.alone = alone
	held, err := ex.heldBack()
	if err != nil {
		d.Run, d.Outcome, d.Reason = 0, engine.RuleFailed, engine.Problem(err)
		return d, nil
	}
	if held == nil {
		held = &engine.RunUpdate{Run: ex.run, New: true, Answers: -1, Cancels: ex.cancels}
	}
	if slot := held.Slot; slot != nil {
		// A person asked for it: what is full makes it wait.
		slot.OnFull, slot.MaxQueue, slot.RateDrop = "queue", math.MaxInt, false
	}
	return d, held
}

// redecide stores new decisions in one transaction, with the progress of the batch
// that makes them, and lets their runs begin.
func (e *Engine) redecide(ctx context.Context, step *engine.BatchStep, rs ...engine.Redecision) ([]engine.Redecided, error) {
	out, err := e.o.Store.Redecide(ctx, rs, step)
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
		mask := e.maskOf(ev)
		e.report(engine.Change{Event: ev, Decision: &d, Mask: mask})
		if d.Outcome == engine.RuleFailed {
			e.ruleFailed(ev, &d, mask)
		}
		e.gatherDue(x.Gather)
		if x.Run != 0 && x.Gather.IsZero() && !x.Folded {
			e.dueAt(x.Due)
		}
	}
	return out, nil
}

// replayPause is the time between the starts of two replays, so that a thousand of them
// do not overload the services that they call.
const replayPause = 50 * time.Millisecond

// replayAt is when a replay may begin.
func (e *Engine) replayAt(now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := now
	if e.nextReplay.After(now) {
		at = e.nextReplay
	}
	e.nextReplay = at.Add(replayPause)
	return at
}

// slotOf is what a replay has to ask for before it begins, and by what it can be ended.
// It never drops or replaces what is there for being full: a person asked for it.
func (e *Engine) slotOf(ctx context.Context, of *engine.Run, ev *engine.Event, r engine.Replay) (*engine.SlotRequest,
	[]engine.CancelKey, error) {
	w, err := e.version(ctx, &engine.Run{Workflow: of.Workflow, Version: r.Version}, r.New)
	if err != nil {
		return nil, nil, err
	}
	if !w.Bounded() && len(w.CancelOn) == 0 {
		return nil, nil, nil
	}
	rc, err := e.contextOf(ctx, w, ev, &engine.Run{ID: r.New, Event: ev.ID, Workflow: w.ID, Version: w.Version, Repeats: of.ID}, of.ID)
	if err == nil {
		err = rc.findCancelKeys()
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := rc.slotRequest()
	if p != nil {
		p.OnFull, p.MaxQueue, p.RateDrop = "queue", math.MaxInt, false
	}
	return p, rc.cancels, err
}
