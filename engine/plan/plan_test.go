package plan_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
	"pgregory.net/rapid"
)

// acts is the one action of these workflows; it is only ever planned.
var acts = map[string]*workflows.ActionSpec{"test/act": {Name: "test/act", SideEffects: true,
	Inputs: []workflows.ActionInput{{Name: "n", Type: "any"}, {Name: "url", Type: "string", Fill: workflows.FillURL}}}}

func flow(t testing.TB, text string) *workflows.Workflow {
	t.Helper()
	p := projecttest.Load(t, map[string]string{"workflows/w.yaml": text, "workflows/other.yaml": "on: call\nsteps: [{stop: x}]"},
		workflows.Catalog{Actions: workflows.NewActions(acts, nil)})
	return p.Workflows["w"]
}

func state(w *workflows.Workflow, data map[string]any) *plan.State {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	return &plan.State{Workflow: w, Event: map[string]any{"data": data, "type": "t", "key": "k", "id": "evt_1"},
		Run: map[string]any{"id": "run_1"}, RunID: "run_1", StartedAt: at, Now: at}
}

// carry makes every due attempt with do until the run ends.
func carry(t testing.TB, st *plan.State, do func(d plan.Due) *plan.Error) *plan.End {
	t.Helper()
	for range 1000 {
		d := plan.Next(st)
		if d.End != nil {
			return d.End
		}
		if len(d.Due) == 0 {
			if !d.Wake.After(st.Now) {
				t.Fatalf("nothing is due and the run has not ended: %+v", st.Records)
			}
			st.Now = d.Wake
		}
		for _, x := range d.Due {
			if x.NotBefore.After(st.Now) {
				st.Now = x.NotBefore
			}
			r := &plan.Record{Path: x.Path, Attempt: x.Attempt, Action: x.Step.Uses, Status: plan.Succeeded, StartedAt: st.Now, FinishedAt: st.Now,
				Output: map[string]any{"n": x.With["n"]}}
			var err error
			if r.Output, err = x.Output(st.RunID, r.Output); err != nil {
				t.Fatal(err)
			}
			if e := do(x); e != nil {
				r.Status, r.Error, r.Output = plan.Failed, e, nil
			}
			st.AddRecord(r)
		}
	}
	t.Fatal("the run does not end")
	return nil
}

