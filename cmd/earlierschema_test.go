package cmd

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
)

// TestReadingADatabaseOfAnEarlierVersion: the new program is often installed before a server has updated
// the database. Verbs that read it say so, not which table is missing; a backup copies it.
func TestReadingADatabaseOfAnEarlierVersion(t *testing.T) {
	for _, name := range []string{"HOOKLOOM_DB", "HOOKLOOM_ADMIN_ADDR"} {
		t.Setenv(name, "")
	}
	dir := projectIn(t, map[string]string{"hookloom.yaml": "triggers: {}\n"})
	path := filepath.Join(dir, "hookloom.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, int) {
		var out bytes.Buffer
		status := execute(t.Context(), args, &out, &out)
		return out.String(), status
	}
	for version, want := range map[string]string{"8": "was made by an earlier hookloom (schema 8, this one reads ",
		"999": "was made by a newer hookloom (schema 999, this one knows ", "0": "is not a Hookloom database, or has no tables yet"} {
		db, err := sql.Open("sqlite3", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("DROP TABLE IF EXISTS waits; PRAGMA user_version = " + version); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, verb := range [][]string{{"runs"}, {"events"}, {"deadletters"}, {"check"}} {
			if got, status := run(append(verb, "--dir", dir)...); status == exitOK || !strings.Contains(got, want) {
				t.Errorf("schema %s, %v: status %d, %s", version, verb, status, got)
			}
		}
		got, status := run("backup", filepath.Join(dir, version+".db"), "--dir", dir)
		if status != exitOK || !strings.Contains(got, "checked and synced") {
			t.Errorf("schema %s, backup: status %d, %s", version, status, got)
		}
	}
}
