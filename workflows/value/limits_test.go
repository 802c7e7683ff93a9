package value_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/value"
)

// randomValue generates plain data with every kind of text and number.
func randomValue(r *rand.Rand, depth int) any {
	texts := []string{"", "a", "\"\\\n\r\t", "\x00\x1f\x7f", "\u00e9\u4e16\U0001f600", "\xff\xfe", "\xe4\xb8", strings.Repeat("x", 100)}
	switch n := r.IntN(10); {
	case n < 2 && depth < 5:
		list := []any{}
		for range r.IntN(6) {
			list = append(list, randomValue(r, depth+1))
		}
		return list
	case n < 4 && depth < 5:
		m := map[string]any{}
		for i := range r.IntN(6) {
			m[texts[r.IntN(len(texts))]+fmt.Sprint(i)] = randomValue(r, depth+1)
		}
		return m
	case n == 4:
		return r.Int() * (1 - 2*r.IntN(2)) >> r.IntN(63)
	case n == 5:
		return []any{0.0, 1.5, -1e300, 1e-12, 123456789.25, 1e21}[r.IntN(6)]
	case n == 6:
		return json.Number("123456789012345678901234567890")
	case n == 7:
		return []any{nil, true, false}[r.IntN(3)]
	}
	return texts[r.IntN(len(texts))] + texts[r.IntN(len(texts))]
}

// TestSizeEqualsTheStoredEncoding checks that the size counted without encoding is that of the
// encoding, and that decoding returns the same value.
func TestSizeEqualsTheStoredEncoding(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for range 3000 {
		v := randomValue(r, 0)
		text, err := value.EncodeStored(v)
		if err != nil {
			t.Fatal(err)
		}
		if n, _, _ := value.Size(v); n != len(text) {
			t.Fatalf("%d bytes, not %d: %s", n, len(text), text)
		}
		back, err := value.DecodeStored(text)
		again, err2 := value.EncodeStored(back)
		twice, err3 := value.DecodeStored(again)
		if err := errors.Join(err, err2, err3); err != nil || !reflect.DeepEqual(back, twice) {
			t.Fatalf("%s came back as %s: %v", text, again, err)
		}
	}
}

func TestStoredRowsAreReadWithoutLimits(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for name, text := range map[string]string{
		"many values":           "[" + strings.TrimSuffix(strings.Repeat("1,", 1_000_000), ",") + "]",
		"many levels":           deep,
		"names masked to equal": `{"***":1,"***":2}`,
		"a long number":         "1" + strings.Repeat("0", 500),
		"a huge number":         "1e999",
	} {
		if _, err := value.DecodeStored([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := value.DecodeJSON([]byte(text)); err == nil {
			t.Errorf("%s: what comes from outside has limits", name)
		}
	}
	for _, text := range []string{"", "{", `{"a":1}x`, strings.Repeat("[", 20_000)} {
		if _, err := value.DecodeStored([]byte(text)); err == nil {
			t.Errorf("%.20q was read", text)
		}
	}
}

// TestTruncatedValueFitsAndIsMarked checks that a value within the limits is unchanged, and that a larger
// one is truncated and marked, and keeps its structure.
func TestTruncatedValueFitsAndIsMarked(t *testing.T) {
	small := map[string]any{"a": []any{1, "x"}}
	if got := value.Cut(small); !reflect.DeepEqual(got, small) {
		t.Errorf("%v", got)
	}
	deep := any(1)
	for range 500 {
		deep = []any{deep}
	}
	for name, v := range map[string]any{
		"a text":     strings.Repeat("\u00e9", 5<<20),
		"a list":     slices.Repeat([]any{"y"}, 300_000),
		"levels":     deep,
		"an object":  map[string]any{"body": strings.Repeat("z", 5<<20), "status": 500},
		"long names": map[string]any{strings.Repeat("k", 5<<20): 1},
		"no data":    func() {},
	} {
		cut := value.Cut(v)
		fit, err := value.Fit([]any{cut})
		text, _ := json.Marshal(fit)
		if err != nil || !strings.Contains(string(text), "cut: ") && !strings.Contains(string(text), "cannot be shown") {
			t.Errorf("%s: %v %.100s", name, err, text)
		}
	}
	if m, _ := value.Cut(map[string]any{"body": strings.Repeat("z", 5<<20), "status": 500}).(map[string]any); m["status"] != 500 {
		t.Error("what stands beside a long text is gone")
	}
}

func TestALimitIsAnErrTooLarge(t *testing.T) {
	for _, v := range []any{strings.Repeat("x", value.MaxSize-1), slices.Repeat([]any{1}, value.MaxJSONNodes)} {
		if _, err := value.Fit(v); !errors.Is(err, value.ErrTooLarge) {
			t.Errorf("%v", err)
		}
	}
	if _, err := value.Fit(strings.Repeat("x", value.MaxSize-2)); err != nil {
		t.Error(err)
	}
}

// TestAPartIsReadWithinTheLimitsOfTheWhole checks that decoding a part finds the same bodies too
// large as decoding the complete body.
func TestAPartIsReadWithinTheLimitsOfTheWhole(t *testing.T) {
	list := func(x string, n int) string {
		return `{"id":1,"rows":[` + strings.TrimSuffix(strings.Repeat(x+",", n), ",") + `]}`
	}
	deep := func(n int) string {
		return `{"id":1,"rows":` + strings.Repeat("[", n) + "1" + strings.Repeat("]", n) + "}"
	}
	for name, text := range map[string]string{
		"numbers at": list("1", 199_997), "numbers above": list("1", 199_998), "texts at": list(`"x"`, 199_997),
		"texts above": list(`"x"`, 199_998),
		"words at":    list("true", 199_997), "words above": list("true", 199_998), "levels at": deep(63), "levels above": deep(64),
	} {
		_, whole := value.DecodeJSON([]byte(text))
		want := &value.FieldSet{}
		want.Add("id")
		_, part := value.DecodePart([]byte(text), want)
		if above := strings.HasSuffix(name, "above"); (whole != nil) != above || (part != nil) != above {
			t.Errorf("%s: whole %v, part %v", name, whole, part)
		}
	}
}