func TestRunsEndAsDocumented(t *testing.T) {
	fail := map[string]*plan.Error{"bad": {Message: "503", Code: "http_status", Status: 503, Retryable: true},
		"gone": {Message: "404", Code: "http_status", Status: 404}}
	for _, c := range []struct {
		name, text, status, errorStep string
		did                           []string
		output                        any
	}{
		{"steps in order", "on: manual\nsteps:\n  - {id: a, uses: test/act, with: {n: 1}}\n  - {id: b, uses: test/act, with: {n: " +
			"\"${{ steps.a.output.n + 1 }}\"}}\noutput: ${{ steps.b.output.n }}", "succeeded", "", []string{"a", "b"}, 2},
		{"if false skips", "on: manual\nsteps:\n  - {id: a, if: event.data.no, uses: test/act}\n  - {id: b, uses: test/act}\noutput: ${{ " +
			"steps.a.status }}", "succeeded", "", []string{"b"}, "skipped"},
		{"else", "on: manual\nsteps:\n  - if: event.data.no\n    steps: [{id: a, uses: test/act}]\n    else: [{id: b, uses: test/act}]",
			"succeeded", "", []string{"0/else/b"}, nil},
		{"switch by text of the value", "on: manual\nsteps:\n  - switch: 404\n    cases:\n      404: [{id: a, uses: test/act}]\n      b: [{id: " +
			"b, uses: test/act}]", "succeeded", "", []string{"0/404/a"}, nil},
		{"switch without a case", "on: manual\nsteps:\n  - switch: \"'x'\"\n    cases: {a: [{id: a, uses: test/act}]}\n    default: [{id: b, " +
			"uses: test/act}]", "succeeded", "", []string{"0/default/b"}, nil},
		{"set inside a branch is seen after it", "on: manual\nvars: {v: 1}\nsteps:\n  - switch: \"'a'\"\n    cases: {a: [{set: {v: " +
			"2}}]}\noutput: ${{ vars.v }}", "succeeded", "", nil, 2},
		{"stop", "on: manual\nsteps:\n  - {id: a, uses: test/act}\n  - {if: true, stop: enough}\n  - {id: b, uses: test/act}\noutput: x",
			"succeeded", "", []string{"a"}, "x"},
		{"stop leaves out what the output reads", "on: manual\nsteps:\n  - {if: true, stop: enough}\n  - {id: b, uses: test/act}\noutput: ${{ " +
			"steps.b.output.n }}", "succeeded", "", nil, nil},
		{"fail runs on_failure", "on: manual\nsteps:\n  - {if: true, fail: \"no ${{ event.type }}\"}\non_failure:\n  - {id: h, uses: test/act, " +
			"with: {n: \"${{ error.message }}\"}}", "failed", "0", []string{"on_failure/h"}, nil},
		{"retries, then fails", "on: manual\nsteps:\n  - {id: bad, uses: test/act, retry: 2}", "failed", "bad",
			[]string{"bad", "bad", "bad"}, nil},
		{"no retry of what cannot help", "on: manual\nsteps:\n  - {id: gone, uses: test/act, retry: 5}", "failed", "gone", []string{"gone"}, nil},
		{"retry.when decides", "on: manual\nsteps:\n  - {id: gone, uses: test/act, retry: {max: 1, when: error.status == 404}}", "failed",
			"gone", []string{"gone", "gone"}, nil},
		{"no retry by default for what is not safe", "on: manual\nsteps:\n  - {id: bad, uses: test/act}", "failed", "bad", []string{"bad"}, nil},
		{"continue_on_error", "on: manual\nsteps:\n  - {id: bad, uses: test/act, continue_on_error: true}\n  - {id: b, uses: " +
			"test/act}\noutput: " +
			"${{ steps.bad.error.status }}", "succeeded", "", []string{"bad", "b"}, 503},
		{"a step's on_failure, and the failure still counts", "on: manual\nsteps:\n  - id: bad\n    uses: test/act\n    on_failure: [{id: h, " +
			"uses: test/act, with: {n: \"${{ error.status }}\"}}]\n  - {id: b, uses: test/act}", "failed", "bad",
			[]string{"bad", "bad/on_failure/h"}, nil},
		{"a failing handler stands beside the failure", "on: manual\nsteps:\n  - {id: gone, uses: test/act}\non_failure:\n  - {id: bad, uses: " +
			"test/act}", "failed", "gone", []string{"gone", "on_failure/bad"}, nil},
		{"a group forgives", "on: manual\nsteps:\n  - steps: [{id: bad, uses: test/act}]\n    continue_on_error: true\n  - {id: b, uses: " +
			"test/act}", "succeeded", "", []string{"0/bad", "b"}, nil},
		{"foreach gives the outputs in order", "on: manual\nsteps:\n  - {id: l, foreach: \"[3, 1, 2]\", uses: test/act, with: {n: \"${{ item * " +
			"10 + index }}\"}, output: \"${{ result.n }}\"}\noutput: ${{ steps.l.output }}", "succeeded", "", []string{"l/0", "l/1", "l/2"},
			[]any{30, 11, 22}},
		{"foreach over a map gives sorted pairs", "on: manual\nsteps:\n  - {id: l, foreach: \"{b: 2, a: 1}\", as: p, uses: test/act, with: {n: " +
			"\"${{ p.key }}${{ p.value }}\"}, output: \"${{ result.n }}\"}\noutput: ${{ steps.l.output }}", "succeeded", "",
			[]string{"l/0", "l/1"}, []any{"a1", "b2"}},
		{"foreach over nothing", "on: manual\nsteps:\n  - {id: l, foreach: \"[]\", uses: test/act}\noutput: ${{ steps.l.output }}", "succeeded",
			"", nil, []any{}},
		{"foreach over what is no list", "on: manual\nsteps:\n  - {id: l, foreach: event.data.no, uses: test/act}", "failed", "l", nil, nil},
		{"foreach over a group, with a set of its own",
			"on: manual\nvars: {v: 0}\nsteps:\n  - id: l\n    foreach: \"[1, 2]\"\n    steps:\n     " +
				" - set: {v: \"${{ item }}\"}\n      - {id: a, uses: test/act, with: {n: \"${{ vars.v }}\"}}\n    output: ${{ result.a.n }}\noutput: " +
				"${{ concat(steps.l.output, [vars.v]) }}", "succeeded", "", []string{"l/0/a", "l/1/a"}, []any{1, 2, 0}},
		{"a loop fails at its first failure", "on: manual\nsteps:\n  - {id: l, foreach: \"[1, 2]\", steps: [{id: gone, uses: test/act}]}",
			"failed", "l/0/gone", []string{"l/0/gone"}, nil},
		{"a loop that goes on fails at its end", "on: manual\nsteps:\n  - {id: l, foreach: \"[1, 2]\", fail_fast: false, steps: [{id: gone, " +
			"uses: test/act}]}", "failed", "l/0/gone", []string{"l/0/gone", "l/1/gone"}, nil},
		{"a loop that is forgiven gives what it has", "on: manual\nsteps:\n  - id: l\n    foreach: \"[1, 2, 3]\"\n    fail_fast: " +
			"false\n    continue_on_error: true\n    steps:\n      - {id: a, if: item != 2, uses: test/act, with: {n: \"${{ item }}\"}}\n      - " +
			"{if: item == 2, fail: \"no\"}\n    output: ${{ result.a.n }}\noutput: ${{ steps.l.output }}", "succeeded", "",
			[]string{"l/0/a", "l/2/a"}, []any{1, nil, 3}},
		{"stop inside a loop ends the run", "on: manual\nsteps:\n  - foreach: \"[1, 2]\"\n    steps: [{if: true, stop: enough}]\n  - {id: b, " +
			"uses: test/act}", "succeeded", "", nil, nil},
		{"parallel branches all run, and are visible after", "on: manual\nsteps:\n  - id: p\n    parallel:\n      - {id: a, uses: test/act, " +
			"with: {n: 1}}\n      - steps: [{id: b, uses: test/act, with: {n: 2}}, {id: c, uses: test/act, with: {n: \"${{ steps.b.output.n + 1 " +
			"}}\"}}]\noutput: ${{ [steps.a.output?.n, steps.c.output?.n, steps.p.output.a.n] }}", "succeeded", "",
			[]string{"p/a", "p/1/b", "p/1/c"}, []any{1, 3, 1}},
		{"a parallel branch that fails lets the others end", "on: manual\nsteps:\n  - parallel:\n      - {id: gone, uses: test/act}\n      - " +
			"steps: [{id: b, uses: test/act}, {id: c, uses: test/act}]\n  - {id: d, uses: test/act}", "failed", "0/gone",
			[]string{"0/gone", "0/1/b", "0/1/c"}, nil},
		{"what a branch sets is seen there only", "on: manual\nvars: {v: 0}\nsteps:\n  - parallel:\n      - steps: [{set: {v: 1}}, {id: a, " +
			"uses: test/act, with: {n: \"${{ vars.v }}\"}}]\n      - {id: b, uses: test/act, with: {n: \"${{ vars.v }}\"}}\noutput: ${{ " +
			"[steps.a.output?.n, steps.b.output?.n, vars.v] }}", "succeeded", "", []string{"0/0/a", "0/b"}, []any{1, 0, 0}},
		{"stop in a parallel branch ends the run", "on: manual\nsteps:\n  - parallel:\n      - {if: true, stop: enough}\n      - {id: b, uses: " +
			"test/act}\n  - {id: c, uses: test/act}", "succeeded", "", nil, nil},
		{"sleep passes", "on: manual\nsteps:\n  - {id: z, sleep: 365d}\n  - {id: a, uses: test/act, with: {n: \"${{ now().Year() > 0 " +
			"}}\"}}\noutput: ${{ steps.z.status }}", "succeeded", "", []string{"a"}, "succeeded"},
		{"sleep until", "on: manual\nsteps:\n  - sleep: {until: \"2027-01-01T00:00:00Z\"}\n  - {id: a, uses: test/act}", "succeeded", "",
			[]string{"a"}, nil},
		{"sleep until nonsense", "on: manual\nsteps:\n  - {id: z, sleep: {until: \"${{ event.type }}\"}}", "failed", "z", nil, nil},
		{"a group runs out of time in its sleep", "on: manual\nsteps:\n  - {steps: [{id: a, uses: test/act}, {sleep: 2h}, {id: b, uses: " +
			"test/act}], timeout: 1h}", "failed", "0", []string{"0/a"}, nil},
		{"a loop in a parallel in a loop", "on: manual\nsteps:\n  - id: l\n    foreach: \"[[1, 2], [3]]\"\n    as: row\n    max_parallel: " +
			"2\n    steps:\n      - parallel:\n          - {id: m, foreach: row, uses: test/act, with: {n: \"${{ item }}\"}, output: " +
			"\"${{ result.n }}\"}\n    output: ${{ result }}\noutput: ${{ len(steps.l.output) }}", "succeeded", "",
			[]string{"l/0/0/m/0", "l/1/0/m/0", "l/0/0/m/1"}, 2},
		{"nil in a URL is an error", "on: manual\nsteps:\n  - {id: a, uses: test/act, with: {url: \"https://x/${{ event.data.missing }}\"}}",
			"failed", "a", nil, nil},
		{"an error in if is a failure", "on: manual\nsteps:\n  - {id: a, if: event.data.x.y == 1, uses: test/act}", "failed", "a", nil, nil},
		{"a broken var fails the run", "on: manual\nvars: {v: \"${{ event.data.x.y }}\"}\nsteps:\n  - {id: a, uses: test/act}", "failed",
			"vars.v", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var did []string
			end := carry(t, state(flow(t, c.text), map[string]any{"no": false}), func(d plan.Due) *plan.Error {
				did = append(did, d.Path)
				return fail[d.Path[strings.LastIndex(d.Path, "/")+1:]]
			})
			step := ""
			if end.Error != nil {
				step = end.Error.Step
			}
			if end.Status != c.status || step != c.errorStep || !reflect.DeepEqual(did, c.did) || !reflect.DeepEqual(end.Output, c.output) {
				t.Errorf("ended %s at %q with %v after %v (%+v)", end.Status, step, end.Output, did, end.Error)
			}
		})
	}
}

