package store_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// TestCopyHasAllRowsOfADatabase: from SQLite to PostgreSQL and back, with rows in all tables that the
// contract's writes fill. A database that is not empty is refused.
func TestCopyHasAllRowsOfADatabase(t *testing.T) {
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

// TestACopyThatDiffersNamesTheRow: triggers of the target change what is written, as a fault would.
func TestACopyThatDiffersNamesTheRow(t *testing.T) {
	t.Parallel()
	source := filepath.Join(t.TempDir(), "first.db")
	content(t, source, true)
	for _, c := range []struct{ table, body, want string }{
		{"events", "NEW.type = 'other'; RETURN NEW", "column type of the row with id "},
		{"runs", "NEW.id = NEW.id + 1; RETURN NEW", "where the source has the row with id "},
		{"keys", "RETURN NULL", "the copy has no row with trigger "},
		{"sightings", "NEW.at = 7; RETURN NEW", "column at of the row with number 1"},
	} {
		target := postgrestest.Shared(t).Database(t)
		content(t, target, false)
		postgrestest.Exec(t, target, "CREATE FUNCTION hookloom.fault() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "+
			strings.ReplaceAll(c.body, "'", "''")+"; END'",
			"CREATE TRIGGER fault BEFORE INSERT ON hookloom."+c.table+" FOR EACH ROW EXECUTE FUNCTION hookloom.fault()")
		_, err := store.CopyDatabase(t.Context(), source, target, store.Options{})
		if err == nil || !strings.Contains(err.Error(), "copying table "+c.table+": the copy differs from the source: "+c.want) {
			t.Errorf("%s: %v", c.table, err)
		}
		content(t, source, false) // it can be served as before
	}
}

// TestASourceThatWasCopiedIsNotServed: until it is reopened. Its copy is.
func TestASourceThatWasCopiedIsNotServed(t *testing.T) {
	t.Parallel()
	first, second := filepath.Join(t.TempDir(), "first.db"), filepath.Join(t.TempDir(), "second.db")
	server := postgrestest.Shared(t).Database(t)
	content(t, first, true)
	for _, c := range []struct{ from, to string }{{first, server}, {server, second}} {
		if _, err := store.CopyDatabase(t.Context(), c.from, c.to, store.Options{}); err != nil {
			t.Fatal(err)
		}
		var copied *store.CopiedError
		if _, err := store.Open(t.Context(), c.from, store.Options{}); !errors.As(err, &copied) || copied.To != postgres.Name(c.to) ||
			strings.Contains(err.Error(), postgrestest.Password) {
			t.Errorf("%v", err)
		}
		want := content(t, c.to, false)
		if to, err := store.Reopen(t.Context(), c.from, store.Options{}); err != nil || to != postgres.Name(c.to) {
			t.Errorf("%s %v", to, err)
		}
		if got := content(t, c.from, false); got != want {
			t.Errorf("the reopened source has\n%s\nwant\n%s", got, want)
		}
	}
	if to, err := store.Reopen(t.Context(), second, store.Options{}); err != nil || to != "" {
		t.Errorf("a database without the mark: %s %v", to, err)
	}
}
