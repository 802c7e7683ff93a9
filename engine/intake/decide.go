package intake

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/runner"
	"github.com/hookloom/hookloom/workflows"
)

// match evaluates every workflow that listens to the events, and stores the decisions and the runs
// they start in one transaction. A run that has a slot has its first attempts stored in the same
// transaction; it is returned to be executed.
func (in *Intake) match(events ...*engine.Event) (going []*runner.Execution) {
	return in.matchWithout(nil, events...)
}

// matchWithout is match for events whose decisions of some workflows the database has refused: these fail
// with the reason.
func (in *Intake) matchWithout(refused map[string]error, events ...*engine.Event) (going []*runner.Execution) {
	ms := make([]engine.Match, len(events))
	live := make([][]*runner.Execution, len(events))
	rules := in.reg.Rules() // before Deciding: a change in between then makes the store reject the decisions
	p, decided := in.reg.Deciding()
	for i, ev := range events {
		ms[i], live[i] = in.evaluate(p, ev, time.Time{}, refused)
		ms[i].Rules = rules
	}
	var results []engine.MatchResult
	err := in.store.Retry(func() (err error) {
		results, err = in.store.Match(in.work, ms)
		return err
	})
	decided()
	if errors.Is(err, engine.ErrRules) {
		return in.matchAgain(events, live, refused)
	}
	if in.store.RowsFault(err) {
		return in.matchAlone(p, events, live, refused, err)
	}
	in.mu.Lock()
	for _, ev := range events {
		delete(in.matching, ev.ID)
	}
	if err != nil {
		in.ordered.backlog = true
		in.backlog.Store(true)
	}
	in.mu.Unlock()
	for i, ev := range events {
		if err != nil || results[i].Known {
			for _, ex := range live[i] {
				in.runner.Release(ex)
			}
			continue
		}
		going = append(going, in.matched(ev, ms[i], results[i], live[i])...)
	}
	in.wakeUp()
	return going
}

// matchAgain decides events anew, because another node has changed what the decisions rely on.
func (in *Intake) matchAgain(events []*engine.Event, live [][]*runner.Execution, refused map[string]error) []*runner.Execution {
	for _, list := range live {
		for _, ex := range list {
			in.runner.Release(ex)
		}
	}
	if err := in.reg.Refresh(in.work); err != nil {
		in.o.Log.Warn("events stay in the inbox", "error", err)
		for _, ev := range events {
			in.putBack(ev.ID, nil)
		}
		in.mu.Lock()
		in.ordered.backlog = true
		in.ordered.missed++
		in.mu.Unlock()
		return nil
	}
	return in.matchWithout(refused, events...)
}

// matchAlone handles a match that could not be stored because of its rows: each event is tried
// alone, then without the workflow whose row was refused, which is recorded as rule_failed. If the
// database does not tell which workflow's row it is, this is recorded for all workflows.
func (in *Intake) matchAlone(p *registry.Snapshot, events []*engine.Event, live [][]*runner.Execution, refused map[string]error,
	cause error) (going []*runner.Execution) {
	for _, list := range live {
		for _, ex := range list {
			in.runner.Release(ex)
		}
	}
	if len(events) > 1 {
		for _, ev := range events {
			going = append(going, in.match(ev)...)
		}
		return going
	}
	ev := events[0]
	if at := (*engine.UnstorableError)(nil); errors.As(cause, &at) && refused[at.Workflow] == nil {
		without := maps.Clone(refused)
		if without == nil {
			without = map[string]error{}
		}
		without[at.Workflow] = cause
		return in.matchWithout(without, ev)
	}
	m := engine.Match{Event: ev.ID, At: time.Now().UTC(), Called: ev.Inlet == "call", Rules: in.reg.Rules()}
	for _, l := range p.Listeners(&ev.Delivery) {
		m.Decisions = append(m.Decisions, engine.Unrecorded(l.Workflow.ID, l.Workflow.Version, cause))
	}
	err := in.store.Retry(func() error {
		_, err := in.store.Match(in.work, []engine.Match{m})
		return err
	})
	in.mu.Lock()
	delete(in.matching, ev.ID)
	in.mu.Unlock()
	if err != nil {
		// It stays in the inbox until the next start, and is not picked up before.
		in.o.Log.Error("an event cannot be decided", "event", ev.ID, "error", err, "cause", cause)
		return nil
	}
	in.matched(ev, m, engine.MatchResult{}, nil)
	in.wakeUp()
	return nil
}

// evaluate evaluates the workflows that listen to an event. On the fast path (until set) it
// has no side effects; results after until must be discarded. refused are the workflows whose decision the
// database has refused before.
func (in *Intake) evaluate(p *registry.Snapshot, ev *engine.Event, until time.Time, refused map[string]error) (m engine.Match,
	live []*runner.Execution) {
	m = engine.Match{Event: ev.ID, At: time.Now().UTC()}
	if len(ev.Hidden) > 0 {
		m.Mask = in.o.Redactor.With(ev.Hidden)
	}
	if ev.Inlet == "call" {
		if why, is := in.runner.IsToEnd(ev.ID); is {
			m.Called, m.Decisions = true, endedBefore(ev, why)
			return m, nil
		}
	}
	names, err := ev.Names()
	listeners, notRead := in.reg.ListenersTo(in.work, p, ev)
	if notRead != nil {
		m.Decisions = append(m.Decisions, unreadable(ev, notRead))
	}
	for _, l := range listeners {
		if cause := refused[l.Workflow.ID]; cause != nil {
			m.Decisions = append(m.Decisions, engine.Unrecorded(l.Workflow.ID, l.Workflow.Version, cause))
			continue
		}
		d, start, ex := in.evaluateWorkflow(l, ev, names, err, until)
		m.Decisions = append(m.Decisions, d)
		if start != nil {
			m.Starts = append(m.Starts, *start)
		}
		if ex != nil {
			live = append(live, ex)
		}
	}
	m.Called = ev.Inlet == "call"
	if in.reg.Awaited(ev.Trigger) {
		m.Wakes = &engine.EventWait{Trigger: ev.Trigger, Key: ev.Key}
	}
	m.Cancels = in.reg.CancelsOf(ev, names)
	return m, live
}

