package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// cancelBy cancels runs that events have cancelled (cancel_on).
func (rn *Runner) cancelBy(list []engine.CancelledBy) {
	if len(list) == 0 {
		return
	}
	rn.goroutines.Add(1)
	go func() {
		defer rn.goroutines.Done()
		for _, c := range list {
			why := &plan.Error{Message: fmt.Sprintf("event %s of trigger %s ended it (cancel_on)", c.Event, c.Trigger), Code: "cancelled_by_event",
				Details: map[string]any{"event": c.Event.String(), "trigger": c.Trigger}}
			if err := rn.cancel(rn.work, c.Run, why); err != nil && !errors.Is(err, engine.ErrStale) && rn.work.Err() == nil {
				rn.o.Log.Error("a run was not ended by its event", "run", c.Run, "event", c.Event, "error", err)
			}
		}
	}()
}

// cancelLeft applies, at a start, the cancellations by events that the last process left undone.
func (rn *Runner) cancelLeft(ctx context.Context) error {
	versions, err := rn.store.CancelVersions(ctx)
	if err != nil {
		return fmt.Errorf("looking for what ends open runs: %w", err)
	}
	for _, v := range versions {
		w, err := rn.version(ctx, &v, v.ID)
		if err != nil {
			rn.o.Log.Warn("cancel_on ignores runs of an unreadable workflow version", "workflow", v.Workflow, "version", v.Version, "error", err)
			continue
		}
		rn.reg.AddCancelRules(w)
	}
	list, err := rn.store.CancelledBy(ctx)
	if err != nil {
		return fmt.Errorf("looking for runs that events have ended: %w", err)
	}
	rn.cancelBy(list)
	return nil
}
