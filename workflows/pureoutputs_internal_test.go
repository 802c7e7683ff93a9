package workflows

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// table collects the outputs of functions, one line for each input.
type table struct{ out strings.Builder }

func (t *table) head(name string) { fmt.Fprintf(&t.out, "# %s\n", name) }

func (t *table) row(in any, outputs ...any) {
	fmt.Fprintf(&t.out, "%.80q:", fmt.Sprint(in))
	for _, o := range outputs {
		fmt.Fprintf(&t.out, " %#v", o)
	}
	t.out.WriteByte('\n')
}

// errorText returns the message of an error, or "".
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// each adds a row for the output of a function of one text.
func each[T any](t *table, name string, f func(string) T, inputs ...string) {
	t.head(name)
	for _, in := range inputs {
		t.row(in, f(in))
	}
}

// both joins the outputs of a function with two.
func both[A, B any](f func(string) (A, B)) func(string) string {
	return func(s string) string {
		a, b := f(s)
		return fmt.Sprintf("%v | %v", a, b)
	}
}

// TestHostsAndAddressesAreRead: each form of a host, and what is no host.
func TestHostsAndAddressesAreRead(t *testing.T) {
	var out table
	hosts := []string{"", "a", "a.example.com", "A.Example.COM", "a.example.com.", "a..b", "-a.b", "a-.b", "a_b.c", "_a.b", "a.b:80",
		"a.b:0",
		"a.b:1", "a.b:65535", "a.b:65536", "a.b:080", "a.b:x", "a.b:", ":80", "a:b:c", "1.2.3.4", "1.2.3.4:80", "1.2.3.256", "1.2.3", "::1",
		"[::1]", "[::1]:80", "[::1]:080", "[0:0::1]", "[0:0::1]:80", "::ffff:1.2.3.4", "[::FFFF]", "fe80::1%eth0", "1.2.3.4/24", "1.2.3.4/33",
		"1.2.3.4/x", "::1/129", "a/b", "a.b/c/d", "a b/c", "https://a.b/c", "http://a.b:80", "https://[::1]:8443/x", "*.a.b", "*", "a*",
		"münchen.example", "MÜNCHEN.example:8443", "xn--mnchen-3ya.example", "XN--a.b", "xn--a", "xn--", "a.xn--0.b", "ü ü", "a b", "a\x7f",
		"a\x80", strings.Repeat("a", 63) + ".b", strings.Repeat("a", 64) + ".b", "localhost", "127.0.0.1", "127.0.0.2", "128.0.0.1",
		"0.0.0.0", "::", "LOCALHOST"}
	each(&out, "destinationProblem", both(destinationProblem), hosts...)
	each(&out, "destinationHost", destinationHost, hosts...)
	each(&out, "allowProblem", both(allowProblem), hosts...)
	each(&out, "withoutPort", withoutPort, hosts...)
	each(&out, "ASCIIHost", both(ASCIIHost), hosts...)
	each(&out, "undecodable", func(s string) string { return errorText(undecodable(s)) }, hosts...)
	each(&out, "loopbackHost", loopbackHost, hosts...)
	each(&out, "onlyDigits", onlyDigits, "", "0", "9", "09", "a", "1a", ":", "/")
	each(&out, "pathOf", pathOf, "https://a.b/c/d", "https://a.b", "a/b", "http://a.b/?c")
	p := &Project{Destinations: map[string]Limit{"d.example.com:8443": {}}, sources: []*source{newSource("a", []byte(
		"https://A.example.com:8080/x http://b.example.com. ftp://c.example.com "+
			"HTTPS://[::1]:80/ https://${{ vars.x }} http://-d https://e_f.g"))}}
	out.row("Hosts", fmt.Sprint(p.Hosts()))
	for _, s := range []Server{{AdminURL: "https://a.b"}, {AdminAddr: "127.0.0.1:1"}} {
		out.row("consoleURL", s.consoleURL())
	}
	testgolden.Compare(t, "pure_hosts.txt", out.out.String())
}

