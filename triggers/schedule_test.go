package triggers

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// TestTheNightsOfTheClockChange: a reading that does not exist comes at the first
// moment after the gap, one that comes twice comes once, and days in between stay.
func TestTheNightsOfTheClockChange(t *testing.T) {
	for _, x := range []struct{ name, zone, cron, from, want string }{
		{"half past two in spring", "Europe/Berlin", "30 2 * * *", "2026-03-28T00:00:00Z", "2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30"},
		{"half past two in autumn", "Europe/Berlin", "30 2 * * *", "2026-10-24T00:00:00Z", "2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30"},
		{"half past one in New York in autumn", "America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z", "2026-11-01T05:30 2026-11-02T06:30"},
		{"midnight in Havana in spring, which begins at one", "America/Havana", "0 0 * * *", "2026-03-07T12:00:00Z", "2026-03-08T05:00 2026-03-09T04:00"},
		{"each quarter of the hour that is left out", "Europe/Berlin", "*/15 2 * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:00 2026-03-30T00:00 2026-03-30T00:15"},
		{"each half hour through the hour that comes twice", "Europe/Berlin", "*/30 * * * *", "2026-10-24T23:45:00Z", "2026-10-25T00:00 2026-10-25T00:30 2026-10-25T02:00 2026-10-25T02:30"},
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

// TestATimetableOnlyRises over years, in zones with odd changes, from any moment.
func TestATimetableOnlyRises(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran", "Pacific/Apia"} {
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

// diary is an Inbox that remembers.
type diary struct {
	rhythm time.Duration
	mu     sync.Mutex
	states map[string]engine.InletState
	fired  []string
}

func (d *diary) Rhythm(context.Context, string) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rhythm, nil
}

func (d *diary) Poll(context.Context, *engine.PollBatch) (int, error) { return 0, nil }
func (d *diary) Alert(_ context.Context, a engine.Alert)              { d.note(a.Message) }

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
	return d.states[trigger+inlet], nil
}
func (d *diary) Fired(_ context.Context, trigger, inlet string, planned time.Time, x *engine.Delivery) error {
	d.states[trigger+inlet] = engine.InletState{AskedAt: planned, OKAt: planned}
	if x != nil {
		d.note(x.Key + " " + string(x.Raw))
	}
	return nil
}

// TestWhatADowntimeMissedComesAsTheFileSays.
func TestWhatADowntimeMissedComesAsTheFileSays(t *testing.T) {
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
		s := &scheduler{trigger: &workflows.Trigger{Name: "t"}, schedule: &workflows.Schedule{Missed: x.missed}, table: table, in: d, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
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
