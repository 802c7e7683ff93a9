package expr_test

import (
	"fmt"
	"reflect"

	"github.com/hookloom/hookloom/workflows/expr"
)

func ExampleCompile() {
	e, err := expr.Compile("event.data.total > 100", "event")
	if err != nil {
		panic(err)
	}
	names := expr.Names{"event": map[string]any{"data": map[string]any{"total": 250}}}
	fmt.Println(e.Eval(&expr.Env{Names: names}))
	// Output: true <nil>
}

func ExampleExpr_Check() {
	e := &expr.Expr{Text: "evnt.data.total > 100"}
	scope := &expr.Scope{Where: "a rule", Names: expr.Map{"event": expr.EventType(expr.Any)}}
	for _, f := range e.Check(scope, reflect.Bool) {
		fmt.Println(f.From, f.To, f.Code, f.Problem, f.Hint)
	}
	// Output: 0 4 unknown-name unknown name evnt did you mean "event"?
}