func TestPausesFollowTheFormulaAndSpread(t *testing.T) {
	r := workflows.DefaultRetry()
	r.Jitter = false
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
	for i, w := range want {
		if got := plan.Pause(r, i+1, "x"); got != w*time.Second {
			t.Errorf("pause %d is %v, want %vs", i+1, got, int(w))
		}
	}
	r.Jitter = true
	low, high := 0, 0
	for i := range 1000 {
		p := plan.Pause(r, 4, fmt.Sprintf("run_%d/a/4", i))
		if p < 4*time.Second || p > 8*time.Second {
			t.Fatalf("pause of 8s with jitter is %v", p)
		}
		if p < 6*time.Second {
			low++
		} else {
			high++
		}
		if p != plan.Pause(r, 4, fmt.Sprintf("run_%d/a/4", i)) {
			t.Fatal("the same attempt got two pauses")
		}
	}
	if low < 400 || high < 400 {
		t.Errorf("pauses do not spread: %d below the middle, %d above", low, high)
	}
}

func TestRetryAfterIsObeyedUpToMaxDelay(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act, retry: {max: 1, max_delay: 20s}}"), nil)
	for _, c := range []struct{ after, want time.Duration }{{15 * time.Second, 15 * time.Second}, {time.Hour, 20 * time.Second}} {
		st.Records = nil
		st.AddRecord(&plan.Record{Path: "a", Attempt: 1, Status: plan.Failed, StartedAt: st.Now, FinishedAt: st.Now,
			Error: &plan.Error{Retryable: true, RetryAfter: c.after}})
		d := plan.Next(st)
		if len(d.Due) != 1 || d.Due[0].NotBefore.Sub(st.Now) != c.want {
			t.Errorf("Retry-After %v: %+v", c.after, d)
		}
	}
}

