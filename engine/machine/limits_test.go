package machine_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// valuePath is one way by which a value comes on record.
type valuePath struct {
	name string
	// steps make the value out of MADE, what test/act gives for the case.
	steps string
	// wrap is what is recorded when MADE gives v.
	wrap func(v any) any
	// read is the expression that gives v back, in a later step; empty when the value is
	// the run's own output.
	read   string
	output string
	// text reports whether the value is a text.
	text bool
	// child is the workflow that the steps call.
	child string
	// hint is how to stay under the limit.
	hint string
}

func inKey(k string) func(any) any { return func(v any) any { return map[string]any{k: v} } }

func itself(v any) any { return v }

var valuePaths = []valuePath{
	{name: "step", steps: "- {id: a, uses: test/act, with: {n: MADE}}", wrap: itself, read: "steps.a.output", hint: "output: on the step"},
	{name: "shaped", steps: "- {id: a, uses: test/act, with: {n: MADE}, output: {w: \"${{ result }}\"}}", wrap: inKey("w"),
		read: "steps.a.output.w", hint: "output: on the step"},
	{name: "set", steps: "- {id: a, uses: test/act, with: {n: MADE}}\n  - {id: s, set: {x: \"${{ steps.a.output }}\"}}", wrap: inKey("x"),
		read: "vars.x", hint: "output: on the step"},
	{name: "group", steps: "- id: g\n    steps: [{id: i, uses: test/act, with: {n: MADE}}]", wrap: inKey("i"), read: "steps.g.output.i",
		hint: "output: on the step"},
	{name: "parallel", steps: "- id: g\n    parallel: [{id: i, uses: test/act, with: {n: MADE}}]", wrap: inKey("i"),
		read: "steps.g.output.i", hint: "output: on the step"},
	{name: "loop", steps: "- {id: l, foreach: \"[1]\", uses: test/act, with: {n: MADE}}", wrap: func(v any) any { return []any{v} },
		read: "steps.l.output[0]", hint: "output: ${{ nil }}"},
	{name: "output", steps: "- {id: a, uses: test/act, with: {n: MADE}}", wrap: inKey("o"), output: "{o: \"${{ steps.a.output }}\"}",
		hint: "return less"},
	{name: "inputs", steps: "- {id: a, uses: test/act, with: {n: MADE}}\n  - {id: c, call: other, with: {v: \"${{ steps.a.output }}\"}}",
		wrap: inKey("v"), child: "on: call\ninputs: {v: {type: KIND}}\nsteps: [{sleep: 1ms}]\noutput: ok\n", hint: "hand over less"},
	{name: "called", steps: "- {id: c, call: other}", wrap: itself, read: "steps.c.output",
		child: "on: call\nsteps:\n  - {id: a, uses: test/act, with: {n: MADE}}\n  - {sleep: 1ms}\noutput: ${{ steps.a.output }}\n",
		hint:  "output: on the step"},
	{name: "choice", steps: "- {id: a, uses: test/act, with: {n: MADE}}\n  - {switch: steps.a.output, cases: {x: [{stop: x}]}, default: " +
		"[{set: {y: 1}}]}", wrap: itself, text: true, hint: "output: on the step"},
	{name: "approval", steps: "- {id: a, uses: test/act, with: {n: MADE}}\n  - {id: w, wait: {approval: \"?${{ steps.a.output " +
		"}}\"}, timeout: 1ms, continue_on_error: \"MAY\"}", wrap: func(v any) any { return "?" + v.(string) }, text: true, hint: "write less"},
	{name: "stop", steps: "- {id: a, uses: test/act, with: {n: MADE}}\n  - {stop: \".${{ steps.a.output }}\"}",
		wrap: func(v any) any { return "." + v.(string) }, text: true, hint: "write less"},
}

// made returns the value for which wrap passes, reaches or stays below a limit by one.
func made(wrap func(any) any, kind string, by int) any {
	switch kind {
	case "bytes":
		empty, err := value.EncodeStored(wrap(""))
		if err != nil {
			panic(err)
		}
		return strings.Repeat("x", value.MaxSize-len(empty)+by)
	case "values":
		_, n, _ := value.Size(wrap([]any{}))
		return slices.Repeat([]any{1}, value.MaxJSONNodes-n+by)
	}
	levels := value.MaxJSONDepth + by
	for v, w := any(wrap(0)), 0; ; w++ { // the levels that wrap adds
		switch x := v.(type) {
		case map[string]any:
			for _, v = range x {
			}
		case []any:
			v = x[0]
		default:
			v := any(0)
			for range levels - w {
				v = []any{v}
			}
			return v
		}
	}
}

