package workflows

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// presetsOf is a library with the presets of a test.
type presetsOf map[string]*Preset

func (p presetsOf) Get(name string) *Preset { return p[name] }
func (p presetsOf) Names() []string         { return nil }

// TestTheVersionOfAnAPIIsThatOfTheDelivery, of at most 40 bytes, and never a masked one.
func TestTheVersionOfAnAPIIsThatOfTheDelivery(t *testing.T) {
	preset, err := presetWith(t, "api_version: body?.v ?? headers[\"v\"]\n", hmacScheme)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := presetWith(t, "", hmacScheme)
	if err != nil {
		t.Fatal(err)
	}
	p := &Project{Presets: presetsOf{"x": preset, "plain": plain},
		Triggers: map[string]*Trigger{"hook": {Webhook: &Webhook{Provider: "x"}}, "poll": {Poll: &Poll{}},
			"own": {Webhook: &Webhook{}}, "plain": {Webhook: &Webhook{Provider: "plain"}}, "gone": {Webhook: &Webhook{Provider: "gone"}}}}
	names := func(body any, more ...string) map[string]any {
		out := map[string]any{"body": body, "headers": map[string]any{"v": "h1"}, "query": map[string]any{}}
		if len(more) > 0 {
			out["inlet"] = more[0]
		}
		return out
	}
	v := func(x any) map[string]any { return map[string]any{"v": x} }
	for _, c := range []struct {
		trigger string
		names   map[string]any
		want    string
	}{
		{"hook", names(v("2026-01")), "2026-01"}, {"hook", names(v(nil)), "h1"}, {"hook", names(nil), ""}, {"hook", names(v(5)), ""},
		{"hook", names(v(strings.Repeat("x", 40))), strings.Repeat("x", 40)}, {"hook", names(v(strings.Repeat("x", 41))), ""},
		{"hook", names(v("a" + Mask)), ""}, {"hook", names(v("2"), "poll"), "asked"}, {"poll", names(v("2"), "poll"), "asked"},
		{"poll", names(v("2")), ""},
		{"none", names(v("2")), ""}, {"own", names(v("2")), ""}, {"plain", names(v("2")), ""}, {"gone", names(v("2")), ""},
		{"hook", names("text"), ""},
	} {
		if got := p.APIVersion(c.trigger, map[string]string{PollVersionHeader: "asked"}, c.names); got != c.want {
			t.Errorf("%s, %v: %q, not %q", c.trigger, c.names, got, c.want)
		}
	}
	for item, want := range map[any]string{"text": "", "": ""} {
		if got := p.ItemVersion(&Poll{Provider: "x"}, item); got != want {
			t.Errorf("item %v: %q", item, got)
		}
	}
	if got := p.ItemVersion(&Poll{Provider: "x"}, v("i1")); got != "i1" {
		t.Errorf("an item's version is %q", got)
	}
}

// TestTheLargestBodyIsTheOneInTheFile, else the provider's if it is larger than the default of 1 MiB.
func TestTheLargestBodyIsTheOneInTheFile(t *testing.T) {
	p := &Project{Presets: presetsOf{"large": {MaxBody: 3 << 20}, "small": {MaxBody: 10}}}
	for want, w := range map[int64]*Webhook{5: {MaxBody: 5, Provider: "large"}, 3 << 20: {Provider: "large"},
		1_048_576: {Provider: "small"}} {
		if got := p.MaxBody(w); got != want {
			t.Errorf("%+v: %d", w, got)
		}
	}
	if got := p.MaxBody(&Webhook{}); got != 1_048_576 || LargestMaxBody != 33_554_432 {
		t.Error(got)
	}
	two := &Preset{Verify: []*Verify{{}, {}}}
	two.Verify[0].Variant, two.Verify[1].Variant = "a", "b"
	for name, want := range map[string]string{"": "a", "any": "a", "a": "a", "b": "b"} {
		if got := two.variant(name); got == nil || got.Variant != want {
			t.Errorf("%q: %+v", name, got)
		}
	}
	if two.variant("c") != nil || (&Preset{}).variant("") != nil {
		t.Error("a scheme that is not there is found")
	}
}