func TestInterruptedAttemptFollowsOnUnknown(t *testing.T) {
	for policy, want := range map[string]string{"retry": "again", "fail": "interrupted"} {
		st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act, on_unknown: "+policy+
			", with: {n: \"${{ uuid() }} ${{ now() }}\"}}"), nil)
		first := plan.Next(st).Due[0]
		st.AddRecord(&plan.Record{Path: "a", Attempt: 1, Status: plan.Unknown, StartedAt: st.Now, FinishedAt: st.Now})
		st.Now = st.Now.Add(time.Hour)
		d := plan.Next(st)
		if want == "again" {
			if len(d.Due) != 1 || d.Due[0].Attempt != 2 || !reflect.DeepEqual(d.Due[0].With, first.With) {
				t.Errorf("sent again as %+v, first as %+v", d.Due, first.With)
			}
		} else if d.End == nil || d.End.Error.Code != want {
			t.Errorf("on_unknown fail: %+v", d)
		}
	}
}

func TestSecretsAreMaskedInWhatIsShown(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act, with: {n: \"Bearer ${{ secrets.TOKEN }}\"}}"), nil)
	st.Secrets = map[string]any{"TOKEN": "hunter2"}
	d := plan.Next(st).Due[0]
	if d.With["n"] != "Bearer hunter2" || d.Shown["n"] != "Bearer ***" {
		t.Errorf("with %v, shown %v", d.With, d.Shown)
	}
}

