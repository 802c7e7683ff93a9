package machine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"pgregory.net/rapid"
)

// randomFlow writes a workflow of random steps that can all end by themselves.
func randomFlow(r *rapid.T) string {
	n := 0
	var steps func(depth, indent int) string
	steps = func(depth, indent int) string {
		pad, out := strings.Repeat(" ", indent), ""
		for range rapid.IntRange(1, 3).Draw(r, "steps") {
			n++
			kind := rapid.IntRange(0, 7).Draw(r, "body")
			if depth >= 3 && kind >= 4 {
				kind = 0
			}
			switch kind {
			case 0, 1:
				out += fmt.Sprintf("%s- id: s%d\n%s  uses: test/act\n%s  with: {n: \"${{ event.key }} ${{ uuid() }} ${{ now() }}\"}\n%s  retry: {max: "+
					"3, delay: 1s}\n%s  continue_on_error: %v\n", pad, n, pad, pad, pad, pad, rapid.Bool().Draw(r, "forgive"))
			case 2:
				out += fmt.Sprintf("%s- sleep: %dm\n", pad, rapid.IntRange(1, 90).Draw(r, "minutes"))
			case 3:
				out += fmt.Sprintf("%s- set: {v%d: \"${{ event.key }}\"}\n", pad, n)
			case 4:
				out += fmt.Sprintf("%s- parallel:\n%s", pad, steps(depth+1, indent+2))
			case 5:
				name := n
				out += fmt.Sprintf("%s- foreach: \"[1, 2, 3]\"\n%s  as: i%d\n%s  max_parallel: %d\n%s  steps:\n%s", pad, pad, name, pad,
					rapid.IntRange(1, 3).Draw(r, "width"), pad, steps(depth+1, indent+4))
			case 6:
				out += fmt.Sprintf("%s- call: other\n%s  retry: %d\n%s  detach: %v\n", pad, pad, rapid.IntRange(0, 1).Draw(r, "again"), pad,
					rapid.Bool().Draw(r, "detach"))
			case 7:
				out += fmt.Sprintf("%s- switch: event.type\n%s  cases:\n%s    t:\n%s", pad, pad, pad, steps(depth+1, indent+6))
			}
		}
		return out
	}
	head := "on: hook\ntimeout: 100h\n"
	switch rapid.IntRange(0, 3).Draw(r, "flow") {
	case 0:
		head += "concurrency: 1\n"
	case 1:
		head += "rate: {limit: 2, per: 10m}\n"
	}
	return head + "steps:\n" + steps(0, 2)
}

// TestAnyWorkflowSurvivesAnyCrash carries random workflows through the engine and a
// real store, whose disk fails at a random write, once or twice; the clock is
// synctest's, so that hours pass at once. What was acknowledged runs to its end, no
// finished step is repeated, and what is sent again is the same.
func TestAnyWorkflowSurvivesAnyCrash(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		flow := randomFlow(r)
		crashes := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 2).Draw(r, "crashes")
		flaky := rapid.IntRange(0, 5).Draw(r, "flaky")
		inbox := rapid.Bool().Draw(r, "inbox")
		var trouble error
		synctest.Test(t, func(t *testing.T) { trouble = modelWorld(t, flow, crashes, flaky, inbox) })
		if trouble != nil {
			r.Fatalf("%v\n%s", trouble, flow)
		}
	})
}

func modelWorld(t *testing.T, flow string, crashes []int, flaky int, inbox bool) error {
	w := newWorld(t, map[string]string{"w": flow, "other": "on: call\nsteps: [{uses: test/act, with: {n: x}}, {sleep: 3m}]\noutput: 1"})
	if inbox {
		w.store = viaInbox
	}
	calls := atomic.Int64{}
	w.target.do = func(engine.Input, int) (any, error) {
		if flaky > 0 && calls.Add(1)%int64(flaky+1) == 0 {
			return nil, &plan.Error{Message: "busy", Code: "http_status", Status: 503, Retryable: true}
		}
		return nil, nil
	}
	acked := map[string]bool{}
	for life := range len(crashes) + 1 {
		var gone atomic.Bool
		e, s, stop := w.start(func(n int) error {
			if life < len(crashes) && n >= crashes[life] {
				gone.Store(true)
				return errCrash
			}
			return nil
		})
		for i := range 2 {
			key := fmt.Sprint("k", life, i)
			if _, err := e.Accept(context.Background(), delivery(key, `{}`)); err == nil {
				acked[key] = true
			}
		}
		// Long enough for six runs one after another, of loops in loops of sleeps.
		for range 4000 {
			if gone.Load() {
				break
			}
			synctest.Wait()
			open, err := s.History.Counts(context.Background())
			if err != nil {
				return errors.Join(err, stop())
			}
			if open == (counts{}) {
				break
			}
			time.Sleep(30 * time.Minute)
		}
		if life == len(crashes) {
			if err := checkModel(t, s, acked, w.target); err != nil {
				return errors.Join(err, stop())
			}
		}
		if err := stop(); err != nil && !gone.Load() {
			return err
		}
	}
	return nil
}

