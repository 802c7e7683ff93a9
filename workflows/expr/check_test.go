package expr_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestFindingNamesTheKindAndThePlaceOfAMistake checks the code of findings, and the characters that they mark.
func TestFindingNamesTheKindAndThePlaceOfAMistake(t *testing.T) {
	full := types.Map{"event": types.Any, "inputs": types.Any}
	for _, c := range []struct {
		text  string
		names types.Map
		want  string
	}{
		{`event.a > 1 && event.b`, full, ""},
		{`event.a > 0.1`, full, ""},
		{`event.a > 9007199254740992.0`, full, ""},
		{`event.a > 9007199254740993.5`, full, `expression-syntax 10-28 write decimal("9007199254740993.5")`},
		{`any([1], # + 1)`, full, `not-a-condition 9-10 `},
		{`filter([1], "x") == []`, full, `not-a-condition 12-15 `},
		{`"x" ? true : false`, full, `not-a-condition 0-3 `},
		{`event.a and 5`, full, `type-mismatch 8-11 `},
		{`"x"`, full, `not-a-condition 0-3 remove the quotes around the condition`},
		{`1 + true`, full, `type-mismatch 2-3 `},
		{`len(event.l, 2) == 1`, full, `arguments`},
		{`truncate("a") == "b"`, full, `arguments 0-`},
		{`event.a > 1e23`, full, ""},
		{`event.a == 1 // 2`, full, `not-evaluated 13-15 write int(a / b)`},
		{`event.a == "x // y"`, full, ""},
		{`event.a ++ event.b`, full, `expression-syntax 8-10 write a + b for numbers and text`},
		{`++event.a`, full, `expression-syntax 0-2 an expression changes nothing: write event.a + 1`},
		{`"it\"s" ++ event.b`, full, `expression-syntax 8-10 write a + b`},
		{"`\\` ++ event.b", full, `expression-syntax 4-6 write a + b`},
		{`event.a == "++"`, full, ""},
		{`event.a == '\'++'`, full, ""},
		{`rabbit == 1`, full, `unknown-name 0-6 known here are event, inputs`},
		{`rabbit == 1`, types.Map{}, `unknown-name 0-6 `},
		{`input.a == 1`, full, `unknown-name 0-5 did you mean "inputs"?`},
		{`event.a matches "("`, full, `bad-regexp 16-19 this is not a valid regular expression`},
	} {
		sc := &expr.Scope{Where: "a test", Names: c.names}
		got := ""
		for _, f := range (&expr.Expr{Text: c.text}).Check(sc, reflect.Bool) {
			got += fmt.Sprintf("%s %d-%d %s", f.Code, f.From, f.To, f.Hint)
		}
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) || strings.HasSuffix(c.want, " ") && got != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}

