package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/expr-lang/expr/builtin"
	"github.com/hookloom/hookloom/workflows/value"
)

// Decimal is an exact decimal number inside an expression. Plain converts it to the JSON number
// with the same digits; a number that JSON parsers would round is an error.
type Decimal struct{ d *apd.Decimal }

// The number of digits is limited, and the exponent to that of a float: "1e1000000000" plus one
// would exhaust memory.
const (
	maxDecimalDigits   = 500
	maxDecimalExponent = 400
	maxDecimalText     = 600
	// quotientDigits are those of IEEE 754's decimal128.
	quotientDigits = 34
	// decimalSteps is the work of one operation on decimals.
	decimalSteps = 60
)

// exact computes without rounding or fails; rounding rounds half away from zero, like round() for
// floats.
var (
	exact = apd.Context{Precision: maxDecimalDigits, MaxExponent: 2000, MinExponent: -2000,
		Traps: apd.DefaultTraps | apd.Inexact, Rounding: apd.RoundHalfUp}
	rounding = apd.Context{Precision: maxDecimalDigits + 2*maxDecimalExponent, MaxExponent: 2000, MinExponent: -2000,
		Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp}
	dividing = apd.Context{Precision: quotientDigits, MaxExponent: 2000, MinExponent: -2000,
		Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp}
)

// toDecimal converts a number, or text that is a JSON number.
func toDecimal(v any) (Decimal, error) {
	switch x := operand(v).(type) {
	case Decimal:
		return x, nil
	case int:
		return Decimal{apd.New(int64(x), 0)}, nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return Decimal{}, fmt.Errorf("%v is not a number", x)
		}
		// The shortest digits that denote this float: 19.99, not
		// 19.989999999999998436805981327779591083526611328125.
		return decimalText(strconv.FormatFloat(x, 'g', -1, 64))
	case json.Number:
		return decimalText(string(x))
	case string:
		return decimalText(strings.TrimSpace(x))
	case nil:
		return Decimal{}, errors.New("decimal(nil): the value is nil; write ?? 0 before it")
	}
	return Decimal{}, fmt.Errorf("decimal needs a number or its text, got %s", value.Describe(v))
}

func decimalText(s string) (Decimal, error) {
	if len(s) > maxDecimalText {
		return Decimal{}, fmt.Errorf("a decimal has at most %d digits", maxDecimalDigits)
	}
	number := strings.TrimPrefix(s, "+")
	if !validDecimal(number) {
		return Decimal{}, fmt.Errorf("%q is not a decimal number, such as 1234.50", value.Clip(s, 40))
	}
	out := Decimal{new(apd.Decimal)}
	if _, _, err := out.d.SetString(number); err != nil {
		return Decimal{}, fmt.Errorf("%q is not a decimal number", value.Clip(s, 40))
	}
	return out, out.limits()
}

// validDecimal accepts a JSON number, with leading zeros allowed as in 007.50.
func validDecimal(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	for len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		digits = digits[1:]
	}
	return value.ValidNumber([]byte(digits))
}

// limits returns an error for a decimal that exceeds the limits.
func (x Decimal) limits() error {
	if x.d.Form != apd.Finite {
		return errors.New("the result is not a number")
	}
	if x.d.NumDigits() > maxDecimalDigits {
		return fmt.Errorf("a decimal has at most %d digits", maxDecimalDigits)
	}
	if e := x.d.Exponent; e > maxDecimalExponent || e < -2*maxDecimalExponent || int64(e)+x.d.NumDigits() > maxDecimalExponent {
		return fmt.Errorf("a decimal must be less than 1e%d", maxDecimalExponent)
	}
	return nil
}

// String returns the digits without an exponent and without trailing zeros.
func (x Decimal) String() string {
	var r apd.Decimal
	r.Reduce(x.d)
	if r.IsZero() {
		return "0"
	}
	return r.Text('f')
}

// InText is String; it makes a Decimal a Computed.
func (x Decimal) InText() (string, error) { return x.String(), nil }

// Kind returns the name in the language's terms.
func (Decimal) Kind() string { return "a number" }

func (x Decimal) negated() Decimal {
	out := Decimal{new(apd.Decimal)}
	out.d.Neg(x.d)
	return out
}

// whole truncates the fraction.
func (x Decimal) whole() int {
	down := rounding
	down.Rounding = apd.RoundDown
	var r apd.Decimal
	if _, err := down.Quantize(&r, x.d, 0); err != nil {
		panic(errOverflow)
	}
	n, err := r.Int64()
	if err != nil {
		panic(fmt.Errorf("int: %s does not fit into 64 bits", value.Clip(x.String(), 40)))
	}
	return int(n)
}

