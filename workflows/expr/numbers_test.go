package expr_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
	"golang.org/x/text/currency"
	"pgregory.net/rapid"
)

// wholeNumbers generates integers near the limits of 64 bits and of floats, and any others.
func wholeNumbers() *rapid.Generator[int] {
	near := rapid.SampledFrom([]int{0, 1, -1, math.MaxInt, math.MinInt, 1 << 53, -(1 << 53), 1 << 31, 1 << 32, 3037000499, -3037000500})
	return rapid.OneOf(rapid.Int(), rapid.IntRange(-50, 50), rapid.Custom(func(t *rapid.T) int {
		return near.Draw(t, "near") + rapid.IntRange(-3, 3).Draw(t, "off") // wraps around on purpose: any int will do
	}))
}

// TestIntegersAreExactOrAnError compares every operator with math/big, for names and for
// constants.
func TestIntegersAreExactOrAnError(t *testing.T) {
	big64 := func(x int) *big.Int { return big.NewInt(int64(x)) }
	ops := map[string]func(x, y int) *big.Rat{
		"a + b":      func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Add(big64(x), big64(y))) },
		"a - b":      func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Sub(big64(x), big64(y))) },
		"a * b":      func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Mul(big64(x), big64(y))) },
		"a % b":      func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Rem(big64(x), big64(y))) },
		"-a":         func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Neg(big64(x))) },
		"abs(a)":     func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Abs(big64(x))) },
		"sum([a,b])": func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Add(big64(x), big64(y))) },
		"sum([a], # * b)": func(x, y int) *big.Rat {
			return new(big.Rat).SetInt(new(big.Int).Mul(big64(x), big64(y)))
		},
		"reduce([a,b], #acc - #)": func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Sub(big64(x), big64(y))) },
		"a ** abs(b % 9)": func(x, y int) *big.Rat {
			n := new(big.Int).Abs(new(big.Int).Rem(big64(y), big.NewInt(9)))
			return new(big.Rat).SetInt(new(big.Int).Exp(big64(x), n, nil))
		},
		"bitshl(a, abs(b % 70))": func(x, y int) *big.Rat {
			n := new(big.Int).Abs(new(big.Int).Rem(big64(y), big.NewInt(70)))
			return new(big.Rat).SetInt(new(big.Int).Lsh(big64(x), uint(n.Int64())))
		},
		"abs(a - b)": func(x, y int) *big.Rat {
			return new(big.Rat).SetInt(new(big.Int).Abs(new(big.Int).Sub(big64(x), big64(y))))
		},
		"abs(-a)":     func(x, y int) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Abs(big64(x))) },
		"max(a, b)":   func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(max(x, y))) },
		"min([a, b])": func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(min(x, y))) },
		"median([a])": func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(x)) },
		"floor(a)":    func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(x)) },
		"ceil(a)":     func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(x)) },
		"round(a, 2)": func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(x)) },
		"int(decimal(a))": func(x, y int) *big.Rat {
			return new(big.Rat).SetInt(big64(x))
		},
		"fromJSON(toJSON(a))": func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(x)) },
		"int(string(a))":      func(x, y int) *big.Rat { return new(big.Rat).SetInt(big64(x)) },
	}
	rapid.Check(t, func(r *rapid.T) {
		x, y := wholeNumbers().Draw(r, "a"), wholeNumbers().Draw(r, "b")
		for text, truth := range ops {
			if strings.Contains(text, "%") && y == 0 {
				continue
			}
			// The smallest integer has no literal.
			constant := strings.NewReplacer("bitshl", "bitshl", "abs", "abs", "max", "max", "median", "median", "decimal", "decimal", "#acc", "#acc",
				"a", literal(x), "b", literal(y)).Replace(text)
			for _, source := range []string{text, constant} {
				v, err := evaluate(source, expr.Names{"a": x, "b": y})
				want := truth(x, y)
				if !want.IsInt() || !want.Num().IsInt64() {
					if err == nil {
						r.Fatalf("%s with a=%d b=%d gives %v, the truth is %s", source, x, y, v, want)
					}
					continue
				}
				// floor and ceil return a fraction, which is written like an integer.
				if got, _ := value.Text(v); err != nil || got != want.Num().String() {
					r.Fatalf("%s with a=%d b=%d gives %v %v, the truth is %s", source, x, y, v, err, want.Num())
				}
			}
		}
		if y != 0 {
			quotientIsRight(r, x, y)
		}
	})
}

