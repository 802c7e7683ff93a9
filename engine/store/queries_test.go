package store

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// explain returns what SQLite does for a query: a column of an EXPLAIN's rows.
func explain(t *testing.T, db *sql.DB, column string, query string) string {
	t.Helper()
	rows, err := db.Query(query, make([]any, strings.Count(query, "?"))...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, n := range names {
			if text, ok := values[i].(string); ok && n == column {
				out = append(out, text)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("%s: SQLite explains nothing", query)
	}
	return strings.Join(out, "\n")
}

func explained(t *testing.T) *sql.DB {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "h.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Readers()
}

// Pages over failed runs must stay fast over a history of a million good ones.
func TestListsOfWhatFailedReadNoOtherRuns(t *testing.T) {
	db := explained(t)
	for query, index := range map[string]string{
		runItem + ` WHERE r.status = 'failed' AND r.id < ? ORDER BY r.id DESC LIMIT 50`:   "runs_not_well",
		runItem + ` WHERE r.status = 'cancelled' ORDER BY r.id DESC LIMIT 50`:             "runs_not_well",
		runItem + ` WHERE ` + deadLetters + ` AND r.id < ? ORDER BY r.id DESC LIMIT 50`:   "runs_not_well (id<?",
		runItem + ` WHERE ` + deadLetters + ` ORDER BY r.id DESC LIMIT 50`:                "USING INDEX runs_not_well",
		`SELECT count(*) FROM (SELECT 1 FROM runs r WHERE ` + deadLetters + ` LIMIT 100)`: "COVERING INDEX runs_",
	} {
		plan := explain(t, db, "detail", "EXPLAIN QUERY PLAN "+query)
		if !strings.Contains(plan, index) || strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%s\nwants %s, and its order from there:\n%s", query, index, plan)
		}
	}
}

// Lists by host and by what runs wait for, and the stream, must not read the whole history.
func TestFrequentQueriesOfPagesUseIndexes(t *testing.T) {
	db := explained(t)
	host, _, _, err := new(History).runConditions(engine.Query{DeadOnly: true, Host: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	for query, indexes := range map[string][]string{
		`SELECT 1 FROM runs r` + host.String():                                              {"steps_failed_at"},
		`SELECT count(*) FROM runs r WHERE ` + asksAPerson:                                  {"waits_by_kind", "runs_due"},
		strings.NewReplacer("?1", "5", "?2", "6", "?3", "4", "?4", "9").Replace(missedRuns): {"runs_ended_late"},
		deadGroups + ` WHERE ` + deadLetters + ` GROUP BY 1, 2, 3, 4, 5, 6`:                 {"runs_not_well"},
	} {
		plan := explain(t, db, "detail", "EXPLAIN QUERY PLAN "+query)
		for _, index := range indexes {
			if !strings.Contains(plan, index) {
				t.Errorf("%s\nwants %s:\n%s", query, index, plan)
			}
		}
		for line := range strings.Lines(plan) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "SCAN runs") && !strings.Contains(line, "INDEX") || line == "SCAN r" ||
				line == "SCAN o" || strings.HasPrefix(line, "SCAN steps") && !strings.Contains(line, "INDEX") {
				t.Errorf("%s\nreads the whole: %s", query, line)
			}
		}
	}
}

// A database's version is the number of its last migration: none may be missing or there
// twice.
func TestMigrationsAreNumberedOneByOne(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(filepath.Base(file), want) {
			t.Errorf("%s is number %d; it must begin with %s", file, i+1, want)
		}
	}
}

// Figures name their index: SQLite refuses one that cannot serve.
func TestStatisticsOfFewRunsUseIndexes(t *testing.T) {
	db := explained(t)
	for _, p := range append(openParts, failedPart("failed"), failedPart("timed_out"), failedPart("cancelled")) {
		for _, query := range []string{p.perWorkflow(), p.perMoment() + ` GROUP BY 1`} {
			if plan := explain(t, db, "detail", "EXPLAIN QUERY PLAN "+query); !strings.Contains(plan, p.index) {
				t.Errorf("%s:\n%s", query, plan)
			}
		}
	}
}

// A CHECK with an IN list of three makes one for each row that it looks at.
func TestFrequentWritesNeedNoTemporaryTable(t *testing.T) {
	db := explained(t)
	for _, query := range []string{claimKey, insertEvent, insertInbox, insertSighting, insertDecision, insertRun, updateRun, upsertStep} {
		if ops := explain(t, db, "opcode", "EXPLAIN "+query); strings.Contains(ops, "OpenEphemeral") {
			t.Errorf("%s makes a temporary table", query)
		}
	}
}

// The texts of the tables are replaced in place (migration 0008): rows that are
// there must stay, and what was refused must stay refused.
func TestMigrationKeepsRowsAndConstraints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	conn, err := openConn(path, "rwc", "FULL")
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files[:7] {
		if err := applyMigration(conn, file, i+1); err != nil {
			t.Fatal(err)
		}
	}
	const row = `INSERT INTO runs (id, event_id, workflow, version, status, created_at, finished_at) VALUES (?, 1, 'w', 'v', ?, 1, 2)`
	if _, err := conn.Exec(row, []driver.Value{int64(1), "failed"}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var dead, sound string
	if err := s.Readers().QueryRow(`SELECT (SELECT group_concat(r.id) FROM runs r WHERE `+deadLetters+
		`), (SELECT integrity_check FROM pragma_integrity_check)`).Scan(&dead, &sound); err != nil {
		t.Fatal(err)
	}
	if dead != "1" || sound != "ok" {
		t.Errorf("dead letters %s, integrity %s", dead, sound)
	}
	err = s.w.do(t.Context(), true, func(t *tx) error { return t.exec(row, int64(2), "odd") })
	if err == nil || !strings.Contains(err.Error(), "CHECK constraint failed") {
		t.Errorf("a status that does not exist: %v", err)
	}
}
