package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestEachBoundOfAValueIsTheLastAllowedOne: its depth, its number of values and its bytes.
func TestEachBoundOfAValueIsTheLastAllowedOne(t *testing.T) {
	nested := func(n int) any {
		var v any = 1
		for range n {
			v = []any{v}
		}
		return v
	}
	for name, c := range map[string]struct {
		v    any
		want error
	}{
		"deep": {nested(MaxJSONDepth), nil}, "too deep": {nested(MaxJSONDepth + 1), tooDeep},
		"many": {make([]any, MaxJSONNodes-1), nil}, "too many": {make([]any, MaxJSONNodes), tooManyValues},
		"large": {strings.Repeat("x", MaxSize-2), nil}, "too large": {strings.Repeat("x", MaxSize-1), tooManyBytes},
		"large, not plain":     {[]any{time.Second, strings.Repeat("x", MaxSize-9)}, nil},
		"too large, not plain": {[]any{time.Second, strings.Repeat("x", MaxSize-8)}, tooManyBytes},
	} {
		v, err := Fit(c.v)
		if c.want == nil && (err != nil || v == nil) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if b, err := EncodeJSON(v); err != nil || len(b) > MaxSize {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		}
	}
	if got := tooManyBytes.Error() + "; " + ErrTooLarge.Error(); got != "the value is larger than 4 MiB as JSON; "+
		"the value is too large: it would be more than 4 MiB" {
		t.Error(got)
	}
}

// TestTextsKeepEachLetterAsJSON: every letter below 0x100 is read back, by each reader.
func TestTextsKeepEachLetterAsJSON(t *testing.T) {
	set := &FieldSet{}
	set.AddPath("k")
	for r := range rune(0x100) {
		text := "a" + string(r) + "b"
		b, err := EncodeJSON(map[string]any{"k": text, text: 1})
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(b, &want); err != nil || want["k"] != text {
			t.Errorf("%q is encoded as %s", text, b)
		}
		if r >= 0x20 && r != '"' && r != '\\' && !strings.Contains(string(b), text) {
			t.Errorf("%q is escaped: %s", text, b)
		}
		whole, err := DecodeJSON(b)
		part, partErr := DecodePart(b, set)
		if err != nil || partErr != nil || whole.(map[string]any)["k"] != text || part.(map[string]any)["k"] != text ||
			whole.(map[string]any)[text] != 1 {
			t.Errorf("%q: %v %v, %v %v", text, whole, err, part, partErr)
		}
	}
	for written, want := range map[string]string{`\ud800\udc00`: "\U00010000", `\udbff\udfff`: "\U0010ffff",
		`\ud83d\udbff`: "\ufffd\ufffd", `\udc00`: "\ufffd",
		`\ud800\ue000`: "\ufffd\ue000", `\ud83d\ud83d\ude00`: "\ufffd\U0001f600", `\uFFFD`: "\ufffd", `\u0041\u00e4`: "Aä",
		`x\ud83d`: "x\ufffd", `\ud83d\n`: "\ufffd\n"} {
		if got, err := DecodeJSON([]byte(`"` + written + `"`)); err != nil || got != want {
			t.Errorf("%s: %q %v", written, got, err)
		}
	}
}

// TestNumbersAreReadWithEveryDigit, up to their longest form, wherever they stand.
func TestNumbersAreReadWithEveryDigit(t *testing.T) {
	set := &FieldSet{}
	set.AddPath("k")
	longest := strings.Repeat("9", MaxNumberLength)
	for text, want := range map[string]any{"0": 0, "-0": 0, "9": 9, "10": 10, "-19": -19,
		"123456789012345678": 123456789012345678, "9223372036854775807": 9223372036854775807,
		"9223372036854775808": json.Number("9223372036854775808"), "1.5": 1.5, "1e2": 100.0, "0.0": 0.0,
		longest: json.Number(longest), longest + "9": nil, "09": nil, "00": nil,
		"-": nil, "1-": nil, "1+1": nil, "--1": nil, "1..5": nil, "0e": nil} {
		for _, format := range []string{`{"k":%s}`, `{"k": %s ,"l":1}`, `{"l":%s,"k":1}`, `{"l" : [ %s , 9 ] , "k" : 1}`} {
			b := fmt.Appendf(nil, format, text)
			for _, decode := range []func([]byte) (any, error){DecodeJSON, func(b []byte) (any, error) { return DecodePart(b, set) }} {
				v, err := decode(b)
				if (err == nil) != (want != nil) {
					t.Errorf("%s: %v %v", b, v, err)
				} else if got := fieldOf(v, "k"); err == nil && strings.HasPrefix(format, `{"k"`) && fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %#v, not %#v", b, got, want)
				}
			}
		}
	}
}

func fieldOf(v any, name string) any {
	m, _ := v.(map[string]any)
	return m[name]
}

// TestACutValueKeepsItsBeginning, with a mark where the rest was, and fits.
func TestACutValueKeepsItsBeginning(t *testing.T) {
	many := make([]any, 3*MaxJSONNodes)
	for i := range many {
		many[i] = i
	}
	long := []any{}
	for range 40 {
		long = append(long, strings.Repeat("x", MaxSize/8))
	}
	fields := map[string]any{}
	for i := range 3 * MaxJSONNodes {
		fields[fmt.Sprintf("f%07d", i)] = i
	}
	for name, v := range map[string]any{"many": many, "long": long, "fields": fields, "text": strings.Repeat("ä", MaxSize),
		"seconds": []any{time.Second, many}} {
		cut := Cut(v)
		if _, err := Fit(cut); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text := Shown(cut); !strings.Contains(text, "cut") && !strings.Contains(text, "…") {
			t.Errorf("%s has no mark", name)
		}
	}
	if small := []any{1, "a", map[string]any{"b": nil}}; !reflect.DeepEqual(Cut(small), small) {
		t.Error("a small value is cut")
	}
}
