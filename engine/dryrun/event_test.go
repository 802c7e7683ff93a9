package dryrun_test

import (
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// TestEventOfATestHasTheFormOfItsInlet checks the inlet, type and data of events that a test describes in
// part: of a webhook, a poll, a schedule, a person, a caller, and the end of a run.
func TestEventOfATestHasTheFormOfItsInlet(t *testing.T) {
	const expect = "expect: {output: "
	for name, c := range map[string]struct{ on, test, want string }{
		"webhook":               {"hook", "event: {body: {id: k, n: 1}}", "webhook hook 1"},
		"its accepted type":     {"{hook: {events: ['a.*', paid]}}", "event: {body: {id: k, n: 1}}", "webhook paid 1"},
		"accepted at the inlet": {"typed", "event: {body: {n: 1}}", "webhook sold 1"},
		"a type of its own":     {"{hook: {events: [paid, sent]}}", "event: {type: sent, body: {id: k, n: 1}}", "webhook sent 1"},
		"poll":                  {"polled", "event: {body: {id: k, data: {n: 1}}}", "poll polled 1"},
		"poll of an empty item": {"polled", "event: {}", "poll polled none"},
		"poll, of two inlets":   {"both", "event: {inlet: poll, body: {id: k, n: 1}}", "poll both 1"},
		"webhook, of two":       {"both", "event: {body: {id: k, n: 1}}", "webhook sold 1"},
		"emit":                  {"told", "event: {body: {n: 1}}", "emit told 1"},
		"schedule":              {"nightly", "event: {}", "schedule schedule none"},
		"manual":                {"manual", "inputs: {n: 1}", "manual manual 1"},
		"call":                  {"call", "inputs: {n: 1}", "call call 1"},
		"end of a run":          {"{workflow_run: {workflows: [sub], status: [failed]}}", "event: {}", "workflow_run workflow_run.failed none"},
		"a status of its own": {"{workflow_run: {workflows: [sub]}}", "event: {data: {status: succeeded}}",
			"workflow_run workflow_run.succeeded none"},
	} {
		inputs := ""
		if c.on == "manual" || c.on == "call" {
			inputs = "inputs: {n: {type: number}}\n"
		}
		presets, err := triggers.Presets()
		if err != nil {
			t.Fatal(err)
		}
		p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none, key: body.id}}\n" +
			"  typed: {webhook: {auth: none, key: body.id, events: [sold]}}\n  told: {}\n" +
			"  polled: {poll: {every: 5m, request: {url: https://a.example.com}, items: response.body, key: item.id, data: item.data}}\n" +
			"  both: {webhook: {auth: none, key: body.id, events: [sold]}, poll: {every: 5m, request: {url: https://a.example.com}, " +
			"items: response.body, key: item.id}}\n  nightly: {schedule: {cron: '0 3 * * *'}}\n",
			"workflows/sub.yaml": "on: call\nsteps: [{uses: log, with: {message: hi}}]\n",
			"workflows/w.yaml": "on: " + c.on + "\n" + inputs + "steps: [{uses: log, with: {message: hi}}]\n" +
				"output: \"${{ event.inlet }} ${{ event.type }} ${{ event.data?.n ?? 'none' }}\"\n" +
				"tests:\n  - {name: x, " + c.test + ", " + expect + "'" + c.want + "'}}\n"},
			workflows.Catalog{Actions: actions.Catalog(), Presets: presets, CheckCron: triggers.CheckCron})
		tests, mistakes := p.LoadTests()
		if mistakes.Errors() > 0 || len(tests) != 1 {
			t.Errorf("%s: %v", name, mistakes)
			continue
		}
		if said := dryrun.Test(p, tests[0]); len(said) > 0 {
			t.Errorf("%s: %s", name, strings.Join(said, "\n"))
		}
	}
}

// TestDryRunUsesTheTypesOfTheStart checks that the event types of a workflow decide in a dry run too.
func TestDryRunUsesTheTypesOfTheStart(t *testing.T) {
	p := project(t, map[string]string{"w": "on: {hook: {events: [paid]}}\nsteps: [{uses: log, with: {message: hi}}]\n"})
	r := request(p, nil)
	if got := run(t, r); got.Decision.Outcome != engine.Filtered {
		t.Errorf("type %s: %+v", r.Event.Type, got.Decision)
	}
	r.Event.Type = "paid"
	if got := run(t, r); got.Decision.Outcome != engine.Matched {
		t.Errorf("type %s: %+v", r.Event.Type, got.Decision)
	}
}

// TestCalledWorkflowFailsAsInARun checks that the failure of a called workflow can be retried, and that an
// input that does not fit is an error of the call.
func TestCalledWorkflowFailsAsInARun(t *testing.T) {
	p := project(t, map[string]string{"w": `on: hook
steps:
  - {id: sub, call: sub, with: {n: "${{ event.data.n }}"}, retry: 2, continue_on_error: true}
output: ${{ steps.sub.error?.code }} ${{ steps.sub.attempts }}
`, "sub": "on: call\ninputs: {n: {type: number, required: true}}\nsteps: [{fail: no more}]\n"})
	for want, n := range map[string]any{"call_failed 3": 1, "cannot_call 1": "x"} {
		if got := run(t, request(p, map[string]any{"n": n})); got.Output != want {
			t.Errorf("%v: %v %v, want %s", n, got.Output, got.Error, want)
		}
	}
}
