package plan_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/projecttest"
	"github.com/hookloom/hookloom/workflows/value"
)

// flowWith is the workflow w of a project with a trigger hook and a workflow other, which takes the
// input n.
func flowWith(t testing.TB, text string) *workflows.Workflow {
	t.Helper()
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {auth: none}}}\n",
		"workflows/w.yaml": text, "workflows/other.yaml": "on: call\ninputs: {n: {type: integer}}\nsteps: [{stop: x}]\n"},
		workflows.Catalog{Actions: workflows.NewActions(acts, nil)})
	return p.Workflows["w"]
}

// put adds the record of an attempt of test/act.
func put(st *plan.State, path string, attempt int, status plan.Status, output any, err *plan.Error) *plan.Record {
	r := &plan.Record{Path: path, Attempt: attempt, Action: "test/act", Status: status, StartedAt: st.Now, FinishedAt: st.Now,
		Output: output, Error: err}
	st.AddRecord(r)
	return r
}

// TestWaitShowsThePersonOrEventItWaitsFor, and ends with what comes.
func TestWaitShowsThePersonOrEventItWaitsFor(t *testing.T) {
	for _, c := range []struct {
		name, wait, kind, text string
		answer                 *plan.Answer
		want                   string
	}{
		{"approved", "{approval: pay, by: [ada]}", "approval", "pay",
			&plan.Answer{Attempt: 1, Verdict: "approve", Output: "by ada"}, "by ada"},
		{"rejected", "{approval: pay}", "approval", "pay",
			&plan.Answer{Attempt: 1, Verdict: "reject", Output: map[string]any{"by": "ada", "comment": "too late"}},
			"a: rejected: rejected by ada: too late"},
		{"rejected without a word", "{approval: pay}", "approval", "pay",
			&plan.Answer{Attempt: 1, Verdict: "reject", Output: map[string]any{"by": "", "comment": ""}}, "a: rejected: rejected"},
		{"an event", "{event: hook, key: k-1}", "event", `an event of hook with the key "k-1"`,
			&plan.Answer{Attempt: 1, Output: "the event"}, "the event"},
		{"the answer to an earlier attempt", "{approval: pay}", "approval", "pay", &plan.Answer{Attempt: 2, Verdict: "approve"}, "waits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := state(flowWith(t, "on: manual\nsteps: [{id: a, wait: "+c.wait+", timeout: 1h}]\noutput: ${{ steps.a.output }}"), nil)
			d := plan.Next(st)
			if len(d.Questions) != 1 || d.Questions[0].Kind != c.kind || d.Questions[0].Text != c.text || !d.Wake.Equal(st.Now.Add(time.Hour)) {
				t.Fatalf("%+v", d)
			}
			if q := d.Questions[0]; c.kind == "event" && (q.Trigger != "hook" || q.Key != "k-1" || !q.From.Equal(st.Now.Add(-time.Hour))) {
				t.Errorf("%+v", q)
			}
			st.Answers = map[string]*plan.Answer{"a": c.answer}
			switch d = plan.Next(st); {
			case d.End == nil:
				if c.want != "waits" {
					t.Errorf("%+v", d)
				}
			case d.End.Error != nil:
				if got := d.End.Error.Step + ": " + d.End.Error.Code + ": " + d.End.Error.Message; got != c.want {
					t.Errorf("%s, expected %s", got, c.want)
				}
			case d.End.Output != c.want:
				t.Errorf("%v, expected %s", d.End.Output, c.want)
			}
		})
	}
}

func TestAWaitForTheFirstOfSeveralIsShownWithAll(t *testing.T) {
	st := state(flowWith(t, "on: manual\nsteps: [{id: a, wait: {any: [{event: hook, key: k-1}, {approval: pay}]}, timeout: 1h}]"), nil)
	if d := plan.Next(st); len(d.Questions) != 2 {
		t.Fatalf("%+v", d)
	}
	shown := plan.Shown(st.Records["a"][0].Waits)
	list, _ := shown["any"].([]any)
	if len(list) != 2 || shown["approval"] != "pay" {
		t.Fatalf("%v", shown)
	}
	if first, _ := list[0].(map[string]any); first["event"] != "hook" || first["key"] != "k-1" || shown["event"] != nil {
		t.Errorf("%v", shown)
	}
}

