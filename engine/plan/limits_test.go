package plan_test

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// TestLoopOverCallsUsesItsFullWidth: a called run takes a place as an attempt does.
func TestLoopOverCallsUsesItsFullWidth(t *testing.T) {
	st := state(flowWith(t, "on: manual\nsteps: [{id: l, foreach: 1..5, max_parallel: 2, call: other, with: {n: 1}}]"), nil)
	if d := plan.Next(st); len(d.Calls) != 2 {
		t.Errorf("%d calls at once", len(d.Calls))
	}
}

// TestATimedOutRunNamesTheFirstOfItsOpenSteps, whichever record is looked at first.
func TestATimedOutRunNamesTheFirstOfItsOpenSteps(t *testing.T) {
	steps := "{id: a, uses: test/act}"
	for _, id := range []string{"b", "c", "d", "e", "f", "g", "h"} {
		steps += ", {id: " + id + ", wait: {approval: pay}, timeout: 1h}"
	}
	w := flowWith(t, "on: manual\ntimeout: 5s\nsteps: [{id: p, parallel: ["+steps+"]}]")
	for range 8 {
		st := state(w, nil)
		put(st, plan.Next(st).Due[0].Path, 1, plan.Succeeded, nil, nil)
		st.TimedOut = true
		if end := plan.Next(st).End; end == nil || end.Status != "timed_out" || end.Error.Step != "p/b" {
			t.Fatalf("%+v", end)
		}
	}
}

func TestTheOutputOfALoopIsReadAfterLaterDecisions(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: l, foreach: 1..2, uses: test/act, with: {n: '${{ item }}'}}\n"+
		"  - {id: b, uses: test/act}\noutput: {list: '${{ steps.l.output }}', attempts: '${{ steps.l.attempts }}'}"), nil)
	end := carry(t, st, func(plan.Due) *plan.Error { return nil })
	out, _ := end.Output.(map[string]any)
	if list, _ := out["list"].([]any); len(list) != 2 || out["attempts"] != 1 {
		t.Errorf("%+v %+v", end, end.Error)
	}
}

func TestTheLimitOfARunsOutputsIsTheDocumentedOne(t *testing.T) {
	guide, err := os.ReadFile("../../docs/workflows.md")
	if err != nil {
		t.Fatal(err)
	}
	if plan.MaxMemory != 256<<20 || !strings.Contains(string(guide), "256 MiB") {
		t.Errorf("%d bytes", plan.MaxMemory)
	}
}

func TestAGroupThatTimesOutWaitsForNoStepOutsideOfIt(t *testing.T) {
	st := state(flowWith(t, "on: manual\nsteps:\n  - id: p\n    parallel:\n      - {id: g, timeout: 5s, steps: "+
		"[{id: w, wait: {approval: pay}, timeout: 1h}]}\n      - {id: b, uses: test/act}"), nil)
	d := plan.Next(st)
	if len(d.Due) != 1 || len(d.Questions) != 1 {
		t.Fatalf("%+v", d)
	}
	put(st, d.Due[0].Path, 1, plan.Running, nil, nil)
	st.Now = st.Now.Add(6 * time.Second)
	plan.Next(st)
	if list := st.Records["p/g"]; len(list) == 0 || list[0].Status != plan.Failed || list[0].Error.Code != "timeout" {
		t.Errorf("the group has not ended: %+v", st.Records)
	}
}