type valueCase struct {
	path valuePath
	kind string
	by   int
}

func (c valueCase) id() string {
	return fmt.Sprintf("%s_%s_%s", c.path.name, c.kind, map[int]string{-1: "below", 0: "at", 1: "above"}[c.by])
}

func valueCases() (out []valueCase) {
	for _, p := range valuePaths {
		for _, kind := range []string{"bytes", "values", "depth"} {
			for by := -1; by <= 1; by++ {
				if (!p.text || kind == "bytes") && (!testing.Short() || by == 1 || by == 0 && kind == "values") {
					out = append(out, valueCase{p, kind, by})
				}
			}
		}
	}
	return out
}

func (c valueCase) flows() map[string]string {
	replaced := func(text string) string {
		may := "false"
		if c.by <= 0 {
			may = "true" // the approval that nobody gives
		}
		text = strings.NewReplacer("MADE", c.id(), "KIND", map[bool]string{true: "string", false: "list"}[c.kind == "bytes"], "other",
			c.id()+"_child", `"MAY"`, may).Replace(text)
		return text
	}
	w := "on: manual\nsteps:\n  " + c.path.steps + "\n"
	if c.path.name != "stop" {
		w += "  - {id: gate, wait: {approval: go on}, timeout: 1h}\n"
	}
	if c.path.read != "" {
		w += "  - {uses: test/act, with: {n: {want: MADE, got: \"${{ " + c.path.read + " }}\"}}}\n"
	}
	if c.path.output != "" {
		w += "output: " + c.path.output + "\n"
	}
	out := map[string]string{c.id(): replaced(w)}
	if c.path.child != "" {
		out[c.id()+"_child"] = replaced(c.path.child)
	}
	return out
}

// valueMaker makes the values of cases, and compares what comes back.
type valueMaker struct {
	mu    sync.Mutex
	cases map[string]valueCase
}

func (m *valueMaker) make(id string) any {
	c := m.cases[id]
	return made(c.path.wrap, c.kind, c.by)
}

func (m *valueMaker) Do(_ context.Context, in engine.Input) (any, error) {
	m.mu.Lock() // one value at a time in memory
	defer m.mu.Unlock()
	if id, ok := in.With["n"].(string); ok {
		return m.make(id), nil
	}
	x, _ := in.With["n"].(map[string]any)
	if !reflect.DeepEqual(m.make(x["want"].(string)), x["got"]) {
		return nil, &plan.Error{Message: "another value came back", Code: "differs"}
	}
	return nil, nil
}