// quotientIsRight checks that a division returns the exact quotient, the nearest float, or an
// error.
func quotientIsRight(r *rapid.T, x, y int) {
	v, err := evaluate("a / b", expr.Names{"a": x, "b": y})
	if err != nil {
		return
	}
	want := big.NewRat(int64(x), 1)
	want.Quo(want, big.NewRat(int64(y), 1))
	if n, whole := v.(int); whole {
		if want.Cmp(big.NewRat(int64(n), 1)) != 0 {
			r.Fatalf("%d / %d gives %d", x, y, n)
		}
		return
	}
	if nearest, _ := want.Float64(); v != nearest {
		r.Fatalf("%d / %d gives %v, the nearest is %v", x, y, v, nearest)
	}
}

func literal(n int) string {
	if n == math.MinInt {
		return "(-9223372036854775807 - 1)"
	}
	return fmt.Sprintf("(%d)", n)
}

func evaluate(text string, names expr.Names) (any, error) {
	var list []string
	for k := range names {
		list = append(list, k)
	}
	e, err := expr.Compile(text, list...)
	if err != nil {
		return nil, err
	}
	return e.Eval(&expr.Env{Names: names})
}

// TestDecimalsAreExact compares + - * of decimals with math/big.
func TestDecimalsAreExact(t *testing.T) {
	text := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%d.%0*d", rapid.IntRange(-1_000_000, 1_000_000).Draw(t, "whole"),
			rapid.IntRange(1, 6).Draw(t, "digits"), rapid.IntRange(0, 999).Draw(t, "part"))
	})
	rapid.Check(t, func(r *rapid.T) {
		x, y := text.Draw(r, "x"), text.Draw(r, "y")
		a, _ := new(big.Rat).SetString(x)
		b, _ := new(big.Rat).SetString(y)
		for op, want := range map[string]*big.Rat{"+": new(big.Rat).Add(a, b), "-": new(big.Rat).Sub(a, b), "*": new(big.Rat).Mul(a, b)} {
			v, err := evaluate("string(decimal(x) "+op+" decimal(y))", expr.Names{"x": x, "y": y})
			if err != nil {
				r.Fatal(err)
			}
			got, ok := new(big.Rat).SetString(v.(string))
			if !ok || got.Cmp(want) != 0 {
				r.Fatalf("%s %s %s gives %v, the truth is %s", x, op, y, v, want.FloatString(20))
			}
		}
	})
}

