package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unreadableRow is an expression whose reading fails.
const unreadableRow = `abs(-9223372036854775808)`

// openEmpty opens an empty database, and returns a function that executes statements in it.
func openEmpty(t *testing.T) (db *sql.DB, exec func(query string)) {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db, func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

// A damaged table is read up to the damage, and from the next readable row on. Views have rows that cannot be read.
func TestATableIsReadAroundItsDamage(t *testing.T) {
	db, exec := openEmpty(t)
	exec(`CREATE TABLE base (id INTEGER PRIMARY KEY, x); INSERT INTO base SELECT value, 'x' || value FROM
		json_each('[-5, 0, 1, 2, 3, 40, 41, 900, 901, 902, 70000, 9223372036854775806, 9223372036854775807]')`)
	all := []int64{-5, 0, 1, 2, 3, 40, 41, 900, 901, 902, 70000, math.MaxInt64 - 1, math.MaxInt64}
	for bad, c := range map[string]struct {
		lost []int64
		gaps int
	}{
		"0":                                {nil, 0},
		"id = -5":                          {[]int64{-5}, 1},
		"id BETWEEN 0 AND 1":               {[]int64{0, 1}, 1},
		"id = 2":                           {[]int64{2}, 1},
		"id BETWEEN 2 AND 41":              {[]int64{2, 3, 40, 41}, 1},
		"id IN (1, 3, 901)":                {[]int64{1, 3, 901}, 3},
		"id > 902":                         {[]int64{70000, math.MaxInt64 - 1, math.MaxInt64}, 1},
		"id = 9223372036854775806":         {[]int64{math.MaxInt64 - 1, math.MaxInt64}, 1}, // beyond the last step of the search
		"id > 9223372036854775806":         {[]int64{math.MaxInt64}, 1},
		"id < 40 OR id BETWEEN 41 AND 901": {[]int64{-5, 0, 1, 2, 3, 41, 900, 901}, 2},
	} {
		exec(`DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT id AS rowid,
			CASE WHEN ` + bad + ` THEN ` + unreadableRow + ` ELSE x END AS x FROM base`)
		var got []string
		r := &reader{from: db, name: "v", columns: []string{"x"}, t: &Salvaged{}, put: func(v []driver.Value) error {
			got = append(got, fmt.Sprint(v[0]))
			return nil
		}}
		if err := r.byRow(t.Context()); err != nil {
			t.Errorf("%s: %v", bad, err)
		}
		var want []string
		for _, id := range all {
			if !slices.Contains(c.lost, id) {
				want = append(want, fmt.Sprint("x", id))
			}
		}
		if !slices.Equal(got, want) || r.t.Gaps != c.gaps || (r.t.Problem != "") != (c.gaps > 0) {
			t.Errorf("%s: %v, want %v; %+v", bad, got, want, r.t)
		}
	}
	r := &reader{from: db, name: "none", columns: []string{"x"}, t: &Salvaged{}}
	if err := r.byRow(t.Context()); err != nil || r.t.Gaps != 1 || !strings.Contains(r.t.Problem, "no such table") {
		t.Errorf("no table: %+v, %v", r.t, err)
	}
	stopped := errors.New("stopped")
	r = &reader{from: db, name: "base", columns: []string{"x"}, t: &Salvaged{}, put: func([]driver.Value) error { return stopped }}
	if _, some, err := r.rows(t.Context(), `WHERE rowid >= ? ORDER BY rowid`, 1); !some || !errors.Is(err, stopped) {
		t.Errorf("%t, %v", some, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.byRow(ctx); !errors.Is(err, context.Canceled) || r.t.Gaps != 0 {
		t.Errorf("%+v, %v", r.t, err)
	}
	if err := r.byKey(ctx, []string{"x"}); !errors.Is(err, context.Canceled) || r.t.Gaps != 0 {
		t.Errorf("%+v, %v", r.t, err)
	}
}

// A table without rowids is read from both ends up to its damage.
func TestATableWithoutRowIDsIsReadFromBothEnds(t *testing.T) {
	db, exec := openEmpty(t)
	exec(`CREATE TABLE base (a, b, x, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO base VALUES (1, 1, 'p'), (1, 2, 'q'), (2, 1,
		'r'), (2, 2, 's')`)
	for bad, c := range map[string]struct {
		want string
		gaps int
	}{"0": {"pqrs", 0}, "x = 'r'": {"pqs", 1}, "x = 'p'": {"srq", 1}, "x = 's'": {"pqr", 1}, "x BETWEEN 'q' AND 'r'": {"ps", 1},
		"1": {"", 1}} {
		exec(`DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT a, b, CASE WHEN ` + bad + ` THEN ` + unreadableRow + ` ELSE x END AS x FROM base`)
		got := ""
		r := &reader{from: db, name: "v", columns: []string{"x"}, t: &Salvaged{}}
		r.put = func(v []driver.Value) error {
			got += fmt.Sprint(v[0])
			r.t.Rows++
			return nil
		}
		if err := r.byKey(t.Context(), []string{"a", "b"}); err != nil || got != c.want || r.t.Gaps != c.gaps || r.t.Rows != int64(len(got)) {
			t.Errorf("%s: %s, want %s; %+v, %v", bad, got, c.want, r.t, err)
		}
	}
	// The second reading finds no damage and returns each row.
	r := &reader{from: db, name: "base", columns: []string{"x"}, t: &Salvaged{}}
	damaged := errors.New("damaged")
	n := 0
	r.put = func([]driver.Value) error {
		if n++; n == 3 {
			return damaged
		}
		r.t.Rows++
		return nil
	}
	if err := r.byKey(t.Context(), []string{"a", "b"}); err != nil || r.t.Rows != 4 || r.t.Gaps != 1 || r.t.Problem != "damaged" {
		t.Errorf("%+v, %v", r.t, err)
	}
	if r.gap(errors.New("another")); r.t.Gaps != 2 || r.t.Problem != "damaged" {
		t.Errorf("the first problem is not kept: %+v", r.t)
	}
	for rest, want := range map[string]string{"ORDER BY x": `SELECT 0, "a", "b" FROM "v" ORDER BY x`,
		"WHERE rowid >= ?": `SELECT rowid, "a", "b" FROM "v" NOT INDEXED WHERE rowid >= ?`} {
		if got := (&reader{name: "v", columns: []string{"a", "b"}}).query(rest); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAnyLossIsDamage(t *testing.T) {
	for i, c := range []struct {
		r    Recovered
		want bool
	}{
		{Recovered{}, false}, {Recovered{Orphans: 1}, true}, {Recovered{Tables: []Salvaged{{Rows: 4}}}, false},
		{Recovered{Tables: []Salvaged{{}, {Gaps: 1}}}, true}, {Recovered{Tables: []Salvaged{{Refused: 1}}}, true},
		{Recovered{Tables: []Salvaged{{Problem: "x"}}}, true}, {Recovered{Undecided: 1, Open: 2, Events: 3}, false},
	} {
		if c.r.Damaged() != c.want {
			t.Errorf("case %d: %+v", i, c.r)
		}
	}
}

func TestAnEventIsSoundIfItMatchesItsChecksum(t *testing.T) {
	columns := []string{"id", "trigger", "key", "type", "body", "stripped", "crc"}
	sum := checksum("shop", "k", "paid", []byte("{}"))
	for _, c := range []struct {
		row  []driver.Value
		want bool
	}{
		{[]driver.Value{int64(1), "shop", "k", "paid", []byte("{}"), int64(0), sum}, true},
		{[]driver.Value{int64(1), []byte("shop"), []byte("k"), []byte("paid"), "{}", int64(0), sum}, true},
		{[]driver.Value{int64(1), "other", "k", "paid", []byte("{}"), int64(0), sum}, false},
		{[]driver.Value{int64(1), "shop", "l", "paid", []byte("{}"), int64(0), sum}, false},
		{[]driver.Value{int64(1), "shop", "k", "odd", []byte("{}"), int64(0), sum}, false},
		{[]driver.Value{int64(1), "shop", "k", "paid", []byte("[]"), int64(0), sum}, false},
		{[]driver.Value{int64(1), "shop", "k", "paid", nil, int64(0), sum}, false},
		{[]driver.Value{int64(1), "shop", "k", "paid", nil, int64(1), sum}, true},
		{[]driver.Value{int64(1), "shop", "k", "paid", []byte("{}"), nil, sum + 1}, false},
		{[]driver.Value{int64(1), 7, "k", "paid", []byte("{}"), int64(0), checksum("", "k", "paid", []byte("{}"))}, true},
	} {
		if soundEvent(columns, c.row) != c.want {
			t.Errorf("%v", c.row)
		}
	}
	if soundEvent(columns[:6], []driver.Value{int64(1), "shop", "k", "paid", []byte("{}"), int64(0)}) {
		t.Error("an event without a checksum is sound")
	}
}

// A failure at any step of a recovery is its error, and leaves no file.
func TestAFailedRecoveryLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "x.db"), filepath.Join(dir, "new.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	execTest(t, s, `INSERT INTO runs (id, event_id, workflow, version, status, created_at, due_at) VALUES (1, 1, 'w', 'v', 'queued', 1, 1)`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write := func(name string, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	garbage, taken := write("garbage.db", strings.Repeat("no database", 100)), write("taken.db", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx                context.Context
		path, file, reason string
	}{
		"existing file": {t.Context(), path, taken, "already exists"}, "no folder": {t.Context(), path, filepath.Join(dir, "none", "f"),
			"making a folder"},
		"no database": {t.Context(), filepath.Join(dir, "none.db"), file, "copying "}, "garbage": {t.Context(), garbage, file,
			"its schema is damaged"},
		"ended": {ctx, path, file, "cancel"},
	} {
		out, err := Recover(c.ctx, c.path, c.file)
		if err == nil || !strings.Contains(err.Error(), c.reason) || out != nil && name != "existing file" {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		if exists(file) {
			t.Fatalf("%s has made the file", name)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".hookloom-recover-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	out, err := Recover(t.Context(), path, file)
	if err != nil || out.File != file || out.Orphans != 1 || out.Runs != 0 || !out.Damaged() {
		t.Errorf("a run without its event: %+v, %v", out, err)
	}
}

// Rows that belong to lost rows are left out; an attempt that was open is in doubt.
func TestRowsOfLostRowsAreLeftOut(t *testing.T) {
	conn, err := openConn(filepath.Join(t.TempDir(), "x.db"), "rwc", "FULL")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(query string) {
		t.Helper()
		if _, err := conn.Exec(query, nil); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`CREATE TABLE events (id); CREATE TABLE runs (id, event_id, status, finished_at); CREATE TABLE inbox (event_id);
		CREATE TABLE steps (run_id, path, status, started_at, finished_at); CREATE TABLE waits (run_id, path);
			CREATE TABLE places (run_id, state);
		CREATE TABLE held_runs (run_id); CREATE TABLE answers (run_id);
		INSERT INTO events VALUES (1);
		INSERT INTO runs VALUES (1, 1, 'waiting', NULL), (2, 1, 'failed', 5), (3, 9, 'waiting', NULL), (4, 1, 'running', NULL);
		INSERT INTO inbox VALUES (1), (9);
		INSERT INTO steps VALUES (1, 'a', 'waiting', 3, NULL), (1, 'b', 'running', 3, NULL), (2, 'a', 'waiting', 3, NULL),
			(3, 'a', 'failed', 3, 4), (4, 'a', 'running', 3, NULL);
		INSERT INTO waits VALUES (1, 'a'), (1, 'b'), (2, 'a'); INSERT INTO places VALUES (1, 'has'), (2, 'has'), (2, 'left'), (9, 'has');
		INSERT INTO held_runs VALUES (1), (9); INSERT INTO answers VALUES (2), (9)`)
	s := &salvage{to: conn, out: &Recovered{}}
	tables := []string{"events", "runs", "inbox", "steps", "waits", "places", "held_runs"}
	if err := s.orphans(tables); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{`SELECT group_concat(id) FROM runs`: "1,2,4", `SELECT group_concat(event_id) FROM inbox`: "1",
		`SELECT group_concat(run_id || path || status || coalesce(finished_at, '-')) FROM steps`: "1awaiting-,1bunknown3,4arunning-",
		`SELECT group_concat(run_id || path) FROM waits`:                                         "1a",
		`SELECT group_concat(run_id || state) FROM places`:                                       "1has,2left",
		`SELECT group_concat(run_id) FROM held_runs`:                                             "1", `SELECT group_concat(run_id)
			FROM answers`: "2,9"} {
		if got, err := queryText(conn, query); err != nil || got != want {
			t.Errorf("%s: %s, want %s, %v", query, got, want, err)
		}
	}
	if s.out.Orphans != 9 {
		t.Errorf("%d rows are left out, want 9", s.out.Orphans)
	}
	exec(`DROP TABLE places`)
	if err := s.orphans(tables); err == nil {
		t.Error("a table that cannot be changed is no error")
	}
	exec(`DROP TABLE steps`)
	if err := s.orphans(nil); err == nil {
		t.Error("attempts that cannot be closed are no error")
	}
	for query, want := range map[string]string{`SELECT 1 UNION SELECT 'b'`: "1 b true", `SELECT 1 WHERE 0`: " true", `SELECT none`: " false",
		`SELECT 7 UNION ALL SELECT ` + unreadableRow: "7 false"} {
		got, err := names(conn, query)
		if fmt.Sprint(strings.Join(got, " "), " ", err == nil) != want {
			t.Errorf("%s: %v, %v", query, got, err)
		}
	}
}
