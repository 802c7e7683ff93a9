package workflows

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCredentialsOfAuthAreHidden, but not the names of headers and parameters.
func TestCredentialsOfAuthAreHidden(t *testing.T) {
	got := HideAuth(map[string]any{"header": map[string]any{"name": "X-Key", "value": "v"}, "list": []any{"a", nil,
		map[string]any{"name": 5}},
		"bearer": "b", "none": nil, "n": 1})
	want := `{bearer: "***", header: {name: X-Key, value: "***"}, list: ["***", null, {name: "***"}], "n": "***", none: null}`
	if YAMLText(got) != want {
		t.Error(YAMLText(got))
	}
}

// TestPartsOfCredentialsAreFound: tokens of responses, sensitive headers at any depth, and what follows Bearer or a cookie's name.
func TestPartsOfCredentialsAreFound(t *testing.T) {
	got := Credentials([]any{map[string]any{
		"access_token": "token-1", "id_token": "short", "refresh_token": 5, "other": "not-a-credential", "client_secret": Mask,
		"Headers": map[string]any{"Authorization": "Bearer 0123456789ab", "Cookie": "sid=0123456789ab; lang=en", "X-Api-Key": "abcdef",
			"X-Token": "Basic 0123456789a", "Set-Cookie": "lang=en-GB; x", "X-Secret": "a b 0123456789abc", "X-Other": "public",
			"X-Password": 7},
	}}, []string{"before"})
	slices.Sort(got)
	want := []string{"0123456789ab", "0123456789ab", "Basic 0123456789a", "Bearer 0123456789ab", "a b 0123456789abc", "abcdef", "before",
		"lang=en-GB; x", "sid=0123456789ab; lang=en", "token-1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestTypesOfDataAreChecked: where a value differs, and which fields are missing.
func TestTypesOfDataAreChecked(t *testing.T) {
	typeOf := func(text any) *DataType {
		x, err := ParseExpect(text)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	all := typeOf(map[string]any{"id": "string", "n": "integer", "tags": []any{"string"},
		"owner?": map[string]any{"name": "string"}, "x": "any",
		"o": map[string]any{"a?": "number"}, "l": "list"})
	whole := func(change string, v any) map[string]any {
		out := map[string]any{"id": "a", "n": 1, "tags": []any{"b"}, "x": nil, "o": nil, "l": []any{}}
		if out[change] = v; v == "gone" {
			delete(out, change)
		}
		return out
	}
	for _, c := range []struct {
		v       any
		problem string
		missing string
	}{
		{whole("id", "b"), "", "[] false"},
		{whole("id", "gone"), "v has no id", "[id] false"},
		{whole("id", nil), "v.id is nil, not a string", "[id] false"},
		{whole("id", []any{}), "v.id: [] is not a string", "[id] false"},
		{whole("n", 1.5), "v.n: 1.5 is not an integer", "[] false"},
		{whole("tags", []any{"a", 5}), "v.tags[1]: 5 is not a string", "[] false"},
		{whole("tags", "a"), `v.tags: "a" is not a list`, "[tags] false"},
		{whole("tags", map[string]any{}), `v.tags: {} is not a list`, "[tags] false"},
		{whole("owner", map[string]any{}), "v.owner has no name", "[] false"},
		{whole("owner", nil), "", "[] false"},
		{whole("o", map[string]any{}), "", "[] false"},
		{whole("o", map[string]any{"a": "x"}), `v.o.a: "x" is not a number`, "[] false"},
		{whole("l", []any{1, nil}), "", "[] false"},
		{map[string]any{}, "v has no", "[id l n tags] true"},
		{nil, "v is nil, not an object", "[id l n tags] true"},
		{"text", `v: "text" is not an object`, "[] false"},
		{[]any{}, "v: [] is not an object", "[] false"},
	} {
		names, every := all.Missing(c.v)
		slices.Sort(names)
		if got := all.Check("v", c.v); !strings.HasPrefix(got, c.problem) || (got == "") != (c.problem == "") || fmt.Sprint(names,
			" ", every) != c.missing {
			t.Errorf("%v: %q, missing %v %v", c.v, got, names, every)
		}
	}
	optional := typeOf(map[string]any{"a?": "string"})
	for _, x := range []*DataType{nil, typeOf("list"), typeOf([]any{"string"}), optional} {
		if names, every := x.Missing(nil); names != nil || every {
			t.Errorf("%s misses %v %v", x, names, every)
		}
	}
	if optional.Check("v", nil) != "" || typeOf("any").Check("v", nil) != "" || (*DataType)(nil).Check("v", 1) != "" || all.MayBeNil() ||
		!optional.MayBeNil() || typeOf("object").MayBeNil() {
		t.Error("what may be nil is a mistake")
	}
	if got := all.String(); got != "{id: string, l: list, n: integer, o: {a?: number}, owner?: {name: string}, tags: [string], x: any}" {
		t.Error(got)
	}
	for _, bad := range []any{"strin", []any{"string", "list"}, map[string]any{"a": "strng"}, []any{"x"}} {
		if x, err := ParseExpect(bad); err == nil || x != nil {
			t.Errorf("%v is read as %v", bad, x)
		}
	}
}

func TestPagesOfAStepAreReadFromData(t *testing.T) {
	p, err := ParsePages(map[string]any{"items": "response.body.rows", "page": map[string]any{"query": "p"}, "max": 3})
	if err != nil || p.Items.Text != "response.body.rows" || p.Counter().Name != "p" || p.Counter().From != 1 || p.Max != 3 {
		t.Errorf("%+v %v", p, err)
	}
	for want, bad := range map[string]any{"pages: pages is a map": "x",
		"pages: pages needs items:":         map[string]any{"next": "header link"},
		"pages: pages needs exactly one of": map[string]any{"items": "response.body"}} {
		if p, err := ParsePages(bad); err == nil || p != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v %v", bad, p, err)
		}
	}
}

// TestInputsOfActionsAreAccepted with their types: numbers become text where text is needed.
func TestInputsOfActionsAreAccepted(t *testing.T) {
	for _, c := range []struct {
		in   ActionInput
		v    any
		want any // an error if it is a text that begins with !
	}{
		{ActionInput{Name: "a", Type: "string"}, "x", "x"}, {ActionInput{Name: "a", Type: "string"}, 5, "5"},
		{ActionInput{Name: "a", Type: "string"}, true, "true"}, {ActionInput{Name: "a", Type: "string"}, nil, nil},
		{ActionInput{Name: "a", Type: "string", Required: true}, nil, "!a is nil"},
		{ActionInput{Name: "a", Type: "string"}, []any{}, "!a must be text, got "},
		{ActionInput{Name: "a", Type: "string"}, map[string]any{}, "!a must be text, got "},
		{ActionInput{Name: "a", Type: "integer"}, 5, 5}, {ActionInput{Name: "a", Type: "integer"}, 5.0, 5.0},
		{ActionInput{Name: "a", Type: "integer"}, 5.5, "!a must be an integer: 5.5 is not an integer"},
		{ActionInput{Name: "a", Type: "integer"}, json.Number("12345678901234567890"), json.Number("12345678901234567890")},
		{ActionInput{Name: "a", Type: "number"}, 5.5, 5.5}, {ActionInput{Name: "a", Type: "number"}, "5",
			`!a must be a number: "5" is not a number`},
		{ActionInput{Name: "a", Type: "boolean"}, false, false}, {ActionInput{Name: "a", Type: "boolean"}, "x", "!a must be a boolean: "},
		{ActionInput{Name: "a", Type: "object"}, 5, "!a must be an object: 5 is not an object"},
		{ActionInput{Name: "a", Type: "list"}, 5, "!a must be a list: 5 is not a list"},
		{ActionInput{Name: "a", Type: "file"}, "x", "x"}, {ActionInput{Name: "a", Type: "file"}, 5, "!a must be a file: "},
		{ActionInput{Name: "a", Type: "file"}, map[string]any{"file": "x"}, "!a must be a file: "},
		{ActionInput{Name: "a", Type: "date"}, "2026-01-01", "2026-01-01"}, {ActionInput{Name: "a", Type: "date"}, "x",
			"!a must be a date: "},
		{ActionInput{Name: "a", Type: "duration"}, "5s", "5s"}, {ActionInput{Name: "a", Type: "duration"}, "5",
			"!a must be a duration: "},
		{ActionInput{Name: "a", Type: "duration"}, 5, "!a must be a duration: "}, {ActionInput{Name: "a", Type: "size"}, 5,
			"!a must be a size: "},
		{ActionInput{Name: "a", Type: "size"}, "5MiB", "5MiB"}, {ActionInput{Name: "a", Type: "size"}, "x", "!a must be a size: "},
		{ActionInput{Name: "a", Type: "any"}, 5, 5},
	} {
		got, err := c.in.Accept(c.v)
		want, fails := c.want.(string)
		if fails = fails && strings.HasPrefix(want, "!"); fails {
			if got != nil || err == nil || !strings.HasPrefix(err.Error(), want[1:]) {
				t.Errorf("%s %v: %v %v", c.in.Type, c.v, got, err)
			}
		} else if got != c.want || err != nil {
			t.Errorf("%s %v: %v %v", c.in.Type, c.v, got, err)
		}
	}
	file := map[string]any{"path": "x"}
	if got, err := (&ActionInput{Name: "a", Type: "file"}).Accept(file); err != nil || !reflect.DeepEqual(got, file) {
		t.Errorf("a file: %v %v", got, err)
	}
}

// TestAGivenInputIsCheckedInEveryWay: its type, options, bounds and pattern, and whether it is there.
func TestAGivenInputIsCheckedInEveryWay(t *testing.T) {
	for problem, c := range map[string]struct {
		in Input
		v  any
	}{
		"input a is missing":                   {Input{Name: "a", Type: "string", Required: true}, nil},
		`input a: "x" is not an integer`:       {Input{Name: "a", Type: "integer"}, "x"},
		"input a: z is not one of the options": {Input{Name: "a", Type: "string", Options: []any{"x", "y", 5}}, "z"},
		`input a: [] is not a boolean`:         {Input{Name: "a", Type: "boolean"}, []any{}},
		"":                                     {Input{Name: "a", Type: "any", Options: []any{"x", "y", 5}}, "5"},
		"input a: 1 is less than 2":            {Input{Name: "a", Type: "integer", Min: 2}, 1},
		"input a: 9 is more than 8.5":          {Input{Name: "a", Type: "integer", Max: 8.5}, 9},
		`input a: "b" does not match ^a$`:      {Input{Name: "a", Type: "string", Pattern: "^a$"}, "b"},
		`input a: "b" does not match (`:        {Input{Name: "a", Type: "string", Pattern: "("}, "b"},
	} {
		if out, problems := CheckInputs([]Input{c.in}, map[string]any{"a": c.v}); strings.Join(problems, "|") != problem ||
			out["a"] != nil && c.v == nil {
			t.Errorf("%+v of %v: %q %v", c.in, c.v, problems, out)
		}
	}
	_, problems := CheckInputs([]Input{{Name: "amount"}, {Name: "b", Required: true}}, map[string]any{"amuont": 1})
	if got := strings.Join(problems, "|"); got != `input b is missing|no input is named "amuont": did you mean "amount"?` {
		t.Error(got)
	}
}

// TestEveryTypeHasASample that the input accepts.
func TestEveryTypeHasASample(t *testing.T) {
	for _, in := range []ActionInput{{Type: "integer"}, {Type: "number"}, {Type: "boolean"}, {Type: "list"}, {Type: "object"},
		{Type: "any"}, {Type: "date"},
		{Type: "duration"}, {Type: "size"}, {Type: "string"}, {Type: "string", Words: []string{"w", "x"}}, {Type: "string",
			Options: []any{"o", "p"}},
		{Type: "string", Fill: FillURL}} {
		in.Name = "a_b"
		v, err := in.Accept(in.sample())
		if err != nil || v == nil {
			t.Errorf("%+v: %v %v", in, v, err)
		}
	}
	for want, in := range map[string]ActionInput{"a-b": {Name: "a_b", Type: "string"}, "w": {Words: []string{"w"}},
		"o":          {Options: []any{"o"}},
		"2026-05-01": {Type: "date"}, "1h": {Type: "duration"}, "1MiB": {Type: "size"}, "1": {Type: "integer"}, "true": {Type: "boolean"},
		"https://api.example.com/orders": {Name: "url", Fill: FillURL}, "url": {Name: "url"}, "to": {Name: "to", Fill: FillURL}} {
		if got := fmt.Sprint(in.sample()); got != want {
			t.Errorf("%+v: %s", in, got)
		}
	}
}

// TestForeignYAMLBecomesJSON with its order, its types and its aliases.
func TestForeignYAMLBecomesJSON(t *testing.T) {
	for text, want := range map[string]string{
		"b: 1\na: [1.5, true, FALSE, null, ~, x]\n": `{"b":1,"a":[1.5,true,false,null,null,"x"]}`,
		"x: &x {k: v}\ny: *x\nz: [*x, *x]\n":        `{"x":{"k":"v"},"y":{"k":"v"},"z":[{"k":"v"},{"k":"v"}]}`,
		"\"5\": '6'\n7: 2026-01-01\n":               `{"5":"6","7":"2026-01-01"}`,
		"[]":                                        "[]",
		"{}":                                        "{}",
		"a: 0x1F\nb: 12345678901234567890\nc: .inf\nd: 1e3\ne: 0o17\n": `{"a":31,"b":"12345678901234567890","c":".inf","d":1000,"e":15}`,
	} {
		got, err := YAMLToJSON([]byte(text), 100)
		var back any
		if err != nil || string(got) != want || json.Unmarshal(got, &back) != nil {
			t.Errorf("%q: %s %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"": "EOF", "# only a comment\n": "EOF", "a: [": "line 1: ",
		"x: &x [*x]": "nested deeper than 200 levels"} {
		if _, err := YAMLToJSON([]byte(text), 1000); err == nil || !strings.Contains(err.Error(), want) ||
			strings.HasPrefix(err.Error(), "yaml: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for most, ok := range map[int]bool{3: true, 2: false, 1: false, 0: false} {
		if _, err := YAMLToJSON([]byte("a: [1]"), most); (err == nil) != ok || err != nil && !strings.Contains(err.Error(),
			"line 1: too many values") {
			t.Errorf("at most %d values: %v", most, err)
		}
	}
}

// TestHistoryIsChangedByFlags: an empty text keeps what is there.
func TestHistoryIsChangedByFlags(t *testing.T) {
	h := History{Keep: time.Hour, Bodies: time.Minute, MaxSize: 7}
	for _, c := range []struct {
		keep, bodies, size string
		want               History
		err                string
	}{
		{"", "", "", h, ""}, {"2d", "", "", History{Keep: 48 * time.Hour, Bodies: time.Minute, MaxSize: 7}, ""},
		{"", "5m", "", History{Keep: time.Hour, Bodies: 5 * time.Minute, MaxSize: 7}, ""},
		{"", "", "2GB", History{Keep: time.Hour, Bodies: time.Minute, MaxSize: 2e9}, ""},
		{"2 weeks", "", "", h, "write 14d"}, {"", "x", "", h, "x"}, {"", "", "5x", h, "write 500MB or 2GB"},
	} {
		got, err := h.With(c.keep, c.bodies, c.size)
		if c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)) || c.err != "" && (err == nil ||
			!strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q %q %q: %+v %v", c.keep, c.bodies, c.size, got, err)
		}
	}
}

// TestATestIsAppendedToItsFile with its fixture, and not to a file of another form.
func TestATestIsAppendedToItsFile(t *testing.T) {
	p := &Project{Dir: t.TempDir()}
	for i, want := range []string{"tests:\n  - name: a\n    expect: {}\n",
		"tests:\n  - name: a\n    expect: {}\n  - name: a\n    expect: {}\n"} {
		test, fixture, err := p.WriteTest("shop/orders", fmt.Sprint("n", i), map[string]any{"id": 1}, []string{"name: a", "expect: {}"})
		if err != nil || test != "tests/shop/orders_test.yaml" || fixture != fmt.Sprintf("fixtures/shop_orders_n%d.json", i) {
			t.Fatal(test, fixture, err)
		}
		text, err := os.ReadFile(filepath.Join(p.Dir, test))
		if err != nil || string(text) != want {
			t.Errorf("%s %v", text, err)
		}
		if raw, err := os.ReadFile(filepath.Join(p.Dir, fixture)); err != nil || string(raw) != "{\"id\":1}\n" {
			t.Errorf("%s %v", raw, err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tests/other_test.yaml", "tests: 5\n")
	write("taken", "a file")
	for want, run := range map[string]func() error{
		"encoding the fixture": func() error { _, _, err := p.WriteTest("w", "n", func() {}, nil); return err },
		"cannot be extended":   func() error { _, _, err := p.WriteTest("other", "n", 1, []string{"name: a"}); return err },
		"reading tests/": func() error {
			_, _, err := p.WriteTest("shop/orders_test.yaml/x", "n", 1, []string{"name: a"})
			return err
		},
		"making the folder of fixtures": func() error {
			_, _, err := (&Project{Dir: filepath.Join(p.Dir, "taken2")}).WriteTest("w", "n", 1, []string{"name: a"})
			return err
		},
	} {
		if strings.HasPrefix(want, "making") {
			write("taken2", "a file")
		}
		if err := run(); err == nil || !strings.Contains(err.Error(), want) && !strings.HasPrefix(want, "making") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestMapsAreOverlaidAndAllElseIsReplaced(t *testing.T) {
	under := map[string]any{"a": 1, "m": map[string]any{"x": 1, "y": []any{1}}, "k": "stays"}
	over := map[string]any{"a": 2, "m": map[string]any{"y": []any{2}, "z": 3}, "n": nil}
	if got := YAMLText(Overlay(under, over)); got != `{a: 2, k: stays, m: {x: 1, "y": [2], z: 3}, "n": null}` {
		t.Error(got)
	}
	if Overlay(1, nil) != 1 || Overlay(nil, 2) != 2 || Overlay(under, 5) != 5 || YAMLText(Overlay(5, over)) != YAMLText(over) ||
		len(under) != 3 {
		t.Error("what is no map is not replaced as a whole")
	}
}

// TestTypesMatchPatterns: exactly, or with what follows a star.
func TestTypesMatchPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		of       string
		want     bool
	}{{nil, "a", true}, {[]string{"a"}, "a", true}, {[]string{"a"}, "ab", false}, {[]string{"a*"}, "ab", true}, {[]string{"a*"},
		"ba", false},
		{[]string{"x", "b.*"}, "b.c", true}, {[]string{"*"}, "", true}, {[]string{"a"}, "", false}} {
		if got := MatchType(c.patterns, c.of); got != c.want {
			t.Errorf("%v of %q: %v", c.patterns, c.of, got)
		}
	}
}

// TestPrefixesOfDataAreFound: the fields of the body from which an expression takes event.data.
func TestPrefixesOfDataAreFound(t *testing.T) {
	for text, want := range map[string]string{"": "[[]] true", "body": "[[]] true", "body.a.b": "[[a b]] true",
		"body.a ?? body.b": "[[a] [b]] true",
		"item.a":           "[] false", "body.a ?? headers.b": "[] false", "len(body)": "[] false"} {
		got, ok := DataPrefixes(text)
		if fmt.Sprint(got, ok) != want {
			t.Errorf("%q: %v %v", text, got, ok)
		}
	}
}

func TestAPathToMaskIsReadInEveryForm(t *testing.T) {
	for text, want := range map[string]string{
		"event.data.a":      "true false   [{a false -1 false}]",
		"event.query.a":     "false true   [{a false -1 false}]",
		"event.body.a[0]":   "false false   [{a false -1 false} { false 0 false}]",
		`$..a[*].*`:         "false false   [{a false -1 true} { true -1 false} { true -1 false}]",
		`$["a b"].['c']`:    "false false   [{a b false -1 false} {c false -1 false}]",
		"steps.x.output.a":  "false false x output [{a false -1 false}]",
		"steps.x.input[12]": "false false x input [{ false 12 false}]",
		"body.a":            "!is not a path to a field",
		"event.data":        "!names no field",
		"event.data.":       "!has a step without a name",
		"event.data[":       "!lacks a ]",
		"event.data[-1]":    "!has [-1], which is not an element",
		"event.data[x]":     "!has [x], which is not an element",
		`event.data[""]`:    `!has [""], which is not an element`,
		"event.data.a b":    `!has the step "a b": write ["a b"]`,
		"event.datax":       "!is not a path to a field",
		"steps.x.error.a":   "!is not a path to a field",
		"$":                 "!names no field",
	} {
		p, err := ParseRedactPath(text)
		if want, fails := strings.CutPrefix(want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %+v %v", text, p, err)
			}
			continue
		}
		if got := fmt.Sprint(p.Data, " ", p.Query, " ", p.Step, " ", p.Part, " ", p.Steps); err != nil || got != want || p.Text != text {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
}

// TestEachReadOfEnvFailsForABadFile and shows no value.
func TestEachReadOfEnvFailsForABadFile(t *testing.T) {
	const bad = "A=1\nB=\"canary\n"
	_, addErr := AddEnv([]byte(bad), "C", "x")
	_, setErr := SetEnv([]byte(bad), "A", "x")
	_, _, removeErr := RemoveEnv([]byte(bad), "A")
	_, zero := AddEnv(nil, "C", "x\x00y")
	_, large := ReadEnv([]byte(strings.Repeat("A=1\n", maxEnvLines) + "bad"))
	many := []byte(strings.Repeat("A=1\n", maxEnvLines+1))
	_, _, tooMany := RemoveEnv(many, "A")
	_, _, other := RemoveEnv([]byte("A: 1\nB=$A\n"), "A")
	for want, err := range map[string]error{".env:2:": addErr, ".env:2: ": setErr, ".env:2: expected": removeErr,
		"holds a zero byte": zero, ".env:1:": large,
		"there are more than": tooMany, "cannot be changed automatically": other} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", want, err)
		}
	}
	if got := ExpandedEnv([]byte("A=\"$\nB"), nil); got != nil {
		t.Errorf("a file that cannot be read expands %q", got)
	}
	values := map[string]string{"A": "$x", "B": "", "C": "p"}
	if got := ExpandedEnv([]byte("\ufeffA='$x'\nB=$x\nC=p\nD=\"\\$y\"\n"), map[string]string{"A": "$x", "B": "", "C": "p",
		"D": "$y"}); !slices.Equal(got, []string{"B"}) {
		t.Errorf("%q of %v", got, values)
	}
}
