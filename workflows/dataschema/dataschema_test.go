package dataschema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/dataschema"
	"github.com/hookloom/hookloom/workflows/value"
)

func decode(t *testing.T, text string) any {
	t.Helper()
	v, err := value.DecodeJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchemaErrorsContainNoValues violates each rule with a value that must not be shown.
func TestSchemaErrorsContainNoValues(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct{ bad, says string }{
		`{"type": "number"}`:                              {`"secret"`, "/: got string, want number"},
		`{"pattern": "^a"}`:                               {`"secret"`, `/: does not match the pattern "^a"`},
		`{"format": "email"}`:                             {`"secret"`, "/: is no email"},
		`{"enum": ["a", "b"]}`:                            {`"secret"`, "/: value must be one of 'a', 'b'"},
		`{"const": "a"}`:                                  {`"secret"`, "/: value must be 'a'"},
		`{"minLength": 9}`:                                {`"secret"`, "/: minLength: got 6, want 9"},
		`{"anyOf": [{"const": "a"}, {"const": "b"}]}`:     {`"secret"`, "/: fits none of the alternatives of anyOf"},
		`{"oneOf": [{"const": "a"}, {"const": "b"}]}`:     {`"secret"`, "/: must fit exactly one of the alternatives of oneOf"},
		`{"minimum": 1.5}`:                                {`-77123`, "/: must be at least 1.5"},
		`{"maximum": 1}`:                                  {`77123`, "/: must be at most 1"},
		`{"exclusiveMinimum": 1}`:                         {`-77123`, "/: must be more than 1"},
		`{"exclusiveMaximum": 1}`:                         {`77123`, "/: must be less than 1"},
		`{"multipleOf": 10}`:                              {`77123`, "/: must be a multiple of 10"},
		`{"required": ["id"]}`:                            {`{"x": "secret"}`, "/: missing property 'id'"},
		`{"items": {"type": "null"}}`:                     {`["secret"]`, "/0: got string, want null"},
		`{"uniqueItems": true}`:                           {`["secret", "secret"]`, "/: items at 0 and 1 are equal"},
		`{"contains": {"const": 1}}`:                      {`["secret"]`, "/: no items match contains schema"},
		`{"not": {"type": "string"}}`:                     {`"secret"`, "/: 'not' failed"},
		`{"properties": {"a": {"type": "null"}}}`:         {`{"a": "secret"}`, "/a: got string, want null"},
		`{"allOf": [{"maxLength": 1}, {"pattern": "x"}]}`: {`"secret"`, `/: maxLength: got 6, want 1; /: does not match the pattern "x"`},
	} {
		s, err := dataschema.CompileData(decode(t, rule), nil)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		got := s.Check(decode(t, c.bad))
		if got == nil || got.Error() != c.says {
			t.Errorf("%s of %s: %v, want %s", rule, c.bad, got, c.says)
		}
		if got != nil && (strings.Contains(got.Error(), "secret") || strings.Contains(got.Error(), "77123")) {
			t.Errorf("%s shows the value: %v", rule, got)
		}
	}
}

// TestASchemaStaysInTheProject lists the references that a $ref must not make.
func TestASchemaStaysInTheProject(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		"schemas/order.json":      []byte(`{"properties": {"line": {"$ref": "parts/line.json#/$defs/sku"}}}`),
		"schemas/parts/line.json": []byte(`{"$defs": {"sku": {"type": "string"}}}`),
		"net.json":                []byte(`{"$ref": "https://example.com/x.json"}`),
		"file.json":               []byte(`{"$ref": "file:///etc/passwd"}`),
		"id.json":                 []byte(`{"$id": "https://example.com/a.json", "$ref": "order.json"}`),
		"up.json":                 []byte(`{"$ref": "../../../etc/hostname.json"}`),
		"self.json":               []byte(`{"$ref": "self.json"}`),
	}
	s, err := dataschema.Compile("schemas/order.json", files)
	if err != nil {
		t.Fatal(err)
	}
	if s.Check(map[string]any{"line": "a"}) != nil || s.Check(map[string]any{"line": 1}) == nil {
		t.Error("the $ref to another file is not followed")
	}
	if got := dataschema.References("schemas/order.json", files["schemas/order.json"]); len(got) != 1 || got[0] != "schemas/parts/line.json" {
		t.Errorf("the files that it refers to are %v", got)
	}
	for name, says := range map[string]string{"net.json": "is not a file of the project", "file.json": "is not a file of the project",
		"id.json": "is not a file of the project", "up.json": "there is no file etc/hostname.json in the project"} {
		_, err := dataschema.Compile(name, files)
		var e *dataschema.Error
		if !errors.As(err, &e) || !strings.Contains(e.Problem, says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
	if s, err := dataschema.Compile("self.json", files); err == nil {
		_ = s.Check("x") // it must return
	}
}

// TestNumbersOfAnySizeAreCompared uses numbers that exceed the machine types.
func TestNumbersOfAnySizeAreCompared(t *testing.T) {
	t.Parallel()
	s, err := dataschema.CompileData(decode(t, `{"maximum": 10}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"123456789012345678901234567890", "1e300", "11"} {
		if s.Check(decode(t, text)) == nil {
			t.Errorf("%s is at most 10", text)
		}
	}
}

// FuzzASchemaThatCompilesChecks checks that no schema and no data cause a panic.
func FuzzASchemaThatCompilesChecks(f *testing.F) {
	f.Add(`{"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"pattern": "^x"}}}`, `{"a": 1}`)
	f.Add(`{"$ref": "#"}`, `1`)
	f.Add(`{"not": {}, "if": true, "then": {"multipleOf": 0.1}}`, `1e10`)
	f.Fuzz(func(t *testing.T, schema, data string) {
		doc, err := value.DecodeJSON([]byte(schema))
		if err != nil {
			t.Skip()
		}
		v, err := value.DecodeJSON([]byte(data))
		if err != nil {
			t.Skip()
		}
		s, err := dataschema.CompileData(doc, nil)
		if err != nil {
			return
		}
		if why := s.Check(v); why != nil && why.Error() == "" {
			t.Error("it does not fit, and nothing says why")
		}
	})
}
