package backtest_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// nightly returns a workflow of a schedule, that sends the planned time.
func nightly(schedule string) map[string]string {
	return map[string]string{"w": "on: {schedule: {" + schedule + `}}
steps: [{id: a, uses: test/act, with: {n: "${{ event.time }}", url: "https://x"}}]
`}
}

// overTheClockChange runs the schedules of a project in the night in which the clocks of Berlin go
// forward, with an hour without a server. It returns when it ended.
func overTheClockChange(t *testing.T, flows map[string]string) (path string, end time.Time) {
	t.Helper()
	p := load(t, flows)
	night := func(hour, minute int) time.Time { return time.Date(2000, 3, 26, hour, minute, 0, 0, time.UTC) }
	end = night(4, 9) // none of the schedules fires at this minute
	return recordFrom(t, night(-1, 5), flows, func(ctx context.Context, e *machine.Engine) {
		up := func(until time.Time) {
			ctx, cancel := context.WithCancel(ctx)
			in, ended := triggers.NewInlets(e, slog.New(slog.DiscardHandler)), make(chan struct{})
			if err := in.Use(p, nil, nil); err != nil {
				t.Error(err)
			}
			go func() { in.Run(ctx); close(ended) }()
			time.Sleep(time.Until(until))
			cancel()
			<-ended
		}
		up(night(1, 29))
		time.Sleep(time.Until(night(2, 42)))
		up(end)
	}), end
}

// firingsOf lists the planned times of the recorded firings.
func firingsOf(t *testing.T, path string) map[time.Time]bool {
	t.Helper()
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	page, err := h.RecordedPage(context.Background(), engine.RecordedQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	out := map[time.Time]bool{}
	for _, ev := range page {
		out[ev.Event.Time.UTC()] = true
	}
	return out
}

// TestAnEditedScheduleFiresAsTheEngineWouldHave compares what a backtest of an edited schedule says with
// what the engine does with it, over a clock change and a downtime.
func TestAnEditedScheduleFiresAsTheEngineWouldHave(t *testing.T) {
	ran := `cron: "30 0-5 * * *", timezone: Europe/Berlin, missed: once`
	path, end := overTheClockChange(t, nightly(ran))
	recorded := firingsOf(t, path)
	if len(recorded) != 5 {
		t.Fatalf("%d firings are recorded: %v", len(recorded), recorded)
	}
	for _, edited := range []string{
		ran,
		`cron: "10 0-6 * * *", timezone: Europe/Berlin, missed: once`,
		`cron: "30 0-5 * * *", timezone: UTC`,
		`cron: "*/20 * * * *", timezone: Europe/Berlin, missed: all`,
		`every: 25m, missed: once`,
	} {
		t.Run(edited, func(t *testing.T) {
			other, _ := overTheClockChange(t, nightly(edited))
			first := slices.MinFunc(slices.Collect(maps.Keys(recorded)), time.Time.Compare)
			appear, vanish := map[string]bool{}, map[string]bool{}
			would := firingsOf(t, other)
			for at := range would {
				if !recorded[at] && !at.Before(first) {
					appear[at.String()] = true
				}
			}
			for at := range recorded {
				if !would[at] {
					vanish[at.String()] = true
				}
			}
			r := test(t, path, nightly(edited), func(o *backtest.Options) { o.Until = end; schedulesOf(t, o) })
			for _, c := range r.changes {
				at, want := c.Firing.Planned.UTC().String(), vanish
				if c.Firing.Appears {
					want = appear
				}
				if (c.Kind == backtest.StartsMatching) != c.Firing.Appears || (c.Event == "") != c.Firing.Appears ||
					c.Because.Expression != "schedule" || len(c.Requests.Added)+len(c.Requests.Removed) != 1 {
					t.Errorf("%+v", c)
				}
				if !want[at] {
					t.Errorf("%s: appears is %v, which the engine does not do", at, c.Firing.Appears)
				}
				delete(want, at)
			}
			if len(appear)+len(vanish)+len(r.unknown) > 0 {
				t.Errorf("not reported to appear: %v; to vanish: %v; unknown: %v", appear, vanish, r.unknown)
			}
			if edited == ran && (len(r.Schedules) > 0 || r.Unchanged != len(recorded)) {
				t.Errorf("an unchanged schedule: %+v, %d unchanged", r.Schedules, r.Unchanged)
			}
			if edited != ran && r.RunsAfter != r.RunsBefore+r.Schedules[0].Appear-r.Schedules[0].Vanish {
				t.Errorf("%d and %d runs: %+v", r.RunsBefore, r.RunsAfter, r.Schedules)
			}
		})
	}
}

// schedulesOf lets a backtest compute the firings of the edited schedules.
func schedulesOf(t *testing.T, o *backtest.Options) {
	h, p := o.History.(*store.History), o.Project
	o.Schedules = func(ctx context.Context, from, until time.Time) ([]*engine.ScheduleChange, error) {
		return triggers.ChangedSchedules(ctx, h, p, from, until)
	}
}

// TestScheduleFiresOnlyWithinTheWindow: a new schedule fires neither before the first event, nor before
// the window, nor at its end or later; a removed one does not fire.
func TestScheduleFiresOnlyWithinTheWindow(t *testing.T) {
	golden(t)
	path, end := overTheClockChange(t, nightly(`cron: "30 0-5 * * *", timezone: UTC`))
	two := map[string]string{"w": `on: {schedule: [{id: new, every: 10m, data: "${{ time }}"}, {id: old, cron: "30 2 * * *", timezone: UTC}]}
steps: [{id: a, uses: test/act, with: {n: "${{ event.data }}", url: "https://x"}}]
`}
	since := end.Add(-30 * time.Minute)
	for _, c := range []struct {
		name         string
		since, until time.Time
		want         []string
	}{
		{"since", since, end, []string{"03:40", "03:50", "04:00"}},
		{"until", since, end.Add(-10 * time.Minute), []string{"03:40", "03:50"}},
		{"the past", time.Time{}, time.Date(2000, 3, 26, 0, 30, 0, 0, time.UTC), nil},
		{"from first", time.Time{}, time.Date(2000, 3, 26, 0, 51, 0, 0, time.UTC), []string{"00:30", "00:40", "00:50"}},
	} {
		var got []string
		r := test(t, path, two, func(o *backtest.Options) { o.Since, o.Until = c.since, c.until; schedulesOf(t, o) })
		for _, x := range r.changes {
			if x.Firing.Appears && x.Firing.Schedule == "new" {
				got = append(got, x.Firing.Planned.UTC().Format("15:04"))
				if n := fmt.Sprint(x.Requests.Added[0].Request["n"]); n != x.Firing.Planned.UTC().Format("2006-01-02T15:04:05.000Z") {
					t.Errorf("%s: %v", x.Firing, x.Requests.Added)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	none := test(t, path, map[string]string{"w": "on: hook\nsteps: [{uses: log, with: {message: x}}]\n"}, func(o *backtest.Options) {
		o.Until = end
		schedulesOf(t, o)
	})
	if len(none.Schedules) != 1 || none.Schedules[0].Appear != 0 || none.Schedules[0].Vanish != none.RunsBefore || none.RunsAfter != 0 {
		t.Errorf("a removed schedule: %+v, %d runs before and %d after", none.Schedules, none.RunsBefore, none.RunsAfter)
	}
}
