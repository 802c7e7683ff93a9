package expr_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// TestEvaluateGivesTheSameAdviceAsValidate checks what hookloom eval and the playground say about texts
// that are no expressions, or fail because of how they are written.
func TestEvaluateGivesTheSameAdviceAsValidate(t *testing.T) {
	t.Parallel()
	env := &expr.Env{Names: expr.Names{"event": map[string]any{"data": map[string]any{"s": "x"}}}}
	for text, want := range map[string]string{
		`"abc".toUpperCase()`: "data has no methods such as toUpperCase()\n" +
			"  \"abc\".toUpperCase()\n        ^^^^^^^^^^^ write upper(\"abc\")",
		`map([1], {"x": #})`: ": is not expected here\n  map([1], {\"x\": #})\n               ^ " +
			"a map as the result needs two pairs of braces: map(list, {{'name': #}})",
		`len(nil)`: "len takes text, a list or an object, got nil; if it may be missing, write a default with ??\n  len(nil)\n  ^^^",
		`abs(-9223372036854775808)`: "9223372036854775808 does not fit into 64 bits; write decimal(\"9223372036854775808\")\n" +
			"  abs(-9223372036854775808)\n       ^^^^^^^^^^^^^^^^^^^",
		`0x8000000000000000`: "0x8000000000000000 does not fit into 64 bits; write decimal(\"9223372036854775808\")\n" +
			"  0x8000000000000000\n  ^^^^^^^^^^^^^^^^^^",
		`Hello ${{ event.data.s.trim() }}`: "data has no methods such as trim()\n" +
			"  event.data.s.trim()\n               ^^^^ write trim(event.data.s)",
		`duration("2562048h")`: "duration: \"2562048h\" is too long; the longest is 2562047h, about 292 years (in duration(\"2562048h\"))",
		"event.data.s == 'x' &&\nevent.daat.x\n&& true": "unknown field daat\n  event.daat.x\n" +
			"        ^^^^ did you mean \"data\"?",
		`event.daat.x`: "unknown field daat\n  event.daat.x\n        ^^^^ did you mean \"data\"?",
	} {
		got := ""
		if e, err := expr.Evaluate(text, env); err != nil {
			got = err.Error()
		} else {
			got = e.Problem
		}
		if want != "" && got != want || got == "" {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, want)
		}
	}
	if e, err := expr.Evaluate(`abs(-decimal("9223372036854775808")) == decimal("9223372036854775808")`, env); err != nil || e.Value != true {
		t.Errorf("the advice for a long integer: %v, %v", e, err)
	}
}

// goWords are the names of Go types and functions.
var goWords = regexp.MustCompile(`strconv|reflect|interface|%!|runtime error|time\.|json\.|expr\.|map\[|\[\]|u?int64|float64|string\)|` +
	`unexpected token|compiling|nil>|cannot use|makeslice|builtin|type int`)

// TestMessagesNameNoGoTypes gives each function and operator nil, the extremes of numbers and values
// of each kind.
func TestMessagesNameNoGoTypes(t *testing.T) {
	t.Parallel()
	values := []string{"nil", "event.data.n", "9223372036854775807", "-9223372036854775808", "event.data.low", "1e400", "1e308", `""`, "[]",
		"[nil]", `{"a": nil}`, "now()", "true", `decimal("1")`, "event.data.l", "event.data.o", `fromBase64("/w==")`, `duration("1h")`}
	env := &expr.Env{Names: expr.Names{"event": map[string]any{"data": map[string]any{"n": nil, "l": []any{1, nil, "a"},
		"o": map[string]any{"a": 1}, "low": -9223372036854775808}}}}
	var texts []string
	for _, a := range values {
		texts = append(texts, "-"+a, "not "+a, a+".x", a+"?.x", a+".Unix()", a+" ? 1 : 2", "${{ "+a+" }}.")
		for _, b := range values[:12] {
			texts = append(texts, a+"["+b+"]", a+"["+b+":]", b+"["+a+"]")
			for op := range strings.FieldsSeq("+ - * / % ** .. == < in contains matches ??") {
				texts = append(texts, a+" "+op+" "+b)
			}
		}
		for _, known := range expr.Functions() {
			f := known.Name
			texts = append(texts, fmt.Sprintf("%s(%s)", f, a), fmt.Sprintf("%s(%s, 9223372036854775807)", f, a), fmt.Sprintf("%s(%s, nil)", f, a),
				fmt.Sprintf("%s([1], %s)", f, a), fmt.Sprintf("%s('x', %s, %[2]s)", f, a))
		}
	}
	for _, text := range texts {
		problem := ""
		if e, err := expr.Evaluate(text, env); err != nil {
			problem = err.Error()
		} else {
			problem = e.Problem
		}
		first, _, _ := strings.Cut(problem, "\n")
		first, _, _ = strings.Cut(first, " (in ")
		if m := goWords.FindString(first); m != "" {
			t.Errorf("%s: %q in %s", text, m, first)
		}
	}
}
