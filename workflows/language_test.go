package workflows_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/builtin"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"
	"gopkg.in/yaml.v3"
)

// eval compiles and runs one expression over names.
func eval(t testing.TB, text string, names workflows.Names) (any, error) {
	t.Helper()
	var keys []string
	for k := range names {
		keys = append(keys, k)
	}
	e, err := workflows.CompileExpr(text, keys...)
	if err != nil {
		return nil, err
	}
	return e.Eval(&workflows.Env{Names: names, Now: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), Seed: "seed"})
}

func data(t testing.TB, text string) any {
	t.Helper()
	v, err := value.DecodeJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExpressionsGiveWhatTheLanguageSays(t *testing.T) {
	names := workflows.Names{"event": data(t,
		`{"data": {"big": 12345678901234567890123, "exact": 9007199254740993, "f": 1700000000.0, "none": null,
		"lines": [{"sku": "K1", "quantity": 2}, {"sku": "K2", "quantity": 0}], "m": {"b": 1, "a": 2}, "text": "Ädäm"}}`)}
	for expr, want := range map[string]string{
		`event.data.exact + 1`:                     `9007199254740994`,
		`event.data.big`:                           `12345678901234567890123`,
		`string(event.data.f)`:                     `"1700000000"`,
		`event.data.none?.deep ?? "stand-in"`:      `"stand-in"`,
		`filter(event.data.lines, .quantity > 0)`:  `[{"quantity":2,"sku":"K1"}]`,
		`keys(event.data.m)`:                       `["a","b"]`,
		`groupBy(event.data.lines, .quantity > 0)`: `{"false":[{"quantity":0,"sku":"K2"}],"true":[{"quantity":2,"sku":"K1"}]}`,
		`10 / 4`:               `2.5`,
		`event.data.text[0:2]`: `"Äd"`,
		`map(event.data.lines, {let l = #; l.sku + "!"})`: `["K1!","K2!"]`,
		`isoTime(now())`:        `"2026-05-01T10:00:00.000Z"`,
		`uuid() == uuid()`:      `false`,
		`truncate("abcdef", 3)`: `"abc"`,
		`"a" in ["a"]`:          `true`,
	} {
		v, err := eval(t, expr, names)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got, err := value.EncodeJSON(v); err != nil || string(got) != want {
			t.Errorf("%s = %s (%v), want %s", expr, got, err, want)
		}
	}
}

func TestFailingExpressionsSayWhatWasWrong(t *testing.T) {
	names := workflows.Names{"event": data(t, `{"data": {"none": null, "big": 12345678901234567890123, "text": "a", "n": 1}}`)}
	for expr, want := range map[string]string{
		`event.data.none.deep`:       "event.data.none is nil; write event.data.none?.deep",
		`1 / 0`:                      "division by zero",
		`event.data.big + 1`:         "larger than 64 bits",
		`event.data.text + 1`:        "+ cannot add text and a number",
		`string(event.data.none)`:    "the value is nil",
		`9223372036854775807 + 1`:    "does not fit into 64 bits",
		`2.0 ** 5000`:                "no number",
		`event.data.n > "a"`:         "",
		`repeat("a", 999999999)`:     "out of bounds",
		`join(event.data.text, ",")`: "must be a list",
	} {
		_, err := eval(t, expr, names)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
}

// TestHostileExpressionsAreStopped holds promise P33: each ends within a quarter
// of a second and a bounded heap, the process alive.
func TestHostileExpressionsAreStopped(t *testing.T) {
	list := make([]any, 2000)
	for i := range list {
		list[i] = i
	}
	long := strings.Repeat("a", 900_000)
	names := workflows.Names{"list": list, "text": long, "pattern": "(a?){500}b"}
	hostile := []string{
		`repeat(repeat("a", 900000), 900000)`,
		`reduce(1..40, #acc + #acc, "ab")`,
		`reduce(1..20, replace(#acc, "a", "aaaaaaaaaa"), "a")`,
		`all(list, {let x = #; all(list, {let y = #; all(list, # + x + y > -1)})})`,
		`text matches pattern`,
		`match(text, pattern)`,
		`len(map(1..100000, text + "x"))`,
		`join(map(1..300000, "` + strings.Repeat("x", 178) + `"), "")`,
		`let a = text + text; let b = a + a; let c = b + b; let d = c + c; let e = d + d; e + e`,
		`toJSON(map(1..1000, text))`,
		`flatten(map(1..1000, list))`,
		`uniq(concat(list, list, list)) == list and all(list, {let x = #; all(list, {let y = #; # in list})})`,
		`1..100000000`,
		`map(1..1000, map(1..1000, map(1..1000, 1)))`,
		`string(map(1..5000, text))`,
		strings.Repeat("-", 30_000) + "1",
		strings.Repeat("(", 30_000),
		"'" + strings.Repeat("a", 40_000) + "'",
	}
	for _, h := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := eval(t, h, names)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		short := h[:min(len(h), 60)]
		if err == nil && h != `text matches pattern` && !strings.HasPrefix(h, "-") {
			t.Errorf("%s: was not stopped", short)
		}
		// Far more than the budget, since the machines that run this are small and
		// shared, and the race detector slows it tenfold; not stopped, each of these
		// takes minutes to years.
		if took > 10*time.Second {
			t.Errorf("%s: took %v", short, took)
		}
		if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 512<<20 {
			t.Errorf("%s: allocated %d MiB", short, grown>>20)
		}
	}
}

func TestEachFunctionsExampleHolds(t *testing.T) {
	known := map[string]bool{}
	for _, f := range workflows.Functions() {
		known[f.Name] = true
		v, err := eval(t, f.Example, workflows.Names{})
		if err != nil || v != true {
			t.Errorf("%s: %s gives %v, %v", f.Name, f.Example, v, err)
		}
	}
	for _, name := range builtin.Names {
		if !known[name] {
			t.Errorf("%s of expr is not listed", name)
		}
	}
}

func TestQuickPathsAgreeWithTheMachine(t *testing.T) {
	for _, doc := range []string{
		`{"data": {"a": {"b": 1}}}`, `{"data": {"a": null}}`, `{"data": {"a": "text"}}`, `{"data": [1]}`,
		`{}`, `{"data": {"b": false}}`,
	} {
		for _, path := range []string{
			`event.data.a.b`, `event.data?.a?.b`, `event.data.a`, `event.data.a ?? event.data.b`,
			`event["data"]["a"]`,
		} {
			names := workflows.Names{"event": data(t, doc)}
			quick, errQuick := eval(t, path, names)
			slow, errSlow := eval(t, "true ? ("+path+") : 0", names)
			a, _ := value.EncodeJSON(quick)
			b, _ := value.EncodeJSON(slow)
			if !bytes.Equal(a, b) || (errQuick == nil) != (errSlow == nil) {
				t.Errorf("%s over %s: %s %v, the machine says %s %v", path, doc, a, errQuick, b, errSlow)
			}
		}
	}
}

// FuzzWorkflow feeds the loader: it must answer, never panic, and place every
// mistake in the file.
func FuzzWorkflow(f *testing.F) {
	files, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(a.Files[0].Data))
	}
	c := catalog(f)
	p, _ := workflows.Load(f.TempDir(), c, nil)
	f.Fuzz(func(t *testing.T, text string) {
		_, mistakes := p.Compile("fuzzed", []byte(text), workflows.Pins{})
		for _, m := range mistakes {
			if m.Line < 1 || m.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("placed outside of the file: %+v", m)
			}
			if s := m.String(); s == "" {
				t.Fatal("no text")
			}
		}
	})
}

