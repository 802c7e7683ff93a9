package workflows

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestCredentialsAreRecognized: placeholders, generated texts, and fields that contain credentials.
func TestCredentialsAreRecognized(t *testing.T) {
	var out table
	texts := []string{"", " ", "x", "xxx", "xxxx1", "***", "<a>", "{a}", "[a]", "$A", "%A%", "sk_test_1", "your-key", "yours",
		"tokens", "token1",
		"secret", "aaaa", "changeme", "my-example-key", "abc", Mask, "a1b2c3d4e5f", "a1b2c3d4e5f6", "abcdefghijkl", "abcdefghijk1",
		"abcdefghij12", "123456789012", "abc123456789", "abcd12345678", "a1b2c3d4e5f6 ", "a1b2/c3d4=e5f6", "a1b2:c3d4:e5f6", "z9Z9a0A0-_.~",
		strings.Repeat("a1b2", 1024), strings.Repeat("a1b2", 1024) + "x"}
	each(&out, "isPlaceholder", isPlaceholder, texts...)
	each(&out, "looksRandom", looksRandom, texts...)
	each(&out, "plainUser", plainUser, "", "a", "a b", "a,b", "a@b", "a%b")
	out.head("secretFor")
	for _, owner := range []string{"", "crm", "my-crm", "9"} {
		for _, name := range []string{"x_api_key", "authorization", "pass", "pwd", "passwd", "sig", "token", "é", "value", "cookie", "bearer",
			"auth", "signature", "key", "proxy_authorization"} {
			out.row(owner+" "+name, credentialPlace{owner: owner}.secretFor(name))
		}
	}
	out.head("namedCredential")
	for _, at := range []credentialPlace{{key: "authorization", headers: true}, {key: "cookie", headers: true}, {key: "accept",
		headers: true},
		{key: "value", parent: "header", auth: true}, {key: "value", parent: "query", auth: true}, {key: "value", parent: "other", auth: true},
		{key: "bearer", auth: true}, {key: "password", auth: true}, {key: "pass", auth: true}, {key: "secret_key", auth: true},
		{key: "user", auth: true},
		{key: "session_token", auth: true}, {key: "password"}, {key: "api-key"}, {key: "token"}, {key: "auth"}, {key: "key"}, {key: "other"}} {
		for _, text := range []string{"12345", "123456", "Bearer a1b2c3d4e5f6", " Basic  abcdef", "a1b2c3d4e5f6", "two words", "example",
			"sessions"} {
			value, ok := namedCredential(text, at, strings.ReplaceAll(at.key, "-", "_"))
			out.row(fmt.Sprint(at.key, " ", at.parent, " ", text), value, ok)
		}
	}
	out.head("insteadOf")
	d := &decoder{}
	for _, at := range []credentialPlace{{key: "when"}, {key: "if"}, {key: "key"}, {key: "filter"}, {key: "a"}, {key: "cookie",
		headers: true},
		{key: "accept", headers: true}} {
		for _, text := range []string{"canary", "x canary", "${{ f('canary') }}", "canary ${{ a }}", "a\ncanary", strings.Repeat("y",
			55) + "canary",
			strings.Repeat("y", 60) + "canary", strings.Repeat("y", 61) + "canary", "other", `"canary"`} {
			out.row(at.key+" "+text, d.insteadOf(at, text, "canary", "S"))
		}
	}
	s := &source{found: []foundCredential{{secret: "A", value: "1"}, {secret: "A_2", value: "2"}}, hidden: []string{"canary", "é-canary"}}
	out.row("freeName", s.freeName("A", "1"), s.freeName("A", "2"), s.freeName("A", "3"), s.freeName("B", "1"))
	out.row("masked", s.masked("a canary b"), s.masked("a é-x"), s.masked("ghp_"+strings.Repeat("a1", 15)),
		s.masked("whsec_xxxxxxxxxxxxxxxxxxxxxxx"))
	s.hide("12345\n  123456  \n\n1234567\n")
	out.row("hidden", s.hidden)
	testgolden.Compare(t, "pure_credentials.txt", out.out.String())
}

// compiled returns a compiled expression over the given names.
func compiled(t *testing.T, text string, names ...string) *Expr {
	t.Helper()
	e, err := expr.Compile(text, names...)
	if err != nil {
		t.Fatal(err)
	}
	return &Expr{Expr: *e}
}

