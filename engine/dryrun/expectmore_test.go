package dryrun_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// expecting is a workflow whose output is the event's data.
const expecting = `on: hook
steps:
  - {id: a, uses: http/post, with: {url: https://a.example.com, body: {x: 1, y: [1, 2]}}, continue_on_error: true}
  - {id: b, if: event.data.fail == true, fail: "no more: ${{ event.data.n }}"}
output: ${{ event.data.out }}
`

// TestEachDifferenceIsShownWithItsPath checks the exact text of failed tests, for each kind of value and
// expectation.
func TestEachDifferenceIsShownWithItsPath(t *testing.T) {
	long := strings.Repeat("é", 298)
	out := func(v string) string { return "event: {body: {id: e, out: " + v + "}}, expect: {output: " }
	failing := "event: {body: {id: e, n: 4, fail: true}}, expect: {status: failed, error: "
	for _, c := range []struct{ test, want string }{
		{out("{a: 1, b: {c: [1, 2]}}") + "{a: 1, b: {c: [1, 2]}}}", ""},
		{out("{a: 1, b: {c: [1, 2]}}") + "{a: 1, b: {c: [1, 3]}}}", "output: b.c[1]: wanted 3, got 2"},
		{out("{a: 1, b: {c: [1, 2]}}") + "{a: 1, b: {c: [1]}}}", "output: b.c: wanted [1], got [1,2]"},
		{out("{a: 1, b: {c: [1, 2]}}") + "{a: 1, b: {c: 1}}}", "output: b.c: wanted 1, got [1,2]"},
		{out("{a: 1, b: {c: 1}}") + "{a: 1, b: {c: [1]}}}", "output: b.c: wanted [1], got 1"},
		{out("{a: 1, b: {c: 1}}") + "{a: 1}}", `output: b: wanted nothing, got {"c":1}`},
		{out("{a: 1, b: {c: 1}}") + "{a: 1, b: {}}}", `output: b.c: wanted nothing, got 1`},
		{out("{a: 1}") + "{a: 1, b: {c: 1}}}", `output: b: wanted {"c":1}, got nothing`},
		{out("{a: 1, b: {}}") + "{a: 1, b: {c: 1}}}", `output: b.c: wanted 1, got nothing`},
		{out("{a: 1}") + "{a: 1, b: null}}", ""},
		{out("{a: 1}") + "5}", `output: wanted 5, got {"a":1}`},
		{out("5") + "{a: 1}}", `output: wanted {"a":1}, got 5`},
		{out("5") + "[5]}", `output: wanted [5], got 5`},
		{out("[5, x, null, true]") + "[5.0, x, null, true]}", ""},
		{out("null") + "null}", ""},
		{out("x") + "null}", `output: wanted null, got "x"`},
		{out("x") + `"` + long + `"}`, `output: wanted "` + long + `", got "x"`},
		{out("x") + `"` + long + `é"}`, `output: wanted "` + long + `…, got "x"`},
		{"event: {body: {id: e}}, expect: {calls: {a: {body: {x: 1}}}}", ""},
		{"event: {body: {id: e}}, expect: {calls: {a: {body: {y: [1, 3]}}}}", "calls.a: body.y[1]: wanted 3, got 2"},
		{"event: {body: {id: e}}, expect: {calls: {a: [{body: {x: 2}}]}}", "calls.a: call 1: body.x: wanted 2, got 1"},
		{"event: {body: {id: e}}, expect: {calls: {b: {x: 2}}}", "calls.b: the step was not called"},
		{"event: {body: {id: e}}, expect: {assert: [\"output > 3\"]}", "assert.0: "},
		{"event: {body: {id: e}}, expect: {assert: [\"event.key == 'e'\", \"event.key == 'f'\"]}",
			`assert.1: false: event.key == 'f', with {"event.key":"e"}`},
		{"event: {body: {id: e}}, expect: {attempts: {a: 1, b: 1}}", "attempts.b: wanted 1, got 0"},
		{"event: {body: {id: e}}, mock: {a: {error: {}}}, expect: {steps: {a: succeeded}}", "steps.a: wanted succeeded, got failed"},
		{failing + "no more}", ""},
		{failing + "no less}", `error: wanted a message with "no less", got "no more: 4"`},
		{failing + "{message: more, code: fail, step: b, attempts: 1, retryable: false}}", ""},
		{failing + "{message: less}}", `error: message: wanted "less", got "no more: 4"`},
		{failing + "{code: network}}", `error: code: wanted "network", got "fail"`},
		{failing + "5}", "error: write a text, or a map of step, code, status, message"},
	} {
		p := project(t, map[string]string{"w": expecting + "tests:\n  - {name: x, " + c.test + "}\n"})
		tests, mistakes := p.LoadTests()
		if len(tests) != 1 {
			t.Errorf("%s: %v", c.test, mistakes)
			continue
		}
		said := dryrun.Test(p, tests[0])
		text := strings.Join(said, "\n")
		if i := strings.Index(text, ": expect."); i >= 0 {
			text = text[i+len(": expect."):]
		}
		if text != c.want && (c.want != "assert.0: " || !strings.HasPrefix(text, c.want) || strings.HasPrefix(text, "assert.0: false")) {
			t.Errorf("%s:\n got %s\nwant %s", c.test, text, c.want)
		}
	}
}