func TestMoneyAndRoundingFunctions(t *testing.T) {
	names := expr.Names{"big": data(t, `123456789012345678901234567890`), "cents": 1990, "price": 19.99, "text": "19.99",
		"items": data(t, `[{"p": "0.10", "n": 3}, {"p": "0.20", "n": 1}]`), "max": math.MaxInt}
	for text, want := range map[string]string{
		`money(1990, "EUR")`: `"19.90"`, `money(cents, "eur") + " EUR"`: `"19.90 EUR"`, `money(500, "JPY")`: `"500"`,
		`money(1234, "KWD")`: `"1.234"`, `money(500, "isk")`: `"500"`, `money(500, "isk", "stripe")`: `"5.00"`,
		`money(500, "UGX", "stripe")`: `"5.00"`,
		`money(500, "mga", "stripe")`: `"500"`, `money(500, "mga")`: `"5.00"`, `money(1990, "eur", "stripe")`: `"19.90"`,
		`money(-5, "USD")`: `"-0.05"`, `money(0, "EUR")`: `"0.00"`, `money("1990", "EUR")`: `"19.90"`, `money(1990.0, "EUR")`: `"19.90"`,
		`money(9223372036854775807, "EUR")`: `"92233720368547758.07"`, `money(big, "EUR")`: `"1234567890123456789012345678.90"`,
		`fixed(19.9, 2)`: `"19.90"`, `fixed(20, 2)`: `"20.00"`, `fixed(1.005, 2)`: `"1.01"`,
		`fixed(-1.005, 2)`: `"-1.01"`, `fixed(-0.001, 2)`: `"0.00"`,
		`fixed(1e21, 1)`: `"1000000000000000000000.0"`, `fixed(2.5, 0)`: `"3"`,
		`round(2.675, 2)`: `2.68`, `round(-2.5)`: `-3`, `round(2.5)`: `3`, `round(7, 2)`: `7`,
		`round(max)`: `9223372036854775807`, `round(decimal("2.345"), 2)`: `2.35`,
		`decimal("19.99") * 100`: `1999`, `100 * decimal(price)`: `1999`, `decimal(text) + 0.01`: `20`,
		`decimal("0.1") + decimal("0.2")`:        `0.3`,
		`decimal("0.1") + decimal("0.2") == 0.3`: `true`, `decimal("1.0") == 1`: `true`, `decimal("2") > 10`: `false`,
		`decimal("2") in [1, 2.0]`: `true`,
		`decimal("1") == "1"`:      `false`, `decimal("1") != nil`: `true`, `decimal(max) + 1`: `9223372036854775808`,
		`decimal(big) - 1`:             `123456789012345678901234567889`,
		`sum(items, decimal(.p) * .n)`: `0.5`, `sum(map(items, decimal(.p)))`: `0.3`, `min([decimal("2"), 10])`: `2`,
		`mean([decimal("0.1"), decimal("0.2")])`: `0.15`, `median([decimal("0.1"), decimal("0.4"), 0.2])`: `0.2`,
		`-decimal("1.50")`: `-1.5`, `abs(decimal("-1.50"))`: `1.5`,
		`string(decimal("19.90"))`: `"19.9"`, `fixed(decimal("19.90"), 2)`: `"19.90"`, `int(decimal("19.99"))`: `19`,
		`int(decimal("-19.99"))`:  `-19`,
		`float(9007199254740992)`: `9007199254740992`,
		`float(decimal("0.5"))`:   `0.5`, `floor(decimal("-1.5"))`: `-2`, `ceil(decimal("1.2"))`: `2`,
		`decimal("10") % 3`: `1`, `decimal("1.1") ** 2`: `1.21`,
		`decimal("1") / 4`: `0.25`, `string(decimal("1") / 3)`: `"0.3333333333333333333333333333333333"`,
		`round(decimal("10") / 3, 2)`:                `3.33`,
		`keys(groupBy(items, decimal(.p) * 10 > 1))`: `["false","true"]`,
		`len(groupBy([1, 2], decimal("1.0") * 1))`:   `1`, `sortBy([3, 1], decimal(#))`: `[1,3]`,
		`big > 1 and 1.5 < big and big >= -7`: `true`, `sort([decimal("5"), 3])`: `[3,5]`, `sort([3, decimal("5")], "desc")`: `[5,3]`,
		`type(big)`: `"int"`, `filter([big, 1], # <= 1000)`: `[1]`,
		`type(decimal(1))`: `"decimal"`, `toJSON({a: decimal("1.50")})`: `"{\"a\":1.5}"`, `decimal("007.50")`: `7.5`,
		`decimal("1e3")`: `1000`,
		`reduce(items, #acc + decimal(#.p), decimal(0))`: `0.3`, `let d = decimal("1.5"); d > 1 and d < 2`: `true`,
		`2 ** 62`: `4611686018427387904`, `2 ** -1`: `0.5`,
		`max / 7`: `1317624576693539401`, `1000000000 * 60`: `60000000000`, `sum([])`: `0`, `sum(1..3)`: `6`,
		`int(-1.9)`: `-1`, `7 / 2`: `3.5`, `-7 % 3`: `-1`,
	} {
		v, err := evaluate(text, names)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if b, err := value.EncodeJSON(v); err != nil || string(b) != want {
			t.Errorf("%s gives %s %v, want %s", text, b, err, want)
		}
	}
}

func TestNumbersThatDoNotFitAreErrors(t *testing.T) {
	names := expr.Names{"max": math.MaxInt, "big": data(t, `12345678901234567890`), "huge": strings.Repeat("9", 400)}
	for text, want := range map[string]string{
		`max * 2`: "64 bits", `max + 1`: "64 bits", `-max - 2`: "64 bits", `sum([max, 1])`: "64 bits",
		`max ** 2`: "64 bits", `1000000 * 10000000000000`: "64 bits",
		`int(1e19)`: "64 bits", `int("9223372036854775808")`: "64 bits", `int("19.99")`: "int(decimal(",
		`float(max)`: "more digits than a fraction keeps", `float(9007199254740993)`: "more digits than a fraction keeps",
		`int("x")`: "not a whole number", `max + 0.5`: "decimal(",
		`max / 2`: "decimal(", `big + 1`: "decimal(", `big * 2`: "decimal(", `-big`: "decimal(", `int(big)`: "64 bits",
		`7 % 0`: "division by zero", `7.5 % 2`: "whole numbers",
		`money(19.9, "EUR")`: "minor units", `money(1990, "EURO")`: "ISO 4217", `money(1990, "EUR", "paypal")`: "is \"stripe\"",
		`fixed("19.9", 2)`: "decimal(",
		`round("x")`:       "decimal(", `fixed(1, 21)`: "0 to 20",
		`decimal("1e400")`: "1e400", `decimal("1e1000000000")`: "", `decimal("NaN")`: "not a decimal number",
		`decimal("1,50")`: "not a decimal number", `decimal(nil)`: "??",
		`decimal(huge) * decimal(huge)`: "digits", `decimal("1") / 3`: "round(",
		`decimal("1") / 0`: "division by zero", `decimal("1") + "1"`: "does not fit", `decimal("1") < "x"`: "",
		`groupBy([1], decimal("12345678901234567.89"))`: "string(",
		`decimal("2") ** 100000`:                        "powers", `bitshl(1, 63)`: "64 bits",
		`date("2400-01-01") - date("1900-01-01")`: "292 years",
		`decimal("12345678901234567.89")`:         "string(",
	} {
		if text == `decimal("1") + "1"` {
			want = "+ cannot add"
		}
		v, err := evaluate(text, names)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v %v, want an error with %q", text, v, err, want)
		}
	}
}