// FuzzExpression compiles and runs whatever comes, within its budget.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{`event.data.a ?? 1`, `map(list, {# + 1})`, `"a" + "b"`, `let x = 1; x + 1`, `filter(1..10, # % 2 == 0)`} {
		f.Add(s)
	}
	list := []any{1, "a", nil, map[string]any{"b": 2.5}}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		v, err := eval(t, text, workflows.Names{"event": map[string]any{"data": map[string]any{"a": nil}}, "list": list})
		if took := time.Since(began); took > 3*time.Second {
			t.Fatalf("took %v", took)
		}
		if err == nil {
			if _, ok := v.(time.Time); !ok {
				if _, err := value.EncodeJSON(v); err != nil && !strings.Contains(err.Error(), "too large") {
					t.Fatalf("the result is no data: %v", err)
				}
			}
		}
	})
}

func schemas(t *testing.T) (workflow, project *jsonschema.Schema) {
	t.Helper()
	c := catalog(t)
	compile := func(of string) *jsonschema.Schema {
		b, err := json.Marshal(workflows.Schema(of, &c))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		k := jsonschema.NewCompiler()
		if err := k.AddResource("mem:"+of, doc); err != nil {
			t.Fatal(err)
		}
		s, err := k.Compile("mem:" + of)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return compile("workflow"), compile("project")
}

func asJSON(t *testing.T, text []byte) (any, bool) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, false
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	return doc, err == nil
}

