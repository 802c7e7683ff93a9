package cmd

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// shownTimes is the number of next times shown for a schedule.
const shownTimes = 5

// printTimings lists the next times of schedules and polls, in their own time zones.
func (a *app) printTimings(now time.Time, projects ...*workflows.Project) error {
	t := newTable("TRIGGER", "INLET", "WHEN", "NEXT TIMES", "")
	rows := 0
	for _, p := range projects {
		for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
			for _, x := range triggers.Timings(p, p.Triggers[name], now, shownTimes) {
				var next []string
				for _, at := range x.Next {
					next = append(next, at.Format("2006-01-02 15:04:05 -07:00"))
				}
				t.row(name, x.Inlet, x.When+" ("+x.Timezone+")", strings.Join(next, ", "), strings.Join(x.Notes, "; "))
				rows++
			}
		}
	}
	if rows == 0 {
		return nil
	}
	a.printf("\n")
	return t.print(a.out)
}
