package dataschema_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows/dataschema"
)

// nested returns a condition that consists of conditions, nested to a number of levels.
func nested(levels int) string {
	return strings.Repeat(`{"op": "x", "args": [`, levels) + `{"op": "x"}` + strings.Repeat(`]}`, levels)
}

// TestASmallBodyCannotKeepASchemaBusy checks data for which time and memory doubled with each
// level: 25 levels would have taken an hour.
func TestASmallBodyCannotKeepASchemaBusy(t *testing.T) {
	t.Parallel()
	const either = `{"$defs": {"c": {"oneOf": [
		{"properties": {"op": {"const": "and"}, "args": {"items": {"$ref": "#/$defs/c"}}}},
		{"properties": {"op": {"const": "or"}, "args": {"items": {"$ref": "#/$defs/c"}}}}]}}, `
	for name, rest := range map[string]string{"ref": `"$ref": "#/$defs/c"}`, "not": `"not": {"not": {"not": {"$ref": "#/$defs/c"}}}}`} {
		s, err := dataschema.CompileData(decode(t, either+rest), nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err = s.Check(decode(t, nested(25)))
		if took := time.Since(start); name == "ref" && (err == nil || !strings.Contains(err.Error(), "too many steps")) || took > time.Minute {
			t.Errorf("%s: %v after %v", name, err, took)
		}
	}
}

// TestRecursiveSchemasFitUsualData checks trees and long lists, valid and invalid.
func TestRecursiveSchemasFitUsualData(t *testing.T) {
	t.Parallel()
	s, err := dataschema.CompileData(decode(t, `{"type": "object", "required": ["id"], "properties": {
		"id": {"type": "integer", "format": "regex"}, "mail": {"format": "email"}, "children": {"type": "array", "items": {"$ref": "#"}}}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	long := `{"id": 0, "children": [` + strings.Repeat(`{"id": 1, "children": [{"id": 2}]},`, 30_000)
	for data, says := range map[string]string{
		`{"id": 1, "children": [{"id": 2, "children": []}, {"id": 3}]}`: "",
		`{"id": 1, "children": [{"id": 2, "children": [{}]}]}`:          "/children/0/children/0: missing property 'id'",
		`{"id": 1, "children": [{"id": 2, "mail": "nobody"}]}`:          "/children/0/mail: is no email",
		long + `{"id": 4}]}`:   "",
		long + `{"id": "4"}]}`: "/children/30000/id: got string, want integer",
	} {
		got := ""
		if err := s.Check(decode(t, data)); err != nil {
			got = err.Error()
		}
		if got != says {
			t.Errorf("%.80s: %s, want %s", data, got, says)
		}
	}
}
