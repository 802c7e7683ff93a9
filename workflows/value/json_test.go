package value_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/value"
	"pgregory.net/rapid"
)

func TestJSONIsReadStrictly(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a":1,"a":2}`: "duplicate key", `{"a":{"b":1,"b":2}}`: "duplicate key", `{"\u0061":1,"a":2}`: "duplicate key", `[1,]`: "unexpected",
		`{"a":01}`: "malformed",
		"\"\xff\"": "UTF-8", `{} {}`: "after the end", `nul`: "expected null", "\"a\nb\"": "control", `[1 2]`: "comma",
		``: "is incomplete", `1e999`: "out of range",
		strings.Repeat("[", 70) + strings.Repeat("]", 70): "deeper", `{"a"`: "colon", `tru`: "expected true",
	} {
		if _, err := value.DecodeJSON([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", doc, err, want)
		}
		if _, err := value.DecodePart([]byte(doc), &value.FieldSet{}); err == nil {
			t.Errorf("%q: a part of it was read", doc)
		}
	}
}

func TestPartialDecodeKeepsOnlyWantedKeys(t *testing.T) {
	var w value.FieldSet
	w.AddPath("data.object.id")
	w.AddPath("type")
	v, err := value.DecodePart([]byte(`{"id":"x","type":"t","data":{"object":{"id":7,"big":[1,{"a":"b"}]},"more":"\u00e4"}}`), &w)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := value.EncodeJSON(v); string(got) != `{"data":{"object":{"id":7}},"type":"t"}` {
		t.Errorf("got %s", got)
	}
}

// FuzzJSON compares the decoder with encoding/json: what it accepts, encoding/json accepts with the
// same content, and decoding a part never fails if decoding the document succeeds.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5,-3e2,"x\u00e9",null,true]}`, `[]`, `"\ud83d\ude00"`, `{"a":{"b":{"c":1}}}`,
		`12345678901234567890`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := value.DecodeJSON(b)
		_, partErr := value.DecodePart(b, &value.FieldSet{})
		if (err == nil) != (partErr == nil) {
			t.Fatalf("whole: %v, part: %v", err, partErr)
		}
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("accepted what is no JSON: %q", b)
		}
		out, err := value.EncodeJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := value.DecodeJSON(out)
		if err != nil {
			t.Fatalf("its own text is not read: %s: %v", out, err)
		}
		if second, _ := value.EncodeJSON(again); !bytes.Equal(out, second) {
			t.Fatalf("%s became %s", out, second)
		}
	})
}

// TestAStoredFractionIsReadBackAsTheSameNumber: above 2^53 a float is an integer, and is read as one.
// The fewest digits that parse as the float would be another integer.
func TestAStoredFractionIsReadBackAsTheSameNumber(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := math.Ldexp(rapid.Float64Range(-1, 1).Draw(r, "f"), rapid.IntRange(40, 80).Draw(r, "exponent"))
		b, err := value.EncodeJSON(f)
		if err != nil {
			r.Fatal(err)
		}
		back, err := value.DecodeJSON(b)
		if err != nil {
			r.Fatal(err)
		}
		read, ok := new(big.Rat).SetString(fmt.Sprint(back))
		if x, floats := back.(float64); floats {
			read, ok = new(big.Rat).SetFloat64(x), true
		}
		if want := new(big.Rat).SetFloat64(f); !ok || read.Cmp(want) != 0 {
			r.Fatalf("%v is stored as %s and read as %v", f, b, back)
		}
	})
	if b, err := value.EncodeJSON(math.Ldexp(1, 60)); string(b) != "1152921504606846976" {
		t.Errorf("2^60 is stored as %s, %v", b, err)
	}
}