// TestAStrictWorkflowFailsForAMissingField in a text that people read, and only for that.
func TestAStrictWorkflowFailsForAMissingField(t *testing.T) {
	acts["test/say"] = &workflows.ActionSpec{Name: "test/say", SideEffects: true,
		Inputs: []workflows.ActionInput{{Name: "text", Type: "string"}}}
	defer delete(acts, "test/say")
	const step = "steps: [{id: a, uses: test/say, with: {text: 'Hello ${{ event.data.name }}!'}}]"
	for _, c := range []struct {
		defaults string
		data     map[string]any
		due      bool
	}{
		{"defaults: {strict: true}\n", map[string]any{"name": "Ada"}, true},
		{"defaults: {strict: true}\n", map[string]any{}, false},
		{"", map[string]any{}, true},
	} {
		d := plan.Next(state(flow(t, "on: manual\n"+c.defaults+step), c.data))
		if (len(d.Due) == 1) != c.due || (d.End == nil) != c.due {
			t.Errorf("%q, %v: %+v", c.defaults, c.data, d)
		}
	}
}

// TestASecretInputIsMaskedFromThenOn, whatever its name.
func TestASecretInputIsMaskedFromThenOn(t *testing.T) {
	acts["test/secret"] = &workflows.ActionSpec{Name: "test/secret", SideEffects: true,
		Inputs: []workflows.ActionInput{{Name: "phrase", Type: "string", Secret: true}}}
	defer delete(acts, "test/secret")
	st := state(flow(t, "on: manual\nsteps: [{id: a, uses: test/secret, with: {phrase: '${{ event.data.p }}'}}]"),
		map[string]any{"p": "correct horse"})
	d := plan.Next(st).Due[0]
	if !slices.Contains(d.Derived, "correct horse") || !reflect.DeepEqual(d.Shown, map[string]any{"phrase": workflows.Mask}) {
		t.Errorf("masked from now on %q, shown %v", d.Derived, d.Shown)
	}
}

// TestAWaitWhoseTextIsTooLargeNamesIt: the key of an event, or the text of an approval.
func TestAWaitWhoseTextIsTooLargeNamesIt(t *testing.T) {
	for want, wait := range map[string]string{
		"wait.key ":                 "{event: hook, key: '${{ event.data.text }}'}",
		"the text of the approval ": "{approval: '${{ event.data.text }}'}",
	} {
		st := state(flowWith(t, "on: manual\nsteps: [{id: a, wait: "+wait+", timeout: 1h}]"),
			map[string]any{"text": strings.Repeat("x", value.MaxSize+1)})
		if d := plan.Next(st); d.End == nil || d.End.Error.Code != "too_large" || !strings.HasPrefix(d.End.Error.Message, want) {
			t.Errorf("%s: %.300v", want, d.End)
		}
	}
}

func TestAWaitShowsItsOnlyApproverAndItsDestination(t *testing.T) {
	for _, c := range []struct {
		wait plan.Wait
		want map[string]any
	}{
		{plan.Wait{Kind: plan.WaitApproval, Approval: "pay", By: []string{"ada"}}, map[string]any{"approval": "pay", "by": []any{"ada"}}},
		{plan.Wait{Kind: plan.WaitApproval, Approval: "pay"}, map[string]any{"approval": "pay"}},
		{plan.Wait{Kind: plan.WaitDestination, Destination: "https://api.example"}, map[string]any{"destination": "https://api.example"}},
	} {
		if got := plan.Shown([]plan.Wait{c.wait}); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v, expected %v", got, c.want)
		}
	}
}

// TestMemoryOfARunIsBounded checks how many outputs of 4 MiB fit into a run together.
func TestMemoryOfARunIsBounded(t *testing.T) {
	st := &plan.State{}
	text := strings.Repeat("x", 4<<20-100)
	for i := range 70 {
		r := &plan.Record{Path: strconv.Itoa(i), Attempt: 1, Status: plan.Succeeded, Output: text}
		st.Fit(r)
		if r.Status == plan.Failed {
			if i != 64 || r.Output != nil || r.Error.Code != "too_large" || !strings.Contains(r.Error.Message, "more than 256 MiB") {
				t.Errorf("output %d: %+v, %v", i, r, r.Error)
			}
			return
		}
		st.AddRecord(r)
	}
	t.Errorf("70 outputs take %d bytes", st.Memory())
}
