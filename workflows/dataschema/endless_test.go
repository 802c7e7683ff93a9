package dataschema_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows/dataschema"
)

// TestASchemaThatOnlyRefersToItselfIsAMistake: no data could be checked against it. A schema of a
// tree refers to itself for the next level, which ends with the data.
func TestASchemaThatOnlyRefersToItselfIsAMistake(t *testing.T) {
	for text, endless := range map[string]bool{
		`{"$ref": "#"}`: true,
		`{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}`:         true,
		`{"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}`: true,
		`{"anyOf": [{"type": "string"}, {"$ref": "#"}]}`:                                                   true,
		`{"if": {"$ref": "#"}}`: true,
		`{"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}`:                     false,
		`{"allOf": [{"properties": {"child": {"$ref": "#"}}}]}`:                                                         false,
		`{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "null"}, {"properties": {"next": {"$ref": "#"}}}]}}}`: false,
		`{"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object"}}}`:                 false,
	} {
		_, err := dataschema.Compile("s.json", map[string][]byte{"s.json": []byte(text)})
		if got := err != nil && strings.Contains(err.Error(), "leads back to itself"); got != endless {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestAFormatOfRegexIsBounded: compiling a long text would take seconds.
func TestAFormatOfRegexIsBounded(t *testing.T) {
	s, err := dataschema.CompileData(map[string]any{"type": "string", "format": "regex"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for text, valid := range map[string]bool{"^a+$": true, "(": false, strings.Repeat("(a|b)", 200_000): false} {
		if err := s.Check(text); (err == nil) != valid {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if d := time.Since(start); d > 500*time.Millisecond {
		t.Errorf("it took %s", d)
	}
}
