package workflows

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/expr"
)

// yamlValue reads a value of a file, with all names that the tests use.
func yamlValue(t *testing.T, text string) *Value {
	t.Helper()
	d := &decoder{source: newSource("v.yaml", []byte("v: "+text+"\n"))}
	n := d.parse()
	if n == nil || len(d.mistakes) > 0 {
		t.Fatal(d.mistakes)
	}
	v := d.value(n.Content[1])
	v.check(&expr.Scope{Where: "a test", Names: expr.Map{"a": expr.Any, "secrets": expr.AnySecret, "inputs": expr.Any}})
	if len(d.mistakes) > 0 {
		t.Fatal(d.mistakes)
	}
	return v
}

// exprOf compiles an expression.
func exprOf(t *testing.T, text string) *Expr {
	t.Helper()
	e, err := expr.Compile(text, "a")
	if err != nil {
		t.Fatal(err)
	}
	return &Expr{Expr: *e}
}

func envOf(a any) *expr.Env {
	return &expr.Env{Names: expr.Names{"a": a, "inputs": map[string]any{"pin": "77", "x": "plain"},
		"secrets": map[string]any{"LONG": "Long-Secret-Value", "TINY": "abc", "EMPTY": ""}}}
}

// TestARecordShowsNoSecretAndNothingElseIsHidden: the value that is sent has the secret, the record has ***.
func TestARecordShowsNoSecretAndNothingElseIsHidden(t *testing.T) {
	for _, c := range []struct {
		text, sent, shown string
		derived           string
	}{
		{`"${{ secrets.LONG }}"`, "Long-Secret-Value", "***", ""},
		{`"Bearer ${{ secrets.LONG }}"`, "Bearer Long-Secret-Value", "Bearer ***", ""},
		{`{b: "${{ secrets.LONG }}", c: ["${{ secrets.TINY }}", 1, "${{ a.n }}"]}`, "{b: Long-Secret-Value, c: [abc, 1, 5]}",
			`{b: "***", c: ["***", 1, 5]}`, ""},
		{`"${{ lower(secrets.LONG) }}"`, "long-secret-value", "***", "long-secret-value"},
		{`"x ${{ secrets.LONG[:8] }} y"`, "x Long-Sec y", "x *** y", "Long-Sec"},
		{`"${{ secrets.LONG[:3] }}"`, "Lon", "***", ""},
		{`"${{ secrets.TINY + '-1' }}"`, "abc-1", "***", ""},
		{`"${{ secrets.LONG + '-1' }}"`, "Long-Secret-Value-1", "Long-Secret-Value-1", ""}, // the store masks it by value
		{`"${{ secrets.LONG == 'x' }}"`, "false", "false", ""},
		{`"${{ [secrets.TINY, a.s, nil, true] }}"`, "[abc, hello, null, true]", `["***", hello, null, true]`, ""},
		{`"${{ {k: secrets.TINY, l: a.s} }}"`, "{k: abc, l: hello}", `{k: "***", l: hello}`, ""},
		{`"${{ secrets.EMPTY + a.s }}"`, "hello", "hello", ""},
		{`"${{ inputs.pin }} ${{ inputs.x }} ${{ a.n }}"`, "77 plain 5", "*** plain 5", ""},
		{`"${{ inputs.x }}"`, "plain", "plain", ""},
		{`"${{ [inputs.pin, 77, 7] }}"`, `["77", 77, 7]`, `["***", "***", 7]`, ""},
		{`[a, {b: 1}]`, "[a, {b: 1}]", "[a, {b: 1}]", ""},
	} {
		s := &Shown{Hidden: []string{"77"}}
		sent, shown, err := s.Render(yamlValue(t, c.text), envOf(map[string]any{"n": 5, "s": "hello"}), FillPlain)
		plain := func(v any) string {
			if text, ok := v.(string); ok {
				return text
			}
			return YAMLText(v)
		}
		if err != nil || plain(sent) != c.sent || plain(shown) != c.shown || strings.Join(s.Derived, " ") != c.derived {
			t.Errorf("%s: sent %s, shown %s, derived %q, %v", c.text, plain(sent), plain(shown), s.Derived, err)
		}
	}
	for _, failing := range []string{`"${{ int(a.s) }}"`, `"b ${{ int(a.s) }}"`, `{b: "${{ int(a.s) }}"}`, `["${{ int(a.s) }}"]`} {
		if sent, shown, err := (&Shown{Hidden: []string{"77"}}).Render(yamlValue(t, failing), envOf(map[string]any{"s": "x"}),
			FillPlain); err == nil ||
			sent != nil || shown != nil {
			t.Errorf("%s: %v %v %v", failing, sent, shown, err)
		}
	}
}

