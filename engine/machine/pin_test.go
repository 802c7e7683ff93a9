package machine_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// changed lets a run wait for an approval, changes the project's files, in place or over
// a restart, and approves. It returns the run's end.
func changed(t *testing.T, before, after map[string]string, restart bool) (string, database, func()) {
	t.Helper()
	ctx := context.Background()
	w := newWorld(t, before)
	e, s, stop := w.start(nil)
	if _, err := e.Accept(ctx, delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	id := newest(t, s, "w", "waiting")
	flows := maps.Clone(before)
	for name, text := range after {
		if flows[name] = text; text == "" {
			delete(flows, name)
		}
	}
	w.project = project(t, flows)
	if restart {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		e, s, stop = w.start(nil)
	} else if err := e.Use(ctx, w.project); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Answer(ctx, id, engine.Response{Verdict: "approve", By: "ada"}); err != nil {
		t.Fatalf("the approval cannot be answered: %v", err)
	}
	eventually(t, "the run ends", func() bool {
		got := statuses(t, s)["w"][0]
		return !strings.HasPrefix(got, "waiting") && !strings.HasPrefix(got, "running") && !strings.HasPrefix(got, "queued")
	})
	return output(t, s, id), s, func() {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWaitingRunContinuesWithItsVersion: its own text and the versions of what that
// names, whatever the files say by now, over a restart and a reload alike.
func TestWaitingRunContinuesWithItsVersion(t *testing.T) {
	const caller = "on: hook\nsteps:\n  - {wait: {approval: ok}}\n  - {id: c, call: child, with: {n: 1}}\noutput: ${{ steps.c.output }}"
	child := func(text string) string {
		return "on: call\ninputs: {n: {type: number}}\nsteps:\n  - {id: g, call: grandchild}\noutput: " + text + " ${{ steps.g.output }}"
	}
	grandchild := func(text string) string { return "on: call\nsteps: [{stop: x}]\noutput: " + text }
	before := map[string]string{"w": caller, "child": child("first"), "grandchild": grandchild("a"), "other": "on: manual\nsteps: [{stop: x}]"}
	for name, after := range map[string]map[string]string{
		"nothing changed":          {},
		"its own text":             {"w": "on: hook\nsteps: [{fail: not this one}]"},
		"what it calls":            {"child": child("second")},
		"what that calls":          {"grandchild": grandchild("b")},
		"what it calls is deleted": {"child": "", "w": "on: manual\nsteps: [{stop: x}]"},
		"all is deleted":           {"child": "", "grandchild": "", "w": ""},
		"what it calls wants another input": {"child": "on: call\ninputs: {m: {type: number, required: true}}\nsteps: [{stop: x}]",
			"w": "on: manual\nsteps: [{stop: x}]"},
		"what it calls cannot be called": {"child": "on: manual\nsteps: [{stop: x}]", "w": "on: manual\nsteps: [{stop: x}]"},
	} {
		for _, restart := range []bool{true, false} {
			got, s, stop := changed(t, before, after, restart)
			if got != `succeeded "first a" ` {
				t.Errorf("%s, restart %v: %s; %q", name, restart, got, statuses(t, s))
			}
			stop()
		}
	}
}

// TestRemovedDependencyFailsTheStepThatNeedsIt when it is needed, so that what comes before is
// done and on_failure runs; what is never come to harms nobody.
func TestRemovedDependencyFailsTheStepThatNeedsIt(t *testing.T) {
	const config = "triggers:\n  hook: {webhook: {auth: none}}\n"
	for name, x := range map[string]struct{ steps, want string }{
		"a trigger": {"- {id: a, uses: test/act}\n  - {wait: {event: back, key: k}}",
			"failed null no trigger is named \"back\" any more"},
		"a trigger that is not come to": {"- {if: \"1 > 2\", wait: {event: back, key: k}}\n  - {id: a, uses: test/act}", "succeeded null "},
	} {
		for _, restart := range []bool{true, false} {
			before := map[string]string{"w": "on: hook\nsteps:\n  - {wait: {approval: ok}}\n  " + x.steps +
				"\non_failure: [{id: h, uses: test/act}]", "other": "on: manual\nsteps: [{stop: x}]"}
			got, s, stop := changed(t, before, map[string]string{"hookloom.yaml": config, "w": "on: manual\nsteps: [{stop: x}]"}, restart)
			if !strings.HasPrefix(got, x.want) {
				t.Errorf("%s, restart %v: %s", name, restart, got)
			}
			steps, err := s.History.Steps(context.Background(), newest(t, s, "w", strings.Fields(got)[0]))
			if err != nil {
				t.Fatal(err)
			}
			done := map[string]string{}
			for _, st := range steps {
				done[st.Path] = st.Status
			}
			if done["a"] != "succeeded" || strings.HasPrefix(got, "failed") && done["on_failure/h"] != "succeeded" {
				t.Errorf("%s, restart %v: %v", name, restart, done)
			}
			stop()
		}
	}
}

// TestUnpinnedCallOfAnOldBuildFailsOnlyItsStep: of a run that was begun without what it
// uses on record, a call of a workflow that is gone fails, and its handler runs.
func TestUnpinnedCallOfAnOldBuildFailsOnlyItsStep(t *testing.T) {
	p := project(t, map[string]string{"other": "on: manual\nsteps: [{stop: x}]"})
	w, mistakes := p.Compile("w",
		[]byte("on: hook\nsteps:\n  - {id: a, uses: gone/act}\n  - {if: \"1 > 2\", call: gone}\n  - {id: c, call: other}\n  - {wait: {event: "+
			"missing, key: k}}"), workflows.Pins{})
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	for i, want := range []string{`there is no action "gone/act"`, `no workflow "gone"`, "workflow other cannot be called",
		`no trigger is named "missing"`} {
		if got := w.Steps[i].Gone; !strings.Contains(got, want) {
			t.Errorf("step %d: %q, want %q", i, got, want)
		}
	}
}

// lostText is a store that has lost the texts of workflows.
type lostText struct{ engine.Store }

func (lostText) Version(context.Context, string) (string, error) { return "steps: {", nil }

// TestApprovalWithAnUnreadableTextCanBeAnswered: what is asked is recorded. The
// run then fails with the reason.
func TestApprovalWithAnUnreadableTextCanBeAnswered(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, map[string]string{"w": approval})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(ctx, delivery("k", `{"n": 5}`)); err != nil {
		t.Fatal(err)
	}
	id := newest(t, s, "w", "waiting")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.project = project(t, map[string]string{"w": "on: manual\nsteps: [{stop: x}]"})
	w.store = func(s engine.Store) engine.Store { return lostText{s} }
	e, s, stop = w.start(nil)
	if _, err := e.Answer(ctx, id, engine.Response{Verdict: "approve", By: "eve", Proof: "token"}); err == nil ||
		!strings.Contains(err.Error(), "ada, bob only") {
		t.Errorf("somebody else: %v", err)
	}
	if q, err := e.Answer(ctx, id, engine.Response{Verdict: "approve", By: "ada", Proof: "token"}); err != nil || q.Text != "Pay 5?" {
		t.Fatal(q, err)
	}
	newest(t, s, "w", "failed")
	if got := output(t, s, id); !strings.Contains(got, "can no longer be compiled") {
		t.Error(got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
