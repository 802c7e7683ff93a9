package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

var gone = &plan.Error{Message: "404", Code: "http_status", Status: 404}

// TestAFailureNamesItsStepAndItsHandler: the step inside the groups, with the failure of the
// group's own on_failure beside it.
func TestAFailureNamesItsStepAndItsHandler(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: g, steps: [{id: a, uses: test/act}], on_failure: [{id: h, fail: "+
		"'on ${{ error.step }}'}]}"), nil)
	put(st, "g/a", 1, plan.Failed, nil, gone)
	end := plan.Next(st).End
	if end == nil || end.Error.Step != "g/a" || end.Error.Handler == nil || end.Error.Handler.Message != "on g/a" || end.Error.Handler.Step !=
		"g/on_failure/h" {
		t.Fatalf("%+v", end)
	}
}

// TestHandlersErrorIsVisibleOnlyInIt: a handler inside a handler sees its own failure, and afterwards
// the outer one counts again.
func TestHandlersErrorIsVisibleOnlyInIt(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act}]\non_failure:\n  - {id: b, uses: test/act, continue_on_error: true, "+
		"on_failure: [{id: in, uses: test/act, with: {n: '${{ error.message }}'}}]}\n  - {id: c, uses: test/act, with: {n: "+
		"'${{ error.message }}'}}"), nil)
	put(st, "a", 1, plan.Failed, nil, &plan.Error{Message: "first", Code: "http_status"})
	put(st, "on_failure/b", 1, plan.Failed, nil, &plan.Error{Message: "second", Code: "http_status"})
	if d := plan.Next(st); len(d.Due) != 1 || d.Due[0].With["n"] != "second" {
		t.Fatalf("%+v", d.Due)
	}
	put(st, "on_failure/b/on_failure/in", 1, plan.Succeeded, nil, nil)
	if d := plan.Next(st); len(d.Due) != 1 || d.Due[0].With["n"] != "first" {
		t.Errorf("%+v", d.Due)
	}
}

// TestAttemptsAreCountedInSteps: of an action, of a stop, and of a step whose action is gone.
func TestAttemptsAreCountedInSteps(t *testing.T) {
	w := flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act}\n  - {id: s, stop: x}\noutput: ${{ steps.a.attempts }}/${{ "+
		"steps.s.attempts }}")
	for reason, want := range map[string]string{"": "2/1", "the action is gone": "2/1"} {
		w.Steps[0].Gone = reason
		st := state(w, nil)
		put(st, "a", 1, plan.Failed, nil, &plan.Error{Message: "503", Code: "http_status", Retryable: true})
		put(st, "a", 2, plan.Succeeded, nil, nil)
		if end := plan.Next(st).End; end == nil || end.Output != want {
			t.Errorf("%q: %+v, expected %s", reason, end, want)
		}
	}
}

// TestACallOfAWorkflowThatIsGoneFails, and one that succeeded stays.
func TestACallOfAWorkflowThatIsGoneFails(t *testing.T) {
	for status, want := range map[plan.Status]string{plan.Failed: "failed", plan.Succeeded: "succeeded"} {
		w := flowWith(t, "on: manual\nsteps: [{id: c, call: other}]")
		w.Steps[0].Gone = "workflow other no longer exists"
		st := state(w, nil)
		var err *plan.Error
		if status == plan.Failed {
			err = &plan.Error{Message: "x", Code: "call_failed"}
		}
		put(st, "c", 1, status, nil, err)
		d := plan.Next(st)
		if d.End == nil || d.End.Status != want {
			t.Fatalf("%s: %+v", status, d)
		}
		if last := st.Records["c"][len(st.Records["c"])-1]; want == "failed" && (last.Action != "call" || last.Error.Code != "gone") {
			t.Errorf("%+v", last)
		}
	}
}

func TestAnInputOfTheWrongTypeFailsTheStep(t *testing.T) {
	acts["test/count"] = &workflows.ActionSpec{Name: "test/count", SideEffects: true,
		Inputs: []workflows.ActionInput{{Name: "n", Type: "integer"}}}
	defer delete(acts, "test/count")
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/count, with: {n: '${{ event.data.n }}'}}]"), map[string]any{"n": "many"})
	if d := plan.Next(st); d.End == nil || d.End.Error.Step != "a" || d.End.Error.Code != "expression" {
		t.Errorf("%+v", d)
	}
}

