package backtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file determines the events that a simulated run makes: those that its steps emit, its calls
// of workflows, and its end.

// origin identifies what made an event: a step of a run, or the end of a run for one listener.
type origin struct {
	run     engine.RunID
	step    string
	attempt int
	// workflow is the one that the end is for; empty for steps.
	workflow string
}

// compare orders origins by time.
func (o origin) compare(x origin) int {
	return cmp.Or(cmp.Compare(o.run, x.run), cmp.Compare(o.step, x.step), cmp.Compare(o.attempt, x.attempt),
		cmp.Compare(o.workflow, x.workflow))
}

// originOf returns what made a recorded event; ok is false if no run did.
func originOf(ev *engine.RecordedEvent) (o origin, ok bool) {
	switch ev.Event.Inlet {
	case workflows.InletEmit:
		return origin{run: ev.Emitted, step: ev.EmittedAt}, ev.Emitted != 0
	case workflows.InletCall: // RUN/PATH/ATTEMPT
		run, rest, _ := strings.Cut(ev.Event.Key, "/")
		i := strings.LastIndexByte(rest, '/')
		id, err := engine.ParseRunID(run)
		if err != nil || i < 0 {
			return o, false
		}
		o = origin{run: id, step: rest[:i]}
		o.attempt, err = strconv.Atoi(rest[i+1:])
		return o, err == nil
	case workflows.InletWorkflowRun:
		id, err := engine.ParseRunID(ev.Event.Key)
		return origin{run: id, workflow: ev.Event.Only}, err == nil
	}
	return o, false
}

// made is an event that the edited run makes, or an event that it no longer makes.
type made struct {
	cause Cause
	// firing is the firing that appears, if its run makes the event; nil for others.
	firing *Firing
	// event is nil if the event is no longer made. unknown is why that is not known. was is the event
	// as another version makes it (Options.Against), nil if that does not make it.
	event, was *engine.Event
	unknown    string
	// recorded is the recorded event in its place, as far as it is known.
	recorded recordedAs
}

// recordedAs tells how to find an event that a recorded run made: by its id, or by its trigger, key
// and time.
type recordedAs struct {
	id           engine.EventID
	trigger, key string
	at           time.Time
}

// callKey is the key of the event by which a step calls a workflow.
func callKey(run engine.RunID, path string, attempt int) string {
	return fmt.Sprintf("%s/%s/%d", run, path, attempt)
}

// chainOf returns the chain of the events of a run of an item.
func chainOf(it *item, runs, emits int) registry.Chain {
	return registry.ChainOf(it.ev.Event).With(it.workflow, runs, emits)
}

// newMade returns an event that a run makes at a time, by a call or by its end.
func newMade(it *item, c *call, at time.Time, how engine.Inlet) *made {
	cause := Cause{Workflow: it.workflow, How: string(how)}
	if it.run != nil {
		cause.Run = it.run.Run.ID.String()
	}
	if c != nil {
		cause.Step = c.path
	}
	return &made{cause: cause, firing: it.firing,
		event: &engine.Event{ID: it.ev.Event.ID, Delivery: engine.Delivery{Inlet: how, Time: at, ReceivedAt: at,
			Query: map[string]string{}}}}
}

// refused are the codes with which a step fails before it makes an event.
var refused = []string{"cannot_call", "gone", "too_large", "chain_too_deep", unknownTrigger, "invalid_input", "secret"}

// madeAt returns the event that a call makes; nil if it makes none.
func (b *run) madeAt(it *item, c *call, side int) *made {
	if c.answer == nil || c.answer.err != nil && slices.Contains(refused, c.answer.err.Code) {
		return nil
	}
	switch {
	case c.called != nil:
		return b.madeCall(it, c, side)
	case c.action == emitAction && c.answer.status == plan.Succeeded:
		return b.madeEmit(it, c)
	}
	return nil
}

// emitAction is the action that emits events.
const emitAction = "hookloom/emit"

// unknownTrigger is the code of an emitted event whose trigger does not exist.
const unknownTrigger = "unknown_trigger"

// refusal returns the error with which the engine refuses an event that a step emits; nil if it takes
// it. A trigger that an expression computes is not known when the project is loaded.
func (b *run) refusal(c *call) *plan.Error {
	if trigger := value.Shown(c.with["trigger"]); b.o.Project.Triggers[trigger] == nil {
		return registry.UnknownTrigger(trigger)
	}
	return nil
}

