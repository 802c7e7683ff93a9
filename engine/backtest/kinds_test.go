package backtest_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// operated are workflows whose runs people answer or cancel, that use a secret, or that are switched off.
var operated = map[string]string{
	"asks": "on: hook\nsteps:\n  - {id: ok, wait: {approval: \"pay ${{ event.data.n }}?\"}, timeout: 3d, continue_on_error: true}\n" +
		"  - {uses: test/act, with: {n: \"${{ steps.ok.output?.approved }}\"}}\n",
	"cut": "on: hook\nsteps: [{uses: test/act, with: {n: 1}}, {sleep: 2h}, {uses: test/act, with: {n: 2}}]\n",
	"cut_now": "on: hook\nsteps: [{uses: test/act, with: {n: 1}}, {sleep: 2h}]\nfinally:\n" +
		"  - {uses: test/act, with: {n: \"${{ run.status }}\"}}\n",
	"secret":  "on: hook\nsteps: [{id: s, uses: test/act, with: {n: \"a ${{ secrets.KEY }}\"}}, {uses: test/act, with: {n: 4}}]\n",
	"off":     "on: hook\nenabled: false\n" + acts,
	"typed":   "on: {hook: {events: [other, u]}}\n" + acts,
	"rule":    "on: hook\nwhen: event.data.gone.deeper > 3\n" + acts,
	"spare":   "on: call\ninputs: {x: {type: number}}\nsteps: [{fail: \"no ${{ inputs.x }}\"}]\n",
	"calls":   "on: hook\nsteps:\n  - {id: c, call: spare, with: {x: 2}, retry: {max: 1, delay: 2s}, continue_on_error: true}\n" + thenOf("c"),
	"second":  "on: call\ninputs: {x: {type: number}}\nsteps: [{uses: test/act, with: {n: \"${{ inputs.x }}\"}}]\noutput: 5\n",
	"nothing": "on: hook\nsteps:\n  - {set: {x: 1}}\n",
	"inner":   "on: inside\n" + acts,
}

// thenOf is a step that sends the error of another.
func thenOf(step string) string {
	return "  - {uses: test/act, with: {n: \"${{ steps." + step + ".error?.code }} ${{ steps." + step + ".error?.message }}\"}}\n"
}

// tell answers the runs of asks, and cancels those that are to be cut.
func tell(t *testing.T, path string) func(context.Context, *machine.Engine) {
	return func(ctx context.Context, e *machine.Engine) {
		send(t, bodies[0], bodies[1])(ctx, e)
		time.Sleep(10 * time.Minute)
		verdicts := []string{"approve", "reject"}
		for _, ev := range pageOf(t, path) {
			for _, r := range ev.Runs {
				var err error
				switch {
				case r.Run.Workflow == "asks":
					_, err = e.Answer(ctx, r.Run.ID, engine.Response{Verdict: verdicts[0], By: "ada"})
					verdicts = verdicts[1:]
				case strings.HasPrefix(r.Run.Workflow, "cut"):
					err = e.Cancel(ctx, r.Run.ID)
				}
				if err != nil {
					t.Error(r.Run.Workflow, err)
				}
			}
		}
	}
}

