package store

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// TestMigrationClearsEventsOfEqualBodies opens a database in which an older
// build took an equal body for the same event.
func TestMigrationClearsEventsOfEqualBodies(t *testing.T) {
	db, err := sql.Open("sqlite3", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(files)
	body := "body:" + strings.Repeat("0a", 16)
	for _, f := range files {
		text, err := migrations.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(f, "identity") {
			for _, q := range []string{`INSERT INTO events (id, trigger, inlet, key, type, time, received_at, crc) VALUES (1, 't', ` +
				`'webhook', 'k', ` +
				`'x', 1, 1, 1)`,
				`INSERT INTO keys VALUES ('t', 'k', 1, 1), ('t', '` + body + `', 1, 1), ('t', 'body:of-a-sender', 1, 1)`} {
				if _, err := db.ExecContext(context.Background(), q); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := db.ExecContext(context.Background(), string(text)); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
	}
	var keys string
	if err := db.QueryRowContext(context.Background(), `SELECT group_concat(key) FROM (SELECT key FROM keys ORDER BY key)`).Scan(
		&keys); err != nil {
		t.Fatal(err)
	}
	if keys != "body:of-a-sender,k" {
		t.Errorf("left are %s", keys)
	}
}