// TestAClockThatIsSetBackMovesDurationsOnly: a wait until a calendar time, or without an end, stays.
func TestAClockThatIsSetBackMovesDurationsOnly(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	wait := func(w plan.Wait) *plan.Record { return &plan.Record{Status: plan.Waiting, Waits: []plan.Wait{w}} }
	if r := plan.SetBack(wait(plan.Wait{Until: at}), time.Hour); r == nil || !r.Until().Equal(at.Add(-time.Hour)) {
		t.Errorf("a duration: %+v", r)
	}
	for name, w := range map[string]plan.Wait{"a calendar time": {Until: at, Fixed: true}, "no end": {}} {
		if r := plan.SetBack(wait(w), time.Hour); r != nil {
			t.Errorf("%s moves: %+v", name, r)
		}
	}
}

// TestAnUnknownOutcomeIsDecidedByAPerson: on_unknown: review asks, and the answer is carried out.
func TestAnUnknownOutcomeIsDecidedByAPerson(t *testing.T) {
	for verdict, want := range map[string]string{"done": "succeeded", "fail": "failed", "resend": "due"} {
		st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act, on_unknown: review}]\noutput: ${{ steps.a.output }}"), nil)
		put(st, "a", 1, plan.Unknown, nil, nil)
		d := plan.Next(st)
		if len(d.Questions) != 1 || d.Questions[0].Kind != "review" || d.Questions[0].Attempt != 1 || len(d.Due) != 0 {
			t.Fatalf("%+v", d)
		}
		st.Answers = map[string]*plan.Answer{"a": {Attempt: 1, Verdict: verdict, Output: "sent by hand"}}
		d = plan.Next(st)
		switch want {
		case "due":
			if len(d.Due) != 1 || d.Due[0].Attempt != 2 || d.End != nil {
				t.Errorf("%s: %+v", verdict, d)
			}
		case "failed":
			if d.End == nil || d.End.Status != want || d.End.Error.Code != "interrupted" {
				t.Errorf("%s: %+v", verdict, d)
			}
		default:
			if d.End == nil || d.End.Status != want || d.End.Output != "sent by hand" || len(d.Finished) != 1 || d.Finished[0].Attempt != 2 {
				t.Errorf("%s: %+v", verdict, d)
			}
		}
	}
}

// TestACallHasItsInputsAndItsTimeout, and is repeated as retry: says.
func TestACallHasItsInputsAndItsTimeout(t *testing.T) {
	st := state(flowWith(t, "on: manual\nsteps: [{id: c, call: other, with: {n: '${{ 6 * 7 }}'}, timeout: 1h, retry: {max: 1, delay: 10s, "+
		"jitter: false}}]"), nil)
	for attempt := 1; attempt <= 2; attempt++ {
		d := plan.Next(st)
		if len(d.Calls) != 1 {
			t.Fatalf("%d: %+v", attempt, d)
		}
		if c := d.Calls[0]; c.Attempt != attempt || c.Workflow != "other" || !c.Until.Equal(st.Now.Add(time.Hour)) ||
			!reflect.DeepEqual(c.Inputs, map[string]any{"n": 42}) {
			t.Errorf("%+v", c)
		}
		r := put(st, "c", attempt, plan.Failed, nil, &plan.Error{Message: "down", Code: "call_failed", Retryable: true})
		d = plan.Next(st)
		if attempt == 1 && (d.End != nil || len(d.Calls) != 0 || !d.Wake.Equal(r.FinishedAt.Add(10*time.Second))) {
			t.Errorf("%+v", d)
		}
		if attempt == 2 && (d.End == nil || d.End.Error.Message != "down") {
			t.Errorf("%+v", d)
		}
		st.Now = st.Now.Add(10 * time.Second)
	}
}