// TestInputsAreAccepted: values of each kind for each type, and the limits of an input.
func TestInputsAreAccepted(t *testing.T) {
	var out table
	values := []any{nil, "", "x", "1h", "0s", "1MiB", "1x", "2026-05-01", "2026-05-01T10:00:00Z", 0, -1, 3, 3.0, 3.5,
		json.Number("12"), true, false,
		[]any{}, []any{1}, map[string]any{}, map[string]any{"path": "a"}, map[string]any{"path": 1}, func() {}, strings.Repeat("y", 50)}
	for _, typ := range []string{"string", "integer", "number", "boolean", "list", "object", "file", "date", "duration", "size", "any", ""} {
		out.head(typ)
		for _, v := range values {
			shown := fmt.Sprintf("%T %v", v, v)
			if _, is := v.(func()); is {
				shown = "func"
				if typ == "any" || typ == "" || typ == "string" {
					continue // the message has an address
				}
			}
			problem := checkType(typ, v)
			if shown == "func" {
				problem = fmt.Sprint(problem != "")
				out.row(shown, problem)
				continue
			}
			got, err := (&ActionInput{Name: "in", Type: typ}).Accept(v)
			out.row(shown, problem, fmt.Sprint(got), errorText(err))
		}
	}
	_, err := (&ActionInput{Name: "in", Required: true}).Accept(nil)
	out.row("required", errorText(err))
	out.head("check")
	for _, in := range []Input{{Type: "integer", Min: 1, Max: 3}, {Type: "number", Min: 1.5}, {Type: "number", Max: 2},
		{Type: "integer", Options: []any{1, 2}}, {Type: "string", Options: []any{"a", "2"}}, {Type: "string", Pattern: "^a+$"},
		{Type: "string", Pattern: "("}, {Type: "list", Options: []any{[]any{1}}}} {
		for _, v := range []any{nil, 0, 1, 1.5, 2, 2.5, 3, 4, "a", "aa", "b", "2", "", []any{1}, []any{2}, strings.Repeat("b", 50)} {
			out.row(fmt.Sprintf("%v %v %v %v %s: %T %v", in.Type, in.Min, in.Max, in.Options, in.Pattern, v, v), in.check(v))
		}
	}
	declared := []Input{{Name: "n", Type: "integer", Required: true}, {Name: "name", Type: "string", Default: "d"}}
	for _, given := range []map[string]any{nil, {"n": 1}, {"n": nil}, {"n": "x", "name": 1}, {"n": 1, "nam": 2, "zzzzzz": 3}, {"n": 2,
		"name": nil}} {
		got, problems := CheckInputs(declared, given)
		out.row(given, fmt.Sprint(got), problems)
	}
	each(&out, "inputTypeOf", inputTypeOf, "int", "float", "bool", "array", "integer", "date", "str", "", "object", "any")
	w := &Workflow{Inputs: []Input{{Name: "a", Secret: true}, {Name: "b"}, {Name: "c", Secret: true}}}
	out.row("SecretInputs", w.SecretInputs())
	out.head("sample")
	for _, in := range []ActionInput{{Words: []string{"w", "v"}}, {Options: []any{"o"}}, {Name: "url", Fill: FillURL}, {Name: "to",
		Fill: FillURL},
		{Type: "integer"}, {Type: "number"}, {Type: "boolean"}, {Type: "list"}, {Type: "object"}, {Type: "any"}, {Type: "date"},
		{Type: "duration"},
		{Type: "size"}, {Name: "a_b", Type: "string"}, {Name: "url"}} {
		out.row(fmt.Sprint(in.Name, in.Type), in.sample())
		for _, v := range []any{"x", "12", "1.5", "90", 5, true} {
			if hint := typeHint(&in, v); hint != "" {
				out.row(v, hint)
			}
		}
	}
	for _, v := range []any{"x", true} {
		out.row(v, typeHint(&ActionInput{Name: "save", Type: "boolean"}, v))
	}
	given := []namedValue{{name: "a"}}
	out.row("missingHint", missingHint("n", 1, "help", nil), missingHint("n", "x y", "", given), missingHint("n", "on", "", nil))
	testgolden.Compare(t, "pure_inputs.txt", out.out.String())
}

