package workflows_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// TestGrammarMatchesItsGoldenFile compares each key with a golden file: its type with the bounds, and
// a ! where it is required. Another bound, or a key that becomes required, breaks files of users.
func TestGrammarMatchesItsGoldenFile(t *testing.T) {
	seen := map[string]bool{}
	var lines []string
	for _, of := range []string{"workflow", "project", "connector", "test_file", "preset"} {
		for _, s := range workflows.Reference(of) {
			if seen[s.Name] {
				continue
			}
			seen[s.Name] = true
			for _, k := range s.Keys {
				line := s.Name + "." + k.Name
				if k.Required {
					line += "!"
				}
				lines = append(lines, line+" "+k.Type)
			}
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	want := strings.Split(strings.TrimSuffix(testgolden.Read(t, "grammar.txt", got), "\n"), "\n")
	for _, line := range lines {
		if !slices.Contains(want, line) {
			t.Errorf("new or changed: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("gone or changed: %s", line)
		}
	}
}
