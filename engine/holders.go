package engine

import (
	"fmt"
	"strings"
	"time"
)

// This file tells who holds up a run: those that have the place it waits for, and the
// runs that it called.

// SlotHolder is a run that has a place in a group of concurrency.
type SlotHolder struct {
	Run    string `json:"run"`
	Status string `json:"status"`
	// Since is when it got its place.
	Since time.Time `json:"since"`
	// GoesOn says in words what it waits for itself; empty for one at work.
	GoesOn string `json:"goes_on,omitempty"`
	// Detail is what says it in another zone; nil for one at work.
	Detail *RunDetail `json:"-"`
}

// CalledItem is a run that a step has called and waits for.
type CalledItem struct {
	Step     string `json:"step"`
	Workflow string `json:"workflow"`
	Event    string `json:"event"`
	// Run is empty until the called workflow has decided.
	Run    string `json:"run,omitempty"`
	Status string `json:"status,omitempty"`
}

// goesOn says when a queued run starts, and which runs are ahead of it. Times are in zone.
func (q *QueueItem) goesOn(zone *time.Location) string {
	out := fmt.Sprintf("when its turn comes%s: %d at work, %d ahead of it", inGroup(q.Group), q.AtWork, q.Ahead)
	for i, h := range q.Holders {
		place := "a place"
		if q.AtWork == 1 {
			place = "the place"
		}
		out += fmt.Sprintf("; %s has %s for %s (%s", h.Run, place, time.Since(h.Since).Round(time.Second), h.Status)
		when := h.GoesOn
		if h.Detail != nil {
			when = h.Detail.GoesOn(zone)
		}
		if when != "" {
			out += ", goes on " + when
		}
		out += ")"
		if i == len(q.Holders)-1 && q.AtWork > len(q.Holders) {
			out += fmt.Sprintf("; and %d more", q.AtWork-len(q.Holders))
		}
	}
	return out
}

func byWhom(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " by " + strings.Join(names, " or ")
}

// calledRun names the run that a step waits for.
func (d *RunDetail) calledRun(step, workflow string) string {
	for _, c := range d.Calls {
		if c.Step == step && c.Run != "" {
			return c.Run + " of " + workflow
		}
	}
	return "the run of " + workflow
}
