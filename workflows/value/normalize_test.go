package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// computed is a value of an expression's evaluation.
type computed struct{ err error }

func (c computed) Plain() (any, error) {
	if c.err != nil {
		return nil, c.err
	}
	return "plain", nil
}
func (c computed) InText() (string, error) { return "in text", c.err }
func (c computed) Kind() string            { return "a decimal" }

type (
	named   string
	flag    bool
	counter struct{ work, bytes int }
)

func (c *counter) Work(n int)   { c.work += n }
func (c *counter) Charge(n int) { c.bytes += n }

var moment = time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.FixedZone("x", 3600))

// TestValuesOfExpressionsBecomePlainData, texts and words for messages.
func TestValuesOfExpressionsBecomePlainData(t *testing.T) {
	text, none := "p", (*string)(nil)
	for _, c := range []struct {
		v, plain       any
		text, describe string
	}{
		{nil, nil, "", "nil"}, {true, true, "true", "true or false"}, {"a", "a", "a", "text"}, {5, 5, "5", "a number"}, {int64(6),
			6, "6", "a number"},
		{json.Number("1e400"), json.Number("1e400"), "1e400", "a number"}, {1.5, 1.5, "1.5", "a number"}, {1e21, 1e21,
			"1000000000000000000000", "a number"},
		{1e-9, 1e-9, "0.000000001", "a number"}, {1e-10, 1e-10, "0.0000000001", "a number"}, {0.0, 0.0, "0", "a number"}, {-2e21, -2e21,
			"-2000000000000000000000", "a number"},
		{moment, "2026-01-02T02:04:05.006Z", "2026-01-02T02:04:05.006Z", "a time"}, {90 * time.Second, "1m30s", "1m30s", "a duration"},
		{[]any{1, "a"}, []any{1, "a"}, `[1,"a"]`, "a list"}, {[]any{}, []any{}, "[]", "a list"}, {map[string]any{"a": 1},
			map[string]any{"a": 1}, `{"a":1}`, "an object"},
		{computed{}, "plain", "in text", "a decimal"}, {[]byte("ab"), "ab", "ab", "a list"}, {[]int{1, 2}, []any{1, 2}, "[1,2]",
			"a list"},
		{[2]string{"a", "b"}, []any{"a", "b"}, `["a","b"]`, "a list"}, {map[int]bool{1: true}, map[string]any{"1": true},
			`{"1":true}`, "an object"},
		{map[any]any{"a": moment}, map[string]any{"a": "2026-01-02T02:04:05.006Z"}, `{"a":"2026-01-02T02:04:05.006Z"}`, "an object"},
		{int8(-3), -3, "-3", "something that is not data"}, {int16(4), 4, "4", "something that is not data"}, {int32(5), 5, "5",
			"something that is not data"},
		{uint8(7), 7, "7", "something that is not data"}, {uint(math.MaxInt64), math.MaxInt64, "9223372036854775807",
			"something that is not data"},
		{uint64(math.MaxInt64 + 1), json.Number("9223372036854775808"), "9223372036854775808", "something that is not data"},
		{float32(0.5), 0.5, "0.5", "something that is not data"}, {named("n"), "n", "n", "something that is not data"},
		{flag(true), true, "true", "something that is not data"},
		{&text, "p", "p", "something that is not data"}, {none, nil, "", "something that is not data"},
	} {
		plain, err := Normalize(c.v)
		if err != nil || !reflect.DeepEqual(plain, c.plain) {
			t.Errorf("%T %v: %#v %v", c.v, c.v, plain, err)
		}
		if got, err := Text(c.v); err != nil || got != c.text || Shown(c.v) != c.text {
			t.Errorf("%T %v as text: %q %v", c.v, c.v, got, err)
		}
		if got := Describe(c.v); got != c.describe {
			t.Errorf("%T is %s", c.v, got)
		}
	}
	if Describe(func() {}) != "a function" || Describe(make(chan int)) != "something that is not data" {
		t.Error(Describe(func() {}))
	}
}

