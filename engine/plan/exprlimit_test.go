package plan_test

import (
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestAnExpressionOverALimitIsTooLargeWithOneAdvice: its own, which names the limit.
func TestAnExpressionOverALimitIsTooLargeWithOneAdvice(t *testing.T) {
	e, err := expr.Compile(`toJSON(map(1..20000, list))`, "list")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Eval(&expr.Env{Names: expr.Names{"list": make([]any, 5000)}})
	x := plan.TooLarge(err, "the text", "write less data into it", "a")
	if x.Code != "too_large" || !strings.Contains(x.Message, "20 million steps") || !strings.Contains(x.Message, "foreach:") ||
		strings.Contains(x.Message, "write less") {
		t.Errorf("%+v", x)
	}
}
