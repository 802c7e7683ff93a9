package expr_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// TestCostOfATextOfManyExpressionsIsBounded evaluates texts of expressions each of which is
// within its limits: together they would take minutes, or gigabytes.
func TestCostOfATextOfManyExpressionsIsBounded(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]string{
		"steps":  "${{ len(filter(1..400, any(1..1000, # == 2000))) }}",
		"bytes":  "${{ repeat('a', 1000000) }}",
		"data":   "${{ event.data }}",
		"number": "${{ 1 }}",
		"range":  "${{ 1..90000 }}",
	} {
		env := &expr.Env{Names: expr.Names{"event": map[string]any{"data": strings.Repeat("x", 1<<20)}}}
		if _, err := expr.Evaluate(strings.Repeat(one, 600), env); !errors.Is(err, value.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		if e, err := expr.Evaluate(strings.Repeat(one, 3), env); err != nil || e.Problem != "" || len(e.Expressions) != 3 {
			t.Errorf("%s, three: %v, %v", name, e, err)
		}
	}
}

// TestExplainedPartsShareTheSizeOfOneValue evaluates an expression with many large
// parts.
func TestExplainedPartsShareTheSizeOfOneValue(t *testing.T) {
	t.Parallel()
	env := &expr.Env{Names: expr.Names{"event": map[string]any{"data": strings.Repeat("x", 1<<20)}}}
	var terms []string
	for i := range 20 {
		terms = append(terms, fmt.Sprintf("event.data + '%d' == ''", i))
	}
	e, err := expr.Evaluate(strings.Join(terms, " || "), env)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, p := range e.Expressions[0].Parts {
		n, _, _ := value.Size(p.Value)
		size += n
	}
	if size < 4<<20 || size > 10<<20 {
		t.Errorf("%d parts with %d bytes", len(e.Expressions[0].Parts), size)
	}
}

// TestValueThatRepeatsALargeTextIsTruncated evaluates lists that contain one text many times:
// as JSON they take much more memory.
func TestValueThatRepeatsALargeTextIsTruncated(t *testing.T) {
	t.Parallel()
	env := &expr.Env{Names: expr.Names{"event": map[string]any{"data": strings.Repeat("x", 1<<16)}}}
	for text, problem := range map[string]string{
		"map(1..1000, event.data)":                          "larger than 4 MiB",
		"list: ${{ map(1..1000, event.data) }}":             "larger than 4 MiB",
		"len(map(1..1000, event.data)) == 1000":             "",
		"len(map(1..1000, event.data))":                     "",
		"len(reduce(1..40, [#acc, #acc], event.data))":      "",
		"[now(), map(1..1000, event.data)][0] == now()":     "",
		"len(map(1..250, {{a: event.data, b: event}})) > 2": "",
	} {
		e, err := expr.Evaluate(text, env)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if (e.Problem != "") != (problem != "") || !strings.Contains(e.Problem, problem) {
			t.Errorf("%s: problem %q, want %q", text, e.Problem, problem)
		}
		for _, p := range e.Expressions[0].Parts {
			if _, err := value.Fit(p.Value); err != nil {
				t.Errorf("%s: the part %s: %v", text, p.Text, err)
			}
		}
	}
}
