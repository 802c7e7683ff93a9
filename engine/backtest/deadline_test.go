package backtest_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/machine"
)

// limited are workflows whose timeouts and deadlines pass during an attempt, a retry delay, or a
// wait. callee takes two minutes, slow two hours; an event of back arrives after two and a half
// hours.
var limited = map[string]string{
	"slow":        "on: call\nsteps: [{sleep: 2h}]\noutput: done\n",
	"call":        "steps:\n  - {id: g, deadline: 2m, continue_on_error: true, steps: [CALL]}\n" + then,
	"call_group":  "steps:\n  - {id: g, timeout: 1m, continue_on_error: true, steps: [CALL]}\n" + then,
	"call_itself": "steps:\n  - {id: g, call: callee, timeout: 1m, retry: 1, continue_on_error: true, with: {x: 1}}\n" + then,
	"call_run":    "deadline: 2m\nsteps: [CALL]\nfinally: [{uses: test/act, with: {n: \"${{ run.status }}\"}}]\n",
	"call_fast": `steps:
  - id: g
    foreach: "[0, 9]"
    as: i
    continue_on_error: true
    max_parallel: 2
    steps:
      - {call: callee, with: {x: 1}, if: i == 0}
      - {uses: test/act, with: {n: 1, fail: "${{ i }}"}, retry: {max: 1, delay: 5s}}
` + then,
	"call_cut":  "steps:\n  - {id: g, deadline: 2m, continue_on_error: true, parallel: [CALL, {sleep: 1h}]}\n" + then,
	"long_call": "steps:\n  - {id: g, call: slow}\n" + then,
	"long_wait": "steps:\n  - {id: g, wait: {event: back, key: late}, timeout: 1d, continue_on_error: true}\n" + then,
	"retry":     "steps:\n  - {id: g, deadline: 5s, continue_on_error: true, steps: [{EVEN_RETRY}]}\n" + then,
	"own_retry": "steps:\n  - {id: g, deadline: 5s, continue_on_error: true, RETRY}\n" + then,
	"run_retry": "deadline: 5s\nsteps: [{RETRY}]\non_failure: [{uses: test/act, with: {n: \"${{ error.code }}\"}}]\n",
	"in_flight": "steps:\n  - {id: g, deadline: 20ms, continue_on_error: true, steps: [{RETRY}]}\n" + then,
	"run_time":  "timeout: 30ms\nsteps:\n  - {RETRY, continue_on_error: true}\n  - {uses: test/act, with: {n: 2}}\n",
	"roomy":     "timeout: 1h\nsteps: [{id: one_whose_answer_takes_220_ms, uses: test/act, with: {n: 1}}]\n",
	"run_short": "timeout: 34ms\nsteps:\n  - {RETRY, continue_on_error: true}\n",
	"run_cut":   "timeout: 30ms\nsteps:\n  - {RETRY, continue_on_error: true}\n",
	"step_time": "steps:\n  - {id: g, RETRY, timeout: 10ms, continue_on_error: true}\n" + then,
	"long_work": "timeout: 2h\nsteps: [{sleep: 3h}, {call: slow}, {uses: test/act, with: {n: 1}}]\n",
}

const then = "  - {uses: test/act, with: {n: \"${{ steps.g.error?.code }}\"}}\n"

func limitedFlows(t *testing.T) map[string]string {
	flows := map[string]string{"callee": constructs(t)["callee"], "slow": limited["slow"]}
	// EVEN_RETRY has attempts after 0, 2 and 4 s, whatever the id of a run, from which jitter is derived.
	long := strings.NewReplacer("CALL", "{call: callee, with: {x: 1}}",
		"EVEN_RETRY", "uses: test/act, with: {n: 1, fail: 9}, retry: {max: 4, delay: 2s, factor: 1, jitter: false}",
		"RETRY", "uses: test/act, with: {n: 1, fail: 9}, retry: {max: 4, delay: 2s}")
	for id, text := range limited {
		if id != "slow" {
			flows[id] = "on: hook\n" + long.Replace(text)
		}
	}
	return flows
}

func lateEvent(t *testing.T) func(context.Context, *machine.Engine) {
	return func(ctx context.Context, e *machine.Engine) {
		send(t, bodies[0])(ctx, e)
		time.Sleep(150 * time.Minute)
		if _, err := e.Accept(ctx, delivery("back", "late", `{"n": 5}`)); err != nil {
			t.Error(err)
		}
	}
}

// TestExpiredLimitsAreSimulatedAsRecorded checks that simulating the version that ran reproduces
// the record, whatever was open when a timeout or a deadline passed.
func TestExpiredLimitsAreSimulatedAsRecorded(t *testing.T) {
	golden(t)
	flows := limitedFlows(t)
	f := test(t, record(t, flows, lateEvent(t)), flows, nil)
	if f.Unchanged != f.RunsBefore || f.RunsBefore < len(limited) || f.Assumed > 0 {
		t.Errorf("%+v", f.Report)
	}
	reportAll(t, f)
}

// TestChangedLimitsAreSimulated checks that a shorter limit cuts off what is recorded, and that
// what a longer one would allow is unknown, not guessed.
func TestChangedLimitsAreSimulated(t *testing.T) {
	golden(t)
	flows := limitedFlows(t)
	path := record(t, flows, lateEvent(t))
	for _, x := range []struct{ workflow, from, to, want string }{
		{"roomy", "timeout: 1h", "timeout: 100ms", "error"},
		{"long_wait", "timeout: 1d", "timeout: 1h", "path"},
		{"retry", "deadline: 5s", "deadline: 3s", "requests"},
		{"call", "deadline: 2m", "deadline: 9m", "path; unknown from here: step g/0: nothing had come for it when the recorded step ended"},
	} {
		edited := maps.Clone(flows)
		if edited[x.workflow] = strings.Replace(flows[x.workflow], x.from, x.to, 1); edited[x.workflow] == flows[x.workflow] {
			t.Fatalf("%s: %s is not in it", x.workflow, x.from)
		}
		f := test(t, path, edited, nil)
		var got []string
		for _, c := range f.changes {
			got = append(got, c.Kind)
		}
		for _, u := range f.unknown {
			got = append(got, u.Reason)
		}
		if strings.Join(got, "; ") != x.want {
			t.Errorf("%s: %s: got %q", x.workflow, x.to, got)
			reportAll(t, f)
		}
	}
}
