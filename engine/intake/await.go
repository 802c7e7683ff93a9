package intake

import (
	"github.com/hookloom/hookloom/workflows/expr"

	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows/value"
)

// waiters are the goroutines that wait for the end of an event's run.
type waiters struct {
	mu      sync.Mutex
	waiting map[engine.EventID][]chan struct{}
}

func (c *waiters) add(id engine.EventID) (ch chan struct{}, remove func()) {
	ch = make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[engine.EventID][]chan struct{}{}
	}
	c.waiting[id] = append(c.waiting[id], ch)
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		list := c.waiting[id]
		for i, x := range list {
			if x == ch {
				list[i] = list[len(list)-1]
				c.waiting[id] = list[:len(list)-1]
			}
		}
		if len(c.waiting[id]) == 0 {
			delete(c.waiting, id)
		}
	}
}

// notify wakes the goroutines that wait for an event.
func (c *waiters) notify(id engine.EventID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.waiting[id] {
		select {
		case ch <- struct{}{}:
		default: // it is already signalled
		}
	}
}

// Await waits until the event's run has ended, or until it is certain that there is none. Of
// several runs it returns that of the workflow whose id comes first. If ctx ends earlier, it
// returns the context's error and the run that is still open, if any.
func (in *Intake) Await(ctx context.Context, id engine.EventID) (*engine.AwaitResult, error) {
	notified, remove := in.waiters.add(id)
	defer remove()
	var elsewhere <-chan engine.Signal // of the ends of runs at other nodes; nil blocks
	if in.store.Shared() {
		elsewhere = in.store.Subscribe(ctx, engine.SignalRuns|engine.SignalEvents)
	}
	for {
		c, err := in.store.Called(context.WithoutCancel(ctx), id)
		if err != nil {
			return nil, fmt.Errorf("looking for the run of event %s: %w", id, err)
		}
		switch {
		case c.Run != nil && c.Run.Status.Ended():
			return in.ended(ctx, c.Run)
		case c.Run == nil && c.Decided:
			return &engine.AwaitResult{}, nil
		}
		select {
		case <-notified:
		case <-elsewhere:
			if err := in.settle(ctx, notified); err != nil {
				return &engine.AwaitResult{Run: c.Run}, err
			}
		case <-ctx.Done():
			return &engine.AwaitResult{Run: c.Run}, ctx.Err()
		}
	}
}

// awaitAgain is how often a wait for a run that another node executes reads the store, at most.
const awaitAgain = 25 * time.Millisecond

// settle waits for awaitAgain, or until the event's run has ended here.
func (in *Intake) settle(ctx context.Context, notified <-chan struct{}) error {
	timer := time.NewTimer(awaitAgain)
	defer timer.Stop()
	select {
	case <-notified:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (in *Intake) ended(ctx context.Context, r *engine.Run) (*engine.AwaitResult, error) {
	ev, err := in.store.Event(ctx, r.Event)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", r.Event, err)
	}
	names, err := ev.Names()
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", r.Event, err)
	}
	output, err := in.forSender(r.Output)
	if err != nil {
		return nil, fmt.Errorf("the output of run %s: %w", r.ID, err)
	}
	rc := &registry.RunContext{Reg: in.reg, Event: ev, Run: r}
	return &engine.AwaitResult{Run: r, Names: expr.Names{"event": names, "output": output, "run": rc.Described(r.ID, r.StartedAt)}}, nil
}

// forSender masks the project's secrets in the response to a sender: a service that echoes a
// request returns them to the workflow, and the sender must not see them.
func (in *Intake) forSender(output any) (any, error) {
	if output == nil {
		return nil, nil
	}
	b, err := value.EncodeStored(output)
	if err != nil {
		return nil, err
	}
	masked, changed := in.o.Redactor.JSON(b)
	if !changed {
		return output, nil
	}
	return value.DecodeStored(masked)
}
