package engine

import (
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// The rules of groups and rates in addition to SlotRequest.Admit. They are pure: the store calls
// them inside its transactions, with what it has read there.

// Replaces lists the runs that a new one replaces: all waiting ones, and as many of the running
// ones, oldest first, as needed to free one slot. Both are in order of arrival.
func (p *SlotRequest) Replaces(waiting, atWork []RunID) []RunID {
	n := max(0, len(atWork)-(p.Limit-1))
	return append(slices.Clone(waiting), atWork[:n]...)
}

// ReplacedByNewer is the error of a run that a newer one replaced.
func ReplacedByNewer() *plan.Error {
	return &plan.Error{Message: "a newer run took its place (on_full: replace)", Code: "replaced"}
}

// Turn reports whether the run that has waited longest in a limited group may begin, and when.
func (c GroupState) Turn(limit int, now time.Time) (start time.Time, begins bool) {
	if c.AtWork >= limit {
		return time.Time{}, false
	}
	if c.NextStart.After(now) {
		return c.NextStart, true
	}
	return now, true
}

// RateStart is the earliest time at which a rate allows another start: per after back, the start
// that is limit starts ago, and not before last, the last start. back is zero if there are fewer
// starts, last if there is none.
func RateStart(last, back time.Time, per time.Duration) time.Time {
	if !back.IsZero() && back.Add(per).After(last) {
		return back.Add(per)
	}
	return last
}
