package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/value"
)

// Arithmetic of expressions. An integer result beyond 64 bits is an error, and so is an integer
// that would lose digits as a float: expr's own operators silently wrap around and round. Decimals
// are in decimal.go.

var errOverflow = errors.New("the result does not fit into 64 bits; compute with decimal(…), which is exact")

// arithmetic applies a binary operator; op is one of + - * / % **.
func (m *meter) arithmetic(op string, a, b any) any {
	a, b = operand(a), operand(b)
	if x, ok := a.(int); ok {
		if y, ok := b.(int); ok {
			return intArithmetic(op, x, y)
		}
	}
	if x, ok := a.(string); ok && op == "+" {
		if y, ok := b.(string); ok {
			m.charge(len(x) + len(y))
			return x + y
		}
	}
	if _, ok := a.(Decimal); ok {
		return m.decimalArithmetic(op, a, b)
	}
	if _, ok := b.(Decimal); ok {
		return m.decimalArithmetic(op, a, b)
	}
	if v, ok := timeArithmetic(op, a, b); ok {
		return v
	}
	x, isNumber := Number(a)
	y, isNumber2 := Number(b)
	if !isNumber || !isNumber2 {
		panic(operandError(op, a, b))
	}
	must(exactFloat(a))
	must(exactFloat(b))
	return floatArithmetic(op, x, y)
}

// operandError returns why an operator cannot be applied to two values.
func operandError(op string, a, b any) error {
	for _, v := range []any{a, b} {
		if _, ok := v.(json.Number); ok {
			return errors.New("the number is larger than 64 bits; compute with decimal(…)")
		}
	}
	switch op {
	case "+":
		x, y := value.Describe(a), value.Describe(b)
		if hint := mismatchHint(op, x, y, ""); x == y && hint != "" {
			return fmt.Errorf("+ cannot add %s and %s; %s", x, y, hint)
		}
		return fmt.Errorf("+ cannot add %s and %s; use string(…) or ${{ }} in text", x, y)
	case "/":
		return fmt.Errorf("/ cannot divide %s by %s", value.Describe(a), value.Describe(b))
	}
	return fmt.Errorf("%s cannot be used with %s and %s", op, value.Describe(a), value.Describe(b))
}

// operand converts the number types that methods of times return (Unix, Month).
func operand(v any) any {
	switch x := v.(type) {
	case int, float64, string, nil, Decimal, json.Number, time.Time, time.Duration, bool:
		return v
	case int64:
		return int(x)
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return int(r.Int())
	case r.CanUint():
		if r.Uint() > math.MaxInt64 {
			panic(errOverflow)
		}
		return int(r.Uint())
	case r.CanFloat():
		return r.Float()
	}
	return v
}

// exactFloat returns an error for an integer that a float cannot represent.
func exactFloat(v any) error {
	n, ok := v.(int)
	if !ok || n != math.MaxInt && int(float64(n)) == n {
		return nil
	}
	return fmt.Errorf("%d has more digits than a fraction can be computed with; use decimal(…)", n)
}

func intArithmetic(op string, x, y int) any {
	switch op {
	case "+":
		sum := x + y
		if (sum > x) != (y > 0) && y != 0 {
			panic(errOverflow)
		}
		return sum
	case "-":
		difference := x - y
		if (difference < x) != (y > 0) && y != 0 {
			panic(errOverflow)
		}
		return difference
	case "*":
		return multiply(x, y)
	case "/":
		return quotient(x, y)
	case "%":
		if y == 0 {
			panic(errors.New("division by zero"))
		}
		if y == -1 {
			return 0 // the machine's remainder of the smallest integer traps on some processors
		}
		return x % y
	}
	if y < 0 {
		must(exactFloat(x))
		return floatArithmetic("**", float64(x), float64(y))
	}
	return power(x, y)
}

