package machine_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// schema25 turns a database back into one of schema 25, which had what steps wait for in
// their outputs, and in which parked runs were due in a hundred years.
const schema25 = `
CREATE TABLE any_waits (trigger TEXT NOT NULL, key TEXT NOT NULL, run_id INTEGER NOT NULL, path TEXT NOT NULL,
	PRIMARY KEY (trigger, key, run_id, path)) WITHOUT ROWID;
CREATE INDEX any_waits_by_run ON any_waits (run_id);
INSERT INTO any_waits SELECT trigger, key, run_id, path FROM waits WHERE is_any AND trigger IS NOT NULL;
DROP TABLE waits;
DROP TABLE tokens;
DROP TABLE hour_counts;
CREATE INDEX steps_by_event ON steps (output ->> '$.event', output ->> '$.key') WHERE status = 'waiting';
CREATE INDEX steps_by_call ON steps (output ->> '$.call') WHERE status = 'waiting';
CREATE INDEX steps_by_destination ON steps (run_id) WHERE status = 'waiting' AND output ->> '$.destination' IS NOT NULL;
CREATE INDEX steps_asking ON steps (run_id) WHERE status = 'waiting' AND output ->> '$.approval' IS NOT NULL;
UPDATE runs SET due_at = created_at + 3155760000000 WHERE due_at IS NULL AND status IN ('queued', 'waiting');
DROP INDEX runs_due;
CREATE INDEX runs_due ON runs (due_at) WHERE due_at IS NOT NULL;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'due_at IS NULL OR status = ''queued'' OR status = ''waiting''',
  '(due_at IS NOT NULL) = (status = ''queued'' OR status = ''waiting'')') WHERE name = 'runs';
PRAGMA writable_schema = RESET;
DROP VIEW events_view;
ALTER TABLE events DROP COLUMN not_utf8;
CREATE VIEW events_view AS SELECT id FROM events;
PRAGMA user_version = 25;
`

// openWaits are workflows that wait, each in its own way. Each begins with the event whose
// key is its name.
var openWaits = map[string]string{
	"approval": "steps: [{id: x, wait: {approval: \"Go?\", by: [ada]}, timeout: 1h}]\noutput: ${{ steps.x.output.by }}",
	"event":    "steps: [{id: x, wait: {event: back, key: one}, timeout: 1h}]\noutput: ${{ steps.x.output.data.n }}",
	"any": "steps: [{id: x, wait: {any: [{event: back, key: two}, {approval: \"Go?\"}, {event: back, key: three}]}, timeout: " +
		"1h}]\noutput: ${{ steps.x.output.index }}",
	"sleep":  "steps: [{sleep: 2s}]\noutput: slept",
	"moment": "steps: [{sleep: {until: \"${{ now() + duration('2s') }}\"}}]\noutput: slept",
	"late":   "steps: [{id: x, wait: {event: back, key: never}, timeout: 2s, continue_on_error: true}]\noutput: ${{ steps.x.error.code }}",
	"call":   "steps: [{id: x, call: other}]\noutput: ${{ steps.x.output }}",
	"turn":   "concurrency: 1\nsteps: [{id: x, wait: {event: back, key: five}, timeout: 1h}]\noutput: ${{ steps.x.output.data.n }}",
	"held": "steps: [{id: x, uses: test/act, with: {n: \"down.example x\"}, timeout: 1h, retry: {max: 50, delay: 10ms, factor: " +
		"1}}]\noutput: sent",
}

