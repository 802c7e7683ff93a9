package engine

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// match is stop 2: every enabled workflow of the events' triggers decides, and
// the decisions and the runs they start are stored in one transaction. A run
// that can work at once has its first attempts on record in the same one, and is
// given back to be driven.
func (e *Engine) match(events ...*Event) (going []*driver) {
	ms := make([]Match, len(events))
	live := make([][]*driver, len(events))
	p, decided := e.deciding()
	for i, ev := range events {
		ms[i], live[i] = e.consider(p, ev, time.Time{})
	}
	var results []MatchResult
	err := e.store(func() (err error) {
		results, err = e.o.Store.Match(e.work, ms)
		return err
	})
	decided()
	if e.rowsFault(err) {
		return e.matchAlone(p, events, live, err)
	}
	e.mu.Lock()
	for _, ev := range events {
		delete(e.matching, ev.ID)
	}
	if err != nil {
		e.lane.behind = true
	}
	e.mu.Unlock()
	for i, ev := range events {
		if err != nil || results[i].Known {
			for _, dr := range live[i] {
				e.release(dr)
			}
			continue
		}
		going = append(going, e.matched(ev, ms[i], results[i], live[i])...)
	}
	e.wakeUp(err != nil)
	return going
}

// matchAlone goes on after what was decided about events could not be recorded, for what
// it is: each event alone, and of the one whose fault it is only that nobody can decide.
func (e *Engine) matchAlone(p *loaded, events []*Event, live [][]*driver, cause error) (going []*driver) {
	for _, list := range live {
		for _, dr := range list {
			e.release(dr)
		}
	}
	if len(events) > 1 {
		for _, ev := range events {
			going = append(going, e.match(ev)...)
		}
		return going
	}
	ev := events[0]
	m := Match{Event: ev.ID, At: time.Now().UTC(), Called: ev.Inlet == "call"}
	for _, l := range p.listeners(&ev.Delivery) {
		m.Decisions = append(m.Decisions,
			Decision{Workflow: l.workflow.ID, Version: l.workflow.Version, Outcome: RuleFailed,
				Reason: "the decision cannot be recorded: " + cause.Error()})
	}
	err := e.store(func() error {
		_, err := e.o.Store.Match(e.work, []Match{m})
		return err
	})
	e.mu.Lock()
	delete(e.matching, ev.ID)
	e.mu.Unlock()
	if err != nil {
		// It stays in the inbox for the next start, and is not taken up before.
		e.o.Log.Error("an event cannot be decided", "event", ev.ID, "error", err, "cause", cause)
		return nil
	}
	e.matched(ev, m, MatchResult{}, nil)
	e.wakeUp(false)
	return nil
}

// consider asks the workflows that listen to an event. On the short way, where until
// is set, it does nothing that could not be taken back, and what it gives is void
// when it comes later than that.
func (e *Engine) consider(p *loaded, ev *Event, until time.Time) (m Match, live []*driver) {
	m = Match{Event: ev.ID, At: time.Now().UTC()}
	if len(ev.Hidden) > 0 {
		m.Mask = e.o.Redactor.With(ev.Hidden)
	}
	if ev.Inlet == "call" {
		if why, is := e.isToEnd(ev.ID); is {
			m.Called, m.Decisions = true, endedBefore(ev, why)
			return m, nil
		}
	}
	names, err := ev.Names()
	listeners, notRead := e.listenersTo(p, ev)
	if notRead != nil {
		m.Decisions = append(m.Decisions, unreadable(ev, notRead))
	}
	for _, l := range listeners {
		d, start, dr := e.weigh(l, ev, names, err, until)
		m.Decisions = append(m.Decisions, d)
		if start != nil {
			m.Starts = append(m.Starts, *start)
		}
		if dr != nil {
			live = append(live, dr)
		}
	}
	m.Called = ev.Inlet == "call"
	if _, awaited := e.awaited.Load(ev.Trigger); awaited {
		m.Wakes = &EventWait{Trigger: ev.Trigger, Key: ev.Key}
	}
	m.Cancels = e.cancelsOf(ev, names)
	return m, live
}

