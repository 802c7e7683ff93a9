package engine

import (
	"fmt"
	"strings"
	"time"
)

// This file describes what holds up a run: the runs that have the slot it waits for, and the runs
// that it called.

// SlotHolder is a run that has a slot of a concurrency group.
type SlotHolder struct {
	Run    string `json:"run"`
	Status string `json:"status"`
	// Since is when it got its slot.
	Since time.Time `json:"since"`
	// GoesOn describes what it waits for itself; empty if it is running.
	GoesOn string `json:"goes_on,omitempty"`
	// Detail is used to describe it in another zone; nil if it is running.
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

// goesOn describes when a queued run starts, and which runs are ahead of it. Times are in zone.
func (q *QueueItem) goesOn(zone *time.Location) string {
	out := fmt.Sprintf("when a slot is free%s: %d running, %d ahead of it", inGroup(q.Group), q.AtWork, q.Ahead)
	for i, h := range q.Holders {
		slot := "a slot"
		if q.AtWork == 1 {
			slot = "the slot"
		}
		out += fmt.Sprintf("; %s has had %s for %s (%s", h.Run, slot, time.Since(h.Since).Round(time.Second), h.Status)
		when := h.GoesOn
		if h.Detail != nil {
			when = h.Detail.GoesOn(zone)
		}
		if when != "" {
			out += ", continues " + when
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

// calledRun describes the run that a step waits for.
func (d *RunDetail) calledRun(step, workflow string) string {
	for _, c := range d.Calls {
		if c.Step == step && c.Run != "" {
			return c.Run + " of " + workflow
		}
	}
	return "the run of " + workflow
}
