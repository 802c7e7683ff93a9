package workflows_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"
	"gopkg.in/yaml.v3"
)

// FuzzWorkflow checks that the loader never panics and that the position of every mistake is in the
// file.
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

func schemas(t *testing.T) (workflow, project, connector *jsonschema.Schema) {
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
	return compile("workflow"), compile("project"), compile("connector")
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
	flow, project, _ := schemas(t)
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

// TestSchemaRefusesStructuralMistakes validates the golden mistakes of structure with the schema:
// editors must report them as well.
func TestSchemaRefusesStructuralMistakes(t *testing.T) {
	flow, project, connector := schemas(t)
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
	// A schema cannot check the names of the catalog, values that depend on another file or
	// on vars, and numbers as YAML 1.1 reads them.
	beyond := map[string]bool{"timezone_unknown": true, "timezone_abbreviation": true, "files_bounds": true,
		"server_tokens": true, "input_word": true, "connection_field_missing": true,
		"verify_variable": true, "connection_http_keys": true, "auth_flat": true,
		"auth_header_text": true, "auth_type": true, "auth_username": true,
		"type_number_too_large": true, "workflow_run_unknown": true, "webhook_without_secret": true,
		"http_max_response": true, "save_max_response": true, "deadline_zero": true, "store_ttl": true,
		"retry_without_bound": true, "alias_bomb": true, "range_version": true, "finally_status": true,
		"multipart_path": true, "kind_steps_map": false, "trigger_kind_without_settings": true,
		"jwt_bearer_lifetime": true, "jwt_bearer_without_key": true, "oauth_in_step": true, "oauth_without_authorize_url": true,
		"oauth_without_secret": true, "connector_example": true, "http_expect": true, "auth_basic_colon": true, "vars_wrong_value": true,
		"connection_of_another_tool": true, "kind_of_connection_field": true, "kind_of_poll_url": true, "sleep_never_fits": true}
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
		if strings.HasPrefix(place[strings.LastIndex(place, "\n")+1:], "connectors/") {
			schema = connector
			for _, f := range a.Files[1:] {
				if strings.HasPrefix(f.Name, "connectors/") {
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

// TestWholeGrammarIsReadAndChecked loads files that use every key.
func TestWholeGrammarIsReadAndChecked(t *testing.T) {
	_, mistakes := workflows.Load("testdata/whole", catalog(t), func(string) bool { return true })
	for _, m := range mistakes {
		if m.Code != "sync-wait" { // it waits for a person, which takes longer than the sender waits
			t.Errorf("%s", m)
		}
	}
	flow, _, _ := schemas(t)
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
