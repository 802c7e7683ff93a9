package cmd

import (
	"bytes"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
)

// TestCheckAndDoctorNameRowsThatCannotBeRead checks that they report the run and step, what is
// wrong, and what to do, and that they do not ask to restore a backup, since the server continues.
func TestCheckAndDoctorNameRowsThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	ev := engine.EventID(1 << 40)
	if _, err := s.Accept(t.Context(), ev, &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: "k", Type: "t", Time: now,
		ReceivedAt: now}); err != nil {
		t.Fatal(err)
	}
	run := &engine.Run{ID: 2 << 40, Event: ev, Workflow: "w", Version: "1", Status: engine.Waiting, CreatedAt: now, DueAt: now}
	step := &plan.Record{Path: "a", Attempt: 1, Action: "log", Status: plan.Succeeded, StartedAt: now, FinishedAt: now, Output: 1}
	d := engine.Decision{Workflow: "w", Version: "1", Outcome: engine.Matched, Run: run.ID}
	m := engine.Match{Event: ev, At: now, Decisions: []engine.Decision{d},
		Starts: []engine.RunUpdate{{Run: run, New: true, Records: []*plan.Record{step}, Answers: -1}}}
	if _, err := s.Match(t.Context(), []engine.Match{m}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", path)
	if err == nil {
		_, err = db.Exec(`UPDATE steps SET output = '{'`)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s: the output of step a: JSON, byte 1: expected a key in quotes: it ends as a dead letter when it continues; "+
		"hookloom cancel %s ends it now", run.ID, run.ID)
	var lines []string
	for _, x := range databaseHealth(t.Context(), path) {
		lines = append(lines, fmt.Sprint(x.Verdict, " ", x.What, ": ", x.Found))
	}
	if found := strings.Join(lines, "\n"); !strings.Contains(found, "fail rows: "+want) {
		t.Errorf("doctor:\n%s", found)
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	found, err := h.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = (&app{out: &out}).printFindings(found)
	if !strings.Contains(out.String(), "WRONG  each row can be read back, 3 rows\n         "+want) || err == nil ||
		strings.Contains(err.Error(), "backup") {
		t.Errorf("check: %v\n%s", err, out.String())
	}
}
