package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/control"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
)

// Working is closed: decisions can be made.
func (m *noted) Working() <-chan struct{} {
	c := make(chan struct{})
	if !m.starting {
		close(c)
	}
	return c
}

func (m *noted) AwaitShare(_ context.Context, ev *engine.Event) (*engine.Event, error) {
	return ev, m.noShare
}
func (m *noted) GatherDue(time.Time) {}

// EvaluateQueued decides by the listener's own rule; a run is queued.
func (m *noted) EvaluateQueued(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error, alone bool) (engine.Decision,
	*engine.RunUpdate) {
	d := l.Evaluate(ev, names, unreadable, time.Time{})
	if d.Outcome != engine.Matched {
		return d, nil
	}
	m.alone.Store(alone)
	now := time.Now().UTC()
	d.Run = engine.RunID(ev.ID) + engine.RunID(m.runs.Add(1)) + 1<<30
	return d, &engine.RunUpdate{New: true, Answers: -1, Run: &engine.Run{ID: d.Run, Event: ev.ID, Workflow: l.Workflow.ID,
		Version: l.Workflow.Version, Status: engine.Queued, CreatedAt: now}}
}

// flaky is a store some of whose calls fail.
type flaky struct {
	*store.Store
	undone, redecide, switchOn atomic.Int32 // how many calls fail
	run                        error
	refusal                    atomic.Pointer[error] // of switchOn; ErrStale if it is nil
	// Each of these is called, if it is set, with what the store has returned, or before it is asked.
	loaded            func(*engine.LoadedRun)
	event             func(engine.EventID) error
	held              func()
	replay            func(engine.Replay)
	changing          func()
	done              func() error
	missed, switchOff error // are what these calls return
	audited           func(engine.AuditEntry)
}

var errFlaky = errors.New("the disk is away")

func (f *flaky) Undone(ctx context.Context, triggers []string, after, end engine.EventID, limit int) ([]engine.DecidedState, error) {
	if f.undone.Add(-1) >= 0 {
		return nil, errFlaky
	}
	return f.Store.Undone(ctx, triggers, after, end, limit)
}

func (f *flaky) Redecide(ctx context.Context, rs []engine.Redecision, step *engine.BatchStep) ([]engine.Redecided, error) {
	if f.redecide.Add(-1) >= 0 {
		return nil, errFlaky
	}
	return f.Store.Redecide(ctx, rs, step)
}

func (f *flaky) SetSwitch(ctx context.Context, x engine.Switch, on bool) error {
	if on && f.switchOn.Add(-1) >= 0 {
		if refusal := f.refusal.Load(); refusal != nil {
			return *refusal
		}
		return engine.ErrStale
	}
	if !on && f.switchOff != nil {
		return f.switchOff
	}
	return f.Store.SetSwitch(ctx, x, on)
}

func (f *flaky) Run(ctx context.Context, id engine.RunID) (*engine.Run, error) {
	r, err := f.Store.Run(ctx, id)
	return r, errors.Join(err, f.run)
}

// flakyWorld is a world whose Control meets the errors of the store that it returns.
func flakyWorld(t *testing.T, flows map[string]string) (*world, *flaky) {
	t.Helper()
	f := &flaky{}
	return worldOf(t, flows, func(s *store.Store) control.Store {
		f.Store = s
		return f
	}), f
}

// background runs the batches until the test ends.
func (w *world) background() {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.RunBatches(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// event stores an event with an id, and its decisions.
func (w *world) event(id engine.EventID, trigger string, decisions ...engine.Decision) {
	w.t.Helper()
	now := time.Now().UTC()
	for i := range decisions {
		decisions[i].Version = w.reg.Snapshot().Workflows[decisions[i].Workflow].Version
	}
	if _, _, err := w.store.AcceptDecided(w.t.Context(), id, &engine.Delivery{Trigger: trigger, Inlet: "webhook", Key: id.String(),
		Type: trigger, Time: now, ReceivedAt: now, Dedupe: time.Hour}, engine.Match{Event: id, At: now, Decisions: decisions}); err != nil {
		w.t.Fatal(err)
	}
}

// next is the id of an event of half a minute ago, so that a selection until now has it.
func (w *world) next() engine.EventID {
	w.events++
	return engine.EventID(engine.FirstID(time.Now().Add(-30*time.Second))) + w.events
}

// awaits waits until something holds.
func (w *world) awaits(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not so within 20 s: %s", what)
		}
	}
}

