package machine_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/testsize"
)

const callee = `on: call
inputs: {n: {type: number, required: true}}
when: inputs.n < 100
steps:
  - {id: a, uses: test/act, with: {n: "${{ inputs.n }}"}}
output: ${{ inputs.n * 2 }}
`

// run carries one event through and gives the caller's end.
func (w *world) run(t *testing.T, runs int) string {
	t.Helper()
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	var out string
	for _, r := range settled(t, s, runs) {
		if r.Workflow == "w" {
			out = output(t, s, mustRun(t, r.ID))
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCallReturnsTheOutputOfTheCalledRun and fails as it failed.
func TestCallReturnsTheOutputOfTheCalledRun(t *testing.T) {
	for _, x := range []struct {
		name, steps, want string
		runs              int
	}{
		{"its output", "- {id: c, call: other, with: {n: 4}}", "succeeded 8 ", 2},
		{"one for each item", "- {id: c, foreach: 1..5, max_parallel: 3, call: other, with: {n: \"${{ item }}\"}}", "succeeded [2,4,6,8,10] ", 6},
		{"not waited for", "- {id: c, call: other, with: {n: 4}, detach: true, output: gone}", `succeeded "gone" `, 2},
		{"its rule says no", "- {id: c, call: other, with: {n: 100}}", "succeeded null ", 1},
		{"inputs of the wrong kind", "- {id: c, call: other, with: {n: \"${{ event.key }}\"}}", "failed null other: input n: ", 1},
		{"it fails", "- {id: c, call: bad}", "failed null workflow bad failed: no luck", 2},
		{"it fails each time", "- {id: c, call: bad, retry: {max: 2, delay: 1ms}}", "failed null workflow bad failed: no luck", 4},
		{"it takes too long", "- {id: c, call: sleeps, timeout: 20ms, continue_on_error: true, output: x}\n  - set: {v: " +
			"\"${{ steps.c.error.code }}\"}", "succeeded null ", 2},
	} {
		w := newWorld(t, map[string]string{"other": callee, "bad": "on: call\nsteps: [{fail: no luck}]",
			"sleeps": "on: call\nsteps: [{sleep: 300ms}]",
			"w":      "on: hook\nsteps:\n  " + x.steps + "\noutput: ${{ steps.c.output }}"})
		if got := w.run(t, x.runs); !strings.HasPrefix(got, x.want) {
			t.Errorf("%s: %s", x.name, got)
		}
	}
}

// TestCallSurvivesACrashAtAnyWrite: the called workflow has one run and one
// effect, and its caller goes on.
func TestCallSurvivesACrashAtAnyWrite(t *testing.T) {
	for n := 1; ; n += testsize.Of(t, "HOOKLOOM_FAULTSTEP", 1) {
		w := newWorld(t, map[string]string{"other": callee, "w": "on: hook\nsteps:\n  - {id: c, call: other, with: {n: 4}}\n  - {id: b, uses: " +
			"test/act}\noutput: ${{ steps.c.output }}"})
		var crashed atomic.Bool
		e, _, stop := w.start(func(i int) error {
			if i >= n {
				crashed.Store(true)
				return errCrash
			}
			return nil
		})
		_, acked := e.Accept(context.Background(), delivery("k", `{}`))
		for deadline := time.Now().Add(20 * time.Second); !crashed.Load() && w.target.calls() < 2 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		_ = stop() // the crash
		if acked != nil {
			continue
		}
		_, s, stop := w.start(nil)
		items := settled(t, s, 2)
		if len(items) != 2 {
			t.Errorf("n=%d: %d runs", n, len(items))
		}
		for _, r := range items {
			if r.Status != string(engine.Succeeded) {
				t.Errorf("n=%d: %+v", n, r)
			}
		}
		if len(w.target.seen) != 2 {
			t.Errorf("n=%d: %d effects", n, len(w.target.seen))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if !crashed.Load() {
			if n < 5 {
				t.Errorf("only %d writes were tried", n)
			}
			return
		}
	}
}

// TestCancelledCallEndsTheWaitOfItsCaller: the caller is told.
func TestCancelledCallEndsTheWaitOfItsCaller(t *testing.T) {
	w := newWorld(t, map[string]string{"slow": "on: call\nsteps: [{wait: {approval: ok}}]",
		"w": "on: hook\nsteps: [{id: c, call: slow, on_failure: [{uses: log, with: {message: x}}]}]"})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	called := stands(t, s, engine.Waiting)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		items, err := s.History.Runs(context.Background(), engine.Query{Status: "waiting"})
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 2 {
			called = mustRun(t, items[0].ID)
			break
		}
	}
	if err := e.Cancel(context.Background(), called); err != nil {
		t.Fatal(err)
	}
	for _, r := range settled(t, s, 2) {
		if r.Workflow == "w" && !strings.Contains(r.Error, "workflow slow cancelled") {
			t.Errorf("%+v", r)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestRunEndStartsItsSubscribers with the facts of that run, whether it
// ended at work or was cancelled while it waited, and to the states asked for.
func TestRunEndStartsItsSubscribers(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{fail: no luck}]", "held": "on: hook\nsteps: [{wait: {approval: ok}}]",
		"fine": "on: hook\nsteps: [{stop: x}]",
		"alert": "on:\n  workflow_run: {workflows: [w, held, fine], status: [failed, cancelled]}\nsteps: [{uses: log, with: {message: " +
			"x}}]\noutput: ${{ event.type }} ${{ event.data.workflow }} ${{ event.data.error?.message }}"})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		items, err := s.History.Runs(context.Background(), engine.Query{Status: "waiting"})
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 1 {
			if err := e.Cancel(context.Background(), mustRun(t, items[0].ID)); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	var got []string
	for _, r := range settled(t, s, 5) {
		if r.Workflow == "alert" {
			got = append(got, output(t, s, mustRun(t, r.ID)))
		}
	}
	slices.Sort(got)
	want := []string{`succeeded "workflow_run.cancelled held " `, `succeeded "workflow_run.failed w no luck" `}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestRunsThatListenToEachOtherStop after five, with a word in the log.
func TestRunsThatListenToEachOtherStop(t *testing.T) {
	listens := func(to string) string {
		return "on:\n  workflow_run: {workflows: [" + to + "]}\nsteps: [{stop: x}]"
	}
	w := newWorld(t, map[string]string{"first": "on: hook\nsteps: [{stop: x}]", "ping": listens("first, pong"), "pong": listens("ping")})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 6)
	time.Sleep(50 * time.Millisecond)
	if runs := settled(t, s, 6); len(runs) != 6 {
		t.Errorf("%d runs", len(runs))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
