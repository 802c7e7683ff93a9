package egress

import (
	"context"
	"sync"
	"time"
)

// places bound the connections that are open at once, where the system allows few open
// files. Beyond the bound a dial closes those that are idle, and waits.
type places struct {
	// free has one entry for each connection that may be opened; nil bounds nothing.
	free chan struct{}
}

// placeWait is how often a dial that waits closes idle connections.
const placeWait = 10 * time.Millisecond

// SetMaxConnections bounds the connections that are open at once; 0 bounds nothing. It
// is to be called before the first request.
func (gd *Guard) SetMaxConnections(n int) {
	if n <= 0 {
		return
	}
	gd.places.free = make(chan struct{}, n)
	for range n {
		gd.places.free <- struct{}{}
	}
}

func (gd *Guard) closeIdle() { gd.transport.Load().CloseIdleConnections() }

// take waits for a place; release gives it back and may be called more than once.
func (p *places) take(ctx context.Context, closeIdle func()) (release func(), err error) {
	if p.free == nil {
		return func() {}, nil
	}
	give := sync.OnceFunc(func() { p.free <- struct{}{} })
	for {
		select {
		case <-p.free:
			return give, nil
		default:
		}
		closeIdle()
		select {
		case <-p.free:
			return give, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(placeWait):
		}
	}
}
