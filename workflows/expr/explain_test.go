package expr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// TestEachPartOfAnExpressionShowsItsValue names the parts that a user asks about.
func TestEachPartOfAnExpressionShowsItsValue(t *testing.T) {
	t.Parallel()
	env := &expr.Env{Names: expr.Names{"event": map[string]any{"data": map[string]any{"n": 3, "list": []any{1, 2}}}}}
	x, err := expr.Explain(`event.data.n > 2 && filter(event.data.list, # > 1)[0] == 2 || event.data.x.y`, env)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, p := range x.Parts {
		if got[p.Text] = p.Value; p.Problem != "" {
			got[p.Text] = p.Problem
		}
	}
	for text, want := range map[string]any{"event.data.n > 2": true, "event.data.n": 3, "filter(event.data.list, # > 1)[0] == 2": true,
		"event.data.x.y": "cannot read y: event.data.x is nil; write event.data.x?.y if it may be missing (in event.data.x.y)"} {
		if got[text] != want {
			t.Errorf("%s: %v, want %v; all: %v", text, got[text], want, got)
		}
	}
	if x.Parts[0].Value != true || x.Parts[0].Depth != 0 {
		t.Errorf("the whole is not first: %+v", x.Parts[0])
	}
	if _, ok := got["# > 1"]; ok {
		t.Error("a predicate has no value of its own")
	}
	if x.Cost.Steps == 0 {
		t.Error("the evaluation cost nothing")
	}
}

// TestExplainingAHugeExpressionIsBounded checks that the parts share one budget; otherwise a deeply
// nested expression would be compiled, and a costly one evaluated, once for each part.
func TestExplainingAHugeExpressionIsBounded(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	costly := ""
	for i := range 30 {
		costly += fmt.Sprintf("count(1..900000, # > %d) + ", i)
	}
	for _, text := range []string{deep, costly + "0"} {
		x, err := expr.Explain(text, &expr.Env{})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(x.Parts); n < 2 || n > 30 {
			t.Errorf("%.20s... shows %d parts", text, n)
		}
	}
}
