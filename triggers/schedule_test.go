package triggers

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// TestScheduleTimesAtClockChanges: a reading that does not exist comes at the first
// moment after the gap, one that comes twice comes once, and days in between stay.
func TestScheduleTimesAtClockChanges(t *testing.T) {
	for _, x := range []struct{ name, zone, cron, from, want string }{
		{"half past two in spring", "Europe/Berlin", "30 2 * * *", "2026-03-28T00:00:00Z", "2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30"},
		{"half past two in autumn", "Europe/Berlin", "30 2 * * *", "2026-10-24T00:00:00Z", "2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30"},
		{"half past one in New York in autumn", "America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z", "2026-11-01T05:30 2026-11-02T06:30"},
		{"midnight in Havana in spring, which begins at one", "America/Havana", "0 0 * * *", "2026-03-07T12:00:00Z",
			"2026-03-08T05:00 2026-03-09T04:00"},
		{"each quarter of the hour that is left out", "Europe/Berlin", "*/15 2 * * *", "2026-03-29T00:00:00Z",
			"2026-03-29T01:00 2026-03-30T00:00 2026-03-30T00:15"},
		{"each half hour through the hour that comes twice", "Europe/Berlin", "*/30 * * * *", "2026-10-24T23:45:00Z",
			"2026-10-25T00:00 2026-10-25T00:30 2026-10-25T01:00 2026-10-25T01:30 2026-10-25T02:00"},
		{"each hour through the hour that comes twice", "America/New_York", "0 * * * *", "2026-11-01T04:30:00Z",
			"2026-11-01T05:00 2026-11-01T06:00 2026-11-01T07:00"},
		{"hourly by its word", "Europe/Berlin", "@hourly", "2026-10-25T00:00:00Z", "2026-10-25T01:00 2026-10-25T02:00"},
		{"each quarter of the hour that comes twice", "Europe/Berlin", "*/15 2 * * *", "2026-10-25T00:30:00Z",
			"2026-10-25T00:45 2026-10-25T01:00 2026-10-25T01:15 2026-10-25T01:30 2026-10-25T01:45 2026-10-26T01:00"},
		{"each hour at a fixed minute through the hour that is left out", "Europe/Berlin", "30 * * * *", "2026-03-29T00:00:00Z",
			"2026-03-29T00:30 2026-03-29T01:00 2026-03-29T01:30"},
		{"a list of hours runs once", "Europe/Berlin", "0 1,2,3 * * *", "2026-10-24T23:30:00Z", "2026-10-25T00:00 2026-10-25T02:00"},
		{"each half hour through a change of half an hour", "Australia/Lord_Howe", "*/30 * * * *", "2026-04-04T14:00:00Z",
			"2026-04-04T14:30 2026-04-04T15:00 2026-04-04T15:30 2026-04-04T16:00"},
		{"a change of half an hour", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z", "2026-10-03T15:30 2026-10-04T15:15"},
		{"the leap day", "UTC", "0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00 2032-02-29T00:00"},
		{"sunday is 7 too", "UTC", "0 0 * * 7", "2026-11-24T00:00:00Z", "2026-11-29T00:00 2026-12-06T00:00"},
		{"names", "UTC", "0 7 * * mon-fri", "2026-11-27T08:00:00Z", "2026-11-30T07:00"},
		{"words", "UTC", "@daily", "2026-11-24T08:00:00Z", "2026-11-25T00:00"},
	} {
		zone, err := time.LoadLocation(x.zone)
		if err != nil {
			t.Fatal(err)
		}
		table, err := newTimetable(0, x.cron, zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, x.from)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for range strings.Fields(x.want) {
			at = table.next(at)
			got = append(got, at.UTC().Format("2006-01-02T15:04"))
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.name, strings.Join(got, " "), x.want)
		}
	}
}