func multiply(x, y int) int {
	high, low := bits.Mul64(magnitude(x), magnitude(y))
	negative := (x < 0) != (y < 0)
	switch {
	case high != 0, low > 1<<63, low == 1<<63 && !negative:
		panic(errOverflow)
	case negative:
		return int(-low)
	}
	return int(low)
}

// magnitude is the absolute value, including that of the smallest integer.
func magnitude(x int) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// quotient divides like expr: the result is a fraction. An integer result too large for a float
// stays an integer; any other inexact result is an error.
func quotient(x, y int) any {
	if y == 0 {
		panic(errors.New("division by zero"))
	}
	if exactFloat(x) == nil && exactFloat(y) == nil {
		return float64(x) / float64(y)
	}
	if y == -1 {
		return negate(x)
	}
	if x%y == 0 {
		return x / y
	}
	panic(errors.New("the quotient has more digits than a fraction holds; use decimal(…)"))
}

func power(x, y int) int {
	result := 1
	for y > 0 {
		if y&1 == 1 {
			result = multiply(result, x)
		}
		if y >>= 1; y > 0 {
			if x >= -1 && x <= 1 {
				x *= x
				continue
			}
			x = multiply(x, x)
		}
	}
	return result
}

// negate is unary minus of an integer.
func negate(x int) int {
	if x == math.MinInt {
		panic(errOverflow)
	}
	return -x
}

func floatArithmetic(op string, x, y float64) any {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "**":
		return math.Pow(x, y)
	case "/":
		if y == 0 {
			panic(errors.New("division by zero"))
		}
		return x / y
	}
	panic(errors.New("% needs two whole numbers; use int(…)"))
}

// timeArithmetic implements the operators of times and durations. A difference that does not fit
// into a duration (292 years) is an error; time.Time.Sub would saturate.
func timeArithmetic(op string, a, b any) (any, bool) {
	switch x := a.(type) {
	case time.Time:
		switch y := b.(type) {
		case time.Duration:
			if op == "+" {
				return x.Add(y), true
			}
			if op == "-" {
				return x.Add(-y), true
			}
		case time.Time:
			if op == "-" {
				d := x.Sub(y)
				if !y.Add(d).Equal(x) {
					panic(errors.New("the times lie more than 292 years apart"))
				}
				return d, true
			}
		}
	case time.Duration:
		switch y := b.(type) {
		case time.Time:
			if op == "+" {
				return y.Add(x), true
			}
		case time.Duration:
			switch op {
			case "+", "-":
				return time.Duration(intArithmetic(op, int(x), int(y)).(int)), true
			case "/":
				return quotient(int(x), int(y)), true
			case "%":
				return time.Duration(intArithmetic(op, int(x), int(y)).(int)), true
			}
		case int, float64:
			return scaleDuration(op, x, y)
		}
	case int, float64:
		if y, ok := b.(time.Duration); ok && op == "*" {
			return scaleDuration(op, y, x)
		}
	}
	return nil, false
}

func scaleDuration(op string, d time.Duration, by any) (any, bool) {
	if n, ok := by.(int); ok {
		switch op {
		case "*":
			return time.Duration(multiply(int(d), n)), true
		case "/":
			if n == 0 {
				panic(errors.New("division by zero"))
			}
			if n == -1 {
				return time.Duration(negate(int(d))), true
			}
			return d / time.Duration(n), true
		}
		return nil, false
	}
	f, ok := by.(float64)
	if !ok || op != "*" && op != "/" {
		return nil, false
	}
	return time.Duration(wholeOf(floatArithmetic(op, float64(d), f).(float64))), true
}

// wholeOf truncates the fraction; a value beyond 64 bits is an error.
func wholeOf(f float64) int {
	// 1<<63 is representable as a float, the largest int is not.
	if !(f >= -(1<<63) && f < 1<<63) {
		panic(fmt.Errorf("%s does not fit into 64 bits", strconv.FormatFloat(f, 'g', -1, 64)))
	}
	return int(f)
}

