package engine

import (
	"fmt"
	"strings"
	"time"
)

// This file implements concurrency and rate. A run of such a workflow is stored as queued; it
// begins when its slot is free and its rate allows it. The store counts the slots in the
// transaction that stores the run, and passes a slot on in the transaction that ends a run; so runs
// are queued in the order in which their events were matched, even across restarts. Events of these
// workflows are decided one after another (ordered.go).

// SlotRequest is the concurrency slot or rate token that a run needs before it begins.
type SlotRequest struct {
	Workflow string
	// Group is the concurrency group; Limit is how many of its runs may be running at once, 0 for
	// any number.
	Group    string
	Limit    int
	OnFull   string // queue, drop or replace
	MaxQueue int
	// Stale is an int64 (an integer, or a time in microseconds) or a float64; nil for no order
	// check.
	Stale any
	// RateLimit runs of RateGroup may start within RatePer; 0 for any number.
	RateGroup string
	RateLimit int
	RatePer   time.Duration
	RateDrop  bool
}

// GroupState is the current state of a request's groups.
type GroupState struct {
	// AtWork runs have begun and not ended; Queued runs wait for a slot.
	AtWork, Queued int
	// Newest is the highest Stale in the group that was applied or is about to be.
	Newest any
	// NextStart is the earliest start that the rate allows; zero for at once.
	NextStart time.Time
}

// Admission is the decision about a run that requests a slot.
type Admission struct {
	// Drop is why the run may not be made; empty if it may.
	Drop string
	// Begins reports that it has its slot now, and starts at Start.
	Begins bool
	Start  time.Time
	// Replace reports that it replaces the runs before it.
	Replace bool
}

// Admit decides. It is pure: the store calls it inside its transaction.
func (p *SlotRequest) Admit(c GroupState, now time.Time) Admission {
	if p.Stale != nil && c.Newest != nil && lower(p.Stale, c.Newest) {
		return Admission{Drop: fmt.Sprintf("stale: %s is older than %s, the last one applied%s", showStale(p.Stale),
			showStale(c.Newest), inGroup(p.Group))}
	}
	if p.Limit > 0 && (c.AtWork >= p.Limit || c.Queued > 0) {
		switch {
		case p.OnFull == "drop":
			return Admission{Drop: fmt.Sprintf("concurrency: %d running%s, on_full: drop", c.AtWork, inGroup(p.Group))}
		case p.OnFull == "replace":
			return Admission{Replace: true}
		case c.Queued >= p.MaxQueue:
			return Admission{Drop: fmt.Sprintf("concurrency: %d already queued%s, the limit of max_queue", c.Queued, inGroup(p.Group))}
		}
		return Admission{}
	}
	start := now
	if c.NextStart.After(now) {
		if p.RateDrop {
			return Admission{Drop: fmt.Sprintf("rate: %d started within %s%s, on_full: drop", p.RateLimit, ShortDuration(p.RatePer),
				inGroup(p.RateGroup))}
		}
		start = c.NextStart
	}
	return Admission{Begins: true, Start: start}
}

func inGroup(group string) string {
	if group == "" {
		return ""
	}
	return fmt.Sprintf(" in group %.200q", group)
}

// ShortDuration writes 1m0s as 1m.
func ShortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func lower(a, b any) bool {
	x, whole := a.(int64)
	y, too := b.(int64)
	if whole && too {
		return x < y
	}
	return number(a) < number(b)
}

func number(v any) float64 {
	switch x := v.(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	return 0
}

// timesFrom is the number of microseconds from which an integer is shown as a time: no counter used
// to order events comes near it.
const timesFrom = 300_000_000_000_000

func showStale(v any) string {
	if n, ok := v.(int64); ok && n > timesFrom && n < 20*timesFrom {
		return time.UnixMicro(n).UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

// DroppedError means that a run may not be made now.
type DroppedError struct{ Reason string }

// Error implements error.
func (e *DroppedError) Error() string { return e.Reason }
