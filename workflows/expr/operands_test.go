package expr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// TestOnlyEvaluatedOperandsHaveValues checks the operands of conditions, and that one that
// && or || does not reach has no value.
func TestOnlyEvaluatedOperandsHaveValues(t *testing.T) {
	for text, want := range map[string]string{
		"a && b":                           "a=true b=false",
		"b && a":                           "b=false a=-",
		"a || b":                           "a=true b=-",
		"b or a":                           "b=false a=true",
		"b && a || n > 1":                  "b=false a=- n > 1=true",
		"a and (b or n > 5)":               "a=true b=false n > 5=false",
		"!(a && b) || n > 1":               "a=true b=false n > 1=-",
		"not (b || b) && a":                "b=false b=false a=true",
		"n.x && a":                         "n.x=- a=-",
		"a":                                "",
		"!a":                               "",
		"any([1, 2], # > 1 && # < n)":      "",
		"any([1, 2], # > 1 && # < n) && a": "any([1, 2], # > 1 && # < n)=true a=true",
		"a ? b : (a && b)":                 "",
		"a &&":                             "",
	} {
		var d expr.Differ
		var got []string
		env := &expr.Env{Names: expr.Names{"a": true, "b": false, "n": 3}}
		for _, o := range d.Operands(text, env) {
			v := "-"
			if o.Value != nil {
				v = fmt.Sprint(*o.Value)
			}
			got = append(got, o.Text+"="+v)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", text, s, want)
		}
	}
}
