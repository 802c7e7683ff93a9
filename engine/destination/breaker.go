package destination

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"
)

func (ds *Table) newBreaker(d *destination) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{Name: d.name, Interval: breakerWindow,
		BucketPeriod: breakerWindow / 10, Timeout: ds.o.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.TotalFailures >= breakerFailures && 2*c.TotalFailures >= c.Requests
		},
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) { ds.changed(d, from, to) }})
}

// changed is called by the breaker, with the lock held.
func (ds *Table) changed(d *destination, from, to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		// Each probe that fails makes the next pause longer.
		if d.pause = min(2*d.pause, max(maxPause, ds.o.Pause)); from == gobreaker.StateClosed {
			d.pause = ds.o.Pause
		}
		d.closedUntil, d.limit = time.Now().Add(d.pause+10*time.Millisecond), 1
		if from == gobreaker.StateClosed {
			ds.o.Log.Warn("a destination does not answer: its attempts wait", "destination", d.name, "last", d.last, "tried_again", d.closedUntil)
		}
	case gobreaker.StateClosed:
		d.ramp, d.grows = rate.NewLimiter(rampFirst, rampFirst/5), time.Now().Add(rampEvery)
		ds.o.Log.Info("a destination answers again", "destination", d.name)
	}
}

func (d *destination) down() *Denial {
	return &Denial{Why: fmt.Sprintf("%s does not answer (%s)", d.name, d.last), Down: true}
}

// errDown is counted by the breaker as a failure.
var errDown = errors.New("failed")

// opens is when a destination may issue a permit again.
func (ds *Table) opens(d *destination, now time.Time) time.Time {
	at := now
	if ds.crowded(d, now) {
		return now.Add(RecheckAfter) // releasing a permit calls the next run
	}
	for _, t := range []time.Time{d.asked, d.closedUntil} {
		if t.After(at) {
			at = t
		}
	}
	if at.After(now) {
		return at
	}
	if d.pace != nil {
		at = d.pace.opens(now)
	}
	if d.ramp != nil && !at.After(now) {
		if missing := 1 - d.ramp.TokensAt(now); missing > 0 {
			at = now.Add(time.Duration(missing / float64(d.ramp.Limit()) * float64(time.Second)))
		}
	}
	return at
}
