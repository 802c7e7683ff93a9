package backtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// replaced returns text with one replacement, which must be possible.
func replaced(t *testing.T, text, from, to string) string {
	t.Helper()
	out := strings.Replace(text, from, to, 1)
	if out == text && from != to {
		t.Fatalf("%q is not in it", from)
	}
	return out
}

const reader = `connector: shop
base_url: https://shop.example.com
errors:
  message: response.body.error
  wait: [{status: 429, after: response.body.after}]
  retry: [{status: 500-599, body: response.body.busy, code: busy, message: "try later"}]
  permanent: [{status: 404, code: gone}]
actions:
  get:
    request: {method: GET, path: /things, parse: json}
    already: [{when: "response.status == 409", output: {id: "${{ response.body.id }}"}}]
    fail: [{when: "!response.body.ok", code: refused, message: "no", retryable: false}]
    output: {id: "${{ response.body.id }}"}
  list:
    request: {method: GET, path: /things}
    pages: {offset: {query: start}, size: 10, items: response.body.list, total: response.body.total, max: 4, max_items: 50}
`

// called returns a call of an action of a connector file.
func called(t *testing.T, text, action string) *call {
	t.Helper()
	c, err := workflows.ParseConnector("connectors/shop.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(c.Actions, func(a *workflows.ConnectorAction) bool { return a.Name == action })
	if i < 0 {
		t.Fatalf("there is no action %s", action)
	}
	return &call{action: "shop/" + action, step: &workflows.Step{Spec: &workflows.ActionSpec{Connector: c, Action: c.Actions[i]}}}
}

// TestResponsesAreReadDifferentlyAfterAnEditOfAnyRule edits each rule by which a connector reads a response.
func TestResponsesAreReadDifferentlyAfterAnEditOfAnyRule(t *testing.T) {
	const succeeded, failed, both, never = 1, 2, 3, 0
	for _, x := range []struct {
		action, from, to string
		differs          int
	}{
		{"get", "/things", "/other", never},
		{"get", "parse: json", "parse: text", both},
		{"get", "    output: {id", "    output: {name", both},
		{"get", "    output: {id: \"${{ response.body.id }}\"}\n", "", both},
		{"get", "response.status == 409", "response.status == 410", both},
		{"get", "output: {id: \"${{ response.body.id }}\"}}]", "output: {id: 1}}]", both},
		{"get", "    already: [{when: \"response.status == 409\", output: {id: \"${{ response.body.id }}\"}}]\n", "", both},
		{"get", "!response.body.ok", "!response.body.fine", both},
		{"get", "code: refused", "code: other", both},
		{"get", "message: \"no\"", "message: \"not\"", both},
		{"get", "retryable: false", "retryable: true", both},
		{"list", "items: response.body.list", "items: response.body.items", both},
		{"list", "total: response.body.total", "total: response.body.count", both},
		{"list", ", total: response.body.total", "", both},
		{"list", "max: 4", "max: 5", both},
		{"list", "max_items: 50", "max_items: 51", both},
		{"get", "message: response.body.error\n", "message: response.body.text\n", failed},
		{"get", "status: 429", "status: 428", failed},
		{"get", "after: response.body.after", "after: response.body.wait", failed},
		{"get", "status: 500-599", "status: 503", failed},
		{"get", "body: response.body.busy", "body: response.body.full", failed},
		{"get", "code: busy", "code: full", failed},
		{"get", "try later", "try again", failed},
		{"get", "code: gone", "code: away", failed},
		{"get", "  permanent: [{status: 404, code: gone}]\n", "", failed},
		{"get", "errors:\n  message: response.body.error\n  wait: [{status: 429, after: response.body.after}]\n" +
			"  retry: [{status: 500-599, body: response.body.busy, code: busy, message: \"try later\"}]\n" +
			"  permanent: [{status: 404, code: gone}]\n", "", failed},
	} {
		b, c := called(t, reader, x.action), called(t, replaced(t, reader, x.from, x.to), x.action)
		for _, fail := range []bool{false, true} {
			want := x.differs&succeeded != 0
			if fail {
				want = x.differs&failed != 0
			}
			if readsDifferently(b, c, fail) != want || readsDifferently(c, b, fail) != want {
				t.Errorf("%s -> %s, failed %v: %v", x.from, x.to, fail, !want)
			}
		}
	}
	get, list := called(t, reader, "get"), called(t, reader+"# new\n", "get")
	list.action = "shop/list"
	if readsDifferently(get, called(t, reader, "list"), false) || readsDifferently(get, list, false) ||
		readsDifferently(&call{action: "shop/get"}, get, false) || readsDifferently(get, &call{action: "shop/get"}, false) ||
		readsDifferently(get, &call{action: "shop/get", step: &workflows.Step{}}, false) {
		t.Error("calls of one text, of two actions, or of no connector are read differently")
	}
}

const limited = `on: hook
when: [event.data.a == 1, event.data.b == 1]
concurrency: {limit: 1, on_full: queue, max_queue: 9, group: "${{ event.data.g }}", stale: event.data.at}
rate: {limit: 1, per: 1h, on_full: queue, group: "${{ event.data.r }}"}
GATHER
steps: [{set: {x: 1}}]
`

// workflowOf loads a workflow.
func workflowOf(t *testing.T, text string) *workflows.Workflow {
	t.Helper()
	p := projecttest.Load(t, map[string]string{"workflows/w.yaml": text, "hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none}}\n" +
		"  other: {webhook: {auth: none}}\n"}, workflows.Catalog{})
	return p.Workflows["w"]
}

// TestStreamsAreAlikeUnlessARuleIsEdited edits each setting that decides which events run, share a run, or wait.
func TestStreamsAreAlikeUnlessARuleIsEdited(t *testing.T) {
	const flow, gathering, rule, none = 1, 2, 4, 0
	plain := replaced(t, limited, "GATHER\n", "")
	debounce := replaced(t, limited, "GATHER", "debounce: {wait: 10s, max: 1m, key: [event.data.a, event.data.b]}")
	batch := replaced(t, limited, "GATHER", "batch: {wait: 10s, size: 5, key: event.data.a}")
	for _, x := range []struct {
		text, from, to string
		differs        int
	}{
		{plain, "{x: 1}", "{x: 2}", none},
		{plain, "a == 1", "a == 2", rule},
		{plain, ", event.data.b == 1", "", rule},
		{plain, "on: hook\n", "on: hook\nenabled: false\n", rule},
		{plain, "on: hook\n", "on: other\n", rule},
		{plain, "on: hook\n", "on: [hook, other]\n", rule},
		{plain, "on: hook\n", "on: [hook, call]\n", rule},
		{plain, "on: hook\n", "on: {hook: {events: [a]}}\n", rule},
		{plain, "limit: 1, on_full: queue, max", "limit: 2, on_full: queue, max", flow},
		{plain, "queue, max_queue: 9", "drop", flow},
		{plain, "max_queue: 9", "max_queue: 8", flow},
		{plain, "event.data.g", "event.data.h", flow},
		{plain, ", stale: event.data.at", "", flow},
		{plain, "event.data.at", "event.data.time", flow},
		{plain, "limit: 1, per", "limit: 2, per", flow},
		{plain, "per: 1h", "per: 2h", flow},
		{plain, "per: 1h, on_full: queue", "per: 1h, on_full: drop", flow},
		{plain, "event.data.r", "event.data.s", flow},
		{plain, "rate: {limit: 1, per: 1h, on_full: queue, group: \"${{ event.data.r }}\"}\n", "", flow},
		{plain, "concurrency: {limit: 1, on_full: queue, max_queue: 9, group: \"${{ event.data.g }}\", stale: event.data.at}\n", "", flow},
		{debounce, "wait: 10s", "wait: 11s", gathering},
		{debounce, "max: 1m", "max: 2m", gathering},
		{debounce, "[event.data.a, event.data.b]", "[event.data.a]", gathering},
		{debounce, "debounce: {wait: 10s, max: 1m, key: [event.data.a, event.data.b]}\n", "", gathering},
		{debounce, "debounce: {wait: 10s, max: 1m, key: [event.data.a, event.data.b]}\n", "batch: {wait: 10s, size: 5}\n", gathering},
		{batch, "size: 5", "size: 6", gathering},
	} {
		a, b := workflowOf(t, x.text), workflowOf(t, replaced(t, x.text, x.from, x.to))
		for _, pair := range [][2]*workflows.Workflow{{a, b}, {b, a}} {
			got := 0
			for i, same := range []bool{sameFlow(pair[0], pair[1]), sameGathering(pair[0], pair[1]), sameRule(pair[0], pair[1])} {
				if !same {
					got |= 1 << i
				}
			}
			if got != x.differs || alike(pair[0], pair[1]) != (got == 0) || alike(pair[0], nil) || alike(nil, pair[0]) {
				t.Errorf("%s -> %s: %d, want %d", x.from, x.to, got, x.differs)
			}
		}
	}
}

// TestEndsAreTheSameIfTheirListenersGetTheSame compares two ends that differ in one field.
func TestEndsAreTheSameIfTheirListenersGetTheSame(t *testing.T) {
	end := func(edit func(*plan.End)) *plan.End {
		e := &plan.End{Status: "failed", Output: map[string]any{"x": 1}, Error: &plan.Error{Code: "c", Message: "m", Step: "s", Status: 500}}
		edit(e)
		return e
	}
	nothing := func(*plan.End) {}
	for name, x := range map[string]struct {
		edit func(*plan.End)
		same bool
	}{
		"nothing":   {nothing, true},
		"as number": {func(e *plan.End) { e.Output = map[string]any{"x": 1.0} }, true},
		"http":      {func(e *plan.End) { e.Error.Status = 501 }, true},
		"status":    {func(e *plan.End) { e.Status = "timed_out" }, false},
		"output":    {func(e *plan.End) { e.Output = map[string]any{"x": 2} }, false},
		"no error":  {func(e *plan.End) { e.Error = nil }, false},
		"code":      {func(e *plan.End) { e.Error.Code = "d" }, false},
		"message":   {func(e *plan.End) { e.Error.Message = "n" }, false},
		"step":      {func(e *plan.End) { e.Error.Step = "t" }, false},
	} {
		a, b := end(nothing), end(x.edit)
		if sameEnd(a, b) != x.same || sameEnd(b, a) != x.same {
			t.Errorf("%s: %v", name, !x.same)
		}
	}
	ok := &plan.End{Status: "succeeded"}
	if !sameEnd(ok, &plan.End{Status: "succeeded"}) || sameEnd(nil, ok) || sameEnd(ok, nil) {
		t.Error("ends without an error, and a missing end")
	}
}
