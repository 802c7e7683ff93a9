package machine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// openStates are workflows whose runs are open without waiting for anything that is awaited:
// each begins with the events whose data names it.
var openStates = map[string]string{
	"crashed": "steps: [{id: x, uses: test/act, with: {n: crashed}, retry: {max: 2, delay: 4s, jitter: false}}]",
	"paused":  "steps: [{id: x, uses: test/act, with: {n: paused}, retry: {max: 2, delay: 4s, jitter: false}}]",
	"rated":   "rate: {limit: 1, per: 4s}\nsteps: [{set: {a: 1}}]",
	"burst":   "debounce: {key: event.data.go, wait: 4s}\nsteps: [{set: {a: 1}}]",
	"batched": "batch: {key: event.data.go, size: 9, wait: 4s}\nsteps: [{set: {a: 1}}]",
	"off":     "steps: [{set: {a: 1}}]",
	"plain":   "steps: [{set: {a: 1}}]",
}

// TestOpenRunsOfThePreviousSchemaEnd: a run in each state, stored by the build before, ends in
// this one: at work when the process ended, paused before a retry, queued by a rate,
// gathering events, held by a switch, and not decided yet.
func TestOpenRunsOfThePreviousSchemaEnd(t *testing.T) {
	flows := map[string]string{}
	for name, text := range openStates {
		flows[name] = "on: hook\nwhen: event.data.go == '" + name + "'\n" + text
	}
	w := newFileWorld(t, flows)
	w.ownRows = true // a run is put back to work by SQL
	var down atomic.Bool
	down.Store(true)
	w.target.do = func(engine.Input, int) (any, error) {
		if down.Load() {
			return nil, &plan.Error{Message: "broken", Code: "http_status", Status: 503, Retryable: true}
		}
		return nil, nil
	}
	ctx := context.Background()
	e, s, stop := w.start(nil)
	if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "off", Hold: true, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"crashed", "paused", "rated", "rated", "burst", "burst", "batched", "batched", "off"} {
		if _, err := e.Accept(ctx, delivery(fmt.Sprint(name, i), fmt.Sprintf(`{"go": %q}`, name))); err != nil {
			t.Fatal(err)
		}
	}
	const states = "batched queued 0,burst queued 0,crashed waiting 1,paused waiting 1,rated queued 0,rated succeeded 0"
	state := func() string {
		return w.exec(t, `SELECT coalesce(group_concat(x), '') FROM (SELECT workflow || ' ' || status || ' ' || (SELECT count(*) FROM steps s
			WHERE s.run_id = r.id AND s.status = 'failed') AS x FROM runs r ORDER BY 1)`)
	}
	for range 150 {
		if state() == states {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := state(); got != states {
		t.Fatalf("the runs are %s", got)
	}
	// It is stored and not decided: the process ends before.
	d := delivery("plain", `{"go": "plain"}`)
	if _, err := s.Accept(ctx, engine.EventID(engine.FirstID(time.Now())+1<<20), d); err != nil {
		t.Fatal(err)
	}
	mustStop(t, stop)
	w.exec(t, `UPDATE steps SET status = 'running', finished_at = NULL, error = NULL
		WHERE run_id = (SELECT id FROM runs WHERE workflow = 'crashed');
		UPDATE runs SET status = 'running', due_at = NULL WHERE workflow = 'crashed'`)
	w.exec(t, schema25)
	down.Store(false)
	e, s, stop = w.start(nil)
	defer mustStop(t, stop)
	if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "off", On: true, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"crashed": 1, "paused": 1, "rated": 2, "burst": 1, "batched": 1, "off": 1, "plain": 1}
	got := map[string]int{}
	for _, r := range settled(t, s, 8) {
		if r.Status != "succeeded" {
			t.Errorf("%s: %s %s", r.Workflow, r.Status, r.Error)
		}
		got[r.Workflow]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	s.holds(t, "at the end")
}