// TestAnyRunEndsAndNoStepRunsTwice makes random workflows, outcomes and
// crashes: every run ends, no finished step is due again, and asking twice gives
// the same answer.
func TestAnyRunEndsAndNoStepRunsTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := 0
		text := "on: manual\nsteps:\n" + randomSteps(r, &n, 1, 0, false)
		if rapid.Bool().Draw(r, "handler") {
			text += "on_failure:\n" + randomSteps(r, &n, 1, 2, true)
		}
		st := state(flow(t, text), map[string]any{"yes": true, "no": false})
		done := map[string]bool{}
		for range 400 {
			d := plan.Next(st)
			again := plan.Next(st)
			if !reflect.DeepEqual(paths(d), paths(again)) || fmt.Sprint(d.Questions) != fmt.Sprint(again.Questions) ||
				(d.End == nil) != (again.End == nil) {
				r.Fatalf("two answers: %v %+v %+v, %v %+v %+v\n%s", paths(d), d.End, d.Questions, paths(again), again.End, again.Questions, text)
			}
			if d.End != nil {
				return
			}
			for _, c := range d.Calls {
				if done[c.Path] {
					r.Fatalf("%s calls again after it succeeded\n%s", c.Path, text)
				}
				rec := &plan.Record{Path: c.Path, Attempt: c.Attempt, Action: "call", Status: plan.Waiting, StartedAt: st.Now,
					Waits: []plan.Wait{{Kind: plan.WaitCall, Event: "evt_1"}}}
				if c.Detach {
					rec.Status, rec.FinishedAt, done[c.Path] = plan.Succeeded, st.Now, true
				}
				st.AddRecord(rec)
			}
			if len(d.Calls) > 0 {
				continue
			}
			moves := len(d.Due) > 0
			for _, q := range d.Questions {
				if moves && rapid.Bool().Draw(r, "silent") || d.Wake.After(st.Now) && rapid.Bool().Draw(r, "late") {
					continue
				}
				moves = true
				a := &plan.Answer{Attempt: q.Attempt, Verdict: rapid.SampledFrom(map[string][]string{"approval": {"approve", "reject"},
					"review": {"resend", "done", "fail"}, "call": {"call"}}[q.Kind]).Draw(r, "verdict")}
				if q.Kind == "call" && rapid.Bool().Draw(r, "fails") {
					a.Err = &plan.Error{Message: "x", Retryable: true}
				}
				if st.Answers == nil {
					st.Answers = map[string]*plan.Answer{}
				}
				st.Answers[q.Path] = a
			}
			if !moves {
				if !d.Wake.After(st.Now) {
					r.Fatalf("stuck\n%s", text)
				}
				st.Now = d.Wake
			}
			for _, x := range d.Due {
				if done[x.Path] {
					r.Fatalf("%s is due again after it succeeded\n%s", x.Path, text)
				}
				if len(d.Due) > 1 && rapid.Bool().Draw(r, "later") {
					continue // another branch is faster
				}
				if x.NotBefore.After(st.Now) {
					st.Now = x.NotBefore
				}
				rec := &plan.Record{Path: x.Path, Attempt: x.Attempt, StartedAt: st.Now, FinishedAt: st.Now}
				switch rapid.IntRange(0, 3).Draw(r, "outcome") {
				case 0:
					rec.Status, rec.Error = plan.Failed, &plan.Error{Message: "x", Retryable: rapid.Bool().Draw(r, "retryable")}
				case 1:
					rec.Status = plan.Unknown
				default:
					rec.Status, done[x.Path] = plan.Succeeded, true
				}
				st.AddRecord(rec)
			}
			if rapid.IntRange(0, 4).Draw(r, "restart") == 0 {
				// A restart: a new state from the records alone.
				fresh := state(st.Workflow, map[string]any{"yes": true, "no": false})
				fresh.Now, fresh.Records, fresh.Answers = st.Now, st.Records, st.Answers
				st = fresh
			}
		}
		r.Fatalf("the run does not end\n%s", text)
	})
}

