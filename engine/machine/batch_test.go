package machine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/testsize"
)

// TestABatchIsPausedResumedAndCancelled: and goes on after a restart where it was.
func TestABatchIsPausedResumedAndCancelled(t *testing.T) {
	w := newWorld(t, map[string]string{"x": "on: back\n" + acts})
	e, _, stop := w.start(nil)
	ctx := context.Background()
	before := time.Now().Add(-time.Second)
	for i := range 30 {
		if _, err := e.Accept(ctx, delivery(fmt.Sprint(i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	use(t, w, e, map[string]string{"w": "on: hook\n" + acts})
	b, err := e.StartBatch(ctx, engine.Selection{Trigger: "hook", Since: before}, 20, "ada")
	if err != nil || b.Total != 30 {
		t.Fatalf("%+v %v", b, err)
	}
	id, err := engine.ParseBatchID(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "some runs are made", func() bool { b, err = e.Batch(ctx, id); return err == nil && b.Runs >= 2 })
	if b, err = e.ChangeBatch(ctx, id, engine.BatchPaused); err != nil {
		t.Fatal(err)
	}
	mustStop(t, stop)
	var s database
	e, s, stop = w.start(nil)
	paused, err := e.Batch(ctx, id)
	if err != nil || paused.Runs != b.Runs || paused.Runs >= 30 || paused.State != engine.BatchPaused {
		t.Fatalf("%+v %v", paused, err)
	}
	if _, err = e.ChangeBatch(ctx, id, engine.BatchRunning); err != nil {
		t.Fatal(err)
	}
	if b := finished(t, e, b.ID); b.Runs != 30 || b.Looked != 30 {
		t.Errorf("%+v", b)
	}
	if runs := settled(t, s, 30); len(runs) != 30 {
		t.Errorf("%d runs", len(runs))
	}
	if _, err = e.ChangeBatch(ctx, id, engine.BatchCancelled); err == nil {
		t.Error("a batch that is done is cancelled")
	}
	more, err := e.StartBatch(ctx, engine.Selection{Trigger: "hook", Since: before, Again: true}, 1, "ada")
	if err != nil {
		t.Fatal(err)
	}
	id, _ = engine.ParseBatchID(more.ID)
	if b, err := e.ChangeBatch(ctx, id, engine.BatchCancelled); err != nil || b.FinishedAt == nil {
		t.Errorf("%+v %v", b, err)
	}
	settled(t, s, 30)
	mustStop(t, stop)
}

// TestABatchKeepsTheLimitsOfAWorkflow: the runs it makes wait for their places.
func TestABatchKeepsTheLimitsOfAWorkflow(t *testing.T) {
	w := newWorld(t, map[string]string{"x": "on: back\n" + acts})
	var mu sync.Mutex
	now, most := 0, 0
	w.target.do = func(engine.Input, int) (any, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return nil, nil
	}
	e, s, stop := w.start(nil)
	before := time.Now().Add(-time.Second)
	for i := range 20 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	use(t, w, e, map[string]string{"w": "on: hook\nconcurrency: {limit: 2, on_full: drop}\n" + acts})
	if b := batched(t, e, engine.Selection{Workflow: "w", Since: before}, 1000); b.Runs != 20 {
		t.Errorf("%+v", b)
	}
	settled(t, s, 20)
	if mu.Lock(); most > 2 || w.target.calls() != 20 {
		t.Errorf("%d at once, %d calls", most, w.target.calls())
	}
	mu.Unlock()
	mustStop(t, stop)
}

// TestBatchAndHoldSurviveACrashAtAnyWrite fails the n-th commit and all after it, for
// every n: what was held and what the batch takes runs once, whatever was cut.
func TestBatchAndHoldSurviveACrashAtAnyWrite(t *testing.T) {
	for n := 1; ; n += testsize.Of(t, "HOOKLOOM_FAULTSTEP", 1) {
		w := newWorld(t, map[string]string{"x": "on: back\n" + acts})
		e, _, stop := w.start(nil)
		ctx := context.Background()
		before := time.Now().Add(-time.Second)
		for i := range 3 {
			if _, err := e.Accept(ctx, delivery(fmt.Sprint("early", i), `{}`)); err != nil {
				t.Fatal(err)
			}
		}
		use(t, w, e, map[string]string{"w": "on: hook\n" + acts, "h": "on: hook\nconcurrency: 1\n" + acts})
		if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "h", Hold: true}); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if _, err := e.Accept(ctx, delivery(fmt.Sprint("held", i), `{}`)); err != nil {
				t.Fatal(err)
			}
		}
		mustStop(t, stop)
		var mu sync.Mutex
		crashed, armed, writes := false, false, 0
		e, _, stop = w.start(func(int) error {
			mu.Lock()
			defer mu.Unlock()
			if armed {
				writes++
			}
			if armed && writes >= n {
				crashed = true
				return errCrash
			}
			return nil
		})
		mu.Lock()
		armed = true
		mu.Unlock()
		b, berr := e.StartBatch(ctx, engine.Selection{Workflow: "w", Since: before}, 1000, "ada")
		_, serr := e.Switch(ctx, engine.SwitchOrder{Workflow: "h", On: true, By: "ada"})
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			mu.Lock()
			over := crashed
			mu.Unlock()
			if over || w.target.calls() >= 9 && len(e.SwitchedOff()) == 0 {
				break
			}
		}
		_ = stop() // the crash is its error
		e, s, stop := w.start(nil)
		var err error
		if berr != nil {
			if b, err = e.StartBatch(ctx, engine.Selection{Workflow: "w", Since: before}, 1000, "ada"); err != nil {
				t.Fatal(err)
			}
		}
		if serr != nil {
			if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "h", On: true, By: "ada"}); err != nil {
				t.Fatal(err)
			}
		}
		finished(t, e, b.ID)
		eventually(t, "h is on", func() bool { return len(e.SwitchedOff()) == 0 })
		by := map[string]int{}
		for _, r := range settled(t, s, 9) {
			by[r.Event+" "+r.Workflow]++
		}
		for what, times := range by {
			if times != 1 {
				t.Errorf("n=%d: %s ran %d times", n, what, times)
			}
		}
		if len(by) != 9 { // w for six events, h for three
			t.Errorf("n=%d: %d pairs ran: %v", n, len(by), by)
		}
		s.holds(t, fmt.Sprint("n=", n))
		mustStop(t, stop)
		mu.Lock()
		over := !crashed
		mu.Unlock()
		if over {
			if n < 8 {
				t.Errorf("only %d writes were tried", n)
			}
			return
		}
	}
}

