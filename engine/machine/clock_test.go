package machine_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestWaitsContinueAfterTheClockIsSetBack: a sleep and the limit of a wait are not
// longer by the step, a rate starts runs again, and a sleep until a moment keeps it.
func TestWaitsContinueAfterTheClockIsSetBack(t *testing.T) {
	w := newFileWorld(t, map[string]string{
		"sleeps": "on: hook\nsteps:\n  - {sleep: 1500ms}\n",
		"waits":  "on: hook\nsteps:\n  - {wait: {approval: \"well?\"}, timeout: 1500ms}\n",
		"until":  "on: hook\nsteps:\n  - sleep: {until: \"${{ now() + duration('1h') }}\"}\n",
		"rated":  "on: hook\nrate: {limit: 1, per: 1s}\nsteps: [{id: a, uses: test/act}]",
	})
	starts := make(chan time.Time, 2)
	w.target.do = func(engine.Input, int) (any, error) { starts <- time.Now(); return nil, nil }
	e, s, stop := w.start(nil)
	for i := range 2 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	status := func(workflow string) (out []string) {
		items, err := s.History.Runs(context.Background(), engine.Query{Workflow: workflow})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range items {
			out = append(out, r.Status)
		}
		return out
	}
	waitFor(t, func() bool {
		return fmt.Sprint(status("sleeps"), status("waits"), status("until")) == "[waiting waiting] [waiting waiting] [waiting waiting]"
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+w.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`UPDATE runs SET due_at = due_at + ?1, created_at = created_at + ?1, started_at = started_at + ?1`,
		`UPDATE steps SET started_at = started_at + ?1, finished_at = finished_at + ?1`,
		`UPDATE events SET received_at = received_at + ?1`, `UPDATE places SET starts_at = starts_at + ?1`,
		`UPDATE waits SET until = until + ?1`,
		`UPDATE steps SET output = json_set(output, '$.until', strftime('%Y-%m-%dT%H:%M:%fZ', output ->> '$.until', (?1 / 1000) || ' ` +
			`seconds')) ` +
			`WHERE output ->> '$.until' IS NOT NULL`} {
		if _, err := db.Exec(q, time.Hour.Milliseconds()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for restart := range 2 {
		began := time.Now()
		_, s, stop = w.start(nil)
		waitFor(t, func() bool {
			return fmt.Sprint(status("sleeps"), status("waits"), status("rated")) == "[succeeded succeeded] [failed failed] [succeeded succeeded]"
		})
		if took := time.Since(began); restart == 0 && took < 500*time.Millisecond {
			t.Errorf("the sleep was cut: it ended after %v", took)
		}
		if got := fmt.Sprint(status("until")); got != "[waiting waiting]" {
			t.Errorf("a sleep until a moment is %s", got)
		}
		step, err := w.file().ClockStep(context.Background())
		if err != nil || step == nil || step.Milliseconds < 59*60_000 || step.Milliseconds > 61*60_000 {
			t.Errorf("%+v, %v", step, err)
		} else if restart == 1 && time.Since(step.At) < time.Since(began) {
			t.Error("the same step was found again")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := <-starts, <-starts; second.Sub(first) < 900*time.Millisecond {
		t.Errorf("the second run of the rate came %v after the first", second.Sub(first))
	}
}
