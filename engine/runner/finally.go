package runner

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file executes the finally steps of a cancelled run. The cancellation and its reason are
// stored before the first finally step begins, so a crash in between loses nothing. A run that has
// not begun has nothing to clean up: it ends at once.

// cancelledByHand is the reason for a run that a person cancelled.
func cancelledByHand() *plan.Error {
	return &plan.Error{Message: "the run was cancelled", Code: "cancelled"}
}

// isFinal reports whether a path is that of a finally step.
func isFinal(path string) bool { return strings.HasPrefix(path, plan.FinallyPath+"/") }

// noteFinally notes that finally steps have begun: only a person may cancel them.
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

// cutBeforeFinally reports that a run was cancelled just before its first finally steps, which are
// then planned again. From here on only a person may cancel them.
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

// toFinally continues a cancelled run with its finally steps. It returns false if nothing remains
// to be done: it has none, or they were cancelled.
func (ex *Execution) toFinally() bool {
	if len(ex.State.Workflow.Finally) == 0 {
		return false
	}
	ex.rn.mu.Lock()
	why := ex.why
	if ex.ending {
		// The canceller did not know, while the run was being loaded, that it had reached finally.
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

// cancelLater makes a stored run execute its finally steps. It returns false for a run that can
// end at once.
func (rn *Runner) cancelLater(ctx context.Context, r *engine.Run, why *plan.Error) (bool, error) {
	if r.StartedAt.IsZero() || r.Ending != nil {
		return false, nil
	}
	w, err := rn.version(ctx, r, r.ID)
	if err != nil || len(w.Finally) == 0 {
		return false, nil // a run that cannot be compiled can still be cancelled
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
			return why != nil, nil // only a person may cancel them
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
