package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// replaceBeside calls replace on another goroutine, if there is something to replace.
func (rn *Runner) replaceBeside(ids []engine.RunID) {
	if len(ids) == 0 {
		return
	}
	rn.goroutines.Add(1)
	go func() {
		defer rn.goroutines.Done()
		rn.replace(ids)
	}()
}

// replace cancels the runs that newer ones replace.
func (rn *Runner) replace(ids []engine.RunID) {
	for _, id := range ids {
		err := rn.cancel(rn.work, id, engine.ReplacedByNewer())
		if err != nil && !errors.Is(err, engine.ErrStale) && rn.work.Err() == nil {
			rn.o.Log.Error("a run was not replaced", "run", id, "error", err)
		}
	}
}

// replaceLeft cancels, at a start, the runs that the last process left to be replaced.
func (rn *Runner) replaceLeft(ctx context.Context) error {
	ids, err := rn.store.Replaced(ctx)
	if err != nil {
		return fmt.Errorf("looking for runs that are replaced: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	rn.goroutines.Add(1)
	go func() {
		defer rn.goroutines.Done()
		rn.replace(ids)
	}()
	return nil
}
