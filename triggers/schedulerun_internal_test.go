package triggers

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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
	writes                []time.Time
	last                  *engine.Delivery
}

func (d *failingDiary) InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error) {
	if d.readFails > 0 {
		d.readFails--
		return engine.InletState{}, errors.New("the disk is full")
	}
	return d.diary.InletState(ctx, trigger, inlet)
}

func (d *failingDiary) Fired(ctx context.Context, f engine.Firing) error {
	d.writes, d.last = append(d.writes, time.Now()), f.Delivery
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

// TestScheduleFiresOnTimeAndContinuesAfterStoreErrors: a read that fails is tried again,
// a write that fails is tried again after a second, and both are logged. When the context
// ends, the schedule ends, and says nothing of it.
func TestScheduleFiresOnTimeAndContinuesAfterStoreErrors(t *testing.T) {
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

// TestScheduleReportsItsNextTime, and stops at a store that fails: no time is taken for
// fired that is not recorded.
func TestScheduleReportsItsNextTime(t *testing.T) {
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
		"the clock was set back":     {"0 * * * *", "skip", hour(15), 0, 59*time.Minute + 30*time.Second, 0, now},
		"set back, a write fails":    {"0 * * * *", "skip", hour(15), 1, 0, 0, hour(15)},
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

// TestNumberOfMissedTimesIsBounded: after a downtime of years, missed: all gives the newest
// thousand times.
func TestNumberOfMissedTimesIsBounded(t *testing.T) {
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

// TestScheduleWithUnreadableStateMissesNoTimes: what was missed comes once the store
// answers. The state is not taken for that of a new schedule.
func TestScheduleWithUnreadableStateMissesNoTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := &failingDiary{diary: diary{states: map[string]engine.InletState{}}, readFails: 1}
		s := scheduleOf(t, d, "0 0 * * *", workflows.Schedule{Missed: "once"}, &log)
		time.Sleep(10 * time.Minute) // the time 0:00 is missed
		asked := time.Now().Add(-time.Hour)
		d.states["t"+s.inlet()] = engine.InletState{Cursor: s.table.stamp(), AskedAt: asked, OKAt: asked}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s.run(ctx)
		if got := d.told(); len(got) != 1 || !strings.Contains(got[0], "T00:00:00Z") {
			t.Errorf("fired %q", got)
		}
	})
}

// TestScheduleWaitsASecondAfterAFailedWrite, so that a full disk is not hammered.
func TestScheduleWaitsASecondAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := &failingDiary{diary: diary{states: map[string]engine.InletState{}}, writeFails: 3}
		s := scheduleOf(t, d, "0 * * * *", workflows.Schedule{}, &log)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		s.run(ctx)
		if len(d.writes) != 4 || d.writes[3].Sub(began) != 3*time.Second {
			t.Errorf("writes at %v, began at %v", d.writes, began)
		}
	})
}

// TestFiringIsOneWrite: the event and that it has come are stored together.
func TestFiringIsOneWrite(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	d := &failingDiary{diary: diary{states: map[string]engine.InletState{}}}
	s := scheduleOf(t, d, "0 * * * *", workflows.Schedule{}, &log)
	now := time.Date(2026, 5, 1, 10, 0, 1, 0, time.UTC)
	s.now = func() time.Time { return now }
	asked := now.Add(-30 * time.Minute)
	if _, err := s.due(t.Context(), engine.InletState{Cursor: s.table.stamp(), AskedAt: asked}); err != nil {
		t.Fatal(err)
	}
	if len(d.writes) != 1 || len(d.told()) != 1 {
		t.Errorf("%d writes, fired %q", len(d.writes), d.told())
	}
}

