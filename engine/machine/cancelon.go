package machine

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// cancelBy cancels runs that events have ended.
func (e *Engine) cancelBy(list []engine.CancelledBy) {
	if len(list) == 0 {
		return
	}
	e.goroutines.Add(1)
	go func() {
		defer e.goroutines.Done()
		for _, c := range list {
			why := &plan.Error{Message: fmt.Sprintf("event %s of trigger %s ended it (cancel_on)", c.Event, c.Trigger), Code: "cancelled_by_event",
				Details: map[string]any{"event": c.Event.String(), "trigger": c.Trigger}}
			if err := e.cancel(e.work, c.Run, why); err != nil && !errors.Is(err, engine.ErrStale) && e.work.Err() == nil {
				e.o.Log.Error("a run was not ended by its event", "run", c.Run, "event", c.Event, "error", err)
			}
		}
	}()
}

// cancelLeft takes up at a start what events were about to end before it.
func (e *Engine) cancelLeft(ctx context.Context) error {
	versions, err := e.o.Store.CancelVersions(ctx)
	if err != nil {
		return fmt.Errorf("looking for what ends open runs: %w", err)
	}
	for _, v := range versions {
		w, err := e.reg.Version(ctx, &v, v.ID)
		if err != nil {
			e.o.Log.Warn("no event can end the runs of a version that cannot be read", "workflow", v.Workflow, "version", v.Version, "error", err)
			continue
		}
		e.reg.AddCancelRules(w)
	}
	list, err := e.o.Store.CancelledBy(ctx)
	if err != nil {
		return fmt.Errorf("looking for runs that events have ended: %w", err)
	}
	e.cancelBy(list)
	return nil
}
