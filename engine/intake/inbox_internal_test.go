package intake

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/alert"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/runner"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// ready is an Intake with a project that has workflow w, over a database of its own. Nothing calls it
// besides the test.
func ready(t *testing.T) *Intake {
	t.Helper()
	return over(t, storetest.New(t).Store)
}

// over is ready over a database.
func over(t *testing.T, s engine.Store) *Intake {
	t.Helper()
	return overWith(t, s, "triggers: {hook: {webhook: {auth: none}}}")
}

// overWith is over with another hookloom.yaml.
func overWith(t *testing.T, s engine.Store, config string) *Intake {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"hookloom.yaml": config,
		"workflows/w.yaml": "on: hook\nsteps: [{sleep: 1h}]"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	log, redactor := slog.New(slog.DiscardHandler), &redact.Redactor{}
	stored := persist.New(s, log)
	stored.Start(t.Context())
	reg := registry.New(registry.Options{Store: s, Redactor: redactor, Log: log, RunURL: func(id engine.RunID) string { return id.String() }})
	if err := reg.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	alerts := alert.New(alert.Options{Store: s, Registry: reg, Redactor: redactor, Log: log})
	rn := runner.New(runner.Options{Store: stored, Registry: reg, Alerts: alerts, Arrivals: slots{},
		Budgets: runner.NewBudgets(), Redactor: redactor, Log: log,
		MaxRuns: 16, BreakerPause: time.Second, MaxHeld: time.Minute})
	rn.Start(t.Context())
	return New(Options{Store: stored, Registry: reg, Alerts: alerts, Runner: rn, Redactor: redactor, Log: log, MaxRuns: 16,
		MaxMatches: 8})
}

// slots and ends of runs are what the runner reports here.
type slots struct{ runner.Arrivals }

func (slots) SlotFreed() {}

// endedOf is the sum of the events whose runs have ended.
var endedOf atomic.Int64

func (slots) RunEnded(of engine.EventID) { endedOf.Add(int64(of)) }

// occupy begins runs, each of which takes a slot.
func occupy(t *testing.T, in *Intake, runs int) (list []*runner.Execution) {
	t.Helper()
	for range runs {
		ev := &engine.Event{ID: engine.EventID(in.reg.NextID()), Delivery: engine.Delivery{Trigger: "hook", Inlet: "webhook", Time: time.Now(),
			ReceivedAt: time.Now()}}
		names, err := ev.Names()
		if err != nil {
			t.Fatal(err)
		}
		id := engine.RunID(in.reg.NextID())
		_, ex, err := in.runner.Begin(ev, in.reg.Snapshot().Workflows["w"], id, names, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ex)
	}
	return list
}

// TestEventsAreLoadedWhileSlotsAreFree: those being decided count as runs, and runs that are slow do
// not count while slots are free.
func TestEventsAreLoadedWhileSlotsAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := ready(t)
		in.o.MaxRuns = 16
		for _, c := range []struct {
			name              string
			maxMatches        int
			quick, slow       int // runs at work
			deciding, ordered int
			want              int
		}{
			{"nothing at work", 100, 0, 0, 0, 0, 10}, {"few at once", 8, 0, 0, 0, 0, 8}, {"few left", 8, 0, 0, 2, 1, 5},
			{"none left", 8, 0, 0, 4, 5, 0}, {"quick runs", 100, 9, 0, 0, 0, 1}, {"all that are wanted", 100, 10, 0, 0, 0, 0},
			{"the permits of a destination", 100, 0, 0, 3, 4, 5}, {"permits and runs", 100, 5, 0, 3, 2, 2},
			{"slow runs", 100, 0, 10, 0, 0, 6}, {"a slow run and quick ones", 100, 9, 1, 0, 0, 1},
			{"fewer slow runs", 100, 0, 9, 0, 0, 1}, {"slow runs in all slots", 100, 0, 16, 0, 0, 0},
		} {
			atWork := occupy(t, in, c.slow)
			time.Sleep(time.Second)
			atWork = append(atWork, occupy(t, in, c.quick)...)
			in.o.MaxMatches, in.fast.deciding, in.matching = c.maxMatches, c.deciding, map[engine.EventID]bool{}
			for i := range c.ordered {
				in.matching[engine.EventID(i)] = true
			}
			if got := in.room(); got != c.want {
				t.Errorf("%s: %d events may be picked up, want %d", c.name, got, c.want)
			}
			for _, ex := range atWork {
				in.runner.Release(ex)
			}
		}
	})
}

