package runner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file implements the step that calls another workflow. The event that begins the called run
// is stored in the transaction that records the step as waiting; the end of the called run makes
// the caller due.

// call records the steps that call a workflow. It reports whether there was one.
func (ex *Execution) call(calls []plan.Call) bool {
	for _, c := range calls {
		now := ex.State.Now
		r := &plan.Record{Path: c.Path, Attempt: c.Attempt, Action: "call", StartedAt: now, Input: c.Inputs}
		ev, err := ex.calling(c, now)
		switch {
		case err != nil:
			r.Status, r.FinishedAt, r.Error = plan.Failed, now, err
		case c.Detach:
			r.Status, r.FinishedAt = plan.Succeeded, now
			output, err := c.Output(ex.Run.ID.String(), map[string]any{"event": ev.ID.String()})
			if err != nil {
				errors.As(err, &r.Error)
				r.Status = plan.Failed
			}
			r.Output = output
		default:
			r.Status = plan.Waiting
			r.Waits = []plan.Wait{{Kind: plan.WaitCall, Event: ev.ID.String(), Workflow: c.Workflow, Until: c.Until}}
		}
		if ev != nil {
			ex.emits = append(ex.emits, ev)
		}
		ex.State.AddRecord(r)
		ex.unsaved = append(ex.unsaved, r)
	}
	return len(calls) > 0
}

// calling makes the event that begins the called run.
func (ex *Execution) calling(c plan.Call, now time.Time) (*engine.Event, *plan.Error) {
	rn := ex.rn
	refused := func(format string, args ...any) (*engine.Event, *plan.Error) {
		return nil, &plan.Error{Message: fmt.Sprintf(format, args...), Code: "cannot_call", Step: c.Path}
	}
	var w *workflows.Workflow
	err := rn.store.Retry(func() (err error) {
		w, err = rn.reg.Callee(rn.work, ex.Run, ex.Event, c.Workflow)
		return err
	})
	if err != nil {
		return nil, &plan.Error{Message: err.Error(), Code: "gone", Step: c.Path}
	}
	if !rn.reg.Snapshot().Enabled(w) {
		return refused("workflow %s is not enabled", c.Workflow)
	}
	inputs, problems := workflows.CheckInputs(w.Inputs, c.Inputs)
	if len(problems) > 0 {
		return refused("%s: %s", c.Workflow, strings.Join(problems, "; "))
	}
	if _, err := value.Fit(inputs); err != nil {
		return nil, plan.TooLarge(err, "what workflow "+c.Workflow+" is handed", "hand over less, such as an id", c.Path)
	}
	headers := map[string]string{"x-called-by": ex.Run.ID.String(), registry.ChainHeader: ex.Chain().String(),
		registry.KeyHeader: engine.IdempotencyKey(rn.store.Instance(), ex.KeyRun(c.Path), c.Path), registry.VersionHeader: w.Version,
		registry.AsOfHeader: registry.AsOf(ex.Run, ex.Event).String()}
	d := engine.Delivery{Trigger: c.Workflow, Inlet: "call", Key: fmt.Sprintf("%s/%s/%d", ex.Run.ID, c.Path, c.Attempt), Type: "call",
		Time: now, ReceivedAt: now,
		Inputs: inputs, SecretInputs: w.SecretInputs(), Hidden: registry.HiddenInputs(w.SecretInputs(), inputs, ex.Hidden),
		Only: c.Workflow, Decoded: true, Headers: headers, Query: map[string]string{}}
	return &engine.Event{ID: engine.EventID(rn.reg.NextID()), Delivery: d}, nil
}

// subscriberEvents makes the events for workflows that listen to the end of a run.
func (rn *Runner) subscriberEvents(r *engine.Run, of *engine.Event) []*engine.Event {
	var out []*engine.Event
	for _, l := range rn.reg.Snapshot().EndListeners(r.Workflow) {
		if !slices.Contains(l.Start.Statuses, string(r.Status)) {
			continue
		}
		c := registry.ChainOf(of).With(r.Workflow, 1, 0)
		if c.Runs > registry.MaxRuns {
			rn.o.Log.Warn("a chain of runs is too deep", "run", r.ID, "workflow", r.Workflow, "not_started", l.Workflow.ID,
				"limit", registry.MaxRuns)
			continue
		}
		facts := map[string]any{"run_id": r.ID.String(), "workflow": r.Workflow, "status": string(r.Status), "output": r.Output, "error": nil}
		if r.Error != nil {
			facts["error"] = map[string]any{"message": value.CutText(r.Error.Message, plan.MaxErrorText), "code": r.Error.Code, "step": r.Error.Step}
		}
		out = append(out, &engine.Event{ID: engine.EventID(rn.reg.NextID()),
			Delivery: engine.Delivery{Trigger: l.Workflow.ID, Inlet: "workflow_run", Key: r.ID.String(), Type: "workflow_run." + string(r.Status),
				Time: r.FinishedAt, ReceivedAt: r.FinishedAt, Inputs: facts, Hidden: of.Hidden, Only: l.Workflow.ID, Decoded: true,
				Headers: map[string]string{registry.ChainHeader: c.String()}, Query: map[string]string{}}})
	}
	return out
}

// lookForCalled looks up how the run that a step called has ended, if it has.
func (ex *Execution) lookForCalled(r *plan.Record, call *plan.Wait) error {
	id, err := engine.ParseEventID(call.Event)
	if err != nil {
		return fmt.Errorf("step %s waits for %q: %w", r.Path, call.Event, err)
	}
	var c engine.CallState
	err = ex.rn.store.Retry(func() (err error) {
		c, err = ex.rn.store.Called(ex.rn.work, id)
		return err
	})
	if ex.rn.store.RowsFault(err) {
		ex.State.Answers[r.Path] = &plan.Answer{Attempt: r.Attempt, Verdict: "call",
			Err: &plan.Error{Message: "the result of the called run cannot be read: " + err.Error(), Code: "unreadable", Step: r.Path}}
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for the run that %s called: %w", r.Path, err)
	}
	workflow, a := call.Workflow, &plan.Answer{Attempt: r.Attempt, Verdict: "call"}
	switch {
	case c.Run != nil && !c.Run.Status.Ended(), !c.Decided:
		return nil
	case c.Run != nil && c.Run.Status == engine.Succeeded:
		a.Output = c.Run.Output
	case c.Run != nil:
		message := fmt.Sprintf("workflow %s %s", workflow, strings.ReplaceAll(string(c.Run.Status), "_", " "))
		if c.Run.Error != nil {
			message = value.CutText(message+": "+c.Run.Error.Message, plan.MaxErrorText)
		}
		a.Err = &plan.Error{Message: message, Code: "call_" + string(c.Run.Status), Step: r.Path, Retryable: true, InDoubt: c.InDoubt,
			Details: map[string]any{"run": c.Run.ID.String()}}
	case c.Outcome == engine.Skipped || c.Outcome == engine.Filtered:
		// Its rule did not match: there was nothing to do.
	default:
		reason := c.Reason
		if reason == "" {
			reason = "it no longer exists"
		}
		a.Err = &plan.Error{Message: fmt.Sprintf("workflow %s did not run: %s", workflow, reason), Code: "call_failed", Step: r.Path}
	}
	ex.State.Answers[r.Path] = a
	return nil
}
