package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// This file decides stored events again, with today's rule. Each (event, workflow)
// has one current decision; the earlier ones are kept beside it.

// Onceness says what becomes of an (event, workflow) that has a run already.
type Onceness int

const (
	// OnceEver makes no run where there is one.
	OnceEver Onceness = iota
	// OnceAsked makes one run besides that of the event's arrival, however often it is
	// asked for.
	OnceAsked
	// EachTime makes a run each time, as long as none is open.
	EachTime
	// OnlyHeld takes only what is held.
	OnlyHeld
)

// Redecision is a new decision about a stored event.
type Redecision struct {
	Event    EventID
	Decision Decision
	// Start is the run that begins, nil for none.
	Start *RunUpdate
	Once  Onceness
	At    time.Time
	By    string
	// of is the event; nil when it cannot be read.
	of *Event
}

// Redecided is what the store made of a Redecision.
type Redecided struct {
	// Known tells that nothing was changed: Run is the run that is there, 0 when the
	// decision is not of the kind that was asked for.
	Known bool
	// Open tells that the known run has not ended.
	Open bool
	// Run is the new run, or the known one; Repeats the run that the new one repeats.
	Run, Repeats RunID
	Outcome      Outcome
	Reason       string
	// Due is when the new run may begin.
	Due time.Time
	// Folded tells that the event joined the gathering of Run; Gather is when a new
	// gathering is due.
	Folded bool
	Gather time.Time
}

// ErrPending means that an event has not been decided for the first time yet.
var ErrPending = errors.New("the event is not decided yet; try again in a moment")

// Again is the answer to an order to decide an event again, for one workflow.
type Again struct {
	Workflow string      `json:"workflow"`
	Version  string      `json:"version"`
	Outcome  string      `json:"outcome"`
	Reason   string      `json:"reason,omitempty"`
	Run      string      `json:"run,omitempty"`
	Repeats  string      `json:"repeats,omitempty"`
	Rule     []Condition `json:"conditions,omitempty"`
	// AlreadyReplayed tells that Run was there: an earlier order made it.
	AlreadyReplayed bool `json:"already_replayed,omitempty"`
	// InDoubt is how many calls of the run that Run repeats may have taken effect.
	InDoubt int `json:"in_doubt,omitempty"`
}