// pageOf returns the recorded events of a database, oldest first.
func pageOf(t testing.TB, path string) []*engine.RecordedEvent {
	t.Helper()
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	page, err := h.RecordedPage(context.Background(), engine.RecordedQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// edit is a new text of one workflow.
type edit struct{ workflow, from, to string }

// edited returns workflows with one edit; an edit without a workflow changes nothing.
func edited(t *testing.T, flows map[string]string, x edit) map[string]string {
	t.Helper()
	out := maps.Clone(flows)
	if x.workflow == "" {
		return out
	}
	if out[x.workflow] = strings.Replace(flows[x.workflow], x.from, x.to, 1); out[x.workflow] == flows[x.workflow] {
		t.Fatalf("%s: %s is not in it", x.workflow, x.from)
	}
	return out
}

// TestWhatPeopleDidIsUsedAgain compares edits of workflows whose runs were answered or cancelled, that use
// secrets, that are switched off, or that cannot decide, with a golden file.
func TestWhatPeopleDidIsUsedAgain(t *testing.T) {
	golden(t)
	goldens[t.Name()].unordered = true
	path := newPath(t)
	recordInto(t, path, time.Time{}, operated, tell(t, path))
	for _, x := range []edit{
		{},
		{"asks", "pay ", "please pay "},
		{"asks", "timeout: 3d", "timeout: 1m"},
		{"asks", "?.approved", "?.by"},
		{"cut", "n: 1}", "n: 3}"},
		{"cut", "sleep: 2h", "sleep: 1m"},
		{"cut_now", "run.status", "run.status + '!'"},
		{"cut_now", "sleep: 2h", "sleep: 1m"},
		{"cut_now", "finally:\n  - {uses: test/act, with: {n: \"${{ run.status }}\"}}\n", ""},
		{"secret", "secrets.KEY", "secrets.OTHER"},
		{"secret", "n: 4", "n: \"${{ steps.s.output.got }}\""},
		{"off", "enabled: false\n", ""},
		{"typed", "other, u", "other, t"},
		{"typed", "events: [other, u]", "events: [t]"},
		{"rule", "event.data.gone.deeper > 3", "event.data.n > 0"},
		{"rule", "event.data.gone.deeper > 3", "event.data.n > 0 && event.data.other.deeper > 3"},
		{"nothing", "on: hook\n", "on: hook\nwhen: event.data.gone.deeper\n"},
		{"spare", "no ${{ inputs.x }}", "never ${{ inputs.x }}"},
		{"spare", "{fail: \"no ${{ inputs.x }}\"}", "{stop: fine}"},
		{"spare", "steps:", "when: inputs.x > 4\nsteps:"},
		{"spare", "steps:", "when: inputs.x.z > 4\nsteps:"},
		{"spare", "{x: {type: number}}", "{x: {type: boolean}}"},
		{"spare", "on: call\n", "on: call\nenabled: false\n"},
		{"calls", "max: 1", "max: 2"},
		{"calls", "with: {x: 2}", "with: {x: 3}"},
		{"calls", "with: {x: 2}", "with: {x: 2}, detach: true"},
		{"calls", "call: spare", "call: second"},
		{"nothing", "{set: {x: 1}}", "{id: l, uses: test/look, with: {n: fine}}\noutput: ${{ steps.l.output }}"},
		{"nothing", "{set: {x: 1}}", "{uses: test/look, with: {n: known}}"},
		{"nothing", "{set: {x: 1}}", "{uses: test/look, with: {n: other}, retry: {max: 1, delay: 1s}}"},
		{"nothing", "{set: {x: 1}}", "{uses: hookloom/emit, with: {trigger: inside, type: x, key: k, data: {n: 5}}}"},
		{"nothing", "{set: {x: 1}}", "{uses: hookloom/emit, with: {trigger: inside, type: \"\", data: [1]}}"},
		{"nothing", "{set: {x: 1}}", "{uses: hookloom/emit, with: {trigger: \"${{ 'no' + 'where' }}\", data: {n: 5}}}"},
		{"nothing", "{set: {x: 1}}", "{uses: store/set, with: {key: x, value: 1}}"},
		{"nothing", "{set: {x: 1}}", "{uses: http/get, with: {url: \"https://x.example.com/a?b=c\"}}"},
		{"nothing", "{set: {x: 1}}", "{wait: {event: back, key: x}, timeout: 1h}"},
		{"nothing", "{set: {x: 1}}", "{id: m, uses: test/act, with: {n: 77, url: x}}"},
		{"nothing", "{set: {x: 1}}", "{foreach: \"[1, 2, 3, 4]\", as: i, " +
			"steps: [{id: m, uses: store/set, with: {key: x, value: \"${{ i }}\"}, continue_on_error: true}]}"},
	} {
		f := test(t, path, edited(t, operated, x), func(o *backtest.Options) {
			o.Tests = []*workflows.Test{
				{Workflow: "nothing", Mocks: map[string][]workflows.Mock{"m": {{Output: map[string]any{"got": "mocked"}},
					{Failed: true, Status: 503}, {Failed: true, Code: "odd", Message: "as the test says"}, {Failed: true}}}},
				{Workflow: "nothing", Mocks: map[string][]workflows.Mock{"m": {{Output: "of a later test"}}}}}
		})
		if x.workflow == "" && (len(f.changes)+len(f.unknown) > 0 || f.Unchanged != f.RunsBefore) {
			reportAll(t, f)
		}
	}
}
