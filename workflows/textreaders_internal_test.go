package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// found shows a position, and what else a search returned.
func found(p Pos, more ...any) string {
	out := fmt.Sprintf("%d:%d+%d", p.Line, p.Column, p.Width)
	for _, m := range more {
		out += fmt.Sprintf(" | %v", m)
	}
	return out
}

func decoderOf(text string) *decoder { return &decoder{source: newSource("f.yaml", []byte(text))} }

// lineReaders are searches in one line of a YAML file.
var lineReaders = map[string]func(line string) string{
	"openQuote": func(l string) string {
		at, quote := openQuote(l)
		return fmt.Sprintf("%d %q", at, quote)
	},
	"beginsBlock": func(l string) string { return fmt.Sprint(beginsBlock(l)) },
	"badEscape": func(l string) string {
		p, letter, ok := badEscape(l, 3)
		return found(p, letter, ok)
	},
	"quoteInTemplate": func(l string) string {
		p, inside, ok := quoteInTemplate(l, 3)
		return found(p, inside, ok)
	},
	"flowIndex": func(l string) string {
		p, ok := flowIndex(l, 3)
		return found(p, ok)
	},
	"flowQuestion": func(l string) string {
		p, v, ok := flowQuestion(l, 3)
		return found(p, v, ok)
	},
	"flowColon": func(l string) string {
		p, v, ok := flowColon(l, 3)
		return found(p, v, ok)
	},
	"cutKey": func(l string) string {
		before, v, ok := cutKey(l)
		return fmt.Sprintf("%q %q %v", before, v, ok)
	},
	"unquotedTemplate": func(l string) string { return fmt.Sprint(unquotedTemplate(l)) },
}

// fileReaders are searches in a YAML file.
var fileReaders = map[string]func(d *decoder) string{
	"unclosedQuote": func(d *decoder) string {
		p, problem, hint := d.unclosedQuote()
		return found(p, problem, hint)
	},
	"blockLines": func(d *decoder) string { return fmt.Sprint(d.blockLines()) },
	"missingColon": func(d *decoder) string {
		var out []string
		for at := range 4 {
			p, problem, hint := d.missingColon(at)
			out = append(out, found(p, problem, hint))
		}
		return strings.Join(out, "\n")
	},
	"escapeTrap":  trap("found unknown escape character"),
	"starTrap":    trap("did not find expected alphabetic or numeric character"),
	"flowTrap":    trap("did not find expected ',' or '}'"),
	"endTrap":     trap("unexpected end of stream"),
	"unknownTrap": trap("block sequence entries are not allowed"),
	"commentInBraces": func(d *decoder) string {
		p, hint := d.commentInBraces()
		return found(p, hint)
	},
	"leftOfItem": func(d *decoder) string {
		p, hint := d.leftOfItem()
		return found(p, hint)
	},
	"oddIndent": func(d *decoder) string {
		p, ok := d.oddIndent()
		return found(p, ok)
	},
	"rescan": func(d *decoder) string {
		p, problem, hint := d.rescan(2)
		return found(p, problem, hint)
	},
	"posAt": func(d *decoder) string {
		var out []string
		for at := range len(d.text) + 3 {
			p := d.posAt(at, 2)
			out = append(out, fmt.Sprintf("%d=%s=%d", at, found(p), d.offset(p.Line, p.Column)))
		}
		return strings.Join(append(out, fmt.Sprint(d.offset(0, 2), d.offset(1, 99), d.offset(len(d.lines)+1, 1))), " ")
	},
	"secrets": func(d *decoder) string {
		s := d.secretSources(d.parse())
		out := []string{fmt.Sprint(s.Timeout, s.Command)}
		for _, name := range slices.Sorted(maps.Keys(s.Names)) {
			if x := s.Names[name]; x != nil {
				out = append(out, fmt.Sprintf("%s %q %q %q %v", name, x.Command, x.File, x.Env, x.Vault))
			}
		}
		if v := s.Vault; v != nil {
			out = append(out, fmt.Sprintf("%q %q %q %q %q", v.Address, v.Mount, v.Path, v.TokenFile, v.Token.SecretName()))
			if v.AppRole != nil {
				out = append(out, fmt.Sprintf("%q %q", v.AppRole.SecretID.SecretName(), v.AppRole.Mount))
			}
			if v.Kubernetes != nil {
				out = append(out, fmt.Sprint(*v.Kubernetes))
			}
		}
		return strings.TrimSpace(strings.Join(out, "\n") + "\n" + said(d))
	},
	"pages": func(d *decoder) string {
		p := d.paging(d.object(d.parse(), "pages"))
		return strings.TrimSpace(fmt.Sprintf("next %v link %v page %v offset %v token %v %v size %d %v until %v any %v\n%s", p.Next != nil,
			p.LinkHeader, p.Page, p.Offset, p.Token != nil, p.TokenAt, p.Size, p.SizeAt, p.Until != nil, p.Any(), said(d)))
	},
	"contentStart": func(d *decoder) string {
		var doc yaml.Node
		if err := yaml.Unmarshal(d.text, &doc); err != nil {
			return err.Error()
		}
		return fmt.Sprint(d.contentStart(doc.Content[0].Content[1]))
	},
	"decoded": func(d *decoder) string {
		if n := d.parse(); n != nil {
			n.Style = 0
			_ = d.value(n)
		}
		return said(d)
	},
}

