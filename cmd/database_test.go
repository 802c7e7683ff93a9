package cmd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// projectIn writes the files of a project.
func projectIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDatabaseSettingPrecedence checks that a flag takes precedence over the environment, which takes
// precedence over the file, and that server.db gets its password from a secret.
func TestDatabaseSettingPrecedence(t *testing.T) {
	t.Setenv("HOOKLOOM_DB", "")
	for _, c := range []struct{ config, env, flag, want string }{
		{"", "", "", "DIR/hookloom.db"},
		{"database: a.db", "", "", "DIR/a.db"},
		{"database: postgres://db/x", "", "", "postgres://db/x"},
		{"server: {db: a.db}", "", "", "DIR/a.db"},
		{`server: {db: "${{ secrets.URL }}"}`, "", "", "postgres://u:p%40@db/x"},
		{`server: {db: "postgres://u:${{ secrets.PASSWORD }}@db/x"}`, "", "", "postgres://u:a%2Fb%3Fc@db/x"},
		{`server: {db: "postgres://u:${{ secrets.UNKNOWN_ONE }}@db/x"}`, "", "", postgres.Unset},
		{"server: {db: a.db}", "postgres://env/x", "", "postgres://env/x"},
		{"server: {db: a.db}", "postgres://env/x", "postgres://flag/x", "postgres://flag/x"},
	} {
		t.Setenv("HOOKLOOM_DB", c.env)
		dir := projectIn(t, map[string]string{"hookloom.yaml": c.config + "\n", ".env": "URL=postgres://u:p%40@db/x\nPASSWORD=a/b?c\n"})
		l, err := (&place{dir: dir, db: c.flag}).load()
		if err != nil {
			t.Fatal(err)
		}
		if got := l.database(); got != strings.Replace(c.want, "DIR", dir, 1) {
			t.Errorf("%s, HOOKLOOM_DB=%s, --db %s: %s, want %s", c.config, c.env, c.flag, got, c.want)
		}
	}
}

// TestNoCommandShowsThePassword of an address that cannot be used, whatever is wrong with it. Each
// verb that opens a database says what is wrong, and does not make a file instead.
func TestNoCommandShowsThePassword(t *testing.T) {
	for _, name := range []string{"PGPASSWORD", "PGSSLMODE", "PGHOST", "HOOKLOOM_ADMIN_ADDR"} {
		t.Setenv(name, "")
	}
	dir := projectIn(t, map[string]string{"hookloom.yaml": "", ".env": ""})
	server := postgrestest.Shared(t)
	wrong := postgrestest.As(server.URL(), "ada", "hunter2")
	for _, address := range []string{wrong, "postgres://ada:hunter2@127.0.0.1:1/x", "postgres://ada:hun/ter2@127.0.0.1/x",
		"postgres://ada@127.0.0.1:1/x?password=hunter2", "mysql://ada:hunter2@127.0.0.1/x"} {
		for _, line := range [][]string{{"serve", dir, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, {"runs", "--dir", dir},
			{"events", "--dir", dir, "-o", "json"}, {"check", "--dir", dir}, {"doctor", "--dir", dir}, {"prune", "--dir", dir, "--keep", "1d"},
			{"backup", "x.db", "--dir", dir}, {"restore", "x.db", "--dir", dir}, {"recover", "x.db", "--dir", dir},
			{"store", "set", "a", "b", "--dir", dir}, {"compare", "hook", "--dir", dir}, {"connections", "--dir", dir},
			{"cancel", "run_0657438987200001", "--dir", dir}} {
			var out, errs bytes.Buffer
			flag := "--db=" + address
			code := execute(t.Context(), append(line, flag), &out, &errs)
			text := out.String() + errs.String()
			if strings.Contains(text, "hunter2") || strings.Contains(text, "hun/ter2") || strings.Contains(text, "ter2@") {
				t.Errorf("%s shows the password: %s", line[0], text)
			}
			if code == exitOK || strings.TrimSpace(text) == "" {
				t.Errorf("%s with %s: exit status %d, %q", line[0], address, code, text)
			}
		}
	}
	if made, err := filepath.Glob(filepath.Join(dir, "*db*")); err != nil || len(made) > 0 {
		t.Errorf("%v was made in the project (%v)", made, err)
	}
}