// TestKeysOfEventsAreComputed: empty keys, several parts, and expressions that fail.
func TestKeysOfEventsAreComputed(t *testing.T) {
	var out table
	env := &expr.Env{Names: expr.Names{"body": map[string]any{"a": "1", "b": 2, "empty": "", "none": nil, "map": map[string]any{"c": 1}}}}
	for _, texts := range [][]string{nil, {"body.a"}, {"body.a", "body.b"}, {"body.empty"}, {"body.none"}, {"body.a", "body.none"},
		{"body.map"},
		{"int(body.empty)"}, {"body.missing"}} {
		var key []*Expr
		for _, text := range texts {
			key = append(key, compiled(t, text, "body"))
		}
		for _, kind := range []string{Debounce, Batch} {
			g := &Gather{Kind: kind, Key: key, Wait: time.Second, Max: time.Minute, Size: 5}
			got, err := g.KeyOf(env)
			out.row(fmt.Sprint(kind, texts), got, errorText(err), g.String())
		}
		c := &CancelOn{Key: key}
		run, err := c.RunKey(env)
		out.row("cancel_on", run, errorText(err), c.EventKeys("1", env), c.EventKeys("own", env))
	}
	for i, starts := range [][]Start{nil, {{Kind: "manual"}}, {{Kind: "call"}}, {{Kind: "manual"}, {Kind: "trigger"}},
		{{Kind: "trigger"}, {Kind: "manual"}}} {
		out.row(i, onlyManual(starts))
	}
	for i, w := range []*Workflow{{}, {Concurrency: &Concurrency{}}, {Rate: &Rate{}}, {Gather: &Gather{}}, {CancelOn: []CancelOn{{}}}} {
		out.row(i, w.Gated(), w.Bounded())
	}
	testgolden.Compare(t, "pure_keys.txt", out.out.String())
}

// TestConnectorsAreUsed: addresses with inserted values, example connections, and what may be
// repeated.
func TestConnectorsAreUsed(t *testing.T) {
	var out table
	for _, base := range []string{"https://a.example.com/v1", "https://${{ connection.x }}.example.com",
		"https://a.example.com/${{ connection.x }}/b",
		"${{ connection.x }}", "${{ connection.x }}/v1", "https://a.example.com${{ connection.x }}"} {
		c, mistakes := CheckConnector("c.yaml",
			[]byte("connector: c\nbase_url: \""+base+"\"\nconnection: {x: {type: string}, y: {type: string}}\n"))
		if c == nil {
			t.Fatal(mistakes)
		}
		for _, x := range []any{"", "s", "s/t", "s@t", "s?", "s#", `s\t`, "s t", "s\tt", "s\nt", "s\rt", nil, 5, "https://b.example.com"} {
			got, err := c.Base(map[string]any{"x": x})
			out.row(fmt.Sprint(base, " ", x), got, errorText(err))
		}
	}
	for _, a := range []*ConnectorAction{{Method: "GET"}, {Method: "POST"}, {Method: "PATCH"}, {Method: "PUT"}, {Method: "POST",
		Idempotency: "key"},
		{Method: "POST", Idempotency: "natural"}, {Method: "GET", Idempotency: "none"}} {
		given := &Retry{Max: 7}
		none, some := a.retry(nil), a.retry(given)
		out.row(a.Method+" "+a.Idempotency, a.safe(), none != nil && none.OnlyUndone, some.Max, some.OnlyUndone, some == given)
	}
	k := &Connector{Name: "c", Fields: []ConnectionField{{Name: "a", Default: "d", Options: []any{"o"}}, {Name: "b",
		Options: []any{"o", "p"}},
		{Name: "n", Type: "integer", Required: true}, {Name: "f", Type: "number"}, {Name: "yes", Type: "boolean"}, {Name: "site_url"},
		{Name: "a_b", Required: true, Secret: true}, {Name: "api_key", Required: true}, {Name: "key"}}}
	for _, auth := range []*Auth{nil, {}, {TLS: &ClientTLS{}}, {OAuth2: &OAuth2{}}, {HeaderName: "X"}, {QueryName: "q"},
		{BasicUser: &Value{}}, {Bearer: &Value{}}} {
		k.Auth = auth
		out.row(auth.Kind(), k.ExampleConnection().Auth != nil)
	}
	fields := k.ExampleConnection().Fields
	for _, f := range k.Fields {
		out.row(f.Name, fields[f.Name].constant)
	}
	out.row("example", k.ConnectionExample(), k.connectionOf("other"), freeName("a", map[string]*Connection{"a": {}, "a_2": {}}),
		freeName("b", nil))
	c := &Connection{Name: "n", Fields: map[string]*Value{"n": {kind: constantValue, constant: ""}, "b": {kind: constantValue, constant: 3},
		"f": {kind: exprValue, expr: compiled(t, "int('x')")}}}
	for _, fields := range [][]ConnectionField{{{Name: "b"}}, {{Name: "b", Default: 4}}, {{Name: "n", Default: 5}}, {{Name: "n"}},
		{{Name: "n", Required: true}},
		{{Name: "none"}}, {{Name: "none", Required: true}}, {{Name: "f"}}} {
		got, err := c.FieldValues(&Connector{Fields: fields}, func(string) (string, bool) { return "", false }, time.Unix(0, 0))
		out.row(fmt.Sprint(fields), fmt.Sprint(got), errorText(err))
	}
	for _, text := range []string{"connection.a", "connection.ab", "connection", "connection['a']", "connection?.a", "x",
		"connection.b + connection.a",
		"connection.b", "connection .a", "connection.a_", "connection.a9", "connection.aZ", "connection.a-1"} {
		out.row(text, (&Expr{Expr: expr.Expr{Text: text}}).readsField("connection", "a"))
	}
	testgolden.Compare(t, "pure_connectors.txt", out.out.String())
}

