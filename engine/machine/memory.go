package machine

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
)

// maxDecoded is the budget of all events and runs.
const maxDecoded = 40 << 20

// tryShare gives a stored event with a share, if it can have one at once. An event
// that is absent is not loaded: it needs awaitShare.
func (e *Engine) tryShare(ev *engine.Event) bool {
	n := ev.MemorySize()
	if n == 0 || ev.Share != nil {
		return true
	}
	if ev.Absent > 0 || !e.decoded.Try(n) {
		return false
	}
	ev.Share = memory.NewShare(e.decoded, n)
	return true
}

// awaitShare gives a stored event with its share, which the caller lets go. While it
// waits it does not hold the body.
func (e *Engine) awaitShare(ctx context.Context, ev *engine.Event) (*engine.Event, error) {
	if e.tryShare(ev) {
		return ev, nil
	}
	ev = ev.WithoutBody()
	n := ev.Absent
	if err := e.decoded.Take(ctx, n); err != nil {
		return nil, err
	}
	loaded, err := e.o.Store.Event(ctx, ev.ID)
	if err != nil {
		e.decoded.Give(n)
		return nil, fmt.Errorf("loading event %s again: %w", ev.ID, err)
	}
	loaded.Share = memory.NewShare(e.decoded, n)
	return loaded, nil
}
