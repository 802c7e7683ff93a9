package triggers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// logbook is a record of firings.
type logbook struct {
	schedules []engine.ScheduleState
	keys      map[string]time.Time
	err       [2]error
}

func (l *logbook) Schedules(context.Context) ([]engine.ScheduleState, error) {
	return l.schedules, l.err[0]
}

func (l *logbook) Firings(_ context.Context, _ string, since time.Time, do func(string, time.Time)) error {
	for key, at := range l.keys {
		if !at.Before(since) {
			do(key, at)
		}
	}
	return l.err[1]
}

func projectOf(t *testing.T, text string) *workflows.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	presets, err := Presets()
	if err != nil {
		t.Fatal(err)
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{CheckCron: CheckCron, Presets: presets}, nil)
	if mistakes.Errors() > 0 {
		t.Fatalf("%s\n%v", text, mistakes)
	}
	return p
}

// changesOf lists what an edit changes: each schedule with its new firings and the recorded ones that it keeps.
func changesOf(t *testing.T, l *logbook, p *workflows.Project, from, until time.Time, keys []string) string {
	t.Helper()
	list, err := ChangedSchedules(t.Context(), l, p, from, until)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		line := fmt.Sprintf("%s/%s %q -> %q in %s:", c.Trigger, c.Schedule, c.Before, c.After, c.Zone)
		after := time.Time{}
		for {
			f, err := c.Next(after)
			if err != nil {
				line += " " + err.Error()
			}
			if f == nil {
				break
			}
			line += " " + f.Planned.Format("02T15:04")
			if !f.Delivery.ReceivedAt.Equal(f.Planned) {
				line += f.Delivery.ReceivedAt.Format("@02T15:04:05")
			}
			after = f.Planned
		}
		line += "; keeps"
		for _, key := range keys {
			if c.Keeps(key) {
				line += " " + key
			}
		}
		out = append(out, "  "+line+"\n")
	}
	return strings.Join(out, "")
}

