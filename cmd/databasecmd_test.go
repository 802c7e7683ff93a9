package cmd

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/store/storetest"
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

// TestPostgreSQLTablesMadeByAnotherRole: they are made by one role and used by another one with the least
// rights; those of a newer program are refused.
func TestPostgreSQLTablesMadeByAnotherRole(t *testing.T) {
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
	says(t, "status beside a server", code, exitOK, out, "used by       process ", "; hookloom nodes lists all nodes")
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	if h, err := store.HolderOf(owner); err != nil || h != nil {
		t.Errorf("the holder is %+v, %v after the end", h, err)
	}
	postgrestest.Exec(t, owner, "INSERT INTO hookloom.migrations (number, name) VALUES (9999, 'later')",
		"UPDATE hookloom.meta SET value = '9999' WHERE name = 'schema_needs'")
	code, out, _ = in(owner, "db", "status")
	says(t, "status of a newer schema", code, exitFailure, out, "problem       its tables were made by a newer hookloom (schema version 9999")
	code, _, errs = in(owner, "db", "migrate")
	says(t, "migrate of a newer schema", code, exitFailure, errs, "made by a newer hookloom", "install that version or a later one")
	code, _, errs = ran(t, "serve", dir, "--db", owner, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	says(t, "serve on a newer schema", code, exitFailure, errs, "made by a newer hookloom")
	code, _, errs = in("x.db", "db", "status")
	says(t, "status of a file", code, exitUsage, errs, "x.db is a SQLite file", "--db postgres://")
}

// TestServerWithMistakesLeavesTheDatabaseAsItIs: it makes no tables, and does not become a node.
func TestServerWithMistakesLeavesTheDatabaseAsItIs(t *testing.T) {
	for _, name := range []string{"PGPASSWORD", "PGSSLMODE", "PGHOST", "HOOKLOOM_ADMIN_ADDR", "HOOKLOOM_DB"} {
		t.Setenv(name, "")
	}
	dir := projectIn(t, map[string]string{"hookloom.yaml": "", "workflows/a.yaml": "on: manual\nstepps: []\n"})
	db := postgrestest.Shared(t).Database(t)
	noCertificate := projectIn(t, map[string]string{"hookloom.yaml": "server:\n  tls: {cert: a.pem, key: a.key}\n"})
	serve := func() {
		t.Helper()
		code, _, errs := ran(t, "serve", dir, "--db", db, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		says(t, "serve", code, exitUsage, errs, "did you mean \"steps\"", "no workflow can run")
		code, _, errs = ran(t, "serve", noCertificate, "--db", db, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		says(t, "serve without the certificate's files", code, exitUsage, errs, "server.tls: ", "a.pem: no such file")
	}
	serve()
	code, out, _ := ran(t, "db", "status", "--dir", dir, "--db", db)
	says(t, "status", code, exitOK, out, "does not exist yet")
	if code, out, errs := ran(t, "db", "migrate", "--dir", dir, "--db", db); code != exitOK {
		t.Fatal(out, errs)
	}
	serve()
	code, out, errs := ran(t, "nodes", "--dir", dir, "--db", db, "-o", "json")
	if code != exitOK || strings.Contains(out, `"name"`) {
		t.Errorf("the nodes are %s, %d, %s", out, code, errs)
	}
}

// TestStatusOfAServerWithWeakDurability says once that nothing is acknowledged, and why.
func TestStatusOfAServerWithWeakDurability(t *testing.T) {
	for _, name := range []string{"PGPASSWORD", "PGSSLMODE", "PGHOST", "HOOKLOOM_ADMIN_ADDR", "HOOKLOOM_DB"} {
		t.Setenv(name, "")
	}
	dir, address := projectIn(t, map[string]string{"hookloom.yaml": ""}), postgrestest.Shared(t).Database(t)
	weak := address + "?synchronous_commit=local"
	code, out, _ := ran(t, "db", "status", "--dir", dir, "--db", weak)
	says(t, "weak settings", code, exitFailure, out, "acknowledged  nothing: hookloom serve refuses this server until the problem is solved",
		": synchronous_commit is local: a crash or a failover loses acknowledged events")
	if strings.Contains(out, "the disk of this server") {
		t.Errorf("two statements about an answer:\n%s", out)
	}
	code, out, _ = ran(t, "db", "status", "--dir", dir, "--db", weak, "--output", "json")
	says(t, "weak settings as JSON", code, exitFailure, out, `"problems"`)
	if strings.Contains(out, `"acknowledged"`) {
		t.Errorf("an answer is worth something: %s", out)
	}
	code, _, errs := ran(t, "serve", dir, "--db", weak, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	says(t, "serve", code, exitFailure, errs, "synchronous_commit is local")
}

// TestAProjectIsMovedToAnotherDatabase: the copy shows the same, and the source is not served until it is
// reopened.
func TestAProjectIsMovedToAnotherDatabase(t *testing.T) {
	for _, name := range []string{"PGPASSWORD", "PGSSLMODE", "PGHOST", "HOOKLOOM_ADMIN_ADDR", "HOOKLOOM_DB"} {
		t.Setenv(name, "")
	}
	dir := projectIn(t, map[string]string{"hookloom.yaml": ""})
	file, address := filepath.Join(dir, "hookloom.db"), postgrestest.Shared(t).Database(t)
	opened, err := store.Open(t.Context(), file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Fill(t, storetest.Opened{Store: opened, History: opened.History()})
	code, _, errs := ran(t, "db", "copy", "--from", file, "--to", address)
	says(t, "copy while it is served", code, exitInUse, errs, "is in use by another hookloom process")
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	code, _, errs = ran(t, "db", "copy", "--from", file)
	says(t, "copy without a target", code, exitUsage, errs, "--from and --to are required: --from hookloom.db --to postgres://...")
	code, _, errs = ran(t, "db", "copy", "--from", file+"x", "--to", address)
	says(t, "copy of nothing", code, exitFailure, errs, "no database at "+file+"x")

	name := postgres.Name(address)
	code, out, errs := ran(t, "db", "copy", "--from", file, "--to", address)
	says(t, "copy", code, exitOK, out+errs, "events ", file+" is copied to "+name+"; each row was compared.", "Serve "+name+" from now on")
	for _, list := range []string{"events", "quarantine"} {
		_, before, _ := ran(t, list, "--dir", dir, "--db", file)
		_, after, errs := ran(t, list, "--dir", dir, "--db", address)
		if before == "" || before != after {
			t.Errorf("%s of the source:\n%s\nof the copy:\n%s%s", list, before, after, errs)
		}
	}
	serve := func(db string) (int, string) {
		code, _, errs := ran(t, "serve", dir, "--db", db, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		return code, errs
	}
	code, errs = serve(file)
	says(t, "serve on the source", code, exitFailure, errs, "it was copied to "+name, "hookloom serve --db "+name,
		"hookloom db reopen --db "+file)
	code, _, errs = ran(t, "db", "copy", "--from", file, "--to", address)
	says(t, "copy again", code, exitFailure, errs, file+" was copied to "+name, "a second copy would run its open runs twice",
		"hookloom db reopen --db "+file)
	code, out, _ = ran(t, "db", "reopen", "--db", file)
	says(t, "reopen", code, exitOK, out, file+" can be served again. Do not serve its copy "+name)
	code, out, _ = ran(t, "db", "reopen", "--db", file)
	says(t, "reopen again", code, exitOK, out, "was not copied: it can be served")
	code, _, errs = ran(t, "db", "copy", "--from", file, "--to", address)
	says(t, "copy into a database with rows", code, exitFailure, errs, "database "+name+" is not empty")
	code, out, errs = ran(t, "db", "copy", "--from", address, "--to", filepath.Join(dir, "back.db"))
	says(t, "copy back", code, exitOK, out+errs, name+" is copied to ")
	code, errs = serve(address)
	says(t, "serve on the source on a server", code, exitFailure, errs,
		"opening database "+name+": it was copied to "+filepath.Join(dir, "back.db"))
	for what, text := range map[string]string{"out": out, "errs": errs} {
		if strings.Contains(text, postgrestest.Password) {
			t.Errorf("the password is in %s: %s", what, text)
		}
	}
}

// TestDoctorNamesTheLogOfFilesOnly: a PostgreSQL server has one log for all of its databases.
func TestDoctorNamesTheLogOfFilesOnly(t *testing.T) {
	for path, want := range map[string]bool{filepath.Join(t.TempDir(), "x.db"): true, postgrestest.Shared(t).Database(t): false} {
		s, err := store.Open(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, d := range historyHealth(t.Context(), path) {
			if d.What == "database" && strings.Contains(d.Found, "log") != want {
				t.Errorf("doctor says %q", d.Found)
			}
		}
	}
}
