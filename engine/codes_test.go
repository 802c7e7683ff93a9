package engine_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// TestEachErrorCodeCanBeFiltered reads the codes out of the sources: deadletters
// --reason refuses what is not in the list.
func TestEachErrorCodeCanBeFiltered(t *testing.T) {
	code := regexp.MustCompile(`(?:plan\.Error|&Error)\{[^\n]*Code: *"([a-z_]+)"[,}]|Permanent\("([a-z_]+)"`)
	seen := 0
	for _, dir := range []string{".", "plan", "store", "runner", "intake", "control", "backtest", "../actions", "../actions/*"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range code.FindAllStringSubmatch(string(text), -1) {
				seen++
				if c := m[1] + m[2]; !slices.Contains(engine.ErrorCodes, c) {
					t.Errorf("%s: %s is not in ErrorCodes", file, c)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d codes were found", seen)
	}
}