// TestACancelledRunRunsFinallyAlone: with the results of the steps before it, the status and the
// reason; what has not begun does not begin.
func TestACancelledRunRunsFinallyAlone(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act}\n  - {id: b, uses: test/act}\nfinally:\n  - {id: f, uses: test/act, "+
		"with: {n: '${{ steps.a.output }} ${{ run.status }} ${{ error.message }}'}}"), nil)
	put(st, "a", 1, plan.Succeeded, "x", nil)
	st.Cancelled = &plan.Error{Message: "by ada", Code: "cancelled"}
	d := plan.Next(st)
	if len(d.Due) != 1 || d.Due[0].Path != "finally/f" || d.Due[0].With["n"] != "x cancelled by ada" {
		t.Fatalf("%+v", d)
	}
	put(st, "finally/f", 1, plan.Succeeded, nil, nil)
	if d = plan.Next(st); d.End == nil || d.End.Status != "cancelled" || d.End.Error.Message != "by ada" {
		t.Errorf("%+v", d)
	}
}

// TestAFailedFinallyFailsTheRun that succeeded, and stands beside the failure of another.
func TestAFailedFinallyFailsTheRun(t *testing.T) {
	gone := &plan.Error{Message: "404", Code: "http_status"}
	for _, first := range []plan.Status{plan.Succeeded, plan.Failed} {
		st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act}\nfinally:\n  - {id: f, uses: test/act}"), nil)
		var e *plan.Error
		if first == plan.Failed {
			e = &plan.Error{Message: "500", Code: "http_status"}
		}
		put(st, "a", 1, first, nil, e)
		plan.Next(st)
		put(st, "finally/f", 1, plan.Failed, nil, gone)
		end := plan.Next(st).End
		switch {
		case end == nil || end.Status != "failed":
			t.Errorf("after %s: %+v", first, end)
		case first == plan.Succeeded && (end.Error.Message != "404" || end.Error.Handler != nil):
			t.Errorf("after success: %+v", end.Error)
		case first == plan.Failed && (end.Error.Message != "500" || end.Error.Handler == nil || end.Error.Handler.Message != "404"):
			t.Errorf("after a failure: %+v", end.Error)
		}
	}
}

// TestARunThatTookTooLongNamesItsOpenStep, and a run that failed in time has failed.
func TestARunThatTookTooLongNamesItsOpenStep(t *testing.T) {
	st := state(flow(t, "on: manual\ntimeout: 1h\nsteps:\n  - {id: a, uses: test/act}\n  - {id: b, uses: test/act}"), nil)
	put(st, "a", 1, plan.Succeeded, nil, nil)
	st.TimedOut = true
	end := plan.Next(st).End
	if end == nil || end.Status != "timed_out" || end.Error.Step != "b" || end.Error.Code != "timeout" {
		t.Errorf("%+v", end)
	}
	put(st, "b", 1, plan.Failed, nil, &plan.Error{Message: "404", Code: "http_status", Step: "b"})
	if end = plan.Next(st).End; end == nil || end.Status != "failed" || end.Error.Message != "404" {
		t.Errorf("%+v", end)
	}
	put(st, "b", 1, plan.Failed, nil, &plan.Error{Message: "no answer", Code: "timeout", Step: "b"})
	if end = plan.Next(st).End; end == nil || end.Status != "timed_out" {
		t.Errorf("%+v", end)
	}
}

