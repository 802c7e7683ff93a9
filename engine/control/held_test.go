package control_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// TestAHeldEventStaysHeldWhileTheStoreIsBusy: that it cannot be read now is no decision about it.
func TestAHeldEventStaysHeldWhileTheStoreIsBusy(t *testing.T) {
	for _, cause := range []error{engine.ErrFull, engine.ErrBusy, engine.ErrClosed, engine.ErrDisk} {
		w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
		id := w.drains("a")
		var tries atomic.Int32
		f.event = func(engine.EventID) error {
			tries.Add(1)
			return fmt.Errorf("reading: %w", cause)
		}
		w.background()
		w.awaits("it is tried", func() bool { return tries.Load() > 0 })
		time.Sleep(20 * time.Millisecond)
		if d, err := w.store.Decided(t.Context(), id); err != nil || d.Outcomes["a"] != engine.Held {
			t.Errorf("%v: %+v %v", cause, d, err)
		}
	}
}

// TestAHeldEventThatCannotBeReadBlocksNoOther: the decision about it has the reason.
func TestAHeldEventThatCannotBeReadBlocksNoOther(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	bad := w.drains("a")
	f.event = func(id engine.EventID) error {
		if id == bad {
			return errFlaky
		}
		return nil
	}
	w.background()
	w.awaits("the workflow is on", func() bool { return len(w.reg.SwitchedOff()) == 0 })
	if d, err := w.store.Decided(t.Context(), bad); err != nil || d.Outcomes["a"] != engine.RuleFailed {
		t.Errorf("%+v %v", d, err)
	}
}

// TestHeldEventsStayHeldUntilTheirWorkflowIsSwitchedOn, and those of a workflow that is gone are not looked for.
func TestHeldEventsStayHeldUntilTheirWorkflowIsSwitchedOn(t *testing.T) {
	for what, change := range map[string]func(*world){
		"it holds its events again": func(w *world) {
			if _, err := w.Switch(t.Context(), engine.SwitchOrder{Workflow: "a", Hold: true, By: "ada"}); err != nil {
				t.Fatal(err)
			}
		},
		"it is gone": func(w *world) {
			p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none}}\n",
				"workflows/b.yaml": "on: hook\n" + stops}, workflows.Catalog{})
			if err := w.reg.Use(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
			id := w.drains("a")
			change(w)
			var looked atomic.Int32
			f.held = func() { looked.Add(1) }
			w.background()
			time.Sleep(50 * time.Millisecond)
			d, err := w.store.Decided(t.Context(), id)
			if err != nil || d.Outcomes["a"] != engine.Held || looked.Load() != 0 {
				t.Errorf("%+v %v, looked for %d times", d, err, looked.Load())
			}
		})
	}
}

