package backtest

import (
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// clock assigns to the decisions of a simulated run the times at which the recorded run made them:
// shortly after what they follow, and later if the server was busy or down.
type clock struct {
	// moments are the times at which the recorded run decided, starts those at which it began an
	// attempt, some milliseconds after the decision. Both increase; moments is nil for a run that
	// follows another.
	moments, starts []time.Time
	// moved are the times of decisions by the times that they followed.
	moved map[int64]time.Time
}

// startsLate is the maximum delay between a decision and the start of its attempt, unless the
// process was down.
const startsLate = time.Second

// at returns the time of the decision that follows something at t, before next.
func (c *clock) at(t, next time.Time) time.Time {
	if c.moments == nil {
		if m, ok := c.moved[t.UnixNano()]; ok && (next.IsZero() || !next.Before(m)) {
			return m
		}
		return t
	}
	m := first(c.moments, t)
	if start := first(c.starts, t); !start.IsZero() && (m.IsZero() || start.Before(m)) {
		if m = start; start.Sub(t) < startsLate {
			m = t
		}
	}
	if m.IsZero() || !next.IsZero() && m.After(next) {
		return t
	}
	m = later(m, t)
	c.moved[t.UnixNano()] = m
	return m
}

// first returns the first of some times that is not before t, with the recorded precision of
// milliseconds.
func first(list []time.Time, t time.Time) time.Time {
	i, _ := slices.BinarySearchFunc(list, t.Truncate(time.Millisecond), func(m, t time.Time) int { return m.Compare(t) })
	if i == len(list) {
		return time.Time{}
	}
	return list[i]
}

// follow returns the clock of a run that is compared with this one's.
func (c *clock) follow() *clock { return &clock{moved: c.moved} }

// clockOf returns the clock of a recorded run.
func clockOf(r *engine.RecordedRun) *clock {
	c := &clock{moved: map[int64]time.Time{}, moments: make([]time.Time, 0, len(r.Records)+1)}
	for _, x := range r.Records {
		switch {
		case strings.Contains(x.Action, "/") || x.Action == "log":
			c.starts = append(c.starts, x.StartedAt)
			continue
		case !x.FinishedAt.IsZero():
			c.moments = append(c.moments, x.FinishedAt)
		}
		c.moments = append(c.moments, x.StartedAt)
	}
	if !r.Run.FinishedAt.IsZero() {
		c.moments = append(c.moments, r.Run.FinishedAt)
	}
	slices.SortFunc(c.moments, time.Time.Compare)
	slices.SortFunc(c.starts, time.Time.Compare)
	return c
}
