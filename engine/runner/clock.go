package runner

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file handles steps of the wall clock. Stored times are wall-clock times: when a sleep ends,
// when a run of a rate may start. If the clock is set back, they would all be late by that amount,
// so they are moved back as well. If it is set forward, they stay: the machine may have been
// suspended for that time. The working time of runs uses the monotonic clock.

// clockEvery is how often the clocks are compared.
const clockEvery = time.Second

// RunClock compares the wall clock with the monotonic one until ctx ends.
func (rn *Runner) RunClock(ctx context.Context) {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	base := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		step := now.Round(0).Sub(base.Round(0)) - now.Sub(base) // Round(0) strips the monotonic reading
		switch {
		case step >= engine.ClockSteps:
			rn.o.Log.Warn("the clock was set forward, or the machine was suspended; schedules and sleeps follow the new time",
				"by", step.Round(time.Millisecond))
			rn.wakeDue(0)
		case step <= -engine.ClockSteps:
			if !rn.clockSetBack(ctx, -step) {
				continue // try again
			}
		default:
			continue
		}
		base = now
	}
}

// clockSetBack moves stored and in-memory times back by a step of the clock.
func (rn *Runner) clockSetBack(ctx context.Context, by time.Duration) bool {
	if !engine.Leads(ctx, rn.store, "clock") {
		rn.wakeDue(by)
		return true // the times are stored once, by the node that has the lease
	}
	if err := rn.store.ClockSetBack(ctx, by); err != nil {
		if ctx.Err() == nil {
			rn.o.Log.Error("the clock was set back, and stored times could not be adjusted; this is retried",
				"by", by.Round(time.Millisecond), "error", err)
		}
		return false
	}
	rn.o.Log.Warn("the clock was set back: sleeps, time limits of waits, schedules and rates follow the new time",
		"by", by.Round(time.Millisecond))
	rn.wakeDue(by)
	return true
}

// wakeDue makes RunDue look for due runs now, after the clock was set back.
func (rn *Runner) wakeDue(by time.Duration) {
	rn.mu.Lock()
	rn.nextDue = time.Now()
	rn.nextReplay = rn.nextReplay.Add(-by)
	for _, ex := range rn.atWork {
		ex.setBack.Add(int64(by))
	}
	rn.mu.Unlock()
	rn.wakeUp()
}

// followClock moves the waiting steps of an executing run after the clock was set back.
func (ex *Execution) followClock() {
	by := time.Duration(ex.setBack.Swap(0))
	if by == 0 {
		return
	}
	for path, list := range ex.State.Records {
		last := len(list) - 1
		if moved := plan.SetBack(list[last], by); moved != nil {
			ex.State.Records[path][last] = moved
		}
	}
}
