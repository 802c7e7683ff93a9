package expr

import (
	"cmp"
	"encoding/json"
	"math"

	"github.com/expr-lang/expr/vm/runtime"
)

// isNumeric reports whether a value is a number of any kind.
func isNumeric(v any) bool {
	switch v.(type) {
	case int, float64, json.Number, Decimal:
		return true
	}
	return false
}

// comparison replaces expr's comparisons, which convert integers to floats and so find different
// numbers equal, and find 1 and decimal("1.0") different.
func comparison(op string, a, b any) any {
	if isDecimal(a) || isDecimal(b) {
		x, y := operand(a), operand(b)
		if !isNumeric(x) || !isNumeric(y) {
			if op == "==" || op == "!=" {
				return op == "!="
			}
			panic(operandError(op, x, y))
		}
		return holds(op, compareNumbers(x, y))
	}
	if unlikeNumbers(a, b) {
		if f, ok := floatOf(a, b); ok && math.IsNaN(f) {
			return op == "!="
		}
		return holds(op, compareNumbers(a, b))
	}
	switch op {
	case "==":
		return runtime.Equal(a, b)
	case "!=":
		return !runtime.Equal(a, b)
	case "<":
		return runtime.Less(a, b)
	case "<=":
		return runtime.LessOrEqual(a, b)
	case ">":
		return runtime.More(a, b)
	}
	return runtime.MoreOrEqual(a, b)
}

// holds reports whether an operator holds for the result of a comparison.
func holds(op string, c int) bool {
	switch op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// unlikeNumbers reports whether a and b are numbers whose comparison by expr would round: an integer
// and a fraction, or an integer of more than 64 bits and any number.
func unlikeNumbers(a, b any) bool {
	switch a.(type) {
	case int:
		switch b.(type) {
		case float64, json.Number:
			return true
		}
	case float64:
		switch b.(type) {
		case int, json.Number:
			return true
		}
	case json.Number:
		return isNumeric(b)
	}
	return false
}

// floatOf returns the float of a pair.
func floatOf(a, b any) (float64, bool) {
	if f, ok := a.(float64); ok {
		return f, true
	}
	f, ok := b.(float64)
	return f, ok
}

// compareNumbers compares two numbers of any kinds exactly.
func compareNumbers(a, b any) int {
	switch x := a.(type) {
	case int:
		switch y := b.(type) {
		case int:
			return cmp.Compare(x, y)
		case float64:
			return compareIntFloat(x, y)
		}
	case float64:
		switch y := b.(type) {
		case int:
			return -compareIntFloat(y, x)
		case float64:
			return cmp.Compare(x, y)
		}
	}
	x, err := toDecimal(a)
	must(err)
	y, err := toDecimal(b)
	must(err)
	return x.d.Cmp(y.d)
}

// compareIntFloat compares an integer with a float without rounding the integer; NaN is less than
// any integer, as in package cmp.
func compareIntFloat(x int, y float64) int {
	switch {
	case y >= 1<<63: // the largest int is not representable as a float
		return -1
	case math.IsNaN(y) || y < -(1<<63):
		return 1
	}
	whole := math.Trunc(y)
	if c := cmp.Compare(x, int(whole)); c != 0 {
		return c
	}
	return cmp.Compare(whole, y)
}
