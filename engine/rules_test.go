package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

func TestWebhookGapIsLearnedFromEnoughHistory(t *testing.T) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		events              int
		span, longest, want time.Duration
	}{
		"half as long again as the longest pause": {50, 72 * time.Hour, 4 * time.Hour, 6 * time.Hour},
		"too few events":              {49, 72 * time.Hour, 4 * time.Hour, 0},
		"too short a time":            {5000, 72*time.Hour - 1, 4 * time.Hour, 0},
		"never less than ten minutes": {5000, 72 * time.Hour, time.Minute, 10 * time.Minute},
		"no history":                  {},
	} {
		g := engine.Gaps{Events: c.events, First: at, Last: at.Add(c.span), Longest: c.longest}
		if got := g.Quiet(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestPollItemOutcome(t *testing.T) {
	const mine, other = 7, 5
	for name, c := range map[string]struct {
		inlet engine.Inlet
		batch engine.PollBatch
		known engine.KnownItem
		want  engine.ItemResult
	}{
		"new":                     {"poll", engine.PollBatch{}, engine.KnownItem{}, engine.ItemAccepted},
		"found by the first poll": {"poll", engine.PollBatch{Remember: true}, engine.KnownItem{}, engine.ItemRemembered},
		"came during the first poll": {"poll", engine.PollBatch{Remember: true, New: map[string]bool{"k": true}}, engine.KnownItem{},
			engine.ItemAccepted},
		"measured only":            {"poll", engine.PollBatch{Observe: true}, engine.KnownItem{}, engine.ItemObserved},
		"remembered":               {"poll", engine.PollBatch{}, engine.KnownItem{Remembered: true}, engine.ItemKnown},
		"polled before":            {"poll", engine.PollBatch{}, engine.KnownItem{Event: other, Polled: true}, engine.ItemKnown},
		"polled before and pruned": {"poll", engine.PollBatch{}, engine.KnownItem{Event: other, Gone: true}, engine.ItemKnown},
		"a webhook brought it":     {"poll", engine.PollBatch{}, engine.KnownItem{Event: other}, engine.ItemAccepted},
		"stored by this very poll": {"poll", engine.PollBatch{}, engine.KnownItem{Event: mine, Polled: true}, engine.ItemStored},
		"a planned time":           {"schedule", engine.PollBatch{}, engine.KnownItem{Event: other, Polled: true}, engine.ItemAccepted},
	} {
		d := &engine.Delivery{Inlet: c.inlet, Key: "k"}
		got, noted := c.batch.Recorded(d)
		if !noted {
			got = c.known.Result(mine, d)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRunsReplacedByANewRun(t *testing.T) {
	ids := func(list ...engine.RunID) []engine.RunID { return list }
	for name, c := range map[string]struct {
		limit                 int
		waiting, atWork, want []engine.RunID
	}{
		"the one at work":                       {1, nil, ids(1), ids(1)},
		"all that wait, then the one at work":   {1, ids(2, 3), ids(1), ids(2, 3, 1)},
		"the oldest of two":                     {2, nil, ids(1, 2), ids(1)},
		"nobody where a slot is free":           {3, nil, ids(1, 2), nil},
		"as many as a lowered limit asks for":   {1, nil, ids(1, 2, 3), ids(1, 2, 3)},
		"those that wait though a slot is free": {2, ids(4), ids(1), ids(4)},
	} {
		p := engine.SlotRequest{Limit: c.limit}
		if got := p.Replaces(c.waiting, c.atWork); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestNextQueuedRunStarts(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	later := now.Add(time.Minute)
	for name, c := range map[string]struct {
		group  engine.GroupState
		limit  int
		want   time.Time
		begins bool
	}{
		"a slot is free":               {engine.GroupState{AtWork: 1}, 2, now, true},
		"no slot is free":              {engine.GroupState{AtWork: 2}, 2, time.Time{}, false},
		"the rate allows it later":     {engine.GroupState{NextStart: later}, 1, later, true},
		"the rate has long allowed it": {engine.GroupState{NextStart: now.Add(-time.Hour)}, 1, now, true},
	} {
		if at, begins := c.group.Turn(c.limit, now); !at.Equal(c.want) || begins != c.begins {
			t.Errorf("%s: %v %v", name, at, begins)
		}
	}
}

func TestNextStartUnderARate(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	later := now.Add(time.Minute)
	for name, c := range map[string]struct{ last, back, want time.Time }{
		"none has started":               {},
		"fewer than the rate allows":     {last: now, want: now},
		"the stretch is not over":        {last: now, back: now.Add(-time.Minute), want: now.Add(59 * time.Minute)},
		"never before the last, planned": {last: later, back: now.Add(-2 * time.Hour), want: later},
	} {
		if got := engine.RateStart(c.last, c.back, time.Hour); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