// madeCall returns the event with which a step calls a workflow.
func (b *run) madeCall(it *item, c *call, side int) *made {
	w := b.listening(side).project.Workflows[c.called.Workflow]
	if w == nil || !w.Enabled {
		return nil
	}
	inputs, problems := workflows.CheckInputs(w.Inputs, c.with)
	if recorded := side == beforeSide && b.o.Against == nil; len(problems) > 0 && !recorded {
		return nil // the version that ran may have accepted what the edited one refuses
	}
	m := newMade(it, c, c.began, workflows.InletCall)
	ev := m.event
	ev.Trigger, ev.Only, ev.Type, ev.Inputs, ev.Decoded = w.ID, w.ID, "call", inputs, true
	ev.Key = callKey(engine.RunID(ev.ID), c.path, c.attempt)
	ev.Headers = map[string]string{registry.ChainHeader: chainOf(it, 0, 0).String()}
	return m
}

// madeEmit returns the event that a step emits.
func (b *run) madeEmit(it *item, c *call) *made {
	trigger, chain := value.Shown(c.with["trigger"]), chainOf(it, 0, 1)
	raw, err := value.EncodeJSON(c.with["data"])
	if b.o.Project.Triggers[trigger] == nil || err != nil || chain.Emits > registry.MaxEmits {
		return nil
	}
	m := newMade(it, c, c.began, workflows.InletEmit)
	ev := m.event
	ev.Trigger, ev.Raw, ev.Type = trigger, raw, trigger
	if x := c.with["type"]; x != nil {
		ev.Type = cmp.Or(value.Shown(x), trigger)
	}
	if x := c.with["key"]; x != nil {
		ev.Key = workflows.ShortKey(value.Shown(x))
	}
	ev.Headers = map[string]string{"content-type": "application/json", registry.ChainHeader: chain.String()}
	return m
}

// madeEnd returns the event that reports the end of a run to a workflow; nil if there is none.
func (b *run) madeEnd(it *item, s *simulation, l engine.Listener) *made {
	chain := chainOf(it, 1, 0)
	if s == nil || s.end == nil || !slices.Contains(l.Start.Statuses, s.end.Status) || chain.Runs > registry.MaxRuns {
		return nil
	}
	m := newMade(it, nil, s.ended, workflows.InletWorkflowRun)
	ev := m.event
	ev.Trigger, ev.Only, ev.Type, ev.Decoded = l.Workflow.ID, l.Workflow.ID, "workflow_run."+s.end.Status, true
	ev.Inputs = map[string]any{"run_id": cmp.Or(m.cause.Run, s.st.RunID), "workflow": it.workflow, "status": s.end.Status,
		"output": s.end.Output, "error": nil}
	if e := s.end.Error; e != nil {
		ev.Inputs["error"] = map[string]any{"message": value.CutText(e.Message, plan.MaxErrorText), "code": e.Code, "step": e.Step}
	}
	ev.Key, ev.Headers = cmp.Or(m.cause.Run, s.st.RunID), map[string]string{registry.ChainHeader: chain.String()}
	return m
}

// as returns the recorded event as a simulated run makes it.
func as(made, recorded *engine.Event) *engine.Event {
	out := *recorded
	out.Type, out.Inputs, out.Raw, out.Decoded, out.Body = made.Type, made.Inputs, made.Raw, made.Decoded, nil
	if d := made.ReceivedAt.Sub(recorded.ReceivedAt); d > slightly || d < -slightly {
		out.Time, out.ReceivedAt = made.Time, made.ReceivedAt
	}
	return &out
}

// endListeners returns the workflows of a side that listen to the ends of a workflow's runs.
func (b *run) endListeners(workflow string, side int) []engine.Listener {
	return registry.EndListenersOf(b.listening(side).byRun, workflow)
}

// listensToEnd reports whether a workflow of a side still listens to the end of a run that a recorded
// event is about.
func (b *run) listensToEnd(w *workflows.Workflow, facts map[string]any, side int) bool {
	of, status := value.Shown(facts["workflow"]), value.Shown(facts["status"])
	return slices.ContainsFunc(b.endListeners(of, side), func(l engine.Listener) bool {
		return l.Workflow.ID == w.ID && slices.Contains(l.Start.Statuses, status)
	})
}