// TestOpenWaitsOfThePreviousSchemaContinue: a run of each way to wait, stored by the build
// before, goes on in this one.
func TestOpenWaitsOfThePreviousSchemaContinue(t *testing.T) {
	flows := map[string]string{"other": "on: call\nsteps: [{id: x, wait: {event: back, key: four}, timeout: 1h}]\noutput: ${{ " +
		"steps.x.output.data.n }}"}
	for name, text := range openWaits {
		flows[name] = "on: hook\nwhen: event.data.go == '" + name + "'\n" + text
	}
	w := newFileWorld(t, flows)
	var down atomic.Bool
	down.Store(true)
	w.target.do = func(engine.Input, int) (any, error) {
		if down.Load() {
			return nil, &plan.Error{Message: "broken", Code: "http_status", Status: 503, Retryable: true}
		}
		return nil, nil
	}
	w.act, w.options.BreakerPause = hosts{w.target}, time.Minute
	ctx := context.Background()
	e, s, stop := w.start(nil)
	begin := func(key, name string) {
		if _, err := e.Accept(ctx, delivery(key, fmt.Sprintf(`{"go": %q}`, name))); err != nil {
			t.Fatal(err)
		}
	}
	for name := range openWaits {
		begin(name, name)
	}
	begin("turn 2", "turn") // waits for its turn
	const areParked = "call waiting,turn queued"
	parked := func() string {
		return w.exec(t, `SELECT group_concat(workflow || ' ' || status) FROM (SELECT workflow, status FROM runs
			WHERE due_at IS NULL AND finished_at IS NULL AND status <> 'running' ORDER BY workflow)`)
	}
	eventually(t, "every run waits", func() bool {
		items, err := s.History.Runs(ctx, engine.Query{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]bool{}
		for _, r := range items {
			kinds[r.WaitsFor] = r.Status == "waiting"
		}
		return len(items) == len(flows)+1 && fmt.Sprint(kinds) == "map[approval:true call:true concurrency:false destination:true event:true "+
			"sleep:true]"
	})
	if got := parked(); got != areParked {
		t.Errorf("parked are %s", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.exec(t, schema25)
	if got := w.exec(t, `SELECT count(*) FROM runs WHERE due_at > created_at + 3155000000000`); got != "2" {
		t.Fatalf("%s runs are due in a hundred years", got)
	}
	down.Store(false)
	e, s, stop = w.start(nil)
	if got := parked(); got != areParked {
		t.Errorf("after the migration, parked are %s", got)
	}
	for _, key := range []string{"one", "three", "four", "five"} {
		if _, err := e.Accept(ctx, bank(key, `{"n": 7}`, 0)); err != nil {
			t.Fatal(err)
		}
	}
	items := runsOf(t, s, "approval")
	if _, err := e.Answer(ctx, mustRun(t, items[0]), engine.Response{Verdict: "approve", By: "ada", Proof: "token"}); err != nil {
		t.Error(err)
	}
	want := map[string]string{"approval": `"ada"`, "event": "7", "any": "2", "sleep": `"slept"`, "moment": `"slept"`, "late": `"timeout"`,
		"call": "7", "turn": "7", "held": `"sent"`, "other": "7"}
	for _, r := range settled(t, s, len(flows)+1) {
		if got := output(t, s, mustRun(t, r.ID)); got != "succeeded "+want[r.Workflow]+" " {
			t.Errorf("%s: %s", r.Workflow, got)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if left := w.exec(t, `SELECT count(*) FROM waits`); left != "0" {
		t.Errorf("%s rows of waits are left of runs that have ended", left)
	}
}

// exec runs statements on the database of a world that is stopped, or gives the one value
// of a query.
func (w *world) exec(t *testing.T, query string) (value string) {
	t.Helper()
	db, err := sql.Open("sqlite3", w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if strings.HasPrefix(query, "SELECT") {
		err = db.QueryRow(query).Scan(&value)
	} else {
		_, err = db.Exec(query)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// runsOf lists the ids of a workflow's runs.
func runsOf(t *testing.T, s database, workflow string) []string {
	t.Helper()
	items, err := s.History.Runs(context.Background(), engine.Query{Limit: 100, Workflow: workflow})
	if err != nil || len(items) == 0 {
		t.Fatalf("%s: %v %v", workflow, items, err)
	}
	var out []string
	for _, r := range items {
		out = append(out, r.ID)
	}
	return out
}
