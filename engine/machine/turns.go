package machine

import (
	"context"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// turnWait is how long AskForTurn waits for the node that works.
	turnWait = 30 * time.Second
	// turnAgain is how often it looks whether the lease is free, and turnOrder how often it asks for it.
	turnAgain = 100 * time.Millisecond
	turnOrder = 2 * time.Second
)

// turns records the leases under which this node is working. A lease is released only between two pieces
// of work, so that no two nodes work at once.
type turns struct {
	// mu is held while a lease is released: no work that relies on it begins.
	mu    sync.Mutex
	works map[string]*turn
}

// turn is the work under a lease.
type turn struct {
	// now is how many pieces of work are under way; asked is whether another node waits for the lease.
	now   int
	asked bool
}

// Turn begins work that only one node may do, if this node has the lease for it or can take it. end ends
// the work; it is not nil, and has to be called if ok is true.
func (e *Engine) Turn(ctx context.Context, work string) (end func(), ok bool) {
	e.turns.mu.Lock()
	t := e.turns.works[work]
	if t == nil {
		t = &turn{}
		e.turns.works[work] = t
	}
	t.now++
	e.turns.mu.Unlock()
	end = func() { e.endTurn(context.WithoutCancel(ctx), work) }
	if !e.Leads(ctx, work) {
		end()
		return func() {}, false
	}
	return end, true
}

// AskForTurn is Turn for a person who waits: a node that has the lease is asked to release it, which it
// does after its current work.
func (e *Engine) AskForTurn(ctx context.Context, work string) (end func(), ok bool) {
	var asked time.Time
	for deadline := time.Now().Add(turnWait); ; {
		if end, ok = e.Turn(ctx, work); ok || ctx.Err() != nil || time.Now().After(deadline) {
			return end, ok
		}
		if time.Since(asked) > turnOrder {
			asked = time.Now()
			if err := e.store.OrderNodes(ctx, engine.NodeOrder{Kind: engine.OrderYield, Subject: work}); err != nil && ctx.Err() == nil {
				e.store.WarnAgain("another node cannot be asked for its lease now: retrying", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(turnAgain):
		}
	}
}

// yield releases the lease of some work, at once or after the work in progress.
func (e *Engine) yield(ctx context.Context, work string) error {
	e.turns.mu.Lock()
	defer e.turns.mu.Unlock()
	if t := e.turns.works[work]; t != nil {
		t.asked = true
		return nil
	}
	return e.store.EndLease(ctx, work)
}

func (e *Engine) endTurn(ctx context.Context, work string) {
	e.turns.mu.Lock()
	defer e.turns.mu.Unlock()
	t := e.turns.works[work]
	if t.now--; t.now > 0 {
		return
	}
	delete(e.turns.works, work)
	if !t.asked {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, turnOrder)
	defer cancel()
	if err := e.store.EndLease(ctx, work); err != nil { // the other node asks again
		e.store.WarnAgain("a lease cannot be given to another node now", err)
	}
}
