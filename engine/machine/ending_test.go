package machine_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/testsize"
)

// statuses returns the status and the error of the runs of each workflow, the oldest first.
func statuses(t *testing.T, s database) map[string][]string {
	t.Helper()
	items, err := s.History.Runs(context.Background(), engine.Query{Limit: 1000, Ascending: true})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, r := range items {
		out[r.Workflow] = append(out[r.Workflow], strings.TrimSpace(r.Status+" "+r.Error))
	}
	return out
}

func newest(t *testing.T, s database, workflow, status string) engine.RunID {
	t.Helper()
	var id engine.RunID
	eventually(t, "a run of "+workflow+" is "+status, func() bool {
		items, err := s.History.Runs(context.Background(), engine.Query{Workflow: workflow, Status: status})
		if err != nil {
			t.Fatal(err)
		}
		if len(items) > 0 {
			id = mustRun(t, items[0].ID)
		}
		return len(items) > 0
	})
	return id
}

// TestACalledRunEndsWithItsCaller whether that is cancelled or runs out of time, however
// deep the calls go and whatever the called run does; a detached one goes on.
func TestACalledRunEndsWithItsCaller(t *testing.T) {
	flows := map[string]string{
		"w":     "on: hook\nsteps: [{call: child}]",
		"child": "on: call\nsteps: [{parallel: [{call: grandchild}, {call: gone, detach: true}]}]",
		"gone":  "on: call\nsteps: [{wait: {approval: ok}}]",
	}
	for name, grandchild := range map[string]string{"asleep": "{sleep: 1h}", "waiting": "{wait: {approval: ok}}",
		"at work": "{uses: test/act}"} {
		flows["grandchild"] = "on: call\nsteps: [" + grandchild + "]\non_failure: [{uses: test/act}]"
		w := newWorld(t, flows)
		w.act = acting(func(ctx context.Context, _ engine.Input) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		e, s, stop := w.start(nil)
		if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
			t.Fatal(err)
		}
		newest(t, s, "gone", "waiting")
		newest(t, s, "grandchild", map[bool]string{true: "running", false: "waiting"}[name == "at work"])
		if err := e.Cancel(context.Background(), newest(t, s, "w", "waiting")); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+": the called runs end", func() bool {
			got := statuses(t, s)
			return strings.HasPrefix(got["child"][0], "cancelled") && strings.HasPrefix(got["grandchild"][0], "cancelled")
		})
		if got := statuses(t, s); !strings.Contains(got["child"][0], ", which called it, was cancelled") || got["gone"][0] != "waiting" {
			t.Errorf("%s: %q", name, got)
		}
		eventually(t, name+": the order to end them goes", func() bool {
			list, err := s.EndCalls(context.Background())
			return err == nil && len(list) == 0
		})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// acting makes an action of a function.
type acting func(ctx context.Context, in engine.Input) (any, error)

func (a acting) Do(ctx context.Context, in engine.Input) (any, error) { return a(ctx, in) }

// TestACallThatTimedOutIsEndedBeforeItIsTriedAgain: never two called runs at a time, and
// all of their attempts send one idempotency key and one uuid.
func TestACallThatTimedOutIsEndedBeforeItIsTriedAgain(t *testing.T) {
	w := newWorld(t, map[string]string{
		"w": "on: hook\nsteps: [{id: c, call: child, with: {n: 7}, timeout: 30ms, retry: {max: 2, delay: 1ms}, continue_on_error: " +
			"true}]\noutput: ${{ steps.c.error.message }}",
		"child": "on: call\ninputs: {n: {type: number}}\nsteps: [{uses: test/act, with: {n: \"${{ uuid() }}\"}}]"})
	var mu sync.Mutex
	keys, values := map[string]int{}, map[any]int{}
	var atOnce, most atomic.Int32
	w.act = acting(func(ctx context.Context, in engine.Input) (any, error) {
		mu.Lock()
		keys[in.Key]++
		values[in.With["n"]]++
		mu.Unlock()
		most.Store(max(most.Load(), atOnce.Add(1)))
		defer atOnce.Add(-1)
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond) // it takes a while to let go
		return nil, ctx.Err()
	})
	got := w.run(t, 4)
	if want := `succeeded "workflow child has not ended within 30ms; its run was ended" `; got != want {
		t.Errorf("got %s", got)
	}
	if len(keys) != 1 || len(values) != 1 || most.Load() != 1 {
		t.Errorf("%d keys, %d uuids, %d at once: %v", len(keys), len(values), most.Load(), keys)
	}
}

