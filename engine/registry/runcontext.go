package registry

import (
	"github.com/hookloom/hookloom/workflows/expr"

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
)

// RunContext is a run with what its expressions see. It is sufficient to evaluate them, to call the
// planner and to mask output; it holds no slot, no memory and no goroutine. An Execution adds
// those.
type RunContext struct {
	Reg   *Registry
	Event *engine.Event
	Run   *engine.Run
	State *plan.State
	// kept are the calls of earlier runs in doubt that this run repeats, by path.
	kept map[string]engine.KeptKey
	// Cancels are the keys by which events end the run.
	Cancels []engine.CancelKey
	// deepest is the event of a batch with the longest chain of emitted events.
	deepest *engine.Event
	// Hidden are values that are masked in this run only, with those of the project;
	// mask does it.
	Hidden []string
	mask   atomic.Pointer[redact.Masker]
}

// Begin sets the state for the planner, without records.
func (rc *RunContext) Begin(w *workflows.Workflow, names map[string]any, started time.Time) {
	rc.State = plan.NewState(w, names, rc.Event.InputsOf(w), rc.KeyRoot(), started)
	rc.State.Began, rc.State.Secrets, rc.State.Hidden = rc.Run.WaitsFrom(rc.Event), rc.Reg.secretsOf(w), rc.Event.Hidden
	rc.Hide(rc.Event.Hidden)
	rc.State.Run = rc.Described(rc.Run.ID, started)
}

// maxHidden is the largest number of values that a run adds to those of its inputs: a loop whose
// responses each set another cookie would make masking ever slower.
const maxHidden = 64

// Hide masks further values from now on.
func (rc *RunContext) Hide(values []string) {
	added := false
	for _, v := range values {
		if v != "" && len(rc.Hidden) < len(rc.Event.Hidden)+maxHidden && !slices.Contains(rc.Hidden, v) {
			rc.Hidden, added = append(rc.Hidden, v), true
		}
	}
	if added {
		rc.mask.Store(rc.Reg.o.Redactor.With(rc.Hidden))
	}
}

// HideCredentials masks from now on credentials in responses, such as cookies and tokens, secrets
// in a stored output, and the fields of history.redact.
func (rc *RunContext) HideCredentials(r *plan.Record) {
	found := workflows.Credentials(r.Output, r.Masked)
	if found = append(found, rc.Reg.o.Redactor.StepValues(r.Path, "output", r.Output)...); len(found) > 0 {
		rc.Hide(found)
	}
}

// Masker masks what is stored or shown of the run.
func (rc *RunContext) Masker() *redact.Masker {
	if m := rc.mask.Load(); m != nil {
		return m
	}
	return rc.Reg.EveryRun()
}

// Described is what expressions see as run.
func (rc *RunContext) Described(id engine.RunID, started time.Time) map[string]any {
	return map[string]any{"id": id.String(), "url": rc.Reg.o.RunURL(id), "attempt": 1, "started_at": started,
		"workflow": rc.Run.Workflow, "trigger": rc.Event.Trigger, "test": false}
}

// secretsOf looks up the secrets that a workflow names.
func (g *Registry) secretsOf(w *workflows.Workflow) map[string]any {
	out := map[string]any{}
	for _, n := range w.SecretNames() {
		if v, ok := g.Secret(n); ok {
			out[n] = v
		}
	}
	return out
}

// KeyRoot is the source of the idempotency keys of a run's steps, and of uuid(): the run or, for a
// called run, the calling step, so that the next attempt of the call sends the same keys. A replay
// has new ones.
func (rc *RunContext) KeyRoot() string { return rc.rootOf(rc.Run.ID, rc.Run.Repeats != 0) }

// rootOf is KeyRoot for any run of the event.
func (rc *RunContext) rootOf(run engine.RunID, replay bool) string {
	if rc.Event != nil && rc.Event.Inlet == workflows.InletCall && !replay {
		return cmp.Or(rc.Event.Headers[KeyHeader], run.String())
	}
	return run.String()
}

// CarryOn lets a run that continues another one see what that one saw: the same ids and random
// values and, for calls in doubt, the same time and the same idempotency key. Otherwise the
// receiver would treat a repeated call as a new one.
func (rc *RunContext) CarryOn(t *engine.LoadedRun) {
	if t.Run.Continues == 0 {
		return
	}
	rc.State.RunID = rc.rootOf(t.Run.Continues, t.FirstReplays)
	if !t.FirstStarted.IsZero() {
		rc.State.StartedAt = t.FirstStarted
	}
	rc.kept = t.Kept
	for path, k := range t.Kept {
		if rc.State.Kept == nil {
			rc.State.Kept = map[string]*plan.Kept{}
		}
		rc.State.Kept[path] = &plan.Kept{Run: rc.Described(k.Run, rc.State.StartedAt), Began: k.Began}
	}
}

// KeyRun is the root of a step's idempotency key.
func (rc *RunContext) KeyRun(path string) string {
	if k, ok := rc.kept[path]; ok {
		return rc.rootOf(k.Run, k.Replays)
	}
	return rc.KeyRoot()
}

// Masked masks questions: they are shown to anyone who may answer, also by a link.
func (rc *RunContext) Masked(questions []plan.Question) []plan.Question {
	for i := range questions {
		questions[i].Text = rc.Masker().Text(questions[i].Text)
	}
	return questions
}

// keyEnv is what the keys of debounce, batch and cancel_on see.
func keyEnv(st *plan.State, ev *engine.Event) *expr.Env {
	return &expr.Env{Names: expr.Names{"event": st.Event, "inputs": st.Inputs}, Now: ev.ReceivedAt, Seed: ev.ID.String()}
}

// ReadEvents loads the events of a run's batch.
func (rc *RunContext) ReadEvents(ctx context.Context, of engine.RunID) error {
	if !IsBatch(rc.State.Workflow) {
		return nil
	}
	ids, _, err := rc.Reg.o.Store.Gathered(ctx, of)
	if err != nil {
		return fmt.Errorf("looking for the events of batch %s: %w", of, err)
	}
	rc.State.Events = make([]any, 0, len(ids)+1)
	rc.State.Events = append(rc.State.Events, rc.State.Event)
	for _, id := range ids {
		ev, err := rc.Reg.o.Store.Event(ctx, id)
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
		rc.Hide(ev.Hidden)
		rc.State.Events = append(rc.State.Events, names)
		if ChainOf(ev).Emits > rc.Chain().Emits {
			rc.deepest = ev
		}
	}
	return nil
}

// ContextOf returns the context of a run that is not executing, without records. of is the run that
// has the events of a batch.
func (g *Registry) ContextOf(ctx context.Context, w *workflows.Workflow, ev *engine.Event, r *engine.Run,
	of engine.RunID) (*RunContext, error) {
	names, err := ev.Names()
	if err != nil {
		return nil, err
	}
	rc := &RunContext{Reg: g, Event: ev, Run: r}
	rc.Begin(w, names, time.Now().UTC())
	return rc, rc.ReadEvents(ctx, of)
}

// Chain is the origin of the run; for a batch, that of the event with the longest chain.
func (rc *RunContext) Chain() Chain {
	if rc.deepest != nil {
		return ChainOf(rc.deepest)
	}
	return ChainOf(rc.Event)
}
