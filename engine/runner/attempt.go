package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
)

// startAttempts starts the recorded attempts that are due, several at once, and waits for a reason
// to continue: an attempt that ended, news, a permit, or the time wake. A slow attempt delays only
// its own branch.
func (ex *Execution) startAttempts() {
	if len(ex.due) == 1 && ex.inFlight == 0 && ex.wake.IsZero() && ex.permitReady == nil {
		d := ex.due[0]
		r := ex.attempt(d, ex.allowed(d), ex.permitOf(d))
		ex.HideCredentials(r)
		ex.unsaved = append(ex.unsaved, r)
		ex.due = nil
		return
	}
	if ex.results == nil {
		ex.results = make(chan *plan.Record)
	}
	for _, d := range ex.due {
		ex.inFlight++
		allowed, permit := ex.allowed(d), ex.permitOf(d)
		go func() { ex.results <- ex.attempt(d, allowed, permit) }()
	}
	ex.due = nil
	if ex.inFlight == 0 || ex.more {
		return
	}
	var timer <-chan time.Time
	if !ex.wake.IsZero() {
		t := time.NewTimer(time.Until(ex.wake))
		defer t.Stop()
		timer = t.C
	}
	select {
	case r := <-ex.results:
		ex.ended(r)
	case <-timer:
		return
	case <-ex.news:
		ex.lookUp()
		return
	case <-ex.permitReady:
		return
	}
	// Attempts that have ended in the meantime share the update.
	for ex.inFlight > 0 {
		select {
		case r := <-ex.results:
			ex.ended(r)
		default:
			return
		}
	}
}

func (ex *Execution) ended(r *plan.Record) {
	ex.inFlight--
	ex.HideCredentials(r)
	ex.unsaved = append(ex.unsaved, r)
}

// attempt makes one attempt of one step. It may run beside others and reads no mutable field of
// the execution.
func (ex *Execution) attempt(d plan.Due, allowed limit, permit *destination.Permit) (r *plan.Record) {
	defer func() {
		if p := recover(); p != nil { // a bug in one step must not end other runs
			r.Status, r.FinishedAt, r.Output = plan.Failed, time.Now().UTC(), nil
			r.Error = &plan.Error{Message: fmt.Sprintf("the step panicked: %v", p), Code: "panic", Step: d.Path, Attempts: d.Attempt}
		}
	}()
	r = &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Succeeded}
	permit.Renew(ex.ctx)
	if d.Step.Spec.SideEffects {
		ex.awaitLease()
	}
	r.StartedAt = time.Now().UTC()
	if !d.Step.Spec.SideEffects {
		r.Input, r.Notes = d.Shown, d.Notes // attempts with side effects have this on record since open
	}
	timed, cancel := newAttemptContext(ex.ctx, allowed)
	defer cancel()
	ctx := context.Context(timed)
	r.Destination = permit.Name()
	if d.Step.Spec.SideEffects {
		room := memory.NewRoom(ex.rn.o.Budgets.Answers, ex.rn.o.Budgets.Parsed, timed.pause)
		ctx = memory.WithRoom(ctx, room)
		defer func() { ex.rooms.add(r, room) }()
	}
	result, err := ex.do(ex.traced(ctx, d.Path, d.Attempt), d)
	r.FinishedAt = time.Now().UTC()
	if err == nil {
		permit.Release(destination.Outcome{})
		r.Output, err = d.Output(ex.Run.ID.String(), result)
		if err == nil {
			return r
		}
		permit = nil
	}
	var held *engine.HeldError
	if errors.As(err, &held) && ex.rn.work.Err() == nil {
		permit.Release(destination.Outcome{Cut: true})
		return ex.heldAttempt(r, d, held)
	}
	r.Status, r.Error = plan.Failed, ex.explain(timed, d, err, time.Since(r.StartedAt))
	r.Error.Bound()
	permit.Release(outcome(d.Step, r.Error, ex.ctx.Err() != nil || r.Error.Code == engine.CodeToken))
	r.Output = r.Error.Details
	if errors.Is(err, engine.ErrUnanswered) || ex.rn.work.Err() != nil {
		// The request may have arrived: report that, and let the step's policy decide.
		r.Status = plan.Unknown
		if ex.rn.work.Err() != nil {
			r.Error, r.FinishedAt = nil, time.Now().UTC()
		}
	}
	return r
}

