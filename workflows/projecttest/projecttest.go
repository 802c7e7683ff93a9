// Package projecttest loads projects for tests. It must not know what the tests do with them.
package projecttest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// Load writes files, by their paths in the project, and loads the project. The test fails if a file
// has a mistake.
func Load(t testing.TB, files map[string]string, c workflows.Catalog) *workflows.Project {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, mistakes := workflows.Load(dir, c, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	return p
}