func (w *world) batch(b *engine.Batch) *engine.Batch {
	w.t.Helper()
	id, err := engine.ParseBatchID(b.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if b, err = w.Batch(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	return b
}

const stops = "steps: [{stop: x}]\n"

// TestABatchTakesTheEventsOfItsWorkflowAndTrigger, from its first time on: those under the workflow's own
// name too if it has starts of its own, and with a trigger only those of this trigger.
func TestABatchTakesTheEventsOfItsWorkflowAndTrigger(t *testing.T) {
	w := worldOf(t, map[string]string{"both": "on: [hook, other]\n" + stops, "hand": "on: [hook, manual]\n" + stops,
		"ends": "on: {workflow_run: {workflows: [both]}}\n" + stops}, func(s *store.Store) control.Store { return s })
	since := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	first := engine.EventID(engine.FirstID(since))
	w.event(first-1, "hook") // of the millisecond before
	for i, trigger := range []string{"hook", "other", "both", "hand", "ends"} {
		w.event(first+engine.EventID(i), trigger)
	}
	for want, s := range map[string]engine.Selection{
		"hook other": {Workflow: "both"}, "other": {Workflow: "both", Trigger: "other"}, "hook hand": {Workflow: "hand"},
		"ends": {Workflow: "ends"}, "hook": {Trigger: "hook"},
	} {
		s.Since = since
		b, err := w.StartBatch(t.Context(), s, 1, "ada")
		if err != nil || b.Total != len(strings.Fields(want)) || b.Cursor != first-1 {
			t.Errorf("%s: %+v %v", want, b, err)
		}
		n, looked, err := w.EachSelected(t.Context(), s, time.Now().Add(time.Minute), func(engine.Selected) {})
		if err != nil || n != len(strings.Fields(want)) || looked != n {
			t.Errorf("%s: %d events, %d looked at, %v", want, n, looked, err)
		}
	}
}

// TestSelectionReportsEarlierRunsOfEachEvent: whether a workflow has had it, and for skip_done what its
// earlier runs did, of this workflow alone. An event that cannot be read again is counted.
func TestSelectionReportsEarlierRunsOfEachEvent(t *testing.T) {
	w := worldOf(t, map[string]string{"a": "on: hook\n" + stops, "b": "on: hook\n" + stops, "c": "on: other\n" + stops},
		func(s *store.Store) control.Store { return s })
	since := time.Now().Add(-time.Minute)
	ended := w.runOf("a", engine.Failed, plan.Failed)
	call := w.next()
	if _, _, err := w.store.AcceptDecided(t.Context(), call, &engine.Delivery{Trigger: "other", Inlet: "call", Key: "call", Type: "other",
		Time: time.Now(), ReceivedAt: time.Now(), Dedupe: time.Hour}, engine.Match{Event: call, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		s    engine.Selection
		want string
	}{
		{engine.Selection{Trigger: "hook"}, "a known, b new"},
		{engine.Selection{Trigger: "hook", Again: true}, "a new with steps, b new"},
		{engine.Selection{Workflow: "b"}, "b new"},
		{engine.Selection{Trigger: "other"}, "c unreadable"},
		{engine.Selection{Workflow: "c"}, "c unreadable"},
	} {
		c.s.Since = since
		var got []string
		if _, _, err := w.EachSelected(t.Context(), c.s, time.Now().Add(time.Minute), func(x engine.Selected) {
			text := x.Workflow.ID + " new"
			if x.Known {
				text = x.Workflow.ID + " known"
			}
			if x.Event == nil {
				text = strings.Replace(text, "new", "unreadable", 1)
			}
			if x.Done != nil {
				text += " with steps"
			}
			got = append(got, text)
		}); err != nil {
			t.Fatal(err)
		}
		if slices.Sort(got); strings.Join(got, ", ") != c.want {
			t.Errorf("%+v of run %s: %q", c.s, ended, got)
		}
	}
}

// TestBatchKeepsItsRateWhenWokenOften, and events that start no run cost none of it.
func TestBatchKeepsItsRateWhenWokenOften(t *testing.T) {
	w := worldOf(t, map[string]string{"a": "on: hook\n" + stops, "none": "on: other\nwhen: \"1 == 2\"\n" + stops},
		func(s *store.Store) control.Store { return s })
	since := time.Now().Add(-time.Minute)
	for range 5 {
		w.event(w.next(), "hook")
		w.event(w.next(), "other")
	}
	w.background()
	filtered, err := w.StartBatch(t.Context(), engine.Selection{Workflow: "none", Since: since}, 1, "ada")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.awaits("the batch that starts no run is done", func() bool { return w.batch(filtered).State == engine.BatchDone })
	if b := w.batch(filtered); b.Looked != 5 || b.Runs != 0 || time.Since(began) > 3*time.Second {
		t.Errorf("%+v after %v", b, time.Since(began))
	}
	slow, err := w.StartBatch(t.Context(), engine.Selection{Workflow: "a", Since: since, Again: true}, 1, "ada")
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	w.awaits("the first run", func() bool { return w.batch(slow).Runs == 1 })
	id, _ := engine.ParseBatchID(slow.ID)
	for range 8 {
		if _, err := w.ChangeBatch(t.Context(), id, engine.BatchRunning); err != nil { // which wakes it
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if b, most := w.batch(slow), 1+int(time.Since(began)/time.Second); b.Runs > most {
		t.Errorf("%d runs after %v at a rate of one a second", b.Runs, time.Since(began))
	}
	if w.machine.alone.Load() {
		t.Error("the runs of a batch are not gathered as usual")
	}
}

// TestManuallyRepeatedDecisionRunsAlone, once and each time, and not before the machine works.
func TestManuallyRepeatedDecisionRunsAlone(t *testing.T) {
	w := worldOf(t, map[string]string{"a": "on: hook\n" + stops}, func(s *store.Store) control.Store { return s })
	for _, again := range []bool{false, true} {
		id := w.next()
		w.event(id, "hook")
		w.machine.alone.Store(false)
		due := len(w.machine.due)
		if a, err := w.DecideAgain(t.Context(), id, "a", again, "ada"); err != nil || a.Run == "" || !w.machine.alone.Load() {
			t.Errorf("again %v: %+v %v, by itself: %v", again, a, err, w.machine.alone.Load())
		}
		if len(w.machine.due) != due+1 || time.Until(w.machine.due[due]) <= 0 {
			t.Errorf("the run is not due when the machine says: %v", w.machine.due)
		}
	}
	w.machine.starting = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.DecideAgain(ctx, w.next(), "a", false, "ada"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestBatchContinuesAfterAStoreError, at the event where it was.
func TestBatchContinuesAfterAStoreError(t *testing.T) {
	t.Parallel() // it waits for a second
	w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	w.event(w.next(), "hook")
	f.undone.Store(3) // the order itself wakes it once or twice
	b, err := w.StartBatch(t.Context(), engine.Selection{Workflow: "a", Since: time.Now().Add(-time.Minute)}, 100, "ada")
	if err != nil {
		t.Fatal(err)
	}
	w.background()
	w.awaits("the batch is done", func() bool { return w.batch(b).State == engine.BatchDone })
	if b := w.batch(b); b.Runs != 1 || f.undone.Load() >= 0 {
		t.Errorf("%+v", b)
	}
}

// TestStoreErrorIsRetriedAfterAPause: a database in trouble is not asked without end.
func TestStoreErrorIsRetriedAfterAPause(t *testing.T) {
	const many = 1 << 20
	flows := map[string]string{"a": "on: hook\n" + stops}
	for what, fail := range map[string]func(*flaky) *atomic.Int32{
		"the batch":   func(f *flaky) *atomic.Int32 { return &f.undone },
		"held events": func(f *flaky) *atomic.Int32 { return &f.redecide },
		"the switch":  func(f *flaky) *atomic.Int32 { f.refusal.Store(&errFlaky); return &f.switchOn },
	} {
		t.Run(what, func(t *testing.T) {
			w, f := flakyWorld(t, flows)
			left := fail(f)
			left.Store(many)
			if what == "the batch" {
				if _, err := w.StartBatch(t.Context(), engine.Selection{Workflow: "a", Since: time.Now().Add(-time.Minute)}, 1, "ada"); err != nil {
					t.Fatal(err)
				}
			} else {
				w.drains("a")
			}
			w.background()
			w.awaits("it is tried", func() bool { return left.Load() < many })
			time.Sleep(100 * time.Millisecond)
			if n := many - left.Load(); n > 8 {
				t.Errorf("%d tries", n)
			}
			if what != "the batch" && len(w.reg.SwitchedOff()) != 1 {
				t.Error("the workflow is on although its held event, or the switch, could not be stored")
			}
		})
	}
}

// drains switches a workflow that has one held event on, and returns the event.
func (w *world) drains(workflow string) engine.EventID {
	w.t.Helper()
	if _, err := w.Switch(w.t.Context(), engine.SwitchOrder{Workflow: workflow, Hold: true, By: "ada"}); err != nil {
		w.t.Fatal(err)
	}
	id := w.next()
	w.event(id, "hook", engine.Decision{Workflow: workflow, Outcome: engine.Held})
	if s, err := w.Switch(w.t.Context(), engine.SwitchOrder{Workflow: workflow, On: true, By: "ada"}); err != nil || s.Held != 1 {
		w.t.Fatalf("%+v %v", s, err)
	}
	return id
}

// TestBatchContinuesByItself at its rate: nothing wakes it between two runs.
func TestBatchContinuesByItself(t *testing.T) {
	w := worldOf(t, map[string]string{"a": "on: hook\n" + stops}, func(s *store.Store) control.Store { return s })
	for range 5 {
		w.event(w.next(), "hook")
	}
	b, err := w.StartBatch(t.Context(), engine.Selection{Workflow: "a", Since: time.Now().Add(-time.Minute)}, 20, "ada")
	if err != nil {
		t.Fatal(err)
	}
	w.background()
	began := time.Now()
	w.awaits("the batch is done", func() bool { return w.batch(b).State == engine.BatchDone })
	if b := w.batch(b); b.Runs != 5 || time.Since(began) < 150*time.Millisecond {
		t.Errorf("%+v after %v", b, time.Since(began))
	}
}

func TestSelectionIsReadInPagesWithEachEventOnce(t *testing.T) {
	w := worldOf(t, map[string]string{"a": "on: hook\n" + stops}, func(s *store.Store) control.Store { return s })
	const events = 101 // one more than is read at once
	for range events {
		w.event(w.next(), "hook")
	}
	seen := map[engine.EventID]bool{}
	n, looked, err := w.EachSelected(t.Context(), engine.Selection{Workflow: "a", Since: time.Now().Add(-time.Minute)},
		time.Now().Add(10*time.Second), func(x engine.Selected) { seen[x.Event.ID] = true })
	if err != nil || n != events || looked != events || len(seen) != events {
		t.Errorf("%d events, %d looked at, %d seen, %v", n, looked, len(seen), err)
	}
}

// TestAHeldEventIsDecidedBeforeItsWorkflowIsOn, whatever the store refuses meanwhile.
func TestAHeldEventIsDecidedBeforeItsWorkflowIsOn(t *testing.T) {
	t.Parallel() // it waits for a second
	for name, fail := range map[string]func(*flaky){
		"the decision fails":               func(f *flaky) { f.redecide.Store(3) }, // the order itself wakes it once or twice
		"another node has held one more":   func(f *flaky) { f.switchOn.Store(3) },
		"nothing fails, and nothing waits": func(*flaky) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
			id := w.drains("a")
			fail(f)
			w.background()
			w.awaits("the workflow is on", func() bool { return len(w.reg.SwitchedOff()) == 0 })
			d, err := w.store.Decided(t.Context(), id)
			if err != nil || d.Outcomes["a"] != engine.Matched || !slices.Contains(d.Ran, "a") {
				t.Errorf("%+v %v", d, err)
			}
		})
	}
}

// TestAReplayNeedsAReadableVersionAndNoOutput: what a run returned may be unreadable.
func TestAReplayNeedsAReadableVersionAndNoOutput(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"w": "on: hook\nconcurrency: 1\n" + stops})
	f.run = errors.New("its output cannot be read")
	if r, err := w.ReplayRun(t.Context(), w.run(engine.Failed, plan.Failed), engine.ReplayOrder{From: "start"}); err != nil || r.Run == 0 {
		t.Errorf("%+v %v", r, err)
	}
	f.run = nil
	w.version = "gone"
	if r, err := w.ReplayRun(t.Context(), w.run(engine.Failed, plan.Failed), engine.ReplayOrder{From: "start"}); err == nil {
		t.Errorf("a run of a version that is not stored is replayed as %s", r.Run)
	}
}

// TestAValueIsSetAndDeletedByHand, of a workflow that exists or of all.
func TestAValueIsSetAndDeletedByHand(t *testing.T) {
	w := newWorld(t)
	for _, workflow := range []string{"w", ""} {
		c := engine.ValueChange{ValueRef: engine.ValueRef{Workflow: workflow, Key: "k"}, By: "ada", Value: "7", Now: time.Now().UTC()}
		if v, err := w.SetValue(t.Context(), c); err != nil || string(v.Value) != "7" {
			t.Errorf("%q: %+v %v", workflow, v, err)
		}
		if err := w.DeleteValue(t.Context(), c); err != nil {
			t.Errorf("%q: %v", workflow, err)
		}
		if err := w.DeleteValue(t.Context(), c); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%q is deleted twice: %v", workflow, err)
		}
	}
	c := engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "none", Key: "k"}, By: "ada", Value: "7", Now: time.Now().UTC()}
	if _, err := w.SetValue(t.Context(), c); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a value of a workflow that does not exist: %v", err)
	}
}

// TestNoApprovalLinkIsMadeWithoutAKey, nor is one accepted.
func TestNoApprovalLinkIsMadeWithoutAKey(t *testing.T) {
	w := newWorld(t)
	if token, _, err := w.Link(t.Context(), w.run(engine.Waiting, plan.Waiting), "ok", "ada"); err == nil || token != "" {
		t.Errorf("%q %v", token, err)
	}
	if _, err := w.LinkQuestion(t.Context(), "e30.AA"); !errors.Is(err, engine.ErrLink) {
		t.Error(err)
	}
}
