//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// newDatabase returns the database of a project: a file, or an empty database of a real server where
// HOOKLOOM_TEST_DATABASE is postgres.
func newDatabase(t *testing.T, dir string) string {
	t.Helper()
	switch kind := os.Getenv(storetest.Database); kind {
	case "", "sqlite":
		return filepath.Join(dir, "hookloom.db")
	case "postgres":
		return postgrestest.Shared(t).Database(t)
	default:
		t.Fatalf("%s is %q; it can be sqlite or postgres", storetest.Database, kind)
		return ""
	}
}

// onFiles skips a test of the files of SQLite where the databases are on a server.
func onFiles(t *testing.T) {
	t.Helper()
	if kind := os.Getenv(storetest.Database); kind != "" && kind != "sqlite" {
		t.Skipf("it is about the files of SQLite, and %s is %s", storetest.Database, kind)
	}
}

// onServer reports whether a database is not a file.
func onServer(db string) bool { return postgres.IsAddress(db) }
