package machine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
)

func TestAFinishedStepIsNotRepeatedAfterARestart(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act}\n  - {id: b, uses: test/act, retry: {max: 5, " +
		"delay: 300ms, jitter: false}}"})
	w.target.do = func(in engine.Input, nth int) (any, error) {
		if in.Path == "b" && nth == 1 {
			return nil, &plan.Error{Message: "busy", Retryable: true}
		}
		return nil, nil
	}
	e, _, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	for w.target.calls() < 2 {
		time.Sleep(time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, s, stop := w.start(nil)
	runs := settled(t, s, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if runs[0].Status != "succeeded" || w.target.calls() != 3 || time.Since(began) > 5*time.Second {
		t.Errorf("%+v after %d calls in %v", runs[0], w.target.calls(), time.Since(began))
	}
}

func TestLostResponseIsUnknownAndTheCallRepeated(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, retry: {max: 2, delay: 1ms}, with: {n: " +
		"\"${{ uuid() }}\"}}",
		"strict": "on: hook\nsteps:\n  - {id: a, uses: test/act, on_unknown: fail}"})
	w.target.do = func(in engine.Input, nth int) (any, error) {
		if nth == 1 {
			return nil, errors.Join(&plan.Error{Message: "no answer", Code: "network", Retryable: true}, engine.ErrUnanswered)
		}
		return nil, nil
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	runs := settled(t, s, 2)
	for _, r := range runs {
		id, _ := engine.ParseRunID(r.ID)
		steps, err := s.History.Steps(context.Background(), id)
		if err != nil || steps[0].Status != "unknown" {
			t.Errorf("%s: %+v %v", r.Workflow, steps, err)
		}
		want := map[string]string{"w": "succeeded", "strict": "failed"}[r.Workflow]
		if r.Status != want {
			t.Errorf("%s %s: %s", r.Workflow, r.Status, r.Error)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestTimeoutsEndAttemptsAndRuns(t *testing.T) {
	w := newWorld(t, map[string]string{
		"step": "on: hook\nsteps:\n  - {id: a, uses: test/act, timeout: 20ms}",
		"run": "on: hook\ntimeout: 50ms\nsteps:\n  - {id: a, uses: test/act}\non_failure:\n  - {id: h, uses: test/act, with: {n: " +
			"\"${{ error.code }}\"}}"})
	w.target.do = nil
	slow := &slowAction{}
	_, _, stop := w.startWith(slow)
	defer stop()
	e := slow.engine
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	for _, r := range settled(t, slow.store, 2) {
		want := map[string]string{"step": "failed", "run": "timed_out"}[r.Workflow]
		if r.Status != want {
			t.Errorf("%s: %s %s, want %s", r.Workflow, r.Status, r.Error, want)
		}
	}
}

// slowAction hangs until its time is over.
type slowAction struct {
	engine *machine.Engine
	store  database
}

func (a *slowAction) Do(ctx context.Context, in engine.Input) (any, error) {
	if strings.HasPrefix(in.Path, "on_failure") {
		return nil, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (w *world) startWith(a *slowAction) (*machine.Engine, database, func()) {
	o, err := w.open(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	s := opened(o)
	e := machine.New(machine.Options{Store: s.Store, Actions: map[string]engine.Action{"test/act": a},
		Secrets: func(string) (string, bool) { return "", false }})
	ctx, cancel := context.WithCancel(context.Background())
	if err := e.Use(ctx, w.project); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	a.engine, a.store = e, s
	return e, s, func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			w.t.Error(err)
		}
	}
}

func TestEveryWorkflowOfATriggerDecidesWithValues(t *testing.T) {
	w := newWorld(t, map[string]string{
		"runs":     "on: hook\nwhen: [event.data.amount > 10, event.data.paid]\nsteps: [{stop: x}]",
		"skips":    "on: hook\nwhen: [event.data.amount > 1000, event.data.paid]\nsteps: [{stop: x}]",
		"breaks":   "on: hook\nwhen: event.data.customer.name == 'x'\nsteps: [{stop: x}]",
		"filtered": "on: {hook: {events: [other]}}\nsteps: [{stop: x}]",
		"off":      "on: hook\nenabled: false\nsteps: [{stop: x}]",
	})
	e, s, stop := w.start(nil)
	r, err := e.Accept(context.Background(), delivery("k", `{"amount":50,"paid":true,"customer":null}`))
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s, 1)
	d, err := s.History.EventDetail(context.Background(), r.Event)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, x := range d.Decisions {
		got[x.Workflow] = x.Outcome + " " + string(x.Conditions)
	}
	for workflow, want := range map[string]string{"runs": `matched [{"expr":"event.data.amount > 10","result":true,` +
		`"values":{"event.data.amount":50}}`,
		"skips": `skipped [{"expr":"event.data.amount > 1000","result":false,"values":{"event.data.amount":50}}]`, "breaks": `rule_failed`,
		"filtered": `filtered []`, "off": `disabled []`} {
		if !strings.HasPrefix(got[workflow], want) {
			t.Errorf("%s: %s, want %s", workflow, got[workflow], want)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d decisions: %v", len(got), got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestARunKeepsTheVersionItBeganWith(t *testing.T) {
	flow := "on: hook\nsteps:\n  - {id: a, uses: test/act, retry: {max: 3, delay: 200ms}}\noutput: old"
	w := newWorld(t, map[string]string{"w": flow})
	w.target.do = func(in engine.Input, nth int) (any, error) {
		if nth == 1 {
			return nil, &plan.Error{Message: "busy", Retryable: true}
		}
		return nil, nil
	}
	e, _, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	for w.target.calls() < 1 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.project = project(t, map[string]string{"w": strings.Replace(flow, "output: old", "output: new", 1)})
	e, s, stop := w.start(nil)
	runs := settled(t, s, 1)
	id, _ := engine.ParseRunID(runs[0].ID)
	if d, err := s.History.RunDetail(context.Background(), id); err != nil || string(d.Output) != `"old"` {
		t.Errorf("%s %v", d.Output, err)
	}
	again, err := e.Replay(context.Background(), id, "start", "current", "test")
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s, 2)
	if d, err := s.History.RunDetail(context.Background(), again); err != nil || string(d.Output) != `"new"` || d.Repeats != runs[0].ID {
		t.Errorf("%+v %v", d, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestReplayFromFailedKeepsWhatSucceeded(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act}\n  - {id: b, uses: test/act}"})
	broken := true
	w.target.do = func(in engine.Input, nth int) (any, error) {
		if in.Path == "b" && broken {
			return nil, &plan.Error{Message: "no"}
		}
		return nil, nil
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	runs := settled(t, s, 1)
	w.target.mu.Lock()
	broken = false
	w.target.mu.Unlock()
	id, _ := engine.ParseRunID(runs[0].ID)
	if _, err := e.Replay(context.Background(), id, "failed", "pinned", "test"); err != nil {
		t.Fatal(err)
	}
	runs = settled(t, s, 2)
	if runs[0].Status != "succeeded" || w.target.calls() != 3 {
		t.Errorf("%+v after %d calls", runs[0], w.target.calls())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestCancelEndsActiveAndWaitingRuns(t *testing.T) {
	w := newWorld(t, map[string]string{"hangs": "on: hook\nsteps:\n  - {id: a, uses: test/act}",
		"waits": "on: hook\nsteps:\n  - {id: a, uses: test/act, retry: {max: 9, delay: 1h, max_delay: 1h}}"})
	started := make(chan struct{}, 4)
	release := make(chan struct{})
	w.target.do = func(in engine.Input, nth int) (any, error) {
		started <- struct{}{}
		if in.With["n"] == nil && nth == 1 {
			select {
			case <-release:
			case <-time.After(time.Minute):
			}
		}
		return nil, &plan.Error{Message: "busy", Retryable: true}
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	<-started
	<-started
	runs, err := s.History.Runs(context.Background(), engine.Query{})
	if err != nil || len(runs) != 2 {
		t.Fatalf("%v %v", runs, err)
	}
	for _, r := range runs {
		if r.Workflow == "hangs" {
			id, _ := engine.ParseRunID(r.ID)
			if err := e.Cancel(context.Background(), id); err != nil {
				t.Error(err)
			}
		}
	}
	close(release)
	deadline := time.Now().Add(time.Minute)
	for {
		waiting, err := s.History.Runs(context.Background(), engine.Query{Status: "waiting"})
		if err != nil {
			t.Fatal(err)
		}
		if len(waiting) == 1 {
			id, _ := engine.ParseRunID(waiting[0].ID)
			if err := e.Cancel(context.Background(), id); err != nil {
				t.Error(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no run waits")
		}
		time.Sleep(time.Millisecond)
	}
	for _, r := range settled(t, s, 2) {
		if r.Status != "cancelled" {
			t.Errorf("%s is %s", r.Workflow, r.Status)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestABacklogLargerThanMemoryAllowsIsWorkedOff(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act}"})
	w.options = machine.Options{MaxRuns: 4, MaxMatches: 4}
	w.target.do = func(engine.Input, int) (any, error) { time.Sleep(time.Millisecond); return nil, nil }
	e, s, stop := w.start(nil)
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), `{}`)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if runs := settled(t, s, 300); len(runs) != 300 || w.target.calls() != 300 {
		t.Errorf("%d runs, %d calls", len(runs), w.target.calls())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAThousandCopiesAtOnceMakeOneRun holds promise 3 through the whole engine.
func TestAThousandCopiesAtOnceMakeOneRun(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act}"})
	e, s, stop := w.start(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[engine.EventID]int{}
	for range 1000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := e.Accept(context.Background(), delivery("the same", `{"a":1}`))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			ids[r.Event]++
			mu.Unlock()
		}()
	}
	wg.Wait()
	runs := settled(t, s, 1)
	if len(runs) != 1 || len(ids) != 1 || w.target.calls() != 1 {
		t.Errorf("%d runs, %d ids, %d calls", len(runs), len(ids), w.target.calls())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestRunThatCrashesTheProcessIsIdentified: it is put aside with its
// reason, and the others, which were at work each time too, succeed.
func TestRunThatCrashesTheProcessIsIdentified(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act, with: {n: \"${{ event.key }}\"}, timeout: 1h}]\noutput: ${{ " +
		"event.key }}"})
	for boot := 1; ; boot++ {
		var begun atomic.Int32
		var gone atomic.Bool
		down := make(chan struct{})
		w.target.do = func(in engine.Input, _ int) (any, error) {
			switch {
			case in.With["n"] == "k2":
				for boot <= 2 && begun.Load() < 5 {
					time.Sleep(time.Millisecond)
				}
				gone.Store(true)
				close(down)
			case boot <= 2:
				begun.Add(1)
				<-down
			}
			return nil, nil
		}
		e, s, stop := w.start(func(int) error {
			if gone.Load() {
				return errCrash
			}
			return nil
		})
		for i := range 6 {
			if boot == 1 {
				if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
					t.Fatal(err)
				}
			}
		}
		open := 6
		for deadline := time.Now().Add(time.Minute); open > 0 && !gone.Load() &&
			time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			c, err := s.History.Counts(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			open = c.Open + c.Inbox
		}
		if gone.Load() && boot < 6 {
			_ = stop() // the crash
			continue
		}
		for _, r := range settled(t, s, 6) {
			d, err := s.History.RunDetail(context.Background(), mustRun(t, r.ID))
			if err != nil {
				t.Fatal(err)
			}
			poison := strings.Contains(d.Error, "the process ended 4 times while this run was executing")
			if (d.Status == "succeeded") == poison || d.Status == "succeeded" && string(d.Output) == `"k2"` {
				t.Errorf("%s %s %s", d.Status, d.Output, d.Error)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if boot != 5 {
			t.Errorf("the process stayed up at start %d", boot)
		}
		return
	}
}

func mustRun(t *testing.T, id string) engine.RunID {
	t.Helper()
	out, err := engine.ParseRunID(id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
