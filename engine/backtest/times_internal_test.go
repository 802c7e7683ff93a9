package backtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// noon is a time; after returns one that is milliseconds later, zero for a negative number.
var noon = time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)

func after(ms int) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return noon.Add(time.Duration(ms) * time.Millisecond)
}

func all(ms ...int) (out []time.Time) {
	for _, x := range ms {
		out = append(out, after(x))
	}
	return out
}

// TestDecisionsHaveTheTimesOfTheRecordedRun checks at which time a simulated run decides after something
// happened, before the next thing, and that a run that follows decides at the same times.
func TestDecisionsHaveTheTimesOfTheRecordedRun(t *testing.T) {
	for _, x := range []struct {
		name            string
		moments, starts []time.Time
		t, next, want   int
		moved           bool
	}{
		{"at a recorded moment", all(100, 200), nil, 100, -1, 100, true},
		{"at the next recorded moment", all(100, 200), nil, 101, -1, 200, true},
		{"after the last moment", all(100, 200), nil, 201, -1, 201, false},
		{"not after the next thing", all(100, 200), nil, 101, 199, 101, false},
		{"at the next thing", all(100, 200), nil, 101, 200, 200, true},
		{"a start soon after is the same time", all(9000), all(150), 101, -1, 101, true},
		{"a start a second later is its own time", all(9000), all(1101), 101, -1, 1101, true},
		{"a start just under a second later", all(9000), all(1100), 101, -1, 101, true},
		{"a start without moments", []time.Time{}, all(150), 101, -1, 101, true},
		{"a moment before the start", all(120), all(150), 101, -1, 120, true},
		{"a moment at the start", all(150), all(150), 101, -1, 150, true},
		{"nothing is recorded", []time.Time{}, nil, 101, -1, 101, false},
		{"a late start after the next thing", all(9000), all(5000), 101, 300, 101, false},
	} {
		c := &clock{moments: x.moments, starts: x.starts, moved: map[int64]time.Time{}}
		if got := c.at(after(x.t), after(x.next)); !got.Equal(after(x.want)) {
			t.Errorf("%s: %v, want %v", x.name, got, after(x.want))
		}
		if _, moved := c.moved[after(x.t).UnixNano()]; moved != x.moved {
			t.Errorf("%s: is remembered: %v", x.name, moved)
		}
		if got := c.follow().at(after(x.t), after(-1)); !got.Equal(after(x.want)) {
			t.Errorf("%s: the run that follows decides at %v", x.name, got)
		}
	}
	c := &clock{moments: all(200), moved: map[int64]time.Time{}}
	exact := after(200).Add(999 * time.Microsecond)
	if got := c.at(exact, after(-1)); !got.Equal(exact) {
		t.Errorf("a time within the millisecond of a moment: %v", got)
	}
	c.at(after(100), after(-1))
	for _, x := range []struct{ next, want int }{{199, 100}, {200, 200}, {-1, 200}} {
		if got := c.follow().at(after(100), after(x.next)); !got.Equal(after(x.want)) {
			t.Errorf("before %d: %v, want %d", x.next, got, x.want)
		}
	}
}

