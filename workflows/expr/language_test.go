package expr_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/builtin"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// eval compiles and evaluates an expression over names.
func eval(t testing.TB, text string, names expr.Names) (any, error) {
	t.Helper()
	var keys []string
	for k := range names {
		keys = append(keys, k)
	}
	e, err := expr.Compile(text, keys...)
	if err != nil {
		return nil, err
	}
	return e.Eval(&expr.Env{Names: names, Now: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), Seed: "seed"})
}

func data(t testing.TB, text string) any {
	t.Helper()
	v, err := value.DecodeJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExpressionsFollowTheLanguage(t *testing.T) {
	names := expr.Names{"event": data(t,
		`{"data": {"big": 12345678901234567890123, "exact": 9007199254740993, "f": 1700000000.0, "none": null,
		"lines": [{"sku": "K1", "quantity": 2}, {"sku": "K2", "quantity": 0}], "m": {"b": 1, "a": 2}, "text": "Ädäm"}}`)}
	for expr, want := range map[string]string{
		`event.data.exact + 1`:                     `9007199254740994`,
		`event.data.big`:                           `12345678901234567890123`,
		`string(event.data.f)`:                     `"1700000000"`,
		`event.data.none?.deep ?? "stand-in"`:      `"stand-in"`,
		`filter(event.data.lines, .quantity > 0)`:  `[{"quantity":2,"sku":"K1"}]`,
		`keys(event.data.m)`:                       `["a","b"]`,
		`groupBy(event.data.lines, .quantity > 0)`: `{"false":[{"quantity":0,"sku":"K2"}],"true":[{"quantity":2,"sku":"K1"}]}`,
		`10 / 4`:               `2.5`,
		`event.data.text[0:2]`: `"Äd"`,
		`map(event.data.lines, {let l = #; l.sku + "!"})`: `["K1!","K2!"]`,
		`isoTime(now())`:        `"2026-05-01T10:00:00.000Z"`,
		`uuid() == uuid()`:      `false`,
		`truncate("abcdef", 3)`: `"abc"`,
		`"a" in ["a"]`:          `true`,
	} {
		v, err := eval(t, expr, names)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got, err := value.EncodeJSON(v); err != nil || string(got) != want {
			t.Errorf("%s = %s (%v), want %s", expr, got, err, want)
		}
	}
}

func TestFailedExpressionsReportTheReason(t *testing.T) {
	names := expr.Names{"event": data(t, `{"data": {"none": null, "big": 12345678901234567890123, "text": "a", "n": 1}}`)}
	for expr, want := range map[string]string{
		`event.data.none.deep`:       "event.data.none is nil; write event.data.none?.deep",
		`1 / 0`:                      "division by zero",
		`event.data.big + 1`:         "larger than 64 bits",
		`event.data.text + 1`:        "+ cannot add text and a number",
		`string(event.data.none)`:    "the value is nil",
		`9223372036854775807 + 1`:    "does not fit into 64 bits",
		`2.0 ** 5000`:                "not a number",
		`event.data.n > "a"`:         "",
		`repeat("a", 999999999)`:     "out of bounds",
		`join(event.data.text, ",")`: "must be a list",
	} {
		_, err := eval(t, expr, names)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
}

// TestHostileExpressionsAreStopped guards promise P33: each ends within a quarter of a second and a
// bounded heap, and the process survives.
func TestHostileExpressionsAreStopped(t *testing.T) {
	list := make([]any, 2000)
	for i := range list {
		list[i] = i
	}
	long := strings.Repeat("a", 900_000)
	names := expr.Names{"list": list, "text": long, "pattern": "(a?){500}b"}
	hostile := []string{
		`repeat(repeat("a", 900000), 900000)`,
		`reduce(1..40, #acc + #acc, "ab")`,
		`reduce(1..20, replace(#acc, "a", "aaaaaaaaaa"), "a")`,
		`all(list, {let x = #; all(list, {let y = #; all(list, # + x + y > -1)})})`,
		`text matches pattern`,
		`match(text, pattern)`,
		`len(map(1..100000, text + "x"))`,
		`join(map(1..300000, "` + strings.Repeat("x", 178) + `"), "")`,
		`let a = text + text; let b = a + a; let c = b + b; let d = c + c; let e = d + d; e + e`,
		`toJSON(map(1..1000, text))`,
		`flatten(map(1..1000, list))`,
		`uniq(concat(list, list, list)) == list and all(list, {let x = #; all(list, {let y = #; # in list})})`,
		`1..100000000`,
		`map(1..1000, map(1..1000, map(1..1000, 1)))`,
		`string(map(1..5000, text))`,
		strings.Repeat("-", 30_000) + "1",
		strings.Repeat("(", 30_000),
		"'" + strings.Repeat("a", 40_000) + "'",
	}
	for _, h := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := eval(t, h, names)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		short := h[:min(len(h), 60)]
		if err == nil && h != `text matches pattern` && !strings.HasPrefix(h, "-") {
			t.Errorf("%s: was not stopped", short)
		}
		// Far more than the budget, since the test machines are small and shared, and the race
		// detector is ten times slower; unstopped, each expression takes minutes to years.
		if took > 10*time.Second {
			t.Errorf("%s: took %v", short, took)
		}
		if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 512<<20 {
			t.Errorf("%s: allocated %d MiB", short, grown>>20)
		}
	}
}

func TestExampleOfEachFunctionIsTrue(t *testing.T) {
	known := map[string]bool{}
	for _, f := range expr.Functions() {
		known[f.Name] = true
		v, err := eval(t, f.Example, expr.Names{})
		if err != nil || v != true {
			t.Errorf("%s: %s gives %v, %v", f.Name, f.Example, v, err)
		}
	}
	for _, name := range builtin.Names {
		if !known[name] {
			t.Errorf("%s of expr is not listed", name)
		}
	}
}

func TestFastPathsAgreeWithTheVM(t *testing.T) {
	for _, doc := range []string{
		`{"data": {"a": {"b": 1}}}`, `{"data": {"a": null}}`, `{"data": {"a": "text"}}`, `{"data": [1]}`,
		`{}`, `{"data": {"b": false}}`,
	} {
		for _, path := range []string{
			`event.data.a.b`, `event.data?.a?.b`, `event.data.a`, `event.data.a ?? event.data.b`,
			`event["data"]["a"]`,
		} {
			names := expr.Names{"event": data(t, doc)}
			quick, errQuick := eval(t, path, names)
			slow, errSlow := eval(t, "true ? ("+path+") : 0", names)
			a, _ := value.EncodeJSON(quick)
			b, _ := value.EncodeJSON(slow)
			if !bytes.Equal(a, b) || (errQuick == nil) != (errSlow == nil) {
				t.Errorf("%s over %s: %s %v, the machine says %s %v", path, doc, a, errQuick, b, errSlow)
			}
		}
	}
}

// FuzzExpression compiles and evaluates arbitrary text within its budget.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{`event.data.a ?? 1`, `map(list, {# + 1})`, `"a" + "b"`, `let x = 1; x + 1`, `filter(1..10, # % 2 == 0)`} {
		f.Add(s)
	}
	list := []any{1, "a", nil, map[string]any{"b": 2.5}}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		v, err := eval(t, text, expr.Names{"event": map[string]any{"data": map[string]any{"a": nil}}, "list": list})
		if took := time.Since(began); took > 3*time.Second {
			t.Fatalf("took %v", took)
		}
		if err == nil {
			if _, ok := v.(time.Time); !ok {
				if _, err := value.EncodeJSON(v); err != nil && !strings.Contains(err.Error(), "too large") {
					t.Fatalf("the result is no data: %v", err)
				}
			}
		}
	})
}
