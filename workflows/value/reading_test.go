package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
)

// damaged are documents that end, or go wrong, at each place of a few longer ones.
func damaged() (list []string) {
	for _, whole := range []string{`{"a":[1,{"b":"x\u00e4y\n"}],"c":-1.5e+3}`, ` [ true , false , null , [ ] , { } ] `,
		`{"k\"\u0041":"\ud83d\ude00","l":"\ud83d"}`, "\"\xc3\xa4\\t\xc3\xa4\"", "\ufeff[0]"} {
		for i := range len(whole) + 1 {
			list = append(list, whole[:i])
		}
		for i := range len(whole) {
			for _, c := range []string{"", "x", "\x01", "\xff", "\\"} {
				list = append(list, whole[:i]+c+whole[i+1:])
			}
		}
	}
	return list
}

// TestDocumentsAreReadAsRecorded: what is read of each damaged document, or the problem with its place, by each reader.
func TestDocumentsAreReadAsRecorded(t *testing.T) {
	set := &FieldSet{}
	set.AddPath("a")
	set.AddPath("k\"A")
	readers := []func([]byte) (any, error){DecodeJSON, DecodeStored, func(b []byte) (any, error) { return DecodePart(b, set) },
		func(b []byte) (any, error) { return DecodeLiteralPart(b, &FieldSet{all: true}) }}
	var out strings.Builder
	for _, text := range slices.Compact(damaged()) {
		said := ""
		for i, read := range readers {
			v, err := read([]byte(text))
			now := fmt.Sprintf("%#v", v)
			if err != nil {
				now = err.Error()
			}
			if now != said {
				fmt.Fprintf(&out, "%q, reader %d: %s\n", text, i, now)
			}
			said = now
		}
	}
	testgolden.Compare(t, "reading.golden", out.String())
}

// TestEachLimitOfADocumentIsTheLastAllowedOne: levels, values, digits, and names that are equal.
func TestEachLimitOfADocumentIsTheLastAllowedOne(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + "1" + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	many := func(n int) string { return "[" + strings.Repeat("1,", n-2) + "1]" }
	fields := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"f%d":1,`, i)
		}
		return "{" + b.String() + `"` + last + `":1}`
	}
	for name, c := range map[string]struct {
		text   string
		ok     bool
		stored bool
		limit  bool
	}{
		"levels": {nested(MaxJSONDepth), true, true, false}, "too many levels": {nested(MaxJSONDepth + 1), false, true, true},
		"objects": {objects(MaxJSONDepth), true, true, false}, "too many objects": {objects(MaxJSONDepth + 1), false, true, true},
		"stored levels":          {nested(maxStoredDepth), false, true, true},
		"too many stored levels": {nested(maxStoredDepth + 1), false, false, true},
		"values":                 {many(MaxJSONNodes), true, true, false}, "too many values": {many(MaxJSONNodes + 1), false, true, true},
		"digits":   {strings.Repeat("7", MaxNumberLength), true, true, false},
		"a digit":  {strings.Repeat("7", MaxNumberLength+1), false, true, false},
		"15 names": {fields(15, "f0"), false, true, false}, "16 names": {fields(16, "f15"), false, true, false},
		"17 names": {fields(17, "f16"), false, true, false}, "18 names": {fields(18, "f0"), false, true, false},
		"other names": {fields(40, "g"), true, true, false},
	} {
		_, err := DecodeJSON([]byte(c.text))
		_, part := DecodePart([]byte(c.text), &FieldSet{})
		_, stored := DecodeStored([]byte(c.text))
		if (err == nil) != c.ok || (part == nil) != c.ok || (stored == nil) != c.stored {
			t.Errorf("%s: %v; in part %v; stored %v", name, err, part, stored)
		}
		if errors.Is(errors.Join(err, stored), ErrTooLarge) != c.limit {
			t.Errorf("%s: a limit: %t", name, !c.limit)
		}
	}
}

// TestListsAreNotSharedBetweenDocuments: nor between the lists of one, whatever their sizes and after an error.
func TestListsAreNotSharedBetweenDocuments(t *testing.T) {
	long := "[" + strings.TrimSuffix(strings.Repeat(`[1,2,3],"x",`, 40), ",") + "]"
	first, err := DecodeJSON([]byte(long))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := DecodeJSON([]byte(`[7,8,[9`)); err == nil {
		t.Errorf("%v", v)
	}
	for range 3 {
		v, err := DecodeJSON([]byte(`[[],[1],[[2,3],4],[5,6,7]]`))
		if got := fmt.Sprint(v); err != nil || got != "[[] [1] [[2 3] 4] [5 6 7]]" {
			t.Errorf("%s %v", got, err)
		}
	}
	list := first.([]any)
	if len(list) != 80 || fmt.Sprint(list[78:]) != "[[1 2 3] x]" {
		t.Errorf("%d elements, the last are %v", len(list), list[78:])
	}
	for _, n := range []int{maxShared - 2, maxShared - 1, maxShared, maxShared + 1} {
		b := []byte(`"` + strings.Repeat("x", n-2) + `"`)
		v, err := DecodeJSON(b)
		for i := range b {
			b[i] = 'y'
		}
		if err != nil || v != strings.Repeat("x", n-2) {
			t.Errorf("a text of %d bytes shares the memory of the request: %v", n, err)
		}
	}
}

// TestSizesOfValuesAreAsRecorded: bytes as JSON, number of values and memory.
func TestSizesOfValuesAreAsRecorded(t *testing.T) {
	fields := func(n int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m[fmt.Sprintf("k%d", i)] = nil
		}
		return m
	}
	var out strings.Builder
	for _, v := range []any{nil, true, false, "", "abc", "a\"\\\n\r\tb", "\x01\x1f\x7f", "ä€😀",
		"\xff", "a\xffb\xe4\xb8", 0, 9, 10, -1, -10, 12345, math.MaxInt64, math.MinInt64, 0.0, 1.5, -0.25, 1e21, 1e-7,
		json.Number("12345678901234567890"), []any{}, []any{1}, []any{1, 2, 3},
		[]any{[]any{}, []any{"x"}}, fields(0), fields(1), fields(7), fields(8), fields(9), map[string]any{"a\n": []any{"b"}}} {
		bytes, values, memory := Size(v)
		b, err := EncodeStored(v)
		fmt.Fprintf(&out, "%#v: %d bytes, %d values, %d in memory; %s %v\n", v, bytes, values, memory, b, err)
	}
	for _, n := range []int{0, 1, 2, 3, 4, 5} {
		fmt.Fprintf(&out, "cut to %d: %q\n", n, CutText("aäb€", n))
	}
	testgolden.Compare(t, "sizes.golden", out.String())
}
