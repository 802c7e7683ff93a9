package workflows

import (
	"slices"
	"testing"
)

func TestMaskedPartsAreFoundByComparison(t *testing.T) {
	shown := map[string]any{"whole": "***", "text": "Bearer *** of ***.", "number": "***", "list": []any{"a", "***"}, "own": "***",
		"short": "***", "same": "x", "deep": "***", "odd": "not *** of it"}
	plain := map[string]any{"whole": "secret-one", "text": "Bearer secret-two of secret-three.", "number": 4111111111, "own": "***",
		"list": []any{"a", "secret-four"}, "short": "abc", "same": "x", "deep": map[string]any{"a": "secret-five"}, "odd": "of another text"}
	want := []string{"4111111111", `{"a":"secret-five"}`, "secret-four", "secret-one", "secret-three", "secret-two"}
	got := MaskedParts(shown, plain)
	for _, w := range want {
		if w[0] != '{' && !slices.Contains(got, w) {
			t.Errorf("%q is not found: %q", w, got)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("%q was not masked", g)
		}
	}
}
