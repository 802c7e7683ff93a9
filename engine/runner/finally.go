package runner

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
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
func (ex *Execution) noteFinally() {
	if len(ex.State.Workflow.Finally) == 0 || ex.ending {
		return
	}
	for path := range ex.State.Records {
		if isFinal(path) {
			ex.rn.mu.Lock()
			ex.ending = true
			ex.rn.mu.Unlock()
			return
		}
	}
}

// cutBeforeFinally tells that a run was cut in the moment before its first steps of
// finally, which are then asked for again. From here on only a person may cut them.
func (ex *Execution) cutBeforeFinally(d plan.Decision) bool {
	if len(ex.State.Workflow.Finally) == 0 || ex.ending {
		return false
	}
	begins := slices.ContainsFunc(d.Due, func(x plan.Due) bool { return isFinal(x.Path) }) ||
		slices.ContainsFunc(d.Calls, func(c plan.Call) bool { return isFinal(c.Path) })
	if !begins {
		return false
	}
	ex.rn.mu.Lock()
	defer ex.rn.mu.Unlock()
	ex.ending = !ex.cut()
	return !ex.ending
}

// toFinally leads a run that was cut to its finally steps. It gives false when there is
// nothing to be done for it any more: it has none, or they were cut.
func (ex *Execution) toFinally() bool {
	if len(ex.State.Workflow.Finally) == 0 {
		return false
	}
	ex.rn.mu.Lock()
	why := ex.why
	if ex.ending {
		// Who cut it while it was being loaded did not know that it had come this far.
		if why != nil {
			ex.why = nil
			ex.ctx, ex.cancel = context.WithCancel(ex.rn.work)
		}
		ex.rn.mu.Unlock()
		return why != nil
	}
	if why == nil {
		why = cancelledByHand()
	}
	ex.Run.Ending, ex.why, ex.ending = why, nil, true
	ex.ctx, ex.cancel = context.WithCancel(ex.rn.work)
	ex.rn.mu.Unlock()
	ex.State.Cancelled = why
	ex.stopWaiting(ex.State.Now)
	return true
}

// cancelLater has a stored run come to its finally steps. It gives false for one that
// can end at once.
func (rn *Runner) cancelLater(ctx context.Context, r *engine.Run, why *plan.Error) (bool, error) {
	if r.StartedAt.IsZero() || r.Ending != nil {
		return false, nil
	}
	w, err := rn.reg.Version(ctx, r, r.ID)
	if err != nil || len(w.Finally) == 0 {
		return false, nil // a run that cannot be compiled is cancelled all the same
	}
	t, err := rn.store.LoadRun(ctx, r.ID)
	if rn.store.RowsFault(err) {
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
	if err := rn.store.End(ctx, r.ID, why, now); err != nil {
		return false, err
	}
	rn.DueAt(now)
	return true, nil
}
