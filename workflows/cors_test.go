package workflows_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// An origin is scheme, host and port: no browser sends one with a path.
func TestOriginsAreCheckedAtLoad(t *testing.T) {
	for origin, ok := range map[string]bool{
		"https://www.example.com":      true,
		"http://localhost:3000":        true,
		`"*"`:                          true,
		"https://www.example.com/form": false,
		"www.example.com":              false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"),
			[]byte("triggers: {a: {webhook: {auth: none, cors: {origins: ["+origin+"]}}}}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, mistakes := workflows.Load(dir, workflows.Catalog{}, nil)
		if got := !strings.Contains(mistakes.Error(), "is not an origin"); got != ok {
			t.Errorf("%s: %v", origin, mistakes)
		}
	}
}
