package egress

import (
	"context"
	"sync"
	"time"
)

// places limits the number of open connections where the system allows few open files. At the
// limit, a dial closes idle connections and waits.
type places struct {
	// free has one entry for each connection that may be opened; nil sets no limit.
	free chan struct{}
}

// placeWait is the interval at which a waiting dial closes idle connections.
const placeWait = 10 * time.Millisecond

// SetMaxConnections limits the number of open connections; 0 sets no limit. It must be called
// before the first request.
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

// take waits for a place; release frees it and may be called more than once.
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