func TestALoopHasABoundedNumberOfItems(t *testing.T) {
	for n, want := range map[int]string{10_000: "", 10_001: "foreach has 10001 items, the limit is 10000"} {
		st := state(flow(t, fmt.Sprintf("on: manual\nsteps: [{id: a, foreach: 1..%d, uses: test/act}]", n)), nil)
		d := plan.Next(st)
		if want == "" && (len(d.Due) != 1 || d.Due[0].Path != "a/0") {
			t.Errorf("%d items: %+v", n, d.End)
		}
		if want != "" && (d.End == nil || d.End.Error.Message != want || d.End.Error.Code != "too_large") {
			t.Errorf("%d items: %+v", n, d)
		}
	}
}

func TestAnInnerLoopHidesTheIndexOfTheOuterOnlyInside(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - id: o\n    foreach: 1..1\n    steps:\n      - {foreach: 1..2, as: x, uses: test/act, "+
		"with: {n: '${{ index }} of ${{ item }}'}}\n      - {uses: test/act, with: {n: '${{ index }}'}}"), nil)
	var got []any
	carry(t, st, func(d plan.Due) *plan.Error { got = append(got, d.With["n"]); return nil })
	if !reflect.DeepEqual(got, []any{"0 of 1", "1 of 1", 0}) {
		t.Errorf("%v", got)
	}
}

// TestAnIterationKeepsTheTimeoutOfItsAttempt; that of a loop over a group is the loop's.
func TestAnIterationKeepsTheTimeoutOfItsAttempt(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, foreach: 1..2, uses: test/act, timeout: 5s}]"), nil)
	if d := plan.Next(st); len(d.Due) != 1 || d.Due[0].Step.Timeout != 5*time.Second || !d.Due[0].Deadline.IsZero() {
		t.Errorf("%+v", d.Due)
	}
	st = state(flow(t, "on: manual\nsteps:\n  - {id: g, foreach: 1..2, timeout: 5s, steps: [{id: a, uses: test/act}]}\n  - {id: b, uses: "+
		"test/act}"), nil)
	d := plan.Next(st)
	if len(d.Due) != 1 || !d.Due[0].Deadline.Equal(st.Now.Add(5*time.Second)) || d.Due[0].Group != "g" {
		t.Errorf("%+v", d.Due)
	}
	put(st, "g/0/a", 1, plan.Succeeded, nil, nil)
	put(st, "g/1/a", 1, plan.Succeeded, nil, nil)
	if d = plan.Next(st); len(d.Due) != 1 || d.Due[0].Path != "b" || !d.Due[0].Deadline.IsZero() {
		t.Errorf("the step after the group: %+v", d.Due)
	}
}

func TestAGroupFailsAfterItsOpenAttemptsHaveEnded(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: g, timeout: 5s, steps: [{id: a, uses: test/act}, {id: b, uses: test/act}]}]"), nil)
	plan.Next(st)
	r := put(st, "g/a", 1, plan.Running, nil, nil)
	st.Now = st.Now.Add(6 * time.Second)
	if d := plan.Next(st); d.End != nil || len(d.Due) != 0 {
		t.Errorf("an attempt is open: %+v", d)
	}
	r.Status = plan.Succeeded
	if d := plan.Next(st); d.End == nil || d.End.Error.Step != "g" || d.End.Error.Code != "timeout" {
		t.Errorf("%+v", d)
	}
}

// TestNoIterationStartsAfterAFailedOne, and those that wait are cut.
func TestNoIterationStartsAfterAFailedOne(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: l, foreach: 1..4, max_parallel: 2, steps: [{id: s, wait: {approval: go}}, {id: a, uses: "+
		"test/act}]}]"), nil)
	plan.Next(st)
	st.Answers = map[string]*plan.Answer{"l/0/s": {Attempt: 1, Verdict: "reject"}}
	d := plan.Next(st)
	if len(d.Due) != 0 || d.End == nil || d.End.Error.Step != "l/0/s" {
		t.Fatalf("%+v", d)
	}
	if r := st.Records["l/1/s"]; len(r) != 1 || r[0].Status != plan.Failed || r[0].Error.Code != "fail_fast" {
		t.Errorf("%+v", r)
	}
	if st.Records["l/2/s"] != nil || st.Records["l/3/s"] != nil {
		t.Error("an iteration has begun")
	}
}

