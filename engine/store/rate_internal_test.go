package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// A run starts when the rate of its group allows it. One that is late moves those planned after it, unless it is late
// by less than a tenth of the interval.
func TestAStartWaitsForTheRateOfItsGroup(t *testing.T) {
	s := openTest(t)
	plan := func(id, at, started int, group string) string {
		return fmt.Sprintf(`INSERT INTO places (run_id, workflow, state, max_runs, rate_grp, rate_limit, rate_per, starts_at, started)
			VALUES (%d, 'w', 'left', 0, %s, 2, 10000, %d, %d)`, id, group, at, started)
	}
	execTest(t, s, plan(1, 1000, 1, "'g'"), plan(2, 2000, 1, "'g'"), plan(10, 5000, 0, "'g'"), plan(11, 6000, 0, "'g'"), plan(12,
		7000, 0, "'g'"),
		plan(20, 5000, 0, "'other'"), plan(21, 5000, 0, "NULL"),
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, due_at)
		SELECT value, 1, 'w', 'v', 'queued', 1, 5000 FROM json_each('[10,11,12,13,20,21,22]')`)
	for i, c := range []struct {
		before  string
		run     int64
		now     int64
		taken   bool
		planned string
	}{
		{"", 10, 9000, false, "10:11000 11:12000 12:13000 20:5000"}, {"", 10, 10999, false, "10:11000 11:12000 12:13000 20:5000"},
		{"", 10, 11000, true, "11:12000 12:13000 20:5000"}, {"", 10, 11000, false, "11:12000 12:13000 20:5000"},
		{"", 11, 11999, false, "11:12000 12:13000 20:5000"}, {"", 11, 12000, true, "12:13000 20:5000"},
		{"", 12, 13000, false, "12:21000 20:5000"},
		{"UPDATE places SET starts_at = 20001 WHERE run_id = 12; ", 12, 20_900, false, "12:21000 13:20500 20:5000"},
		{"UPDATE places SET starts_at = 20000 WHERE run_id = 12; ", 12, 20_900, false, "12:21000 13:21500 20:5000"},
		{"", 20, 5001, true, "12:21000 13:21500"}, {"", 21, 5001, true, "12:21000 13:21500"}, {"", 22, 5001, true, "12:21000 13:21500"},
		{"", 22, 5001, false, "12:21000 13:21500"}, {"", 99, 5001, false, "12:21000 13:21500"},
	} {
		if i == 7 {
			execTest(t, s, plan(13, 20500, 0, "'g'"))
		}
		if c.before != "" {
			execTest(t, s, c.before)
		}
		taken := false
		if err := s.w.do(t.Context(), true, func(x *tx) (err error) {
			taken, err = x.take(c.run, fromMillis(c.now))
			return err
		}); err != nil || taken != c.taken {
			t.Errorf("%d: run %d at %d: %t, %v", i, c.run, c.now, taken, err)
		}
		var planned, status string
		if err := s.readers.QueryRow(`SELECT (SELECT group_concat(run_id || ':' || starts_at, ' ') FROM (SELECT * FROM places
			WHERE started = 0 AND rate_grp IS NOT NULL ORDER BY run_id)), coalesce((SELECT status || started_at FROM runs WHERE id = ?),
				'')`, c.run).
			Scan(&planned, &status); err != nil || planned != c.planned || taken && status != fmt.Sprint("running", c.now) {
			t.Errorf("%d: planned are %s, want %s; the run is %s, %v", i, planned, c.planned, status, err)
		}
	}
	var due string
	if err := s.readers.QueryRow(`SELECT group_concat(id || ':' || due_at, ' ') FROM runs WHERE status = 'queued'`).Scan(&due); err != nil ||
		due != "12:21000 13:21500" {
		t.Errorf("due are %s, %v", due, err)
	}
	// After a restart, those that made no step are not counted.
	execTest(t, s, `INSERT INTO steps (run_id, path, attempt, action, status, started_at) VALUES (10, 'a', 1, 'x', 'running', 1)`)
	if n, err := s.Recover(t.Context(), fromMillis(30_000)); err != nil || n != 5 {
		t.Errorf("%d runs are recovered, %v", n, err)
	}
	if err := s.readers.QueryRow(`SELECT group_concat(p.run_id || ':' || p.started || coalesce(r.started_at, '-'), ' ') FROM places p
		JOIN runs r ON r.id = p.run_id WHERE p.rate_grp IS NOT NULL`).Scan(&due); err != nil ||
		due != "10:111000 11:0- 12:0- 13:0- 20:0-" {
		t.Errorf("after a restart: %s, %v", due, err)
	}
}

// The hours of the past are counted once. A count that fails is an error.
func TestAFailedCountOfAnHourIsAnError(t *testing.T) {
	s := openTest(t)
	now := time.Now()
	p := &pruner{s: s, o: engine.PruneOrder{Now: now}}
	if err := p.hours(t.Context()); err != nil {
		t.Errorf("no events: %v", err)
	}
	first := hourOf(engine.FirstID(now.Add(-5 * time.Hour)))
	execTest(t, s, fmt.Sprintf(`INSERT INTO events (id, trigger, inlet, key, type, flag, time, received_at, body, crc)
		VALUES (%d, 'a', 'webhook', 'k', '', '', 1, 1, x'', 0)`, hourID(first)),
		`CREATE TRIGGER broken BEFORE INSERT ON hour_counts BEGIN SELECT raise(ABORT, 'broken'); END`)
	if err := p.hours(t.Context()); err == nil || !strings.Contains(err.Error(), "counting the events of an hour: ") {
		t.Errorf("%v", err)
	}
	execTest(t, s, `DROP TRIGGER broken`)
	for range 2 {
		if err := p.hours(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var hours string
	if err := s.readers.QueryRow(`SELECT group_concat((hour - ?) || kind || n) FROM (SELECT * FROM hour_counts WHERE name = 'a' OR
		name = '' AND kind = 'event' ORDER BY hour, kind, name)`, first).Scan(&hours); err != nil ||
		hours != "0event1,0event1,0webhook1,1event0,2event0,3event0" {
		t.Errorf("counted are %s, %v", hours, err)
	}
	execTest(t, s, `DROP TABLE hour_counts`)
	if err := p.hours(t.Context()); err == nil {
		t.Error("the counted hours cannot be read")
	}
	execTest(t, s, `DROP TABLE events`)
	if err := p.hours(t.Context()); err == nil {
		t.Error("the oldest event cannot be read")
	}
}

// Dead letters come in pages of at most a thousand; recorded events between two ids, without these.
func TestPagesOfDeadLettersAndRecordedEventsAreBounded(t *testing.T) {
	s := openTest(t)
	execTest(t, s, `INSERT INTO runs (id, event_id, workflow, version, status, created_at, finished_at)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1002) SELECT i, 1, 'w', 'v', 'failed', 1, 2 FROM n`,
		`INSERT INTO events (id, trigger, inlet, key, type, flag, time, received_at, body, crc)
		SELECT value, 'a', 'webhook', value, '', '', 1, 1, x'', 0 FROM json_each('[1,2,3]')`)
	for limit, want := range map[int]int{0: 50, -1: 50, 1: 1, 999: 999, 1000: 1000, 1001: 1000, 5000: 1000} {
		p, err := s.History().DeadLetters(t.Context(), engine.Query{Limit: limit})
		if err != nil || len(p.Items) != want || p.Next != engine.RunID(1002-want+1).String() {
			t.Errorf("limit %d: %d dead letters, then %s, %v", limit, len(p.Items), p.Next, err)
		}
	}
	for _, c := range []struct {
		q    engine.RecordedQuery
		want string
	}{
		{engine.RecordedQuery{}, "[1 2 3]"}, {engine.RecordedQuery{After: 1}, "[2 3]"}, {engine.RecordedQuery{Before: 1}, "[]"},
		{engine.RecordedQuery{After: 1, Before: 3}, "[2]"}, {engine.RecordedQuery{Trigger: "b"}, "[]"},
		{engine.RecordedQuery{IDs: []engine.EventID{}}, "[]"},
		{engine.RecordedQuery{IDs: []engine.EventID{3, 1, 7}}, "[1 3]"},
	} {
		ids := []int64{}
		if err := s.History().RecordedIDs(t.Context(), c.q, func(id engine.EventID) { ids = append(ids, int64(id)) }); err != nil ||
			fmt.Sprint(ids) != c.want {
			t.Errorf("%+v: %v, %v", c.q, ids, err)
		}
	}
}

// A copy is checked, and its side files are removed if they have nothing.
func TestACopyIsCheckedBeforeItIsUsed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	execTest(t, s, `INSERT INTO events (id, trigger, inlet, key, type, flag, time, received_at, body, crc)
		VALUES (1, 'a', 'webhook', 'k', '', '', 1, 1, x'', 7)`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := checkCopy(t.Context(), path); err == nil || !strings.Contains(err.Error(), "the copy is damaged: a check failed (") {
		t.Errorf("a wrong checksum: %v", err)
	}
	side := filepath.Join(dir, "side")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(side+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(removeSide(side), removeSet(side)); err != nil {
		t.Errorf("there is nothing: %v", err)
	}
	write("-wal", "")
	write("-shm", "x")
	if err := removeSide(side); err != nil || exists(side+"-wal") || exists(side+"-shm") {
		t.Errorf("an empty log: %v", err)
	}
	write("-wal", "x")
	write("-shm", "x")
	if err := removeSide(side); err == nil || !exists(side+"-wal") || !exists(side+"-shm") {
		t.Errorf("a log with content: %v", err)
	}
	write("", "x")
	write("-journal", "x")
	if err := removeSet(side); err != nil || exists(side) || exists(side+"-wal") || exists(side+"-shm") || exists(side+"-journal") {
		t.Errorf("%v", err)
	}
	if err := os.MkdirAll(side+"-shm/full", 0o700); err != nil {
		t.Fatal(err)
	}
	if removeSide(side) == nil || removeSet(side) == nil {
		t.Error("what cannot be removed is no error")
	}
	if !same(path, filepath.Join(dir, ".", "x.db")) || same(path, side) || same(side, path) || same(path, dir) {
		t.Error("the same file is not recognized")
	}
}

// While a reader needs the log, it cannot be moved: the disk stays full until the reader ends.
func TestAFullDiskWaitsForTheReadersOfTheLog(t *testing.T) {
	s := openTest(t)
	execTest(t, s, `INSERT INTO meta (name, value) VALUES ('a', '1')`)
	reads, err := s.readers.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reads.QueryRow(`SELECT count(*) FROM meta`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	execTest(t, s, `INSERT INTO meta (name, value) VALUES ('b', '1')`)
	if s.w.relieve() || !errors.Is(s.Full(), engine.ErrFull) || s.w.space.held() == 0 {
		t.Errorf("the log was moved under a reader: %v", s.Full())
	}
	if err := reads.Rollback(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); s.Full() != nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if s.Full() != nil || !s.w.relieve() || s.Full() != nil || s.w.space.held() < s.w.space.size() {
		t.Errorf("the log can be moved: %v", s.Full())
	}
}
