package engine_test

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// TestEachStatusOfARunEndsItOrNot checks all states, and why a called run is said to have ended.
func TestEachStatusOfARunEndsItOrNot(t *testing.T) {
	for status, want := range map[engine.RunStatus]string{engine.Queued: "", engine.Running: "", engine.Waiting: "", engine.Succeeded: "ended",
		engine.Failed: "failed", engine.TimedOut: "timed out", engine.Cancelled: "was cancelled"} {
		if status.Ended() != (want != "") {
			t.Errorf("%s has ended: %t", status, status.Ended())
		}
		if want == "" {
			continue
		}
		if got, want := engine.WhyEnded(&engine.Run{ID: 1, Status: status}), "run run_0000000000000001, which called it, "+want; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	ending := &engine.Run{ID: 1, Status: engine.Running, Ending: &plan.Error{}}
	if got, want := engine.WhyEnded(ending), "run run_0000000000000001, which called it, was cancelled"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestListShowsTheProblemOfARun checks that an error is shown before warnings, and several warnings are counted.
func TestListShowsTheProblemOfARun(t *testing.T) {
	for want, i := range map[string]engine.RunItem{
		"":                 {},
		"no answer":        {Error: "no answer", Warning: "slow", Warnings: 2},
		"warning: slow":    {Warning: "slow", Warnings: 1},
		"2 warnings: slow": {Warning: "slow", Warnings: 2},
	} {
		if got := i.Problem(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestWaitingRunSaysWhenItContinues checks the text for each kind of wait.
func TestWaitingRunSaysWhenItContinues(t *testing.T) {
	for output, want := range map[string]string{
		`{"approval": "Go?"}`: "when it is answered: hookloom approve run_1 --step s",
		`{"approval": "Go?", "by": ["ada", "bob"], "until": "2026-05-01T10:00:00Z"}`: "when it is answered by ada or bob: " +
			"hookloom approve run_1 --step s, else the step fails at 2026-05-01 10:00:00",
		`{"event": "back", "key": "x"}`: "with the event of back whose key is x",
		`{"any": [{"event": "back", "key": "x"}, {"event": "back", "key": "y"}]}`: "with the event of back whose key is x, " +
			"or with the event of back whose key is y",
		`{"destination": "https://a.example"}`: "when its destination is available: https://a.example",
		`{"workflow": "other"}`:                "when the run of other ends",
	} {
		d := &engine.RunDetail{RunItem: engine.RunItem{ID: "run_1", Status: "waiting"},
			Steps: []engine.StepItem{{Path: "a", Status: "succeeded"}, {Path: "s", Status: "waiting", Output: []byte(output)}}}
		if got := d.GoesOn(time.UTC); len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("%s: %q, want %q", output, got, want)
		}
	}
}

// TestSuccessCountsEndedRuns checks that open and cancelled runs do not count.
func TestSuccessCountsEndedRuns(t *testing.T) {
	s := engine.WorkflowStats{Runs: 10, Open: 2, Cancelled: 3, Failed: 1}
	if share, ok := s.Success(); s.Ended() != 5 || share != 0.8 || !ok {
		t.Errorf("%d ended, %g succeeded", s.Ended(), share)
	}
	s.Cancelled = 8
	if _, ok := s.Success(); ok || s.Ended() != 0 {
		t.Errorf("%d ended", s.Ended())
	}
}

// TestBrokenFilesAreCounted checks that a project that could not be loaded has at least one.
func TestBrokenFilesAreCounted(t *testing.T) {
	at := time.Now()
	for _, c := range []struct {
		state *engine.ProjectState
		want  int
	}{
		{nil, 0}, {&engine.ProjectState{Kept: []string{"a"}}, 0}, {&engine.ProjectState{FailedAt: &at}, 1},
		{&engine.ProjectState{FailedAt: &at, Kept: []string{"a", "b"}, Left: []string{"c"}}, 3},
	} {
		if got := c.state.BrokenFiles(); got != c.want || c.state.Broken() != (c.want > 0) {
			t.Errorf("%+v: %d broken, want %d", c.state, got, c.want)
		}
	}
}

// TestConflictIDIsANumberFromOne checks which texts are ids of conflicting deliveries.
func TestConflictIDIsANumberFromOne(t *testing.T) {
	if n, err := engine.ParseConflictID(engine.ConflictID(1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, text := range []string{"cfl_0", "cfl_-1", "cfl_x", "1", ""} {
		if n, err := engine.ParseConflictID(text); err == nil {
			t.Errorf("%q is %d", text, n)
		}
	}
}

// TestIDHoldsTheTimeAndTheNode checks the layout of ids, which stored ids have too.
func TestIDHoldsTheTimeAndTheNode(t *testing.T) {
	g := &engine.IDs{Node: engine.MaxNode}
	before := time.Now().Add(-2 * time.Millisecond)
	id := g.Next()
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(id>>21) * time.Millisecond)
	if at.Before(before) || at.After(time.Now()) {
		t.Errorf("an id of now is of %s", at)
	}
	if node := id >> 11 & 1023; node != 1023 || engine.MaxNode != 1023 || engine.NodeShift != 11 {
		t.Errorf("it names node %d", node)
	}
}

// TestPruneKeepsKeysAsLongAsTheLongestInlet checks what the order to prune takes of a project.
func TestPruneKeepsKeysAsLongAsTheLongestInlet(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	kept := func(d time.Duration) workflows.InletCommon { return workflows.InletCommon{Dedupe: d} }
	p := &workflows.Project{Workflows: map[string]*workflows.Workflow{"w": {Version: "v1"}}, Triggers: map[string]*workflows.Trigger{
		"hook": {Webhook: &workflows.Webhook{InletCommon: kept(time.Hour)}},
		"both": {Webhook: &workflows.Webhook{InletCommon: kept(time.Hour)}, Poll: &workflows.Poll{InletCommon: kept(2 * time.Hour)}},
		"poll": {Poll: &workflows.Poll{InletCommon: kept(time.Minute)}}, "none": {}}}
	o := engine.PruneOrderOf(p, workflows.History{Keep: 24 * time.Hour, Bodies: time.Hour, MaxSize: 7}, now)
	if len(o.Dedupe) != 3 || o.Dedupe["hook"] != time.Hour || o.Dedupe["both"] != 2*time.Hour || o.Dedupe["poll"] != time.Minute {
		t.Errorf("%v", o.Dedupe)
	}
	if !o.Before.Equal(now.Add(-24*time.Hour)) || !o.Bodies.Equal(now.Add(-time.Hour)) || o.MaxSize != 7 || len(o.Loaded) != 1 {
		t.Errorf("%+v", o)
	}
	if o := engine.PruneOrderOf(p, workflows.History{}, now); !o.Before.IsZero() || !o.Bodies.IsZero() {
		t.Errorf("nothing is to be pruned: %+v", o)
	}
}

// TestDeadLettersAreGroupedByCause checks the counts, the first and last time, and the order of groups.
func TestDeadLettersAreGroupedByCause(t *testing.T) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var g engine.DeadGroups
	a, b := &engine.DeadLetter{}, &engine.DeadLetter{}
	a.Workflow, a.Version, a.Error = "w", "v1", "no answer"
	b.Workflow, b.Version, b.Error = "other", "v1", "no answer"
	g.Add(b, 1, at, at)
	g.Add(a, 2, at.Add(time.Hour), at.Add(2*time.Hour))
	g.Add(a, 1, at.Add(time.Minute), at.Add(time.Minute))
	g.Add(a, 1, at.Add(3*time.Hour), at.Add(3*time.Hour))
	list := g.List()
	if len(list) != 2 || list[0].Workflow != "w" || list[0].Count != 4 || list[1].Count != 1 || list[0].Versions["v1"] != 4 {
		t.Fatalf("%+v", list)
	}
	if !list[0].First.Equal(at.Add(time.Minute)) || !list[0].Last.Equal(at.Add(3*time.Hour)) || !list[1].First.Equal(at) {
		t.Errorf("%+v", list)
	}
}

// TestActionsOfConnectorsShareOneKey checks the key in the table of actions.
func TestActionsOfConnectorsShareOneKey(t *testing.T) {
	for want, s := range map[string]*workflows.Step{"log": {Uses: "log", Spec: &workflows.ActionSpec{}}, "gone": {Uses: "gone"},
		"connector": {Uses: "crm/add", Spec: &workflows.ActionSpec{Connector: &workflows.Connector{}}}} {
		if got := engine.ActionName(s); got != want {
			t.Errorf("%s: %s, want %s", s.Uses, got, want)
		}
	}
}
