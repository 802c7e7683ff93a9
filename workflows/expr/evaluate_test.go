package expr_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// TestATextOfManyExpressionsCostsAboutAsMuchAsOne evaluates texts of expressions each of which is
// within its limits: together they would take minutes, or gigabytes.
func TestATextOfManyExpressionsCostsAboutAsMuchAsOne(t *testing.T) {
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

// TestThePartsOfOneExpressionHaveAboutTheSizeOfOneValue evaluates an expression with many large
// parts.
func TestThePartsOfOneExpressionHaveAboutTheSizeOfOneValue(t *testing.T) {
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
