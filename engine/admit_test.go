package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestSlotDecision states concurrency, rate and the order check in one table.
func TestSlotDecision(t *testing.T) {
	t.Parallel()
	type (
		slot  = engine.SlotRequest
		state = engine.GroupState
		admit = engine.Admission
	)
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	later := now.Add(time.Minute)
	begins := admit{Begins: true, Start: now}
	for name, c := range map[string]struct {
		request slot
		group   state
		want    admit
		drop    string
	}{
		"no limit":                  {slot{}, state{AtWork: 9, Queued: 9}, begins, ""},
		"a slot is free":            {slot{Limit: 2}, state{AtWork: 1}, begins, ""},
		"no slot is free":           {slot{Limit: 2, MaxQueue: 1}, state{AtWork: 2}, admit{}, ""},
		"others are before it":      {slot{Limit: 2, MaxQueue: 2}, state{Queued: 1}, admit{}, ""},
		"the last place of a queue": {slot{Limit: 1, MaxQueue: 2}, state{AtWork: 1, Queued: 1}, admit{}, ""},
		"the queue is full": {slot{Limit: 1, MaxQueue: 2}, state{Queued: 2}, admit{},
			"concurrency: 2 already queued, the limit of max_queue"},
		"the queue of a group": {slot{Limit: 1, Group: "a"}, state{AtWork: 1}, admit{},
			`concurrency: 0 already queued in group "a", the limit of max_queue`},
		"dropped when full": {slot{Limit: 1, OnFull: "drop", MaxQueue: 9}, state{AtWork: 1}, admit{},
			"concurrency: 1 running, on_full: drop"},
		"replaces when full":       {slot{Limit: 1, OnFull: "replace"}, state{AtWork: 1}, admit{Replace: true}, ""},
		"replaces those that wait": {slot{Limit: 1, OnFull: "replace"}, state{Queued: 1}, admit{Replace: true}, ""},
		"the rate allows it later": {slot{RateLimit: 1}, state{NextStart: later}, admit{Begins: true, Start: later}, ""},
		"the rate allows it now":   {slot{RateLimit: 1, RateDrop: true}, state{NextStart: now}, begins, ""},
		"dropped by the rate": {slot{RateLimit: 30, RatePer: time.Minute, RateDrop: true}, state{NextStart: later}, admit{},
			"rate: 30 started within 1m, on_full: drop"},
		"older than the newest": {slot{Stale: int64(1)}, state{Newest: int64(2)}, admit{},
			"stale: 1 is older than 2, the last one applied"},
		"as old as the newest":   {slot{Stale: int64(2)}, state{Newest: int64(2)}, begins, ""},
		"newer than the newest":  {slot{Stale: int64(3)}, state{Newest: int64(2)}, begins, ""},
		"the first of its group": {slot{Stale: int64(-3)}, state{}, begins, ""},
		"without an order check": {slot{}, state{Newest: int64(2)}, begins, ""},
		"a fraction, older":      {slot{Stale: 1.5}, state{Newest: int64(2)}, admit{}, "stale: 1.5 is older than 2, the last one applied"},
		"a fraction, as old":     {slot{Stale: 2.0}, state{Newest: int64(2)}, begins, ""},
		"large, where floats are equal": {slot{Stale: int64(1 << 60)}, state{Newest: int64(1<<60 + 1)}, admit{},
			"stale: 1152921504606846976 is older than 1152921504606846977, the last one applied"},
		"a time": {slot{Stale: now.UnixMicro()}, state{Newest: later.UnixMicro()}, admit{},
			"stale: 2026-05-01T00:00:00Z is older than 2026-05-01T00:01:00Z, the last one applied"},
		"an integer just below the times": {slot{Stale: int64(300_000_000_000_000)}, state{Newest: int64(300_000_000_000_001)},
			admit{}, "stale: 300000000000000 is older than 1979-07-05T05:20:00.000001Z, the last one applied"},
		"an integer just above the times": {slot{Stale: int64(5_999_999_999_999_999)}, state{Newest: int64(6_000_000_000_000_000)},
			admit{}, "stale: 2160-02-18T10:39:59.999999Z is older than 6000000000000000, the last one applied"},
	} {
		want := c.want
		want.Drop = c.drop
		if got := c.request.Admit(c.group, now); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

// TestDropReasonBoundsTheGroupName: a group's name comes from the event.
func TestDropReasonBoundsTheGroupName(t *testing.T) {
	t.Parallel()
	p := engine.SlotRequest{Limit: 1, OnFull: "drop", Group: strings.Repeat("x", 5000)}
	if drop := p.Admit(engine.GroupState{AtWork: 1}, time.Time{}).Drop; len(drop) > 260 {
		t.Errorf("%d bytes: %s", len(drop), drop)
	}
}

func TestDurationsAreWrittenShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 61 * time.Minute: "1h1m",
		30 * time.Second: "30s", 10 * time.Minute: "10m", 10 * time.Hour: "10h", time.Hour + time.Second: "1h0m1s"} {
		if got := engine.ShortDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestReplacedRunShowsTheReason(t *testing.T) {
	t.Parallel()
	if err := engine.ReplacedByNewer(); err == nil || err.Code != "replaced" || err.Message == "" {
		t.Errorf("%v", err)
	}
}
