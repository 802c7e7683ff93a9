package triggers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// TestPollWaitsByItsTableAndItsFailures: until the next time, longer after each failure, as long as the service asks, and not at all
// after a downtime, but for a part of a tenth of the interval.
func TestPollWaitsByItsTableAndItsFailures(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		every     time.Duration
		cron      string
		st        engine.InletState
		from, to  time.Duration
		timetable string
	}{
		"never polled":                   {every: time.Hour, to: maxFirstPause},
		"never polled, a short interval": {every: 4 * time.Second, to: 4 * time.Second},
		"never polled, by a cron":        {cron: "30 * * * *", from: 30 * time.Minute, to: 30 * time.Minute},
		"the next time":                  {every: time.Hour, st: engine.InletState{AskedAt: ago(0)}, from: time.Hour, to: time.Hour},
		"the next time of a cron": {cron: "*/20 * * * *", st: engine.InletState{AskedAt: ago(0)},
			from: 20 * time.Minute, to: 20 * time.Minute},
		"late":                   {every: time.Hour, st: engine.InletState{AskedAt: ago(2 * time.Hour)}, to: maxFirstPause},
		"late, a short interval": {every: 10 * time.Second, st: engine.InletState{AskedAt: ago(time.Hour)}, to: time.Second},
		"a failure": {every: time.Minute, st: engine.InletState{AskedAt: ago(0), Failures: 1},
			from: time.Minute, to: time.Minute},
		"three failures": {every: time.Minute, st: engine.InletState{AskedAt: ago(0), Failures: 3},
			from: 4 * time.Minute, to: 4 * time.Minute},
		"many failures": {every: time.Minute, st: engine.InletState{AskedAt: ago(0), Failures: 9},
			from: maxPause, to: maxPause},
		"failures of a second": {every: time.Second, st: engine.InletState{AskedAt: ago(0), Failures: 90},
			from: maxPause, to: maxPause},
		"twelve doublings and no more": {every: time.Millisecond, st: engine.InletState{AskedAt: ago(0), Failures: 90},
			from: 4096e6, to: 4096e6},
		"a failure of a day": {every: 24 * time.Hour, st: engine.InletState{AskedAt: ago(0), Failures: 1},
			from: 24 * time.Hour, to: 24 * time.Hour},
		"asked to wait": {every: time.Minute, st: engine.InletState{AskedAt: ago(0), RetryAt: ago(-2 * time.Hour)},
			from: 2 * time.Hour, to: 2 * time.Hour},
		"asked to wait for less": {every: time.Hour, st: engine.InletState{AskedAt: ago(0), RetryAt: ago(-time.Minute)},
			from: time.Hour, to: time.Hour},
		"the clock was set back": {every: time.Hour, st: engine.InletState{AskedAt: ago(-9 * time.Hour)},
			from: time.Hour, to: time.Hour},
		"set back, and asked to wait": {every: time.Hour, st: engine.InletState{AskedAt: ago(-9 * time.Hour),
			RetryAt: ago(-11 * time.Hour)},
			from: 2 * time.Hour, to: 2 * time.Hour},
		"set back by two seconds": {every: time.Hour, st: engine.InletState{AskedAt: ago(-2 * time.Second)},
			from: time.Hour, to: time.Hour},
		"a cron, set back by a second": {cron: "0 10 * * *", st: engine.InletState{AskedAt: ago(-time.Second)},
			from: 24 * time.Hour, to: 24 * time.Hour},
		"an edited cron": {cron: "0 9 * * *", st: engine.InletState{AskedAt: ago(24 * time.Hour), Timetable: "0 8 * * * UTC"},
			from: 23 * time.Hour, to: 23 * time.Hour},
		"the same cron, late": {cron: "0 9 * * *", st: engine.InletState{AskedAt: ago(24 * time.Hour), Timetable: "0 9 * * * UTC"},
			to: maxFirstPause},
		"a cron of an older version, late": {cron: "0 9 * * *", st: engine.InletState{AskedAt: ago(24 * time.Hour)}, to: maxFirstPause},
		"an edited interval, late": {every: time.Hour, st: engine.InletState{AskedAt: ago(24 * time.Hour), Timetable: "every 2h0m0s"},
			to: maxFirstPause},
	} {
		table, err := newTimetable(c.every, c.cron, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		p := &poller{table: table}
		least, most := time.Duration(1<<62), time.Duration(-1)
		for range 200 {
			got := p.wait(c.st, now)
			least, most = min(least, got), max(most, got)
		}
		if least < c.from || most > c.to || c.from < c.to && (most >= c.to || most < c.to*9/10 || least > c.to/10) {
			t.Errorf("%s: from %s to %s, want %s to %s", name, least, most, c.from, c.to)
		}
	}
	for _, d := range []time.Duration{0, -time.Second} {
		if got := spread(d); got != 0 {
			t.Errorf("a part of %s is %s", d, got)
		}
	}
}

// turns is a diary that polls, and says when.
type turns struct {
	diary
	reads []error
	asked []string
	when  []time.Time
	began time.Time
	ended int
}

func (d *turns) InletState(_ context.Context, trigger, inlet string) (engine.InletState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.reads) > 0 {
		err := d.reads[0]
		d.reads = d.reads[1:]
		return engine.InletState{}, err
	}
	return d.states[trigger+inlet], nil
}

func (d *turns) Turn(_ context.Context, work string) (func(), bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.when = append(d.when, time.Now())
	d.asked = append(d.asked, fmt.Sprintf("%s at %s", work, time.Since(d.began).Round(time.Minute)))
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ended++
	}, !d.follows.Load()
}

func (d *turns) Poll(_ context.Context, b *engine.PollBatch) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states[b.Trigger+b.Inlet] = b.State
	return 0, nil
}