// DecideAgain decides an event again for one workflow, with today's rule, and runs it
// when the rule matches.
func (e *Engine) DecideAgain(ctx context.Context, id EventID, workflow string, again bool, by string) (Again, error) {
	select {
	case <-e.working:
	case <-ctx.Done():
		return Again{}, ctx.Err()
	}
	ev, err := e.replayable(ctx, id)
	if err != nil {
		return Again{}, err
	}
	l, err := e.listenerOf(ev, workflow)
	if err != nil {
		return Again{}, err
	}
	if ev, err = e.awaitShare(ctx, ev); err != nil {
		return Again{}, err
	}
	defer ev.share.letGo()
	once := OnceAsked
	if again {
		once = EachTime
	}
	now := time.Now().UTC()
	r := e.redecision(l, ev, once, false, e.replayAt(now), by)
	out, err := e.redecide(ctx, nil, r)
	if err != nil {
		return Again{}, err
	}
	x := out[0]
	if x.Known && x.Open {
		return Again{}, fmt.Errorf("event %s has an open run of %s, %s: wait until it ends, or cancel it", id, workflow, x.Run)
	}
	a := Again{Workflow: workflow, Version: r.Decision.Version, Outcome: string(x.Outcome), Reason: x.Reason,
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
func (e *Engine) Undecided(ctx context.Context, id EventID) ([]string, error) {
	ev, err := e.replayable(ctx, id)
	if err != nil {
		return nil, err
	}
	at, err := e.o.Store.Decided(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	if at.Pending {
		return nil, fmt.Errorf("event %s: %w", id, ErrPending)
	}
	var out []string
	p := e.project.Load()
	for _, l := range p.listeners(&ev.Delivery) {
		if p.enabled(l.workflow) && !slices.Contains(at.Ran, l.workflow.ID) && !slices.Contains(out, l.workflow.ID) {
			out = append(out, l.workflow.ID)
		}
	}
	return out, nil
}

// replayable loads an event that can be decided again.
func (e *Engine) replayable(ctx context.Context, id EventID) (*Event, error) {
	ev, err := e.o.Store.Event(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	if err := ev.canReplay(); err != nil {
		return nil, err
	}
	return ev, nil
}

func (e *Event) canReplay() error {
	switch {
	case e.Stripped:
		return fmt.Errorf("event %s cannot be replayed: its body was pruned (history: bodies)", e.ID)
	case e.Inlet == "call":
		return fmt.Errorf("event %s is the call of run %s: replay that run", e.ID, e.Headers["x-called-by"])
	}
	return nil
}

// OffError says that a workflow is switched off.
type OffError struct{ Workflow string }

// Error implements error.
func (e *OffError) Error() string {
	return fmt.Sprintf("workflow %s is switched off; hookloom enable %s switches it on", e.Workflow, e.Workflow)
}

// listenerOf is how a workflow listens to an event today.
func (e *Engine) listenerOf(ev *Event, workflow string) (listener, error) {
	p := e.project.Load()
	w := p.Workflows[workflow]
	if w == nil {
		return listener{}, fmt.Errorf("workflow %q: %w", workflow, ErrNotFound)
	}
	for _, l := range p.listeners(&ev.Delivery) {
		if l.workflow.ID != workflow {
			continue
		}
		if p.off[workflow].State == SwitchDraining {
			return l, nil
		}
		if !p.enabled(w) {
			return listener{}, e.offError(p, workflow)
		}
		return l, nil
	}
	return listener{}, fmt.Errorf("workflow %s does not listen to trigger %s, where event %s came from", workflow, ev.Trigger, ev.ID)
}

func (e *Engine) offError(p *loaded, workflow string) error {
	if _, off := p.off[workflow]; off {
		return &OffError{workflow}
	}
	return fmt.Errorf("workflow %s has enabled: false in %s", workflow, p.Workflows[workflow].File)
}

// redecision asks today's rule about an event. Batches and holds ask about one event at
// a time, which therefore needs no share of the memory. A run that begins is queued for a moment.
func (e *Engine) redecision(l listener, ev *Event, once Onceness, many bool, notBefore time.Time, by string) Redecision {
	r := Redecision{Event: ev.ID, Once: once, At: time.Now().UTC(), By: cmp.Or(by, "somebody"), of: ev}
	names, err := ev.Names()
	l.off = ""
	// One event that a person asks for runs by itself; many are gathered as they were.
	alone := once == OnceAsked || once == EachTime && !many
	r.Decision, r.Start = e.evaluateQueued(l, ev, names, err, alone)
	if r.Start != nil {
		r.Start.Run.DueAt = notBefore
	}
	return r
}

// evaluateQueued evaluates one workflow as evaluateWorkflow does, for a run that waits in the store. With
// alone, its event joins no others.
func (e *Engine) evaluateQueued(l listener, ev *Event, names map[string]any, unreadable error, alone bool) (d Decision, start *RunUpdate) {
	defer func() {
		if p := recover(); p != nil {
			d, start = e.panicked(l, ev, p), nil
		}
	}()
	d = evaluateRule(l, ev, names, unreadable, time.Time{})
	if d.Outcome != Matched {
		return d, nil
	}
	d.Run = RunID(e.ids.Next())
	ex := e.newRun(ev, l.workflow, d.Run, names)
	ex.cancel() // it is taken up from the store
	defer ex.putDown()
	ex.alone = alone
	held, err := ex.heldBack()
	if err != nil {
		d.Run, d.Outcome, d.Reason = 0, RuleFailed, problem(err)
		return d, nil
	}
	if held == nil {
		held = &RunUpdate{Run: ex.run, New: true, Answers: -1, Cancels: ex.cancels}
	}
	if slot := held.Slot; slot != nil {
		// A person asked for it: what is full makes it wait.
		slot.OnFull, slot.MaxQueue, slot.RateDrop = "queue", math.MaxInt, false
	}
	return d, held
}

// redecide stores new decisions in one transaction, with the progress of the batch
// that makes them, and lets their runs begin.
func (e *Engine) redecide(ctx context.Context, step *BatchStep, rs ...Redecision) ([]Redecided, error) {
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
		ev := cmp.Or(rs[i].of, &Event{ID: rs[i].Event})
		mask := e.maskOf(ev)
		e.report(Change{Event: ev, Decision: &d, mask: mask})
		if d.Outcome == RuleFailed {
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
func (e *Engine) slotOf(ctx context.Context, of *Run, ev *Event, r Replay) (*SlotRequest, []CancelKey, error) {
	w, err := e.version(ctx, &Run{Workflow: of.Workflow, Version: r.Version}, r.New)
	if err != nil {
		return nil, nil, err
	}
	if !w.Bounded() && len(w.CancelOn) == 0 {
		return nil, nil, nil
	}
	rc, err := e.contextOf(ctx, w, ev, &Run{ID: r.New, Event: ev.ID, Workflow: w.ID, Version: w.Version, Repeats: of.ID}, of.ID)
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
