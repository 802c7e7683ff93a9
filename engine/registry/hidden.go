package registry

import (
	"slices"

	"github.com/hookloom/hookloom/workflows/value"
)

// HiddenInputs returns the values, as text, that are masked in a run: those of its secret inputs,
// and those hidden by its caller.
func HiddenInputs(names []string, inputs map[string]any, hidden []string) []string {
	out := slices.Clone(hidden)
	for _, n := range names {
		out = hideTexts(inputs[n], out)
	}
	return out
}

func hideTexts(v any, out []string) []string {
	switch x := v.(type) {
	case nil, bool:
		return out
	case []any:
		for _, e := range x {
			out = hideTexts(e, out)
		}
		return out
	case map[string]any:
		for _, e := range x {
			out = hideTexts(e, out)
		}
		return out
	}
	if t, err := value.Text(v); err == nil && t != "" && !slices.Contains(out, t) {
		out = append(out, t)
	}
	return out
}
