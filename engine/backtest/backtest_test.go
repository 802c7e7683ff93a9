package backtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/testsize"
)

// constructs returns workflows that use each construct of the language, with the workflows that
// they call.
func constructs(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/constructs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	out := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".yaml")] = string(text)
	}
	return out
}

var bodies = []string{`{"n": 1, "kind": "x", "list": [1, 2, 3]}`,
	`{"n": 6, "kind": "y", "list": []}`, `{"n": 9, "kind": "z", "list": ["a"]}`,
	`{"n": 0, "kind": "x", "list": [5]}`}

// TestTheSameWorkflowChangesNothing checks for the history of each construct that simulating the
// version that ran reproduces the record, and that no change is found.
func TestTheSameWorkflowChangesNothing(t *testing.T) {
	golden(t)
	flows := constructs(t)
	path := record(t, flows, func(ctx context.Context, e *machine.Engine) {
		send(t, bodies...)(ctx, e)
		if _, err := e.Accept(ctx, delivery("back", "k1", `{"n": 5}`)); err != nil { // what released waits for
			t.Error(err)
		}
	})
	f := test(t, path, flows, nil)
	if f.Events == 0 || f.RunsBefore == 0 || f.RunsBefore != f.RunsAfter || f.Unchanged != f.RunsBefore {
		t.Errorf("%+v", f.Report)
	}
	reportAll(t, f)
	if f.Assumed != 0 {
		t.Errorf("%d runs are assumed", f.Assumed)
	}
}

// TestRandomWorkflowsAreUnchanged checks the same for the history of random workflows.
func TestRandomWorkflowsAreUnchanged(t *testing.T) {
	for seed := range uint64(testsize.Of(t, "HOOKLOOM_BACKTESTS", 2)) {
		r := rand.New(rand.NewPCG(seed, 7))
		flows := map[string]string{"callee": constructs(t)["callee"]}
		for i := range 12 {
			flows[fmt.Sprint("w", i)] = randomFlow(r)
		}
		f := test(t, record(t, flows, send(t, bodies...)), flows, nil)
		if f.Unchanged != f.RunsBefore || f.RunsBefore < 48 || f.Assumed > 0 || len(f.unknown)+len(f.changes) > 0 {
			t.Errorf("seed %d: %+v", seed, f.Report)
			reportAll(t, f)
		}
	}
}

// TestChangedConcurrencyIsSimulatedOverTheStream checks that changed drops are found although no
// condition changed.
func TestChangedConcurrencyIsSimulatedOverTheStream(t *testing.T) {
	golden(t)
	all := constructs(t)
	path := record(t, all, send(t, bodies...))
	for _, x := range []struct {
		workflow, from, to, kind string
		changes                  int
	}{
		{"one", "concurrency: 1", "concurrency: {limit: 1, on_full: drop}", "stops_matching", 3},
		{"dropped", "limit: 1, on_full: drop", "limit: 2, on_full: drop", "starts_matching", 1},
		{"dropped", "concurrency: {limit: 1, on_full: drop}\n", "", "starts_matching", 3},
		{"rated", "limit: 1, per: 1h", "limit: 2, per: 1h, on_full: drop", "stops_matching", 2},
	} {
		flows := maps.Clone(all)
		if flows[x.workflow] = strings.Replace(flows[x.workflow], x.from, x.to, 1); flows[x.workflow] == all[x.workflow] {
			t.Fatalf("%s: %s is not in it", x.workflow, x.from)
		}
		f := test(t, path, flows, nil)
		n := 0
		for _, c := range f.changes {
			if c.Workflow == x.workflow && c.Kind == x.kind {
				n++
			} else {
				t.Errorf("%s: %+v", x.to, c)
			}
		}
		if n != x.changes || len(f.unknown) > 0 {
			t.Errorf("%s: %s: %d changes in place of %d; %v", x.workflow, x.to, n, x.changes, f.unknown)
		}
	}
}