// TestStoredValuesBehaveAsInTheStore runs actions of the key-value store, which see each other's values in one dry run.
func TestStoredValuesBehaveAsInTheStore(t *testing.T) {
	set := func(key, value string) string {
		return "{uses: store/set, with: {key: " + key + ", value: " + value + "}}, "
	}
	last := func(action, with string) string {
		return "{id: r, uses: store/" + action + ", with: {" + with + "}, retry: 0, continue_on_error: true}]\n"
	}
	for _, c := range []struct{ steps, want string }{
		{last("get", "key: x"), "nil"}, {last("get", "key: x, default: 4"), "4"}, {set("x", "[1]") + last("get", "key: x, default: 4"),
			"[1]"},
		{set("x", "1") + last("get", "key: y, default: 4"), "4"}, {set("x", "1") + last("get", "key: x, scope: project"), "nil"},
		{"{uses: store/set, with: {key: x, value: 7, scope: project}}, " + last("get", "key: x, scope: project"), "7"},
		{"{uses: store/set, with: {key: x, value: 7, scope: project}}, " + last("get", "key: x"), "nil"},
		{set("x", "1") + last("set", "key: x, value: 2"), "2"}, {set("x", "1") + last("delete", "key: x"), "1"}, {last("delete",
			"key: x"), "nil"},
		{set("x", "1") + "{uses: store/delete, with: {key: x}}, " + last("get", "key: x"), "nil"},
		{last("increment", "key: x"), "1"}, {set("x", "5") + last("increment", "key: x, by: 3"), "8"},
		{set("x", "a") + last("increment", "key: x"), "failed"}, {last("set", "key: '', value: 1"), "failed"},
		{"{uses: store/set, with: {key: x, value: a}, retry: 0}, {id: s, call: sub}, {id: r, set: {v: \"${{ steps.s.output }}\"}}]\n",
			"map[v:nil]"},
		{"{uses: store/set, with: {key: x, value: a, scope: project}}, {id: s, call: sub}, " +
			"{id: r, uses: store/get, with: {key: x, scope: project}}]\n", "b"},
	} {
		p := project(t,
			map[string]string{"w": "on: hook\nsteps: [" + c.steps + "output: \"${{ steps.r.status == 'failed' ? 'failed' : steps.r.output }}\"\n",
				"sub": "on: call\nsteps: [{id: g, uses: store/get, with: {key: x}}, {uses: store/set, with: {key: x, value: b, scope: project}}]\n" +
					"output: ${{ steps.g.output }}\n"})
		got := run(t, request(p, nil))
		if text := strings.ReplaceAll(fmt.Sprint(got.Output), "<nil>", "nil"); text != c.want {
			t.Errorf("%s: %s %v, want %s", c.steps, text, got.Error, c.want)
		}
	}
}

