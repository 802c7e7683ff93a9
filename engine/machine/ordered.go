package machine

import (
	"github.com/hookloom/hookloom/engine"
)

// orderedQueue holds events that must be decided one after another, in the order of their
// arrival: of workflows with concurrency, rate or cancel_on, and of those that hold events
// back. It is guarded by Engine.mu.
type orderedQueue struct {
	queue []*engine.Event
	// draining tells that a goroutine decides what is in the queue.
	draining bool
	// backlog tells that ordered events are in the inbox and not in the queue: no later one
	// may overtake them. missed counts those that were left there.
	backlog bool
	missed  int
}

// orderedBatch is the largest number of ordered events decided in one transaction.
const orderedBatch = 64

// enqueueOrdered adds an event to the ordered queue, unless older ones are still in the inbox
// only, or the queue is full: it then stays in the inbox too. The caller holds Engine.mu.
func (e *Engine) enqueueOrdered(ev *engine.Event, fromInbox bool) {
	l := &e.ordered
	if e.matching[ev.ID] {
		return
	}
	if len(l.queue) >= e.o.MaxMatches/4 || l.backlog && !fromInbox {
		l.backlog, e.backlog = true, true
		l.missed++
		return
	}
	e.matching[ev.ID] = true
	l.queue = append(l.queue, ev.WithoutBody())
	if !l.draining {
		l.draining = true
		e.goroutines.Add(1)
		go e.matchOrdered()
	}
}

// matchOrdered decides the events of the ordered queue until it is empty.
func (e *Engine) matchOrdered() {
	defer e.goroutines.Done()
	for {
		e.mu.Lock()
		n := min(len(e.ordered.queue), orderedBatch)
		if n == 0 || e.stopping {
			e.dropOrdered()
			e.mu.Unlock()
			return
		}
		batch := append([]*engine.Event(nil), e.ordered.queue[:n]...)
		e.mu.Unlock()
		// The first may wait for memory, since nothing is held meanwhile; a later one that
		// needs it becomes the first of the next batch.
		first, err := e.awaitShare(e.work, batch[0])
		if err != nil {
			e.mu.Lock()
			e.dropOrdered()
			e.ordered.backlog, e.backlog = true, true
			e.ordered.missed++
			e.mu.Unlock()
			e.putBack(batch[0].ID, err)
			return
		}
		batch[0] = first
		for i, ev := range batch {
			if !e.tryShare(ev) {
				batch = batch[:i]
				break
			}
		}
		e.mu.Lock()
		e.ordered.queue = e.ordered.queue[len(batch):]
		e.mu.Unlock()
		going := e.match(batch...)
		for _, ev := range batch {
			ev.Share.Release()
		}
		e.executeAll(going)
	}
}

// dropOrdered empties the queue; its events are in the inbox. The caller holds Engine.mu.
func (e *Engine) dropOrdered() {
	for _, ev := range e.ordered.queue {
		delete(e.matching, ev.ID)
	}
	e.ordered.queue, e.ordered.draining = nil, false
}

// caughtUp notes that the whole inbox was read when missed was as given. The backlog is over
// if none was left there since. The caller holds Engine.mu.
func (l *orderedQueue) caughtUp(missed int) {
	if l.missed == missed {
		l.backlog = false
	}
}