// TestQueuedRunStartsWhenTheFirstOfTwoSlotsIsFree checks that a run that waits takes the slot that is
// free first, also if that is the slot of the run that started first.
func TestQueuedRunStartsWhenTheFirstOfTwoSlotsIsFree(t *testing.T) {
	golden(t)
	flows := map[string]string{"w": "on: hook\nconcurrency: 1\nsteps:\n  - sleep: 1m\n" +
		"  - {if: event.data.n == 6, sleep: 8h}\n  - {uses: test/act, with: {n: \"${{ now() - event.received_at < duration('7h') }}\"}}\n"}
	path := record(t, flows, send(t, bodies[0], bodies[1], bodies[2]))
	flows["w"] = strings.Replace(flows["w"], "concurrency: 1", "concurrency: 2", 1)
	f := test(t, path, flows, nil)
	if got, want := summary(f), []string{"w requests false>true assumed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFurtherAttemptWithoutARecordedAnswerIsUnknown checks that a step that is tried more often than in
// the recorded run gets no invented answer, and that the reason names the number of attempts.
func TestFurtherAttemptWithoutARecordedAnswerIsUnknown(t *testing.T) {
	golden(t)
	flows := map[string]string{"w": "on: hook\nsteps: [{uses: test/act, with: {n: 1, fail: 9}, retry: {max: 1, delay: 3s}}]\n"}
	path := record(t, flows, send(t, bodies[0]))
	flows["w"] = strings.Replace(flows["w"], "max: 1", "max: 2", 1)
	f := test(t, path, flows, nil)
	want := "unknown from here: step 0: it was tried 2 times, so no answer to attempt 3 is recorded"
	if len(f.unknown) != 1 || f.unknown[0].Reason != want {
		t.Errorf("got %q, want %q", f.unknown, want)
	}
}

// TestNewOutputOfAStepIsComputedFromTheRecordedResult checks that output: added to a step is applied to
// the recorded result of its action.
func TestNewOutputOfAStepIsComputedFromTheRecordedResult(t *testing.T) {
	golden(t)
	flows := map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act, with: {n: 4}}]\noutput: ${{ steps.a.output.got }}\n"}
	path := record(t, flows, send(t, bodies[0]))
	flows["w"] = "on: hook\nsteps: [{id: a, uses: test/act, with: {n: 4}, output: \"${{ result.got + 1 }}\"}]\noutput: ${{ steps.a.output }}\n"
	f := test(t, path, flows, nil)
	if len(f.changes) != 1 || f.changes[0].Output == nil || fmt.Sprint(*f.changes[0].Output) != "{4 5}" {
		t.Errorf("%+v %+v", f.changes, f.unknown)
	}
}

func reportAll(t *testing.T, f found) {
	t.Helper()
	for _, u := range f.unknown {
		t.Errorf("unknown: %s %s: %s", u.Event, u.Workflow, u.Reason)
	}
	for _, c := range f.changes {
		b, _ := json.Marshal(c)
		t.Errorf("changed: %s", b)
	}
}

// mutant is an edit of one of the constructs, with the expected findings.
type mutant struct {
	workflow, from, to, kind string
	// because is the expected expression; changes is the number of events that differ.
	because string
	changes int
	// further is the number of runs that differ because of what the run of the event makes: runs of
	// listener are told of the ends of plain.
	further int
}

