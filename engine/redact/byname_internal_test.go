package redact

import (
	"slices"
	"strings"
	"testing"
)

// TestValueAfterAFieldNameIsMaskedWhole uses bodies that cannot be parsed: a value is masked up to
// its end, if it has one, and nothing after it is.
func TestValueAfterAFieldNameIsMaskedWhole(t *testing.T) {
	const m, part = "***:1234abcd", "content-disposition: form-data; name=pin\r\n\r\n"
	for name, c := range map[string]struct{ in, want string }{
		"nothing behind it":                  {`x pin:`, `x pin:`},
		"nothing but space":                  {`x pin: `, `x pin: `},
		"an object":                          {`{"pin":{"n":[1,"}"],"x":{}},"b":2`, `{"pin":"` + m + `","b":2`},
		"a list":                             {`{"pin":[[1],"]",{}],"b":2`, `{"pin":"` + m + `","b":2`},
		"an object with a quote in a text":   {`{"pin":{"q":"\"}"},"b":2`, `{"pin":"` + m + `","b":2`},
		"an object without an end":           {`{"pin":{"n":1`, `{"pin":"` + m + `"`},
		"an object without an end in a text": {`{"pin":{"n":"`, `{"pin":"` + m + `"`},
		"a text":                             {`{"pin":"4,1","b":2`, `{"pin":"` + m + `","b":2`},
		"a text without an end":              {`{"pin":"4,1`, `{"pin":"` + m},
		"a text that ends in a backslash":    {`{"pin":"4,1\`, `{"pin":"` + m},
		"an empty text":                      {`{"pin":"","b":2`, `{"pin":"","b":2`},
		"a text in single quotes":            {`{'pin':'4,1','b':2`, `{'pin':'` + m + `','b':2`},
		"an escaped text":                    {`{"p":"{\"pin\":\"4,1\",\"b\":2`, `{"p":"{\"pin\":\"` + m + `\",\"b\":2`},
		"an escaped text without an end":     {`{"p":"{\"pin\":\"4,1`, `{"p":"{\"pin\":\"` + m},
		"an escaped empty text":              {`{"p":"{\"pin\":\"\",\"b\":2`, `{"p":"{\"pin\":\"\",\"b\":2`},
		"a text that is escaped twice":       {`{"p":"{\\\"pin\\\":\\\"4,1\\\",2`, `{"p":"{\\\"pin\\\":\\\"` + m + `\\\",2`},
		"a backslash before no quote":        {`pin: \x41,b`, `pin: ` + m + `,b`},
		"a backslash alone":                  {`pin: \`, `pin: ` + m},
		"a backslash and a quote alone":      {`pin: \"`, `pin: \"`},
		"XML":                                {`<pin>41</pin><b>`, `<pin>` + m + `</pin><b>`},
		"XML without a value":                {`<pin></pin><b>`, `<pin></pin><b>`},
		"a form":                             {`pin=41&b=2`, `pin=` + m + `&b=2`},
		"lines":                              {"pin: 41\r\nb: 2", "pin: " + m + "\r\nb: 2"},
		"twice":                              {`pin=41&pin=42`, `pin=` + m + `&pin=` + m},
		"a part":                             {part + "4,1\r\n--B", part + m + "\r\n--B"},
		"an empty part":                      {part + "\r\n--B", part + "\r\n--B"},
		"an empty part without returns":      {strings.ReplaceAll(part, "\r", "") + "\n--B", strings.ReplaceAll(part, "\r", "") + "\n--B"},
	} {
		// A body may be a slice that ends at the end of its memory.
		got := fieldsOf(t, "$..pin").maskByName(slices.Clip([]byte(c.in)))
		if string(got) != c.want {
			t.Errorf("%s: %s\nbecame %s\nwanted %s", name, c.in, got, c.want)
		}
	}
}

// TestAnElementOfAListIsMaskedByTheNameOfItsList checks it for positions that are unknown.
func TestAnElementOfAListIsMaskedByTheNameOfItsList(t *testing.T) {
	t.Parallel()
	got := fieldsOf(t, "event.data.items[1]").maskByName([]byte(`{"b":1,"items":["41","42"],"c":`))
	if want := `{"b":1,"items":"***:1234abcd","c":`; string(got) != want {
		t.Errorf("%s, expected %s", got, want)
	}
}

// TestTruncatedBodiesDoNotStopTheMasking tries bodies truncated at each offset.
func TestTruncatedBodiesDoNotStopTheMasking(t *testing.T) {
	for _, text := range []string{`{"p":"{\\\"pin\\\":\\\"41\\\"`, `{"pin":{"a":"b\\`, `pin=\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\`} {
		for n := range len(text) + 1 {
			body := make([]byte, n)
			copy(body, text)
			fieldsOf(t, "$..pin").maskByName(slices.Clip(body))
		}
	}
}

// found replaces what a matcher of these forms finds.
func found(s string, forms ...form) string {
	out, changed := replaced(newMatcher(forms), s)
	if !changed {
		return s
	}
	return string(out)
}

// TestEndOfABase64TextIsMaskedToo checks the one additional character, which contains bits of
// the secret and of what follows, and the padding. A character that others follow is not part of
// the secret alone.
func TestEndOfABase64TextIsMaskedToo(t *testing.T) {
	t.Parallel()
	f := form{text: "c2VjcmV0", base64: true}
	for in, want := range map[string]string{
		"c2VjcmV0": "***", "c2VjcmV0 x": "*** x", "c2VjcmV0Q": "***", "c2VjcmV0Q==": "***", "c2VjcmV0Q=": "***", "c2VjcmV0=": "***",
		"c2VjcmV0Q===": "***=", "c2VjcmV0QQ": "***QQ", "c2VjcmV0Q x": "*** x", "c2VjcmV0c2VjcmV0": "******",
	} {
		if got := found(in, f); got != want {
			t.Errorf("%s becomes %s, expected %s", in, got, want)
		}
	}
	for _, c := range "azAZ09+/-_bycm5" {
		letter := string(c)
		if got := found("c2VjcmV0"+letter+".", f); got != "***." {
			t.Errorf("%s after the text: %s", letter, got)
		}
		if got := found("c2VjcmV0Q"+letter, f); got != "***Q"+letter {
			t.Errorf("%s after another letter: %s", letter, got)
		}
	}
	for _, c := range "`{@[:.,*" {
		mark := string(c)
		if got := found("c2VjcmV0"+mark, f); got != "***"+mark {
			t.Errorf("%s after the text: %s", mark, got)
		}
		if got := found("c2VjcmV0Q"+mark, f); got != "***"+mark {
			t.Errorf("%s after a letter: %s", mark, got)
		}
	}
	if got := found("c2VjcmV0Q", form{text: "c2VjcmV0"}); got != "***Q" {
		t.Errorf("a text that is no base64: %s", got)
	}
}

// TestTheLongestOfSeveralSecretsIsMasked checks secrets with a common prefix, in any order, and
// that overlapping ones are masked as one.
func TestTheLongestOfSeveralSecretsIsMasked(t *testing.T) {
	t.Parallel()
	for range 2 {
		forms := []form{{text: "secret"}, {text: "secretlonger"}, {text: "secretlong"}, {text: "gerXYZ"}}
		for i := range forms {
			forms = append(forms[1:], forms[0])
			for in, want := range map[string]string{"a secretlonger b": "a *** b", "a secretlong b": "a *** b", "a secret b": "a *** b",
				"secretlongerXYZ b": "*** b", "secretsecret": "******", "secrets": "***s"} {
				if got := found(in, forms...); got != want {
					t.Errorf("order %d: %s becomes %s, expected %s", i, in, got, want)
				}
			}
		}
	}
	if got := found("----- abc -", form{text: "abc"}); got != "----- *** -" {
		t.Errorf("the shortest text: %s", got)
	}
	if got := found("xabc", form{text: "xab"}, form{text: "abc"}); got != "***" {
		t.Errorf("texts one byte apart: %s", got)
	}
	if got := found("abcdef", form{text: "abcd"}, form{text: "bcd"}, form{text: "cdef"}); got != "***" {
		t.Errorf("one inside of another, and a third: %s", got)
	}
}

// TestLongSecretsAreFound checks them with short ones and alone, at each offset.
func TestLongSecretsAreFound(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 40)
	for _, secret := range []string{long[:255], long[:256], long[:257], long[:258], long[:600]} {
		for _, at := range []int{0, 1, 2, 254, 255, 256, 300, 1000} {
			if got := found(strings.Repeat("-", at)+secret+"-", form{text: secret}); got != strings.Repeat("-", at)+"***-" {
				t.Errorf("%d bytes at %d are not found", len(secret), at)
			}
		}
	}
}

// TestEachOfTwoMatchersFindsItsValues checks what only one of two matchers finds.
func TestEachOfTwoMatchersFindsItsValues(t *testing.T) {
	t.Parallel()
	a, b := newMatcher([]form{{text: "alpha"}}), newMatcher([]form{{text: "beta"}, {text: "habit"}})
	for in, want := range map[string]string{"alpha": "***", "beta": "***", "alpha beta": "*** ***", "alphabit": "***", "none": ""} {
		for _, pair := range [][2]*matcher{{a, b}, {b, a}} {
			if got, _ := replacedByAny(pair[0], pair[1], in); string(got) != want {
				t.Errorf("%s becomes %q, expected %q", in, got, want)
			}
		}
	}
	if got, changed := replacedByAny[string](nil, nil, "alpha"); changed || got != nil {
		t.Errorf("%q", got)
	}
}
