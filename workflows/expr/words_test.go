package expr_test

import (
	"math"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// TestTypeErrorsUseTheTermsOfTheLanguage checks that messages give the expected and the
// actual type, without Go terms.
func TestTypeErrorsUseTheTermsOfTheLanguage(t *testing.T) {
	names := expr.Names{"no": nil, "s": "text", "n": 5, "list": []any{1, "a"}, "b": true}
	for text, want := range map[string]string{
		`map(no, #)`:        "a list is needed here, got nil; if it may be missing, write a default with ??",
		`filter(no, # > 1)`: "a list is needed here, got nil",
		`map(n, #)`:         "a list is needed here, got a number", `len(no)`: "len takes text, a list or an object, got nil",
		`len(n)`: "len takes text, a list or an object, got a number",
		`no > 3`: "> cannot be used with nil and a number; if it may be missing, write a default",
		`s > 3`:  "> cannot be used with text and a number",
		`3 <= b`: "<= cannot be used with a number and true or false", `sort(list)`: "< cannot be used with text and a number",
		`duration(s)`:    "duration: \"text\" is not a duration",
		`duration("7d")`: "168h", `duration("90")`: "write 90m", `mean([no])`: "got nil",
	} {
		v, err := evaluate(text, names)
		if err == nil {
			t.Errorf("%s gives %v", text, v)
			continue
		}
		got := err.Error()
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %q", text, got, want)
		}
		for _, word := range []string{"reflect", "invalid operation", "invalid argument", "time:", "<nil>", "interface", "strconv"} {
			if strings.Contains(got, word) {
				t.Errorf("%s speaks Go: %s", text, got)
			}
		}
	}
}

// TestMeanOfLargeIntegersIsExactOrAnError checks it with and without decimals.
func TestMeanOfLargeIntegersIsExactOrAnError(t *testing.T) {
	names := expr.Names{"max": math.MaxInt}
	for _, text := range []string{`mean([max, max])`, `median([max, max])`, `mean(max, 1)`, `median([max, max - 1])`} {
		if v, err := evaluate(text, names); err == nil {
			t.Errorf("%s gives %v, want an error", text, v)
		}
	}
	for text, want := range map[string]float64{`mean([1, 2])`: 1.5, `median([9, 1, 2, 4])`: 3, `mean([])`: 0, `mean([0.5, [1, 1.5]])`: 1} {
		if v, err := evaluate(text, names); err != nil || v != want {
			t.Errorf("%s gives %v %v, want %v", text, v, err, want)
		}
	}
}

// TestGroupKeysWithEqualTextAreAnError checks it, since one group would replace the other.
func TestGroupKeysWithEqualTextAreAnError(t *testing.T) {
	for _, text := range []string{`groupBy([1, "1"], #)`, `groupBy([1, 2, "2"], #)`} {
		v, err := evaluate(text, nil)
		if err == nil {
			_, err = value.Normalize(v)
		}
		if err == nil || !strings.Contains(err.Error(), "make them alike with string(") {
			t.Errorf("%s gives %v %v", text, v, err)
		}
	}
}

// TestNumbersAreFormattedWithoutExponent checks it for large and small numbers.
func TestNumbersAreFormattedWithoutExponent(t *testing.T) {
	for f, want := range map[float64]string{
		1e21:       "1000000000000000000000",
		-2.5e22:    "-25000000000000000000000",
		1.5e-12:    "0.0000000000015",
		0.1:        "0.1",
		1700000000: "1700000000",
		0:          "0",
	} {
		if got, err := value.Text(f); err != nil || got != want {
			t.Errorf("%v is %q %v, want %q", f, got, err, want)
		}
	}
}

// TestAdviceForAMissingPartWorks follows the advice, for fields and for list
// elements.
func TestAdviceForAMissingPartWorks(t *testing.T) {
	names := expr.Names{"event": map[string]any{"data": map[string]any{}}}
	for text, want := range map[string]string{`event.data.x.y`: "event.data.x?.y", `event.data.list[0].id`: "event.data.list?.[0]"} {
		_, err := evaluate(text, names)
		if err == nil || !strings.Contains(err.Error(), "write "+want+" if") {
			t.Errorf("%s: %v; want the advice %s", text, err, want)
		}
		if v, err := evaluate(want, names); err != nil || v != nil {
			t.Errorf("%s gives %v %v, want nil", want, v, err)
		}
	}
}