// TestInboxIsReadInBatches: for half of what may be decided or executed at once, at most 64; while
// the reader sleeps, for one.
func TestInboxIsReadInBatches(t *testing.T) {
	in := ready(t)
	for _, c := range []struct {
		maxRuns, maxMatches, room int
		backlog, sleeping         bool
		want                      bool
	}{
		{1000, 500, 64, true, false, true}, {1000, 500, 63, true, false, false}, {1000, 500, 64, false, false, false},
		{1000, 500, 64, false, true, false}, {1000, 500, 1, true, true, true}, {1000, 500, 0, true, true, false},
		{1000, 8, 4, true, false, true}, {1000, 8, 3, true, false, false},
		{16, 12, 5, true, false, true}, {16, 12, 4, true, false, false}, // of 10 runs
	} {
		in.o.MaxRuns, in.o.MaxMatches = c.maxRuns, c.maxMatches
		in.backlog.Store(c.backlog)
		in.sleeping, in.fast.deciding = c.sleeping, c.maxMatches-c.room
		if got := in.room(); got != c.room {
			t.Fatalf("%+v: room for %d", c, got)
		}
		in.wakeUp()
		woken := false
		select {
		case <-in.wake:
			woken = true
		default:
		}
		if in.canLook() != c.want || woken != c.want {
			t.Errorf("%+v: the reader is woken: %t", c, woken)
		}
		in.fast.deciding++
		in.goroutines.Add(1)
		in.leaveFastPath() // its event has made room
		select {
		case <-in.wake:
			if !c.want {
				t.Errorf("%+v: the end of a decision wakes the reader", c)
			}
		default:
			if c.want {
				t.Errorf("%+v: the end of a decision does not wake the reader", c)
			}
		}
	}
}

// TestInboxIsReadRarelyWhileNothingWaits, often while something does, and less often while nothing may be
// picked up.
func TestInboxIsReadRarelyWhileNothingWaits(t *testing.T) {
	in := ready(t)
	for _, c := range []struct {
		backlog  bool
		deciding int
		want     time.Duration
		sleeps   bool
	}{
		{false, 0, 5 * time.Second, true}, {false, 8, 5 * time.Second, true}, {true, 7, 10 * time.Millisecond, false},
		{true, 8, 50 * time.Millisecond, true},
	} {
		in.backlog.Store(c.backlog)
		in.fast.deciding = c.deciding
		if got := in.pause(); got != c.want || in.sleeping != c.sleeps {
			t.Errorf("%+v: it is read in %s, and the reader sleeps: %t", c, got, in.sleeping)
		}
	}
}

// TestSlowTriggerLeavesTheFastPath after one of its events was too slow for the fast path; others do
// not. So do all events while older ones wait, nothing is free, or the engine stops.
func TestSlowTriggerLeavesTheFastPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := ready(t)
		fast := func(trigger string) bool {
			before := in.fast.deciding
			took := in.enterFastPath(trigger)
			if in.fast.deciding-before != map[bool]int{true: 1, false: 0}[took] {
				t.Errorf("%s takes the fast path: %t; %d events are counted on it, before %d", trigger, took, in.fast.deciding, before)
			}
			if took {
				in.leaveFastPath()
			}
			return took
		}
		if fast("hook") {
			t.Error("an event is decided before the start")
		}
		in.work = t.Context()
		for _, pause := range []time.Duration{slowFor, busyFor} {
			in.divert("hook", pause)
			time.Sleep(pause - 1)
			if fast("hook") || !fast("other") {
				t.Errorf("diverted for %s: %t, another trigger: %t", pause, fast("hook"), fast("other"))
			}
			time.Sleep(time.Nanosecond)
			if !fast("hook") || len(in.fast.diverted) > 0 {
				t.Errorf("after %s, the trigger is still diverted: %v", pause, in.fast.diverted)
			}
		}
		for name, set := range map[string]func(on bool){
			"older events wait": in.backlog.Store, "the engine stops": func(on bool) { in.stopping = on },
			"the trigger is ordered": func(on bool) { in.reg.Snapshot().Gated["hook"] = on },
			"nothing is free": func(on bool) {
				in.o.MaxMatches = 8
				if on {
					in.o.MaxMatches = 0
				}
			},
		} {
			if set(true); fast("hook") {
				t.Errorf("%s: the event takes the fast path", name)
			}
			if set(false); !fast("hook") {
				t.Errorf("no longer that %s: the event takes the normal path", name)
			}
		}
		in.goroutines.Wait()
	})
}