// TestADryRunThatCannotEndSaysWhy checks inputs that do not fit, calls that cannot be made, and outputs that cannot be evaluated.
func TestADryRunThatCannotEndSaysWhy(t *testing.T) {
	sub := "on: call\ninputs: {n: {type: number, required: true}}\nwhen: inputs.n > 0\nsteps: [{uses: log, with: {message: hi}}]\noutput: 3\n"
	for name, c := range map[string]struct {
		steps string
		reply map[string]*dryrun.Reply
		want  string
	}{
		"output of an action": {"{id: r, uses: http/get, with: {url: 'https://a.example.com'}, output: '${{ result.body.gone.deeper }}'}",
			map[string]*dryrun.Reply{"r": {Output: map[string]any{"body": map[string]any{}}}}, "expression"},
		"output of a call": {"{id: r, call: sub, with: {n: 1}, output: '${{ result.gone.deeper }}'}", nil, "expression"},
		"a call":           {"{id: r, call: sub, with: {n: 1}, output: '${{ result + 1 }}'}", nil, "4"},
		"an input":         {"{id: r, call: sub, with: {n: \"${{ event.data.n }}\"}}", nil, "call_failed"},
		"its rule":         {"{id: r, call: sub, with: {n: -1}}", nil, "<nil>"},
		"detached":         {"{id: r, call: sub, with: {n: 1}, detach: true}", nil, "map[event:evt_0000000000000001]"},
		"detached, failed": {"{id: r, call: sub, with: {n: 1}, detach: true}",
			map[string]*dryrun.Reply{"r": {Err: &plan.Error{Message: "no", Code: "mine"}}}, "mine"},
		"no example": {"{id: r, uses: log, with: {message: hi}}", nil, "<nil>"},
		"a rejection": {"{id: r, wait: {approval: go}}", map[string]*dryrun.Reply{"r": {Output: map[string]any{"approved": false,
			"by": "ada"}}},
			"rejected"},
		"an event": {"{id: r, wait: {event: back, key: x}}", map[string]*dryrun.Reply{"r": {Output: 5}}, "5"},
		"another index": {"{id: r, wait: {any: [{event: back, key: a}, {event: back, key: b}]}}",
			map[string]*dryrun.Reply{"r": {Output: map[string]any{"index": 7}}}, "map[index:0 kind:event]"},
	} {
		p := project(t, map[string]string{"sub": sub, "w": "on: hook\nsteps: [" + strings.TrimSuffix(c.steps,
			"}") + ", continue_on_error: true}]\n" +
			"output: \"${{ steps.r.error?.code ?? steps.r.output }}\"\n"})
		r := request(p, map[string]any{"n": "x"})
		r.Answer = func(call dryrun.Call, _ int) *dryrun.Reply { return c.reply[call.ID] }
		if got := run(t, r); fmt.Sprint(got.Output) != c.want {
			t.Errorf("%s: %v %v, want %s", name, got.Output, got.Error, c.want)
		}
	}
	p := project(t, map[string]string{"w": strings.Replace(strings.Replace(sub, "when: inputs.n > 0\n", "", 1), "on: call",
		"on: manual", 1)})
	r := request(p, nil)
	r.Event.Inlet, r.Event.Inputs = workflows.InletManual, map[string]any{"n": "x"}
	if got, err := dryrun.Run(r); err == nil || !strings.HasPrefix(err.Error(), "w: ") {
		t.Errorf("an input of another type: %+v %v", got, err)
	}
	r = request(p, nil)
	r.Event.Locked = errors.New("no key")
	if got := run(t, r); got.Decision.Outcome != engine.RuleFailed {
		t.Errorf("an event that cannot be read: %+v", got.Decision)
	}
}