// unaryMinus is -x.
func unaryMinus(v any) any {
	switch x := operand(v).(type) {
	case int:
		return negate(x)
	case float64:
		return -x
	case time.Duration:
		return time.Duration(negate(int(x)))
	case Decimal:
		return x.negated()
	case json.Number:
		panic(errors.New("the number is larger than 64 bits; compute with decimal(…)"))
	}
	panic(fmt.Errorf("- cannot be used with %s", value.Describe(v)))
}

func absolute(v any) any {
	switch x := operand(v).(type) {
	case int:
		if x < 0 {
			return negate(x)
		}
		return x
	case float64:
		return math.Abs(x)
	case time.Duration:
		if x < 0 {
			return time.Duration(negate(int(x)))
		}
		return x
	case Decimal:
		if x.d.Negative {
			return x.negated()
		}
		return x
	case json.Number:
		panic(errors.New("the number is larger than 64 bits; write abs(decimal(…))"))
	}
	panic(fmt.Errorf("abs needs a number, got %s", value.Describe(v)))
}

// wholeNumber implements int(x): digits as text, or a number without its fraction.
func wholeNumber(v any) any {
	switch x := operand(v).(type) {
	case int:
		return x
	case time.Duration:
		return int(x)
	case float64:
		return wholeOf(x)
	case Decimal:
		return x.whole()
	case json.Number:
		panic(fmt.Errorf("int: %s does not fit into 64 bits; keep it as it is, or compute with decimal(…)", value.Clip(string(x), 40)))
	case string:
		n, err := strconv.Atoi(x)
		if err == nil {
			return n
		}
		if errors.Is(err, strconv.ErrRange) {
			panic(fmt.Errorf("int: %s does not fit into 64 bits; keep it as text, or compute with decimal(…)", value.Clip(x, 40)))
		}
		panic(fmt.Errorf("int: %q is not a whole number%s", value.Clip(x, 40), wholeHint(x)))
	}
	panic(fmt.Errorf("int needs a number or digits as text, got %s", value.Describe(v)))
}

// wholeHint says how to read a text that is a number, but not of digits alone.
func wholeHint(text string) string {
	trimmed := strings.TrimSpace(text)
	if _, err := strconv.ParseFloat(trimmed, 64); err != nil {
		return ""
	}
	if _, err := strconv.Atoi(trimmed); err == nil {
		return "; write int(trim(…))"
	}
	if trimmed != text {
		return "; write int(decimal(trim(…))), which leaves out a fraction"
	}
	return "; write int(decimal(…)), which leaves out a fraction"
}

// sum adds numbers, durations and decimals; the sum of nothing is 0.
func (m *meter) sum(v any) any {
	list := elements("sum", v)
	var total any = 0
	for i, x := range list {
		m.tick()
		if i == 0 {
			if total = operand(x); !summable(total) {
				panic(fmt.Errorf("sum needs numbers, element 0 is %s", value.Describe(x)))
			}
			continue
		}
		if !summable(operand(x)) {
			panic(fmt.Errorf("sum needs numbers, element %d is %s", i, value.Describe(x)))
		}
		total = m.arithmetic("+", total, x)
	}
	return total
}

func summable(v any) bool {
	switch v.(type) {
	case int, float64, time.Duration, Decimal, json.Number:
		return true
	}
	return false
}

// elements returns the elements of a list unchanged: decimals stay decimals.
func elements(name string, v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
		panic(fmt.Errorf("%s needs a list, got %s", name, value.Describe(v)))
	}
	out := make([]any, r.Len())
	for i := range out {
		out[i] = r.Index(i).Interface()
	}
	return out
}

// shiftLeft is bitshl without losing bits.
func shiftLeft(a []any) any {
	x, n := intArg("bitshl", a, 0), intArg("bitshl", a, 1)
	if n < 0 {
		panic(errors.New("bitshl: a negative count"))
	}
	if x != 0 && (n > 63 || x<<n>>n != x) {
		panic(errOverflow)
	}
	return x << min(n, 63)
}