// TestDeadlinesResponsesAndTypesAreChecked: deadlines, responses that are saved, types of events, and articles.
func TestDeadlinesResponsesAndTypesAreChecked(t *testing.T) {
	var out table
	constant := func(v any) *Value { return &Value{kind: constantValue, constant: v} }
	with := func(keys []string, values ...*Value) *Value {
		return &Value{kind: mapValue, keys: keys, values: values}
	}
	saving := &ActionSpec{Inputs: []ActionInput{{Name: "save"}}, Example: "example"}
	for i, st := range []*Step{{}, {Spec: saving}, {Spec: saving, With: with([]string{"save"}, constant(true))},
		{With: with([]string{"save"}, constant(true))},
		{Spec: saving, With: with([]string{"save"}, constant(false))}, {Spec: &ActionSpec{Example: 1}, With: with([]string{"save"},
			constant(true))},
		{Spec: saving, With: with([]string{"save"}, &Value{kind: exprValue, expr: compiled(t, "true")})},
		{Spec: saving, With: with([]string{"save"}, constant("true")), Key: "k"}} {
		if st.Spec != nil {
			out.row(i, int(st.saves()), fmt.Sprint(st.ExampleOutput()))
		}
	}
	for i, s := range []*Step{{Body: "sleep"}, {Body: "sleep", Sleep: constant("5s")}, {Body: "uses", Sleep: constant("5s")},
		{Body: "sleep", Sleep: constant("x")}, {Body: "sleep", Sleep: constant("5s"), SleepUntil: true},
		{Body: "sleep", Sleep: &Value{kind: exprValue, expr: compiled(t, "'5s'")}}} {
		d, ok := s.sleepsFor()
		out.row(i, int64(d), ok)
	}
	each(&out, "article", article, "integer", "object", "string", "list", "any", "unit", "email")
	events := []string{"payment_intent.succeeded", "payment_intent.failed", "charge.refund/created", "charge.succeeded"}
	each(&out, "suffixMatch", func(s string) string { return suffixMatch(s, events) }, "payment_succeeded", "intent.failed", "x", "charge",
		"charge_created", "refund/created", "payment.intent", "")
	each(&out, "savedPath", func(s string) string { return fmt.Sprint(savedPath.FindStringSubmatch(s)) }, "steps.a.output.path",
		"steps.a?.output?.path", "steps.A.output.path", "steps.a.output.path.x", "steps.a.path")
	w := &Workflow{Output: &Value{kind: exprValue, expr: compiled(t, "event.b", "event")}, When: []*Expr{compiled(t, "event.a == 1",
		"event"), compiled(t, "event.b", "event")}}
	out.row("about", w.ExpressionsAbout(regexp.MustCompile("event")), w.ExpressionsAbout(regexp.MustCompile("none")))
	n := &Nothing{watched: true}
	for i := range maxNothing + 2 {
		n.note(compiled(t, fmt.Sprintf("x%02d", i), fmt.Sprintf("x%02d", i)))
		n.note(compiled(t, "x00", "x00"))
	}
	n.note(compiled(t, "x99 ?? ''", "x99"))
	out.row("nothing", len(n.Of), n.Notes()[0], errorText((&Nothing{}).Err()), errorText((&Nothing{Of: []string{"a", "b"}}).Err()))
	var none *Nothing
	out.row("enter", none.enter("text"), (&Nothing{}).enter("text"), (&Nothing{watched: true}).enter("x"))
	testgolden.Compare(t, "pure_checks.txt", out.out.String())
}
