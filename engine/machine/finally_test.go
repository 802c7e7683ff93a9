package machine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testsize"
)

// cleaned is what the finally step of these tests says.
const cleaned = `finally:
  - {id: clean, uses: test/act, with: {n: "clean ${{ run.status }} ${{ error?.code }}"}}
`

// sent lists what a target was told, in order of the keys.
func (g *target) sent(prefix string) (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, bodies := range g.seen {
		for _, b := range bodies {
			if strings.HasPrefix(b, `{"n":"`+prefix) {
				out = append(out, strings.TrimSuffix(strings.TrimPrefix(b, `{"n":"`), `"}`))
			}
		}
	}
	return out
}

// TestFinallyRunsHoweverTheRunEnds, once, with the status of the run.
func TestFinallyRunsHoweverTheRunEnds(t *testing.T) {
	for _, c := range []struct {
		name, flow   string
		cancel       bool
		status, says string
	}{
		{"success", "steps: [{uses: test/act, with: {n: a}}]\n" + cleaned, false, "succeeded", "clean succeeded "},
		{"stop", "steps: [{stop: enough}]\n" + cleaned, false, "succeeded", "clean succeeded "},
		{"failure", "steps: [{fail: no}]\n" + cleaned, false, "failed", "clean failed fail"},
		{"failure with handler", "steps: [{fail: no}]\non_failure: [{uses: test/act, with: {n: handler}}]\n" + cleaned, false, "failed",
			"clean failed fail"},
		{"time-out", "timeout: 30ms\nsteps:\n  - {uses: test/act, with: {n: slow}}\n  - {uses: test/act, with: {n: a}}\n" + cleaned, false,
			"timed_out", "clean timed_out timeout"},
		{"cancelled while waiting", "steps: [{wait: {event: back, key: x}}]\n" + cleaned, true, "cancelled", "clean cancelled cancelled"},
		{"cancelled while asleep", "steps: [{sleep: 1h}]\n" + cleaned, true, "cancelled", "clean cancelled cancelled"},
		{"cancelled at work", "steps: [{uses: test/act, with: {n: cut}}, {uses: test/act, with: {n: never}}]\n" + cleaned, true, "cancelled",
			"clean cancelled cancelled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string]string{"w": "on: hook\n" + c.flow})
			e, s, stop := w.startCuttable()
			receipt, err := e.Accept(context.Background(), delivery("k", `{}`))
			if err != nil {
				t.Fatal(err)
			}
			if c.cancel {
				cancelOpen(t, e, s, receipt.Event)
			}
			r := settled(t, s, 1)[0]
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if got := w.target.sent("clean"); r.Status != c.status || len(got) != 1 || got[0] != c.says || len(w.target.sent("never")) > 0 {
				t.Errorf("run %s (%s), finally said %q; wanted %s and %q", r.Status, r.Error, got, c.status, c.says)
			}
		})
	}
}

// startCuttable starts a world whose target is slow for "slow" and never answers "cut"
// until it is cut.
func (w *world) startCuttable() (*machine.Engine, database, func() error) {
	w.act = actFunc(func(ctx context.Context, in engine.Input) (any, error) {
		out, err := w.target.Do(ctx, in)
		pause := time.Duration(0)
		switch in.With["n"] {
		case "slow":
			pause = 50 * time.Millisecond
		case "cut":
			pause = time.Hour
		}
		select {
		case <-time.After(pause):
			return out, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return w.start(nil)
}

// cancelOpen cancels the run of an event once it waits, or is in a step.
func cancelOpen(t *testing.T, e *machine.Engine, s database, of engine.EventID) {
	t.Helper()
	id := openRun(t, s, of)
	if err := e.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
}

func openRun(t *testing.T, s database, of engine.EventID) (id engine.RunID) {
	t.Helper()
	waitFor(t, func() bool {
		runs, err := s.History.Runs(context.Background(), engine.Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if r.Event != of.String() {
				continue
			}
			if id, err = engine.ParseRunID(r.ID); err != nil {
				t.Fatal(err)
			}
			steps, err := s.History.Steps(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			return len(steps) > 0
		}
		return false
	})
	return id
}

func TestFailureInFinallyDoesNotReplaceTheFirst(t *testing.T) {
	for _, c := range []struct{ steps, want string }{
		{"[{set: {x: 1}}]", "failed: broken at finally/0"},
		{"[{fail: first}]", "failed: first at 0, beside it broken"},
	} {
		w := newWorld(t, map[string]string{"w": "on: hook\nsteps: " + c.steps + "\nfinally: [{fail: broken}]\n"})
		e, s, stop := w.start(nil)
		if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
			t.Fatal(err)
		}
		id, err := engine.ParseRunID(settled(t, s, 1)[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Run(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s: %s at %s", r.Status, r.Error.Message, r.Error.Step)
		if h := r.Error.Handler; h != nil {
			got += ", beside it " + h.Message
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.steps, got, c.want)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCancelledRunReachesFinallyAcrossACrash: the n-th commit after the cancellation and
// all later ones fail, for every n.
func TestCancelledRunReachesFinallyAcrossACrash(t *testing.T) {
	for n := 1; ; n += testsize.Of(t, "HOOKLOOM_FAULTSTEP", 1) {
		w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{sleep: 1h}]\n" + cleaned})
		var mu sync.Mutex
		armed, count, crashed := false, 0, false
		e, s, stop := w.start(func(int) error {
			mu.Lock()
			defer mu.Unlock()
			if armed {
				count++
			}
			if armed && count >= n {
				crashed = true
				return errCrash
			}
			return nil
		})
		receipt, err := e.Accept(context.Background(), delivery("k", `{}`))
		if err != nil {
			t.Fatal(err)
		}
		id := openRun(t, s, receipt.Event)
		waitFor(t, func() bool {
			r, err := s.Run(context.Background(), id)
			return err == nil && r.Status == engine.Waiting
		})
		time.Sleep(20 * time.Millisecond) // until nobody works on it
		mu.Lock()
		armed = true
		mu.Unlock()
		cancelled := e.Cancel(context.Background(), id) == nil
		time.Sleep(30 * time.Millisecond)
		if err := stop(); err != nil && !errors.Is(err, errCrash) && !strings.Contains(err.Error(), "power") {
			t.Fatal(err)
		}
		e, s, stop = w.start(nil)
		if !cancelled {
			if err := e.Cancel(context.Background(), id); err != nil {
				t.Fatal(err)
			}
		}
		r := settled(t, s, 1)[0]
		steps, err := s.History.Steps(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		last := steps[len(steps)-1]
		if r.Status != "cancelled" || last.Path != plan.FinallyPath+"/clean" || last.Status != "succeeded" {
			t.Errorf("n=%d: run %s, last step %s %s", n, r.Status, last.Path, last.Status)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		over := !crashed
		mu.Unlock()
		if over {
			return
		}
	}
}

// TestASecondCancellationCutsFinally, so that a run can always be ended.
func TestASecondCancellationCutsFinally(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{sleep: 1h}]\nfinally: [{uses: test/act, with: {n: cut}, timeout: 1h}]\n"})
	e, s, stop := w.startCuttable()
	receipt, err := e.Accept(context.Background(), delivery("k", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	cancelOpen(t, e, s, receipt.Event)
	waitFor(t, func() bool { return len(w.target.sent("cut")) == 1 })
	cancelOpen(t, e, s, receipt.Event)
	if r := settled(t, s, 1)[0]; r.Status != "cancelled" {
		t.Errorf("run %s", r.Status)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
