package engine

import (
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// The rules of groups and rates beside SlotRequest.Admit. They are pure: the store asks them
// inside of its transactions, about what it has read there.

// Replaces lists the runs that a new one takes the place of: all that wait, and as many of
// those at work, the oldest first, as leave one slot free. Both are in the order of arrival.
func (p *SlotRequest) Replaces(waiting, atWork []RunID) []RunID {
	n := max(0, len(atWork)-(p.Limit-1))
	return append(slices.Clone(waiting), atWork[:n]...)
}

// ReplacedByNewer is the error of a run that a newer one took the place of.
func ReplacedByNewer() *plan.Error {
	return &plan.Error{Message: "a newer run took its place (on_full: replace)", Code: "replaced"}
}

// Turn tells whether the run that has waited longest in a group of a limit begins, and when.
func (c GroupState) Turn(limit int, now time.Time) (start time.Time, begins bool) {
	if c.AtWork >= limit {
		return time.Time{}, false
	}
	if c.NextStart.After(now) {
		return c.NextStart, true
	}
	return now, true
}

// RateStart is the first moment that a rate allows another start: as long after the start
// that lies limit starts back as the rate's stretch is, and not before the last one. back is
// zero when there are fewer starts, last when there is none.
func RateStart(last, back time.Time, per time.Duration) time.Time {
	if !back.IsZero() && back.Add(per).After(last) {
		return back.Add(per)
	}
	return last
}
