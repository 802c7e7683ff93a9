package dryrun_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// project loads workflows by id, with the triggers hook and back.
func project(t *testing.T, flows map[string]string) *workflows.Project {
	t.Helper()
	files := map[string]string{"hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none, key: body.id}}\n" +
		"  back: {webhook: {auth: none, key: body.id}}\n  told: {}\n"}
	for id, text := range flows {
		files["workflows/"+id+".yaml"] = text
	}
	presets, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	return projecttest.Load(t, files, workflows.Catalog{Actions: actions.Catalog(), Presets: presets, CheckCron: triggers.CheckCron})
}

// noon is when the events of the tests arrive.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// request returns a dry run of workflow w for an event of hook.
func request(p *workflows.Project, body map[string]any) dryrun.Request {
	return dryrun.Request{Project: p, Workflow: p.Workflows["w"], Now: noon, Secret: func(name string) string { return "secret:" + name },
		Event: &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "hook", Inlet: "webhook", Type: "hook", Key: "k", Time: noon,
			ReceivedAt: noon, Decoded: true, Body: body, Headers: map[string]string{}, Query: map[string]string{}}}}
}

// run runs a workflow; the test fails on an error.
func run(t *testing.T, r dryrun.Request) *dryrun.Result {
	t.Helper()
	got, err := dryrun.Run(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestADryRunHasNoEffect checks that nothing is called, sent or stored, for every kind of step, and
// that the result shows what would have been called.
func TestADryRunHasNoEffect(t *testing.T) {
	var requests atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer s.Close()
	p := project(t, map[string]string{"w": `on: hook
steps:
  - {id: post, uses: http/post, with: {url: "` + s.URL + `/x", body: {n: "${{ event.data.n }}"}}, retry: 3}
  - {id: n, uses: store/increment, with: {key: count}}
  - {id: m, uses: store/increment, with: {key: count}}
  - {uses: hookloom/emit, with: {trigger: told, key: k, data: {}}}
  - {uses: log, with: {message: hi}}
  - {id: sub, call: sub, with: {n: 1}}
output: "${{ steps.n.output }} ${{ steps.m.output }} ${{ steps.sub.output }}"
`, "sub": "on: call\ninputs: {n: {type: number}}\nsteps: [{uses: http/get, with: {url: '" + s.URL + "/y'}}, {id: k, uses: store/get, " +
		"with: {key: count}}]\noutput: called\n"})
	body := map[string]any{"n": 7}
	for range 2 { // a value stored in one dry run does not exist in the next
		got := run(t, request(p, body))
		if got.Decision.Outcome != engine.Matched || got.Status != engine.Succeeded || got.Output != "1 2 called" {
			t.Errorf("%+v %s %v %v", got.Decision, got.Status, got.Output, got.Error)
		}
		called := []string{}
		for _, c := range got.Calls {
			called = append(called, c.Path)
		}
		if want := "post n m 3 4 sub"; strings.Join(called, " ") != want {
			t.Errorf("calls %q, want %q", called, want)
		}
		if with := fmt.Sprint(got.Calls[0].With["body"]); with != "map[n:7]" {
			t.Errorf("the input of the call is %s", with)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	if fmt.Sprint(body) != "map[n:7]" {
		t.Errorf("the event is now %v", body)
	}
}

// TestDryRunClockStandsStill checks that sleeps, retry delays and waits end at once, and that
// every expression sees the time of the request.
func TestDryRunClockStandsStill(t *testing.T) {
	p := project(t, map[string]string{"w": `on: hook
steps:
  - {id: a, uses: http/get, with: {url: "https://example.com/${{ isoTime(now()) }}"}, retry: 5}
  - sleep: 365d
  - {id: ok, wait: {approval: "Go?"}, timeout: 30d}
  - {id: got, wait: {event: back, key: x}, timeout: 30d}
output: ${{ isoTime(now()) }} ${{ steps.a.attempts }} ${{ steps.ok.output.by }} ${{ steps.got.output.key }}
`})
	r := request(p, nil)
	r.Answer = func(c dryrun.Call, n int) *dryrun.Reply {
		if c.ID == "a" && n < 5 {
			return &dryrun.Reply{Err: &plan.Error{Message: "busy", Code: "http_status", Status: 503, Retryable: true}}
		}
		return nil
	}
	began := time.Now()
	got := run(t, r)
	if want := "2026-05-01T12:00:00.000Z 5 test x"; got.Output != want || got.Status != engine.Succeeded {
		t.Errorf("%s %v %v, want %s", got.Status, got.Output, got.Error, want)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, rec := range got.Records {
		if rec.FinishedAt.After(noon) {
			t.Errorf("step %s ended at %s", rec.Path, rec.FinishedAt)
		}
	}
}

// TestAReplyDecidesHowAWaitEnds checks a rejection, an alternative named by its index, and a failed
// called workflow.
func TestAReplyDecidesHowAWaitEnds(t *testing.T) {
	p := project(t, map[string]string{"w": `on: hook
steps:
  - id: first
    wait: {any: [{event: back, key: a}, {approval: "Go?"}, {event: back, key: b}]}
  - {id: sub, call: sub, with: {n: 1}, continue_on_error: true}
output: ${{ steps.first.output.index }} ${{ steps.first.output.kind }} ${{ steps.sub.error?.code ?? steps.sub.output }}
`, "sub": "on: call\ninputs: {n: {type: number}}\nsteps: [{fail: no more, if: inputs.n > 1}]\noutput: did it\n"})
	for _, c := range []struct {
		name    string
		replies map[string]*dryrun.Reply
		want    string
	}{
		{"the first of several", nil, "0 event did it"},
		{"the one that is named", map[string]*dryrun.Reply{"first": {Output: map[string]any{"index": 2}}}, "2 event did it"},
		{"an approval", map[string]*dryrun.Reply{"first": {Output: map[string]any{"index": 1, "by": "ada"}}}, "1 approval did it"},
		{"a call that fails", map[string]*dryrun.Reply{"sub": {Err: &plan.Error{Message: "no", Code: "call_failed"}}}, "0 event call_failed"},
		{"a call that is answered", map[string]*dryrun.Reply{"sub": {Output: "said so"}}, "0 event said so"},
	} {
		r := request(p, nil)
		r.Answer = func(call dryrun.Call, _ int) *dryrun.Reply { return c.replies[call.ID] }
		if got := run(t, r); got.Output != c.want {
			t.Errorf("%s: %v %v, want %s", c.name, got.Output, got.Error, c.want)
		}
	}
}

// mocked is a workflow with everything that tests can mock.
const mocked = `on: hook
when: event.data.total > 0
steps:
  - {id: pay, uses: http/post, with: {url: https://pay.example.com, body: {total: "${{ event.data.total }}"}}, retry: 2}
  - {id: each, foreach: event.data.lines, uses: http/post, with: {url: https://stock.example.com, body: "${{ item }}"}}
  - {id: chat, if: event.data.total > 100, uses: http/post, with: {url: https://chat.example.com, body: hi}, continue_on_error: true}
output: ${{ steps.pay.output.body.id }}
tests:
`

// TestFailedExpectationShowsTheActualValue checks that a failed test gives the position in its file, the
// expected and the actual value.
func TestFailedExpectationShowsTheActualValue(t *testing.T) {
	const event = "event: {body: {id: e1, total: 150, lines: [a, b]}}, "
	const paid = "mock: {pay: {output: {status: 200, body: {id: P1}}}}, "
	for _, c := range []struct{ test, want string }{
		{event + paid + "expect: {status: succeeded, output: P1, steps: {pay: succeeded, chat: succeeded}, attempts: {pay: 1, each: 2}}", ""},
		{event + paid + "expect: {calls: {pay: {body: {total: 150}}, each: [{body: a}, {body: b}]}, assert: [output == 'P1', " +
			"event.key == 'e1']}", ""},
		{event + paid + "expect: {calls: {each: {body: b}}}", ""},
		{event + "mock: {pay: [{error: {status: 503}}, {error: {}}, {output: {status: 200, body: {id: P2}}}]}, expect: {attempts: {pay: 3}, " +
			"output: P2}", ""},
		{event + "mock: {pay: {error: {status: 400, message: no such card}}}, expect: {status: failed, attempts: {pay: 1, each: 0}, " +
			"steps: {each: not_reached}, error: {step: pay, status: 400, message: such}}", ""},
		{event + "mock: {pay: {error: {status: 503}}}, expect: {status: failed, attempts: {pay: 3}, error: answered 503}", ""},
		{event + "mock: {pay: {output: {body: {id: P1}}}, chat: {error: {message: gone}}}, expect: {steps: {chat: failed}}", ""},
		{"event: {body: {id: e1, total: 0, lines: []}}, expect: {rule: skipped}", ""},
		{"event: {body: {id: e1, total: 5, lines: []}}, " + paid + "expect: {steps: {chat: skipped, each: succeeded}}", ""},

		{"event: {body: {id: e1, total: 0, lines: []}}, expect: {status: succeeded}", "expect.rule: wanted matched, got skipped"},
		{event + paid + "expect: {rule: skipped}", "expect.rule: wanted skipped, got matched"},
		{"event: {body: {id: e1, lines: []}}, expect: {rule: skipped}", "expect.rule: wanted skipped, got rule_failed: "},
		{event + paid + "expect: {status: failed}", "expect.status: wanted failed, got succeeded"},
		{event + "mock: {pay: {error: {status: 400, message: no card}}}, expect: {output: P1}",
			"expect.status: wanted succeeded, got failed: pay: no card"},
		{event + paid + "expect: {output: P2}", `expect.output: wanted "P2", got "P1"`},
		{event + paid + "expect: {attempts: {pay: 2}}", "expect.attempts.pay: wanted 2, got 1"},
		{event + paid + "expect: {steps: {chat: skipped}}", "expect.steps.chat: wanted skipped, got succeeded"},
		{event + paid + "expect: {calls: {pay: {body: {total: 151}}}}", "expect.calls.pay: body.total: wanted 151, got 150"},
		{event + paid + "expect: {calls: {each: [{body: a}]}}", "expect.calls.each: wanted 1 call"},
		{event + paid + "expect: {assert: [output == 'P2']}", "expect.assert.0: false: output == 'P2'"},
		{event + "mock: {pay: {output: {body: {id: 1.0}}}}, expect: {output: 1}", ""},
		{event + "mock: {pay: {output: {body: {id: x}}}}, expect: {output: 0}", `expect.output: wanted 0, got "x"`},
		{event + "mock: {pay: {output: {body: {id: 0}}}}, expect: {output: x}", `expect.output: wanted "x", got 0`},
		{event + paid + "expect: {assert: [event.id == 'evt_0000000000000001' && event.type == 'hook']}", ""},
		{"event: {headers: {X-A: 1}}, expect: {rule: skipped}", "expect.rule: wanted skipped, got rule_failed: "},
		{event + paid + "expect: {error: timeout}", `expect.error: wanted "timeout", got none`},
	} {
		p := project(t, map[string]string{"w": mocked + "  - {name: x, " + c.test + "}\n"})
		tests, mistakes := p.LoadTests()
		if mistakes.Errors() > 0 || len(tests) != 1 {
			t.Errorf("%s: %v", c.test, mistakes)
			continue
		}
		said := strings.Join(dryrun.Test(p, tests[0]), "\n")
		if (said == "") != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s: said %q, want %q", c.test, said, c.want)
		}
		if said != "" && !strings.HasPrefix(said, "workflows/w.yaml:9:") {
			t.Errorf("%s names no place of the file", said)
		}
	}
}
