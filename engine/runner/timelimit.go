package runner

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// limit is how long an attempt may take.
type limit struct {
	// step is the step's own timeout. Waits for memory do not count.
	step time.Duration
	// end is when the timeout of the run or of the step's group ends; zero if there is none.
	end time.Time
}

// allowed is how long an attempt may take: the step's timeout, or what remains of the run's
// timeout. Handlers of a run that timed out, and finally steps, get their own time.
func (ex *Execution) allowed(d plan.Due) limit {
	l := limit{step: d.Step.Timeout, end: d.Deadline}
	if ex.State.TimedOut || isFinal(d.Path) {
		return l
	}
	left := ex.State.Workflow.Timeout - ex.Run.Active - time.Since(ex.since)
	if end := time.Now().Add(left); l.end.IsZero() || end.Before(l.end) {
		l.end = end
	}
	return l
}

// duration is how much time is left of a limit if left remains of the step's timeout.
func (l limit) duration(left time.Duration) time.Duration {
	if !l.end.IsZero() {
		left = min(left, time.Until(l.end))
	}
	return max(left, time.Millisecond)
}

// attemptContext is the context of an attempt. It ends with context.DeadlineExceeded when the limit is
// reached. The step's timeout is paused while the attempt waits for memory to read a response: the
// receiver has acted by then, and a retry would repeat the effect.
type attemptContext struct {
	context.Context
	deadline time.Time
	limit    limit

	// Owned by the attempt's goroutine.

	timer *time.Timer
	// until is when the step's timeout is reached.
	until time.Time
}

// newAttemptContext starts the timeout of an attempt. cancel must be called when the attempt has ended.
func newAttemptContext(parent context.Context, l limit) (t *attemptContext, cancel func()) {
	ctx, end := context.WithCancelCause(parent)
	now := time.Now()
	t = &attemptContext{Context: ctx, limit: l, until: now.Add(l.step)}
	allowed := l.duration(l.step)
	t.deadline = now.Add(allowed)
	t.timer = time.AfterFunc(allowed, func() { end(context.DeadlineExceeded) })
	return t, func() {
		t.timer.Stop()
		end(nil)
	}
}

// Deadline implements context.Context. The context ends later if the attempt waits for memory.
func (t *attemptContext) Deadline() (time.Time, bool) { return t.deadline, true }

// Err implements context.Context.
func (t *attemptContext) Err() error {
	err := t.Context.Err()
	if err != nil && errors.Is(context.Cause(t.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// pause pauses the step's timeout until resume, unless the context has ended.
func (t *attemptContext) pause() (resume func()) {
	if !t.timer.Stop() {
		return func() {}
	}
	left := time.Until(t.until)
	return func() {
		t.until = time.Now().Add(left)
		t.timer.Reset(t.limit.duration(left))
	}
}

// ownTimeout reports whether the step's timeout, and not the run's or the group's, ended the attempt.
func (t *attemptContext) ownTimeout() bool {
	return t.limit.end.IsZero() || !t.until.After(t.limit.end)
}
