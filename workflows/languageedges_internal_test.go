package workflows

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// TestStatusesAreReadInEachForm: one, a range, or a class.
func TestStatusesAreReadInEachForm(t *testing.T) {
	for text, want := range map[string]StatusRange{"429": {429, 429}, "500-599": {500, 599}, "5xx": {500, 599}, "1XX": {100, 199},
		"502 - 504": {502, 504}} {
		if got, ok := parseStatusRange(text); !ok || got != want {
			t.Errorf("%s: %v %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "0xx", "6xx", "600", "99", "504-502", "xx", "5x"} {
		if got, ok := parseStatusRange(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// TestForeignYAMLIsNestedUpToItsLimit: the limit itself is allowed.
func TestForeignYAMLIsNestedUpToItsLimit(t *testing.T) {
	nested := func(depth int) []byte {
		return []byte(strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth))
	}
	if out, err := YAMLToJSON(nested(maxYAMLJSONDepth), 1000); err != nil || string(out) != string(nested(maxYAMLJSONDepth)) {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := YAMLToJSON(nested(maxYAMLJSONDepth+1), 1000); err == nil {
		t.Error("no error beyond the limit")
	}
}

// TestKnownSecretsMayEndWithANine: each digit counts.
func TestKnownSecretsMayEndWithANine(t *testing.T) {
	for _, text := range []string{"1234567890", "0123456789"} {
		if got := WeakSecret(text); !strings.Contains(got, "well-known") {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// TestInputsAreCheckedAndCompleted: an unknown name is an error, and a missing value is the default.
func TestInputsAreCheckedAndCompleted(t *testing.T) {
	w := &Workflow{Inputs: []Input{{Name: "n", Type: "integer", Default: 3}, {Name: "s", Type: "string"}}}
	for _, given := range []map[string]any{nil, {}, {"n": nil, "s": nil}} {
		if got := w.WithDefaults(given); got["n"] != 3 || got["s"] != nil {
			t.Errorf("%v: %v", given, got)
		}
	}
	given := map[string]any{"n": 4, "s": "x", "more": true}
	if got := w.WithDefaults(given); !reflect.DeepEqual(got, given) {
		t.Errorf("%v", got)
	}
	out, problems := CheckInputs(w.Inputs, map[string]any{"": 1, "s": "x"})
	if len(problems) != 1 || !strings.HasPrefix(problems[0], `no input is named ""`) || out["n"] != 3 || out["s"] != "x" {
		t.Errorf("%v %q", out, problems)
	}
}

// TestDefaultsAreShownInTheSchemaOfATool, but for that of a secret.
func TestDefaultsAreShownInTheSchemaOfATool(t *testing.T) {
	w := &Workflow{Inputs: []Input{{Name: "n", Type: "integer", Default: 3}, {Name: "s", Type: "string"},
		{Name: "key", Type: "string", Default: "x", Secret: true}}}
	properties, _ := w.InputSchema()["properties"].(map[string]any)
	for name, want := range map[string]any{"n": 3, "s": nil, "key": nil} {
		one, _ := properties[name].(map[string]any)
		if got, has := one["default"]; has != (want != nil) || got != want {
			t.Errorf("%s: %v", name, one)
		}
	}
}

// TestOnlyAnExpressionInsertsNothing: a text that is empty in the file is what its author wants.
func TestOnlyAnExpressionInsertsNothing(t *testing.T) {
	compile := func(text string) *Expr {
		e, err := expr.Compile(text, "body")
		if err != nil {
			t.Fatal(err)
		}
		return &Expr{Expr: *e}
	}
	env := &expr.Env{Names: expr.Names{"body": map[string]any{"empty": ""}}}
	for name, c := range map[string]struct {
		value *Value
		want  int
	}{
		"no value": {nil, 0}, "an empty text": {&Value{constant: ""}, 0},
		"an expression":   {&Value{kind: exprValue, expr: compile("body.empty")}, 1},
		"a missing field": {&Value{kind: exprValue, expr: compile("body.none")}, 1},
		"a full one":      {&Value{kind: exprValue, expr: compile("'x'")}, 0},
	} {
		s := &Shown{Nothing: &Nothing{}}
		if _, _, err := s.RenderInput("text", c.value, env, FillPlain); err != nil || len(s.Nothing.Of) != c.want {
			t.Errorf("%s: %q %v", name, s.Nothing.Of, err)
		}
	}
	failing := &Value{kind: listValue, list: []*Value{{kind: exprValue, expr: compile("int(body.empty)")}}}
	if _, _, err := (&Shown{Hidden: []string{"h"}}).Render(failing, env, FillPlain); err == nil {
		t.Error("an expression in a list fails without an error")
	}
}

func TestExpressionsAboutAPatternAreListedOnce(t *testing.T) {
	compile := func(text string) *Expr {
		e, err := expr.Compile(text, "event")
		if err != nil {
			t.Fatal(err)
		}
		return &Expr{Expr: *e}
	}
	w := &Workflow{When: []*Expr{compile("event.data.a == 1"), compile("event.data.b == 1"), compile("event.data.a == 1")}}
	if got := w.ExpressionsAbout(regexp.MustCompile(`data\.a`)); len(got) != 1 || got[0] != "event.data.a == 1" {
		t.Errorf("%q", got)
	}
}

func TestMistakeInASchemaFileNamesItsLine(t *testing.T) {
	_, mistakes := LoadFiles(t.TempDir(), Files{
		ProjectFile:          []byte("triggers:\n  shop: {webhook: {auth: none, key: body.id, schema: schemas/order.json}}\n"),
		"schemas/order.json": []byte("{\n  \"type\": \"object\",\n  \"properties\": {\"id\": {\"type\": \"nothing\"}}\n}\n"),
	}, Catalog{}, nil)
	for _, m := range mistakes {
		if m.Code == "bad-schema" {
			if !strings.HasSuffix(m.File, "order.json") || m.Line != 3 {
				t.Errorf("%+v", m)
			}
			return
		}
	}
	t.Errorf("no mistake: %+v", mistakes)
}