// TestEmptyInsertionsAreNotedUnderTheirNames: below text, url, subject and message, once each, and at most twenty.
func TestEmptyInsertionsAreNotedUnderTheirNames(t *testing.T) {
	for text, want := range map[string]string{
		`{text: "Hello ${{ a.none }}!", other: "x ${{ a.other }}"}`: "a.none",
		`{blocks: [{message: {deep: "${{ a.b }} ${{ a.b }}"}}]}`:    "a.b",
		`{subject: "x ${{ a.none ?? '' }}"}`:                        "",
		`{url: "x ${{ a.none == nil ? '' : 'b' }}"}`:                "",
		`{other: "x ${{ a.none }}"}`:                                "",
		`{text: "${{ a.none }}"}`:                                   "",
	} {
		for _, hidden := range [][]string{nil, {"77"}} {
			s := &Shown{Nothing: &Nothing{}, Hidden: hidden}
			if _, _, err := s.Render(yamlValue(t, text), envOf(map[string]any{"s": "x"}), FillPlain); err != nil ||
				strings.Join(s.Nothing.Of, " ") != want {
				t.Errorf("%s, hidden %v: %q %v", text, hidden, s.Nothing.Of, err)
			}
		}
	}
	n := &Nothing{watched: true}
	for i := range 30 {
		n.note(&Expr{Expr: expr.Expr{Text: fmt.Sprint("a.b", i)}})
	}
	if len(n.Of) != 20 || len(n.Notes()) != 20 || n.Notes()[1] != "inserted nothing for a.b1" {
		t.Errorf("%q", n.Notes())
	}
	if err := n.Err(); err == nil || !strings.HasPrefix(err.Error(), "a.b0, a.b1, ") || (&Nothing{}).Err() != nil {
		t.Error(err)
	}
}

// TestAMapWithoutItsNilExpressionsIsGiven: a key whose expression is nil is left out, one that is null in the file is kept.
func TestAMapWithoutItsNilExpressionsIsGiven(t *testing.T) {
	v := yamlValue(t,
		`{gone: "${{ a.none }}", kept: null, list: ["${{ a.none }}", {gone: "${{ a.none }}", n: "${{ a.n }}"}], text: "x ${{ a.none }}"}`)
	got, err := v.RenderGiven(envOf(map[string]any{"n": 5}), FillPlain)
	if want := "{kept: null, list: [null, {\"n\": 5}], text: \"x \"}"; err != nil || YAMLText(got) != want {
		t.Errorf("%s %v", YAMLText(got), err)
	}
	if got, err := v.Render(envOf(map[string]any{"n": 5}), FillPlain); err != nil || len(got.(map[string]any)) != 4 {
		t.Errorf("rendered: %v %v", got, err)
	}
	for _, failing := range []string{`{b: "${{ int(a.s) }}"}`, `["${{ int(a.s) }}"]`, `"${{ int(a.s) }}"`} {
		for _, render := range []func(*Value) (any, error){
			func(v *Value) (any, error) { return v.RenderGiven(envOf(map[string]any{"s": "x"}), FillPlain) },
			func(v *Value) (any, error) { return v.Render(envOf(map[string]any{"s": "x"}), FillPlain) },
		} {
			if got, err := render(yamlValue(t, failing)); err == nil || got != nil {
				t.Errorf("%s: %v", failing, got)
			}
		}
	}
	var none *Value
	if got, err := none.RenderGiven(envOf(nil), FillPlain); got != nil || err != nil {
		t.Errorf("no value: %v %v", got, err)
	}
}