// TestMomentsAreThoseOfStepsWithoutAnAttempt checks which recorded times are decisions, and which are starts of
// attempts.
func TestMomentsAreThoseOfStepsWithoutAnAttempt(t *testing.T) {
	r := &engine.RecordedRun{Run: &engine.Run{FinishedAt: after(90)}, Records: []*plan.Record{
		{Action: "test/act", StartedAt: after(70), FinishedAt: after(80)}, {Action: "log", StartedAt: after(10), FinishedAt: after(11)},
		{Action: "sleep", StartedAt: after(40), FinishedAt: after(60)}, {Action: "wait", StartedAt: after(30)}}}
	c := clockOf(r)
	if got, want := fmt.Sprint(c.moments, c.starts), fmt.Sprint(all(30, 40, 60, 90), all(10, 70)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r.Run.FinishedAt = time.Time{}
	if got := clockOf(r).moments; len(got) != 3 {
		t.Errorf("without an end: %v", got)
	}
	if c := clockOf(&engine.RecordedRun{Run: &engine.Run{}}); c.moments == nil || !c.at(after(5), after(-1)).Equal(after(5)) {
		t.Errorf("without records: %+v", c)
	}
}

// TestWorkingTimeIsUsedUpAsRecorded checks when a recorded run had used its time up, and how much of it a run
// that is compared with it has.
func TestWorkingTimeIsUsedUpAsRecorded(t *testing.T) {
	records := []*plan.Record{{Path: "a", Action: "test/act", Status: plan.Failed, StartedAt: after(10), FinishedAt: after(40)},
		{Path: "b", Action: "sleep", Status: plan.Failed, StartedAt: after(20), FinishedAt: after(90)},
		{Path: "on_failure/0", Action: "test/act", Status: plan.Succeeded, StartedAt: after(95), FinishedAt: after(96)},
		{Path: "finally/0", Action: "test/act", Status: plan.Succeeded, StartedAt: after(97), FinishedAt: after(98)}}
	timedOut := func(edit func(*engine.RecordedRun)) *engine.RecordedRun {
		r := &engine.RecordedRun{Run: &engine.Run{Status: engine.TimedOut, StartedAt: after(0), Error: &plan.Error{Code: "timeout"}},
			Records: records}
		edit(r)
		return r
	}
	for name, x := range map[string]struct {
		edit func(*engine.RecordedRun)
		want int
	}{
		"an attempt ends": {func(*engine.RecordedRun) {}, 40},
		"a sleep ends itself": {func(r *engine.RecordedRun) {
			y := *records[1]
			y.Status = plan.Succeeded
			r.Records = []*plan.Record{&y}
		}, 90},
		"a sleep is cut": {func(r *engine.RecordedRun) { r.Records = records[1:2] }, 20},
		"no records":     {func(r *engine.RecordedRun) { r.Records = nil }, 0},
		"it failed":      {func(r *engine.RecordedRun) { r.Run.Status = engine.Failed }, -1},
		"another error":  {func(r *engine.RecordedRun) { r.Run.Error.Code = "deadline" }, -1},
		"no error":       {func(r *engine.RecordedRun) { r.Run.Error = nil }, -1},
	} {
		if got := timeOf(timedOut(x.edit)); !got.upAt.Equal(after(x.want)) || !got.recorded {
			t.Errorf("%s: %+v, want %v", name, got, after(x.want))
		}
	}
	for _, x := range []struct {
		time     workingTime
		now      int
		timedOut bool
	}{
		{workingTime{used: 99 * time.Millisecond}, 0, false}, {workingTime{used: 100 * time.Millisecond}, 0, true},
		{workingTime{used: 90 * time.Millisecond, beside: 10 * time.Millisecond}, 0, true},
		{workingTime{used: 105 * time.Millisecond, beside: -6 * time.Millisecond}, 0, false},
		{workingTime{used: time.Hour, recorded: true}, 50, false},
		{workingTime{recorded: true, upAt: after(50)}, 49, false}, {workingTime{recorded: true, upAt: after(50)}, 50, true},
	} {
		s := &simulation{w: &workflows.Workflow{Timeout: 100 * time.Millisecond}, st: &plan.State{Now: after(x.now)}, time: x.time}
		if s.timeOut(); s.st.TimedOut != x.timedOut || s.time.atEnd != x.time.used {
			t.Errorf("%+v at %d: %v, used at the end %v", x.time, x.now, s.st.TimedOut, s.time.atEnd)
		}
	}
	s := &simulation{w: &workflows.Workflow{Timeout: time.Second}, st: &plan.State{TimedOut: true},
		time: workingTime{atEnd: time.Millisecond}}
	if s.time.used = time.Hour; s.followTime().beside != 999*time.Millisecond {
		t.Errorf("after a timeout: %+v", s.followTime())
	}
	if s.timeOut(); s.time.atEnd != time.Millisecond {
		t.Error("the time at the end changes after the timeout")
	}
	s.st.TimedOut = false
	for used, want := range map[time.Duration]time.Duration{0: 0, time.Second: -1, 1500 * time.Millisecond: -500*time.Millisecond - 1,
		3 * time.Second: -time.Second} {
		if s.time.atEnd = used; s.followTime().beside != want {
			t.Errorf("after %v without a timeout: %v, want %v", used, s.followTime().beside, want)
		}
	}
}

// TestAnAttemptMayTakeWhatIsLeft checks that the shortest of the step's timeout, the deadline and the working time limits an attempt.
func TestAnAttemptMayTakeWhatIsLeft(t *testing.T) {
	for name, x := range map[string]struct {
		edit func(*simulation, *plan.Due)
		want time.Duration
	}{
		"the step's timeout": {func(*simulation, *plan.Due) {}, time.Minute},
		"a deadline":         {func(_ *simulation, d *plan.Due) { d.Deadline = after(3000) }, 3 * time.Second},
		"a later deadline":   {func(_ *simulation, d *plan.Due) { d.Deadline = after(90_000) }, time.Minute},
		"a past deadline":    {func(_ *simulation, d *plan.Due) { d.Deadline = noon.Add(-time.Hour) }, time.Millisecond},
		"the working time": {func(s *simulation, _ *plan.Due) {
			s.time = workingTime{used: time.Hour - time.Minute, beside: 30 * time.Second}
		}, 30 * time.Second},
		"no working time":   {func(s *simulation, _ *plan.Due) { s.time.used = 2 * time.Hour }, time.Millisecond},
		"a recorded run":    {func(s *simulation, _ *plan.Due) { s.time = workingTime{used: 2 * time.Hour, recorded: true} }, time.Minute},
		"after the timeout": {func(s *simulation, _ *plan.Due) { s.time.used, s.st.TimedOut = 2*time.Hour, true }, time.Minute},
		"finally":           {func(s *simulation, d *plan.Due) { s.time.used, d.Path = 2*time.Hour, "finally/0" }, time.Minute},
	} {
		s := &simulation{w: &workflows.Workflow{Timeout: time.Hour}, st: &plan.State{Now: noon}}
		d := &plan.Due{Path: "finally_too", Step: &workflows.Step{Timeout: time.Minute}}
		x.edit(s, d)
		if got := s.allowed(d); got != x.want {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
}

// TestTheMostRunsAtOnceAreCounted adds intervals, and checks the largest number that overlap.
func TestTheMostRunsAtOnceAreCounted(t *testing.T) {
	for _, x := range []struct {
		spans [][2]int
		most  int
	}{
		{nil, 0}, {[][2]int{{0, 10}}, 1}, {[][2]int{{0, 10}, {10, 20}}, 1}, {[][2]int{{0, 10}, {9, 20}}, 2},
		{[][2]int{{0, 100}, {10, 20}, {20, 30}, {25, 40}, {60, 70}}, 3}, {[][2]int{{0, 30}, {1, 10}, {2, 20}, {12, 15}, {25, 40}}, 3},
		{[][2]int{{0, 9}, {1, 3}, {2, 5}, {4, 6}, {7, 8}}, 3},
	} {
		var o overlap
		for _, s := range x.spans {
			o.add(after(s[0]), after(s[1]))
		}
		if o.most != x.most {
			t.Errorf("%v: %d, want %d", x.spans, o.most, x.most)
		}
	}
}

// TestSlotsAreGivenAsByTheEngine asks for slots of a group, and checks when each run starts.
func TestSlotsAreGivenAsByTheEngine(t *testing.T) {
	type ask struct {
		at, takes int
		start     int // -1 for a run that is dropped
		replaces  int
	}
	hour := 3_600_000
	for name, x := range map[string]struct {
		slot engine.SlotRequest
		asks []ask
	}{
		"queue": {engine.SlotRequest{Limit: 1, OnFull: "queue", MaxQueue: 2},
			[]ask{{0, 10, 0, 0}, {1, 10, 10, 0}, {2, 10, 20, 0}, {3, 10, -1, 0}, {30, 1, 30, 0}}},
		"two slots": {engine.SlotRequest{Limit: 2, OnFull: "queue", MaxQueue: 9},
			[]ask{{0, 100, 0, 0}, {1, 10, 1, 0}, {2, 10, 11, 0}, {3, 10, 21, 0}, {4, 200, 31, 0}, {5, 1, 100, 0}}},
		"drop":    {engine.SlotRequest{Limit: 1, OnFull: "drop"}, []ask{{0, 10, 0, 0}, {9, 10, -1, 0}, {10, 10, 10, 0}}},
		"replace": {engine.SlotRequest{Limit: 1, OnFull: "replace"}, []ask{{0, 10, 0, 0}, {5, 10, 5, 1}, {15, 10, 15, 0}}},
		"rate": {engine.SlotRequest{RateLimit: 2, RatePer: time.Hour},
			[]ask{{0, 1, 0, 0}, {10, 1, 10, 0}, {20, 1, hour, 0}, {30, 1, hour + 10, 0}, {2*hour + 20, 1, 2*hour + 20, 0}}},
		"rate, drop": {engine.SlotRequest{RateLimit: 1, RatePer: time.Hour, RateDrop: true},
			[]ask{{0, 1, 0, 0}, {hour - 1, 1, -1, 0}, {hour, 1, hour, 0}}},
		"slot and rate": {engine.SlotRequest{Limit: 1, OnFull: "queue", MaxQueue: 9, RateLimit: 1, RatePer: time.Hour},
			[]ask{{0, 10, 0, 0}, {5, 10, hour, 0}, {hour + 2, 1, 2 * hour, 0}}},
	} {
		var f flow
		for i, a := range x.asks {
			slot := x.slot
			start, replaced, drop := f.ask(&slot, after(a.at))
			if (drop != "") != (a.start < 0) || drop == "" && !start.Equal(after(a.start)) || len(replaced) != a.replaces {
				t.Errorf("%s, run %d: starts at %v, replaces %d, %q", name, i, start, len(replaced), drop)
			}
			for _, r := range replaced {
				if !r.end.Equal(after(a.at)) {
					t.Errorf("%s, run %d: the one before ends at %v", name, i, r.end)
				}
			}
			if drop == "" {
				f.enter(&slot, &flowRun{start: start, end: start.Add(time.Duration(a.takes) * time.Millisecond)})
			}
		}
	}
	var f flow
	for i, stale := range []int64{5, 5, 4, 6} {
		slot := &engine.SlotRequest{Limit: 9, Stale: stale}
		start, _, drop := f.ask(slot, after(i))
		if (drop != "") != (stale == 4) {
			t.Errorf("order %d: %q", stale, drop)
		}
		if drop == "" {
			f.enter(slot, &flowRun{start: start, end: start})
		}
	}
	if _, _, drop := f.ask(&engine.SlotRequest{Limit: 9, Stale: int64(3), Group: "other"}, after(9)); drop != "" {
		t.Errorf("another group: %s", drop)
	}
}

// TestTimesThatMoveWithTheCallAreTheSame compares values of two calls that begin at different times.
func TestTimesThatMoveWithTheCallAreTheSame(t *testing.T) {
	text := func(ms int) string { return after(ms).Format(time.RFC3339Nano) }
	for _, x := range []struct {
		before, after any
		moved         int
		same          bool
	}{
		{after(0), after(5000), 5000, true}, {text(0), text(5000), 5000, true}, {after(0), text(5000), 5000, true},
		{after(0), after(5999), 5000, true}, {after(0), after(6000), 5000, false}, {after(0), after(4001), 5000, true},
		{after(0), after(4000), 5000, false}, {after(0), 5, 5000, false}, {5, after(0), 5000, false}, {"x", "y", 0, false},
		{text(0), "y", 0, false}, {"x", text(0), 0, false},
	} {
		if got := sameMoment(x.before, x.after, time.Duration(x.moved)*time.Millisecond); got != x.same {
			t.Errorf("%v %v: %v", x.before, x.after, got)
		}
		b := &call{began: after(0), with: map[string]any{"n": x.before}}
		c := &call{began: after(x.moved), with: map[string]any{"n": x.after}}
		if got := sameRequest(b, c); got != x.same {
			t.Errorf("requests with %v %v: %v", x.before, x.after, got)
		}
	}
}

// TestCallsAreTheSameRequestIfTheyCallTheSame compares calls of workflows.
func TestCallsAreTheSameRequestIfTheyCallTheSame(t *testing.T) {
	a, other, detached := &plan.Call{Workflow: "a"}, &plan.Call{Workflow: "b"}, &plan.Call{Workflow: "a", Detach: true}
	for _, x := range []struct {
		before, after *plan.Call
		same, place   bool
	}{
		{a, &plan.Call{Workflow: "a"}, true, true}, {a, other, false, false}, {a, detached, false, true}, {nil, nil, true, true}, {a,
			nil, true, false},
	} {
		b, c := &call{called: x.before, action: "call"}, &call{called: x.after, action: "call"}
		if sameRequest(b, c) != x.same || samePlace(b, c) != x.place || samePlace(c, b) != x.place {
			t.Errorf("%+v %+v: same request %v, same place %v", x.before, x.after, sameRequest(b, c), samePlace(b, c))
		}
	}
	emit := func(trigger string) *call { return &call{action: emitAction, with: map[string]any{"trigger": trigger}} }
	if !samePlace(emit("x"), emit("x")) || samePlace(emit("x"), emit("y")) || samePlace(emit("x"), &call{action: "log",
		with: emit("x").with}) {
		t.Error("emissions at one place, or at two")
	}
}

// TestErrorsOfActionsAreKept turns errors of local actions into errors of steps.
func TestErrorsOfActionsAreKept(t *testing.T) {
	known := &plan.Error{Message: "m", Code: "c"}
	got := asError(fmt.Errorf("while: %w", known))
	if got == known || fmt.Sprint(got) != "m" || got.Code != "c" || got.Retryable {
		t.Errorf("%+v", got)
	}
	if got := asError(errors.New("x")); got.Message != "x" || got.Code != "failed" || !got.Retryable {
		t.Errorf("%+v", got)
	}
}
