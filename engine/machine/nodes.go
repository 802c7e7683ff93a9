package machine

import (
	"context"
	"errors"
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

// followed are the changes at other nodes that followNodes applies.
const followed = engine.SignalDueElsewhere | engine.SignalNodes | engine.SignalInbox | engine.SignalOrders | engine.SignalSwitches

// followNodes keeps up with the other nodes of a shared database: it takes over the work of those that
// are gone, takes up its share of the runs that they have made due, carries out their orders, and reads
// again what they have changed.
func (e *Engine) followNodes(ctx context.Context) {
	if !e.store.Shared() {
		return
	}
	tick := time.NewTicker(takeOverEvery)
	defer tick.Stop()
	unsettled := time.Time{}
	heard := e.store.Subscribe(ctx, followed)
	for {
		select {
		case <-ctx.Done():
			return
		case kinds := <-heard:
			e.follow(ctx, kinds)
			if kinds&engine.SignalNodes != 0 {
				e.takeOver(ctx)
				unsettled = time.Now().Add(suspectsFor)
			}
		case <-tick.C:
			e.follow(ctx, engine.SignalOrders)
			if e.takeOver(ctx) || time.Now().Before(unsettled) && e.suspectsLeft(ctx) {
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

// follow applies changes at other nodes.
func (e *Engine) follow(ctx context.Context, kinds engine.Signal) {
	if kinds&engine.SignalDueElsewhere != 0 {
		e.runner.DueAt(time.Now())
		e.runner.NewsElsewhere()
	}
	if kinds&engine.SignalInbox != 0 {
		e.intake.Adopted()
	}
	var err error
	if kinds&engine.SignalOrders != 0 {
		err = e.runner.CarryOutOrders(ctx)
	}
	if kinds&engine.SignalSwitches != 0 {
		err = errors.Join(err, e.reg.Refresh(ctx), e.runner.ReloadPaused(ctx))
	}
	if err != nil && ctx.Err() == nil {
		e.store.WarnAgain("changes and requests of other nodes cannot be read now: retrying", err)
	}
}

// suspectsLeft executes the suspects if that is this node's work; it reports whether some are left.
func (e *Engine) suspectsLeft(ctx context.Context) bool {
	left, err := e.runner.ResumeSuspects(ctx)
	if err != nil && ctx.Err() == nil {
		e.store.WarnAgain("runs that may have crashed their node cannot be read now: retrying", err)
	}
	return left
}

// takeOver takes over the work of nodes that are gone; it reports whether there was some.
func (e *Engine) takeOver(ctx context.Context) bool {
	taken, err := e.store.TakeOver(ctx, time.Now())
	if err != nil {
		if ctx.Err() == nil {
			e.store.WarnAgain("the work of dead nodes cannot be taken over now: retrying", err)
		}
		return false
	}
	if taken == (engine.TakenOver{}) {
		return false
	}
	e.o.Log.Info("the work of a node that is gone continues here", "runs", taken.Runs, "events", taken.Events)
	e.runner.DueAt(time.Now())
	e.runner.GatherDue(time.Now())
	e.runner.EndCalled()
	if err := e.runner.CancelLeft(ctx); err != nil && ctx.Err() == nil {
		e.o.Log.Warn("called runs that a lost node should have ended are still open", "error", err)
	}
	e.intake.Adopted()
	return true
}