// TestPanicInAQueuedDecisionIsRecorded: a replay of an event whose rule has a bug does not end the process.
func TestPanicInAQueuedDecisionIsRecorded(t *testing.T) {
	in := ready(t)
	w := &workflows.Workflow{ID: "w", Version: "v", When: []*workflows.Expr{nil}}
	ev := &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "hook", Inlet: "webhook"}}
	d, start := in.EvaluateQueued(engine.Listener{Workflow: w}, ev, map[string]any{}, nil, false)
	if start != nil || d.Outcome != engine.RuleFailed || d.Workflow != "w" || d.Version != "v" || d.Run != 0 ||
		!strings.Contains(d.Reason, "deciding panicked") {
		t.Errorf("%+v, %v", d, start)
	}
	ev.ID = 2
	got, start := in.EvaluateQueued(engine.Listener{Workflow: in.reg.Snapshot().Workflows["w"]}, ev, map[string]any{}, nil, false)
	if start == nil || got.Outcome != engine.Matched || got.Run == 0 || start.Run.ID != got.Run {
		t.Errorf("%+v, %v", got, start)
	}
}

// TestLaterEventsOfAQueueDoNotOvertakeTheInbox: while earlier ones are there, a new one waits behind them, and what
// the inbox gives is decided. An event that could not be loaded is read again.
func TestLaterEventsOfAQueueDoNotOvertakeTheInbox(t *testing.T) {
	in := ready(t)
	in.work = t.Context()
	in.reg.Snapshot().Gated["hook"] = true
	in.ordered.backlog, in.ordered.draining = true, true // so that the queue is only filled
	ev := func(id engine.EventID) *engine.Event {
		return &engine.Event{ID: id, Delivery: engine.Delivery{Trigger: "hook", Inlet: "emit"}}
	}
	in.Arrived(ev(1))
	if len(in.ordered.queue) != 0 || len(in.matching) != 0 || in.ordered.missed != 1 || !in.backlog.Load() {
		t.Errorf("a new event is decided before earlier ones: %d in the queue, %d missed", len(in.ordered.queue), in.ordered.missed)
	}
	in.backlog.Store(false)
	for range 2 {
		in.arrived(ev(2), true)
	}
	if len(in.ordered.queue) != 1 || !in.matching[2] || in.ordered.missed != 1 || in.backlog.Load() {
		t.Errorf("%d in the queue, %d missed", len(in.ordered.queue), in.ordered.missed)
	}
	in.ordered.caughtUp(0)
	if !in.ordered.backlog {
		t.Error("the inbox is taken for read although an event was left there meanwhile")
	}
	if in.ordered.caughtUp(1); in.ordered.backlog {
		t.Error("the whole inbox was read, and new events still wait")
	}
	in.Arrived(ev(3))
	in.Arrived(ev(4)) // the queue has room for a quarter of 8
	if len(in.ordered.queue) != 2 || in.ordered.missed != 2 || !in.ordered.backlog || !in.backlog.Load() {
		t.Errorf("%d in a queue for 2, %d missed", len(in.ordered.queue), in.ordered.missed)
	}
	in.backlog.Store(false)
	if in.putBack(3, errors.New("cannot be read now")); in.matching[3] || !in.backlog.Load() {
		t.Error("an event that could not be loaded is not read again")
	}
}
