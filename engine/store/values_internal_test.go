package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/mattn/go-sqlite3"
)

// A value ends at its time. The limits hold for all values, without those that have expired.
func TestKeptValuesEndAndAreBounded(t *testing.T) {
	s := openTest(t)
	now := fromMillis(1_790_000_000_000)
	change := func(key, kind, value string, ttl time.Duration, op string, keys, bytes int64) string {
		t.Helper()
		next, err := s.ChangeValue(t.Context(), engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "w", Key: key},
			Kind: kind, Value: value, Add: 1,
			TTL: ttl, Op: op, Run: 1, Now: now, MaxKeys: keys, MaxBytes: bytes, By: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		if next.Refused != nil {
			return next.Refused.Code + ": " + strings.SplitN(next.Refused.Message, ";", 2)[0]
		}
		return next.Result
	}
	set, add, del := engine.ValueSet, engine.ValueIncrement, engine.ValueDelete
	for i, c := range []struct {
		after             time.Duration
		key, kind, value  string
		ttl               time.Duration
		op                string
		keys, bytes       int64
		want              string
		allKeys, allBytes int64
	}{
		{0, "n", add, "", time.Minute, "op1", 9, 99, "1", 1, 2},
		{0, "n", add, "", time.Minute, "op1", 9, 99, "1", 1, 2}, // repeated
		{0, "n", add, "", time.Minute, "op2", 9, 99, "2", 1, 2},
		{time.Minute - time.Millisecond, "n", add, "", time.Minute, "", 9, 99, "3", 1, 2}, // its end stays
		{time.Millisecond, "n", add, "", time.Minute, "", 9, 99, "1", 1, 2},               // it has ended
		{0, "b", set, "22", 0, "", 1, 99, "store_full: the store has 1 keys, which is the limit", 1, 2},
		{0, "b", set, "22", 0, "op3", 2, 4, "store_full: the store uses 2 of 4 bytes", 1, 2},
		{0, "b", set, "22", 0, "op3", 2, 5, "22", 2, 5},
		{0, "b", set, "333", 0, "", 2, 5, "store_full: the store uses 5 of 5 bytes", 2, 5},
		{0, "b", set, "1", 0, "", 1, 1, "1", 2, 4}, // a smaller value fits always
		{0, "b", set, "22", 0, "", 1, 5, "22", 2, 5},
		{time.Minute, "c", set, "1", 0, "", 2, 5, "1", 2, 5}, // n has expired and is removed
		{0, "none", del, "", 0, "", 9, 99, "null", 2, 5}, {0, "c", del, "", 0, "op4", 9, 99, "1", 1, 3},
		{0, "c", del, "", 0, "op4", 9, 99, "1", 1, 3}, {0, "c", del, "", 0, "", 9, 99, "null", 1, 3},
	} {
		now = now.Add(c.after)
		if got := change(c.key, c.kind, c.value, c.ttl, c.op, c.keys, c.bytes); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
		if err := s.w.do(t.Context(), true, func(x *tx) error {
			keys, bytes, err := x.keptSize(true)
			if keys != c.allKeys || bytes != c.allBytes {
				t.Errorf("%d: %d keys of %d bytes, want %d of %d", i, keys, bytes, c.allKeys, c.allBytes)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	change("e", set, `"x"`, time.Second, "", 9, 99)
	ref := engine.ValueRef{Workflow: "w", Key: "e"}
	if v, err := s.Value(t.Context(), ref, now.Add(time.Second-time.Millisecond)); err != nil || string(v.Value) != `"x"` ||
		v.UpdatedBy != "ada" ||
		!v.ExpiresAt.Equal(now.Add(time.Second)) || !v.UpdatedAt.Equal(now) {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := s.Value(t.Context(), ref, now.Add(time.Second)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("at its end: %v", err)
	}
	for i := range 59 {
		change(fmt.Sprintf("f%02d", i), set, "1", 0, "", 999, 9999)
	}
	for limit, want := range map[int]int{0: 50, -1: 50, 1: 1, 60: 60, maxPage: 61, maxPage + 1: 50} {
		if list, err := s.History().Values(t.Context(), engine.ValueQuery{Now: now, Limit: limit}); err != nil || len(list) != want {
			t.Errorf("limit %d: %d values, want %d, %v", limit, len(list), want, err)
		}
	}
}

// Expired values are pruned, and the records of writes whose runs are gone.
func TestExpiredValuesArePruned(t *testing.T) {
	s := openTest(t)
	execTest(t, s, `INSERT INTO kept_values (workflow, key, value, expires_at, updated_at, updated_by) VALUES ('w', 'a', '1', 99, 1, ''),
		('w', 'b', '1', 100, 1, ''), ('w', 'c', '1', 101, 1, ''), ('w', 'd', '1', NULL, 1, '')`,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, due_at) VALUES (1, 1, 'w', 'v', 'queued', 1, 1)`,
		`INSERT INTO kept_writes (op, run_id, result) VALUES ('here', 1, '1'), ('gone', 2, '1')`)
	p := &pruner{s: s, o: engine.PruneOrder{Now: fromMillis(100)}}
	if err := p.values(t.Context()); err != nil || p.done.Values != 3 {
		t.Errorf("%d are pruned, %v", p.done.Values, err)
	}
	var left string
	if err := s.readers.QueryRow(`SELECT (SELECT group_concat(key) FROM kept_values) || (SELECT group_concat(op) FROM kept_writes)`).
		Scan(&left); err != nil || left != "c,dhere" {
		t.Errorf("%s are left, %v", left, err)
	}
	execTest(t, s, `DROP TABLE kept_writes`)
	if err := p.values(t.Context()); err == nil || !strings.Contains(err.Error(), "pruning kept values") {
		t.Errorf("%v", err)
	}
}

// A database of another version is not read, except for a backup.
func TestADatabaseOfAnotherSchemaIsNotRead(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	want := len(files)
	for version, text := range map[int]string{0: "is not a Hookloom database", 1: "was made by an earlier hookloom (schema 1, this one reads",
		want - 1: fmt.Sprintf("(schema %d, this one reads %d)", want-1, want), want: "",
		want + 1: fmt.Sprintf("was made by a newer hookloom (schema %d, this one knows %d)", want+1, want)} {
		path := filepath.Join(t.TempDir(), "x.db")
		c, err := (&sqlite3.SQLiteDriver{}).Open("file:" + path)
		if err != nil {
			t.Fatal(err)
		}
		conn := c.(*sqlite3.SQLiteConn)
		_, err = conn.Exec(fmt.Sprintf("CREATE TABLE a (x); PRAGMA user_version = %d", version), nil)
		newer := migrateTo(conn, 0)
		if err = errors.Join(err, conn.Close()); err != nil {
			t.Fatal(err)
		}
		if (newer != nil) != (version > want) || newer != nil && !strings.Contains(newer.Error(), "newer hookloom") {
			t.Errorf("schema %d: a migration to nothing: %v", version, newer)
		}
		if n, err := fileSchema(path); n != version || err != nil {
			t.Errorf("schema %d is read as %d, %v", version, n, err)
		}
		h, err := OpenHistory(path)
		if text == "" && err != nil || text != "" && (err == nil || h != nil || !strings.Contains(err.Error(), text)) {
			t.Errorf("schema %d: %v", version, err)
		}
		if errors.Is(err, ErrEarlierSchema) != (version > 0 && version < want) {
			t.Errorf("schema %d: %v", version, err)
		}
		backup, err := OpenForBackup(path)
		if err != nil || backup.path != path || backup.postgres {
			t.Fatalf("schema %d: %+v, %v", version, backup, err)
		}
		for _, x := range []*History{h, backup} {
			if x != nil && x.Close() != nil {
				t.Error("it does not close")
			}
		}
	}
	none := filepath.Join(t.TempDir(), "none.db")
	for _, open := range []func(string) (*History, error){OpenHistory, OpenForBackup} {
		if h, err := open(none); h != nil || err == nil || !strings.Contains(err.Error(), "no database at "+none) {
			t.Errorf("%v", err)
		}
		if h, err := open("postgres://a:b@[::1"); h != nil || err == nil {
			t.Errorf("a wrong address: %v", err)
		}
		h, err := open(t.TempDir()) // the first query says what is wrong
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Counts(t.Context()); err == nil {
			t.Error("a folder is read")
		}
		h.Close()
	}
	if _, err := fileSchema(none); err == nil {
		t.Error("the schema of no file is read")
	}
	if _, err := openAllReaders(t.Context(), none); err == nil {
		t.Error("the readers of no file are opened")
	}
	for path, want := range map[string]string{"a?b": "a%3fb", "a#b%": "a%23b%25", "/x y.db": "/x y.db"} {
		if got := escapePath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if ro, rw := dsn("x", "ro", "FULL"), dsn("x", "rw", "FULL"); !strings.Contains(ro, "&_query_only=1") || strings.Contains(ro,
		"_journal_mode") ||
		strings.Contains(rw, "_query_only") || !strings.Contains(rw, "_synchronous=FULL") {
		t.Errorf("%s, %s", ro, rw)
	}
}

// The visit of due runs ends where the visitor wants, and with the error of a query.
func TestTheVisitOfDueRunsEndsWhereItIsStopped(t *testing.T) {
	s := openTest(t)
	execTest(t, s, `INSERT INTO runs (id, event_id, workflow, version, status, created_at, due_at, boots)
		SELECT value, 1, 'w', 'v', 'queued', 1, 100 + value, 0 FROM json_each('[1,2,3,4]')`)
	var seen []int64
	visit := func(stop int64) func(id, due int64) bool {
		seen = nil
		return func(id, due int64) bool {
			if seen = append(seen, id); due != 100+id {
				t.Errorf("run %d is due at %d", id, due)
			}
			return id != stop
		}
	}
	for stop, more := range map[int64]bool{2: false, 4: false, 9: true} {
		got, err := s.dueRows(t.Context(), visit(stop), dueRuns+dueSort, engine.SuspectCrashes)
		if got != more || err != nil || len(seen) != int(min(stop, 4)) {
			t.Errorf("stopped at %d: %v, more %t, %v", stop, seen, got, err)
		}
	}
	if more, err := s.dueRows(t.Context(), visit(9), `SELECT none`); more || err == nil {
		t.Errorf("a wrong query: %t, %v", more, err)
	}
	if more, err := s.dueRows(t.Context(), visit(9), `SELECT NULL, 1`); more || err == nil || len(seen) != 0 {
		t.Errorf("a wrong row: %t, %v", more, err)
	}
	none := func(id engine.RunID) bool { return id == 1 }
	now := func(engine.RunID) time.Duration { return 0 }
	for _, c := range []struct {
		at    int64
		limit int
		want  []engine.RunID
		next  int64
	}{{101, 9, nil, 102}, {102, 9, []engine.RunID{2}, 103}, {103, 1, []engine.RunID{2}, 103}, {104, 9, []engine.RunID{2, 3, 4}, 0},
		{104, 2, []engine.RunID{2, 3}, 104}} {
		ids, next, err := s.due(t.Context(), fromMillis(c.at), c.limit, none, now)
		if !slices.Equal(ids, c.want) || next.IsZero() != (c.next == 0) || c.next != 0 && next.UnixMilli() != c.next || err != nil {
			t.Errorf("%+v: %v, next %s, %v", c, ids, next, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ids, next, err := s.due(ctx, fromMillis(104), 9, none, now); ids != nil || !next.IsZero() || err == nil {
		t.Errorf("%v, %s, %v", ids, next, err)
	}
}

// A workflow that is draining stays so while events are held for it.
func TestADrainingSwitchWaitsForHeldEvents(t *testing.T) {
	s := openTest(t)
	x := engine.Switch{Workflow: "w", By: "ada", At: fromMillis(5), State: engine.SwitchDraining}
	if err := s.SetSwitch(t.Context(), x, false); err != nil {
		t.Fatal(err)
	}
	execTest(t, s, `INSERT INTO decisions (event_id, workflow, version, outcome, reason, trace, at) VALUES (1, 'w', 'v', 'held', '', '[]', 1)`)
	if err := s.SetSwitch(t.Context(), x, true); !errors.Is(err, engine.ErrStale) {
		t.Errorf("an event is held: %v", err)
	}
	if list, err := s.Switches(t.Context()); err != nil || len(list) != 1 || list[0] != x {
		t.Errorf("%+v, %v", list, err)
	}
	execTest(t, s, `DELETE FROM decisions`)
	if err := s.SetSwitch(t.Context(), x, true); err != nil {
		t.Error(err)
	}
	if list, err := s.Switches(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
