package store_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/workflows"
)

// TestRecordedSchedulesAreRead checks both databases: what backtests of schedules read is the same.
func TestRecordedSchedulesAreRead(t *testing.T) {
	schedulesAreRead(t, filepath.Join(t.TempDir(), "x.db"))
}

func TestRecordedSchedulesAreReadFromPostgreSQL(t *testing.T) {
	schedulesAreRead(t, postgrestest.Shared(t).Database(t))
}

func schedulesAreRead(t *testing.T, path string) {
	t.Helper()
	s := open(t, path, store.Options{})
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if at, err := h.FirstReceived(ctx); err != nil || !at.IsZero() {
		t.Errorf("the first event of an empty database was received at %s: %v", at, err)
	}
	if list, err := h.Schedules(ctx); err != nil || len(list) > 0 {
		t.Errorf("an empty database has the schedules %v: %v", list, err)
	}
	base := time.UnixMilli(1_800_000_000_000).UTC()
	for i, x := range []struct {
		trigger, key string
		inlet        engine.Inlet
	}{{"nightly", "a/1", workflows.InletSchedule}, {"nightly", "a/2", workflows.InletSchedule}, {"nightly", "hand", workflows.InletManual},
		{"hourly", "1", workflows.InletSchedule}, {"nightly", "b/3", workflows.InletSchedule}} {
		d := delivery(x.trigger, x.key)
		d.Inlet, d.ReceivedAt = x.inlet, base.Add(time.Duration(i)*time.Minute)
		accept(t, s, engine.EventID(i+1), d)
	}
	for _, x := range []struct{ trigger, inlet, cursor string }{{"nightly", "schedule b", `{"cron":"0 3 * * *"}`}, {"hourly", "poll", `"p"`},
		{"hourly", "schedule ", `{"every":"1h"}`}, {"nightly", "schedule a", ""}} {
		b := &engine.PollBatch{Trigger: x.trigger, Inlet: x.inlet, State: engine.InletState{AskedAt: base}}
		if x.cursor != "" {
			b.State.Cursor = []byte(x.cursor)
		}
		if _, err := s.Poll(ctx, nil, b); err != nil {
			t.Fatal(err)
		}
	}
	if at, err := h.FirstReceived(ctx); err != nil || !at.Equal(base) {
		t.Errorf("the first event was received at %s, want %s: %v", at, base, err)
	}
	for since, want := range map[time.Duration][]string{0: {"a/1 0s", "a/2 1m0s", "b/3 4m0s"}, time.Minute: {"a/2 1m0s", "b/3 4m0s"},
		5 * time.Minute: nil} {
		var got []string
		err := h.Firings(ctx, "nightly", base.Add(since), func(key string, at time.Time) { got = append(got, key+" "+at.Sub(base).String()) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("firings since %s: %q, want %q: %v", since, got, want, err)
		}
	}
	list, err := h.Schedules(ctx)
	var got []string
	for _, x := range list {
		got = append(got, fmt.Sprintf("%s/%s %s", x.Trigger, x.Schedule, x.Timetable))
	}
	if want := []string{`hourly/ {"every":"1h"}`, "nightly/a ", `nightly/b {"cron":"0 3 * * *"}`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("schedules %q, want %q: %v", got, want, err)
	}
}
