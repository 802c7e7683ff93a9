package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestRecordShowsThatItsAttemptWaited, also when its end is recorded again.
func TestRecordShowsThatItsAttemptWaited(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act}]"), nil)
	put(st, "a", 1, plan.Waiting, nil, nil)
	r := put(st, "a", 1, plan.Succeeded, nil, nil)
	if st.AddRecord(r); !r.Waited {
		t.Error("an attempt that has waited reads as one that has not")
	}
	put(st, "a", 2, plan.Running, nil, nil)
	if r := put(st, "a", 2, plan.Succeeded, nil, nil); r.Waited {
		t.Error("an attempt that has not waited reads as one that has")
	}
}

// TestAnAttemptWithoutAnOutputFitsIntoAFullRun, and one that failed keeps its own error.
func TestAnAttemptWithoutAnOutputFitsIntoAFullRun(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/act}]"), nil)
	output := strings.Repeat("x", 1<<20)
	for i := range plan.MaxMemory >> 20 {
		put(st, fmt.Sprint("a/", i), 1, plan.Succeeded, output, nil)
	}
	none := &plan.Record{Path: "b", Attempt: 1, Status: plan.Succeeded}
	if st.Fit(none); st.Memory() < plan.MaxMemory || none.Status != plan.Succeeded {
		t.Errorf("without an output: %s %+v", none.Status, none.Error)
	}
	failed := &plan.Record{Path: "b", Attempt: 1, Status: plan.Failed, Output: "x", Error: &plan.Error{Code: "http_status"}}
	if st.Fit(failed); failed.Output != "x" || failed.Error.Code != "http_status" {
		t.Errorf("a failed one: %+v", failed.Error)
	}
}

// TestVariableSurvivesTheStepThatSetsIt: later decisions read it from the record.
func TestVariableSurvivesTheStepThatSetsIt(t *testing.T) {
	st := state(flow(t, "on: manual\nvars: {n: 0}\nsteps:\n  - {set: {n: 1}}\n  - {sleep: 1h}\noutput: ${{ vars.n }}"), nil)
	if end := carry(t, st, nil); end.Output != 1 {
		t.Errorf("%+v", end)
	}
}

func TestAListThatCannotBeComputedFailsItsLoop(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: l, foreach: 'int(event.data.n)..2', uses: test/act}]"), map[string]any{"n": "no number"})
	if d := plan.Next(st); d.End == nil || d.End.Error == nil || d.End.Error.Step != "l" || d.End.Error.Code != "expression" {
		t.Errorf("%+v", d)
	}
}

// TestOutputOfOneOfSeveralWaitsHasItsIndex: the approval may stand anywhere in the list.
func TestOutputOfOneOfSeveralWaitsHasItsIndex(t *testing.T) {
	for _, c := range []struct {
		answer plan.Answer
		index  int
		kind   string
	}{
		{plan.Answer{Attempt: 1, Verdict: "approve", Output: map[string]any{"by": "ada"}}, 1, "approval"},
		{plan.Answer{Attempt: 1, Verdict: "event", Index: 2, Output: map[string]any{"key": "k-2"}}, 2, "event"},
	} {
		st := state(flowWith(t, "on: manual\nsteps: [{id: a, wait: {any: [{event: hook, key: k-1}, {approval: pay}, {event: hook, key: k-2}]}, "+
			"timeout: 1h}]\noutput: ${{ steps.a.output }}"), nil)
		if d := plan.Next(st); len(d.Questions) != 3 {
			t.Fatalf("%+v", d)
		}
		awaited, asked := plan.AwaitedEvents(st.Records["a"][0]), plan.Asked(st.Records["a"], nil)
		if len(awaited) != 2 || awaited[0].Key != "k-1" || awaited[1].Key != "k-2" || len(asked) != 1 || asked[0].Text != "pay" {
			t.Errorf("it waits for %+v and asks for %+v", awaited, asked)
		}
		st.Answers = map[string]*plan.Answer{"a": &c.answer}
		if asked := plan.Asked(st.Records["a"], st.Answers); len(asked) != 0 {
			t.Errorf("it still asks for %+v", asked)
		}
		d := plan.Next(st)
		if d.End == nil || d.End.Error != nil {
			t.Fatalf("%+v", d)
		}
		if out, _ := d.End.Output.(map[string]any); out["index"] != c.index || out["kind"] != c.kind {
			t.Errorf("%v, want index %d of %s", out, c.index, c.kind)
		}
		if len(plan.AwaitedEvents(st.Records["a"][0])) != 0 {
			t.Error("a wait that has ended still waits for events")
		}
	}
}