// typeText shows a type with its fields in order.
func typeText(t expr.Type) string {
	m, ok := t.(expr.Map)
	if !ok {
		return fmt.Sprint(t)
	}
	var fields []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fields = append(fields, k+": "+typeText(m[k]))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func trap(message string) func(d *decoder) string {
	return func(d *decoder) string {
		p, problem, hint := d.yamlTrap(message, 1)
		return found(p, problem, hint)
	}
}

// said returns the mistakes that a decoder has added.
func said(d *decoder) string {
	var out []string
	for _, m := range d.mistakes {
		out = append(out, found(Pos{m.Line, m.Column, m.Width}, m.Code, m.Problem, m.Hint))
	}
	return strings.Join(out, "\n")
}

// wordReaders read one word or path.
var wordReaders = map[string]func(word string) string{
	"duration": func(s string) string {
		v, err := parseDuration(s)
		if err != nil {
			return err.Error() + " | " + durationHint(s)
		}
		return v.String()
	},
	"size": func(s string) string {
		v, err := parseSize(s)
		return fmt.Sprint(v, err)
	},
	"rate": func(s string) string {
		n, per, err := parseRate(s)
		return fmt.Sprint(n, per, err)
	},
	"secret":  WeakSecret,
	"header":  func(s string) string { return fmt.Sprint(SensitiveHeader(s)) },
	"segment": func(s string) string { return fmt.Sprint(HasDotSegment(s)) },
	"unescape": func(s string) string {
		return unescape(s)
	},
	"climbs": func(s string) string { // the inserted value is in < >
		from, to := strings.IndexByte(s, '<'), strings.IndexByte(s, '>')
		return fmt.Sprint(climbs(s[:from]+s[from+1:to]+s[to+1:], []span{{from, to - 1, newExpr("e", newSource("f", nil), 0)}}) != nil)
	},
	"redact": func(s string) string {
		p, err := ParseRedactPath(s)
		return fmt.Sprintf("%v %v %q %q %+v %v", p.Data, p.Query, p.Step, p.Part, p.Steps, err)
	},
	"redactHint": func(s string) string { return redactHint(s, s[strings.LastIndexAny(s, ".]")+1:]) },
	"prefixes": func(s string) string {
		p, ok := DataPrefixes(s)
		return fmt.Sprintf("%q %v", p, ok)
	},
	"private": func(s string) string { return fmt.Sprint(privateHost(s)) },
	"allowed": func(s string) string { // host, then the entries
		words := strings.Fields(s)
		return fmt.Sprint(allowsHost(words[1:], words[0]))
	},
	"schedule": scheduleForm,
	"form": func(s string) string { // names; events; others
		part := strings.Split(s+";;", ";")
		return (&startForm{names: strings.Fields(part[0]), events: strings.Fields(part[1]), others: strings.Fields(part[2])}).validForm()
	},
	"answerHint": answerHint,
	"itemHint":   itemHint,
	"toolName":   func(s string) string { return (&Workflow{ID: s}).ToolName() },
	"linked":     func(s string) string { return fmt.Sprintf("%q", linked(s)) },
	"namesOnly":  func(s string) string { return typeText(namesOnly(strings.Fields(s)...)) },
}

// The file testdata/readers.golden holds what the searches in lines, files and words find, in the form of
// testgolden.Answers.
func TestReadersOfTextFindTheRightPlace(t *testing.T) {
	t.Parallel()
	testgolden.Answers(t, "readers.golden", func(section, text string) string { return readWith(t, section, text) })
}

func readWith(t *testing.T, section, text string) string {
	t.Helper()
	if r := lineReaders[section]; r != nil {
		return r(text)
	}
	if r := fileReaders[section]; r != nil {
		return r(decoderOf(text))
	}
	r := wordReaders[section]
	if r == nil {
		t.Fatalf("there is no search %s", section)
	}
	return r(text)
}

// TestCredentialsOfDataAreHidden wherever a map is named headers, and tokens under their names; the data itself stays.
func TestCredentialsOfDataAreHidden(t *testing.T) {
	secret := map[string]any{"Authorization": "Bearer x", "Accept": "z", "Cookie": nil}
	masked := `{Accept: z, Authorization: "***", Cookie: null}`
	plain := YAMLText(secret)
	for _, c := range []struct {
		v      any
		want   string
		hidden bool
	}{
		{map[string]any{"headers": secret}, "{headers: " + masked + "}", true},
		{map[string]any{"Headers": secret, "a": 1}, "{Headers: " + masked + ", a: 1}", true},
		{map[string]any{"header": secret}, "{header: " + plain + "}", false},
		{map[string]any{"a": secret}, "{a: " + plain + "}", false},
		{secret, plain, false}, {"x", "x", false}, {nil, "null", false}, {[]any{1, "a"}, "[1, a]", false},
		{[]any{1, map[string]any{"headers": secret}, secret}, "[1, {headers: " + masked + "}, " + plain + "]", true},
		{map[string]any{"a": map[string]any{"headers": secret, "b": 1}}, "{a: {b: 1, headers: " + masked + "}}", true},
		{map[string]any{"headers": map[string]any{"Accept": "z"}}, "{headers: {Accept: z}}", false},
		{map[string]any{"headers": map[string]any{"Cookie": Mask}}, `{headers: {Cookie: "***"}}`, false},
		{map[string]any{"headers": "Cookie"}, "{headers: Cookie}", false},
		{map[string]any{"access_token": "x", "token": "z"}, `{access_token: "***", token: z}`, true},
		{map[string]any{"access_token": "", "id_token": 5, "refresh_token": Mask},
			`{access_token: "", id_token: 5, refresh_token: "***"}`, false},
	} {
		before := YAMLText(c.v)
		got, hidden := HideHeaders(c.v)
		if YAMLText(got) != c.want || hidden != c.hidden {
			t.Errorf("%s: %s %v", before, YAMLText(got), hidden)
		}
		if YAMLText(c.v) != before {
			t.Errorf("the data was changed: %s, now %s", before, YAMLText(c.v))
		}
	}
}

// TestAMarkFollowsTheTextOfTheFile through quotes, folding, escapes and letters of several bytes.
func TestAMarkFollowsTheTextOfTheFile(t *testing.T) {
	for _, c := range []struct {
		file     string
		at       int
		text     string
		from, to int
		want     string
	}{
		{"a: bc", 3, "bc", 0, 1, "1:4+1"}, {"a: bc", 3, "bc", 1, 2, "1:5+1"}, {"a: bc", 3, "bc", 0, 2, "1:4+2"},
		{"a: bc", 3, "bc", 0, 9, "1:4+2"}, {"a: bc", 3, "bc", 2, 2, "1:6+1"}, {"a: bc", 3, "bc", 1, 1, "1:5+1"},
		{"a: ü = c", 3, "ü = c", 4, 5, "1:8+1"}, {"a: b\n   c d", 3, "b c d", 2, 3, "2:4+1"}, {"a: b\n   c d", 3, "b c d", 4, 5, "2:6+1"},
		{"a: 'b''cd'", 4, "b'cd", 3, 4, "1:9+1"}, {`a: "b\"c"`, 4, `b"c`, 2, 3, "1:8+1"}, {"a:  b", 2, "b", 0, 1, "1:5+1"},
		{"a: b \r\n\tc", 3, "b c", 1, 3, "2:2+1"}, {"a: b", 3, "xyz", 2, 3, "1:5+1"}, {"a: bcde", 3, "e", 1, 1, "1:7+1"},
		// One and two quotes of the expression, inside single quotes of YAML and outside.
		{"a: 'b''cd'", 4, "b'cd", 1, 2, "1:6+1"}, {"a: 'b''cd'", 4, "b'cd", 2, 3, "1:8+1"}, {"a: 'b == ''c'' d'", 4,
			"b == 'c' d", 9, 10, "1:16+1"},
		{"a: 'b == '''' d'", 4, "b == '' d", 8, 9, "1:15+1"}, {"a: b == '' d", 3, "b == '' d", 8, 9, "1:12+1"},
		{"a: b == 'c' d", 3, "b == 'c' d", 9, 10, "1:13+1"}, {"a: '''c'''", 4, "'c'", 1, 2, "1:7+1"}, {"a: '''c'''", 4, "'c'", 2, 3, "1:8+1"},
	} {
		s := newSource("f", []byte(c.file))
		if got := found(place{s, c.at, c.text}.mark(c.from, c.to)); got != c.want {
			t.Errorf("%q, %q %d..%d: %s, not %s", c.file, c.text, c.from, c.to, got, c.want)
		}
	}
}

// TestADataTypeFindsWhatDiffers in a value: the first difference, and all fields that are missing.
func TestADataTypeFindsWhatDiffers(t *testing.T) {
	of := func(text string) *DataType {
		d := decoderOf(text)
		return d.dataType(d.parse(), "x")
	}
	var out strings.Builder
	for _, kind := range []string{"string", "any", "[string]", "[any]", "list", "object", "{a: string, 'b?': integer}", "{'a?': string}",
		"{a: [{b: number}], c: object}", "{a: {'b?': string}, c: list, d: any}"} {
		typ := of(kind)
		fmt.Fprintf(&out, "== %s %v %v %q\n", typ, typ.MayBeNil(), typeText(typ.named()), typ.shape())
		for _, text := range []string{"null", "x", "5", "[]", "[x]", "[x, 5]", "[null]", "{}", "{a: x}", "{a: x, b: 5}",
			"{a: null, b: x}", "{b: 5}", "{a: [], c: {}}",
			"{a: [{b: 1}, {b: x}], c: {}}", "{a: {}, c: []}", "{a: 1, c: x, d: null}", "{a: {b: 1}, c: [], d: 1}"} {
			d := decoderOf(text)
			v := d.literal(d.parse())
			names, all := typ.Missing(v)
			fmt.Fprintf(&out, "%s: %s | %q %v\n", text, typ.Check("v", v), names, all)
		}
	}
	for _, text := range []string{"[]", "[string, string]", "[text]", "Str", "null", "string?", "strng", "zzz",
		"{a: int, b: string}", "datetime"} {
		d := decoderOf(text)
		typ := d.dataType(d.parse(), "x")
		fmt.Fprintf(&out, "== %s: %s\n%s\n", text, typ, said(d))
	}
	testgolden.Compare(t, "datatypes.golden", out.String())
}

// TestEveryKindOfValueIsChecked: what each kind of a key takes, and what is said about all else.
func TestEveryKindOfValueIsChecked(t *testing.T) {
	texts := valueType{kind: kindText}
	kinds := []struct {
		name string
		t    valueType
	}{
		{"any", valueType{kind: kindAny}}, {"map", valueType{kind: kindMap}}, {"texts", valueType{kind: kindTexts}},
		{"list", valueType{kind: kindList, of: &texts, min: 1, max: 2}}, {"text", texts}, {"addr", texts}, {"admin_addr", texts},
		{"bool", valueType{kind: kindBool}}, {"int", valueType{kind: kindInt, min: 2, max: 9}}, {"retry", valueType{kind: kindInt}},
		{"keep", valueType{kind: kindDuration}}, {"timeout", valueType{kind: kindDuration}}, {"size", valueType{kind: kindSize}},
		{"rate", valueType{kind: kindRate}}, {"as", valueType{kind: kindName}}, {"expr", valueType{kind: kindExpr}},
		{"auth", valueType{kind: kindWord, words: []string{"bearer", "basic"}}},
		{"type", valueType{kind: kindWord, words: []string{"string", "integer"}}},
		{"schedule", valueType{kind: kindEither, either: []valueType{{kind: kindMap}, {kind: kindDuration}, {kind: kindBool}}}},
		{"lists", valueType{kind: kindEither, either: []valueType{{kind: kindList, of: &texts}, {kind: kindInt}}}},
	}
	var out strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&out, "== %s\n", k.name)
		for _, text := range []string{"null", "x", "item", "a-b", "A b", "0b", "true", "'true'", "True", "off", "1", "2", "9", "10",
			"'5'", "-3", "007", "1_000", "1.0", "1.50", "0x1F", "5m", "5/s", "5KiB", "basc", "int", "beare", "2026-01-01",
			"99999999999999999999", "'${{ x }}'", "8080", "{}", "{a: 1}", "[]", "[a]", "[a, b]", "[a, b, c]", "[a, 5]", ".inf"} {
			d := decoderOf(text)
			ok := d.fits(d.parse(), k.t, k.name)
			d.mistakes = dropWarnings(d.mistakes)
			fmt.Fprintf(&out, "%s: %v %s\n", text, ok, said(d))
		}
	}
	out.WriteString("== as data\n")
	for _, text := range []string{"null", "~", "x", "true", "True", "yes", "'1'", "\"1\"", "|\n 1", ">\n 1", "1", "-1", "1.0", "1.50", "0x1F",
		"1_0", "007", "1e3", ".inf", "-.inf", ".nan", "9223372036854775807",
		"9223372036854775808", "18446744073709551616", "2026-01-01", "[1, {a: null}]"} {
		d := decoderOf(text)
		v := d.literal(d.parse())
		fmt.Fprintf(&out, "%q: %T %v %s\n", text, v, v, said(d))
	}
	testgolden.Compare(t, "valuekinds.golden", out.String())
}

func dropWarnings(list Mistakes) Mistakes {
	var out Mistakes
	for _, m := range list {
		if !m.Warning {
			out = append(out, m)
		}
	}
	return out
}