// checkModel checks what was promised of the acknowledged events.
func checkModel(t *testing.T, s database, acked map[string]bool, g *target) error {
	ctx := context.Background()
	if wrong, err := s.wrong(ctx); err != nil || len(wrong) > 0 {
		return errors.Join(err, fmt.Errorf("not true: %v", wrong))
	}
	runs := map[string]int{}
	for _, ev := range eventsIn(t, s.History) {
		if ev.Trigger != "hook" {
			continue
		}
		runs[ev.Key] = ev.Runs
	}
	for key := range acked {
		if runs[key] != 1 {
			return fmt.Errorf("acknowledged %s has %d runs", key, runs[key])
		}
	}
	for _, r := range runsIn(t, s.History) {
		if !engine.RunStatus(r.Status).Ended() {
			return fmt.Errorf("run %s is %s", r.ID, r.Status)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, bodies := range g.seen {
		for _, b := range bodies {
			if b != bodies[0] {
				return fmt.Errorf("%s came with two bodies: %s and %s", key, bodies[0], b)
			}
		}
	}
	return nil
}

// TestClockChangeLosesNoRun: while the process was down the clock was set an
// hour on, or back. What is ready goes on at once, a pause is not as long as the
// step, a sleep ends by the clock on the wall, never early, and ids still rise.
func TestClockChangeLosesNoRun(t *testing.T) {
	for name, shift := range map[string]time.Duration{"set on": -time.Hour, "set back": time.Hour} {
		w := newFileWorld(t, map[string]string{
			"ready":  "on: hook\nsteps:\n  - {id: r, uses: test/act, timeout: 1h}",
			"again":  "on: hook\nsteps:\n  - {id: a, uses: test/act, retry: {max: 3, delay: 30m, max_delay: 1h, jitter: false}}",
			"sleeps": "on: hook\nsteps:\n  - {sleep: 30m}\n  - {id: s, uses: test/act}"})
		var back atomic.Bool
		w.target.do = func(in engine.Input, _ int) (any, error) {
			if !back.Load() {
				if in.Path == "r" {
					time.Sleep(100 * time.Millisecond) // cut by the end of the process
				}
				return nil, &plan.Error{Message: "busy", Retryable: true, Code: "http_status", Status: 503}
			}
			return nil, nil
		}
		e, _, stop := w.start(nil)
		first, err := e.Accept(context.Background(), delivery("k", `{}`))
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return w.target.calls() >= 2 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		// The clock is shifted by shifting all that was written by it.
		db, err := sql.Open("sqlite3", "file:"+w.path)
		if err != nil {
			t.Fatal(err)
		}
		ms := shift.Milliseconds()
		for _, q := range []string{`UPDATE runs SET due_at = due_at + ?1, created_at = created_at + ?1, started_at = started_at + ?1`,
			`UPDATE steps SET started_at = started_at + ?1, finished_at = finished_at + ?1`,
			`UPDATE events SET received_at = received_at + ?1`, `UPDATE keys SET seen_at = seen_at + ?1`,
			`UPDATE waits SET until = until + ?1`,
			`UPDATE steps SET output = json_set(output, '$.until', strftime('%Y-%m-%dT%H:%M:%fZ', output ->> '$.until', (?1 / 1000) || ' ` +
				`seconds')) WHERE output ->> '$.until' IS NOT NULL`} {
			if _, err := db.Exec(q, ms); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		back.Store(true)
		e, s, stop := w.start(nil)
		status := func(workflow string) string {
			items, err := s.History.Runs(context.Background(), engine.Query{Workflow: workflow, Limit: 1})
			if err != nil || len(items) != 1 {
				t.Fatalf("%v %v", items, err)
			}
			return items[0].Status
		}
		waitFor(t, func() bool { return status("again") == "succeeded" || shift < 0 && status("again") == "waiting" })
		waitFor(t, func() bool { return status("ready") != "queued" && status("ready") != "running" })
		if shift < 0 {
			waitFor(t, func() bool { return status("sleeps") == "succeeded" && status("again") == "succeeded" })
		} else if status("sleeps") != "waiting" {
			t.Errorf("%s: the sleep is %s", name, status("sleeps"))
		}
		if r, err := e.Accept(context.Background(), delivery("later", `{}`)); err != nil || r.Event <= first.Event {
			t.Errorf("%s: %v after %v, %v", name, r.Event, first.Event, err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}
