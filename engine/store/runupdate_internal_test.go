package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestFailedStatementFailsTheCommitOfItsRun: an update of a run is stored whole or not at all.
func TestFailedStatementFailsTheCommitOfItsRun(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir()+"/h.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	exec := func(query string) {
		t.Helper()
		if err := s.w.do(t.Context(), true, func(t *tx) error { return t.exec(query) }); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now().Add(-2 * lateAfter).Truncate(time.Millisecond)
	event, run := engine.EventID(engine.FirstID(at)), engine.RunID(engine.FirstID(at)+1)
	delivery := engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: "k", Type: "t", Time: at, ReceivedAt: at, Raw: []byte(`{}`)}
	r := engine.Run{ID: run, Event: event, Workflow: "w", Version: "v", Status: engine.Running, CreatedAt: at, StartedAt: at}
	if _, _, err := s.AcceptDecided(t.Context(), event, &delivery, engine.Match{Event: event, At: at,
		Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run}},
		Starts:    []engine.RunUpdate{{New: true, Answers: -1, Run: &r}}}); err != nil {
		t.Fatal(err)
	}
	made := engine.Event{ID: engine.EventID(engine.FirstID(at) + 2), Delivery: delivery}
	exec(fmt.Sprintf(`INSERT INTO hour_counts (kind, name, hour, n) VALUES ('trigger', 'shop', %d, 1)`, hourOf(int64(made.ID))))
	exec(fmt.Sprintf(`INSERT INTO waits (run_id, path, number, kind, event_id, workflow) VALUES (%d, 'a', 0, 'call', %d, 'w')`, run, made.ID))
	for table, change := range map[string]string{"hour_counts": "DELETE", "inbox": "INSERT", "end_calls": "INSERT", "waits": "DELETE"} {
		exec(`CREATE TRIGGER broken BEFORE ` + change + ` ON ` + table + ` BEGIN SELECT raise(ABORT, 'broken'); END`)
		ended := r
		ended.Status, ended.FinishedAt, ended.Error = engine.Cancelled, at, &plan.Error{Code: "cancelled"}
		u := engine.RunUpdate{Run: &ended, Answers: -1, CloseSteps: true, Emits: []*engine.Event{&made}}
		if _, err := s.CommitRun(t.Context(), u); err == nil {
			t.Errorf("the run has ended without the change of %s", table)
		}
		if stored, err := s.Run(t.Context(), run); err != nil || stored.Status != engine.Running {
			t.Errorf("without the change of %s: %+v %v", table, stored, err)
		}
		exec(`DROP TRIGGER broken`)
	}
	list, err := s.encodeEvents([]*engine.Event{&made})
	if err != nil {
		t.Fatal(err)
	}
	list[0].sealed = []byte("sealed")
	exec(`CREATE TRIGGER broken BEFORE UPDATE ON events BEGIN SELECT raise(ABORT, 'broken'); END`)
	if err := s.w.do(t.Context(), true, func(t *tx) error { return t.insertEvents(list) }); err == nil {
		t.Error("an event is stored without its secret inputs")
	}
}
