package machine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestBranchesDoNotWaitForEachOther: the slow branch ends only when the other has
// made its second step, so that a common pace would never end.
func TestBranchesDoNotWaitForEachOther(t *testing.T) {
	w := newWorld(t, map[string]string{"w": `on: hook
steps:
  - parallel:
      - {id: slow, uses: test/act, timeout: 20s}
      - steps: [{id: one, uses: test/act}, {id: two, uses: test/act}]
`})
	second := make(chan struct{})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		switch {
		case in.Path == "0/slow":
			select {
			case <-second:
			case <-time.After(time.Minute):
				return nil, &plan.Error{Message: "the other branch was held up"}
			}
		case strings.HasSuffix(in.Path, "two"):
			close(second)
		}
		return nil, nil
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	if runs := settled(t, s, 1); runs[0].Status != "succeeded" {
		t.Errorf("%+v", runs[0])
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestALoopKeepsItsWidth: never more than max_parallel calls at once, each item
// under an idempotency key of its own.
func TestALoopKeepsItsWidth(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: l, foreach: 1..60, max_parallel: 4, uses: test/act, with: {n: " +
		"\"${{ item }}\"}}\noutput: ${{ len(steps.l.output) }}"})
	var mu sync.Mutex
	at, most := 0, 0
	w.target.do = func(engine.Input, int) (any, error) {
		mu.Lock()
		at++
		most = max(most, at)
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		at--
		mu.Unlock()
		return nil, nil
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	runs := settled(t, s, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if runs[0].Status != "succeeded" || most != 4 || len(w.target.seen) != 60 {
		t.Errorf("%+v, %d at once, %d keys", runs[0], most, len(w.target.seen))
	}
}

// TestSleepSurvivesARestart: nothing waits for it, and it goes on after a
// restart at the moment that was set.
func TestSleepSurvivesARestart(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: z, sleep: 400ms}\n  - {id: a, uses: test/act}"})
	e, s, stop := w.start(nil)
	began := time.Now()
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	waiting := false
	for !waiting {
		items, err := s.History.Runs(context.Background(), engine.Query{})
		if err != nil {
			t.Fatal(err)
		}
		waiting = len(items) == 1 && items[0].Status == "waiting"
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	_, s, stop = w.start(nil)
	runs := settled(t, s, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); runs[0].Status != "succeeded" || w.target.calls() != 1 || took < 400*time.Millisecond {
		t.Errorf("%+v after %v and %d calls", runs[0], took, w.target.calls())
	}
}

// TestGroupTimeoutCancelsItsOpenSteps, and the run goes on from there.
func TestGroupTimeoutCancelsItsOpenSteps(t *testing.T) {
	w := newWorld(t, map[string]string{"w": `on: hook
steps:
  - id: g
    steps: [{id: hangs, uses: test/act}]
    timeout: 100ms
    continue_on_error: true
  - {id: after, uses: test/act}
output: ${{ steps.g.status }}
`})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		if in.Path == "g/hangs" {
			time.Sleep(300 * time.Millisecond)
			return nil, &plan.Error{Message: "cut", Retryable: true}
		}
		return nil, nil
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	runs := settled(t, s, 1)
	id, err := engine.ParseRunID(runs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.History.RunDetail(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if d.Status != "succeeded" || string(d.Output) != `"failed"` {
		t.Errorf("%s %s", d.Status, d.Output)
	}
}

// TestCancelCutsAllBranches: what is open comes back before the run has ended.
func TestCancelCutsAllBranches(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - parallel:\n" +
		strings.Repeat("      - {uses: test/act, timeout: 20s}\n", 3)})
	started := make(chan struct{}, 3)
	w.target.do = func(in engine.Input, _ int) (any, error) {
		started <- struct{}{}
		time.Sleep(50 * time.Millisecond)
		return nil, fmt.Errorf("cut")
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-started
	}
	items, err := s.History.Runs(context.Background(), engine.Query{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := engine.ParseRunID(items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	runs := settled(t, s, 1)
	steps, err := s.History.Steps(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if runs[0].Status != "cancelled" {
		t.Errorf("%+v", runs[0])
	}
	for _, st := range steps {
		if st.FinishedAt == nil {
			t.Errorf("%s is still %s", st.Path, st.Status)
		}
	}
}