// TestDurationsSizesAndYAMLAreWrittenAsText: each unit, each kind of value, and texts in other syntaxes.
func TestDurationsSizesAndYAMLAreWrittenAsText(t *testing.T) {
	var out table
	for _, d := range []time.Duration{0, 1, time.Millisecond, time.Second, 59 * time.Second, time.Minute, 61 * time.Second, time.Hour,
		time.Hour + time.Second, time.Hour + time.Minute, 10 * time.Hour, 23 * time.Hour, 24 * time.Hour, 25 * time.Hour, 48 * time.Hour,
		-time.Minute,
		-24 * time.Hour, 20 * time.Minute, 10*time.Minute + 10*time.Second} {
		out.row(int64(d), DurationText(d))
	}
	for _, n := range []int64{0, 1, 1023, 1024, 1025, 2048, 1<<20 - 1024, 1 << 20, 1<<20 + 1, 3 << 20, 1 << 30, 1<<30 + 1<<20, 5 << 30, -1} {
		out.row(n, SizeText(n))
	}
	each(&out, "quoteYAML", quoteYAML, "", "a", "a b", "a ", " a", "0", "9a", "a9", "true", "No", "NaN", "y", "yes!", "-a", "_a",
		"a:b", "a#b",
		"a'b", "'a", "a\"b", "a@b.c", "$a", "a$b", "a${{ b }}", "a/b", "(a)", "a;b", "a+b", "é", "aZ", "Za", "z{", "a,b", "a\nb", "off",
		"inf", "nulls")
	for _, v := range []any{nil, 1, 1.5, true, "x", []any{}, []any{"a", 1, []any{"b"}}, map[string]any{}, map[string]any{"b": 1,
		"a": "on", "c d": nil}, func() {}} {
		out.row(fmt.Sprintf("%T", v), YAMLText(v))
	}
	each(&out, "quoted", quoted, "", "a", `a"b`, `a\b`, `a'b`, `a"b'c`)
	each(&out, "mustacheOf", mustacheOf, "{{ a }}", "${{ a }}", "x {{ a.b }} y", "={{ $json.a }}", "x={{a}}", "{{ a | upper }}",
		"{{ a + b }}", "{{}}",
		"{{ .a }}", "{{- a -}}", "${{ a }} {{ b }}", "{{ a b }} {{ c }}", "{{ body }}", "{{ 1 }}", "{{ $node.x }}")
	each(&out, "shellOf", shellOf, "${a}", "${A}", "${A} ${b}", "${ a.b }", "$a", "${{ a }}", "${a-b}", "${A_B}")
	each(&out, "insertion", insertion, "a", "event.data.a", "body.a", "body", "data.a", "$json.a", "$json", ".a", "a | upper",
		"json.body.a", "payload",
		"inputs.a", "eventual.a", "this.x", "body.body.c", "trigger.a")
	names := []Input{{Name: "order_id"}, {Name: "userName"}}
	each(&out, "inputFor", func(s string) string { return inputFor(s, names) }, "orderId", "order-id", "order.id", "OrderID",
		"username", "user_name",
		"other", "otherThing", "a1B", "ABC")
	each(&out, "isCallExample", func(s string) bool {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(s), &n); err != nil {
			t.Fatal(err)
		}
		return isCallExample(n.Content[0])
	}, "[a]", "{}", "{request: 1}", "{with: 1}", "{response: 1}", "{output: 1}", "{request: 1, output: 1}", "{with: 1, respons: 1}",
		"{with: 1, respons: 1, output: 1}", "{with: 1, x: 1, response: 1}", "{x: 1, output: 1}", "{request: 1, with: 1}",
		"{with: 1, request: 1}")
	each(&out, "hasDefault", func(s string) bool { return (&Expr{Expr: expr.Expr{Text: s}}).hasDefault() }, "a", "a ?? 'b'",
		"a ? b : c", "a?.b")
	each(&out, "forPeople", forPeople, "text", "url", "subject", "message", "body", "")
	each(&out, "isASCII", isASCII, "", "a", "\x7f", "\u0080", "aé")
	each(&out, "environment", func(s string) string { return EnvironmentOf(s) + OverlayFile(s) + fmt.Sprint(IsSettings(s)) },
		"hookloom.yaml",
		"hookloom.prod.yaml", "hookloom.Prod.yaml", "hookloom.a-b_1.yaml", "hookloom.-a.yaml", "a/hookloom.prod.yaml",
		"hookloom.prod.yml", "prod")
	each(&out, "onlyComments", func(s string) bool { return onlyComments([]byte(s)) }, "", "\n", "# a", " # a\n\n#b", "a", "# a\nb: 1",
		"\n  c")
	each(&out, "firstLine", firstLine, "", "a", "a\nb", "\nb")
	testgolden.Compare(t, "pure_texts.txt", out.out.String())
}
