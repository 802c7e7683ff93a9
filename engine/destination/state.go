package destination

import (
	"slices"
	"strings"
	"time"
)

// State is the state of a destination, as lists show it.
type State struct {
	Name string `json:"name"`
	// Host is its scheme, host and port, which receivers may share.
	Host string `json:"host"`
	// Circuit is closed (it answers), open (it does not) or half-open (one attempt probes it).
	Circuit string `json:"circuit"`
	InUse   int    `json:"in_use"`
	Limit   int    `json:"limit"`
	Waiting int    `json:"waiting"`
	// Until is when the next attempt may go; nil for at once.
	Until *time.Time `json:"until,omitempty"`
	// Why is what holds it until then.
	Why  string `json:"why,omitempty"`
	Last string `json:"last_failure,omitempty"`
}

// Down reports whether the host does not answer and attempts wait for it. A circuit
// stays half-open until the next attempt, which may never come.
func (s State) Down() bool {
	return s.Circuit == "open" || s.Circuit == "half-open" && s.Waiting > 0
}

// why is what holds the next attempt.
func (d *destination) why(now time.Time) string {
	switch {
	case d.asked.After(now):
		return "it asked to wait (Retry-After)"
	case d.closedUntil.After(now):
		return "it does not answer"
	case d.ramp != nil:
		return "it has just recovered, and its load is increased gradually"
	}
	return "its rate is used up"
}

// States lists the recently used hosts, by name.
func (ds *Table) States() []State {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	out := []State{}
	now := time.Now()
	for _, d := range ds.byName {
		s := State{Name: d.name, Host: originOf(d.name), Circuit: d.breaker.State().String(), InUse: d.inUse, Limit: d.limit,
			Waiting: len(d.queue), Last: d.last}
		if at := ds.opens(d, now); at.After(now) && !ds.crowded(d, now) {
			at = at.UTC()
			s.Until, s.Why = &at, d.why(now)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	return out
}