// TestEditOfAScheduleIsComparedWithItsRecordedFirings: what it fires besides, what it no longer fires, and what it does
// with the times of a downtime.
func TestEditOfAScheduleIsComparedWithItsRecordedFirings(t *testing.T) {
	all := ""
	for _, c := range []struct {
		name, file, ran, id string
		// fired are hours of the first of January, 2000; with @ and the time of its event for a late one.
		fired string
	}{
		{name: "the same times", file: `{cron: "0 */6 * * *"}`, ran: "0 */6 * * * UTC", fired: "6 12"},
		{name: "a new schedule", file: `{cron: "0 */6 * * *"}`, fired: "7"},
		{name: "another time zone", file: `{cron: "0 */12 * * *", timezone: Asia/Tokyo}`, ran: "0 */12 * * * UTC", fired: "0 12"},
		{name: "an interval", file: `{every: 4h}`, ran: "every 6h0m0s", fired: "0 6 12"},
		{name: "an interval before", file: `{cron: "30 12 * * *"}`, ran: "every 6h0m0s", fired: "0 6 12"},
		{name: "times that cannot be read", file: `{every: 6h}`, ran: "sometimes UTC", fired: "6"},
		{name: "an interval that cannot be read", file: `{every: 6h}`, ran: "every day", fired: "6"},
		{name: "an interval of nothing", file: `{every: 6h}`, ran: "every 0s", fired: "6"},
		{name: "a zone that is not known", file: `{every: 6h}`, ran: "0 0 * * * Mars/Olympus", fired: "6"},
		{name: "one word", file: `{every: 6h}`, ran: "daily", fired: "6"},
		{name: "an id", file: `[{id: a, cron: "0 6,7 * * *"}]`, ran: "0 7 * * * UTC", id: "a", fired: "7 7#"},
		{name: "another schedule of the trigger", file: `[{id: a, cron: "0 6 * * *"}]`, ran: "0 6 * * * UTC", id: "b", fired: "6"},
		{name: "a removed one without times", file: `[{id: a, cron: "0 6 * * *"}]`, ran: "unknown", id: "b", fired: "6"},
		{name: "down, and skipped", file: `{cron: "30 * * * *"}`, ran: "0 * * * * UTC", fired: "0 1 2 3 9 10 11 12 13"},
		{name: "down, and made up for once", file: `{cron: "30 * * * *", missed: once}`, ran: "0 * * * * UTC",
			fired: "0 1 2 3 8@8.2 9 10 11 12 13"},
		{name: "down, and all made up for", file: `{cron: "30 * * * *", missed: all}`, ran: "0 * * * * UTC",
			fired: "0 1 2 3 5@8.2 6@8.2 7@8.2 8@8.2 9 10 11 12 13"},
		{name: "down, and recorded ones are kept", file: `{cron: "0 */2 * * *", missed: once}`, ran: "0 * * * * UTC",
			fired: "0 1 2 3 7@8.2 8@8.2 9 10 11 12 13"},
		{name: "down, and none made up for by the edited one", file: `{cron: "30 * * * *", missed: skip}`, ran: "0 * * * * UTC",
			fired: "0 1 2 3 8@8.8 9 10 11 12 13"},
		{name: "down twice", file: `{cron: "30 * * * *"}`, ran: "0 * * * * UTC", fired: "0 3 4 7 8 9 10 11 12 13"},
		{name: "still down", file: `{cron: "30 */2 * * *"}`, ran: "0 */2 * * * UTC", fired: "0 2 4"},
		{name: "only the times since the last edit count", file: `{cron: "45 */2 * * *"}`, ran: "0 */4 * * * UTC", fired: "0.5 4.5 12"},
		{name: "late by its jitter", file: `{cron: "30 */6 * * *", jitter: 30m}`, ran: "0 */6 * * * UTC", fired: "0 6 12"},
		{name: "late by 90 seconds is in time", file: `{cron: "1 */6 * * *"}`, ran: "0 */6 * * * UTC", fired: "0 6@6.025 12@12.0251"},
		{name: "data that fails", file: `{every: 4h, data: "[1][time.Minute() + 1]"}`, ran: "every 6h0m0s", fired: "0 6 12"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := projectOf(t, "triggers:\n  t: {schedule: "+c.file+"}\n")
			from := time.Now().UTC()
			time.Sleep(13*time.Hour + 5*time.Minute)
			l := &logbook{keys: map[string]time.Time{}}
			if c.ran != "" {
				l.schedules = []engine.ScheduleState{{Trigger: "t", Schedule: c.id, Timetable: fmt.Appendf(nil, "%q", c.ran)}}
			}
			var keys []string
			for _, x := range strings.Fields(c.fired) {
				planned, made, _ := strings.Cut(x, "@")
				var h, late float64
				if _, err := fmt.Sscan(strings.Trim(planned, "#"), &h); err != nil {
					t.Fatal(err)
				}
				at := from.Add(time.Duration(h * float64(time.Hour)))
				key := at.Format(time.RFC3339)
				if strings.HasSuffix(planned, "#") {
					key += "#" + key
				}
				if c.id != "" {
					key = c.id + "/" + key
				}
				if made != "" {
					if _, err := fmt.Sscan(made, &late); err != nil {
						t.Fatal(err)
					}
					at = from.Add(time.Duration(late * float64(time.Hour)))
				}
				l.keys[key], keys = at, append(keys, key)
			}
			all += c.name + "\n" + changesOf(t, l, p, from, time.Now().UTC(), keys)
		})
	}
	testgolden.Compare(t, "scheduleedits.golden", all)
}

// TestEditOfAScheduleNeedsItsRecord: a record that cannot be read, a cron that is not valid and a call that ends are errors.
func TestEditOfAScheduleNeedsItsRecord(t *testing.T) {
	p := projectOf(t, "triggers:\n  t: {schedule: {cron: \"0 * * * *\"}}\n")
	until := time.Now()
	from := until.Add(-time.Hour)
	broken := &workflows.Project{Triggers: map[string]*workflows.Trigger{"t": {Name: "t", Schedules: []*workflows.Schedule{{Cron: "x"}}}},
		Timezone: time.UTC}
	ran := func() *logbook {
		return &logbook{schedules: []engine.ScheduleState{{Trigger: "t", Timetable: []byte(`"every 1m0s"`)}}}
	}
	noDisk := errors.New("no disk")
	ended, end := context.WithCancel(t.Context())
	end()
	for want, c := range map[string]struct {
		l   *logbook
		p   *workflows.Project
		ctx context.Context
	}{
		"reading the schedules that ran: no disk":            {&logbook{err: [2]error{noDisk}}, p, t.Context()},
		"reading the firings of t: no disk":                  {&logbook{err: [2]error{nil, noDisk}}, p, t.Context()},
		`trigger t: expected exactly 5 fields, found 1: [x]`: {&logbook{}, broken, t.Context()},
		"context canceled":                                   {ran(), p, ended},
		"":                                                   {ran(), p, t.Context()},
	} {
		list, err := ChangedSchedules(c.ctx, c.l, c.p, from, until)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if (err == nil) != (len(list) == 1) || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%v %v, want %s", list, err, want)
		}
	}
}