// TestOrderOfEndingHoldsAcrossACrashAtAnyWrite: the caller is cancelled, or its call
// times out, and the process ends at any write after that. At no moment two called runs
// are open, and in the end none is.
func TestOrderOfEndingHoldsAcrossACrashAtAnyWrite(t *testing.T) {
	for _, cancels := range []bool{true, false} {
		retry := "timeout: 20ms, retry: {max: 1, delay: 1ms}"
		if cancels {
			retry = "timeout: 1h"
		}
		flows := map[string]string{"w": "on: hook\nsteps: [{id: c, call: child, " + retry + "}]",
			"child": "on: call\nsteps: [{sleep: 1h}, {uses: test/act}]"}
		for n := 1; ; n += testsize.Of(t, "HOOKLOOM_FAULTSTEP", 1) {
			w := newWorld(t, flows)
			var crashed, counting atomic.Bool
			var writes atomic.Int32
			counting.Store(!cancels)
			e, s, stop := w.start(func(int) error {
				if counting.Load() && int(writes.Add(1)) >= n {
					crashed.Store(true)
					return errCrash
				}
				return nil
			})
			_, acked := e.Accept(context.Background(), delivery("k", `{}`))
			if cancels {
				newest(t, s, "child", "waiting")
				id := newest(t, s, "w", "waiting")
				counting.Store(true)
				_ = e.Cancel(context.Background(), id)
			}
			for deadline := time.Now().Add(20 * time.Second); !crashed.Load() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				if got := statuses(t, s); len(got["w"]) == 1 && !strings.HasPrefix(got["w"][0], "waiting") &&
					!strings.HasPrefix(got["w"][0], "running") && closed(got["child"]) {
					break
				}
			}
			_ = stop() // the crash
			if acked == nil {
				checkAfterCrash(t, w, cancels, n)
			}
			if !crashed.Load() {
				if n < 3 {
					t.Errorf("only %d writes were tried", n)
				}
				break
			}
		}
	}
}

func closed(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !strings.HasPrefix(s, "cancelled") })
}

