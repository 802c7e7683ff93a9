package expr_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// TestFieldsHaveTheTypesOfTheLanguage checks the fields that the editor and the documentation offer.
func TestFieldsHaveTheTypesOfTheLanguage(t *testing.T) {
	for of, want := range map[string]string{
		"event": "id text, trigger text, inlet text, type text, key text, data any, body any, headers object, query object, raw any, " +
			"method text, path text, time time, received_at time",
		"run":   "id text, url text, attempt integer, started_at time, workflow text, trigger text, test boolean",
		"error": "message text, code text, status any, step text, attempts integer, retryable boolean, details any",
		"step":  "output any, status text, error any, attempts integer, started_at any, finished_at any",
		"names": "event any, events any, inputs any, vars any, steps any, secrets any, item any, index integer, result any, error any, " +
			"run any, output any",
		"other": "",
	} {
		var got []string
		for _, f := range expr.Fields(of) {
			got = append(got, f.Name+" "+expr.TypeWord(f.Type))
			if !strings.HasSuffix(f.Help, ".") {
				t.Errorf("the help of %s.%s: %q", of, f.Name, f.Help)
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: %s", of, s)
		}
	}
	expr.Fields("event")[0].Name = "changed"
	if names := expr.EventFields(); names[0] != "id" || len(names) != 14 {
		t.Errorf("a caller can change the fields: %v", names)
	}
	if expr.TypeWord(nil) != "any" || expr.TypeWord(expr.ListOf(expr.Int)) != "object" {
		t.Error("the words of an unknown type and of a list")
	}
}

// TestTypeOfASampleIsThatOfItsFields checks the types that samples and declared inputs give.
func TestTypeOfASampleIsThatOfItsFields(t *testing.T) {
	text := func(typ types.Type) string { return typ.String() }
	for want, got := range map[string]string{
		"Array{Map{a: interface {}}}":    text(expr.SampleType([]any{map[string]any{"a": 1}, map[string]any{"b": 1}})),
		"Array{interface {}}":            text(expr.SampleType([]any{})),
		"interface {}":                   text(expr.SampleType("text")),
		"string string":                  text(expr.InputType("string")) + " " + text(expr.InputType("date")),
		"int bool":                       text(expr.InputType("integer")) + " " + text(expr.InputType("boolean")),
		"list Array{interface {}}":       "list " + text(expr.InputType("list")),
		"other interface {}":             "other " + text(expr.InputType("number")),
		"object " + expr.AnyMap.String(): "object " + text(expr.InputType("object")),
	} {
		if strings.ReplaceAll(got, "any", "interface {}") != strings.ReplaceAll(want, "any", "interface {}") {
			t.Errorf("%s, want %s", got, want)
		}
	}
	event := expr.EventType(expr.Int)
	if len(event) != 14 || event["data"] != types.Type(expr.Int) || len(expr.RunType()) != 7 || len(expr.ErrorType()) != 7 ||
		len(expr.StepType()) != 6 {
		t.Errorf("the types of the names: %v", event)
	}
}

// TestScopeOfAnotherPositionIsIndependent checks that names added for one position are not seen at the others.
func TestScopeOfAnotherPositionIsIndependent(t *testing.T) {
	sc := &expr.Scope{Where: "here", Names: stepNames(), HiddenSteps: map[string]string{"x": "why"}, MaybeNil: map[string]bool{"y": true},
		Lenient: true, Samples: &expr.Samples{}, Hint: func(string) string { return "hint" }}
	sc.Sampled = types.Map{"event": expr.Int, "gone": expr.Int}
	sc.Sync()
	if sc.Sampled["event"] != types.Type(expr.Int) || sc.Sampled["gone"] != nil || len(sc.Sampled) != len(sc.Names) {
		t.Errorf("Sync: %v", sc.Sampled)
	}
	other := sc.In("there")
	other.AddVar("new")
	other.Steps()["new"] = expr.Any
	other.HiddenSteps["new"], other.MaybeNil["new"] = "why", true
	other.Drop("inputs", "run")
	with := sc.With("item", expr.String)
	at := func(sc *expr.Scope, root, name string) bool { return sc.Names[root].(types.Map)[name] != nil }
	for what, ok := range map[string]bool{
		"the position":        other.Where == "there" && with.Where == "here",
		"vars":                at(other, "vars", "new") && at(other, "vars", "rate") && !at(sc, "vars", "new"),
		"steps":               at(other, "steps", "new") && at(other, "steps", "fetch") && !at(sc, "steps", "new"),
		"hidden":              len(other.HiddenSteps) == 2 && len(sc.HiddenSteps) == 1,
		"maybe nil":           len(other.MaybeNil) == 2 && len(sc.MaybeNil) == 1,
		"dropped":             other.Names["inputs"] == nil && other.Names["run"] == nil && sc.Names["inputs"] != nil,
		"dropped of samples":  other.Sampled["inputs"] == nil && sc.Sampled["inputs"] != nil,
		"with":                with.Names["item"] != nil && with.Sampled["item"] != nil && sc.Names["item"] == nil && sc.Sampled["item"] == nil,
		"what is known":       other.Lenient && other.Samples == sc.Samples && other.Hint("") == "hint" && other.Sampled != nil,
		"no samples":          (&expr.Scope{Names: types.Map{}}).In("x").Sampled == nil,
		"no steps":            len((&expr.Scope{Names: types.Map{}}).Steps()) == 0,
		"the type of samples": with.Sampled["event"] == types.Type(expr.Int),
	} {
		if !ok {
			t.Errorf("%s: %+v", what, other)
		}
	}
	(&expr.Scope{Names: types.Map{}}).AddVar("x") // there are no vars to add to
}

// TestNameOfATimeIsRecognized checks which names say that a number is a time.
func TestNameOfATimeIsRecognized(t *testing.T) {
	for name, want := range map[string]bool{"item.created_at": true, "item.updatedAt": true, "body.ts": true, `item["last-modified"]`: true,
		"item.id": false, "item.date.id": false, "created": true, "Time": true, "item.updatedAtX": false, "item.format": false,
		"list[0].when": true, "item?.since": true, "item.A": false, "item.lastON": false, "item.fooON": false, "": false, "a b.on": true} {
		if got := expr.NamesTime(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestVarsOfTheProjectAreReadUnderThoseOfTheWorkflow checks Vars, the zone, and the time until which an
// evaluation may run.
func TestVarsOfTheProjectAreReadUnderThoseOfTheWorkflow(t *testing.T) {
	e, err := expr.Compile(`[vars?.a, vars?.b, now().Hour()]`, "vars")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]any{"b": 3}
	env := &expr.Env{Names: expr.Names{"vars": own}, Now: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		vars map[string]any
		env  *expr.Env
		want string
	}{
		{nil, env, "[<nil> 3 10]"}, {map[string]any{"a": 1, "b": 2}, env, "[1 3 10]"},
		{map[string]any{"a": 1, "b": 2}, &expr.Env{Now: env.Now}, "[1 2 10]"},
		{map[string]any{"a": 1}, &expr.Env{Now: env.Now, Names: expr.Names{"vars": nil}}, "[1 <nil> 10]"},
	} {
		e.Vars = c.vars
		if v, err := e.Eval(c.env); err != nil || fmt.Sprint(v) != c.want {
			t.Errorf("%v: %v, %v, want %s", c.vars, v, err, c.want)
		}
	}
	if len(own) != 1 {
		t.Errorf("the names were changed: %v", own)
	}
	e.Zone = time.FixedZone("X", 3600)
	if v, err := e.Eval(env); err != nil || fmt.Sprint(v) != "[1 3 11]" {
		t.Errorf("in another zone: %v, %v", v, err)
	}
	late := *env
	late.Until = time.Now().Add(-time.Second)
	var failed *expr.EvalError
	if v, err := e.Eval(&late); !errors.As(err, &failed) || failed.Problem != "no time was left for the expression" || failed.Line != 1 ||
		failed.Column != 1 || failed.Expr != e.Text {
		t.Errorf("no time left: %v, %v", v, err)
	}
	late.Until = time.Now().Add(time.Hour)
	if v, err := e.Eval(&late); err != nil {
		t.Errorf("time left: %v, %v", v, err)
	}
}

// TestVarsOfTheProjectAreInTheRecordOfADecision checks Values with Vars, and for what the expression cannot read.
func TestVarsOfTheProjectAreInTheRecordOfADecision(t *testing.T) {
	e := &expr.Expr{Text: `vars.rate > 1 and event.data.text.x == 1 and event.key == ""`, Vars: map[string]any{"rate": 5}}
	if found := e.Check(&expr.Scope{Where: "a test", Names: stepNames()}, reflect.Bool); len(found) > 0 {
		t.Fatal(found)
	}
	got := e.Values(expr.Names{"event": map[string]any{"key": "k", "data": map[string]any{"text": "t"}}})
	if want := "map[event.data.text.x:<nil> event.key:k vars.rate:5]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if none := (&expr.Expr{Text: "1"}).Values(expr.Names{"event": 1}); none != nil {
		t.Errorf("an expression that reads nothing: %v", none)
	}
}

// TestConditionIsTrueOrFalse checks the results that a condition may have.
func TestConditionIsTrueOrFalse(t *testing.T) {
	names := expr.Names{"a": true, "none": nil, "text": "x"}
	for text, want := range map[string]string{
		"a": "true <nil>", "not a": "false <nil>", "none": "false <nil>", "none?.x": "false <nil>",
		"text":  "false a condition must be true or false, got text (in text)",
		"a.x":   "false cannot read x: a is true or false (in a.x)",
		"1 + 1": "false a condition must be true or false, got a number (in 1 + 1)",
	} {
		e, err := expr.Compile(text, scopeNames(names)...)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := e.Condition(&expr.Env{Names: names})
		if got := fmt.Sprint(ok, " ", err); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestSecretWithoutAValueIsAnError checks that an unset secret is never sent as nothing.
func TestSecretWithoutAValueIsAnError(t *testing.T) {
	for text, names := range map[string][]string{"secrets.A + secrets.B": {"A", "B"}, "secrets.A": {"A"}} {
		e := &expr.Expr{Text: text}
		if found := e.Check(&expr.Scope{Names: stepNames()}, reflect.Invalid); len(found) > 0 || !e.UsesSecrets() ||
			!slices.Equal(e.SecretNames(), names) {
			t.Fatal(found, e.SecretNames())
		}
		_, err := e.Eval(&expr.Env{Names: expr.Names{"secrets": map[string]any{"C": "c"}}})
		if err == nil || !strings.HasPrefix(err.Error(), "secret A is not set: set it in the environment") {
			t.Errorf("%s: %v", text, err)
		}
		if v, err := e.Eval(&expr.Env{Names: expr.Names{"secrets": map[string]any{"A": "a", "B": "b"}}}); err != nil || v != "ab"[:len(names)] {
			t.Errorf("%s: %v, %v", text, v, err)
		}
	}
}

// TestResultOfAPathIsData checks that the fast path for paths keeps times and refuses what is no data.
func TestResultOfAPathIsData(t *testing.T) {
	at := time.Unix(0, 0)
	e, err := expr.Compile("event.x", "event")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v    any
		want string
	}{{at, fmt.Sprint(at)}, {[]int{1}, "[1]"}, {make(chan int), "error"}, {nil, "<nil>"}} {
		v, err := e.Eval(&expr.Env{Names: expr.Names{"event": map[string]any{"x": c.v}}})
		if err != nil {
			var failed *expr.EvalError
			if c.want != "error" || !errors.As(err, &failed) || failed.Line != 1 || failed.Column != 1 || failed.Expr != "event.x" {
				t.Errorf("%T: %v", c.v, err)
			}
		} else if fmt.Sprint(v) != c.want {
			t.Errorf("%T: %v, want %s", c.v, v, c.want)
		}
	}
}

// TestEndOfAnExpressionIsFound checks where ${{ }} ends, whatever texts and brackets are in it.
func TestEndOfAnExpressionIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"a }} b": "2", "'}}' }}": "5", `"\"}}" }}`: "7", "`\\`}}": "3", "{a: {b: 1}} }}": "12", "f([1}]) }}": "8", "(}} )": "1",
		"f(a[0 }} ${{ b }}": "6",
		"a":                 "${{ is not closed: }} is missing",
		"'a }}":             "a text in this expression is not closed: ' is missing", "a } b }}": "6",
		"{{a: 1}}}}": "8", "": "${{ is not closed: }} is missing", "`a": "a text in this expression is not closed: ` is missing", "a }": "no",
	} {
		got, err := expr.End(text)
		s := fmt.Sprint(got)
		if err != nil {
			s = err.Error()
		}
		if s != want && (want != "no" || err == nil) {
			t.Errorf("%q: %s, want %s", text, s, want)
		}
	}
}

// TestFieldsThatAreReadAreFound checks AddFields for each kind of node that may hold a name: only these fields
// of a body are decoded.
func TestFieldsThatAreReadAreFound(t *testing.T) {
	const doc = `{"a":{"b":1,"y":2},"b":3,"c":4,"i":5,"j":6,"l":7,"m":8,"t":9}`
	part := func(e *expr.Expr) string {
		var set value.FieldSet
		e.AddFields(&set, "body")
		v, err := value.DecodePart([]byte(doc), &set)
		if err != nil {
			return err.Error()
		}
		b, err := value.EncodeJSON(v)
		if err != nil {
			return err.Error()
		}
		return strings.ReplaceAll(string(b), `"`, "")
	}
	for text, want := range map[string]string{
		"body.a.b": "{a:{b:1}}", "body?.a?.b ?? body.c": "{a:{b:1},c:4}", "body": "all", "body[x].y": "all",
		"body.a[body.i].y": "{a:{b:1,y:2},i:5}", "body.a[body.l][body.m]?.y ?? body.a[body.i]": "{a:{b:1,y:2},i:5,l:7,m:8}",
		"[body.b, {k: body.c, (body.i): 1}]": "{b:3,c:4,i:5}", "map(body.l, .x + body.m)": "{l:7,m:8}",
		"let x = body.a; x.y + body.c": "{a:{b:1,y:2},c:4}",
		"body.a.b ? body.b : body.c":   "{a:{b:1},b:3,c:4}", "body.t[body.i:body.j]": "{i:5,j:6,t:9}", "not body.b; -body.c": "{b:3,c:4}",
		"upper(body.b, body.c)": "{b:3,c:4}", "body.b |": "all", "other.body.b": "{}", "other": "{}", "body.b.Format(body.c)": "{b:3,c:4}",
		"len(body.b) > body.c": "{b:3,c:4}", `body["b"]`: "{b:3}", "body.a.none": "{a:{}}",
	} {
		if want == "all" {
			want = strings.ReplaceAll(doc, `"`, "")
		}
		if got := part(&expr.Expr{Text: text}); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := part(nil); got != "{}" || (*expr.Expr)(nil).Reads("body") || (*expr.Expr)(nil).ReadsKey("body", "a") {
		t.Errorf("no expression: %s", got)
	}
}

// TestTrustedExpressionIsCompiledWhenItIsEvaluated checks an expression whose types were checked before, and that
// one which is too long, or has too many parts, is not parsed.
func TestTrustedExpressionIsCompiledWhenItIsEvaluated(t *testing.T) {
	sc := &expr.Scope{Where: "a test", Names: stepNames()}
	names := expr.Names{"event": map[string]any{"data": map[string]any{"n": 5}}, "vars": map[string]any{"rate": 2}}
	for text, want := range map[string]string{
		"event.data.n * vars.rate": "10 <nil>", "event.data.n": "5 <nil>",
		"event.data.n | unknown_method.x()": "<nil> none",
		"event.key + 1":                     "<nil> + cannot add nil and a number; use string(…) or ${{ }} in text (in event.key + 1)",
	} {
		e := &expr.Expr{Text: text}
		found := e.Trust(sc)
		if !e.Compiled() {
			if want != "<nil> none" || len(found) == 0 {
				t.Errorf("%s: %v", text, found)
			}
			continue
		}
		for range 2 { // the second time, it is compiled
			v, err := e.Eval(&expr.Env{Names: names})
			if got := fmt.Sprint(v, " ", err); got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
		}
	}
	for want, text := range map[string]string{
		"too-large 0-1 the expression is longer than 32 KiB":             "'" + strings.Repeat("x", 32<<10) + "'",
		"too-large 30002-30003 the expression has more than 10000 parts": "[" + strings.Repeat("1, ", 10_003) + "1]",
	} {
		e := &expr.Expr{Text: text}
		found := e.Check(sc, reflect.Invalid)
		if len(found) != 1 || e.Compiled() || len(e.Trust(sc)) != 1 {
			t.Errorf("%.20s: %v", text, found)
			continue
		}
		if got := fmt.Sprintf("%s %d-%d %s", found[0].Code, found[0].From, found[0].To, found[0].Problem); got != want {
			t.Errorf("%.20s: %s, want %s", text, got, want)
		}
	}
	if _, err := expr.Compile("'" + strings.Repeat("x", 32<<10) + "'"); err == nil || !strings.Contains(err.Error(), "longer than 32 KiB") {
		t.Errorf("a long text: %v", err)
	}
	if e, err := expr.Compile("'" + strings.Repeat("x", 32<<10-2) + "'"); err != nil || len(e.Text) != 32<<10 {
		t.Errorf("the longest text: %v", err)
	}
}

func scopeNames(n expr.Names) (out []string) {
	for k := range n {
		out = append(out, k)
	}
	return out
}