func paths(d plan.Decision) []string {
	var out []string
	for _, x := range d.Due {
		out = append(out, fmt.Sprintf("%s#%d", x.Path, x.Attempt))
	}
	return out
}

// randomSteps writes a list of steps of every body; a handler cannot wait.
func randomSteps(r *rapid.T, n *int, depth, indent int, handler bool) string {
	pad := strings.Repeat(" ", indent+2)
	out := ""
	for range rapid.IntRange(1, 3).Draw(r, "steps") {
		*n++
		mods := ""
		if rapid.IntRange(0, 3).Draw(r, "if") == 0 {
			mods += pad + "  if: event.data." + rapid.SampledFrom([]string{"yes", "no", "no.deep"}).Draw(r, "cond") + "\n"
		}
		if rapid.IntRange(0, 3).Draw(r, "forgive") == 0 {
			mods += pad + "  continue_on_error: true\n"
		}
		kind := rapid.IntRange(0, 11).Draw(r, "body")
		if depth >= 3 && kind >= 4 || kind == 10 && handler {
			kind = 0
		}
		switch kind {
		case 0, 1, 2:
			out += fmt.Sprintf("%s- id: s%d\n%s  uses: test/act\n%s  on_unknown: %s\n%s  retry: %d\n%s", pad, *n, pad, pad,
				rapid.SampledFrom([]string{"retry", "fail", "review"}).Draw(r, "doubt"), pad, rapid.IntRange(0, 3).Draw(r, "retry"), mods)
			if depth < 4 && rapid.IntRange(0, 4).Draw(r, "on_failure") == 0 {
				out += pad + "  on_failure:\n" + randomSteps(r, n, depth+1, indent+4, true)
			}
		case 3:
			out += fmt.Sprintf("%s- set: {v%d: \"${{ event.type }}\"}\n", pad, *n)
		case 4:
			out += fmt.Sprintf("%s- steps:\n%s%s", pad, randomSteps(r, n, depth+1, indent+4, handler), mods)
		case 5:
			out += fmt.Sprintf("%s- switch: event.type\n%s  cases:\n%s    t:\n%s%s    u:\n%s", pad, pad, pad,
				randomSteps(r, n, depth+1, indent+6, handler), pad, randomSteps(r, n, depth+1, indent+6, handler))
		case 7:
			out += fmt.Sprintf("%s- parallel:\n%s%s", pad, randomSteps(r, n, depth+1, indent+4, handler), mods)
		case 8:
			// The name is the loop's own, so that loops can lie in each other.
			name := *n
			out += fmt.Sprintf("%s- foreach: \"[1, 2, 3]\"\n%s  as: i%d\n%s  max_parallel: %d\n%s  fail_fast: %v\n%s  steps:\n%s%s", pad, pad,
				name, pad, rapid.IntRange(1, 3).Draw(r, "width"), pad, rapid.Bool().Draw(r, "fast"), pad,
				randomSteps(r, n, depth+1, indent+4, handler), mods)
		case 9:
			out += fmt.Sprintf("%s- sleep: %dm\n", pad, rapid.IntRange(1, 90).Draw(r, "minutes"))
		case 10:
			out += fmt.Sprintf("%s- wait: {approval: go on}\n%s  timeout: %dm\n%s", pad, pad, rapid.IntRange(1, 90).Draw(r, "minutes"), mods)
		case 11:
			out += fmt.Sprintf("%s- call: other\n%s  detach: %v\n%s  retry: %d\n%s", pad, pad, rapid.Bool().Draw(r, "detach"), pad,
				rapid.IntRange(0, 2).Draw(r, "retry"), mods)
		case 6:
			out += fmt.Sprintf("%s- if: event.data.%s\n%s  %s: over\n", pad, rapid.SampledFrom([]string{"yes", "no"}).Draw(r, "ending"), pad,
				rapid.SampledFrom([]string{"stop", "fail"}).Draw(r, "what"))
		}
	}
	return out
}