// TestAnEarlierAnswerLeavesTheQuestionOpen: it was for another attempt.
func TestAnEarlierAnswerLeavesTheQuestionOpen(t *testing.T) {
	r := &plan.Record{Path: "a", Attempt: 2, Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitApproval, Approval: "pay"}}}
	if asked := plan.Asked([]*plan.Record{r}, map[string]*plan.Answer{"a": {Attempt: 1, Verdict: "approve"}}); len(asked) != 1 {
		t.Errorf("%+v", asked)
	}
}

// TestExpiredDeadlineStartsNothingInItsGroup: the steps behind the one that it has ended leave no record.
func TestExpiredDeadlineStartsNothingInItsGroup(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: g, deadline: 5m, steps: [{sleep: 3m}, {sleep: 3m, continue_on_error: true}, "+
		"{id: y, set: {n: 1}}]}"), nil)
	if end := carry(t, st, nil); end.Error == nil || end.Error.Code != "deadline" {
		t.Errorf("%+v", end)
	}
	for path := range st.Records {
		if strings.HasSuffix(path, "/y") {
			t.Errorf("%s was recorded after the deadline", path)
		}
	}
}

// TestFailedAttemptTakesPrecedenceOverTheDeadline: an attempt that has failed is the reason, also when the deadline of the run
// passes before its end is read.
func TestFailedAttemptTakesPrecedenceOverTheDeadline(t *testing.T) {
	st := state(flow(t, "on: manual\ndeadline: 10m\nsteps: [{id: a, uses: test/act}]"), nil)
	plan.Next(st)
	st.Now = st.Now.Add(11 * time.Minute)
	put(st, "a", 1, plan.Failed, nil, &plan.Error{Message: "403", Code: "http_status", Status: 403})
	if d := plan.Next(st); d.End == nil || d.End.Status != "failed" || d.End.Error.Code != "http_status" {
		t.Errorf("%+v", d.End)
	}
}

// TestAttemptInDoubtIsNotCutByADeadline: a crash that leaves no error has ended it.
func TestAttemptInDoubtIsNotCutByADeadline(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: g, deadline: 5m, steps: [{id: a, uses: test/act}]}]"), nil)
	plan.Next(st)
	put(st, "g/a", 1, plan.Unknown, nil, nil)
	st.Now = st.Now.Add(10 * time.Minute)
	if d := plan.Next(st); d.End == nil || d.End.Error.Code != "deadline" || d.End.Error.Step != "g" {
		t.Errorf("%+v", d)
	}
}

// TestTimeoutOfALoopOverAGroupCoversTheLoop: no iteration has one of its own.
func TestTimeoutOfALoopOverAGroupCoversTheLoop(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: g, foreach: 1..2, timeout: 5m, steps: [{id: w, wait: {approval: go on}}]}]"), nil)
	if end := carry(t, st, nil); end.Error == nil || end.Error.Step != "g" || end.Error.Code != "timeout" {
		t.Errorf("%+v", end.Error)
	}
	if list := st.Records["g/0"]; list != nil {
		t.Errorf("an iteration has ended by a timeout of its own: %+v", list[0])
	}
}