// TestEventThatEndedAWaitIsMarked: it is not listed as one that nobody wanted.
func TestEventThatEndedAWaitIsMarked(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: pay, wait: {event: back, key: \"${{ event.key }}\"}}"})
	e, s, stop := w.start(nil)
	defer func() { mustStop(t, stop) }()
	ctx := context.Background()
	accept(t, e, s, "k", `{}`)
	eventually(t, "it waits", func() bool {
		runs, err := s.History.Runs(ctx, engine.Query{Status: "waiting"})
		return err == nil && len(runs) == 1
	})
	d := delivery("k", `{}`)
	d.Trigger = "back"
	r, err := e.Accept(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	run := settled(t, s, 1)[0]
	x := ofEvent(t, s, r.Event)
	if x.Outcome != "ended_wait" || len(x.EndedWaits) != 1 || x.EndedWaits[0] != (engine.EndedWait{Run: run.ID, Step: "pay", Workflow: "w"}) {
		t.Errorf("%s %+v", x.Outcome, x.EndedWaits)
	}
	for status, n := range map[string]int{"ended_wait": 1, "unmatched": 0, "matched,ended_wait": 2} {
		if list, err := s.History.Events(ctx, engine.Query{Status: status}); err != nil || len(list) != n {
			t.Errorf("%s: %d %v", status, len(list), err)
		}
	}
}

// TestRuleFailureIsListedBesideAMatch: the list does not hide it.
func TestRuleFailureIsListedBesideAMatch(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\n" + acts, "bad": "on: hook\nwhen: event.data.a.b == 1\n" + acts})
	e, s, stop := w.start(nil)
	defer func() { mustStop(t, stop) }()
	id := accept(t, e, s, "k", `{"a": null}`)
	settled(t, s, 1)
	if got := ofEvent(t, s, id).Shown(); got != "matched (1 rule failed)" {
		t.Error(got)
	}
}

// TestRepeatedDecisionWaitsForTheEngineToRun: the console is reachable a moment
// before.
func TestRepeatedDecisionWaitsForTheEngineToRun(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\n" + acts})
	e, s, stop := w.start(nil)
	id := accept(t, e, s, "k", `{}`)
	settled(t, s, 1)
	mustStop(t, stop)
	decided := make(chan error, 1)
	w.before = func(e *machine.Engine) {
		go func() {
			a, err := e.DecideAgain(context.Background(), id, "w", true, "ada")
			if err == nil && a.Run == "" {
				err = fmt.Errorf("%+v", a)
			}
			decided <- err
		}()
		time.Sleep(20 * time.Millisecond)
	}
	_, s, stop = w.start(nil)
	if err := <-decided; err != nil {
		t.Error(err)
	}
	settled(t, s, 2)
	mustStop(t, stop)
}

func noSecret(string) (string, bool) { return "", false }
