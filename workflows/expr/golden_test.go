package expr_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// golden compares a golden file with what show says about each expression in it. Lines that begin
// with a tab are what show says of the line before; those that begin with == name the section.
// ⏎ in an expression is a line feed.
func golden(t *testing.T, name string, show func(section, text string) string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	section := ""
	for line := range strings.Lines(string(want)) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		got.WriteString(line)
		line = strings.TrimSuffix(line, "\n")
		if s, is := strings.CutPrefix(line, "== "); is {
			section = s
			continue
		}
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		for said := range strings.Lines(show(section, strings.ReplaceAll(line, "⏎", "\n"))) {
			got.WriteString("\t" + strings.TrimSuffix(said, "\n") + "\n")
		}
	}
	testgolden.Compare(t, name+".golden", got.String())
}

// findings returns all that Check finds in a text, and what the expression reads if it has no error.
func findings(text string, sc *expr.Scope, want reflect.Kind, names expr.Names) string {
	var out strings.Builder
	e, failed := &expr.Expr{Text: text}, false
	checked := e.Check(sc, want)
	for _, f := range checked {
		kind := "warning"
		if !f.Warning {
			kind, failed = "error", true
		}
		fmt.Fprintf(&out, "%s %s %d-%d: %s | %s\n", kind, f.Code, f.From, f.To, f.Problem, strings.ReplaceAll(f.Hint, "\n", "⏎"))
	}
	values := e.Values(names)
	if len(values) > 0 {
		out.WriteString("reads")
		for _, k := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(&out, " %s=%v", k, values[k])
		}
		out.WriteString("\n")
	}
	if e.UsesSecrets() {
		fmt.Fprintf(&out, "secrets %s\n", strings.Join(e.SecretNames(), " "))
	}
	if e.Compiled() == failed {
		fmt.Fprintf(&out, "compiled: %t\n", e.Compiled())
	}
	trusted := &expr.Expr{Text: text}
	found := trusted.Trust(sc)
	if !failed && want == reflect.Invalid && (!slices.Equal(withoutTypes(checked), found) || !trusted.Compiled() ||
		!reflect.DeepEqual(trusted.Values(names), values)) {
		fmt.Fprintf(&out, "if its types are trusted: %v %v\n", found, trusted.Compiled())
	}
	if out.Len() == 0 {
		return "fine"
	}
	return out.String()
}

// withoutTypes leaves out what only the check of types finds.
func withoutTypes(list []expr.Finding) []expr.Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f expr.Finding) bool { return strings.HasPrefix(f.Problem, "unknown field ") })
}

// stepNames are names as they are at a step.
func stepNames() types.Map {
	step := func(output types.Type) types.Map {
		m := expr.StepType()
		m["output"] = output
		return m
	}
	response := types.Map{"status": expr.Int, "headers": expr.AnyMap, "body": expr.Any}
	return types.Map{
		"event": expr.EventType(expr.Any),
		"inputs": types.Map{"name": expr.InputType("string"), "count": expr.InputType("integer"), "on": expr.InputType("boolean"),
			"list": expr.InputType("list")},
		"vars": types.Map{"rate": expr.Any, "total_sum": expr.Any},
		"steps": types.Map{"fetch": step(response), "maybe": step(expr.Any), "each": step(expr.ListOf(response)),
			"saved":  step(types.Map{"path": expr.String, "sha256": expr.String, "status": expr.Int}),
			"waited": step(types.Map{"data": expr.Any, "received_at": expr.Any, "key": expr.String})},
		"run": expr.RunType(), "secrets": expr.AnySecret,
	}
}