// TestValuesWithinTheLimitsCanBeReadBack: on every path by which a value comes on record, one
// below or at a limit goes through and comes back over a restart; one above fails its
// step with too_large, which names the limit and how to stay under it. The engine goes
// on in every case.
func TestValuesWithinTheLimitsCanBeReadBack(t *testing.T) {
	flows, maker := map[string]string{}, &valueMaker{cases: map[string]valueCase{}}
	for _, c := range valueCases() {
		maker.cases[c.id()] = c
		maps.Copy(flows, c.flows())
	}
	w := newFileWorld(t, flows)
	w.act = maker
	e, s, stop := w.start(nil)
	ctx := context.Background()
	for id := range maker.cases {
		if _, err := e.Fire(ctx, id, nil, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	ended := func() (runs []engine.RunItem, open int) {
		runs, err := s.History.Runs(ctx, engine.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		runs = slices.DeleteFunc(runs, func(r engine.RunItem) bool { return strings.HasSuffix(r.Workflow, "_child") })
		for _, r := range runs {
			if r.FinishedAt == nil && r.Status != "waiting" || r.FinishedAt == nil && !atGate(e, r) {
				open++
			}
		}
		return runs, open
	}
	waitFor(t, func() bool { runs, open := ended(); return len(runs) == len(maker.cases) && open == 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	e, s, stop = w.start(nil)
	runs, _ := ended()
	for _, r := range runs {
		if r.FinishedAt == nil {
			if _, err := e.Answer(ctx, mustRun(t, r.ID), engine.Response{Path: "gate", Verdict: "approve"}); err != nil {
				t.Errorf("%s: %v", r.Workflow, err)
			}
		}
	}
	waitFor(t, func() bool { c, err := s.History.Counts(ctx); return err == nil && c.Open == 0 })
	runs, _ = ended()
	for _, r := range runs {
		c := maker.cases[r.Workflow]
		switch {
		case c.by <= 0 && r.Status != "succeeded":
			t.Errorf("%s: %s %s %s", r.Workflow, r.Status, r.ErrorCode, r.Error)
		case c.by > 0 && (r.Status != "failed" || c.path.name != "called" && r.ErrorCode != "too_large" ||
			!strings.Contains(r.Error, limitNames[c.kind]) || !strings.Contains(r.Error, c.path.hint)):
			t.Errorf("%s: %s %s %.300s", r.Workflow, r.Status, r.ErrorCode, r.Error)
		}
	}
	bad, looked, err := w.file().Unreadable(ctx)
	if err != nil || len(bad) > 0 || looked == 0 {
		t.Errorf("%v, %d rows, %v", bad, looked, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

var limitNames = map[string]string{"bytes": "4 MiB", "values": "200000 values", "depth": "64 levels"}

// atGate reports whether a run waits for the word after which its value is read back.
func atGate(e *machine.Engine, r engine.RunItem) bool {
	id, err := engine.ParseRunID(r.ID)
	if err != nil {
		return false
	}
	q, err := e.Questions(context.Background(), id)
	return err == nil && len(q) == 1 && q[0].Path == "gate"
}

// TestValuesForTheRecordOnlyAreTruncated: the input of an attempt, what a failed answer says,
// and what an event's run hands to those who listen never fail a step, however large.
func TestValuesForTheRecordOnlyAreTruncated(t *testing.T) {
	huge := strings.Repeat("y", 6<<20)
	wide := slices.Repeat([]any{"z"}, 150_000)
	w := newWorld(t, map[string]string{
		"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: {huge: \"${{ event.data }}\", copy: \"${{ event.data }}\"}}}\n" +
			"  - {id: b, uses: test/act, with: {n: refuse}, continue_on_error: true}\n  - {sleep: 1ms}\n  - {fail: " +
			"\"${{ steps.b.error.code }} ${{ " +
			"len(steps.b.error.details) }}\"}\n",
		"hears": "on: {workflow_run: {workflows: [w], status: [failed]}}\nsteps: [{uses: log, with: {message: " +
			"\"${{ event.data.error.message }}\"}}]\n",
	})
	var got any
	w.target.do = nil
	w.act = actFunc(func(_ context.Context, in engine.Input) (any, error) {
		if in.With["n"] == "refuse" {
			return nil, &plan.Error{Message: huge, Code: "http_status", Status: 400, Details: map[string]any{"a": wide, "b": wide, "c": huge}}
		}
		got = in.With["n"].(map[string]any)["huge"]
		return nil, nil
	})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(t.Context(), delivery("k", `{"t": "`+huge+`"}`)); err != nil {
		t.Fatal(err)
	}
	for _, r := range settled(t, s, 2) {
		if r.Workflow == "w" && (r.ErrorCode != "fail" || !strings.HasPrefix(r.Error, "http_status ")) || r.Workflow == "hears" &&
			r.Status != "succeeded" {
			t.Errorf("%s: %s %s %.200s", r.Workflow, r.Status, r.ErrorCode, r.Error)
		}
		steps, err := s.History.Steps(t.Context(), mustRun(t, r.ID))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range steps {
			if n := len(x.Input) + len(x.Output) + len(x.Error); n > 2<<20 || x.Path == "a" && !strings.Contains(string(x.Input), "(cut: ") ||
				x.Path == "b" && (!strings.Contains(string(x.Error), "(cut: ") || !strings.Contains(string(x.Output), "(cut: ")) {
				t.Errorf("step %s: %d bytes on record", x.Path, n)
			}
		}
	}
	if m, _ := got.(map[string]any); m["t"] != huge {
		t.Error("the step did not get the whole event")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

type actFunc func(context.Context, engine.Input) (any, error)

func (f actFunc) Do(ctx context.Context, in engine.Input) (any, error) { return f(ctx, in) }

// TestAwaitedEventIsHeldToTheLimits: an event whose data and body are too large
// together fails the step that takes it, unless output: keeps less of it.
func TestAwaitedEventIsHeldToTheLimits(t *testing.T) {
	w := newWorld(t, map[string]string{
		"whole": "on: hook\nsteps:\n  - {id: e, wait: {event: back, key: one}, timeout: 1h}\n  - {sleep: 1ms}\n",
		"part": "on: hook\nsteps:\n  - {id: e, wait: {event: back, key: one}, timeout: 1h, output: \"${{ result.data.id }}\"}\n  - {sleep: " +
			"1ms}\noutput: ${{ steps.e.output }}\n",
	})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(t.Context(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		runs, err := s.History.Runs(t.Context(), engine.Query{Status: "waiting", Limit: 10})
		return err == nil && len(runs) == 2
	})
	d := delivery("one", `{"id": 7, "rows": [`+strings.TrimSuffix(strings.Repeat("1,", 110_000), ",")+"]}")
	d.Trigger = "back"
	if _, err := e.Accept(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	for _, r := range settled(t, s, 2) {
		switch {
		case r.Workflow == "part" && r.Status != "succeeded":
			t.Errorf("%s %s", r.Status, r.Error)
		case r.Workflow == "whole" && (r.ErrorCode != "too_large" || !strings.Contains(r.Error, "200000 values") ||
			!strings.Contains(r.Error, "output: ${{ result.data.id }}")):
			t.Errorf("%s %s %s", r.Status, r.ErrorCode, r.Error)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestALoopEndsWhenItsOutputsAreTooLargeTogether: nothing more of it begins, and the
// message says how far it came.
func TestALoopEndsWhenItsOutputsAreTooLargeTogether(t *testing.T) {
	w := newWorld(t, map[string]string{
		"w":     "on: hook\nsteps: [{id: l, foreach: \"1..2100\", max_parallel: 20, uses: test/act}]\n",
		"keeps": "on: hook\nsteps: [{id: l, foreach: \"1..30\", max_parallel: 20, uses: test/act, output: \"${{ nil }}\"}]\n",
	})
	w.act = actFunc(func(context.Context, engine.Input) (any, error) { return strings.Repeat("x", 300<<10), nil })
	e, s, stop := w.start(nil)
	if _, err := e.Accept(t.Context(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	for _, r := range settled(t, s, 2) {
		steps, err := s.History.Steps(t.Context(), mustRun(t, r.ID))
		if err != nil {
			t.Fatal(err)
		}
		if r.Workflow == "w" && (r.ErrorCode != "too_large" || !strings.Contains(r.Error, " of 2100 items") || len(steps) > 60) ||
			r.Workflow == "keeps" && r.Status != "succeeded" {
			t.Errorf("%s: %s %s %s, %d steps", r.Workflow, r.Status, r.ErrorCode, r.Error, len(steps))
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestInputsOfAManualStartAreHeldToTheLimits: they are refused with the limit, before an
// event is made.
func TestInputsOfAManualStartAreHeldToTheLimits(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: manual\ninputs: {v: {type: string}}\nsteps: [{sleep: 1ms}]\noutput: ${{ len(inputs.v) }}\n"})
	e, s, stop := w.start(nil)
	for by := 0; by <= 1; by++ {
		v := made(inKey("v"), "bytes", by)
		_, err := e.Fire(t.Context(), "w", map[string]any{"v": v}, "", "")
		if above := by > 0; (err != nil) != above || above && !strings.Contains(err.Error(), "4 MiB") {
			t.Errorf("%d above the limit: %v", by, err)
		}
	}
	for _, r := range settled(t, s, 1) {
		if got := output(t, s, mustRun(t, r.ID)); !strings.HasPrefix(got, "succeeded 41942") {
			t.Error(got)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestRunEndIsReportedWhateverItsOutput: who listens to the end of a run gets an output
// that reaches the limits, which its event holds beside other facts.
func TestRunEndIsReportedWhateverItsOutput(t *testing.T) {
	for _, kind := range []string{"bytes", "values", "depth"} {
		w := newWorld(t, map[string]string{
			"w":     "on: hook\nsteps: [{id: a, uses: test/act}]\noutput: ${{ steps.a.output }}\n",
			"hears": "on: {workflow_run: {workflows: [w], status: [succeeded]}}\nsteps: [{sleep: 1ms}]\noutput: ${{ len(event.data.output) }}\n",
		})
		want := made(itself, kind, 0)
		w.act = actFunc(func(context.Context, engine.Input) (any, error) { return want, nil })
		e, s, stop := w.start(nil)
		if _, err := e.Accept(t.Context(), delivery("k", `{}`)); err != nil {
			t.Fatal(err)
		}
		for _, r := range settled(t, s, 2) {
			if n := reflect.ValueOf(want).Len(); r.Workflow == "hears" && output(t, s, mustRun(t, r.ID)) != fmt.Sprintf("succeeded %d ", n) {
				t.Errorf("%s: %s %s", kind, r.Status, r.Error)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}