// TestAFieldIsNotNeededIfOnlyTheReplacedAuthReadsIt: what the URL or an action reads is.
func TestAFieldIsNotNeededIfOnlyTheReplacedAuthReadsIt(t *testing.T) {
	k, err := ParseConnector("x.yaml", []byte(`connector: x
base_url: "https://${{ connection.region }}.example.com"
connection:
  token: {type: string, required: true, secret: true}
  region: {type: string, required: true}
  account: {type: string, required: true}
  both: {type: string, required: true}
  free: {type: string}
auth: {basic: {user: "${{ connection.token }}", password: "${{ connection.both }}"}}
headers: {X: "${{ connection.both }}"}
actions: {a: {request: {path: "/${{ connection.account }}", query: {f: "${{ connection.free }}"}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	own := &Connection{Auth: &Auth{}}
	for _, f := range k.Fields {
		if got, want := k.NeedsField(own, f), f.Name != "token" && f.Name != "free"; got != want {
			t.Errorf("with its own auth, %s is needed: %v", f.Name, got)
		}
		if got := k.NeedsField(&Connection{}, f); got != (f.Name != "free") || k.NeedsField(nil, f) != got {
			t.Errorf("%s is needed: %v", f.Name, got)
		}
	}
	whole, err := ParseConnector("x.yaml", []byte(`connector: x
base_url: "https://a.example.com"
connection: {token: {type: string, required: true}, list: {type: string, required: true}, x: {type: string, required: true}}
auth: {bearer: "${{ connection.token }}"}
actions: {a: {request: {method: POST, path: /a, body: {c: "${{ connection?.list }}", d: "${{ connection['x'] }}"}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range whole.Fields {
		if got := whole.NeedsField(own, f); got != (whole != nil) {
			t.Errorf("a computed name may read %s: %v", f.Name, got)
		}
	}
}

func TestAStepLacksAConnectionThatIsNotDeclared(t *testing.T) {
	k := &Connector{Name: "acme", Fields: []ConnectionField{{Name: "token", Required: true}}}
	p := &Project{Connections: map[string]*Connection{"there": {}}}
	plain, needs := &ActionSpec{}, &ActionSpec{Connector: k, Action: &ConnectorAction{}}
	with := func(v *Value) *Value {
		return &Value{kind: mapValue, keys: []string{"connection"}, values: []*Value{v}}
	}
	for _, c := range []struct {
		s    *Step
		want string
	}{
		{&Step{}, ""}, {&Step{Spec: plain}, ""}, {&Step{Spec: plain, With: with(&Value{constant: "there"})}, ""},
		{&Step{Spec: plain, With: with(&Value{constant: "gone"})}, "gone"},
		{&Step{Spec: plain, With: with(&Value{kind: exprValue, expr: exprOf(t, "a")})}, ""},
		{&Step{Spec: needs, With: with(&Value{kind: exprValue, expr: exprOf(t, "a")})}, ""},
		{&Step{Spec: needs, With: with(&Value{constant: "there"})}, ""},
	} {
		if got := p.LacksConnection(c.s); got != c.want {
			t.Errorf("%+v: %q", c.s, got)
		}
	}
	if needs.Needs() != nil {
		if got := p.LacksConnection(&Step{Spec: needs}); got != "acme" {
			t.Errorf("without a name: %q", got)
		}
		p.Connections["acme"] = &Connection{}
		if got := p.LacksConnection(&Step{Spec: needs}); got != "" {
			t.Errorf("with the connection: %q", got)
		}
	}
}

func TestSizesAndDurationsAreShownAsFilesWriteThem(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1000: "1000 bytes", 1024: "1KiB", 1025: "1025 bytes", 64 << 10: "64KiB",
		1 << 20: "1MiB",
		3 << 30: "3GiB", 1<<30 + 1<<20: "1025MiB"} {
		if got := SizeText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for text, want := range map[string]string{"24h": "1d", "48h": "2d", "23h": "23h", "25h": "25h", "90m": "1h30m", "60s": "1m",
		"90s": "1m30s", "500ms": "500ms",
		"1h": "1h", "10h0m10s": "10h0m10s"} {
		d, err := ParseDuration(text)
		if text == "10h0m10s" {
			d, err = 36_010_000_000_000, nil
		}
		if got := DurationText(d); err != nil || got != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
}

func TestNoActionsAreAnEmptySet(t *testing.T) {
	var none *Actions
	if none.Get("a") != nil || none.All() != nil || none.Names() != nil || none.Connector("a") != nil || none.builtInUnder("a") != "" ||
		len(none.connectorNames()) != 0 {
		t.Error("no actions are some")
	}
	one := none.With(&ActionSpec{Name: "b/x"}, &ActionSpec{Name: "a/y", Connector: &Connector{}})
	two := one.With(&ActionSpec{Name: "c"})
	if got := strings.Join(two.Names(), " "); got != "a/y b/x c" || len(one.All()) != 2 || one.Get("c") != nil || two.Get("c") == nil {
		t.Error(got)
	}
	if two.builtInUnder("b/") != "b/x" || two.builtInUnder("a/") != "" || two.builtInUnder("x") != "" {
		t.Error("an action of a connector is a built-in one, or the other way round")
	}
	s := &ActionSpec{Connector: &Connector{}, Action: &ConnectorAction{Inputs: []Input{{Name: "timeout"}}}}
	for _, in := range []string{"timeout", "other", "url"} {
		_ = s.Common(in)
	}
	if (&ActionSpec{}).Confidence() != "confirmed" ||
		(&ActionSpec{Action: &ConnectorAction{Confidence: "memory"}}).Confidence() != "memory" {
		t.Error("the confidence is not that of the action")
	}
}

// TestAFolderThatCannotBeReadIsAMistake, and so are a link without a target and a file that is too large.
func TestAFolderThatCannotBeReadIsAMistake(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	files, mistakes := ReadFiles(none, "")
	if len(files) != 0 || len(mistakes) != 1 || !strings.Contains(mistakes[0].Problem, "the folder cannot be opened") {
		t.Errorf("%v %v", files, mistakes)
	}
	if Environments(none) != nil || yamlFiles(none, "tests") != nil {
		t.Error("a folder that is not there has files")
	}
	if src, ok := openFile(none, "a.yaml"); src != nil || ok {
		t.Error("a file of a folder that is not there is opened")
	}
	if _, err := (&Project{Dir: none}).readJSON("a.json"); err == nil || !strings.HasPrefix(err.Error(), "opening ") {
		t.Error(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("hookloom.yaml", "triggers:\n  a: {webhook: {auth: none, key: body.id, schema: schemas/large.json}}\n"+
		"  b: {webhook: {auth: none, key: body.id, schema: schemas/a.json}}\n  c: {webhook: {auth: none, key: body.id, schema: ../x.json}}\n")
	write("schemas/large.json", strings.Repeat(" ", 2<<20))
	write("schemas/a.json", `{"$ref": "b.json", "properties": {"x": {"$ref": "b.json#/$defs/y"}, "z": {"$ref": "none.json"}}}`)
	write("schemas/b.json", `{"$defs": {"y": {}}}`)
	write("workflows/deep/er/w.yaml", "on: manual\nsteps: [{stop: x}]\n")
	write("workflows/no.txt", "")
	write("tests/large_test.yaml", strings.Repeat(" ", MaxFileSize+1))
	files, mistakes = ReadFiles(dir, "prod")
	var names []string
	for name := range files {
		names = append(names, name)
	}
	if slices.Sort(names); strings.Join(names, " ") != "hookloom.yaml schemas/a.json schemas/b.json workflows/deep/er/w.yaml" {
		t.Error(names)
	}
	if got := mistakes.Error(); !strings.Contains(got, "schemas/large.json:1:1: error[file]: the file is larger than 256 KiB") ||
		len(mistakes) != 1 {
		t.Error(got)
	}
	if src, ok := openFile(dir, "tests/large_test.yaml"); ok || len(src.mistakes) != 1 {
		t.Error("a file that is too large is opened")
	}
	if err := os.Symlink("nowhere.yaml", filepath.Join(dir, "workflows/dangling.yaml")); err != nil {
		t.Skip(err) // the machine has no links
	}
	if _, mistakes = ReadFiles(dir, ""); !strings.Contains(mistakes.Error(),
		"workflows/dangling.yaml:1:1: error[file]: the link has no target") {
		t.Error(mistakes)
	}
}

// TestAPathLeavesItsSegmentInEveryEncoding, and an escape that is none stays as it is.
func TestAPathLeavesItsSegmentInEveryEncoding(t *testing.T) {
	for path, want := range map[string]bool{"a/b": false, "a/../b": true, ".": true, "..": true, "...": false, "a/%2e%2e/b": true,
		"%252e%252e": true,
		`a\..\b`:     true, "..;x=1/a": true, "a%zz/%2E%2E": true, "a%zz/b": false, "%2": false, "%zz%2f..": true, "a%2f..%2": false,
		"%41%": false,
		"a..b": false, "": false, "..%": false, "%2e%2e%2f%": true, "%%2e%2e/": false, "/%2e%2e/%": true} {
		if got := HasDotSegment(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// TestADifferenceNamesWhatCannotBeRead, and what is gone.
func TestADifferenceNamesWhatCannotBeRead(t *testing.T) {
	for want, c := range map[string][2]string{"the first file: ": {"a: [", "a: 1"}, "the second file: ": {"a: 1", "a: ["},
		"the first file: it is too large": {strings.Repeat("#", MaxFileSize+1), "a: 1"}, "the second file: it is too large": {"",
			strings.Repeat("#", MaxFileSize+1)}} {
		if d, err := Diff([]byte(c[0]), []byte(c[1])); err == nil || d != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v %v", want, d, err)
		}
	}
	d, err := Diff([]byte("a: 1\nb: {c: 2, d: 3}\ne: 4\nsteps: [{stop: x}, {id: k, fail: y}, {sleep: 1s}]"),
		[]byte("a: 2\nb: {d: 3, f: 5}\nsteps: [{id: k, fail: z}, {stop: x}]"))
	var got []string
	for _, x := range d {
		got = append(got, fmt.Sprint(x.Path, " ", x.Kind, " ", x.Before, " ", x.After))
	}
	want := []string{"a changed 1 2", "b.c removed 2 <nil>", "b.f added <nil> 5", "e removed 4 <nil>"}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%q is not in %q %v", w, got, err)
		}
	}
	if _, err := Diff([]byte(strings.Repeat("#", MaxFileSize)), []byte(strings.Repeat("#", MaxFileSize))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

// TestASchemaFitsTheEditor: known paths become completions.
func TestASchemaFitsTheEditor(t *testing.T) {
	known := SchemaWith("workflow", nil, []KnownPath{{Path: "event.data.a", About: "seen"}, {Path: "event.data.b"}})
	defs, _ := known["$defs"].(map[string]any)
	if got := YAMLText(defs[knownPaths]); got != `{defaultSnippets: [{body: event.data.a, description: seen, label: event.data.a}, `+
		`{body: event.data.b, description: "", label: event.data.b}], examples: [event.data.a, event.data.b]}` {
		t.Error(got)
	}
	if defs, _ := Schema("workflow", nil)["$defs"].(map[string]any); defs[knownPaths] != nil || len(defs) < 20 {
		t.Error("a schema without known paths has some")
	}
	if !strings.Contains(YAMLText(known), `"#/$defs/known_paths"`) {
		t.Error("no expression refers to the known paths")
	}
}

func TestARuleWithoutASchemaTakesAnyData(t *testing.T) {
	var none *DataRule
	if none.Check(1) != nil || (&DataRule{}).Check(1) != nil {
		t.Error("data is refused without a schema")
	}
	_, mistakes := LoadFiles(t.TempDir(),
		Files{ProjectFile: []byte("triggers: {a: {webhook: {auth: none, key: body.id, schema: {type: object, required: [id], " +
			"properties: {l: {type: array, items: [{type: nope}]}}}}}}\n")}, Catalog{}, nil)
	if mistakes.Errors() != 1 || mistakes[0].Code != "bad-schema" {
		t.Error(mistakes)
	}
	p, mistakes := LoadFiles(t.TempDir(),
		Files{ProjectFile: []byte("triggers: {a: {webhook: {auth: none, key: body.id, schema: {type: object, required: [id]}}}}\n")},
		Catalog{}, nil)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	r := p.Triggers["a"].Webhook.Schema
	if r.Check(map[string]any{"id": 1}) != nil || r.Check(map[string]any{}) == nil || r.Check(1) == nil {
		t.Error("the schema is not applied")
	}
}

// TestRecordedEventsTellTheFieldsOfATrigger: with twenty of them, a field that none has is reported by their name.
func TestRecordedEventsTellTheFieldsOfATrigger(t *testing.T) {
	for n, want := range map[int]string{0: "", 1: "", 19: "", 20: "the last 20 recorded events of t"} {
		var asked []string
		c := Catalog{Recorded: func(trigger string, types []string) []any {
			asked = append(asked, trigger, strings.Join(types, ","))
			return slices.Repeat([]any{map[string]any{"id": 1, "status": "a"}}, n)
		}}
		_, mistakes := LoadFiles(t.TempDir(), Files{ProjectFile: []byte("triggers: {t: {webhook: {auth: none, key: body.id}}}\n"),
			"workflows/w.yaml": []byte("on: {t: {events: [a, b]}}\nwhen: event.data.statsu == 'a'\n" +
				"steps: [{stop: x, if: event.data.status == 'a'}]\n")}, c, nil)
		if got := mistakes.Error(); (want == "") != !strings.Contains(got, "the last ") || !strings.Contains(got, want) {
			t.Errorf("%d events: %s", n, got)
		}
		if strings.Join(asked, " ") != "t a,b" {
			t.Errorf("asked for %q", asked)
		}
	}
}

// TestExpressionsOfAStepAreFoundToo: of its condition, its list and its choice.
func TestExpressionsOfAStepAreFoundToo(t *testing.T) {
	p, mistakes := LoadFiles(t.TempDir(), Files{"workflows/w.yaml": []byte("on: manual\ninputs: {x: {type: list}}\nsteps:\n" +
		"  - {stop: a, if: \"inputs.x == [1]\"}\n  - {foreach: inputs.x, as: y, steps: [{sleep: 1s}]}\n" +
		"  - {switch: len(inputs.x), cases: {1: [{stop: x}]}}\n")}, Catalog{}, nil)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	if got := p.Workflows["w"].ExpressionsAbout(regexp.MustCompile("inputs")); !slices.Equal(got, []string{"inputs.x == [1]",
		"inputs.x", "len(inputs.x)"}) {
		t.Errorf("%q", got)
	}
	e := &Expr{Expr: expr.Expr{Text: "a"}, place: place{src: newSource("x", []byte("b: 1\nc: a\n")), at: 8, text: "a"}}
	if e.Line() != 2 {
		t.Error(e.Line())
	}
}
