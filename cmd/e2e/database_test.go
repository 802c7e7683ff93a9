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

// aboutFiles are the tests of what only SQLite's files have, each with the reason why it does not run on a
// server. All other tests run on either store.
var aboutFiles = map[string]string{
	"TestAServerWhoseFilesAreMovedEnds":         "it moves the files",
	"TestAServerWhoseDatabaseIsOverwrittenEnds": "it writes over the file",
	"TestAFailedSyncEndsTheProcess":             "it fails the program's own fsync; a server that does so is in TestNodesLoseNothing",
	"TestASecondServerOnTheSameFileIsRefused":   "on a server it is a second node",
	"TestServerStartsWhilePruneRuns":            "only on a file does prune make way for a server (docs/postgresql.md)",
	"TestDiskFullIsA503AndNoRestartIsNeeded":    "the full disk is the server's: engine/store has that test",
	"TestAServerOnAFullDiskAnswersAndRecovers":  "the full disk is the server's: engine/store has that test",
	"TestAStartWithNoRoomAtAllWaits":            "the full disk is the server's: engine/store has that test",
}

// onFiles skips a test of aboutFiles where the databases are on a server.
func onFiles(t *testing.T) {
	t.Helper()
	why := aboutFiles[t.Name()]
	if why == "" {
		t.Fatal("it is not in aboutFiles")
	}
	if kind := os.Getenv(storetest.Database); kind != "" && kind != "sqlite" {
		t.Skipf("%s is %s, and this test is about files: %s", storetest.Database, kind, why)
	}
}

// onServer reports whether a database is not a file.
func onServer(db string) bool { return postgres.IsAddress(db) }