// TestCurrenciesMatchTheStandard compares our table with CLDR's list of codes.
func TestCurrenciesMatchTheStandard(t *testing.T) {
	for _, code := range expr.Currencies() {
		if _, err := currency.ParseISO(code); err != nil && !slices.Contains([]string{"VED", "MRU", "UYW", "VES"}, code) &&
			code != "SLE" && code != "ZWG" && code != "XCG" {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestNamesDoNotLeakIntoTheNextEvaluation checks that pooled machines share no names.
func TestNamesDoNotLeakIntoTheNextEvaluation(t *testing.T) {
	for _, text := range []string{`event.a ?? "none"`, `$env["event"]?.a ?? "none"`, `[1] | map(event?.a ?? "none") | first()`} {
		e, err := expr.Compile(text, "event")
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct{ env, want any }{{map[string]any{"a": "x"}, "x"}, {nil, "none"}} {
			names := expr.Names{}
			if x.env != nil {
				names["event"] = x.env
			}
			if v, err := e.Eval(&expr.Env{Names: names}); err != nil && x.env != nil || err == nil && v != x.want {
				t.Errorf("%s: %v %v, not %v", text, v, err, x.want)
			}
		}
	}
}

// TestNumbersOfEveryKindCompareExactly compares operators and functions with math/big for integers
// near and beyond the limits of floats and of 64 bits, in a small rule, in a loop and as constants.
func TestNumbersOfEveryKindCompareExactly(t *testing.T) {
	numbers := rapid.OneOf(
		rapid.Map(wholeNumbers(), func(x int) any { return x }),
		rapid.Map(wholeNumbers(), func(x int) any { return float64(x) }),
		rapid.Map(wholeNumbers(), func(x int) any { return float64(x) / 2 }),
		rapid.Map(wholeNumbers(), func(x int) any {
			n := new(big.Int).Lsh(big.NewInt(int64(x)), 3)
			if n.IsInt64() {
				return int(n.Int64())
			}
			return json.Number(n.String())
		}),
	)
	exact := func(v any) *big.Rat {
		r, _ := new(big.Rat).SetString(fmt.Sprint(v))
		if f, ok := v.(float64); ok {
			r = new(big.Rat).SetFloat64(f)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		c := exact(a).Cmp(exact(b))
		for text, want := range map[string]bool{
			"a == b": c == 0, "a != b": c != 0, "a < b": c < 0, "a <= b": c <= 0, "a > b": c > 0, "a >= b": c >= 0,
			"a in [b]": c == 0, "a in l": c == 0, "not (a in l)": c != 0, "any(l, a < #)": c < 0, "filter(l, # == a) == l": c == 0,
			"max(a, b) == a": c >= 0, "min(l, a) == a": c <= 0, "sort([a, b])[0] == a": c <= 0, "sort([a, b], 'desc')[0] == a": c >= 0,
			"sortBy([{k: a}, {k: b}], .k)[0].k == a": c <= 0, "sortBy([{k: a}, {k: b}], .k, 'desc')[0].k == a": c >= 0,
			"[a] == l": c == 0, "count(l, # == a) == 1": c == 0,
		} {
			got, err := evaluate(text, expr.Names{"a": a, "b": b, "l": []any{b}})
			if err != nil || got != want {
				t.Fatalf("%s with a = %v (%T), b = %v (%T): %v %v, want %v", text, a, a, b, b, got, err, want)
			}
		}
		x, ok := a.(int)
		if !ok || x == math.MinInt {
			return
		}
		if got, err := evaluate(fmt.Sprintf("%d == b", x), expr.Names{"b": b}); err != nil || got != (c == 0) {
			t.Fatalf("the constant %d == %v (%T): %v %v", x, b, b, got, err)
		}
		among := c == 0 || exact(b).Cmp(big.NewRat(-7, 1)) == 0
		if got, err := evaluate(fmt.Sprintf("b in [%d, -7]", x), expr.Names{"b": b}); err != nil || got != among {
			t.Fatalf("%v (%T) in [%d]: %v %v", b, b, x, got, err)
		}
	})
}
