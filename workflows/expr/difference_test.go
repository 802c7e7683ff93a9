package expr_test

import (
	"fmt"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// TestCauseIsTheSmallestPartThatDiffers checks which part explains why two evaluations differ: of one
// condition with other data, and of two versions of a condition.
func TestCauseIsTheSmallestPartThatDiffers(t *testing.T) {
	before := &expr.Env{Names: expr.Names{"a": true, "b": false, "n": 3, "m": 1, "l": []any{1}}}
	after := &expr.Env{Names: expr.Names{"a": true, "b": true, "n": 5, "m": 1, "l": []any{1, 2}}}
	for _, c := range []struct{ before, after, want string }{
		{"a && b", "a && b", "b: false, true"},
		{"b || n > 4", "b || n > 4", "b: false, true"},
		{"n > 4", "n > 4", "n: 3, 5"},
		{"n > 2", "n > 9", "n > 9: true, false"},
		{"n > m * 4", "n > m * 4", "n: 3, 5"},
		{"n + m", "n + n", "n + n: 4, 10"},
		{"n > 2", "n > 2", ""},
		{"a", "a && n > 9", "n > 9: <nil>, false"},
		{"a && n > 9", "a", "n > 9: false, <nil>"},
		{"a && m == 1", "a && m == 2", "m == 2: true, false"},
		{"b && a", "a && n < 9", "n < 9: false, true"},
		{"-n", "-n", "n: 3, 5"},
		{"!b", "!b", "b: false, true"},
		{"len(l)", "len(l)", "l: [1], [1 2]"},
		{"len(l)", "sum(l)", "sum(l): 1, 3"},
		{"any(l, # > 1)", "any(l, # > 1)", "any(l, # > 1): false, true"},
		{"b ? n : m", "b ? n : m", "b ? n : m: 1, 5"},
		{"a && b", "a || b", "a || b: false, true"},
		{"n", "-n", "-n: 3, -5"},
		{"a &&", "a", ""},
		{"[n]", "[n]", "[n]: [3], [5]"},
		{"{k: n}", "{k: n}", "{k: n}: map[k:3], map[k:5]"},
		{"l[0:n]", "l[0:n]", "l[0:n]: [1], [1 2]"},
		{"l[0]", "l[1]", "l[1]: 1, 2"},
		{"b ? n : n", "b ? n : n", "b ? n : n: 3, 5"},
		{"max(n, m)", "max(n, m)", "n: 3, 5"},
		{"upper('a')", "upper('b')", "upper(\"b\"): A, B"},
	} {
		var d expr.Differ
		got := ""
		if cause, ok := d.Expression(c.before, c.after, before, after); ok {
			got = fmt.Sprintf("%s: %v, %v", cause.Expression, cause.Before, cause.After)
		}
		if got != c.want {
			t.Errorf("%s -> %s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

// TestCauseOfConditionsIsTheOneThatDecides checks lists of conditions that must all hold: the cause is
// the one that is false, wherever it stands.
func TestCauseOfConditionsIsTheOneThatDecides(t *testing.T) {
	env := &expr.Env{Names: expr.Names{"a": true, "n": 3}}
	for _, c := range []struct {
		before, after []string
		want          string
	}{
		{[]string{"a", "n > 2"}, []string{"a", "n > 3"}, "n > 3: true, false"},
		{[]string{"a"}, []string{"n > 1", "n > 5"}, "n > 5: <nil>, false"},
		{[]string{"n > 5 && a"}, []string{"a"}, "n > 5: false, <nil>"},
		{[]string{"a"}, []string{"n > 1 && a"}, "n > 1: <nil>, true"},
		{[]string{"a", "n > 1"}, []string{"n > 1", "a"}, ""},
		{[]string{"a"}, []string{"n.x > 1"}, "n.x > 1: true, error: cannot read x: n is a number (in n.x > 1)"},
	} {
		var d expr.Differ
		got := ""
		if cause, ok := d.Conditions(c.before, c.after, env, env); ok {
			got = fmt.Sprintf("%s: %v, %v", cause.Expression, cause.Before, cause.After)
		}
		if got != c.want {
			t.Errorf("%q -> %q: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

// TestReadsFindsNamesAndKeys checks which names and keys of a name an expression is said to read.
func TestReadsFindsNamesAndKeys(t *testing.T) {
	for text, want := range map[string]string{
		"item.id":                   "true true",
		"item.name":                 "true false",
		`item["id"] == 1`:           "true true",
		"item":                      "true true",
		"item.name + item.id":       "true true",
		"item.id + item.name":       "true true",
		"event.item.id":             "false false",
		"event.id":                  "false false",
		"map(event.l, item?.id)":    "true true",
		"len(event.l) > item.count": "true false",
		"item &&":                   "false true", // it does not compile: it may read any key
	} {
		e := &expr.Expr{Text: text}
		if got := fmt.Sprint(e.Reads("item"), " ", e.ReadsKey("item", "id", "key")); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
