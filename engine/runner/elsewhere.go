package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file keeps up with the other nodes of a shared database.

// orderCancel ends a run that another node executes. That node cancels it as soon as it reads the order;
// if it ends before, another one does.
func (rn *Runner) orderCancel(ctx context.Context, id engine.RunID, why *plan.Error) error {
	err := rn.store.OrderNodes(ctx, engine.NodeOrder{Kind: engine.OrderCancel, Subject: id.String(), Why: why})
	if err != nil {
		return fmt.Errorf("ordering the end of run %s: %w", id, err)
	}
	return nil
}

// tellDelays tells the other nodes for how long hosts ask to wait.
func (rn *Runner) tellDelays(ctx context.Context) {
	for _, d := range rn.destinations.Delays() {
		err := rn.store.OrderNodes(ctx, engine.NodeOrder{Kind: engine.OrderDelay,
			Subject: d.Until.UTC().Format(time.RFC3339Nano) + " " + d.Name})
		if err != nil && ctx.Err() == nil {
			rn.o.Log.Warn("the other nodes were not notified that a host asks to wait: the host will ask them too", "destination", d.Name,
				"error", err)
		}
	}
}

// CarryOutOrders executes the requests of other nodes.
func (rn *Runner) CarryOutOrders(ctx context.Context) error {
	list, err := rn.store.NodeOrders(ctx)
	if err != nil {
		return fmt.Errorf("reading requests of other nodes: %w", err)
	}
	for _, o := range list {
		if err := rn.carryOut(ctx, o); err != nil {
			return err
		}
		if err := rn.store.DoneOrder(ctx, o.ID); err != nil {
			return err
		}
	}
	return nil
}

func (rn *Runner) carryOut(ctx context.Context, o engine.NodeOrder) error {
	switch o.Kind {
	case engine.OrderCancel:
		id, err := engine.ParseRunID(o.Subject)
		if err == nil {
			err = rn.cancel(ctx, id, o.Why)
		}
		if errors.Is(err, engine.ErrStale) || errors.Is(err, engine.ErrNotFound) {
			err = nil // it has ended
		}
		return err
	case engine.OrderLift:
		rn.destinations.Lift(o.Subject)
	case engine.OrderDelay:
		at, name, _ := strings.Cut(o.Subject, " ")
		if until, err := time.Parse(time.RFC3339Nano, at); err == nil {
			rn.destinations.Delay(destination.Delay{Name: name, Until: until})
		}
	case engine.OrderReady:
		_, err := rn.ready(ctx, o.Subject)
		return err
	case engine.OrderYield:
		if rn.o.Yield != nil {
			return rn.o.Yield(ctx, o.Subject)
		}
	}
	return nil
}

// ReloadPaused reads which endpoints are paused.
func (rn *Runner) ReloadPaused(ctx context.Context) error {
	list, err := rn.store.Paused(ctx)
	if err != nil {
		return fmt.Errorf("looking for paused endpoints: %w", err)
	}
	paused := map[string]bool{}
	for _, p := range list {
		paused[p.Key] = true
		rn.paused.LoadOrStore(p.Key, p)
	}
	rn.paused.Range(func(k, v any) bool {
		// One that is paused here meanwhile is not in the list yet.
		if key, _ := k.(string); !paused[key] && time.Since(v.(engine.Pause).At) > pauseSettles {
			rn.paused.Delete(k)
		}
		return true
	})
	return nil
}

// pauseSettles is how long an endpoint may be paused in memory and not in a list that was being read.
const pauseSettles = 2 * time.Second

// NewsElsewhere makes the executing runs that wait for an event or an answer look whether it has arrived
// at another node.
func (rn *Runner) NewsElsewhere() {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	for _, ex := range rn.atWork {
		if ex.news != nil {
			select {
			case ex.news <- struct{}{}:
			default: // it is already signalled
			}
		}
	}
}

// EndCalled executes the requests to end called runs that a dead node has not executed.
func (rn *Runner) EndCalled() { rn.endCalled() }

// CancelLeft cancels the runs that newer ones replace, left by a node that is gone; and those that events
// have ended.
func (rn *Runner) CancelLeft(ctx context.Context) error {
	if err := rn.replaceLeft(ctx); err != nil {
		return err
	}
	list, err := rn.store.CancelledBy(ctx)
	if err != nil {
		return fmt.Errorf("looking for runs that events have ended: %w", err)
	}
	rn.cancelBy(list)
	return nil
}