// TestTimetableIsMonotonic over years, in zones with odd changes, from any moment.
func TestTimetableIsMonotonic(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran",
		"Pacific/Apia"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"*/20 * * * *", "30 2 * * *", "0 0 1 * *"} {
			table, err := newTimetable(0, text, zone)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
			for range 2000 {
				next := table.next(at)
				if !next.After(at) {
					t.Fatalf("%s %s: %s follows %s", name, text, next, at)
				}
				if again := table.next(next.Add(-time.Nanosecond)); !again.Equal(next) {
					t.Fatalf("%s %s: after %s comes %s, a nanosecond later %s", name, text, at, next, again)
				}
				at = next
			}
		}
	}
}

// TestTimetableMatchesASimulatedClock holds the due times to a clock that is read each
// minute around its changes. A cron of fixed hours is due when the clock reaches one of its
// readings, or passes it in a gap, for the first time; one of every hour whenever the clock
// shows it, or passes it.
func TestTimetableMatchesASimulatedClock(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"30 2 * * *", "15,45 1,2 * * *", "0 0,1,2,3 * * *", "*/20 * * * *", "5 * * * *"} {
			table, err := newTimetable(0, text, zone)
			if err != nil {
				t.Fatal(err)
			}
			change := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for range 4 {
				_, change = change.In(zone).ZoneBounds()
				at := change.Add(-6 * time.Hour)
				for _, want := range watched(t, table, zone, at, change.Add(6*time.Hour)) {
					for after := at; after.Before(want); after = after.Add(7*time.Minute + 1700*time.Millisecond) {
						if got := table.next(after); !got.Equal(want) {
							t.Fatalf("%s, %s: after %s comes %s, the clock says %s", name, text, after.In(zone), got.In(zone), want.In(zone))
						}
					}
					at = want
				}
			}
		}
	}
}

// watched reads the clock of a zone each minute, and lists when the timetable's readings are
// due after from and until to.
func watched(t *testing.T, table *timetable, zone *time.Location, from, to time.Time) (due []time.Time) {
	t.Helper()
	reading := func(at time.Time) time.Time {
		_, offset := at.In(zone).Zone()
		return at.UTC().Add(time.Duration(offset) * time.Second)
	}
	matches := func(r time.Time) bool { return table.cron.Next(r.Add(-time.Second)).Equal(r) }
	highest := reading(from)
	for at := from.Add(time.Minute); !at.After(to); at = at.Add(time.Minute) {
		now := reading(at)
		first := now
		if passed := reading(at.Add(-time.Minute)).Add(time.Minute); now.After(passed) {
			first = passed // the clock went forward
		}
		for r := first; !r.After(now); r = r.Add(time.Minute) {
			if matches(r) && (table.wall || r.After(highest)) {
				due = append(due, at)
				break
			}
		}
		if now.After(highest) {
			highest = now
		}
	}
	return due
}

// diary is an Inbox that remembers.
type diary struct {
	gap    time.Duration
	mu     sync.Mutex
	states map[string]engine.InletState
	fired  []string
	// follows is whether another process has the lease.
	follows atomic.Bool
}

func (d *diary) LearnedGap(context.Context, string) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gap, nil
}

func (d *diary) Poll(context.Context, *engine.PollBatch) (int, error) { return 0, nil }
func (d *diary) Leads(context.Context, string) bool                   { return !d.follows.Load() }
func (d *diary) Turn(context.Context, string) (func(), bool)          { return func() {}, !d.follows.Load() }
func (d *diary) AskForTurn(context.Context, string) (func(), bool) {
	return func() {}, !d.follows.Load()
}
func (d *diary) Alert(_ context.Context, a engine.Alert) { d.note(a.Message) }

func (d *diary) note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fired = append(d.fired, text)
}

func (d *diary) told() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.fired)
}