// TestTheMissedTimesAreTheNewestThousand where the stretches between them differ.
func TestTheMissedTimesAreTheNewestThousand(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := scheduleOf(t, &diary{states: map[string]engine.InletState{}}, "* 9-10 * * 1", workflows.Schedule{Missed: "all"}, &log)
	for _, clock := range []string{"2026-05-11T08:00:00Z", "2026-05-11T10:58:30Z", "2026-05-11T10:59:30Z"} {
		now, err := time.Parse(time.RFC3339, clock)
		if err != nil {
			t.Fatal(err)
		}
		var want []time.Time
		for at := s.table.next(now.AddDate(0, -6, 0)); !at.After(now); at = s.table.next(at) {
			want = append(want, at)
		}
		want = want[len(want)-1000:]
		if list := s.missed(now.AddDate(-1, 0, 0), now); !slices.EqualFunc(list, want, time.Time.Equal) {
			t.Errorf("at %s: %d times, from %v to %v", clock, len(list), list[0], list[len(list)-1])
		}
	}
}

// TestScheduledEventFollowsItsFile: its key has the schedule's id and the planned time,
// its data sees that time, and it is remembered as long as dedupe: says, 30 days by default.
func TestScheduledEventFollowsItsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const text = `triggers:
  plain: {schedule: {cron: "0 * * * *"}}
  named:
    schedule:
      - {id: early, cron: "0 * * * *", data: '{"at": time}', dedupe: 90d}
      - {id: broken, cron: "0 * * * *", data: "[1][time.Minute() + 1]"}
`
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{CheckCron: CheckCron}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	planned := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		trigger    string
		nth        int
		key, data  string
		dedupe     time.Duration
		wrongInput bool
	}{
		{"plain", 0, "2026-05-01T10:00:00Z", `{}`, 30 * 24 * time.Hour, false},
		{"named", 0, "early/2026-05-01T10:00:00Z", `{"at":"2026-05-01T10:00:00.000Z"}`, 90 * 24 * time.Hour, false},
		{"named", 1, "", "", 0, true},
	} {
		var log strings.Builder
		d := &failingDiary{diary: diary{states: map[string]engine.InletState{}}}
		s := scheduleOf(t, d, "0 * * * *", *p.Triggers[c.trigger].Schedules[c.nth], &log)
		err := s.fire(t.Context(), planned)
		if (err != nil) != c.wrongInput {
			t.Errorf("%s: %v", c.trigger, err)
		}
		if c.wrongInput {
			if len(d.writes) != 0 {
				t.Errorf("%s: stored although its data cannot be computed", c.trigger)
			}
			continue
		}
		if x := d.last; x == nil || x.Key != c.key || string(x.Raw) != c.data || x.Dedupe != c.dedupe || !x.Time.Equal(planned) {
			t.Errorf("%s: %+v", c.trigger, x)
		}
	}
}

// TestJitterIsBoundedAndDeterministic, also after a restart.
func TestJitterIsBoundedAndDeterministic(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	later := map[time.Duration]bool{}
	for h := range 48 {
		planned := time.Date(2026, 5, 1, h, 0, 0, 0, time.UTC)
		var first time.Time
		for range 2 {
			s := scheduleOf(t, &diary{}, "0 * * * *", workflows.Schedule{Jitter: 10 * time.Minute}, &log)
			at := s.fires(planned)
			if by := at.Sub(planned); by < 0 || by >= 10*time.Minute {
				t.Errorf("%s is fired %s later", planned, by)
			}
			if !first.IsZero() && !first.Equal(at) {
				t.Errorf("%s is fired at %s and, after a restart, at %s", planned, first, at)
			}
			first = at
		}
		later[first.Sub(planned).Truncate(time.Minute)] = true
	}
	if len(later) < 8 {
		t.Errorf("48 times are delayed by %d different minutes of ten", len(later))
	}
}

// TestTimetableOfAnInvalidCronIsAnError, although crons are checked before.
func TestTimetableOfAnInvalidCronIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := newTimetable(0, "60 * * * *", time.UTC); err == nil {
		t.Error("no error")
	}
}