// scopes are the positions of expressions in findings.golden.
func scopes() map[string]*expr.Scope {
	step := &expr.Scope{Where: "a step", Names: stepNames(), MaybeNil: map[string]bool{"maybe": true},
		HiddenSteps: map[string]string{"later": "it runs after this step"}, LaterVars: map[string]int{"soon": 7}}
	lenient := step.In("an old step")
	lenient.Lenient = true
	finally := step.In("finally")
	finally.Names["error"] = expr.ErrorType()
	finally.Names["run"].(types.Map)["status"] = expr.String
	finally.MaybeNil[expr.NoError] = true
	hint := step.In("a hinted place")
	hint.Hint = func(name string) string {
		if name == "special" {
			return "ask for it"
		}
		return ""
	}
	response := types.Map{"cursor": expr.Any,
		"response": types.Map{"status": expr.Int, "headers": expr.AnyMap, "body": expr.Any, "url": expr.String}}
	poll := &expr.Scope{Where: "a poll", Names: response}
	sampled := step.In("a sampled step")
	sampled.Sampled = maps.Clone(sampled.Names)
	sampled.Sampled["event"] = expr.EventType(expr.SampleType(sampleData))
	return map[string]*expr.Scope{
		"rule": {Where: "when", Names: types.Map{"event": expr.EventType(expr.Any)}}, "step": step, "lenient": lenient, "finally": finally,
		"hint": hint, "poll": poll, "item": poll.With("item", expr.Any), "sampled": sampled, "none": {Where: "vars", Names: types.Map{}},
		"trigger": {Where: "a trigger", Names: types.Map{"body": expr.Any, "headers": expr.AnyMap, "query": expr.AnyMap, "raw": expr.String}},
		"connection": {Where: "a connection", Names: types.Map{
			"connection": types.Map{"region": expr.String, "token": expr.String}, "response": response["response"]}},
		"own samples":     sampledBy(&expr.Samples{Own: true}),
		"provider":        sampledBy(&expr.Samples{Nested: true}),
		"flat provider":   sampledBy(&expr.Samples{}),
		"no samples":      {Where: "when", Names: stepNames(), Samples: &expr.Samples{}},
		"recorded":        recordedBy(6, "event.data.guarded != nil", "event.data.optional?.x == 1"),
		"few recorded":    recordedBy(4),
		"enough recorded": recordedBy(5),
		"condition":       step,
		"bare": {Where: "a step", Names: types.Map{"event": expr.EventType(expr.Any), "vars": types.Map{}, "inputs": types.Map{},
			"steps": types.Map{}}},
		"recorded lenient": lenient,
	}
}

// sampleData is the event.data of a sample.
var sampleData = map[string]any{"order": map[string]any{"id": "o_1", "total": 5, "lines": []any{map[string]any{"sku": "K", "quantity": 1}},
	"customer": map[string]any{"email": "a@b", "address": map[string]any{"city": "Bonn", "line1": "x"}}},
	"created_at": "2026-01-01", "tags": []any{}, "note": nil, "wrapped": map[string]any{"inner": map[string]any{"payload": map[string]any{
		"depth4": map[string]any{"depth5": map[string]any{"bottom": 1}}, "amount_due": 1}}}}

// sampledBy returns a scope with samples.
func sampledBy(k *expr.Samples) *expr.Scope {
	k.Add("nothing", "no object")
	k.Add("the sample", sampleData)
	k.Add("another", map[string]any{"order": map[string]any{"id": "o_2", "coupon": "C"}, "note": "n"})
	return &expr.Scope{Where: "when", Names: stepNames(), Samples: k}
}

// recordedBy returns a scope with recorded events, the first of which lack some fields.
func recordedBy(n int, guards ...string) *expr.Scope {
	r := &expr.Recorded{Trigger: "orders", Guards: guards}
	for i := range n {
		data := map[string]any{"n": i, "text": "t", "flag": true, "list": []any{1}, "object": map[string]any{"x": 1}, "mixed": any(i),
			"id": "7", "never": nil}
		if i%2 == 0 {
			data["mixed"] = "m"
		}
		if i > 1 {
			maps.Copy(data, map[string]any{"guarded": 1, "optional": map[string]any{"x": 1}, "sometimes": 1, "words": "w", "flags": true,
				"lists": []any{}, "deep": map[string]any{"inner": map[string]any{"v": 1}}})
		}
		r.Data = append(r.Data, data)
	}
	return &expr.Scope{Where: "when", Names: stepNames(), Samples: &expr.Samples{Recorded: r}}
}

