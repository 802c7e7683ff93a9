package store_test

import (
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
)

// TestErrorOfADatabaseInUseNamesAllNodes: a database on a server may have more nodes than the one named.
func TestErrorOfADatabaseInUseNamesAllNodes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"a.db": "another --db", "postgres://h/d": "hookloom nodes lists all servers"} {
		if got := (&store.InUseError{Path: path, Holder: "process 7"}).Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %q does not say %q", path, got, want)
		}
	}
}
