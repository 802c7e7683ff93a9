package storetest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// Database is the environment variable that names the kind of database for tests of the
// contract and of crashes; sqlite by default.
const Database = "HOOKLOOM_TEST_DATABASE"

// databases are the kinds of databases, by their name in the environment variable. Each returns a
// function that opens a new, empty database, which the test removes when it ends.
var databases = map[string]func(t testing.TB) Open{"sqlite": sqlite, "postgres": Postgres}

// Fresh returns a function that opens a new, empty database of the kind that the environment names.
func Fresh(t testing.TB) Open {
	t.Helper()
	kind := os.Getenv(Database)
	if kind == "" {
		kind = "sqlite"
	}
	fresh := databases[kind]
	if fresh == nil {
		t.Fatalf("%s is %q; it can be one of %v", Database, kind, slices.Sorted(maps.Keys(databases)))
	}
	return fresh(t)
}

// New opens a new, empty database of the kind that the environment names, and closes it when the test
// ends.
func New(t testing.TB) Opened {
	t.Helper()
	s, err := Fresh(t)(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sqlite is a file. Its faults are errors of commits and not power cuts, so nothing has to be
// synced.
func sqlite(t testing.TB) Open {
	path := filepath.Join(t.TempDir(), "x.db")
	return func(fault func(int) error) (Opened, error) {
		s, err := store.Open(t.Context(), path, store.Options{Fault: fault, Synchronous: "OFF"})
		if err != nil {
			return Opened{}, err
		}
		return opening(s), nil
	}
}

// Postgres returns a function that opens a new, empty database of a real PostgreSQL server. The tests
// are skipped where there is none.
func Postgres(t testing.TB) Open {
	t.Helper()
	address := postgrestest.Shared(t).Database(t)
	return func(fault func(int) error) (Opened, error) {
		s, err := store.Open(t.Context(), address, store.Options{Fault: fault})
		if err != nil {
			return Opened{}, err
		}
		o := opening(s)
		o.Empty = func(t testing.TB) { t.Helper(); postgrestest.Exec(t, address, emptied...) }
		return o, nil
	}
}

// emptied brings a database to the state after its creation. The feed has one row then.
var emptied = []string{`DO $$ DECLARE t TEXT; BEGIN
	FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'hookloom' AND tablename NOT IN ('migrations', 'meta', 'turn', 'deciding') LOOP
		EXECUTE 'DELETE FROM hookloom.' || t;
	END LOOP;
	DELETE FROM hookloom.meta WHERE name <> 'instance';
END $$`, `INSERT INTO hookloom.feed (seq, total, changes)
	VALUES (((extract(epoch FROM now()) * 1000)::bigint - 1577836800000) << 21, 0, ''::bytea)`}

func opening(s *store.Store) Opened {
	h := s.History()
	wrong := func(ctx context.Context) (out []string, err error) {
		found, err := h.Check(ctx)
		for _, f := range found {
			if len(f.Wrong) > 0 {
				out = append(out, fmt.Sprintf("not true that %s: %v", f.What, f.Wrong))
			}
		}
		return out, err
	}
	return Opened{Store: s, History: h, Wrong: wrong, Close: s.Close}
}
