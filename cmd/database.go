package cmd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// database returns the database of a project's history: a file, or the URL of a PostgreSQL
// database. Package store decides by the same rule (postgres.IsAddress).
func database(dir, flag string, p *workflows.Project) string {
	if v := os.Getenv("HOOKLOOM_DB"); flag == "" && v != "" {
		flag = v
	}
	if flag != "" {
		return flag
	}
	if p != nil && p.Database != "" {
		if postgres.IsAddress(p.Database) || filepath.IsAbs(p.Database) {
			return p.Database
		}
		return filepath.Join(dir, p.Database)
	}
	return filepath.Join(dir, "hookloom.db")
}

// addressOf returns the value of server.db with its secrets.
func addressOf(written *workflows.Value, secret lookup) string {
	values := map[string]any{}
	for _, n := range written.SecretNames() {
		if v, ok := secret(n); ok {
			values[n] = v
		}
	}
	v, err := written.Render(&expr.Env{Names: expr.Names{"secrets": values}}, workflows.FillURL)
	if err != nil {
		return postgres.Unset
	}
	text, err := value.Text(v)
	if err != nil || text == "" {
		return postgres.Unset
	}
	return text
}

// hasDatabase returns an error if there is no database file. Whether a server has a database is
// known only to the server.
func hasDatabase(path string) error {
	if postgres.IsAddress(path) {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no database at %s", path)
	}
	return nil
}

// diskOf returns the folder whose disk a server needs: that of the database file, or else the
// project's, which contains the files of runs.
func diskOf(path, dir string) string {
	if postgres.IsAddress(path) {
		return dir
	}
	return filepath.Dir(path)
}