func TestWhatIsNoDataIsAnErrorAtAnyDepth(t *testing.T) {
	failed := errors.New("failed")
	for want, v := range map[string]any{"the result is NaN, which is not a number": math.NaN(), "the result is +Inf": math.Inf(1),
		"the result is -Inf, ":                        math.Inf(-1),
		"the result is a function, which is not data": func() {}, "failed": computed{failed},
		`two keys become "1" as text`: map[any]any{1: 1, "1": 2}, "something that is not data": map[any]any{struct{}{}: 1}} {
		for _, in := range []any{v, []any{1, v}, []any{time.Second, v}, map[string]any{"a": v},
			[]any{map[string]any{"b": []any{v}}}, map[int]any{1: v}, &v} {
			if got, err := Normalize(in); err == nil || got != nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%T %v: %v %v", in, in, got, err)
			}
			if got, err := Fit(in); err == nil || got != nil {
				t.Errorf("%T fits: %v", in, got)
			}
			if b, err := EncodeJSON(in); err == nil {
				t.Errorf("%T is encoded: %s", in, b)
			}
		}
		if _, err := Text(v); err == nil {
			t.Errorf("%v has a text", v)
		}
		if Shown(v) == "" || !strings.HasPrefix(fmt.Sprint(Cut([]any{v})), "(cannot be shown: ") {
			t.Errorf("%v is shown as %v", v, Cut([]any{v}))
		}
	}
	nested := func(n int, inner any) any {
		for range n {
			inner = []any{inner}
		}
		return inner
	}
	for _, n := range []int{maxDepth, maxDepth + 1} {
		for _, v := range []any{nested(n, time.Second), nested(n-1, map[string]any{"a": time.Second}), nested(n-1, []int{1})} {
			if _, err := Normalize(v); (err == nil) != (n == maxDepth) && (err != nil || n != maxDepth+1) {
				t.Errorf("%d levels: %v", n, err)
			}
		}
		if _, err := Normalize(nested(n, 1)); (err == nil) != (n == maxDepth) || err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d lists: %v", n, err)
		}
	}
}

// TestPlainDataIsNotCopied, and what is not plain is copied without a change of the original.
func TestPlainDataIsNotCopied(t *testing.T) {
	inner := map[string]any{"a": []any{1}}
	list := []any{inner, "b", nil}
	got, err := Normalize(list)
	if out, _ := got.([]any); err != nil || &out[0] != &list[0] {
		t.Error("plain data is copied")
	}
	mixed := []any{inner, time.Second, map[string]any{"d": time.Second, "e": 1}, []any{time.Second}}
	got, err = Normalize(mixed)
	out, _ := got.([]any)
	if err != nil || !reflect.DeepEqual(out, []any{inner, "1s", map[string]any{"d": "1s", "e": 1}, []any{"1s"}}) ||
		mixed[1] != time.Second ||
		!same(out[0], mixed[0]) {
		t.Errorf("%v %v", got, err)
	}
	for _, c := range []struct {
		a, b any
		want bool
	}{{nil, nil, true}, {nil, 1, false}, {1, 1, true}, {1, "1", false}, {[]any{}, []any{}, true}, {[]any{1}, []any{1}, false},
		{list, list, true}, {list, list[:2], false},
		{inner, inner, true}, {inner, map[string]any{}, false}, {list, 1, false}, {inner, 1, false}} {
		if got := same(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: %v", c.a, c.b, got)
		}
	}
}

func TestTheWorkOfNormalizingIsCounted(t *testing.T) {
	for _, c := range []struct {
		v           any
		work, bytes int
	}{
		{1, 0, 0}, {[]any{1, 2}, 3, 0}, {[]any{time.Second, 2}, 3, 32}, {map[string]any{"a": 1}, 1 + MapSteps(1), 0},
		{map[string]any{"a": time.Second}, 1 + MapSteps(1), 340},
		{[]int{1, 2, 3}, 6, 72}, {map[int]int{1: 2}, 5 * MapSteps(1), 340}, {[]any{[]any{}, map[string]any{}}, 3 + 1 + 1, 0},
	} {
		m := &counter{}
		if _, err := NormalizeMetered(c.v, m); err != nil || m.work != c.work || m.bytes != c.bytes {
			t.Errorf("%v: work %d, bytes %d, %v", c.v, m.work, m.bytes, err)
		}
	}
	for n, want := range map[int][2]int{0: {48, 0}, 1: {340, 3}, 8: {340, 40}, 9: {648, 45}, 100: {7200, 600}} {
		if got := [2]int{MapBytes(n), MapSteps(n)}; got != want {
			t.Errorf("%d fields: %v", n, got)
		}
	}
}