func TestAnOutputSeesTheStepsBeforeIt(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act, with: {n: 40}}\n  - {id: b, uses: test/act, with: {n: 2}, output: "+
		"'${{ steps.a.output.n + result.n }}'}\noutput: ${{ steps.b.output }}"), nil)
	if end := carry(t, st, func(plan.Due) *plan.Error { return nil }); end.Output != 42 {
		t.Errorf("%+v", end)
	}
}

// TestAKeptCallIsRepeatedUnchanged: with the run and the time of its first attempt.
func TestAKeptCallIsRepeatedUnchanged(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act, with: {n: '${{ run.id }} ${{ now().Year() }}'}}]"), nil)
	st.Kept = map[string]*plan.Kept{"a": {Run: map[string]any{"id": "run_0"}, Began: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}}
	if d := plan.Next(st); len(d.Due) != 1 || d.Due[0].With["n"] != "run_0 2025" {
		t.Errorf("%+v", d.Due)
	}
}

func TestHeldAttemptKeepsItsFirstDueTime(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act}]"), nil)
	put(st, "a", 1, plan.Waiting, nil, nil)
	since := st.Now
	st.Now = st.Now.Add(time.Minute)
	if d := plan.Next(st); len(d.Due) != 1 || !d.Due[0].HeldSince.Equal(since) || d.Due[0].Attempt != 1 {
		t.Errorf("%+v", d.Due)
	}
}

// TestAStepWhoseActionIsGoneFails with the reason, in whatever state it is.
func TestAStepWhoseActionIsGoneFails(t *testing.T) {
	for status, want := range map[plan.Status]string{"": "gone", plan.Failed: "gone", plan.Waiting: "gone", plan.Running: "open",
		plan.Succeeded: "succeeded"} {
		w := flow(t, "on: manual\nsteps: [{id: a, uses: test/act}]")
		w.Steps[0].Gone = "the action test/act no longer exists"
		st := state(w, nil)
		if status != "" {
			put(st, "a", 1, status, nil, nil)
		}
		d := plan.Next(st)
		switch {
		case want == "open" && d.End != nil, want == "succeeded" && (d.End == nil || d.End.Status != want):
			t.Errorf("%q: %+v", status, d)
		case want == "gone" && (d.End == nil || d.End.Error.Code != "gone" || d.End.Error.Message != w.Steps[0].Gone):
			t.Errorf("%q: %+v", status, d)
		}
	}
}

// TestADeadlineOfAParallelGroupKeepsTheOutputsInIt, for its handler.
func TestADeadlineOfAParallelGroupKeepsTheOutputsInIt(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - id: g\n    deadline: 5s\n    parallel: [{id: a, uses: test/act}, {id: b, uses: test/act}]\n"+
		"    on_failure: [{id: h, uses: test/act, with: {n: '${{ steps.a.output }}'}}]"), nil)
	plan.Next(st)
	put(st, "g/a", 1, plan.Succeeded, "kept", nil)
	st.Now = st.Now.Add(6 * time.Second)
	if d := plan.Next(st); len(d.Due) != 1 || d.Due[0].Path != "g/on_failure/h" || d.Due[0].With["n"] != "kept" {
		t.Errorf("%+v", d)
	}
}

func TestTheDeadlineOfARunNamesTheStepThatIsDue(t *testing.T) {
	st := state(flow(t, "on: manual\ndeadline: 5s\nsteps: [{id: a, uses: test/act}]"), nil)
	st.Now = st.Now.Add(6 * time.Second)
	if d := plan.Next(st); d.End == nil || d.End.Error.Step != "a" || d.End.Status != "timed_out" {
		t.Errorf("%+v", d)
	}
}

