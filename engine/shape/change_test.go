package shape_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/shape"
)

// TestChangesNeedCountsAndShowNoPersonalValues compares shapes.
func TestChangesNeedCountsAndShowNoPersonalValues(t *testing.T) {
	t.Parallel()
	many := func(n int, text string) (out []string) {
		for range n {
			out = append(out, text)
		}
		return out
	}
	for name, c := range map[string]struct {
		before, newer []string
		want          string
	}{
		"nothing":                {many(60, `{"a": 1}`), many(50, `{"a": 2}`), ""},
		"few before":             {many(49, `{"a": 1}`), many(50, `{"a": "x"}`), ""},
		"a new type":             {many(60, `{"a": 1}`), many(50, `{"a": "x"}`), "event.data.a new_type string"},
		"a fraction is a number": {many(60, `{"a": 1}`), many(50, `{"a": 1.5}`), ""},
		"null":                   {many(60, `{"a": 1}`), many(3, `{"a": null}`), "event.data.a new_type null"},
		"two of them":            {many(60, `{"a": 1}`), many(2, `{"a": null}`), ""},
		"gone":                   {many(60, `{"a": 1}`), many(10, `{}`), "event.data.a field_gone "},
		"gone in few":            {many(60, `{"a": 1}`), many(9, `{}`), ""},
		"rare":                   {append(many(50, `{"a": 1}`), many(950, `{}`)...), many(50, `{}`), ""},
		"inside of lists":        {many(60, `{"l": [{"s": 1}]}`), many(50, `{"l": [{"s": "x"}]}`), "event.data.l[].s new_type string"},
		"a new value":            {many(60, `{"k": "a"}`), many(3, `{"k": "b"}`), "event.data.k new_value b"},
		"a mail address":         {many(60, `{"k": "ada@x.example"}`), many(3, `{"k": "bob@x.example"}`), ""},
		"a masked value":         {many(60, `{"k": "***"}`), many(3, `{"k": "b"}`), ""},
		"masked from now on":     {many(60, `{"k": "a"}`), many(3, `{"k": "***"}`), ""},
	} {
		var got []string
		for _, x := range shape.Changes(learn(t, c.before...), learn(t, c.newer...)) {
			got = append(got, fmt.Sprintf("%s %s %s", x.Path, x.Kind, x.What))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}