// weigh asks one workflow. start is the run that begins, if one does, and dr who
// works on it, if it need not wait for its place.
func (e *Engine) weigh(l listener, ev *Event, names map[string]any, unreadable error, until time.Time) (d Decision,
	start *Settlement, dr *driver) {
	defer func() {
		// A bug that one event brings out must not end the process at each start anew.
		if p := recover(); p != nil {
			if dr != nil {
				e.release(dr)
			}
			d, start, dr = e.panicked(l, ev, p), nil, nil
		}
	}()
	if l.off == Held {
		return l.away(), nil, nil
	}
	d = decide(l, ev, names, unreadable, until)
	if d.Outcome != Matched {
		return d, nil, nil
	}
	d.Run = RunID(e.ids.Next())
	dr = e.newRun(ev, l.workflow, d.Run, names)
	held, err := dr.heldBack()
	switch {
	case err != nil:
		dr.cancel()
		dr.putDown()
		d.Run, d.Outcome, d.Reason = 0, RuleFailed, problem(err)
		return d, nil, nil
	case held != nil:
		dr.cancel() // it is taken up from the store when it has its place
		dr.putDown()
		return d, held, nil
	}
	dr.early, dr.state.Until = !until.IsZero(), until
	s := dr.start(e.takeSlot(dr))
	return d, &s, dr
}

// panicked is the decision about an event whose rule made the program panic.
func (e *Engine) panicked(l listener, ev *Event, p any) Decision {
	e.o.Log.Error("a decision panicked", "event", ev.ID, "workflow", l.workflow.ID, "panic", p, "stack", string(debug.Stack()))
	return Decision{Workflow: l.workflow.ID, Version: l.workflow.Version, Outcome: RuleFailed,
		Reason: fmt.Sprintf("deciding panicked, which is a bug of Hookloom: %v", p)}
}

// matched goes on after the decisions about an event are on disk.
func (e *Engine) matched(ev *Event, m Match, result MatchResult, live []*driver) (going []*driver) {
	if result.Woken > 0 {
		e.dueAt(m.At)
	}
	if m.Wakes != nil {
		e.tellWaiting(*m.Wakes)
	}
	if m.Called {
		e.tellWaiting(EventWait{Key: ev.ID.String()})
		if _, is := e.isToEnd(ev.ID); is {
			e.endCalled()
		}
	}
	starts := m.Starts[:0:0]
	for _, s := range m.Starts {
		if _, folded := result.Folded[s.Run.ID]; result.Dropped[s.Run.ID] == "" && !folded {
			starts = append(starts, s)
		}
	}
	for i := range m.Decisions {
		if reason := result.Dropped[m.Decisions[i].Run]; reason != "" {
			m.Decisions[i].Run, m.Decisions[i].Outcome, m.Decisions[i].Reason = 0, Dropped, reason
		}
		if f, folded := result.Folded[m.Decisions[i].Run]; folded {
			m.Decisions[i].Run, m.Decisions[i].Outcome = f.Run, Folded
		}
	}
	m.Starts = starts
	e.observeMatch(ev, m)
	e.callers.tell(ev.ID)
	for _, s := range m.Starts {
		e.began(s)
	}
	for _, dr := range live {
		if e.follow(dr) {
			going = append(going, dr)
		} else if dr.run.Status == Waiting && result.Dropped[dr.run.ID] == "" {
			e.noteQuestions(dr)
		}
	}
	e.dueAt(result.Due)
	e.gatherDue(result.Gather)
	e.cancelBy(result.Cancelled)
	if len(result.Replaced) > 0 {
		e.drivers.Add(1)
		go func() {
			defer e.drivers.Done()
			e.replace(result.Replaced)
		}()
	}
	return going
}

// follow tells whether a run that was just stored goes on at once; else it has
// ended, or the dispatcher finds it when it is due.
func (e *Engine) follow(dr *driver) bool {
	switch {
	case dr.run.Status.Ended():
		e.release(dr)
	case !dr.slot:
		dr.putDown()
		e.dueAt(dr.run.DueAt)
	case dr.run.Status != Running:
		e.release(dr)
		e.dueAt(dr.run.DueAt)
	default:
		return true
	}
	return false
}

// driveBeside works on runs, each on a goroutine of its own.
func (e *Engine) driveBeside(going []*driver) {
	for _, dr := range going {
		e.drivers.Add(1)
		go func() {
			defer e.drivers.Done()
			growStack()
			e.drive(dr)
		}()
	}
}

// growStack makes a new goroutine's stack large enough for a run while there is nothing
// on it to copy. It would double step by step, and be copied each time.
//
//go:noinline
func growStack() {
	var frame [12 << 10]byte
	runtime.KeepAlive(&frame)
}

// listeners are the workflows that an event goes to.
func (l *loaded) listeners(ev *Delivery) []listener {
	if ev.Only == "" && ev.Inlet != "manual" {
		return l.byTrigger[ev.Trigger]
	}
	name := ev.Only
	if name == "" {
		name = ev.Trigger
	}
	if w := l.Workflows[name]; w != nil {
		only := listener{workflow: w, start: workflows.Start{Kind: "manual"}}
		if ev.Inlet == "workflow_run" { // those who start or call it were told that it is off
			only.off = l.offOutcome(name, w.Enabled)
		}
		return []listener{only}
	}
	return nil
}

