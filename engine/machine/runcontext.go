package machine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// runContext is a run with what its expressions see. It is enough to evaluate them, to ask
// the planner and to mask what is shown; it holds no slot, no memory and no goroutine. A
// execution adds those.
type runContext struct {
	e     *Engine
	event *engine.Event
	run   *engine.Run
	state *plan.State
	// kept are the calls in doubt of the runs that this one continues, by path.
	kept map[string]engine.KeptKey
	// cancels are the keys by which events end the run.
	cancels []engine.CancelKey
	// deepest is the event of a batch that the longest chain of emitted events led to.
	deepest *engine.Event
	// hidden are values that are masked in this run only, with those of the project;
	// mask does it.
	hidden []string
	mask   atomic.Pointer[redact.Masker]
}

// begin gives the run the state that the planner decides from, with nothing on record.
func (rc *runContext) begin(w *workflows.Workflow, names map[string]any, started time.Time) {
	rc.state = plan.NewState(w, names, rc.event.InputsOf(w), rc.keyRoot(), started)
	rc.state.Began, rc.state.Secrets, rc.state.Hidden = rc.run.WaitsFrom(rc.event), rc.e.secretsOf(w), rc.event.Hidden
	rc.hide(rc.event.Hidden)
	rc.state.Run = rc.described(rc.run.ID, started)
}

// maxHidden bounds the values that a run adds to those of its inputs: a loop whose
// answers all bring another cookie would make the search for them ever longer.
const maxHidden = 64

// hide masks further values from now on.
func (rc *runContext) hide(values []string) {
	added := false
	for _, v := range values {
		if v != "" && len(rc.hidden) < len(rc.event.Hidden)+maxHidden && !slices.Contains(rc.hidden, v) {
			rc.hidden, added = append(rc.hidden, v), true
		}
	}
	if added {
		rc.mask.Store(rc.e.o.Redactor.With(rc.hidden))
	}
}

// hideCredentials masks from now on what came back as a credential: cookies, tokens.
func (rc *runContext) hideCredentials(r *plan.Record) {
	if found := workflows.Credentials(r.Output, nil); len(found) > 0 {
		rc.hide(found)
	}
}

// masker masks what is kept or shown of the run.
func (rc *runContext) masker() *redact.Masker {
	if m := rc.mask.Load(); m != nil {
		return m
	}
	return rc.e.everyRun
}

// described is what expressions see of a run.
func (rc *runContext) described(id engine.RunID, started time.Time) map[string]any {
	return map[string]any{"id": id.String(), "url": rc.e.o.RunURL(id), "attempt": 1, "started_at": started,
		"workflow": rc.run.Workflow, "trigger": rc.event.Trigger, "test": false}
}

// secretsOf looks up the secrets that a workflow names.
func (e *Engine) secretsOf(w *workflows.Workflow) map[string]any {
	out := map[string]any{}
	for _, n := range w.SecretNames() {
		if v, ok := e.secret(n); ok {
			out[n] = v
		}
	}
	return out
}

// keyRoot is what the idempotency keys of a run's steps, and uuid(), come from: the run;
// for a called one the step that called it, so that the next attempt of the call sends
// the same keys. A replay is a new beginning.
func (rc *runContext) keyRoot() string { return rc.rootOf(rc.run.ID, rc.run.Repeats != 0) }

// rootOf is the same for any run of the event.
func (rc *runContext) rootOf(run engine.RunID, replay bool) string {
	if rc.event != nil && rc.event.Inlet == "call" && !replay {
		return cmp.Or(rc.event.Headers[keyHeader], run.String())
	}
	return run.String()
}

// carryOn has a run that continues another one see what that one saw: the same ids and
// random values, and, for calls in doubt, the same moment and the same idempotency key.
// Otherwise a call that may have taken effect would be another one to its receiver.
func (rc *runContext) carryOn(t *engine.Taken) {
	if t.Run.Continues == 0 {
		return
	}
	rc.state.RunID = rc.rootOf(t.Run.Continues, t.FirstReplays)
	if !t.FirstStarted.IsZero() {
		rc.state.StartedAt = t.FirstStarted
	}
	rc.kept = t.Kept
	for path, k := range t.Kept {
		if rc.state.Kept == nil {
			rc.state.Kept = map[string]*plan.Kept{}
		}
		rc.state.Kept[path] = &plan.Kept{Run: rc.described(k.Run, rc.state.StartedAt), Began: k.Began}
	}
}

// keyRun is the root of the idempotency key that a step has.
func (rc *runContext) keyRun(path string) string {
	if k, ok := rc.kept[path]; ok {
		return rc.rootOf(k.Run, k.Replays)
	}
	return rc.keyRoot()
}

// masked masks questions: they are shown to whoever answers, also by a link.
func (rc *runContext) masked(questions []plan.Question) []plan.Question {
	for i := range questions {
		questions[i].Text = rc.masker().Text(questions[i].Text)
	}
	return questions
}

// keyEnv is what the keys of debounce, batch and cancel_on see.
func (rc *runContext) keyEnv() *expr.Env {
	return &expr.Env{Names: expr.Names{"event": rc.state.Event, "inputs": rc.state.Inputs}, Now: rc.event.ReceivedAt,
		Seed: rc.event.ID.String()}
}

// readEvents loads the events of a batch, which are those of a run.
func (rc *runContext) readEvents(ctx context.Context, of engine.RunID) error {
	if !isBatch(rc.state.Workflow) {
		return nil
	}
	ids, _, err := rc.e.o.Store.Gathered(ctx, of)
	if err != nil {
		return fmt.Errorf("looking for the events of batch %s: %w", of, err)
	}
	rc.state.Events = make([]any, 0, len(ids)+1)
	rc.state.Events = append(rc.state.Events, rc.state.Event)
	for _, id := range ids {
		ev, err := rc.e.o.Store.Event(ctx, id)
		if err != nil {
			return fmt.Errorf("event %s of the batch: %w", id, err)
		}
		if ev.Stripped {
			return fmt.Errorf("the body of event %s, which is in the batch, was pruned (history: bodies)", id)
		}
		names, err := ev.Names()
		if err != nil {
			return fmt.Errorf("event %s of the batch: %w", id, err)
		}
		rc.hide(ev.Hidden)
		rc.state.Events = append(rc.state.Events, names)
		if chainOf(ev).emits > rc.chain().emits {
			rc.deepest = ev
		}
	}
	return nil
}

// contextOf is the context of a run that is not at work, with nothing on record. of is the
// run that has the events of a batch.
func (e *Engine) contextOf(ctx context.Context, w *workflows.Workflow, ev *engine.Event, r *engine.Run,
	of engine.RunID) (*runContext, error) {
	names, err := ev.Names()
	if err != nil {
		return nil, err
	}
	rc := &runContext{e: e, event: ev, run: r}
	rc.begin(w, names, time.Now().UTC())
	return rc, rc.readEvents(ctx, of)
}

// chain is how the run came about; that of a batch is as deep as the deepest of its
// events.
func (rc *runContext) chain() chain {
	if rc.deepest != nil {
		return chainOf(rc.deepest)
	}
	return chainOf(rc.event)
}