// TestRecordedInputIsTheOneSent: expressions run once, with the true secrets, and
// the record differs only where a secret stands.
func TestRecordedInputIsTheOneSent(t *testing.T) {
	for _, c := range []struct{ name, n, with, shown string }{
		{"whole", "${{ secrets.TOKEN }}", "whsec_abcdef0123", "***"},
		{"in a text", "a ${{ secrets.TOKEN }} b", "a whsec_abcdef0123 b", "a *** b"},
		{"short", "pin ${{ secrets.PIN }}!", "pin 12!", "pin ***!"},
		{"cut", "${{ secrets.TOKEN[0:8] }}", "whsec_ab", "***"},
		{"upper", "${{ upper(secrets.TOKEN) }}", "WHSEC_ABCDEF0123", "***"},
		{"compared", `mode ${{ secrets.TOKEN == "whsec_abcdef0123" ? "live" : "test" }}`, "mode live", "mode live"},
		{"parsed", `${{ fromJSON(secrets.ACCOUNT).private_key }}`, "k-0123456789", "***"},
		{"a part beside", `${{ fromJSON(secrets.ACCOUNT).project }}x`, "px", "***x"},
		{"made longer", `${{ "id-" + secrets.PIN }}`, "id-12", "***"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := state(flow(t, fmt.Sprintf("on: manual\nsteps:\n  - {id: a, uses: test/act, with: {n: %q}}", c.n)), nil)
			st.Secrets = map[string]any{"TOKEN": "whsec_abcdef0123", "PIN": "12", "ACCOUNT": `{"private_key":"k-0123456789","project":"p"}`}
			d := plan.Next(st).Due
			if len(d) != 1 || d[0].With["n"] != c.with || d[0].Shown["n"] != c.shown {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestExpressionsAreEvaluatedOnce(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act, with: {n: \"${{ secrets.TOKEN }} ${{ uuid() }}\"}}"), nil)
	st.Secrets = map[string]any{"TOKEN": "whsec_abcdef0123"}
	d := plan.Next(st).Due[0]
	with, _ := d.With["n"].(string)
	if shown, _ := d.Shown["n"].(string); len(shown) < 40 || shown != "***"+strings.TrimPrefix(with, "whsec_abcdef0123") {
		t.Errorf("sent %q, on record %q", with, shown)
	}
}

func TestASecretThatIsNotSetIsAnError(t *testing.T) {
	for _, n := range []string{"${{ secrets.GONE }}", "key=${{ secrets.GONE }}", "${{ secrets.GONE ?? 'x' }}", "${{ upper(secrets.GONE) }}"} {
		st := state(flow(t, fmt.Sprintf("on: manual\nsteps:\n  - {id: a, uses: test/act, with: {n: {a: %q}}}", n)), nil)
		d := plan.Next(st)
		if d.End == nil || d.End.Error == nil || !strings.Contains(d.End.Error.Message, "secret GONE is not set") {
			t.Errorf("%s: %+v", n, d)
		}
	}
}

func TestCredentialsAreNeverRecorded(t *testing.T) {
	acts["test/http"] = &workflows.ActionSpec{Name: "test/http", SideEffects: true, Inputs: []workflows.ActionInput{
		{Name: "auth", Type: "object"}, {Name: "headers", Type: "object"}, {Name: "pin", Type: "string", Secret: true}}}
	defer delete(acts, "test/http")
	st := state(flow(t, `on: manual
steps:
  - id: a
    uses: test/http
    with:
      pin: ${{ event.data.pin }}
      auth: {header: {name: X-Team, value: "${{ event.data.token }}"}}
      headers: {AUTHORIZATION: "Bearer ${{ event.data.token }}", X-Api-Key: k, X_Foo_Token: t, Cookie: c, X-Trace: "7", Idempotency-Key: i}
`), map[string]any{"token": "eyJ0", "pin": "77"})
	d := plan.Next(st).Due[0]
	want := map[string]any{"pin": "***", "auth": map[string]any{"header": map[string]any{"name": "X-Team", "value": "***"}},
		"headers": map[string]any{"AUTHORIZATION": "***", "X-Api-Key": "***", "X_Foo_Token": "***", "Cookie": "***", "X-Trace": "7",
			"Idempotency-Key": "i"}}
	if !reflect.DeepEqual(d.Shown, want) {
		t.Errorf("on record %v", d.Shown)
	}
	if h, _ := d.With["headers"].(map[string]any); h["AUTHORIZATION"] != "Bearer eyJ0" || d.With["pin"] != "77" {
		t.Errorf("sent %v", d.With)
	}
}