// rounded rounds to n digits after the point.
func (x Decimal) rounded(n int, mode apd.Rounder) Decimal {
	c := rounding
	c.Rounding = mode
	out := Decimal{new(apd.Decimal)}
	if _, err := c.Quantize(out.d, x.d, int32(-n)); err != nil {
		panic(fmt.Errorf("%s cannot be rounded to %d digits", value.Clip(x.String(), 40), n))
	}
	return out
}

// Plain returns the decimal as the number that a JSON parser makes of its digits.
func (x Decimal) Plain() (any, error) {
	text := x.String()
	if !strings.Contains(text, ".") {
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
		if len(text) <= value.MaxNumberLength {
			return json.Number(text), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && len(text) <= value.MaxNumberLength {
		if back, err := toDecimal(f); err == nil && back.d.Cmp(x.d) == 0 {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s has more digits than JSON numbers keep; write round(…, 2), or string(…) or fixed(…, 2) for text",
		value.Clip(text, 60))
}

// decimalArithmetic computes exactly; at least one operand is a decimal.
func (m *meter) decimalArithmetic(op string, a, b any) any {
	if !isNumeric(a) || !isNumeric(b) {
		panic(operandError(op, a, b))
	}
	m.work(decimalSteps)
	x, err := toDecimal(a)
	must(err)
	y, err := toDecimal(b)
	must(err)
	m.work(int(x.d.NumDigits()*y.d.NumDigits()) >> 8)
	out := Decimal{new(apd.Decimal)}
	switch op {
	case "+":
		_, err = exact.Add(out.d, x.d, y.d)
	case "-":
		_, err = exact.Sub(out.d, x.d, y.d)
	case "*":
		_, err = exact.Mul(out.d, x.d, y.d)
	case "/":
		if y.d.IsZero() {
			panic(errors.New("division by zero"))
		}
		if _, err = exact.Quo(out.d, x.d, y.d); err != nil {
			_, err = dividing.Quo(out.d, x.d, y.d)
		}
	case "%":
		if y.d.IsZero() {
			panic(errors.New("division by zero"))
		}
		_, err = exact.Rem(out.d, x.d, y.d)
	default:
		out = m.decimalPower(x, y)
	}
	if err == nil {
		err = out.limits()
	}
	if err != nil {
		panic(fmt.Errorf("the result of %s has more than %d digits; round its operands with round(…, n)", op, maxDecimalDigits))
	}
	m.charge(64 + int(out.d.NumDigits()))
	return out
}

func (m *meter) decimalPower(x, y Decimal) Decimal {
	n, err := y.d.Int64()
	if err != nil || n < 0 || n > 1000 {
		panic(errors.New("a decimal can be raised to whole powers from 0 to 1000"))
	}
	var out any = Decimal{apd.New(1, 0)}
	for range n {
		out = m.decimalArithmetic("*", out, x)
	}
	return out.(Decimal)
}

func isDecimal(v any) bool { _, ok := v.(Decimal); return ok }

// fromDecimal converts a decimal to a plain number; other values are unchanged.
func fromDecimal(v any) any {
	if x, ok := v.(Decimal); ok {
		n, err := x.Plain()
		must(err)
		return n
	}
	return v
}

// extreme implements max and min for numbers and lists of numbers, decimals included.
func (m *meter) extreme(name string, want int, args []any) any {
	var best any
	for _, n := range m.numbers(name, args, nil, 0) {
		if isDecimal(n) || isDecimal(best) {
			m.work(decimalSteps)
		}
		if best == nil || compareNumbers(n, best) == want {
			best = n
		}
	}
	return best
}

func (m *meter) numbers(name string, args, out []any, depth int) []any {
	if depth > value.MaxJSONDepth {
		panic(fmt.Errorf("%s: nested too deep", name))
	}
	for _, v := range args {
		m.work(3)
		m.charge(32)
		if v = operand(v); isNumeric(v) {
			out = append(out, v)
			continue
		}
		if r := reflect.ValueOf(v); r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
			panic(fmt.Errorf("%s takes numbers, got %s%s", name, value.Describe(v), ifMissing(fmt.Sprintf("%T", v))))
		}
		out = m.numbers(name, elements(name, v), out, depth+1)
	}
	return out
}

// mean is exact if one of the numbers is a decimal; a sum of integers that exceeds 64 bits is an
// error.
func (m *meter) mean(args []any) any {
	list := m.numbers("mean", args, nil, 0)
	if len(list) == 0 {
		return 0.0
	}
	return m.arithmetic("/", m.sum(list), len(list))
}

// digitsArg returns the requested number of digits after the point.
func digitsArg(name string, a []any) int {
	n := intArg(name, a, 1)
	if n < 0 || n > 20 {
		panic(fmt.Errorf("%s: the number of digits must be from 0 to 20, got %d", name, n))
	}
	return n
}

// round rounds half away from zero, to an integer or to a number of digits. It rounds floats by
// their decimal digits: 2.675 gives 2.68.
func round(a []any) any {
	v := operand(arg("round", a, 0))
	if len(a) == 1 {
		return roundWhole("round", v, math.Round, apd.RoundHalfUp)
	}
	n := digitsArg("round", a)
	switch x := v.(type) {
	case int:
		return x
	case float64:
		d, err := toDecimal(x)
		must(err)
		f, err := strconv.ParseFloat(d.rounded(n, apd.RoundHalfUp).d.Text('f'), 64)
		must(err)
		return f
	case Decimal:
		return x.rounded(n, apd.RoundHalfUp)
	}
	panic(notANumber("round", v))
}

// roundWhole implements round, ceil and floor to integers, for which expr returns floats.
func roundWhole(name string, v any, float func(float64) float64, mode apd.Rounder) any {
	switch x := operand(v).(type) {
	case int:
		if exactFloat(x) != nil {
			return x
		}
		return float64(x)
	case float64:
		return float(x)
	case Decimal:
		return x.rounded(0, mode)
	}
	panic(notANumber(name, v))
}

func notANumber(name string, v any) error {
	switch v.(type) {
	case string, json.Number:
		return fmt.Errorf("%s needs a number, got %s; write %s(decimal(…))", name, value.Describe(v), name)
	}
	return fmt.Errorf("%s needs a number, got %s", name, value.Describe(v))
}

// fixed formats a number with a fixed number of digits after the point.
func fixed(a []any) any {
	v := operand(arg("fixed", a, 0))
	if !isNumeric(v) {
		panic(notANumber("fixed", v))
	}
	n := digitsArg("fixed", a)
	d, err := toDecimal(v)
	must(err)
	return d.fixed(n)
}

func (x Decimal) fixed(n int) string {
	r := x.rounded(n, apd.RoundHalfUp)
	if r.d.IsZero() {
		r.d.Negative = false
	}
	return r.d.Text('f')
}

func ceiling(v any) any { return roundWhole("ceil", v, math.Ceil, apd.RoundCeiling) }
func floor(v any) any   { return roundWhole("floor", v, math.Floor, apd.RoundFloor) }

// toFloat implements float(x).
func toFloat(v any) any {
	switch x := operand(v).(type) {
	case int:
		f := float64(x)
		if f >= 1<<63 || int(f) != x {
			panic(fmt.Errorf("float: %d has more digits than a fraction keeps; use the number as it is, or decimal(…)", x))
		}
		return f
	case float64:
		return x
	case Decimal:
		f, err := strconv.ParseFloat(x.String(), 64)
		must(err)
		return f
	case json.Number:
		f, err := strconv.ParseFloat(string(x), 64)
		must(err)
		return f
	case string:
		f, err := strconv.ParseFloat(x, 64)
		if err != nil {
			panic(fmt.Errorf("float: %q is not a number", value.Clip(x, 40)))
		}
		return f
	}
	panic(fmt.Errorf("float needs a number or its text, got %s", value.Describe(v)))
}

// median is exact if one of the middle numbers is a decimal.
func (m *meter) median(args []any) any {
	list := m.numbers("median", args, nil, 0)
	if len(list) == 0 {
		return 0.0
	}
	each := 3
	if slices.ContainsFunc(list, isDecimal) {
		each = decimalSteps
	}
	m.work(each * sortSteps(len(list)))
	slices.SortFunc(list, compareNumbers)
	half := len(list) / 2
	if len(list)%2 == 1 {
		return list[half]
	}
	return m.arithmetic("/", m.arithmetic("+", list[half-1], list[half]), 2)
}

// typeName implements type(x) with decimals and integers of more than 64 bits.
func typeName(v any) any {
	switch v.(type) {
	case Decimal:
		return "decimal"
	case json.Number:
		return "int"
	}
	return builtin.Type(v)
}
