package triggers

import (
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// Timing describes when an inlet fires next.
type Timing struct {
	Inlet string `json:"inlet"`
	// When is the cron or the interval as written; Timezone is the cron's.
	When     string      `json:"when"`
	Timezone string      `json:"timezone"`
	Next     []time.Time `json:"next"`
	// Notes explain surprising properties of a cron.
	Notes []string `json:"notes,omitempty"`
}

// Timings returns the next n times of each schedule and poll of a trigger, without jitter.
func Timings(p *workflows.Project, t *workflows.Trigger, now time.Time, n int) []Timing {
	var out []Timing
	add := func(inlet string, every time.Duration, cron string, zone *time.Location) {
		if zone == nil {
			zone = p.Timezone
		}
		table, err := newTimetable(every, cron, zone)
		if err != nil || every <= 0 && cron == "" {
			return // a mistake in the file, which validate reports
		}
		x := Timing{Inlet: inlet, When: cron, Timezone: zone.String(), Notes: ExplainCron(cron)}
		if cron == "" {
			x.When = "every " + every.String()
		}
		for at := now; len(x.Next) < n; {
			if at = table.next(at); at.IsZero() {
				break
			}
			x.Next = append(x.Next, at.In(zone))
		}
		out = append(out, x)
	}
	for _, s := range t.Schedules {
		inlet := "schedule"
		if s.ID != "" {
			inlet += " " + s.ID
		}
		add(inlet, s.Every, s.Cron, s.Timezone)
	}
	if t.Poll != nil {
		add("poll", t.Poll.Every, t.Poll.Cron, t.Poll.Timezone)
	}
	if t.Webhook != nil && t.Webhook.Reconcile != nil {
		add("reconcile", t.Webhook.Reconcile.Every, t.Webhook.Reconcile.Cron, t.Webhook.Reconcile.Timezone)
	}
	return out
}