// leaseAgain is how often an attempt that may not begin looks whether it may.
const leaseAgain = 20 * time.Millisecond

// awaitLease returns when this node may begin an attempt. Its lease comes back, or it has ended: another
// node has taken over the run then, and this process ends.
func (ex *Execution) awaitLease() {
	for !ex.rn.store.MayBegin() {
		select {
		case <-ex.ctx.Done():
			return
		case <-time.After(leaseAgain):
		}
	}
}

func (ex *Execution) do(ctx context.Context, d plan.Due) (result any, err error) {
	defer func() {
		// A bug in one step must not end other runs.
		if p := recover(); p != nil {
			err = &plan.Error{Message: fmt.Sprintf("the action panicked: %v", p), Code: "panic"}
		}
	}()
	a := ex.rn.o.Actions[engine.ActionName(d.Step)]
	if a == nil {
		return nil, &plan.Error{Message: fmt.Sprintf("there is no action %s", d.Step.Uses), Code: "unsupported"}
	}
	in := ex.input(d)
	if !d.Step.Spec.SideEffects {
		in.With = d.Shown // these actions only display their input
	}
	in.Key = engine.IdempotencyKey(ex.rn.store.Instance(), ex.KeyRun(d.Path), d.Path)
	endpoint, err := ex.endpoint(a, in)
	if err != nil {
		return nil, err
	}
	result, err = a.Do(ctx, in)
	return result, ex.gone(ctx, endpoint, d, err)
}

// input builds the input of an attempt, without its idempotency key.
func (ex *Execution) input(d plan.Due) engine.Input {
	p := ex.rn.reg.Snapshot()
	// A url: that consists of one expression is a link from an answer.
	link := d.With["connection"] != nil && d.Step.With.Field("url").IsExpression()
	return engine.Input{Spec: d.Step.Spec, With: d.With, Run: ex.Run.ID, Workflow: ex.Run.Workflow, Path: d.Path, Attempt: d.Attempt,
		Now: d.Began().In(p.Timezone), Connections: p.Connections,
		Inside: ex, Dir: p.Dir, Folder: p.FileBounds.Folder, Files: ex.rn.o.Files, MaxFile: p.FileBounds.MaxFile, Link: link,
		Secret: ex.rn.reg.Secret, Redact: ex.Masker().Text}
}

// explain converts an action's error into the error that is recorded.
func (ex *Execution) explain(timed *attemptContext, d plan.Due, err error, took time.Duration) *plan.Error {
	var known *plan.Error
	out := &plan.Error{Message: err.Error(), Code: "failed", Retryable: true}
	if errors.As(err, &known) {
		c := *known
		out = &c
	}
	if errors.Is(timed.Err(), context.DeadlineExceeded) {
		out.Code, out.Retryable = "timeout", true
		switch {
		case timed.ownTimeout():
			out.Message = fmt.Sprintf("no answer within %s", d.Step.Timeout)
		case !d.Deadline.IsZero() && !time.Now().Before(d.Deadline):
			out.Message = fmt.Sprintf("cut after %s: %s", took.Round(time.Millisecond), d.CutByGroup())
		default:
			out.Message = fmt.Sprintf("cut after %s: the run took longer than its timeout of %s", took.Round(time.Millisecond),
				ex.State.Workflow.Timeout)
		}
	}
	out.Step, out.Attempts = d.Path, d.Attempt
	out.Message = ex.Masker().Text(out.Message)
	return out
}

// traced adds the traceparent of an attempt to its context.
func (ex *Execution) traced(ctx context.Context, path string, attempt int) context.Context {
	_, sent := ex.Event.Headers["traceparent"]
	if !sent && (ex.rn.o.Watch == nil || !ex.rn.o.Watch.Traces()) {
		return ctx
	}
	return engine.WithTraceparent(ctx, engine.TraceOf(ex.Event.ID, ex.Event.Headers).Header(engine.AttemptSpan(ex.Run.ID, path, attempt)))
}