// TestEventsHeldBeforeASwitchOffAreDecided when the workflow is switched on, though the last state held none.
func TestEventsHeldBeforeASwitchOffAreDecided(t *testing.T) {
	w, _ := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	id := w.drains("a")
	for _, on := range []bool{false, true} {
		if err := w.SetEnabled(t.Context(), "a", on, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	w.background()
	w.awaits("the workflow is on", func() bool { return len(w.reg.SwitchedOff()) == 0 })
	if d, err := w.store.Decided(t.Context(), id); err != nil || d.Outcomes["a"] != engine.Matched {
		t.Errorf("%+v %v", d, err)
	}
}

// TestPausedBatchContinuesOnceItsWorkflowIsSwitchedOn: nobody would know to resume it.
func TestPausedBatchContinuesOnceItsWorkflowIsSwitchedOn(t *testing.T) {
	for _, on := range []bool{true, false} {
		w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
		w.event(w.next(), "hook")
		b, err := w.StartBatch(t.Context(), engine.Selection{Workflow: "a", Since: time.Now().Add(-time.Minute)}, 100, "ada")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.SetEnabled(t.Context(), "a", false, "ada"); err != nil {
			t.Fatal(err)
		}
		first := true
		f.changing = func() {
			if first && on {
				if err := w.SetEnabled(t.Context(), "a", true, "ada"); err != nil {
					t.Error(err)
				}
			}
			first = false
		}
		w.background()
		want := map[bool]string{true: engine.BatchDone, false: engine.BatchPaused}[on]
		w.awaits("the batch is "+want, func() bool { return w.batch(b).State == want })
	}
}

// TestABatchCountsTheEventsThatItCannotDecideAgain, and begins no run of them.
func TestABatchCountsTheEventsThatItCannotDecideAgain(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops, "c": "on: other\n" + stops})
	call := w.next()
	if _, _, err := w.store.AcceptDecided(t.Context(), call, &engine.Delivery{Trigger: "other", Inlet: "call", Key: "call", Type: "other",
		Time: time.Now(), ReceivedAt: time.Now(), Dedupe: time.Hour}, engine.Match{Event: call, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.event(w.next(), "hook")
	f.done = func() error { return errFlaky }
	w.background()
	for _, s := range []engine.Selection{{Workflow: "c"}, {Workflow: "a", Again: true, SkipDone: true}} {
		s.Since = time.Now().Add(-time.Minute)
		b, err := w.StartBatch(t.Context(), s, 100, "ada")
		if err != nil {
			t.Fatal(err)
		}
		w.awaits("the batch is done", func() bool { return w.batch(b).State == engine.BatchDone })
		if b := w.batch(b); b.Failed != 1 || b.Runs != 0 {
			t.Errorf("%s: %+v", s.Workflow, b)
		}
	}
}

// TestASelectionEndsWithTheErrorOfItsMemory: what was not looked at is not reported as looked at.
func TestASelectionEndsWithTheErrorOfItsMemory(t *testing.T) {
	w, _ := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	w.event(w.next(), "hook")
	w.machine.noShare = errFlaky
	if _, looked, err := w.EachSelected(t.Context(), engine.Selection{Workflow: "a", Since: time.Now().Add(-time.Minute)},
		time.Now().Add(time.Minute), func(engine.Selected) {}); err == nil || looked != 0 {
		t.Errorf("%d looked at, %v", looked, err)
	}
}

// TestAllHeldEventsAreDecided, also if there are more than are decided at once.
func TestAllHeldEventsAreDecided(t *testing.T) {
	w, _ := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	w.drains("a")
	const more = 64
	for range more {
		w.event(w.next(), "hook", engine.Decision{Workflow: "a", Outcome: engine.Held})
	}
	w.background()
	w.awaits("the workflow is on", func() bool { return len(w.reg.SwitchedOff()) == 0 })
	if n := w.machine.runs.Load(); n != more+1 {
		t.Errorf("%d of %d events are decided", n, more+1)
	}
}

// TestAWorkflowThatIsSwitchedOffAgainStaysOff, even while its last held event is decided.
func TestAWorkflowThatIsSwitchedOffAgainStaysOff(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	w.drains("a")
	var looked atomic.Int32
	f.held = func() {
		if looked.Add(1) == 2 { // the first one is decided
			if err := w.SetEnabled(t.Context(), "a", false, "bob"); err != nil {
				t.Error(err)
			}
		}
	}
	w.background()
	w.awaits("it is switched off again", func() bool { return looked.Load() >= 2 })
	time.Sleep(50 * time.Millisecond)
	if off := w.reg.SwitchedOff(); len(off) != 1 || off["a"].State != engine.SwitchOff {
		t.Errorf("%+v", off)
	}
}

// TestASwitchThatIsNotStoredIsAnError, and not in force.
func TestASwitchThatIsNotStoredIsAnError(t *testing.T) {
	for what, fail := range map[string]func(*flaky){
		"counting":  func(f *flaky) { f.missed = errFlaky },
		"switching": func(f *flaky) { f.switchOff = errFlaky },
	} {
		w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
		fail(f)
		if err := w.SetEnabled(t.Context(), "a", false, "ada"); !errors.Is(err, errFlaky) || len(w.reg.SwitchedOff()) != 0 {
			t.Errorf("%s: %v, off: %+v", what, err, w.reg.SwitchedOff())
		}
	}
}

// TestABatchRepeatsOnlyWithAgain what an event had already; steps are looked up only to skip them.
func TestABatchRepeatsOnlyWithAgain(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	w.runOf("a", engine.Failed, plan.Failed)
	f.done = func() error { return errFlaky }
	w.background()
	for _, c := range []struct {
		s           engine.Selection
		known, runs int
	}{{engine.Selection{Workflow: "a"}, 1, 0}, {engine.Selection{Trigger: "hook"}, 1, 0}, {engine.Selection{Workflow: "a", Again: true}, 0, 1},
		{engine.Selection{Workflow: "a", Again: true}, 0, 1}} {
		c.s.Since = time.Now().Add(-time.Minute)
		b, err := w.StartBatch(t.Context(), c.s, 100, "ada")
		if err != nil {
			t.Fatal(err)
		}
		w.awaits("the batch is done", func() bool { return w.batch(b).State == engine.BatchDone })
		if b := w.batch(b); b.Known != c.known || b.Runs != c.runs || b.Failed != 0 {
			t.Errorf("%+v: %+v", c.s, b)
		}
	}
}

// TestHeldEventsStayHeldAfterASwitchOff that comes while the first of them is being decided.
func TestHeldEventsStayHeldAfterASwitchOff(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	first, second := w.drains("a"), w.next()
	w.event(second, "hook", engine.Decision{Workflow: "a", Outcome: engine.Held})
	var tries atomic.Int32
	f.event = func(engine.EventID) error {
		if tries.Add(1) > 1 {
			return nil
		}
		return w.SetEnabled(t.Context(), "a", false, "bob")
	}
	w.background()
	w.awaits("the first is tried", func() bool { return tries.Load() > 0 })
	time.Sleep(50 * time.Millisecond)
	for _, id := range []engine.EventID{first, second} {
		if d, err := w.store.Decided(t.Context(), id); err != nil || d.Outcomes["a"] != engine.Held {
			t.Errorf("%+v %v", d, err)
		}
	}
	if off := w.reg.SwitchedOff(); off["a"].State != engine.SwitchOff || tries.Load() != 1 {
		t.Errorf("%+v after %d tries", off, tries.Load())
	}
}
