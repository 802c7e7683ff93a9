package machine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// takeOverEvery is how often the engine looks for nodes that are gone.
	takeOverEvery = time.Second
	// followEvery is how often the engine looks for runs that other nodes have made due, at most.
	followEvery = 50 * time.Millisecond
)

// followNodes takes over the work of nodes that are gone, and takes up its share of the runs that other
// nodes have made due.
func (e *Engine) followNodes(ctx context.Context) {
	tick := time.NewTicker(takeOverEvery)
	defer tick.Stop()
	heard := e.store.Subscribe(ctx, engine.SignalDueElsewhere|engine.SignalNodes)
	for {
		select {
		case <-ctx.Done():
			return
		case kinds := <-heard:
			e.runner.DueAt(time.Now())
			if kinds&engine.SignalNodes == 0 {
				break
			}
			e.takeOver(ctx)
		case <-tick.C:
			e.takeOver(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
}

// takeOver takes over the work of nodes that are gone.
func (e *Engine) takeOver(ctx context.Context) {
	taken, err := e.store.TakeOver(ctx, time.Now())
	if err != nil {
		if ctx.Err() == nil {
			e.o.Log.Warn("the work of nodes that are gone cannot be taken over now; it is tried again", "error", err)
		}
		return
	}
	if taken == (engine.TakenOver{}) {
		return
	}
	e.o.Log.Info("the work of a node that is gone continues here", "runs", taken.Runs, "events", taken.Events)
	e.runner.DueAt(time.Now())
	e.intake.Adopted()
}