// TestEmptyValuesAreRefusedWhereOneIsNeeded: of an id, of a header and in a URL, which also encodes.
func TestEmptyValuesAreRefusedWhereOneIsNeeded(t *testing.T) {
	for _, text := range []string{`"${{ a.s }}"`, `"x${{ a.s }}"`} {
		for _, empty := range []any{nil, ""} {
			for fill, ok := range map[Fill]bool{FillPlain: true, FillHTML: true, FillNonempty: false, FillURL: false} {
				if _, err := yamlValue(t, text).Render(envOf(map[string]any{"s": empty}), fill); (err == nil) != ok ||
					err != nil && !strings.Contains(err.Error(), "the value is nil or empty") {
					t.Errorf("%s of %v, fill %d: %v", text, empty, fill, err)
				}
			}
		}
	}
	for text, want := range map[string]string{`"https://x.example/${{ a.s }}/b?q=${{ a.s }}"`: "https://x.example/a%20b%2Fc&/b?q=a%20b%2Fc%26",
		`"${{ a.u }}"`: "https://y.example/a b"} {
		got, err := yamlValue(t, text).Render(envOf(map[string]any{"s": "a b/c&", "u": "https://y.example/a b"}), FillURL)
		if err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	if _, err := yamlValue(t, `"x ${{ a.s }}"`).Render(envOf(map[string]any{"s": func() {}}), FillPlain); err == nil {
		t.Error("a value without a text is inserted")
	}
	if _, err := yamlValue(t, `"x ${{ a.s }} ${{ a.s }}"`).Render(envOf(map[string]any{"s": strings.Repeat("x", 9<<20)}),
		FillPlain); err == nil {
		t.Error("a text above the limit is built")
	}
}

func TestValuesAreEqualIfTheyAreWrittenTheSame(t *testing.T) {
	all := []string{"1", "2", "text", `"${{ a }}"`, `"${{ a.b }}"`, `"x ${{ a }}"`, `"x ${{ a.b }}"`, `"y ${{ a }}"`, `"${{ a }} x"`,
		`["${{ a }}"]`, `["${{ a.b }}"]`, `["${{ a }}", 1]`, `{b: "${{ a }}"}`, `{c: "${{ a }}"}`, `{b: "${{ a.b }}"}`,
		`{b: "${{ a }}", c: 1}`,
		"[1]", "{b: 1}"}
	outlines := map[string]string{}
	for _, x := range all {
		for _, y := range all {
			if got := yamlValue(t, x).Same(yamlValue(t, y)); got != (x == y) {
				t.Errorf("%s and %s: %v", x, y, got)
			}
		}
		var b strings.Builder
		yamlValue(t, x).outline(&b)
		if other, twice := outlines[b.String()]; !strings.HasPrefix(x, "[") && (twice || b.Len() == 0) {
			t.Errorf("%s and %s have the outline %q", x, other, b.String())
		}
		outlines[b.String()] = x
	}
	var none *Value
	if none.Same(yamlValue(t, "1")) || yamlValue(t, "1").Same(nil) || !none.Same(nil) {
		t.Error("no value is equal to one")
	}
}

// TestTheFormOfAValueIsKnown: its template, the secret that it is, its keys and its fields.
func TestTheFormOfAValueIsKnown(t *testing.T) {
	for text, want := range map[string][3]string{
		"text": {"text", "", ""}, "5": {"", "", ""}, `"${{ a.b }}"`: {"{}", "", ""}, `"/x/${{ a.b }}/y"`: {"/x/{}/y", "", ""},
		`"${{ secrets.LONG }}"`: {"{}", "LONG", "LONG"}, `"${{ secrets.LONG + secrets.TINY }}"`: {"{}", "", "LONG TINY"},
		`"x ${{ secrets.TINY }}"`: {"x {}", "", "TINY"}, `[1]`: {"", "", ""}, `{b: "${{ secrets.LONG }}"}`: {"", "", "LONG"},
	} {
		v := yamlValue(t, text)
		if got := [3]string{v.Template(), v.SecretName(), strings.Join(v.SecretNames(), " ")}; got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	v := yamlValue(t, `{b: {c: 1}, d: "${{ a }}"}`)
	if c, constant := v.Field("b").Field("c").IsConstant(); !constant || c != 1 || v.Field("x") != nil ||
		v.Field("b").Field("x") != nil ||
		!slices.Equal(v.Keys(), []string{"b", "d"}) || !v.Field("d").IsExpression() || v.Field("b").IsExpression() {
		t.Errorf("%v %v", c, v.Keys())
	}
	if got := (&Value{constant: map[string]any{"b": 2}}).Field("b"); got == nil || got.constant != 2 ||
		(&Value{constant: map[string]any{}}).Field("b") != nil {
		t.Errorf("%+v", got)
	}
	text, err := yamlValue(t, `"x ${{ secrets.LONG }}"`).Text(map[string]any{"LONG": "y"})
	if err != nil || text != "x y" {
		t.Error(text, err)
	}
	if text, err := yamlValue(t, `"${{ secrets.LONG }}"`).Text(nil); err == nil {
		t.Errorf("a secret without a value is %q", text)
	}
}

// TestAKeyHasAPartForEachValue: lists give several, and an empty part or another kind of value is an error.
func TestAKeyHasAPartForEachValue(t *testing.T) {
	for _, c := range []struct {
		exprs []string
		a     any
		want  string // an error if it begins with !
	}{
		{[]string{"a.id"}, map[string]any{"id": "x/y"}, "x/y"},
		{[]string{"a.id", "a.n"}, map[string]any{"id": "x/y%", "n": 7}, "x%2Fy%25/7"},
		{[]string{"[a.id, a.n]"}, map[string]any{"id": "x", "n": true}, "x/true"},
		{[]string{"a.id"}, map[string]any{"id": ""}, "!it is empty: a.id"},
		{[]string{"a.id"}, map[string]any{}, "!it is empty: a.id"},
		{[]string{"a.id"}, map[string]any{"id": []any{}}, "!it is empty: a.id"},
		{[]string{"[a.id, a.n]"}, map[string]any{"id": "x"}, "!it is empty: [a.id, a.n]"},
		{[]string{"a.id"}, map[string]any{"id": map[string]any{}}, "!a key must be text, a number or a boolean"},
		{[]string{"[a.id]"}, map[string]any{"id": []any{1}}, "!a key must be text, a number or a boolean"},
		{[]string{"int(a.id)"}, map[string]any{"id": "x"}, "!"},
		{[]string{"a.id"}, map[string]any{"id": strings.Repeat("x", 300)}, strings.Repeat("x", 300)},
		{[]string{"a.id"}, map[string]any{"id": strings.Repeat("x", 301)}, "sha256:"},
	} {
		var list []*Expr
		for _, e := range c.exprs {
			list = append(list, exprOf(t, e))
		}
		got, err := keyOf(list, envOf(c.a))
		want, fails := strings.CutPrefix(c.want, "!")
		if fails != (err != nil) || fails && (got != "" || !strings.Contains(err.Error(), want)) || !fails &&
			!strings.HasPrefix(got, want) ||
			!fails && want != "sha256:" && got != want {
			t.Errorf("%v of %v: %q %v", c.exprs, c.a, got, err)
		}
	}
	ok, bad, empty := envOf(map[string]any{"id": "x"}), envOf(map[string]any{"id": []any{[]any{}}}), envOf(map[string]any{})
	g := &Gather{Kind: Batch, Size: 3, Wait: 5e9}
	if key, err := g.KeyOf(bad); key != "" || err != nil || g.String() != "batch: 3 events or 5s" {
		t.Errorf("without a key: %q %v %s", key, err, g)
	}
	g = &Gather{Kind: Debounce, Key: []*Expr{exprOf(t, "a.id"), exprOf(t, "a.id")}, Wait: 5e9, Max: 6e10}
	if key, err := g.KeyOf(ok); key != "x/x" || err != nil || g.String() != "debounce by a.id, a.id: 5s quiet, at most 1m0s" {
		t.Errorf("with a key: %q %v %s", key, err, g)
	}
	if key, err := g.KeyOf(empty); key != "" || err == nil || err.Error() != "debounce.key: it is empty: a.id" {
		t.Errorf("with an empty key: %q %v", key, err)
	}
	c := &CancelOn{Key: []*Expr{exprOf(t, "a.id")}}
	for env, want := range map[*expr.Env]string{ok: "x", empty: ""} {
		if key, err := c.RunKey(env); key != want || err != nil {
			t.Errorf("a run's key: %q %v", key, err)
		}
	}
	if key, err := c.RunKey(bad); key != "" || err == nil || !strings.HasPrefix(err.Error(), "cancel_on.key: ") {
		t.Errorf("a run's key that fails: %q %v", key, err)
	}
	for env, want := range map[*expr.Env][]string{ok: {"k", "x"}, empty: {"k"}, bad: {"k"}, envOf(map[string]any{"id": "k"}): {"k"}} {
		if got := c.EventKeys("k", env); !reflect.DeepEqual(got, want) {
			t.Errorf("an event's keys: %q, not %q", got, want)
		}
	}
}
