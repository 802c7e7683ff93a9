package triggers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// failingDiary is an inbox whose reads and writes fail when they are asked to.
type failingDiary struct {
	diary
	readFails, writeFails int
}

func (d *failingDiary) InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error) {
	if d.readFails > 0 {
		d.readFails--
		return engine.InletState{}, errors.New("the disk is full")
	}
	return d.diary.InletState(ctx, trigger, inlet)
}

func (d *failingDiary) Fired(ctx context.Context, f engine.Firing) error {
	if d.writeFails > 0 {
		d.writeFails--
		return errors.New("the disk is full")
	}
	return d.diary.Fired(ctx, f)
}

// scheduleOf is a scheduler of one trigger over an inbox.
func scheduleOf(t *testing.T, in Inbox, cron string, schedule workflows.Schedule, log *strings.Builder) *scheduler {
	t.Helper()
	table, err := newTimetable(0, cron, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return &scheduler{trigger: &workflows.Trigger{Name: "t"}, schedule: &schedule, table: table, in: in, now: time.Now,
		log: slog.New(slog.NewTextHandler(log, nil))}
}

// TestAScheduleFiresOnTimeAndGoesOnAfterAStoreThatFailed: a read that fails is tried again,
// a write that fails is tried again after a second, and both are logged. When the context
// ends, the schedule ends, and says nothing of it.
func TestAScheduleFiresOnTimeAndGoesOnAfterAStoreThatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		reads, writes int
		logged        string
	}{
		"a store that works": {}, "a read that fails": {reads: 2, logged: "cannot read the state"},
		"a write that fails": {writes: 2, logged: "trying again"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			d := &failingDiary{diary: diary{states: map[string]engine.InletState{}}, readFails: c.reads, writeFails: c.writes}
			s := scheduleOf(t, d, "*/10 * * * *", workflows.Schedule{Missed: "skip"}, &log)
			ctx, cancel := context.WithTimeout(t.Context(), 35*time.Minute)
			defer cancel()
			began := time.Now()
			s.run(ctx)
			if time.Since(began) != 35*time.Minute {
				t.Errorf("%s: it ended after %v", name, time.Since(began))
			}
			var want []string
			for at := began.Truncate(10 * time.Minute).Add(10 * time.Minute); at.Before(began.Add(35 * time.Minute)); at = at.Add(10 * time.Minute) {
				want = append(want, at.UTC().Format(time.RFC3339)+" {}")
			}
			if got := d.told(); !slices.Equal(got, want) {
				t.Errorf("%s: fired %q, expected %q", name, got, want)
			}
			if lines := strings.Count(log.String(), "level=ERROR"); lines != c.reads+c.writes || !strings.Contains(log.String(), c.logged) {
				t.Errorf("%s: logged %q", name, log.String())
			}
		})
	}
}

// TestAScheduleSaysWhenItIsDueNext, and stops at a store that fails: no time is taken for
// fired that is not on record.
func TestAScheduleSaysWhenItIsDueNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 10, 0, 30, 0, time.UTC)
	const aDay = 23*time.Hour + 56*time.Minute + 30*time.Second // to 9:57
	hour := func(h int) time.Time { return time.Date(2026, 5, 1, h, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		cron, missed string
		asked        time.Time
		fails        int
		wait         time.Duration
		fired        int
		at           time.Time
	}{
		"in time":                    {"0 * * * *", "skip", hour(9), 0, 59*time.Minute + 30*time.Second, 1, hour(10)},
		"nothing due":                {"0 * * * *", "skip", hour(10), 0, 59*time.Minute + 30*time.Second, 0, hour(10)},
		"missed and skipped":         {"57 9 * * *", "skip", hour(9), 0, aDay, 0, hour(9).Add(57 * time.Minute)},
		"missed and made up":         {"57 9 * * *", "once", hour(9), 0, aDay, 1, hour(9).Add(57 * time.Minute)},
		"a write fails":              {"0 * * * *", "skip", hour(9), 1, 0, 0, hour(9)},
		"a write of no event fails":  {"57 9 * * *", "skip", hour(9), 1, 0, 0, hour(9)},
		"a day that will never come": {"0 0 30 2 *", "skip", hour(10), 0, time.Hour, 0, hour(10)},
	} {
		d := &failingDiary{diary: diary{states: map[string]engine.InletState{}}, writeFails: c.fails}
		var log strings.Builder
		s := scheduleOf(t, d, c.cron, workflows.Schedule{Missed: c.missed}, &log)
		s.now = func() time.Time { return now }
		key := "t" + s.inlet()
		d.states[key] = engine.InletState{Cursor: s.table.stamp(), AskedAt: c.asked, OKAt: c.asked}
		wait, err := s.due(t.Context(), d.states[key])
		if (err != nil) != (c.fails > 0) || err == nil && wait != c.wait || len(d.told()) != c.fired || !d.states[key].AskedAt.Equal(c.at) {
			t.Errorf("%s: %v, %v, fired %q, on record %v; expected %v", name, wait, err, d.told(), d.states[key].AskedAt, c.wait)
		}
	}
}

// TestAllMissedTimesAreBounded: after a downtime of years, missed: all gives the newest
// thousand times.
func TestAllMissedTimesAreBounded(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	d := &diary{states: map[string]engine.InletState{}}
	s := scheduleOf(t, d, "* * * * *", workflows.Schedule{Missed: "all"}, &log)
	now := time.Date(2026, 5, 1, 10, 0, 30, 0, time.UTC)
	list := s.missed(now.AddDate(-3, 0, 0), now)
	if len(list) != maxMissed || maxMissed != 1000 || !list[len(list)-1].Equal(now.Truncate(time.Minute)) {
		t.Fatalf("%d times, the last at %v", len(list), list[len(list)-1])
	}
	s.schedule.Missed = "skip"
	for late, fired := range map[time.Duration]bool{0: true, 90 * time.Second: true, 91 * time.Second: false} {
		hourly := scheduleOf(t, d, "0 * * * *", workflows.Schedule{Missed: "skip"}, &log)
		at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
		if got := hourly.missed(at.Add(-time.Hour), at.Add(late)); (len(got) == 1) != fired {
			t.Errorf("%v late: %v", late, got)
		}
	}
}