// decide asks one workflow. An error in a rule is not false: it is a failure
// that shows.
func decide(l listener, ev *Event, names map[string]any, err error, until time.Time) Decision {
	d := Decision{Workflow: l.workflow.ID, Version: l.workflow.Version, Outcome: Matched}
	taken := l.types
	if ev.Inlet != "webhook" {
		taken = nil // what was asked for has no types of the sender
	}
	for _, types := range [][]string{taken, l.start.Events} {
		if !workflows.MatchType(types, ev.Type) {
			if ev.unreadable != nil && ev.Type == ev.Trigger && l.off == "" {
				d.Outcome, d.Reason = RuleFailed,
					fmt.Sprintf("its type is not known, and events: asks for %s: %v", strings.Join(types, ", "), ev.notReadable())
				return d
			}
			d.Outcome, d.Reason = Filtered, fmt.Sprintf("type %s is not in events: %s", ev.Type, strings.Join(types, ", "))
			return d
		}
	}
	if l.off == Disabled {
		return l.away()
	}
	if err != nil {
		d.Outcome, d.Reason = RuleFailed, err.Error()
		return d
	}
	scope := workflows.Names{"event": names, "inputs": ev.InputsOf(l.workflow)}
	env := &workflows.Env{Names: scope, Now: ev.ReceivedAt, Seed: ev.ID.String(), Until: until}
	for _, c := range l.workflow.When {
		ok, err := false, ev.needsData(c)
		if err == nil {
			ok, err = c.Condition(env)
		}
		cond := Condition{Expr: c.Text, Values: c.Values(scope)}
		if err != nil {
			cond.Error = err.Error()
			d.Outcome, d.Reason = RuleFailed, problem(err)
		} else {
			cond.Result = &ok
			if !ok {
				d.Outcome, d.Reason = Skipped, "false: "+c.Text
			}
		}
		d.Conditions = append(d.Conditions, cond)
		if d.Outcome != Matched {
			return d
		}
	}
	return d
}

// EvaluateRule asks a workflow's rule about an event as a start of it would: types are those
// that the trigger's webhook takes, empty for all. Names are the event's, or unreadable says
// why there are none. It has no side effects.
func EvaluateRule(w *workflows.Workflow, start workflows.Start, types []string, ev *Event, names map[string]any,
	unreadable error) Decision {
	return decide(listener{workflow: w, start: start, types: types}, ev, names, unreadable, time.Time{})
}

func problem(err error) string {
	var e *workflows.EvalError
	if errors.As(err, &e) {
		return e.Problem
	}
	return err.Error()
}

func manualInputs(w *workflows.Workflow, given map[string]any) (map[string]any, error) {
	startable := false
	for _, s := range w.Starts {
		startable = startable || s.Kind == "manual"
	}
	if !startable {
		return nil, fmt.Errorf("workflow %s cannot be started by hand: it has no on: manual", w.ID)
	}
	checked, problems := workflows.CheckInputs(w.Inputs, given)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s", w.ID, strings.Join(problems, "; "))
	}
	return checked, nil
}

func (e *Engine) observeMatch(ev *Event, m Match) {
	for i := range m.Decisions {
		e.tell(Change{Event: ev, Decision: &m.Decisions[i], mask: m.Mask})
		if m.Decisions[i].Outcome == RuleFailed {
			e.ruleFailed(ev, &m.Decisions[i], e.maskOf(ev))
		}
	}
	for _, s := range m.Starts {
		e.observe(ev, s)
	}
}

func (e *Engine) observe(ev *Event, s Settlement) {
	m := s.Mask
	if m == nil {
		m = e.everyRun
	}
	c := Change{Event: ev, Run: s.Run, mask: m}
	if e.o.Observe == nil && e.o.Watch == nil {
		e.noteChange(c)
		return
	}
	for _, x := range s.Records {
		s := StepChange{Path: x.Path, Action: x.Action, Status: x.Shown(), Attempt: x.Attempt, StartedAt: x.StartedAt, Destination: x.Destination}
		if x.Error != nil {
			s.Error = m.Text(x.Error.Message)
		}
		if !x.FinishedAt.IsZero() {
			s.Took = x.FinishedAt.Sub(x.StartedAt)
		}
		c.Steps = append(c.Steps, s)
	}
	e.tell(c)
}

func (e *Engine) tell(c Change) {
	e.noteChange(c)
	if e.o.Observe != nil {
		e.o.Observe(c)
	}
	if e.o.Watch != nil {
		e.o.Watch.Changed(c)
	}
}