// emittedBefore reports whether an event with the key of an emitted one was there before it.
func (b *run) emittedBefore(ctx context.Context, ev *engine.Event) (bool, error) {
	t := b.o.Project.Triggers[ev.Trigger]
	if ev.Key == "" || t == nil || t.Dedupe() == 0 {
		return false, nil
	}
	k := [2]string{ev.Trigger, ev.Key}
	at, known := b.keys[k]
	if len(b.keys) < maxKeys {
		b.keys[k] = ev.ReceivedAt
	}
	if known && ev.ReceivedAt.Sub(at) < t.Dedupe() {
		return true, nil
	}
	seen, err := b.o.History.KeySeen(ctx, ev.Trigger, ev.Key)
	ago := ev.ReceivedAt.Sub(seen)
	return !seen.IsZero() && ago >= -slightly && ago < t.Dedupe(), err
}

// maxKeys is the maximum number of keys of newly emitted events that are remembered.
const maxKeys = 100_000

// answerMade answers a call for which nothing is recorded: an emitted event is stored at once, and
// the called run is simulated.
func (b *run) answerMade(ctx context.Context, it *item, c *call, side int) (*answer, string) {
	if chain := chainOf(it, 0, 1); c.action == emitAction && chain.Emits > registry.MaxEmits {
		return &answer{status: plan.Failed, err: registry.ChainTooDeep(value.Shown(c.with["trigger"]), chain)}, ""
	}
	if c.action == emitAction {
		return &answer{status: plan.Succeeded, raw: true, output: map[string]any{"event": it.ev.Event.ID.String(),
			"trigger": value.Shown(c.with["trigger"]), "key": workflows.ShortKey(value.Shown(c.with["key"])), "duplicate": false}}, ""
	}
	if c.called.Detach {
		return &answer{status: plan.Succeeded, raw: true, output: map[string]any{"event": it.ev.Event.ID.String()}}, ""
	}
	c.answer = &answer{}
	m := b.madeCall(it, c, side)
	if c.answer = nil; m == nil {
		return &answer{status: plan.Failed, err: &plan.Error{Code: "cannot_call", Message: fmt.Sprintf("workflow %s cannot be called: it does "+
			"not exist, is not enabled, or refuses the inputs", c.called.Workflow)}}, ""
	}
	return b.answerCalled(ctx, b.itemOf(m, b.listening(side).project.Workflows[c.called.Workflow]))
}

// answerCalled simulates a called run, and returns what its caller sees of it.
func (b *run) answerCalled(ctx context.Context, called *item) (*answer, string) {
	ev, names, err := called.event(afterSide)
	d := called.listener.Evaluate(ev, names, err, time.Time{})
	switch d.Outcome {
	case engine.Matched:
	case engine.Skipped, engine.Filtered:
		return &answer{status: plan.Succeeded, raw: true}, ""
	default:
		return &answer{status: plan.Failed, err: &plan.Error{Code: "call_failed",
			Message: fmt.Sprintf("workflow %s did not run: %s", called.workflow, d.Reason)}}, ""
	}
	s := b.follow(ctx, called, called.listener.Workflow, afterSide)
	if called.after = s; s.end == nil {
		return nil, fmt.Sprintf("the called run of %s is %s", called.workflow, cmp.Or(unknownFrom(s), "unknown"))
	}
	return calledAnswer(called.workflow, s), ""
}

// calledAnswer is what the caller of a run sees of its end.
func calledAnswer(workflow string, s *simulation) *answer {
	took := s.took()
	if s.end.Status == string(engine.Succeeded) {
		return &answer{status: plan.Succeeded, raw: true, output: s.end.Output, took: took}
	}
	message := fmt.Sprintf("workflow %s %s", workflow, strings.ReplaceAll(s.end.Status, "_", " "))
	if s.end.Error != nil {
		message = value.CutText(message+": "+s.end.Error.Message, plan.MaxErrorText)
	}
	return &answer{status: plan.Failed, took: took, err: &plan.Error{Message: message, Code: "call_" + s.end.Status, Retryable: true}}
}

// itemOf returns the item of an event that is not recorded, for one workflow.
func (b *run) itemOf(m *made, w *workflows.Workflow) *item {
	it := &item{ev: &engine.RecordedEvent{Event: cmp.Or(m.event, m.was)}, workflow: w.ID, cause: &m.cause, firing: m.firing,
		listener: engine.Listener{Workflow: w, Start: workflows.Start{Kind: "manual"}}, problem: m.unknown, absent: m.was == nil}
	it.names, it.namesErr = it.ev.Event.Names()
	if m.was != nil {
		it.sides[beforeSide] = newOnSide(m.was)
	}
	return it
}