var mutants = []mutant{
	{"plain", "event.data.n > 0", "event.data.n > 1", "stops_matching", "event.data.n > 1", 1, 1},
	{"plain", "event.data.n > 0", "event.data.n >= 0", "starts_matching", "event.data.n >= 0", 1, 1},
	{"plain", "event.data.n > 0", "event.data.n > 0 && event.data.kind != 'y'", "stops_matching", `event.data.kind != "y"`, 1, 1},
	{"plain", "on: hook", "on: {hook: {events: [other]}}", "stops_matching", `event.type in ["other"]`, 3, 3},
	{"plain", "on: hook", "on: back", "stops_matching", "on", 3, 3},
	{"plain", "on: hook", "on: hook\nenabled: false", "stops_matching", "enabled", 3, 3},
	{"sleep", "  - sleep: 90m\n", "  - sleep: 90m\n  - {if: event.data.n > 99, uses: test/act, with: {n: 1}}\n", "", "", 0, 0},
	{"plain", `"${{ event.data.n }}"`, `"${{ event.data.kind }}"`, "requests", "a.with.n", 3, 0},
	{"plain", "output: ${{ steps.a.output.got }}", "output: ${{ steps.a.output.try }}", "output", "output", 2, 0},
	{"set", "* 2", "* 3", "requests", "a.with.n", 3, 0},
	{"if", "event.data.n > 5", "event.data.n > 6", "path", "event.data.n > 6", 1, 0},
	{"if", "event.data.n > 7", "event.data.n > 8 or event.data.kind == 'y'", "path", "event.data.kind == \"y\"", 1, 0},
	{"if", "message: big", "message: large", "requests", "1/0.with.message", 1, 0},
	{"switch", "switch: event.data.kind", "switch: \"event.data.n > 5 ? 'x' : 'z'\"", "path", "", 4, 0},
	{"foreach", "foreach: event.data.list,", "foreach: \"event.data.list[1:]\",", "path", "", 3, 0},
	{"retry", "delay: 3s", "delay: 3s, jitter: false", "", "", 0, 0},
	{"fails", "n: 1, fail: 9", "n: 2, fail: 9", "requests", "a.with.n", 4, 0},
	{"ends", "n > 5", "n > 8", "error", "event.data.n > 8", 1, 0},
	{"ends", "too few", "too little", "error", "error", 2, 0},
	{"timeout", "timeout: 1h", "timeout: 30m", "", "", 0, 0},
	{"plain", "with: {n: \"${{ event.data.n }}\"}", "timeout: 5ms, with: {n: \"${{ event.data.n }}\"}", "error", "error", 3, 3},
	{"late", "deadline: 30m", "deadline: 2h", "error", "error", 4, 0},
	{"forgive", ", continue_on_error: true", "", "error", "error", 4, 0},
	{"sleep", "  - sleep: 90m\n", "", "path", "steps.0", 4, 0},
	{"parallel", "      - {id: p, sleep: 5m}\n",
		"      - {id: p, sleep: 5m}\n      - {uses: log, with: {message: x}}\n", "path", "steps.0/3", 4, 0},
	{"kept", "  - {uses: test/act, with: {n: \"${{ steps.n.output }}\"}}", "", "requests", "steps.1", 4, 0},
	{"kept", "key: n", "key: m", "requests", "n.with.key", 4, 0},
	{"switch", "y: [", "yy: [", "path", "steps.0/default/0", 1, 0},
	{"switch", "    default: [{uses: test/act, with: {n: other}}]\n", "", "requests", "steps.0/default/0", 1, 0},
	{"foreach", `n: "${{ l }}"`, `n: "${{ l }}!"`, "requests", "each/0.with.n", 3, 0},
	{"foreach", "max_parallel: 2", "max_parallel: 1", "", "", 0, 0},
	{"retry", "max: 4", "max: 1", "error", "error", 4, 0},
	{"fails", "on_failure: [{uses: test/act, with: {n: \"${{ error.message }}\"}}]\n", "", "requests", "steps.on_failure/0", 4, 0},
	{"ends", "${{ run.status }}", "was ${{ run.status }}", "requests", "finally/0.with.n", 4, 0},
	{"ends", "stop: enough", "fail: enough", "error", "", 2, 0},
	{"ends", "stop: enough", "stop: plenty", "path", "", 2, 0},
	{"timeout", "key: never", "key: ever", "path", "steps.w", 4, 0},
	{"timeout", ", continue_on_error: true", "", "error", "error", 4, 0},
	{"late", "- sleep: 1h", "- sleep: 1m", "error", "error", 4, 0},
	{"deadline", "deadline: 10m", "deadline: 2h", "path", "w/1.with.n", 4, 0},
	{"vars", "event.data.n + 1", "event.data.n - 1", "requests", "0.with.n", 4, 0},
	{"parallel", "second_one", "other_one", "", "", 0, 0}, // another id, which nothing uses
	{"if", "else: [{uses: test/act, with: {n: small}}]", "else: [{uses: log, with: {message: small}}]", "requests", "steps.1/else/0", 3, 0},
}

