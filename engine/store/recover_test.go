package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
)

// The copy of a newer program's database would be without the tables that this program does not know.
func TestADatabaseOfANewerProgramIsNotRecovered(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	fillRange(t, path, 1, 3)
	db, err := sql.Open("sqlite3", "file:"+path)
	if err == nil {
		_, err = db.Exec("PRAGMA user_version = 999")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Recover(ctx, path, filepath.Join(dir, "new.db"))
	if r != nil || err == nil || !strings.Contains(err.Error(), "x.db was made by a newer hookloom (schema 999") {
		t.Errorf("%+v, %v", r, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*new*")); len(left) > 0 || err != nil {
		t.Errorf("%q are left, %v", left, err)
	}
}

// TestRecoverCountsWhatItLeavesOut: an event that does not match its checksum, a row that cannot be, and a table
// that is not there.
func TestRecoverCountsWhatItLeavesOut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	fillRange(t, path, 1, 6)
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, q := range []string{`UPDATE events SET body = '{"n": 7}' WHERE id = 2`, `PRAGMA ignore_check_constraints = ON`,
		`UPDATE runs SET status = 'impossible' WHERE id = 1000003`, `DROP TABLE audit`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := store.Recover(ctx, path, filepath.Join(dir, "new.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Tables {
		rows, ok := map[string]int64{"events": 5, "runs": 2, "audit": 0}[x.Table]
		if !ok {
			continue
		}
		refused, gaps := int64(1), 0
		if x.Table == "audit" {
			refused, gaps = 0, 1
		}
		if x.Rows != rows || x.Refused != refused || x.Gaps != gaps {
			t.Errorf("%+v", x)
		}
	}
	if !r.Damaged() || r.Events != 5 {
		t.Errorf("%+v", r)
	}
}