func (d *diary) LastDelivery(context.Context, string) (time.Time, error) {
	return time.Time{}, nil
}
func (d *diary) Known(context.Context, string, []string) (map[string]bool, error) {
	return nil, nil
}
func (d *diary) InletState(_ context.Context, trigger, inlet string) (engine.InletState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.states[trigger+inlet], nil
}
func (d *diary) Fired(_ context.Context, f engine.Firing) error {
	d.mu.Lock()
	d.states[f.Trigger+f.Inlet] = engine.InletState{Cursor: f.Timetable, Rest: f.SetBack, AskedAt: f.Planned, OKAt: f.Planned}
	d.mu.Unlock()
	if x := f.Delivery; x != nil {
		d.note(x.Key + " " + string(x.Raw))
	}
	return nil
}

func TestTimesMissedByADowntimeFollowTheFile(t *testing.T) {
	at := func(clock string) time.Time {
		x, err := time.Parse("15:04:05", clock)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2026, 5, 1, x.Hour(), x.Minute(), x.Second(), 0, time.UTC)
	}
	for _, x := range []struct{ missed, want string }{
		{"skip", "10:00"}, {"once", "10:00 13:00"}, {"all", "10:00 11:00 12:00 13:00"},
	} {
		d := &diary{states: map[string]engine.InletState{}}
		table, err := newTimetable(0, "0 * * * *", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		now := at("09:30:00")
		s := &scheduler{trigger: &workflows.Trigger{Name: "t"}, schedule: &workflows.Schedule{Missed: x.missed}, table: table, in: d,
			log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
		for _, clock := range []string{"09:30:00", "09:59:59", "10:00:01", "10:00:02", "13:20:00", "13:20:01"} {
			now = at(clock)
			if _, err := s.due(context.Background(), d.states["t"+s.inlet()]); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, k := range d.told() {
			got = append(got, k[11:16])
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("missed: %s: %v", x.missed, got)
		}
	}
}

// TestAScheduleOfAnyLengthFires: also one of every few years, and one whose times lie close
// together and then far apart. After a downtime, once and all make up what was missed.
func TestAScheduleOfAnyLengthFires(t *testing.T) {
	t.Parallel()
	day := func(text string) time.Time {
		at, err := time.Parse("2006-01-02T15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, c := range map[string]struct{ cron, last, now, all string }{
		"each half year":           {"0 0 1 1,7 *", "2026-01-01T00:00", "2026-07-01T00:00", "2026-07-01T00:00"},
		"each year":                {"@yearly", "2026-01-01T00:00", "2027-01-01T00:00", "2027-01-01T00:00"},
		"each leap day":            {"0 0 29 2 *", "2024-02-29T00:00", "2028-02-29T00:00", "2028-02-29T00:00"},
		"two times of each Monday": {"0,5 9 * * 1", "2026-05-04T08:00", "2026-05-11T08:00", "2026-05-04T09:00 2026-05-04T09:05"},
		"a month of Mondays": {"0,5 9 * * 1", "2026-05-04T09:02", "2026-05-25T09:00",
			"2026-05-04T09:05 2026-05-11T09:00 2026-05-11T09:05 2026-05-18T09:00 2026-05-18T09:05 2026-05-25T09:00"},
	} {
		var log strings.Builder
		s := scheduleOf(t, &diary{states: map[string]engine.InletState{}}, c.cron, workflows.Schedule{Missed: "all"}, &log)
		var got []string
		for _, at := range s.missed(day(c.last), day(c.now)) {
			got = append(got, at.UTC().Format("2006-01-02T15:04"))
		}
		if strings.Join(got, " ") != c.all {
			t.Errorf("%s, missed: all: %v, expected %s", name, got, c.all)
		}
		newest := day(c.all[strings.LastIndex(c.all, " ")+1:])
		s.schedule.Missed = "once"
		if list := s.missed(day(c.last), day(c.now)); len(list) != 1 || !list[0].Equal(newest) {
			t.Errorf("%s, missed: once: %v, expected %s", name, list, newest)
		}
		if at := s.lastBefore(day(c.last), day(c.now)); !at.Equal(newest) {
			t.Errorf("%s: the last time is %s, expected %s", name, at, newest)
		}
	}
}

// TestEveryMinuteFiresOnce through a year of odd clocks: none is left out or doubled.
func TestEveryMinuteFiresOnce(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Africa/Casablanca", "Asia/Kolkata"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		table, err := newTimetable(0, "*/5 * * * *", zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for at.Year() == 2026 {
			next := table.next(at)
			if next.Sub(at) != 5*time.Minute {
				t.Fatalf("%s: %s is followed by %s", name, at, next)
			}
			at = next
		}
	}
}

// TestEditOfAScheduleFiresNothing: a new cron or time zone, whose time lay a moment ago,
// counts from the edit, whatever missed: says; the same cron after a restart goes on. A row
// without a timetable is one of before it was kept, and no edit.
func TestEditOfAScheduleFiresNothing(t *testing.T) {
	now := time.Date(2026, 5, 1, 19, 56, 30, 0, time.UTC)
	d := &diary{states: map[string]engine.InletState{}}
	var key string
	due := func(cron string, zone *time.Location, fired int) {
		t.Helper()
		table, err := newTimetable(0, cron, zone)
		if err != nil {
			t.Fatal(err)
		}
		s := &scheduler{trigger: &workflows.Trigger{Name: "t"}, schedule: &workflows.Schedule{Missed: "once"}, table: table, in: d,
			log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
		key = "t" + s.inlet()
		if _, err := s.due(context.Background(), d.states[key]); err != nil {
			t.Fatal(err)
		}
		if got := d.told(); len(got) != fired {
			t.Errorf("%s in %s at %s: %d events, %v", cron, zone, now, fired, got)
		}
	}
	elsewhere := time.FixedZone("elsewhere", -3600)
	due("57 18 * * *", time.UTC, 0)
	now = now.Add(time.Minute)
	due("57 19 * * *", time.UTC, 0) // the edit
	now = now.Add(time.Minute)
	due("57 19 * * *", time.UTC, 0)
	due("58 18 * * *", elsewhere, 0) // the edit
	now = now.Add(24 * time.Hour)
	due("58 18 * * *", elsewhere, 1)
	now = now.Add(24 * time.Hour)
	old := d.states[key]
	old.Cursor = nil
	d.states[key] = old
	due("58 18 * * *", elsewhere, 2)
}

func TestCronErrorsUseOurOwnMessages(t *testing.T) {
	for text, want := range map[string]string{
		"0 0 L * *": "last one of the month", "0 0 LW * *": "last one", "0 0 * * 5L": "last one", "0 0 * * 1#2": "n-th weekday",
		"H * * * *": "jitter:", "0 0 15W * *": "working day",
		"0 0 * * 5-1": "write 5-6,0-1", "0 22-2 * * *": "write 22-23,0-2", "60 * * * *": "minute: 60 is out of range, 0 to 59",
		"0 0 * foo *": "one of jan", "0 x * * *": "hour: \"x\" is not a number",
		"*/90 * * * *": "every:", "*/0 * * * *": "must be 1 or more", "1,,2 * * * *": "comma", "@every 0s": "every: 1s",
		"@every soon": "not a duration", "@fortnightly": "@weekly", "0 0 0 * *": "day: 0 is out of range, 1 to 31",
		"-5 * * * *": "minute", "1-2-3 * * * *": "minute", "*/x * * * *": "step",
	} {
		if err := CheckCron(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"*/7 * * * *": "*/7 as minute starts again at 0 with the hour: 56 is followed by 0, after 4",
		"0 */5 * * *": "20 is followed by 0, after 4", "0 0 13 * 5": "either of them",
		"*/5 * * * *": "", "0 0 * * 5": "", "0 0 13 * *": "", "@daily": "", "*/40 * * * *": "40 is followed by 0, after 20",
	} {
		if err := CheckCron(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := strings.Join(ExplainCron(text), "; "); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