// TestErrorOfATooLargeTextGivesAdvice: a text of fail that exceeds the limit of a value is too_large, with advice.
func TestErrorOfATooLargeTextGivesAdvice(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, fail: '${{ event.data.text }}'}]"),
		map[string]any{"text": strings.Repeat("x", value.MaxSize+1)})
	d := plan.Next(st)
	if d.End == nil || d.End.Error.Code != "too_large" || !strings.HasPrefix(d.End.Error.Message, "the text ") ||
		!strings.HasSuffix(d.End.Error.Message, ": write less data into it") {
		t.Errorf("%.200v", d.End)
	}
}

// TestLimitErrorNamesTheLimitWithAdvice, and what is no limit is an error of the expression.
func TestLimitErrorNamesTheLimitWithAdvice(t *testing.T) {
	for _, c := range []struct {
		err           error
		code, message string
	}{
		{fmt.Errorf("output: %w", &value.LimitError{Problem: "is too deep"}), "too_large", "the output is too deep: keep less"},
		{fmt.Errorf("output: %w", value.ErrTooLarge), "too_large", "the output: output: " + value.ErrTooLarge.Error() + ": keep less"},
		{&expr.LimitError{}, "too_large", (&expr.LimitError{}).Error()},
		{errors.New("no such field"), "expression", "no such field"},
	} {
		e := plan.TooLarge(c.err, "the output", "keep less", "a")
		if e == nil || e.Code != c.code || e.Message != c.message || e.Step != "a" {
			t.Errorf("%v: %+v", c.err, e)
		} else if c.code == "too_large" && strings.HasPrefix(c.message, "the output") && e.Attempts != 1 {
			t.Errorf("%v: %d attempts", c.err, e.Attempts)
		}
	}
}

func TestWaitingStepOfAnEndedRunIsShownAsCancelled(t *testing.T) {
	for want, r := range map[string]*plan.Record{
		"cancelled": {Status: plan.Failed, Error: &plan.Error{Code: plan.CutCode}},
		"failed":    {Status: plan.Failed, Error: &plan.Error{Code: "timeout"}},
		"succeeded": {Status: plan.Succeeded},
	} {
		if got := r.Shown(); got != want {
			t.Errorf("%s, expected %s", got, want)
		}
	}
	if got := (&plan.Record{Status: plan.Failed}).Shown(); got != "failed" {
		t.Errorf("a failure without an error: %s", got)
	}
}

// TestCredentialsUnderAuthAreMaskedFromThenOn, but no names, and nothing too short to be one.
func TestCredentialsUnderAuthAreMaskedFromThenOn(t *testing.T) {
	acts["test/auth"] = &workflows.ActionSpec{Name: "test/auth", SideEffects: true,
		Inputs: []workflows.ActionInput{{Name: "auth", Type: "object"}}}
	defer delete(acts, "test/auth")
	st := state(flow(t, "on: manual\nsteps:\n  - id: a\n    uses: test/auth\n    with: {auth: {header: {name: X-Team, value: '${{ "+
		"event.data.token }}'}}}"), nil)
	for token, want := range map[string][]string{"tok-0123456789": {"tok-0123456789"}, "x": nil} {
		st.Event["data"] = map[string]any{"token": token}
		if d := plan.Next(st).Due[0]; !reflect.DeepEqual(d.Derived, want) {
			t.Errorf("%s: masked from now on %q", token, d.Derived)
		}
	}
}

// TestAStepThatFailedInDoubtReadsAsFailed: the manual promises succeeded, failed or skipped, so that
// a condition for failed steps holds for a lost response too.
func TestAStepThatFailedInDoubtReadsAsFailed(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act, on_unknown: fail, continue_on_error: true}]\n"+
		"output: ${{ steps.a.status }}"), nil)
	put(st, "a", 1, plan.Unknown, nil, &plan.Error{Message: "no answer", Code: "network"})
	if d := plan.Next(st); d.End == nil || d.End.Output != "failed" {
		t.Errorf("%+v", d.End)
	}
}