// TestAgainstAnotherFileComparesTheTwo compares two versions neither of which ran.
func TestAgainstAnotherFileComparesTheTwo(t *testing.T) {
	golden(t)
	all := constructs(t)
	path := record(t, all, send(t, bodies...))
	edited := maps.Clone(all)
	edited["plain"] = strings.Replace(all["plain"], "event.data.n > 0", "event.data.n > 3", 1)
	f := test(t, path, edited, func(o *backtest.Options) {
		o.Workflows = map[string]bool{"plain": true}
		other := strings.Replace(all["plain"], "event.data.n > 0", "event.data.n > 7", 1)
		o.Against = load(t, map[string]string{"plain": other}).Workflows["plain"]
	})
	want := []string{"listener starts_matching by workflow_run of plain  +succeeded", "plain starts_matching +6"}
	if !slices.Equal(summary(f), want) || f.Unchanged != 1 || f.RunsBefore != 1 || f.RunsAfter != 3 {
		t.Errorf("%+v %+v", f.Report, f.changes)
	}
	same := test(t, path, edited, func(o *backtest.Options) {
		o.Workflows, o.Against = map[string]bool{"parallel": true}, o.Project.Workflows["parallel"]
	})
	if same.Unchanged != 4 || len(same.changes)+len(same.unknown) > 0 {
		t.Errorf("%+v", same.Report)
	}
}

// TestAddedAndRemovedWorkflowsAreReported checks that a new name begins runs, and one without a file stops.
func TestAddedAndRemovedWorkflowsAreReported(t *testing.T) {
	golden(t)
	flows := map[string]string{"old": "on: hook\n" + acts}
	path := record(t, flows, send(t, bodies[0]))
	f := test(t, path, map[string]string{"fresh": flows["old"]}, nil)
	if len(f.changes) != 2 {
		t.Fatalf("%+v", f.changes)
	}
	for _, c := range f.changes {
		got := fmt.Sprint(c.Workflow, " ", c.Kind, " ", c.Because)
		if got != "old stops_matching {workflow true false}" && got != "fresh starts_matching {on <nil> [hook]}" {
			t.Error(got)
		}
	}
}

// TestEachMutantIsFound checks that one edit of one workflow is reported for the events concerned,
// and nothing else.
func TestEachMutantIsFound(t *testing.T) {
	golden(t)
	all := constructs(t)
	path := record(t, all, send(t, bodies...))
	for _, m := range mutants {
		flows := maps.Clone(all)
		flows[m.workflow] = strings.Replace(flows[m.workflow], m.from, m.to, 1)
		if flows[m.workflow] == all[m.workflow] {
			t.Fatalf("%s: %s is not in it", m.workflow, m.from)
		}
		f := test(t, path, flows, nil)
		n, further := 0, 0
		for _, c := range f.changes {
			b, _ := json.Marshal(c)
			if c.Workflow == "listener" && c.Cause != nil && c.Cause.Workflow == m.workflow {
				further++
				continue
			}
			if c.Workflow != m.workflow {
				t.Errorf("%s: %s -> %s: something else is changed: %s", m.workflow, m.from, m.to, b)
			}
			if c.Kind == m.kind && (m.because == "" || c.Because.Expression == m.because) {
				n++
			} else {
				t.Errorf("%s: %s -> %s: %s", m.workflow, m.from, m.to, b)
			}
		}
		if further != m.further {
			t.Errorf("%s: %s -> %s: %d further runs differ in place of %d", m.workflow, m.from, m.to, further, m.further)
		}
		if n != m.changes {
			t.Errorf("%s: %s -> %s: %d events differ in place of %d; %v", m.workflow, m.from, m.to, n, m.changes, f.unknown)
		}
	}
	if !slices.ContainsFunc(mutants, func(m mutant) bool { return m.changes > 0 }) {
		t.Error("no mutant changes anything")
	}
}
