package triggers

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestEditedCronOfAPollAppliesFromNow: what the new times would have fired before the
// edit is not late; the same times after a downtime are made up by one poll, soon.
func TestEditedCronOfAPollAppliesFromNow(t *testing.T) {
	now := time.Date(2026, 7, 1, 19, 59, 51, 0, time.UTC)
	table := func(cron string) *timetable {
		x, err := newTimetable(0, cron, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	before, after := table("57 19 * * *"), table("58 19 * * *")
	asked := engine.InletState{AskedAt: now.Add(-2 * time.Minute), OKAt: now.Add(-2 * time.Minute), Timetable: before.text}
	missed := asked
	missed.Timetable = after.text
	for _, c := range []struct {
		name     string
		st       engine.InletState
		min, max time.Duration
	}{
		{"edited", asked, 23 * time.Hour, 24 * time.Hour},
		{"not noted by the build before", engine.InletState{AskedAt: asked.AskedAt, OKAt: asked.OKAt}, 0, maxFirstPause},
		{"missed in a downtime", missed, 0, maxFirstPause},
	} {
		p := &poller{table: after}
		if got := p.wait(c.st, now); got < c.min || got > c.max {
			t.Errorf("%s: waits %s, want %s to %s", c.name, got, c.min, c.max)
		}
	}
}
