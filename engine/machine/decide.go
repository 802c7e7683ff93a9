package machine

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// match evaluates every workflow that listens to the events and stores the decisions and the
// runs they start in one transaction. A run that has a slot has its first attempts on record
// in the same transaction and is returned, to be executed.
func (e *Engine) match(events ...*engine.Event) (going []*execution) {
	ms := make([]engine.Match, len(events))
	live := make([][]*execution, len(events))
	p, decided := e.reg.Deciding()
	for i, ev := range events {
		ms[i], live[i] = e.evaluate(p, ev, time.Time{})
	}
	var results []engine.MatchResult
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
		e.ordered.backlog = true
	}
	e.mu.Unlock()
	for i, ev := range events {
		if err != nil || results[i].Known {
			for _, ex := range live[i] {
				e.release(ex)
			}
			continue
		}
		going = append(going, e.matched(ev, ms[i], results[i], live[i])...)
	}
	e.wakeUp(err != nil)
	return going
}

// matchAlone follows a match that could not be stored because of its rows: each event is
// tried alone, and one that still fails is recorded as rule_failed for all its workflows.
func (e *Engine) matchAlone(p *registry.Snapshot, events []*engine.Event, live [][]*execution, cause error) (going []*execution) {
	for _, list := range live {
		for _, ex := range list {
			e.release(ex)
		}
	}
	if len(events) > 1 {
		for _, ev := range events {
			going = append(going, e.match(ev)...)
		}
		return going
	}
	ev := events[0]
	m := engine.Match{Event: ev.ID, At: time.Now().UTC(), Called: ev.Inlet == "call"}
	for _, l := range p.Listeners(&ev.Delivery) {
		m.Decisions = append(m.Decisions,
			engine.Decision{Workflow: l.Workflow.ID, Version: l.Workflow.Version, Outcome: engine.RuleFailed,
				Reason: "the decision cannot be recorded: " + cause.Error()})
	}
	err := e.store(func() error {
		_, err := e.o.Store.Match(e.work, []engine.Match{m})
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
	e.matched(ev, m, engine.MatchResult{}, nil)
	e.wakeUp(false)
	return nil
}

// evaluate evaluates the workflows that listen to an event. On the fast path (until set) it
// has no side effects; results after until must be discarded.
func (e *Engine) evaluate(p *registry.Snapshot, ev *engine.Event, until time.Time) (m engine.Match, live []*execution) {
	m = engine.Match{Event: ev.ID, At: time.Now().UTC()}
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
	listeners, notRead := e.reg.ListenersTo(e.work, p, ev)
	if notRead != nil {
		m.Decisions = append(m.Decisions, unreadable(ev, notRead))
	}
	for _, l := range listeners {
		d, start, ex := e.evaluateWorkflow(l, ev, names, err, until)
		m.Decisions = append(m.Decisions, d)
		if start != nil {
			m.Starts = append(m.Starts, *start)
		}
		if ex != nil {
			live = append(live, ex)
		}
	}
	m.Called = ev.Inlet == "call"
	if e.reg.Awaited(ev.Trigger) {
		m.Wakes = &engine.EventWait{Trigger: ev.Trigger, Key: ev.Key}
	}
	m.Cancels = e.reg.CancelsOf(ev, names)
	return m, live
}

// evaluateWorkflow evaluates one workflow. start is the update that begins its run, nil for
// none; ex is the run's execution, nil when it must wait for a concurrency slot or its rate.
func (e *Engine) evaluateWorkflow(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error,
	until time.Time) (d engine.Decision,
	start *engine.RunUpdate, ex *execution) {
	defer func() {
		// A bug that one event brings out must not end the process at each start anew.
		if p := recover(); p != nil {
			if ex != nil {
				e.release(ex)
			}
			d, start, ex = e.panicked(l, ev, p), nil, nil
		}
	}()
	if l.Off == engine.Held {
		return l.Away(), nil, nil
	}
	d = l.Evaluate(ev, names, unreadable, until)
	if d.Outcome != engine.Matched {
		return d, nil, nil
	}
	d.Run = engine.RunID(e.reg.NextID())
	ex = e.newRun(ev, l.Workflow, d.Run, names)
	held, err := ex.heldBack()
	switch {
	case err != nil:
		ex.cancel()
		ex.putDown()
		d.Run, d.Outcome, d.Reason = 0, engine.RuleFailed, engine.Problem(err)
		return d, nil, nil
	case held != nil:
		ex.cancel() // it is taken up from the store when it has its place
		ex.putDown()
		return d, held, nil
	}
	ex.provisional, ex.State.Until = !until.IsZero(), until
	s := ex.start(e.takeSlot(ex))
	return d, &s, ex
}

// panicked is the decision about an event whose rule made the program panic.
func (e *Engine) panicked(l engine.Listener, ev *engine.Event, p any) engine.Decision {
	e.o.Log.Error("a decision panicked", "event", ev.ID, "workflow", l.Workflow.ID, "panic", p, "stack", string(debug.Stack()))
	return engine.Decision{Workflow: l.Workflow.ID, Version: l.Workflow.Version, Outcome: engine.RuleFailed,
		Reason: fmt.Sprintf("deciding panicked, which is a bug of Hookloom: %v", p)}
}

// matched goes on after the decisions about an event are on disk.
func (e *Engine) matched(ev *engine.Event, m engine.Match, result engine.MatchResult, live []*execution) (going []*execution) {
	if result.Woken > 0 {
		e.dueAt(m.At)
	}
	if m.Wakes != nil {
		e.notifyWaiting(*m.Wakes)
	}
	if m.Called {
		e.notifyWaiting(engine.EventWait{Key: ev.ID.String()})
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
			m.Decisions[i].Run, m.Decisions[i].Outcome, m.Decisions[i].Reason = 0, engine.Dropped, reason
		}
		if f, folded := result.Folded[m.Decisions[i].Run]; folded {
			m.Decisions[i].Run, m.Decisions[i].Outcome = f.Run, engine.Folded
		}
	}
	m.Starts = starts
	e.reportMatch(ev, m)
	e.waiters.notify(ev.ID)
	for _, s := range m.Starts {
		e.began(s)
	}
	for _, ex := range live {
		if e.follow(ex) {
			going = append(going, ex)
		} else if ex.Run.Status == engine.Waiting && result.Dropped[ex.Run.ID] == "" {
			e.noteQuestions(ex)
		}
	}
	e.dueAt(result.Due)
	e.gatherDue(result.Gather)
	e.cancelBy(result.Cancelled)
	e.replaceBeside(result.Replaced)
	return going
}

// follow tells whether a run that was just stored goes on at once; else it has
// ended, or the dispatcher finds it when it is due.
func (e *Engine) follow(ex *execution) bool {
	switch {
	case ex.Run.Status.Ended():
		e.release(ex)
	case !ex.slot:
		ex.putDown()
		e.dueAt(ex.Run.DueAt)
		e.resumeReady(ex)
	case ex.Run.Status != engine.Running:
		e.release(ex)
		e.dueAt(ex.Run.DueAt)
		e.resumeReady(ex)
	default:
		return true
	}
	return false
}

// executeAll works on runs, each on a goroutine of its own.
func (e *Engine) executeAll(going []*execution) {
	for _, ex := range going {
		e.goroutines.Add(1)
		go func() {
			defer e.goroutines.Done()
			growStack()
			e.execute(ex)
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

func (e *Engine) reportMatch(ev *engine.Event, m engine.Match) {
	for i := range m.Decisions {
		e.report(engine.Change{Event: ev, Decision: &m.Decisions[i], Mask: m.Mask})
		if m.Decisions[i].Outcome == engine.RuleFailed {
			e.ruleFailed(ev, &m.Decisions[i], e.reg.MaskOf(ev))
		}
	}
	for _, s := range m.Starts {
		e.reportUpdate(ev, s)
	}
}

func (e *Engine) reportUpdate(ev *engine.Event, s engine.RunUpdate) {
	m := s.Mask
	if m == nil {
		m = e.reg.EveryRun()
	}
	c := engine.Change{Event: ev, Run: s.Run, Mask: m}
	if e.o.Observe == nil && e.o.Watch == nil {
		e.noteChange(c)
		return
	}
	for _, x := range s.Records {
		s := engine.StepChange{Path: x.Path, Action: x.Action, Status: x.Shown(), Attempt: x.Attempt, StartedAt: x.StartedAt,
			Destination: x.Destination}
		if x.Error != nil {
			s.Error = m.Text(x.Error.Message)
		}
		if !x.FinishedAt.IsZero() {
			s.Took = x.FinishedAt.Sub(x.StartedAt)
		}
		c.Steps = append(c.Steps, s)
	}
	e.report(c)
}

func (e *Engine) report(c engine.Change) {
	e.noteChange(c)
	if e.o.Observe != nil {
		e.o.Observe(c)
	}
	if e.o.Watch != nil {
		e.o.Watch.Changed(c)
	}
}

// unreadable is the decision about a call whose workflow's version cannot be read.
func unreadable(ev *engine.Event, err error) engine.Decision {
	return engine.Decision{Workflow: ev.Only, Version: cmp.Or(ev.Headers[registry.VersionHeader], "?"), Outcome: engine.RuleFailed,
		Reason: err.Error()}
}

// ruleFailed says in the log that a workflow could not decide about an event. The
// alert comes with the change, see noteChange.
func (e *Engine) ruleFailed(ev *engine.Event, d *engine.Decision, mask *redact.Masker) {
	e.o.Log.Warn("a rule failed: this workflow does not run for the event", "event", ev.ID, "workflow", d.Workflow,
		"trigger", ev.Trigger, "error", mask.Text(d.Reason),
		"again", fmt.Sprintf("hookloom replay %s --workflow %s", ev.ID, d.Workflow))
}
