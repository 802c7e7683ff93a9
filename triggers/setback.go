package triggers

import (
	"encoding/json"
	"time"
)

// This file continues schedules after the clock was set back.

const (
	// jitterOfClocks is the change that clock synchronization regularly causes.
	jitterOfClocks = 2 * time.Second
	// fixedWait is how long a job at a fixed time that has run is not run again when its time
	// occurs a second time (cron(8), "clock changes").
	fixedWait = 3 * time.Hour
)

// setBack is a schedule's record of a clock that was set back at Since: times up to Until occur a
// second time, and are different events from the first ones.
type setBack struct {
	Until time.Time `json:"until"`
	Since time.Time `json:"since"`
}

func readSetBack(b json.RawMessage) (s setBack) {
	if len(b) > 0 && json.Unmarshal(b, &s) != nil {
		return setBack{} // only this package writes it, so it is never invalid
	}
	return s
}

func (s setBack) encode() json.RawMessage {
	if s.Until.IsZero() {
		return nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil // a time can always be encoded
	}
	return b
}

// suffix distinguishes the second event of a planned time from the first.
func (s setBack) suffix(planned time.Time) string {
	if s.Until.IsZero() || planned.After(s.Until) {
		return ""
	}
	return "#" + s.Since.UTC().Format(time.RFC3339Nano)
}

// clockSetBack reports whether the last planned time lies ahead, so the clock was set back, and
// that the schedule continues from the new time. A job at a fixed time waits for its next time,
// unless that is hours away: it has run.
func (s *scheduler) clockSetBack(last, now time.Time) bool {
	ahead := last.Sub(now)
	if ahead <= jitterOfClocks || s.table.cron != nil && !s.table.wall && ahead <= fixedWait {
		return false
	}
	if last.After(s.set.Until) {
		s.set.Until = last
	}
	s.set.Since = now
	s.log.Warn("the clock was set back: a schedule continues from the new time", "trigger", s.trigger.Name, "by_at_least",
		ahead.Round(time.Millisecond))
	return true
}
