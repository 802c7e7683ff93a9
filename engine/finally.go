package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// This file is how a run that is cancelled comes to the finally steps of its workflow.
// That it is being cancelled, and why, is on record before the first of them begins, so
// that a crash between the two changes nothing. A run that has not begun has nothing to
// clean up: it ends at once.

// cancelledByHand is why a run ends that a person cancelled.
func cancelledByHand() *plan.Error {
	return &plan.Error{Message: "the run was cancelled", Code: "cancelled"}
}

// isFinal tells that a path is of a step of finally.
func isFinal(path string) bool { return strings.HasPrefix(path, plan.FinallyPath+"/") }

// noteFinally notes that steps of finally have begun: only a person may cut them.
func (dr *driver) noteFinally() {
	if len(dr.state.Workflow.Finally) == 0 || dr.ending {
		return
	}
	for path := range dr.state.Records {
		if isFinal(path) {
			dr.e.mu.Lock()
			dr.ending = true
			dr.e.mu.Unlock()
			return
		}
	}
}

// cutBeforeFinally tells that a run was cut in the moment before its first steps of
// finally, which are then asked for again. From here on only a person may cut them.
func (dr *driver) cutBeforeFinally(d plan.Decision) bool {
	if len(dr.state.Workflow.Finally) == 0 || dr.ending {
		return false
	}
	begins := slices.ContainsFunc(d.Due, func(x plan.Due) bool { return isFinal(x.Path) }) ||
		slices.ContainsFunc(d.Calls, func(c plan.Call) bool { return isFinal(c.Path) })
	if !begins {
		return false
	}
	dr.e.mu.Lock()
	defer dr.e.mu.Unlock()
	dr.ending = !dr.cut()
	return !dr.ending
}

// toFinally leads a run that was cut to its finally steps. It gives false when there is
// nothing to be done for it any more: it has none, or they were cut.
func (dr *driver) toFinally() bool {
	if len(dr.state.Workflow.Finally) == 0 {
		return false
	}
	dr.e.mu.Lock()
	why := dr.why
	if dr.ending {
		// Who cut it while it was being loaded did not know that it had come this far.
		if why != nil {
			dr.why = nil
			dr.ctx, dr.cancel = context.WithCancel(dr.e.work)
		}
		dr.e.mu.Unlock()
		return why != nil
	}
	if why == nil {
		why = cancelledByHand()
	}
	dr.run.Ending, dr.why, dr.ending = why, nil, true
	dr.ctx, dr.cancel = context.WithCancel(dr.e.work)
	dr.e.mu.Unlock()
	dr.state.Cancelled = why
	dr.stopWaiting(dr.state.Now)
	return true
}

// cancelLater has a stored run come to its finally steps. It gives false for one that
// can end at once.
func (e *Engine) cancelLater(ctx context.Context, r *Run, why *plan.Error) (bool, error) {
	if r.StartedAt.IsZero() || r.Ending != nil {
		return false, nil
	}
	w, err := e.version(ctx, r, r.ID)
	if err != nil || len(w.Finally) == 0 {
		return false, nil // a run that cannot be compiled is cancelled all the same
	}
	t, err := e.o.Store.Peek(ctx, r.ID)
	if e.rowsFault(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, rec := range t.Records {
		if isFinal(rec.Path) {
			return why != nil, nil // only a person cuts them
		}
	}
	if why == nil {
		why = cancelledByHand()
	}
	now := time.Now().UTC()
	if err := e.o.Store.End(ctx, r.ID, why, now); err != nil {
		return false, err
	}
	e.dueAt(now)
	return true, nil
}