// evaluateWorkflow evaluates one workflow. start is the update that begins its run, nil for none;
// ex is the run's execution, nil if it must wait for a concurrency slot or its rate.
func (in *Intake) evaluateWorkflow(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error,
	until time.Time) (d engine.Decision, start *engine.RunUpdate, ex *runner.Execution) {
	defer func() {
		// A bug triggered by one event must not end the process again at each start.
		if p := recover(); p != nil {
			d, start, ex = in.panicked(l, ev, p), nil, nil
		}
	}()
	if l.Off == engine.Held {
		return l.Away(), nil, nil
	}
	d = l.Evaluate(ev, names, unreadable, until)
	if d.Outcome != engine.Matched {
		return d, nil, nil
	}
	d.Run = engine.RunID(in.reg.NextID())
	start, ex, err := in.runner.Begin(ev, l.Workflow, d.Run, names, until)
	if err != nil {
		return notBegun(d, err), nil, nil
	}
	return d, start, ex
}

// EvaluateQueued evaluates one workflow like evaluateWorkflow, for a run that waits in the store.
// With alone, its event is not gathered with others.
func (in *Intake) EvaluateQueued(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error,
	alone bool) (d engine.Decision, start *engine.RunUpdate) {
	defer func() {
		if p := recover(); p != nil {
			d, start = in.panicked(l, ev, p), nil
		}
	}()
	d = l.Evaluate(ev, names, unreadable, time.Time{})
	if d.Outcome != engine.Matched {
		return d, nil
	}
	d.Run = engine.RunID(in.reg.NextID())
	start, err := in.runner.BeginQueued(ev, l.Workflow, d.Run, names, alone)
	if err != nil {
		return notBegun(d, err), nil
	}
	return d, start
}

// endedBefore is the decision about an event whose caller no longer waits for it.
func endedBefore(ev *engine.Event, why string) []engine.Decision {
	return []engine.Decision{{Workflow: ev.Only, Version: ev.Headers[registry.VersionHeader], Outcome: engine.Dropped, Reason: why}}
}

// notBegun is the decision about an event whose run cannot evaluate the conditions it has to wait
// for.
func notBegun(d engine.Decision, err error) engine.Decision {
	d.Run, d.Outcome, d.Reason = 0, engine.RuleFailed, engine.Problem(err)
	return d
}

// panicked is the decision about an event whose rule panicked.
func (in *Intake) panicked(l engine.Listener, ev *engine.Event, p any) engine.Decision {
	in.o.Log.Error("a decision panicked", "event", ev.ID, "workflow", l.Workflow.ID, "panic", p, "stack", string(debug.Stack()))
	return engine.Decision{Workflow: l.Workflow.ID, Version: l.Workflow.Version, Outcome: engine.RuleFailed,
		Reason: fmt.Sprintf("deciding panicked, which is a bug in Hookloom: %v", p)}
}

// matched continues after the decisions about an event are on disk. It returns the runs to execute
// now.
func (in *Intake) matched(ev *engine.Event, m engine.Match, result engine.MatchResult,
	live []*runner.Execution) (going []*runner.Execution) {
	in.runner.Decided(ev, m, result.Woken)
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
	in.reportMatch(ev, m)
	in.waiters.notify(ev.ID)
	return in.runner.Started(starts, live, result)
}

func manualInputs(w *workflows.Workflow, given map[string]any) (map[string]any, error) {
	startable := false
	for _, s := range w.Starts {
		startable = startable || s.ByHand()
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

// Decided reports a decision that is stored.
func (in *Intake) Decided(ev *engine.Event, d *engine.Decision) {
	mask := in.reg.MaskOf(ev)
	in.runner.Report(engine.Change{Event: ev, Decision: d, Mask: mask})
	if d.Outcome == engine.RuleFailed {
		in.ruleFailed(ev, d, mask)
	}
}

func (in *Intake) reportMatch(ev *engine.Event, m engine.Match) {
	for i := range m.Decisions {
		in.runner.Report(engine.Change{Event: ev, Decision: &m.Decisions[i], Mask: m.Mask})
		if m.Decisions[i].Outcome == engine.RuleFailed {
			in.ruleFailed(ev, &m.Decisions[i], in.reg.MaskOf(ev))
		}
	}
	for _, s := range m.Starts {
		in.runner.ReportUpdate(ev, s)
	}
}

// unreadable is the decision about a call whose workflow's version cannot be read.
func unreadable(ev *engine.Event, err error) engine.Decision {
	return engine.Decision{Workflow: ev.Only, Version: cmp.Or(ev.Headers[registry.VersionHeader], "?"), Outcome: engine.RuleFailed,
		Reason: err.Error()}
}

// ruleFailed logs that a workflow could not decide about an event. The alert is raised with the
// change, see noteChange.
func (in *Intake) ruleFailed(ev *engine.Event, d *engine.Decision, mask *redact.Masker) {
	in.o.Log.Warn("a rule failed: this workflow does not run for the event", "event", ev.ID, "workflow", d.Workflow,
		"trigger", ev.Trigger, "error", mask.Text(d.Reason),
		"again", fmt.Sprintf("hookloom replay %s --workflow %s", ev.ID, d.Workflow))
}
