package triggers

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hookloom/hookloom/engine/permit"
)

// limiter enforces the rate of a trigger.
type limiter interface {
	// allow returns zero if a delivery may be accepted, and otherwise how long to wait. An error means that
	// it is not known.
	allow(ctx context.Context) (wait time.Duration, err error)
}

// newLimiter makes the limiter of a trigger: limit deliveries at once, and one more each per/limit.
func newLimiter(trigger string, limit int, per time.Duration, permits Permits) limiter {
	if permits == nil {
		return ownRate{rate.NewLimiter(rate.Limit(float64(limit)/per.Seconds()), limit)}
	}
	every := per / time.Duration(limit)
	return &sharedRate{permits: permits, turn: make(chan struct{}, 1),
		ask: permit.Ask{Name: "trigger " + trigger, Every: every, Ahead: time.Duration(limit-1) * every}}
}

// ownRate is the rate of the only node.
type ownRate struct{ *rate.Limiter }

func (l ownRate) allow(context.Context) (time.Duration, error) {
	if l.Allow() {
		return 0, nil
	}
	next := l.Reserve()
	defer next.Cancel()
	return max(next.Delay(), 1), nil
}

// askTime is how long deliveries wait for the answer about their rate.
const askTime = 10 * time.Second

// sharedRate is the rate of several nodes. Each delivery takes a permit of the database; those that arrive
// while the node asks are asked for together. The node keeps no permits: what a node has in stock when the
// bucket is full would be more than the rate.
type sharedRate struct {
	permits Permits
	ask     permit.Ask

	// turn is held by the delivery that asks, for all that wait.
	turn chan struct{}

	mu      sync.Mutex
	waiting []chan permitted
	// closedUntil is when the next delivery may be accepted at any node.
	closedUntil time.Time
}

// permitted is the answer for one delivery.
type permitted struct {
	wait time.Duration
	err  error
}

func (l *sharedRate) allow(ctx context.Context) (time.Duration, error) {
	l.mu.Lock()
	if wait := time.Until(l.closedUntil); wait > 0 {
		l.mu.Unlock()
		return wait, nil
	}
	answer := make(chan permitted, 1)
	l.waiting = append(l.waiting, answer)
	l.mu.Unlock()
	for {
		select {
		case p := <-answer:
			return p.wait, p.err
		case l.turn <- struct{}{}:
			l.askAll(ctx)
			<-l.turn
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// askAll asks for the deliveries that wait. The others wait for the answer even if the sender of the one
// that asks has gone.
func (l *sharedRate) askAll(ctx context.Context) {
	l.mu.Lock()
	list := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
	defer cancel()
	a := l.ask
	a.Starts = len(list)
	grants, err := l.permits(ctx, []permit.Ask{a})
	if err != nil {
		for _, answer := range list {
			answer <- permitted{err: err}
		}
		return
	}
	g := grants[0]
	if g.Starts < len(list) {
		l.mu.Lock()
		l.closedUntil = time.Now().Add(g.Next)
		l.mu.Unlock()
	}
	for i, answer := range list {
		if i < g.Starts {
			answer <- permitted{}
		} else {
			answer <- permitted{wait: max(g.Next, 1)}
		}
	}
}
