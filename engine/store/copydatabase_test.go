package store_test

import (
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// TestACopyHasAllThatADatabaseHas: from SQLite to PostgreSQL and back, with rows in all tables that the
// contract's writes fill. A database that is not empty is refused.
func TestACopyHasAllThatADatabaseHas(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.db"), filepath.Join(dir, "second.db")
	server := postgrestest.Shared(t).Database(t)
	want := content(t, first, true)
	for _, c := range []struct{ from, to string }{{first, server}, {server, second}} {
		tables, err := store.CopyDatabase(t.Context(), c.from, c.to, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		for _, x := range tables {
			rows += x.Rows
		}
		if rows < 50 {
			t.Errorf("only %d rows were copied", rows)
		}
		if got := content(t, c.to, false); got != want {
			t.Errorf("the copy has\n%s\nwant\n%s", got, want)
		}
	}
	if _, err := store.CopyDatabase(t.Context(), first, second, store.Options{}); err == nil {
		t.Error("a database that is not empty was overwritten")
	}
}

// content returns what a database has, and the name of its installation; fill is whether it is filled
// before.
func content(t *testing.T, path string, fill bool) string {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	opened := storetest.Opened{Store: s, History: s.History()}
	if fill {
		storetest.Fill(t, opened)
	}
	return s.Instance() + storetest.Content(t, opened)
}