// TestTextWithExpressionsIsJoined checks the value of a text around ${{ }}: nil is empty, and each
// problem is named.
func TestTextWithExpressionsIsJoined(t *testing.T) {
	env := &expr.Env{Names: expr.Names{"n": 3, "none": nil, "l": []any{1, "a"}}}
	for text, want := range map[string]string{
		"n is ${{ n }}, not ${{ n + 1 }}.": "n is 3, not 4. (text)",
		"${{ n }}":                         "3 (a number)",
		"n":                                "3 (a number)",
		"a${{ none }}b":                    "ab (text)",
		"l: ${{ l }}":                      `l: [1,"a"] (text)`,
		"$${{ n }} ${{ n }}":               "${{ n }} 3 (text)",
	} {
		e, err := expr.Evaluate(text, env)
		if err != nil || e.Problem != "" {
			t.Errorf("%s: %+v, %v", text, e, err)
			continue
		}
		if got := fmt.Sprintf("%v (%s)", e.Value, e.Type); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	e, err := expr.Evaluate("${{ 1 / 0 }} ${{ n.x }}", env)
	if err != nil || e.Value != nil || strings.Count(e.Problem, "; ") != 1 || !strings.Contains(e.Problem, "division by zero") {
		t.Errorf("two problems: %+v, %v", e, err)
	}
}

// TestErrorShowsTheBeginningOfALongExpression checks that a message stays short.
func TestErrorShowsTheBeginningOfALongExpression(t *testing.T) {
	e := &expr.EvalError{Expr: strings.Repeat("x", 121), Problem: "no"}
	if got, want := e.Error(), "no (in "+strings.Repeat("x", 120)+"…)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestMissingPartIsNamed checks the messages for fields and elements of what is nil or no object, and
// where they point.
func TestMissingPartIsNamed(t *testing.T) {
	names := expr.Names{"event": data(t, `{"none": null, "n": 1}`)}
	for text, want := range map[string]string{
		"1 + event.none[0]": "cannot read 0: event.none is nil; write event.none?.[0] if it may be missing",
		"event.none[nil]":   "cannot read an element: event.none is nil; if it may be missing, write a default with ??",
		"event.n.x":         "cannot read x: event.n is a number",
		"(event.none).x":    "cannot read x: the part before it is nil",
		`event.none["a b"]`: "cannot read an element: event.none is nil",
	} {
		_, err := eval(t, text, names)
		var e *expr.EvalError
		if !errors.As(err, &e) || !strings.HasPrefix(e.Problem, want) || e.Line != 1 || e.Column < 2 {
			t.Errorf("%s: %+v, want %s", text, e, want)
		}
	}
}

// TestSmallestIntegerMinusOneDoesNotFit checks the ends of the range of integers.
func TestSmallestIntegerMinusOneDoesNotFit(t *testing.T) {
	names := expr.Names{"min": math.MinInt, "max": math.MaxInt, "one": 1}
	for _, text := range []string{"min - one", "max + one", "max - (0 - one)", "min + (0 - one)"} {
		if v, err := eval(t, text, names); err == nil || !strings.Contains(err.Error(), "64 bits") {
			t.Errorf("%s: %v, %v", text, v, err)
		}
	}
	for text, want := range map[string]int{"min - 0": math.MinInt, "max - one": math.MaxInt - 1, "min + one": math.MinInt + 1} {
		if v, err := eval(t, text, names); err != nil || v != want {
			t.Errorf("%s: %v, %v; want %d", text, v, err, want)
		}
	}
}

// TestCostCountsWhatIsComparedInFull checks that a comparison of decimals costs more than one of
// integers, and that a long list and a number are told apart without reading the list.
func TestCostCountsWhatIsComparedInFull(t *testing.T) {
	env := &expr.Env{Names: expr.Names{"l": make([]any, 5000), "m": make([]any, 5000)}}
	steps := func(text string) int {
		x, err := expr.Explain(text, env)
		if err != nil || x.Parts[0].Problem != "" {
			t.Fatal(text, x, err)
		}
		return x.Cost.Steps
	}
	if n := steps("l == m"); n < 5000 {
		t.Errorf("two lists: %d steps", n)
	}
	if n := steps("l == 1"); n > 1000 {
		t.Errorf("a list and a number: %d steps", n)
	}
	bytes := func(text string) int {
		x, err := expr.Explain(text, env)
		if err != nil || x.Parts[0].Problem != "" {
			t.Fatal(text, x, err)
		}
		return x.Cost.Bytes
	}
	if flat, nested := bytes("map(1..100, [#])"), bytes("map(1..100, [[#], [#]])"); nested < 2*flat {
		t.Errorf("lists: %d bytes, with lists inside %d", flat, nested)
	}
	if n := steps("timezone('Europe/Berlin') == nil"); n < 50 {
		t.Errorf("a time zone, which is a file: %d steps", n)
	}
	if d, one := steps("decimal(1) < 2"), steps("decimal(1)"); d < one+50 {
		t.Errorf("a decimal and an integer: %d steps, the decimal alone %d", d, one)
	}
}

// TestPathIsReadWithoutTheMachine checks that a path of constant keys, also with a default path, costs no
// time of its own: rules and templates consist mostly of these.
func TestPathIsReadWithoutTheMachine(t *testing.T) {
	env := &expr.Env{Names: expr.Names{"event": data(t, `{"a": {"b": 7}, "l": [7]}`)}, Until: time.Unix(1, 0)}
	for text, quick := range map[string]bool{"event.a.b": true, `event["a"].b`: true, "event.x ?? event.a.b": true, "event.l[0]": false,
		"event.a.b + 0": false} {
		e, err := expr.Compile(text, "event")
		if err != nil {
			t.Fatal(err)
		}
		if v, err := e.Eval(env); (err == nil) != quick || quick && v != 7 {
			t.Errorf("%s, with no time left: %v, %v", text, v, err)
		}
	}
}

// TestTypesAreNamedInWords checks the words for the types of inputs and fields.
func TestTypesAreNamedInWords(t *testing.T) {
	for want, list := range map[string][]expr.Type{"any": {nil, expr.Any}, "text": {expr.String}, "integer": {expr.Int},
		"boolean": {expr.Bool}, "time": {expr.Time}, "object": {types.Map{}}} {
		for _, x := range list {
			if got := expr.TypeWord(x); got != want {
				t.Errorf("%v: %s, want %s", x, got, want)
			}
		}
	}
}

// TestDataOfAnEventHasTheTypeOfItsSample checks that a sample's type is found at event.data.
func TestDataOfAnEventHasTheTypeOfItsSample(t *testing.T) {
	sc := &expr.Scope{Where: "a test", Names: types.Map{"event": expr.EventType(types.Map{"n": expr.Int})}}
	for text, want := range map[string]bool{"event.data.n == 1": true, "event.data.m == 1": false, "event.key == ''": true} {
		if found := (&expr.Expr{Text: text}).Check(sc, reflect.Bool); (len(found) == 0) != want {
			t.Errorf("%s: %v", text, found)
		}
	}
}

// TestUnclosedBracketIsFound checks the place of the bracket that has no partner, outside quoted texts.
func TestUnclosedBracketIsFound(t *testing.T) {
	for text, want := range map[string]int{"": -1, "a": -1, "(a)": -1, "(a": 0, "f(a, [1)": 5, "f(a, [1": 5, "'(' + a": -1, "é(\"(\"": 1,
		"a)": -1, "(')'": 0, "'a' + (b": 6, "'(a' + (b": 7, "{{a": 1} {
		if got := expr.Unclosed(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// TestTimeMayHaveSpacesAroundIt checks a time of a form, which is often pasted.
func TestTimeMayHaveSpacesAroundIt(t *testing.T) {
	want := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	for _, text := range []string{" 2026-01-31T10:00:00Z\n", "2026-01-31 10:00", "\t2026-01-31 10:00 "} {
		if got, err := expr.ParseTime(text, time.UTC); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// TestBytesOfAWholeExpressionAreBase64 checks that only an expression which is one call that gives bytes is
// encoded.
func TestBytesOfAWholeExpressionAreBase64(t *testing.T) {
	for text, want := range map[string]string{"fromBase64('YQ==')": "YQ==", `fromBase64(("YQ" + '==')[0:])`: "YQ==",
		"fromBase64('YQ==') + upper('b')": "aB", "'a'": "a", "fromBase64(replace('YQ)', ')', '=='))": "YQ==",
		"fromBase64(replace('YQ(', '(', '=='))": "YQ==", "fromBase64({a: ['YQ==']}.a[0])": "YQ=="} {
		e, err := expr.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		e.Bytes = true
		if v, err := e.Eval(&expr.Env{}); err != nil || v != want {
			t.Errorf("%s: %v, %v, want %s", text, v, err, want)
		}
	}
}
