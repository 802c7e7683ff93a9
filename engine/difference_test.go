package engine_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// TestDifferencesNamesThePathsAtWhichTwoValuesDiffer checks objects inside objects, keys that one value
// lacks, and values of other kinds.
func TestDifferencesNamesThePathsAtWhichTwoValuesDiffer(t *testing.T) {
	type object = map[string]any
	for name, c := range map[string]struct {
		a, b any
		want object
	}{
		"equal":             {object{"a": 1, "l": []any{1}}, object{"a": 1, "l": []any{1}}, object{}},
		"inside":            {object{"a": object{"b": 1, "c": 2}}, object{"a": object{"b": 1, "c": 3}}, object{"a.c": []any{2, 3}}},
		"a key was added":   {object{"a": 1}, object{"a": 1, "b": 2}, object{"b": []any{nil, 2}}},
		"a key was removed": {object{"a": 1, "b": 2}, object{"a": 1}, object{"b": []any{2, nil}}},
		"not objects":       {"x", "y", object{"data": []any{"x", "y"}}},
		"text, then an object": {object{"a": "x"}, object{"a": object{"b": 1}},
			object{"a": []any{"x", object{"b": 1}}}},
		"an object, then text": {object{"a": object{"b": 1}}, object{"a": "x"},
			object{"a": []any{object{"b": 1}, "x"}}},
	} {
		got := object{}
		if engine.Differences("", c.a, c.b, got); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestDifferencesAreBounded checks that two large values that share nothing store few differences.
func TestDifferencesAreBounded(t *testing.T) {
	a, b, got := map[string]any{}, map[string]any{}, map[string]any{}
	for i := range 60 {
		a[fmt.Sprint(i)], b[fmt.Sprint(i)] = i, -1
	}
	if engine.Differences("", a, b, got); len(got) != 50 {
		t.Errorf("%d differences, want 50", len(got))
	}
}