// TestAVariableThatFailsEndsTheRunBeforeItsSteps, and no later one is computed.
func TestAVariableThatFailsEndsTheRunBeforeItsSteps(t *testing.T) {
	st := state(flow(t, "on: manual\nvars: {a: '${{ int(event.data.x) }}', b: '${{ int(event.data.y) }}'}\nsteps: [{id: s, uses: test/act}]"),
		map[string]any{"x": "no number", "y": "neither"})
	if d := plan.Next(st); d.End == nil || d.End.Error.Step != "vars.a" || len(d.Due) != 0 {
		t.Errorf("%+v", d)
	}
}

// TestOutputsOfARunAreBoundedTogether: a replaced record frees what it took.
func TestOutputsOfARunAreBoundedTogether(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act}]"), nil)
	put(st, "a", 1, plan.Succeeded, strings.Repeat("x", 1000), nil)
	took := st.Memory()
	put(st, "a", 1, plan.Succeeded, strings.Repeat("y", 1000), nil)
	if took < 1000 || st.Memory() != took {
		t.Errorf("%d, then %d", took, st.Memory())
	}
	large := strings.Repeat("x", plan.MaxMemory-int(took)+1)
	r := &plan.Record{Path: "b", Attempt: 3, Status: plan.Succeeded, Output: large}
	if st.Fit(r); r.Status != plan.Failed || r.Output != nil || r.Error.Code != "too_large" || r.Error.Attempts != 3 {
		t.Errorf("%s %+v", r.Status, r.Error)
	}
}

// TestTheTextOfAnErrorIsBounded, that of its handler as well.
func TestTheTextOfAnErrorIsBounded(t *testing.T) {
	long := strings.Repeat("x", 2*plan.MaxErrorText)
	handler := &plan.Error{Message: long}
	e := &plan.Error{Message: long, Handler: handler}
	if e.Bound(); len(e.Message) > plan.MaxErrorText+100 || len(e.Handler.Message) > plan.MaxErrorText+100 ||
		len(handler.Message) != len(long) {
		t.Errorf("%d and %d bytes", len(e.Message), len(e.Handler.Message))
	}
	e = &plan.Error{Message: "short"}
	if e.Bound(); e.Message != "short" || e.Handler != nil {
		t.Errorf("%+v", e)
	}
}

func TestAnApprovalIsShownWithThoseWhoMayAnswer(t *testing.T) {
	shown := plan.Shown([]plan.Wait{{Kind: plan.WaitApproval, Approval: "pay", By: []string{"ada", "bob"}}})
	if by, _ := shown["by"].([]any); shown["approval"] != "pay" || len(by) != 2 || by[1] != "bob" {
		t.Errorf("%v", shown)
	}
	if shown = plan.Shown([]plan.Wait{{Kind: plan.WaitApproval, Approval: "pay"}}); shown["by"] != nil {
		t.Errorf("%v", shown)
	}
}

// TestFinallyOfACancelledRunReadsStartedGroups, and begins none.
func TestFinallyOfACancelledRunReadsStartedGroups(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: g, steps: [{id: a, uses: test/act}, {id: b, uses: test/act}]}\nfinally:\n  - {id: f, "+
		"uses: test/act, with: {n: '${{ steps.a.output }} ${{ steps.b?.status }}'}}"), nil)
	put(st, "g/a", 1, plan.Succeeded, "x", nil)
	st.Cancelled = &plan.Error{Message: "by ada", Code: "cancelled"}
	if d := plan.Next(st); len(d.Due) != 1 || d.Due[0].With["n"] != "x " {
		t.Errorf("%+v", d)
	}
}

// TestARunningStepHasItsOwnRecord: a step that fails while it is on record as running is closed.
func TestARunningStepHasItsOwnRecord(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: g, deadline: 5s, steps: [{id: a, wait: {approval: go}}, {id: b, uses: test/act}]}]"), nil)
	plan.Next(st)
	st.Now = st.Now.Add(5 * time.Second)
	d := plan.Next(st)
	if d.End == nil || d.End.Error.Code != "deadline" || d.End.Error.Step != "g" {
		t.Fatalf("%+v", d)
	}
	if last := st.Records["g/a"]; len(last) != 1 || last[0].Status != plan.Failed {
		t.Errorf("%+v", last)
	}
}
