package redact

import (
	"bytes"
	"strings"
	"testing"
)

// TestFieldOfTheBodyIsNotMaskedInTheData also checks the reverse: where a trigger's data is a
// part of the body, a path says which of the two it means.
func TestFieldOfTheBodyIsNotMaskedInTheData(t *testing.T) {
	const body = `{"iban":"a","payload":{"iban":"b"}}`
	for path, want := range map[string]string{
		"event.body.iban":         `{"iban":"***:1234abcd","payload":{"iban":"b"}}`,
		"event.data.iban":         `{"iban":"a","payload":{"iban":"***:1234abcd"}}`,
		"event.body.payload.iban": `{"iban":"a","payload":{"iban":"***:1234abcd"}}`,
		"event.data.payload.iban": body,
	} {
		if got, _ := fieldsOf(t, path).Body("application/json", []byte(body), "body.payload"); string(got) != want {
			t.Errorf("%s: %s, expected %s", path, got, want)
		}
	}
	// If only the expression determines the data, the field is masked at any depth.
	got, _ := fieldsOf(t, "event.data.iban").Body("application/json", []byte(body), "fromJSON(body.x)")
	if bytes.Contains(got, []byte(`"a"`)) || bytes.Contains(got, []byte(`"b"`)) {
		t.Errorf("an expression that cannot be followed: %s", got)
	}
}

// TestAFieldIsMaskedInABodyThatIsNotOneJSONValue is for bodies that our decoder refuses; they are
// stored as received.
func TestAFieldIsMaskedInABodyThatIsNotOneJSONValue(t *testing.T) {
	deep := strings.Repeat(`[`, maxFieldDepth+1) + `{"pin":"4111"}` + strings.Repeat("]", maxFieldDepth+1)
	for name, body := range map[string]string{
		"two values":    `{"a":1} {"pin":"4111"}`,
		"no end":        `{"pin":"4111"`,
		"nested deeply": deep,
		"large numbers": `{"pin":"4111","n":12345678901234567890123}`,
	} {
		got, _ := fieldsOf(t, "$..pin").Body("application/json", []byte(body), "")
		if bytes.Contains(got, []byte("4111")) {
			t.Errorf("%s: the field is not masked in %.60s", name, got)
		}
		if !bytes.Contains(got, []byte("12345678901234567890123")) && name == "large numbers" {
			t.Errorf("a number beside the field is changed: %s", got)
		}
	}
}

// TestFieldsInLinesOfJSONAreMasked, whatever the media type: such a body is stored as text.
func TestFieldsInLinesOfJSONAreMasked(t *testing.T) {
	for _, kind := range []string{"application/x-ndjson", "application/jsonl", "application/json-seq", "text/plain", ""} {
		for body, want := range map[string]string{
			"{\"pin\":\"4111\"}\n{\"a\":[{\"pin\":4112}]}\n":     "{\"pin\":\"***:1234abcd\"}\n{\"a\":[{\"pin\":\"***:1234abcd\"}]}\n",
			"\n[{\"pin\":\"4111\"}]\r\n\r\n{\"b\":1}":            "\n[{\"pin\":\"***:1234abcd\"}]\r\n\r\n{\"b\":1}",
			"\x1e{\"pin\":\"4111\"}\n\x1e{\"pin\":\"4112\"}\n":   "\x1e{\"pin\":\"***:1234abcd\"}\n\x1e{\"pin\":\"***:1234abcd\"}\n",
			"{\"b\":1}\n{\"b\":2}":                               "{\"b\":1}\n{\"b\":2}",
			"pin: ask for it at the desk":                        "pin: ask for it at the desk",
			"{\"a\":1}\npin: a line of words is not one of JSON": "{\"a\":1}\npin: ***:1234abcd",
			"{\"b\":1}\n{\"pin\":\"4111":                         "{\"b\":1}\n{\"pin\":\"***:1234abcd",
		} {
			if got, as := fieldsOf(t, "$..pin").Body(kind, []byte(body), ""); string(got) != want || as != kind {
				t.Errorf("%s: %q becomes %q as %q, expected %q", kind, body, got, as, want)
			}
		}
	}
}

// TestMaskIsNotMaskedAgain checks that a body that is masked again keeps the digits of its first mask,
// and that only a complete mask counts.
func TestMaskIsNotMaskedAgain(t *testing.T) {
	for text, want := range map[string]string{
		"***": "***", "***:0123abcd": "***:0123abcd", "***:0123abc": "***:1234abcd", "***:0123abcde": "***:1234abcd",
		"x***": "***:1234abcd", "***x": "***:1234abcd", "***:0123ABCD": "***:1234abcd",
	} {
		got, _ := fieldsOf(t, "event.data.pin").Body("application/json", []byte(`{"pin":"`+text+`"}`), "")
		if string(got) != `{"pin":"`+want+`"}` {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}
