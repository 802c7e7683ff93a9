package machine

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// replaceBeside calls replace on a goroutine of its own, if there is something to replace.
func (e *Engine) replaceBeside(ids []engine.RunID) {
	if len(ids) == 0 {
		return
	}
	e.goroutines.Add(1)
	go func() {
		defer e.goroutines.Done()
		e.replace(ids)
	}()
}

// replace cancels the runs that newer ones take the place of.
func (e *Engine) replace(ids []engine.RunID) {
	for _, id := range ids {
		err := e.cancel(e.work, id, &plan.Error{Message: "a newer run took its place (on_full: replace)", Code: "replaced"})
		if err != nil && !errors.Is(err, engine.ErrStale) && e.work.Err() == nil {
			e.o.Log.Error("a run was not replaced", "run", id, "error", err)
		}
	}
}

// replaceLeft cancels, at a start, those that were to be replaced before it.
func (e *Engine) replaceLeft(ctx context.Context) error {
	ids, err := e.o.Store.Replaced(ctx)
	if err != nil {
		return fmt.Errorf("looking for runs that are replaced: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	e.goroutines.Add(1)
	go func() {
		defer e.goroutines.Done()
		e.replace(ids)
	}()
	return nil
}
