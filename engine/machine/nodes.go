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
	// suspectsFor is how long after a change of the nodes their suspects are looked for: the lease for
	// them may be free only when all the work of a node that is gone was taken over.
	suspectsFor = 15 * time.Second
)

// followNodes takes over the work of nodes that are gone, and takes up its share of the runs that other
// nodes have made due.
func (e *Engine) followNodes(ctx context.Context) {
	tick := time.NewTicker(takeOverEvery)
	defer tick.Stop()
	unsettled := time.Time{}
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
			unsettled = time.Now().Add(suspectsFor)
		case <-tick.C:
			if e.takeOver(ctx) {
				unsettled = time.Now().Add(suspectsFor)
			}
			if time.Now().Before(unsettled) && e.suspectsLeft(ctx) {
				unsettled = time.Now().Add(suspectsFor)
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
}

// suspectsLeft executes the suspects if that is this node's work; it reports whether some are left.
func (e *Engine) suspectsLeft(ctx context.Context) bool {
	left, err := e.runner.ResumeSuspects(ctx)
	if err != nil && ctx.Err() == nil {
		e.o.Log.Warn("runs that may have ended their node cannot be read now; it is tried again", "error", err)
	}
	return left
}

// takeOver takes over the work of nodes that are gone; it reports whether there was some.
func (e *Engine) takeOver(ctx context.Context) bool {
	taken, err := e.store.TakeOver(ctx, time.Now())
	if err != nil {
		if ctx.Err() == nil {
			e.o.Log.Warn("the work of nodes that are gone cannot be taken over now; it is tried again", "error", err)
		}
		return false
	}
	if taken == (engine.TakenOver{}) {
		return false
	}
	e.o.Log.Info("the work of a node that is gone continues here", "runs", taken.Runs, "events", taken.Events)
	e.runner.DueAt(time.Now())
	e.runner.GatherDue(time.Now())
	e.intake.Adopted()
	return true
}
