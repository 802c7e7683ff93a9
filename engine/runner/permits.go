package runner

import (
	"context"
	"time"
)

// askAgainAfter is how long permits are not asked for after the store has given none.
const askAgainAfter = 200 * time.Millisecond

// RunPermits asks the store for this node's part of the limits of hosts, and tells the other nodes which hosts
// ask to wait, until ctx ends. It returns at once if the database has one node.
func (rn *Runner) RunPermits(ctx context.Context) {
	if !rn.store.Shared() {
		return
	}
	for {
		rn.tellDelays(ctx)
		var timer <-chan time.Time
		asks, next := rn.destinations.Asks(time.Now())
		switch {
		case len(asks) > 0:
			began := time.Now()
			grants, err := rn.store.TakePermits(ctx, asks)
			if err != nil {
				grants = nil
				select {
				case <-ctx.Done():
				case <-time.After(askAgainAfter):
				}
			}
			rn.destinations.Granted(asks, grants, time.Since(began))
			if ctx.Err() != nil {
				return
			}
			continue
		case !next.IsZero():
			timer = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer:
		case <-rn.permits:
		}
	}
}

// askPermits makes RunPermits look.
func (rn *Runner) askPermits() {
	select {
	case rn.permits <- struct{}{}:
	default: // it is already signalled
	}
}
