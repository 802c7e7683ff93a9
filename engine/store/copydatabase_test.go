package store_test

import (
	"database/sql"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
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

// TestACopyToAnotherServerHasTheEncryptedSecrets: and certificates, unchanged and compared. A SQLite file has no
// table for them: the copy says what only the source has.
func TestACopyToAnotherServerHasTheEncryptedSecrets(t *testing.T) {
	t.Parallel()
	first, second := postgrestest.Shared(t).Database(t), postgrestest.Shared(t).Database(t)
	secret := engine.CapturedSecret{Name: "KEY", Trigger: "hooks", Sealed: []byte{0, 255, 1}, At: time.UnixMilli(7).UTC()}
	useOf(t, first, func(s *store.Store) {
		until := secret.At.Add(time.Hour)
		ok, err := false, errors.Join(s.AwaitSecret(ctx, "hooks", until), s.SaveCertificate(ctx, "a.example", []byte("sealed")))
		if err == nil {
			ok, err = s.CaptureSecret(ctx, secret)
		}
		if err = errors.Join(err, s.AwaitSecret(ctx, "later", until)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	if _, err := store.CopyDatabase(ctx, first, second, store.Options{}); err != nil {
		t.Fatal(err)
	}
	useOf(t, second, func(s *store.Store) {
		list, err := s.CapturedSecrets(ctx)
		if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], secret) {
			t.Errorf("secrets: %+v, %v", list, err)
		}
		if sealed, err := s.Certificate(ctx, "a.example"); string(sealed) != "sealed" || err != nil {
			t.Errorf("the certificate: %q, %v", sealed, err)
		}
		if waits, err := s.AwaitedSecrets(ctx); len(waits) != 1 || waits["later"].IsZero() || err != nil {
			t.Errorf("triggers wait: %v, %v", waits, err)
		}
	})
	list, err := store.CopyDatabase(ctx, second, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	left := map[string]string{}
	for _, x := range list {
		if len(x.Left) > 0 {
			left[x.Table] = strings.Join(x.Left, " ")
		}
	}
	want := map[string]string{"captured_secrets": "KEY", "awaited_secrets": "later", "certificates": "a.example"}
	if err != nil || !maps.Equal(left, want) {
		t.Errorf("only the source has %v, want %v, %v", left, want, err)
	}
}

// useOf opens a database, uses it and closes it.
func useOf(t *testing.T, path string, use func(s *store.Store)) {
	t.Helper()
	s, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	use(s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
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

// TestSourceThatWasCopiedIsNotServed: until it is reopened, nor is it copied again. Its copy is served.
func TestSourceThatWasCopiedIsNotServed(t *testing.T) {
	t.Parallel()
	first, second := filepath.Join(t.TempDir(), "first.db"), filepath.Join(t.TempDir(), "second.db")
	server, err := postgres.WithSchema(postgrestest.Shared(t).Database(t), "moved")
	if err != nil {
		t.Fatal(err)
	}
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
		again := filepath.Join(t.TempDir(), "again.db")
		if _, err := store.CopyDatabase(t.Context(), c.from, again, store.Options{}); err == nil ||
			!strings.Contains(err.Error(), "was copied to "+postgres.Name(c.to)) || !strings.Contains(err.Error(), "db reopen --db") {
			t.Errorf("a second copy: %v", err)
		}
		if _, err := os.Stat(again); !os.IsNotExist(err) {
			t.Errorf("the refused copy: %v", err)
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

// TestInterruptedCopyIsNotServed: nor copied or reopened. The source is served as before, and the command
// can be given again.
func TestInterruptedCopyIsNotServed(t *testing.T) {
	t.Parallel()
	first, second := filepath.Join(t.TempDir(), "first.db"), filepath.Join(t.TempDir(), "second.db")
	server := postgrestest.Shared(t).Database(t)
	want := content(t, first, true)
	for _, c := range []struct{ from, to string }{{first, server}, {server, second}} {
		end := stopAtRuns(t, c.to)
		if _, err := store.CopyDatabase(ctx, c.from, c.to, store.Options{}); err == nil {
			t.Fatal("the copy was not interrupted")
		}
		var incomplete *store.IncompleteCopyError
		if _, err := store.Open(ctx, c.to, store.Options{}); !errors.As(err, &incomplete) || incomplete.Path != postgres.Name(c.to) ||
			incomplete.From != postgres.Name(c.from) || strings.Contains(err.Error(), postgrestest.Password) {
			t.Errorf("serving the copy: %v", err)
		}
		if _, err := store.Reopen(ctx, c.to, store.Options{}); !errors.As(err, &incomplete) {
			t.Errorf("reopening the copy: %v", err)
		}
		third := filepath.Join(t.TempDir(), "third.db")
		if _, err := store.CopyDatabase(ctx, c.to, third, store.Options{}); !errors.As(err, &incomplete) {
			t.Errorf("copying the copy: %v", err)
		}
		if got := content(t, c.from, false); got != want {
			t.Errorf("the source has\n%s\nwant\n%s", got, want)
		}
		end()
		if _, err := store.CopyDatabase(ctx, c.from, c.to, store.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := content(t, c.to, false); got != want {
			t.Errorf("the second copy has\n%s\nwant\n%s", got, want)
		}
	}
}

// stopAtRuns makes a copy into an empty database fail when it writes a run, until the function that it
// returns is called.
func stopAtRuns(t *testing.T, path string) func() {
	t.Helper()
	content(t, path, false)
	if postgres.IsAddress(path) {
		postgrestest.Exec(t, path, "ALTER TABLE hookloom.runs ADD CONSTRAINT fault CHECK (id < 0)")
		return func() { postgrestest.Exec(t, path, "ALTER TABLE hookloom.runs DROP CONSTRAINT fault") }
	}
	exec := func(text string) {
		db, err := sql.Open("sqlite3", path)
		if err == nil {
			_, err = db.Exec(text)
			err = errors.Join(err, db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TRIGGER fault BEFORE INSERT ON runs BEGIN SELECT raise(ABORT, 'fault'); END")
	return func() { exec("DROP TRIGGER fault") }
}
