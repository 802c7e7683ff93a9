package alert

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// refusalWindow is the period over which refused deliveries are counted. Fewer than fewRefusals
	// never raise an alert: scanners cause that many.
	refusalWindow = 5 * time.Minute
	fewRefusals   = 10
)

// refusalRate tracks how many of a trigger's deliveries are refused.
type refusalRate struct {
	// began is when the current window began, and count its number of refusals so far.
	began time.Time
	count int
	// usual is the moving average of the earlier windows, weighted towards the newest.
	usual float64
	// risen reports that the trigger is above its usual number.
	risen bool
}

// refusalRates are those of all triggers.
type refusalRates struct {
	mu        sync.Mutex
	byTrigger map[string]*refusalRate
}

// add counts a refused delivery and reports whether it raises the trigger above its usual number.
func (x *refusalRates) add(trigger string, now time.Time) (count int, usual float64, risen bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.byTrigger[trigger]
	if r == nil {
		r = &refusalRate{began: now}
		if x.byTrigger == nil {
			x.byTrigger = map[string]*refusalRate{}
		}
		x.byTrigger[trigger] = r
	}
	r.roll(now)
	r.count++
	if !r.risen && r.count >= fewRefusals && float64(r.count) > 3*r.usual {
		r.risen = true
		return r.count, r.usual, true
	}
	return r.count, r.usual, false
}

// roll closes the windows that are over. Windows above the usual number do not count, so that a
// long flood does not become usual.
func (r *refusalRate) roll(now time.Time) {
	for i := 0; now.Sub(r.began) >= refusalWindow && i < 100; i++ {
		calm := r.count < fewRefusals || float64(r.count) <= 2*r.usual
		if !r.risen || calm {
			r.usual += (float64(r.count) - r.usual) / 12
		}
		r.risen = r.risen && !calm
		r.count, r.began = 0, r.began.Add(refusalWindow)
	}
	if now.Sub(r.began) >= refusalWindow {
		r.began, r.usual = now, 0
	}
}

// over lists the triggers that are back at their usual number.
func (x *refusalRates) over(now time.Time) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for trigger, r := range x.byTrigger {
		if r.roll(now); !r.risen {
			out = append(out, trigger)
		}
	}
	return out
}

// counts reports whether a trigger's refusals are counted in this process.
func (x *refusalRates) counts(trigger string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byTrigger[trigger] != nil
}

// Refused tracks the refused deliveries of a trigger.
func (m *Monitor) Refused(r engine.Refusal) {
	if r.Trigger == "" {
		return // an unknown path: anyone may request one
	}
	count, usual, risen := m.refusals.add(r.Trigger, time.Now())
	if risen {
		m.Alert(context.Background(), engine.Alert{Kind: engine.AlertRefusals, Trigger: r.Trigger,
			Message: fmt.Sprintf("%d deliveries of trigger %s were refused within %s, usually %.0f; the last one: %s", count,
				r.Trigger, refusalWindow, usual, r.Reason),
			Data: map[string]any{"count": count, "usual": usual, "reason": r.Reason}})
	}
}
