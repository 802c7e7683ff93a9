package workflows_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// TestGrammarMatchesItsGoldenFile compares each key with a golden file: its type with the bounds, and
// a ! where it is required. Another bound, or a key that becomes required, breaks files of users.
func TestGrammarMatchesItsGoldenFile(t *testing.T) {
	const golden = "testdata/grammar.txt"
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
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n")
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
