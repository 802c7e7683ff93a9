package workflows

import (
	"strings"
	"testing"
)

// TestEveryKeyIsExplained checks that the manual and the editors' hints are complete.
func TestEveryKeyIsExplained(t *testing.T) {
	t.Parallel()
	for name, s := range shapes {
		for _, f := range s.fields {
			if strings.TrimSpace(f.help) == "" && name != "step" {
				t.Errorf("%s: the key %s has no help text", name, f.name)
			}
		}
	}
}

// TestReferenceLinksToEveryMapping follows the links from the files that people write.
func TestReferenceLinksToEveryMapping(t *testing.T) {
	t.Parallel()
	reached := map[string]bool{}
	for _, of := range []string{"workflow", "project", "connector", "test_file", "preset"} {
		for _, s := range Reference(of) {
			reached[s.Name] = true
			for _, k := range s.Keys {
				for _, u := range k.Uses {
					if shapes[u] == nil {
						t.Errorf("%s: %s refers to %s, which is no mapping", s.Name, k.Name, u)
					}
				}
			}
		}
	}
	for name := range shapes {
		if !reached[name] {
			t.Errorf("no page of the reference shows %s", name)
		}
	}
}