// TestPollsRunUntilTheyAreStopped: each at its times, and where another process has the turn it is asked for again. A failure is
// logged, and so is a state that cannot be read; what ends because the program does is not.
func TestPollsRunUntilTheyAreStopped(t *testing.T) {
	const config = `triggers:
  t: {poll: {cron: "*/20 * * * *", request: {url: "https://shop.example/o"}, key: item.id}}
  rare: {poll: {cron: "30 2 * * *", request: {url: "https://shop.example/o"}, key: item.id}}
`
	none := func(string) (string, bool) { return "", false }
	for name, c := range map[string]struct {
		follows bool
		reads   []error
		answer  error
		last    time.Duration
		want    string
		logged  string
	}{
		"alone":              {last: 65 * time.Minute, want: "poll t at 20m0s, poll t at 40m0s, poll t at 1h0m0s"},
		"at night":           {last: 3 * time.Hour, want: "poll rare at 2h30m0s"},
		"another node polls": {follows: true, last: 21 * time.Minute, want: "poll t at 20m0s"},
		"no state": {reads: []error{errors.New("no state"), errors.New("no state")}, last: time.Second, want: "",
			logged: "cannot read the state of a poll"},
		"a failing service": {answer: errors.New("no service"), last: 21 * time.Minute, want: "poll t at 20m0s", logged: "poll failed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			d := &turns{diary: diary{states: map[string]engine.InletState{}}, reads: c.reads, began: time.Now()}
			d.follows.Store(c.follows)
			text := config
			if name == "at night" {
				text = strings.Replace(config, "*/20 * * * *", "0 0 1 1 *", 1)
			}
			in := NewInlets(d, slog.New(slog.NewTextHandler(&log, nil)))
			ask := func(context.Context, map[string]any) (map[string]any, error) {
				return map[string]any{"status": 200, "body": []any{}, "url": "https://shop.example/o"}, c.answer
			}
			if err := in.Use(projectOf(t, text), ask, none); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), c.last)
			defer cancel()
			in.Run(ctx)
			if got := strings.Join(d.asked, ", "); got != c.want || time.Since(d.began) != c.last || !c.follows && d.ended != len(d.asked) {
				t.Errorf("%s: %s after %s, %d ended", name, got, time.Since(d.began), d.ended)
			}
			if got := strings.Count(log.String(), "level="); (got > 0) != (c.logged != "") || !strings.Contains(log.String(), c.logged) {
				t.Errorf("%s: logged %s", name, log.String())
			}
		})
	}
}

// TestPollAsksForItsTurnAgain while another process has it, but not within two seconds.
func TestPollAsksForItsTurnAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &turns{diary: diary{states: map[string]engine.InletState{"tpoll": {AskedAt: time.Now().Add(-time.Hour)}}}, began: time.Now()}
		d.follows.Store(true)
		in := NewInlets(d, slog.New(slog.DiscardHandler))
		p := projectOf(t, `triggers: {t: {poll: {every: 20m, request: {url: "https://shop.example/o"}, key: item.id}}}`)
		if err := in.Use(p, nil, func(string) (string, bool) { return "", false }); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		in.Run(ctx)
		if n := len(d.asked); n < 60 || n > 120 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		for i, at := range d.when[1:] {
			if gap := at.Sub(d.when[i]); gap < leadAgain || gap > leadAgain+maxFirstPause {
				t.Errorf("asked after %s", gap)
			}
		}
	})
}

// TestInletsFollowAnEditedProject: those of the old file end, and nothing begins once the program ends.
func TestInletsFollowAnEditedProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &turns{diary: diary{states: map[string]engine.InletState{}}, began: time.Now()}
		in := NewInlets(d, slog.New(slog.DiscardHandler))
		ask := func(context.Context, map[string]any) (map[string]any, error) {
			return map[string]any{"status": 200, "body": []any{}, "url": "https://shop.example/o"}, nil
		}
		use := func(text string) {
			t.Helper()
			if err := in.Use(projectOf(t, text), ask, func(string) (string, bool) { return "", false }); err != nil {
				t.Fatal(err)
			}
		}
		use("triggers: {}\n")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { in.Run(ctx); close(ended) }()
		time.Sleep(time.Minute)
		use("triggers:\n" +
			"  a: {schedule: {cron: \"*/10 * * * *\"}}\n" +
			"  b: {webhook: {auth: none, expect: {within: 1h}}}\n" +
			"  c: {webhook: {auth: none, key: body.id, reconcile: {every: 30m, request: {url: \"https://x.example/o\"}, key: item.id}}}\n")
		time.Sleep(62 * time.Minute)
		use("triggers:\n  a: {schedule: {cron: \"*/45 * * * *\"}}\n")
		time.Sleep(time.Hour)
		cancel()
		<-ended
		time.Sleep(time.Hour)
		if err := in.Use(&workflows.Project{Timezone: time.UTC}, ask, nil); err != nil {
			t.Error(err)
		}
		const want = "00:10 00:20 00:30 00:40 00:50 01:00 alert 01:45 02:00, reconcile c at 1m0s, reconcile c at 30m0s, reconcile c at 1h0m0s"
		var got []string
		for _, x := range d.told() {
			if at, ok := strings.CutSuffix(x, ":00Z {}"); ok {
				got = append(got, strings.TrimPrefix(at, "2000-01-01T"))
			} else if strings.Contains(x, "trigger b has had no delivery for 1h0m0s") {
				got = append(got, "alert")
			}
		}
		if got := strings.Join(append([]string{strings.Join(got, " ")}, d.asked...), ", "); got != want {
			t.Error(got)
		}
	})
}
