package expr_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestEqualityOfDataComparesNumbersByValue guards that numbers inside lists and objects are compared
// like numbers outside.
func TestEqualityOfDataComparesNumbersByValue(t *testing.T) {
	names := expr.Names{"event": data(t, `{"o": {"a": 1, "b": [1.0, {"c": 2}]}, "big": {"a": 9007199254740993}}`)}
	for text, want := range map[string]bool{
		`event.o == {a: 1.0, b: [1, {c: 2.0}]}`: true,
		`event.o != {a: 1.0, b: [1, {c: 2.0}]}`: false,
		`event.o == {a: 1, b: [1, {c: 3}]}`:     false,
		`event.o == {a: 1, x: [1, {c: 2}]}`:     false,
		`event.big == {a: 9007199254740992.0}`:  false,
		`{a: decimal("1.0")} == {a: 1}`:         true,
		`{a: 1} in [{a: 1.0}]`:                  true,
		`{a: nil} == {b: nil}`:                  false,
		`{} == {}`:                              true,
		`{a: "1"} == {a: 1}`:                    false,
	} {
		if v, err := eval(t, text, names); v != want {
			t.Errorf("%s: %v, %v; want %t", text, v, err, want)
		}
	}
}

// TestAdviceFitsTheOperands guards that following the hint of an operator or a missing field leads
// to a working expression.
func TestAdviceFitsTheOperands(t *testing.T) {
	names := expr.Names{"event": data(t, `{"list": [1], "text": "abc"}`)}
	for text, want := range map[string]string{
		`[1] + [2]`:         "concat(a, b)",
		`{a: 1} + {b: 2}`:   "merge(a, b)",
		`event.list.length`: "len(",
		`event.text.length`: "len(",
		`"a" in event.text`: "contains",
	} {
		if _, err := eval(t, text, names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestOperatorOfAnotherLanguageGetsAHint checks the hints for operators and signs
// of SQL, JavaScript, Python and shells.
func TestOperatorOfAnotherLanguageGetsAHint(t *testing.T) {
	sc := &expr.Scope{Where: "a test", Names: types.Map{"event": types.Any}}
	for text, want := range map[string]string{
		`event.a eq 5`:            "compare with ==",
		`event.a is nil`:          "a == nil",
		`event.a gte 5`:           "compare with >=",
		`event.text like "%a%"`:   "contains",
		`event.a == 1 AND true`:   "write and",
		`event.text ~ "a"`:        "matches",
		`event.text == ‘abc’`:     "straight quotes",
		`event.a > 1,000`:         "without separators",
		`now() - 1h`:              `write duration("1h")`,
		`now() - "1h"`:            `duration("1h")`,
		`event.a between 1 and 2`: "a in 1..9",
	} {
		findings := (&expr.Expr{Text: text}).Check(sc, reflect.Bool)
		if !slices.ContainsFunc(findings, func(f expr.Finding) bool { return strings.Contains(f.Hint, want) }) {
			t.Errorf("%s: %v, want %s", text, findings, want)
		}
	}
}