func TestSchemaAcceptsEveryExample(t *testing.T) {
	flow, project := schemas(t)
	files, err := filepath.Glob("../examples/*/workflows/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("examples: %v %v", files, err)
	}
	configs, err := filepath.Glob("../examples/*/hookloom.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, configs...) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s := flow
		if strings.HasSuffix(f, "hookloom.yaml") {
			s = project
		}
		doc, ok := asJSON(t, text)
		if !ok {
			t.Fatalf("%s is no YAML", f)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestSchemaRefusesWhatASchemaCanSee runs the golden mistakes of shape through
// the schema: editors must point at them as well.
func TestSchemaRefusesWhatASchemaCanSee(t *testing.T) {
	flow, project := schemas(t)
	shape := map[string]bool{
		"unknown-key":  true,
		"missing-key":  true,
		"wrong-kind":   true,
		"unknown-word": true,
		"out-of-range": true,
		"unit":         true,
		"bad-name":     true,
		"no-body":      true,
		"two-bodies":   true,
	}
	files, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	// Beyond a schema: the catalog's words, values that need another file, and
	// numbers written as YAML 1.1 reads them.
	beyond := map[string]bool{"timezone_unknown": true, "timezone_abbreviation": true, "files_bounds": true,
		"server_tokens": true, "input_word": true, "connection_field_missing": true,
		"connector_unknown_key": true, "verify_variable": true, "connection_http_keys": true, "auth_flat": true,
		"auth_header_text": true, "auth_type": true, "auth_username": true,
		"type_number_too_large": true, "workflow_run_unknown": true, "webhook_without_secret": true,
		"http_max_response": true, "save_max_response": true, "deadline_zero": true, "store_ttl": true,
		"retry_without_bound": true, "alias_bomb": true, "range_version": true, "finally_status": true,
		"multipart_path": true, "kind_steps_map": false, "trigger_kind_without_settings": true,
		"jwt_bearer_lifetime": true, "jwt_bearer_without_key": true, "oauth_in_step": true, "oauth_without_authorize_url": true,
		"oauth_without_secret": true}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := string(a.Files[len(a.Files)-1].Data)
		place, rest, _ := strings.Cut(want, "error[")
		code, _, _ := strings.Cut(rest, "]")
		file, schema := a.Files[0], flow
		if strings.HasPrefix(place[strings.LastIndex(place, "\n")+1:], "hookloom.yaml:") {
			schema = project
			for _, f := range a.Files[1:] {
				if f.Name == "hookloom.yaml" {
					file = f
				}
			}
		}
		doc, ok := asJSON(t, file.Data)
		if !shape[code] || !ok || beyond[name] {
			continue
		}
		seen++
		if err := schema.Validate(doc); err == nil {
			t.Errorf("%s (%s): the schema accepts it", name, code)
		}
	}
	if seen < 15 {
		t.Errorf("only %d mistakes were tried", seen)
	}
}

// TestTheWholeGrammarIsReadAndChecked loads files that use every key.
func TestTheWholeGrammarIsReadAndChecked(t *testing.T) {
	_, mistakes := workflows.Load("testdata/whole", catalog(t), func(string) bool { return true })
	for _, m := range mistakes {
		if m.Code != "sync-wait" { // it waits for a person, which outlasts the answer
			t.Errorf("%s", m)
		}
	}
	flow, _ := schemas(t)
	for _, name := range []string{"everything", "gathers", "batches"} {
		text, err := os.ReadFile("testdata/whole/workflows/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		doc, ok := asJSON(t, text)
		if !ok {
			t.Fatal("no YAML")
		}
		if err := flow.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
