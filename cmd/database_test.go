package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/store/postgres"
)

// projectIn writes the files of a project.
func projectIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTheDatabaseOfAProject: a flag goes over the environment, which goes over the file; server.db
// takes its password from a secret.
func TestTheDatabaseOfAProject(t *testing.T) {
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