func checkAfterCrash(t *testing.T, w *world, cancels bool, n int) {
	t.Helper()
	e, s, stop := w.start(nil)
	if cancels {
		if got := statuses(t, s); strings.HasPrefix(got["w"][0], "waiting") { // the crash came before the order
			_ = e.Cancel(context.Background(), newest(t, s, "w", "waiting"))
		}
	}
	eventually(t, "all runs end", func() bool {
		open := 0
		got := statuses(t, s)
		for _, x := range got["child"] {
			if !strings.HasPrefix(x, "cancelled") {
				open++
			}
		}
		if open > 1 {
			t.Errorf("n=%d: two called runs are open: %q", n, got)
		}
		return open == 0 && len(got["w"]) == 1 && (strings.HasPrefix(got["w"][0], "cancelled") || strings.HasPrefix(got["w"][0], "failed"))
	})
	if len(w.target.seen) != 0 {
		t.Errorf("n=%d: an ended run acted", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestRunTimeoutEndsItsCallsBeforeItsHandler, and its cut attempt says that the
// run's time was over.
func TestRunTimeoutEndsItsCallsBeforeItsHandler(t *testing.T) {
	w := newWorld(t, map[string]string{
		"w": "on: hook\ntimeout: 100ms\nsteps: [{parallel: [{call: child}, {id: slow, uses: test/act}]}]\non_failure: [{id: h, uses: " +
			"test/act}]",
		"child": "on: call\nsteps: [{sleep: 1h}]"})
	var s database
	w.act = acting(func(ctx context.Context, in engine.Input) (any, error) {
		if in.Path == "on_failure/h" {
			if got := statuses(t, s)["child"]; len(got) != 1 || !strings.HasPrefix(got[0], "cancelled") {
				t.Errorf("the handler runs beside the called run: %q", got)
			}
			return nil, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	var e *machine.Engine
	var stop func() error
	e, s, stop = w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	id := newest(t, s, "w", "timed_out")
	steps, err := s.History.Steps(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]string{}
	for _, st := range steps {
		messages[st.Path] = string(st.Error)
	}
	for path, want := range map[string]string{"0/slow": "the run took longer than its timeout of 100ms",
		"0/0": "cut: the run took longer than its timeout of 100ms"} {
		if !strings.Contains(messages[path], want) {
			t.Errorf("%s: %s, want %s", path, messages[path], want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAttemptCutByAGroupTimeoutNamesTheGroup, and not that its own was over.
func TestAttemptCutByAGroupTimeoutNamesTheGroup(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: g, timeout: 50ms, steps: [{id: a, uses: test/act, timeout: 1h}]}]"})
	w.act = acting(func(ctx context.Context, _ engine.Input) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	steps, err := s.History.Steps(context.Background(), newest(t, s, "w", "failed"))
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range steps {
		if st.Path == "g/a" && !strings.Contains(string(st.Error), "its group g took longer than its timeout of 50ms") {
			t.Errorf("%s", st.Error)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFailFastEndsTheCallsOfOtherItems before the run goes on.
func TestFailFastEndsTheCallsOfOtherItems(t *testing.T) {
	w := newWorld(t, map[string]string{
		"w": "on: hook\nsteps: [{id: l, foreach: 1..3, max_parallel: 3, call: child, with: {n: \"${{ item }}\"}, continue_on_error: " +
			"true}]\noutput: ${{ steps.l.error.message }}",
		"child": "on: call\ninputs: {n: {type: integer}}\nsteps: [{if: inputs.n < 3, sleep: 1h}, {sleep: 50ms}, {fail: no luck}]"})
	got := w.run(t, 4)
	if want := `succeeded "workflow child failed: no luck" `; got != want {
		t.Errorf("got %s", got)
	}
	_, s, stop := w.start(nil)
	list := statuses(t, s)["child"]
	slices.Sort(list)
	for i, want := range []string{"cancelled cut: another iteration of l failed", "cancelled cut: another iteration of l failed",
		"failed no luck"} {
		if !strings.HasPrefix(list[i], want) {
			t.Errorf("%q", list)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestShutdownDoesNotWaitForCalledRunsThatEndLater: one that sleeps in finally is not at
// work, and goes on at the next start.
func TestShutdownDoesNotWaitForCalledRunsThatEndLater(t *testing.T) {
	w := newWorld(t, map[string]string{
		"w":     "on: hook\nsteps: [{call: child}]",
		"child": "on: call\nsteps: [{sleep: 1h}]\nfinally: [{id: last, sleep: 2s}]",
	})
	w.options.Grace = time.Minute
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	newest(t, s, "child", "waiting")
	if err := e.Cancel(context.Background(), newest(t, s, "w", "waiting")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the called run is at its last step", func() bool {
		d, err := s.History.RunDetail(context.Background(), newest(t, s, "child", "waiting"))
		return err == nil && slices.ContainsFunc(d.Steps, func(x engine.StepItem) bool { return x.Path == "finally/last" || x.Path == "last" })
	})
	began := time.Now()
	if err := stop(); err != nil || time.Since(began) > time.Second {
		t.Errorf("the stop took %s: %v", time.Since(began), err)
	}
	_, s, stop = w.start(nil)
	eventually(t, "the called run ends after the next start",
		func() bool { return strings.HasPrefix(statuses(t, s)["child"][0], "cancelled") })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
