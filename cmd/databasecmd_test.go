package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// ran executes a command line and returns its exit status, what it prints, and its errors.
func ran(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

// says checks an exit status and that a text has all words.
func says(t *testing.T, what string, code, want int, text string, words ...string) {
	t.Helper()
	if code != want {
		t.Errorf("%s: exit status %d, want %d: %s", what, code, want, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %s\ndoes not say %q", what, text, w)
		}
	}
}

// TestTheTablesOfAPostgreSQLDatabase: they are made by one role and used by another one with the least
// rights; those of a newer program are refused.
func TestTheTablesOfAPostgreSQLDatabase(t *testing.T) {
	for _, name := range []string{"PGPASSWORD", "PGSSLMODE", "PGHOST", "HOOKLOOM_ADMIN_ADDR", "HOOKLOOM_DB"} {
		t.Setenv(name, "")
	}
	dir := projectIn(t, map[string]string{"hookloom.yaml": ""})
	s := postgrestest.Shared(t)
	owner, role := s.Database(t), postgrestest.Name("role")
	s.Exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'hunter2'")
	least := postgrestest.As(owner, role, "hunter2")
	in := func(address string, args ...string) (int, string, string) {
		return ran(t, append(args, "--dir", dir, "--db", address)...)
	}
	code, out, _ := in(owner, "db", "status")
	says(t, "status without tables", code, exitOK, out, "does not exist yet: hookloom serve or hookloom db migrate makes version",
		"acknowledged  on the disk of this server")
	code, _, errs := in(owner, "runs")
	says(t, "a list without tables", code, exitFailure, errs, "the database has no tables of Hookloom", "hookloom db migrate makes them")
	code, out, _ = in(owner, "db", "migrate")
	says(t, "migrate", code, exitOK, out, "schema hookloom updated from version 0 to")
	code, out, _ = in(owner, "db", "migrate")
	says(t, "migrate again", code, exitOK, out, "schema hookloom is up to date")
	code, _, errs = in(least, "runs")
	says(t, "a list without rights", code, exitFailure, errs, "role "+role+" lacks a right", "GRANT USAGE ON SCHEMA hookloom TO "+role+";")
	for line := range strings.SplitSeq(errs, "\n") {
		if grant := strings.TrimSpace(line); strings.HasPrefix(grant, "GRANT") {
			postgrestest.Exec(t, owner, grant)
		}
	}
	opened, err := store.Open(t.Context(), least, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Announce("http://127.0.0.1:1", "http://127.0.0.1:2"); err != nil {
		t.Error(err)
	}
	if h, err := store.HolderOf(owner); err != nil || h == nil || h.Admin != "http://127.0.0.1:2" || h.Verb != "serve" || h.Host != "" {
		t.Errorf("the holder is %+v, %v", h, err)
	}
	code, out, _ = in(least, "db", "status")
	says(t, "status beside a server", code, exitOK, out, "used by       process ")
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	if h, err := store.HolderOf(owner); err != nil || h != nil {
		t.Errorf("the holder is %+v, %v after the end", h, err)
	}
	postgrestest.Exec(t, owner, "INSERT INTO hookloom.migrations (number, name) VALUES (9999, 'later')")
	code, out, _ = in(owner, "db", "status")
	says(t, "status of a newer schema", code, exitFailure, out, "problem       its tables were made by a newer hookloom (schema version 9999")
	code, _, errs = in(owner, "db", "migrate")
	says(t, "migrate of a newer schema", code, exitFailure, errs, "made by a newer hookloom", "install that version or a later one")
	code, _, errs = ran(t, "serve", dir, "--db", owner, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	says(t, "serve on a newer schema", code, exitFailure, errs, "made by a newer hookloom")
	code, _, errs = in("x.db", "db", "status")
	says(t, "status of a file", code, exitUsage, errs, "x.db is a SQLite file", "--db postgres://")
}
