package intake

import (
	"github.com/hookloom/hookloom/engine"
)

// orderedQueue holds events that must be decided one after another, in order of arrival: those of
// workflows with concurrency, rate or cancel_on, and of workflows that are switched off with
// --hold. It is guarded by Intake.mu.
type orderedQueue struct {
	queue []*engine.Event
	// draining reports that a goroutine is deciding the events of the queue.
	draining bool
	// backlog reports that ordered events are in the inbox and not in the queue: no later event may
	// overtake them. missed counts the events left there.
	backlog bool
	missed  int
}

// orderedBatch is the largest number of ordered events decided in one transaction.
const orderedBatch = 64

// enqueueOrdered adds an event to the ordered queue. The event stays in the inbox only if older
// ones are still only there, or if the queue is full. The caller holds Intake.mu.
func (in *Intake) enqueueOrdered(ev *engine.Event, fromInbox bool) {
	l := &in.ordered
	if in.matching[ev.ID] {
		return
	}
	if len(l.queue) >= in.o.MaxMatches/4 || l.backlog && !fromInbox {
		l.backlog = true
		in.backlog.Store(true)
		l.missed++
		return
	}
	in.matching[ev.ID] = true
	l.queue = append(l.queue, ev.WithoutBody())
	if !l.draining {
		l.draining = true
		in.goroutines.Add(1)
		go in.matchOrdered()
	}
}

// matchOrdered decides the events of the ordered queue until it is empty.
func (in *Intake) matchOrdered() {
	defer in.goroutines.Done()
	for {
		in.mu.Lock()
		n := min(len(in.ordered.queue), orderedBatch)
		if n == 0 || in.stopping {
			in.dropOrdered()
			in.mu.Unlock()
			return
		}
		batch := append([]*engine.Event(nil), in.ordered.queue[:n]...)
		in.mu.Unlock()
		// The first event may wait for memory, since nothing is held meanwhile; a later one that
		// needs memory becomes the first of the next batch.
		first, err := in.store.AwaitShare(in.work, batch[0])
		if err != nil {
			in.mu.Lock()
			in.dropOrdered()
			in.ordered.backlog = true
			in.backlog.Store(true)
			in.ordered.missed++
			in.mu.Unlock()
			in.putBack(batch[0].ID, err)
			return
		}
		batch[0] = first
		for i, ev := range batch {
			if !in.store.TryShare(ev) {
				batch = batch[:i]
				break
			}
		}
		in.mu.Lock()
		in.ordered.queue = in.ordered.queue[len(batch):]
		in.mu.Unlock()
		going := in.match(batch...)
		for _, ev := range batch {
			ev.Share.Release()
		}
		in.runner.ExecuteAll(going)
	}
}

// dropOrdered empties the queue; its events are in the inbox. The caller holds Intake.mu.
func (in *Intake) dropOrdered() {
	for _, ev := range in.ordered.queue {
		delete(in.matching, ev.ID)
	}
	in.ordered.queue, in.ordered.draining = nil, false
}

// caughtUp notes that the whole inbox was read when missed had the given value. The backlog is over
// if no event was left there since. The caller holds Intake.mu.
func (l *orderedQueue) caughtUp(missed int) {
	if l.missed == missed {
		l.backlog = false
	}
}
