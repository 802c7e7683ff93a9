package triggers

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// TestScheduleFiresAgainAfterTheClockIsSetBack: from the new time on, as events of
// their own; but a job at a fixed time that has run is not run again within hours.
func TestScheduleFiresAgainAfterTheClockIsSetBack(t *testing.T) {
	for _, x := range []struct {
		name, cron string
		every      time.Duration
		clocks     string
		want       string
	}{
		{"every minute, an hour back", "", time.Minute, "10:00:30 10:01:00 10:02:00 | 09:02:10 09:03:00 09:04:00", "10:01 10:02 09:03# 09:04#"},
		{"its times come twice", "", time.Minute, "10:00:30 10:01:00 10:02:00 | 10:00:10 10:01:00 10:02:00 10:03:00",
			"10:01 10:02 10:01# 10:02# 10:03"},
		{"and a third time", "", time.Minute, "10:00:30 10:01:00 | 10:00:10 10:01:00 | 10:00:20 10:01:00", "10:01 10:01# 10:01#"},
		{"a second back is nothing", "", time.Minute, "10:00:30 10:01:00 | 10:00:59 10:01:00 10:02:00", "10:01 10:02"},
		{"two seconds back is nothing", "", time.Minute, "10:00:30 10:01:00 | 10:00:58 10:01:00 10:02:00", "10:01 10:02"},
		{"three seconds back", "", time.Minute, "10:00:30 10:01:00 | 10:00:57 10:01:00 10:02:00", "10:01 10:01# 10:02"},
		{"a fixed time, three hours back", "30 10 * * *", 0, "10:00:00 10:30:00 | 07:30:00 10:30:00", "10:30"},
		{"a fixed time, more than three hours back", "30 10 * * *", 0, "10:00:00 10:30:00 | 07:29:59 10:30:00", "10:30 10:30#"},
		{"a cron of every hour", "0 * * * *", 0, "09:30:00 10:00:00 | 09:10:00 10:00:00 11:00:00", "10:00 10:00# 11:00"},
		{"a fixed time that has run", "30 2 * * *", 0, "02:00:00 02:30:00 | 01:40:00 02:30:00 03:00:00", "02:30"},
		{"a fixed time, many hours back", "30 10 * * *", 0, "10:00:00 10:30:00 | 03:00:00 10:30:00", "10:30 10:30#"},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := &diary{states: map[string]engine.InletState{}}
			table, err := newTimetable(x.every, x.cron, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			table.wall = x.cron != "" && byWallClock(x.cron)
			var now time.Time
			for _, clock := range strings.Fields(x.clocks) {
				if clock == "|" {
					continue
				}
				// Each time is that of another process: what a schedule knows is in its state.
				s := &scheduler{trigger: &workflows.Trigger{Name: "t"}, schedule: &workflows.Schedule{Missed: "skip"}, table: table, in: d,
					log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
				if now, err = time.Parse(time.DateTime, "2026-05-01 "+clock); err != nil {
					t.Fatal(err)
				}
				st := d.states["t"+s.inlet()]
				st.Rest = json.RawMessage(string(st.Rest)) // as the store gives it
				if _, err := s.due(context.Background(), st); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			seen := map[string]bool{}
			for _, k := range d.told() {
				if seen[k] {
					t.Errorf("%s came twice", k)
				}
				seen[k] = true
				mark := ""
				if strings.Contains(k, "#") {
					mark = "#"
				}
				got = append(got, k[11:16]+mark)
			}
			if strings.Join(got, " ") != x.want {
				t.Errorf("got %v, want %s", got, x.want)
			}
		})
	}
}

func TestPollContinuesAfterTheClockIsSetBack(t *testing.T) {
	table, err := newTimetable(time.Minute, "", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 10, 0, 10, 0, time.UTC)
	p := &poller{table: table}
	if wait := p.wait(engine.InletState{AskedAt: now.Add(time.Hour)}, now); wait > time.Minute {
		t.Errorf("it waits for %v", wait)
	}
	if wait := p.wait(engine.InletState{AskedAt: now.Add(time.Hour), RetryAt: now.Add(time.Hour + 5*time.Minute)},
		now); wait != 5*time.Minute {
		t.Errorf("a Retry-After of five minutes waits for %v", wait)
	}
}