// TestFindingsOfExpressionsAreThoseOfTheGoldenFile checks everything that validate says about an expression at
// each position: the kind, the place, the problem, the advice, and what the expression reads.
func TestFindingsOfExpressionsAreThoseOfTheGoldenFile(t *testing.T) {
	names := expr.Names{
		"event": map[string]any{"key": "k", "type": "paid", "data": map[string]any{"text": "t", "long": strings.Repeat("x", 201),
			"list": []any{1, 2}, "order": map[string]any{"id": 7}}},
		"vars": map[string]any{"rate": 2}, "steps": map[string]any{"fetch": map[string]any{"output": map[string]any{"status": 200}}},
		"inputs": map[string]any{"name": "n"}, "error": map[string]any{"code": "timeout"},
	}
	all := scopes()
	golden(t, "findings", func(section, text string) string {
		want := reflect.Invalid
		if section == "condition" || section == "rule" || strings.Contains(section, "recorded") {
			want = reflect.Bool
		}
		sc := all[section]
		if sc == nil {
			t.Fatalf("no scope %q", section)
		}
		return findings(text, sc, want, names)
	})
}

// TestValuesOfExpressionsAreThoseOfTheGoldenFile checks the value of expressions, the message of those that
// fail, and what they cost: a workflow that stays within the limits in one version does so in the next.
func TestValuesOfExpressionsAreThoseOfTheGoldenFile(t *testing.T) {
	env := valueEnv(t)
	golden(t, "values", func(_, text string) string {
		x, err := expr.Explain(text, env)
		if err != nil {
			return "no expression: " + strings.ReplaceAll(err.Error(), "\n", "⏎")
		}
		p := x.Parts[0]
		cost := fmt.Sprintf(" [%d steps, %d bytes]", x.Cost.Steps, x.Cost.Bytes)
		if p.Problem != "" {
			return "fails: " + strings.ReplaceAll(p.Problem, "\n", "⏎") + cost
		}
		b, err := value.EncodeJSON(p.Value)
		if err != nil {
			b = []byte(err.Error())
		}
		return fmt.Sprintf("%s (%s)%s", value.Clip(string(b), 200), p.Type, cost)
	})
}

// TestPartsOfExpressionsAreThoseOfTheGoldenFile checks what hookloom eval shows of an expression, or of a text
// with several.
func TestPartsOfExpressionsAreThoseOfTheGoldenFile(t *testing.T) {
	env := valueEnv(t)
	golden(t, "parts", func(_, text string) string {
		e, err := expr.Evaluate(text, env)
		if err != nil {
			return "no expression: " + strings.ReplaceAll(err.Error(), "\n", "⏎")
		}
		var out strings.Builder
		fmt.Fprintf(&out, "= %s (%s) %s\n", value.Clip(fmt.Sprint(e.Value), 80), e.Type, strings.ReplaceAll(e.Problem, "\n", "⏎"))
		for _, one := range e.Expressions {
			fmt.Fprintf(&out, "%s [at most %d steps, %d bytes]\n", one.Expression, one.Cost.MaxSteps, one.Cost.MaxBytes)
			for _, p := range one.Parts {
				fmt.Fprintf(&out, "%d %s = %s (%s) %s\n", p.Depth, p.Text, value.Clip(fmt.Sprint(p.Value), 80), p.Type,
					strings.ReplaceAll(p.Problem, "\n", "⏎"))
			}
		}
		return out.String()
	})
}

// valueEnv is the environment of values.golden.
func valueEnv(t testing.TB) *expr.Env {
	long := strings.Repeat("abcdefghi ", 100)
	return &expr.Env{Now: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), Seed: "seed", Names: expr.Names{
		"event": data(t, `{"key": "k", "headers": {"x-type": "paid"}, "data": {"n": null, "i": 7, "f": 1.5, "t": "text", "b": true,
			"l": [3, 1, 2], "o": {"a": 1, "b": "x"}, "big": 12345678901234567890123, "low": -9223372036854775808,
			"max": 9223372036854775807, "exact": 9007199254740993, "words": ["b", "a", "c"], "mixed": [2, 1.5, 3], "whole": 1e300,
			"items": [{"n": 2, "s": "b"}, {"n": 1, "s": "a"}], "bigs": [12345678901234567890123, 1, 2.5]}}`),
		"long": long, "other": long[:999] + "!", "wide": map[string]any{"field1": 1, "field2": long}, "texts": []any{long, long[:500], "a"},
		"at": time.Date(2026, 4, 30, 0, 0, 0, 0, time.UTC), "span": time.Hour, "vars": map[string]any{"rate": 2}, "ints": []int{3, 1},
		"strings": []string{"b", "a"}, "byte": uint8(7), "single": float32(1.5), "unsigned": uint64(1 << 63),
	}}
}