func TestTextsAreClippedByCharacters(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab…"}, {"abc", 0, "…"}, {"", 0, ""}, {"äöü", 3, "äöü"}, {"äöü", 2, "äö…"},
		{"äöü", 5, "äöü"},
		{"a\xffb", 2, "a\ufffd…"}, {"abc", 9, "abc"}} {
		if got := Clip(c.s, c.n); got != c.want {
			t.Errorf("%q to %d: %q", c.s, c.n, got)
		}
	}
}

func TestTextsAreEncodedInTheOrderOfTheirNames(t *testing.T) {
	for want, m := range map[string]map[string]string{"{}": nil, `{"a":"1"}`: {"a": "1"}, `{"a":"\"","b":"ä\n","c":""}`: {"c": "",
		"a": `"`, "b": "ä\n"}} {
		if got := string(AppendTexts(nil, m)); got != want {
			t.Errorf("%v: %s", m, got)
		}
	}
	if got := string(AppendText([]byte("x"), "a\"")); got != `x"a\""` {
		t.Error(got)
	}
	for limit, ok := range map[int]bool{12: true, 3: false} {
		if b, err := AppendJSON(nil, []any{"abcd", "efg"}, limit); (err == nil) != ok || err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("limit %d: %s %v", limit, b, err)
		}
	}
}

// TestEachDamageOfJSONIsToldWithItsPlace: read as a whole, in part and as written.
func TestEachDamageOfJSONIsToldWithItsPlace(t *testing.T) {
	set := &FieldSet{}
	set.AddPath("a")
	for text, ok := range map[string]bool{
		`{"a":"x"}`: true, `{"a":"\u00e4\ud83d\ude00\n\t\/\\\""}`: true, `{"a":"\ud83d"}`: true, `{"a":"\ud83dx"}`: true,
		`{"a":"\ud83d\u0041"}`: true, "\ufeff{}": true,
		`{"a":-0.5e+10,"b":[],"c":{}}`: true, `{"a":[1,{"b":[2]}],"b":[[],{}]}`: true, `{"a":12345678901234567890}`: true,
		`{"a":"x`: false, `{"a":"\`: false, `{"a":"\u12`: false, `{"a":"\uzzzz"}`: false, `{"a":"\ud83d\uzzzz"}`: false,
		`{"a":"\x"}`: false, "{\"a\":\"\\n\x01\"}": false,
		"{\"a\":\"\\n\xff\"}": false, "{\"a\":\"\xff\"}": false, `{"a":`: false, `{"a"`: false, `{"a" 1}`: false, `{a:1}`: false,
		`{"a":1`: false, `{"a":1,`: false, `{"a":1,}`: false,
		`{"a":1 "b":2}`: false, `{"a":1,"a":2}`: false, `{"a":[1`: false, `{"a":[1,]}`: false, `{"a":[1 2]}`: false,
		`{"a":01}`: false, `{"a":-}`: false, `{"a":1.}`: false,
		`{"a":1e}`: false, `{"a":+1}`: false, `{"a":tru}`: false, `{"a":nul}`: false, `{"a":1}x`: false, ``: false,
		`{"a":}`: false, `{"\x":1}`: false, "{\"\x01\":1}": false,
	} {
		for _, decoded := range []func([]byte) (any, error){DecodeJSON,
			func(b []byte) (any, error) { return DecodePart(b, set) }, func(b []byte) (any, error) { return DecodeLiteralPart(b, set) }} {
			v, err := decoded([]byte(text))
			if (err == nil) != ok || ok && v == nil || !ok && v != nil {
				t.Errorf("%s: %v %v", text, v, err)
			}
			var je *JSONError
			if err != nil && (!errors.As(err, &je) || errors.Is(err, ErrTooLarge)) {
				t.Errorf("%s: %T %v", text, err, err)
			}
		}
		// The same text below a field that is not wanted.
		if _, err := DecodePart([]byte(strings.Replace(text, `"a"`, `"skipped"`, 1)), set); (err == nil) != ok &&
			!strings.Contains(text, `"a":2`) {
			t.Errorf("%s, skipped: %v", text, err)
		}
	}
	for text, want := range map[string]bool{"0": true, "-0": true, "10": true, "1.50": true, "1e5": true, "1E-5": true,
		"1e+5": true, "": false, "-": false, "01": false, "1.": false,
		".5": false, "1e": false, "1e+": false, "+1": false, "1x": false, "0x1": false, "NaN": false} {
		if got := ValidNumber([]byte(text)); got != want {
			t.Errorf("%q is a number: %v", text, got)
		}
	}
}
