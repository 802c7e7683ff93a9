package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// TestDropStaleComparesTimesOrNumbers, each in the form in which two of them are compared.
func TestDropStaleComparesTimesOrNumbers(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		v    any
		want any
		says string
	}{
		{at, at.UnixMicro(), ""}, {7, int64(7), ""}, {int64(7), int64(7), ""}, {1.5, 1.5, ""},
		{json.Number("12"), int64(12), ""}, {json.Number("1.5"), 1.5, ""}, {"12", int64(12), ""}, {"1.5", 1.5, ""},
		{"2026-05-01T10:00:00Z", at.UnixMicro(), ""}, {"2026-05-01T12:00:00.000001+02:00", at.UnixMicro() + 1, ""},
		{"2026-05-01T10:00:00", at.UnixMicro(), ""}, {"2026-05-01 10:00:00", at.UnixMicro(), ""},
		{"2026-05-01", at.Add(-10 * time.Hour).UnixMicro(), ""},
		{"soon", nil, `"soon" is neither a time nor a number`}, {nil, nil, "it is nil"}, {true, nil, "it is bool"},
	} {
		got, err := staleness(c.v)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v (%T), %v; want %v", c.v, got, got, err, c.want)
		}
	}
}

// TestEveryPartOfAHiddenInputIsMasked: those of a secret input, in lists and objects, besides those that the
// caller hides; what is no text of its own stays.
func TestEveryPartOfAHiddenInputIsMasked(t *testing.T) {
	inputs := map[string]any{"pin": json.Number("4711"), "card": map[string]any{"no": "4111", "ok": true, "none": nil},
		"list": []any{"a", []any{"b", "4111"}, ""}, "open": "seen"}
	hidden := []string{"before"}
	got := HiddenInputs([]string{"pin", "card", "list", "absent"}, inputs, hidden)
	slices.Sort(got)
	if want := []string{"4111", "4711", "a", "b", "before"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := HiddenInputs(nil, inputs, hidden); !slices.Equal(got, hidden) {
		t.Errorf("%q", got)
	}
}

// TestAChainIsReadFromEventsOfRunsOnly: a sender may set any header.
func TestAChainIsReadFromEventsOfRunsOnly(t *testing.T) {
	for _, c := range []struct {
		inlet  workflows.Inlet
		header string
		want   Chain
	}{
		{"emit", "2;3;a -> b", Chain{2, 3, "a -> b"}}, {"workflow_run", "1;0;a;b", Chain{1, 0, "a;b"}}, {"emit", "", Chain{}},
		{"emit", "4", Chain{Runs: 4}}, {"emit", "4;5", Chain{Runs: 4}}, {"webhook", "2;3;a", Chain{}}, {"poll", "2;3;a", Chain{}},
	} {
		ev := &engine.Event{Delivery: engine.Delivery{Inlet: c.inlet, Headers: map[string]string{ChainHeader: c.header}}}
		if got := ChainOf(ev); got != c.want {
			t.Errorf("%s %q: %+v, want %+v", c.inlet, c.header, got, c.want)
		}
	}
	first := Chain{}.With("a", 1, 0)
	if second := first.With("b", 0, 1); first.String() != "1;0;a" || second.String() != "1;1;a -> b" {
		t.Errorf("%s, %s", first, second)
	}
}

// TestRunEndIsSentToEachSubscriberOnce; workflows that listen to all others do not listen to each other.
func TestRunEndIsSentToEachSubscriberOnce(t *testing.T) {
	on := func(id string) engine.Listener { return engine.Listener{Workflow: &workflows.Workflow{ID: id}} }
	l := &Snapshot{byRun: map[string][]engine.Listener{"a": {on("x"), on("y")}, workflows.AnyWorkflow: {on("y"), on("z")}, "z": {on("x")}}}
	for workflow, want := range map[string]string{"a": "x y z", "b": "y z", "y": "", "z": "x"} {
		for range 2 {
			var got []string
			for _, x := range l.EndListeners(workflow) {
				got = append(got, x.Workflow.ID)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %q, want %q", workflow, got, want)
			}
		}
	}
}

// TestSwitchOverridesTheFile: what a person held is held, and what he or the file switched off is disabled.
func TestSwitchOverridesTheFile(t *testing.T) {
	l := &Snapshot{Off: map[string]engine.Switch{"off": {State: engine.SwitchOff}, "held": {State: engine.SwitchHold}}}
	for _, c := range []struct {
		workflow string
		inFile   bool
		want     engine.Outcome
	}{
		{"on", true, ""}, {"on", false, engine.Disabled}, {"off", true, engine.Disabled},
		{"held", true, engine.Held}, {"held", false, engine.Held},
	} {
		if got := l.offOutcome(c.workflow, c.inFile); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestFormerlyUsedSecretsStayMasked: an old value, and one that no file of the project names.
func TestFormerlyUsedSecretsStayMasked(t *testing.T) {
	redactor := &redact.Redactor{}
	values := map[string]string{"TOKEN": "first-secret-value"}
	g := New(Options{Store: storetest.New(t).Store, Redactor: redactor,
		Secrets: func(name string) (string, bool) { v, ok := values[name]; return v, ok }})
	if v, ok := g.Secret("TOKEN"); v != "first-secret-value" || !ok {
		t.Errorf("%q %t", v, ok)
	}
	if v, ok := g.Secret("NONE"); v != "" || ok {
		t.Errorf("%q %t", v, ok)
	}
	g.UseSecrets(func(string) (string, bool) { return "second-secret-value", true })
	if v, _ := g.Secret("TOKEN"); v != "second-secret-value" {
		t.Errorf("%q", v)
	}
	if got := redactor.Text("first-secret-value second-secret-value"); strings.Contains(got, "secret-value") {
		t.Errorf("%s", got)
	}
}

// TestRulesOfCancelOnAreKeptOncePerVersion: runs of earlier versions go on by theirs.
func TestRulesOfCancelOnAreKeptOncePerVersion(t *testing.T) {
	g := New(Options{Store: storetest.New(t).Store, Redactor: &redact.Redactor{},
		Secrets: func(string) (string, bool) { return "", false }})
	version := func(v string, triggers ...string) *workflows.Workflow {
		w := &workflows.Workflow{ID: "w", Version: v}
		for _, trigger := range triggers {
			w.CancelOn = append(w.CancelOn, workflows.CancelOn{Trigger: trigger})
		}
		return w
	}
	rules := func(trigger string) string {
		var out []string
		for _, r := range g.cancelRulesOf(trigger) {
			out = append(out, r.id)
		}
		return fmt.Sprint(out)
	}
	if got := rules("a"); got != "[]" {
		t.Error(got)
	}
	for range 2 {
		g.AddCancelRules(version("v1", "a", "b"))
		g.AddCancelRules(version("v2", "a"))
		g.AddCancelRules(version("v3"))
	}
	if a, b, c := rules("a"), rules("b"), rules("c"); a != "[v1/0 v2/0]" || b != "[v1/1]" || c != "[]" {
		t.Errorf("%s %s %s", a, b, c)
	}
}

// TestRunUsesTheFilesStoredAtItsTime: the last that were stored up to it, or the oldest for a run from before.
func TestRunUsesTheFilesStoredAtItsTime(t *testing.T) {
	list := []engine.VersionUses{{Version: "v", From: 10}, {Version: "v", From: 20}}
	for run, want := range map[engine.RunID]engine.RunID{5: 10, 10: 10, 19: 10, 20: 20, 30: 20} {
		if u, known := UsesAsOf(list, run); u.From != want || !known {
			t.Errorf("run %d uses the files from run %d on, known: %t", run, u.From, known)
		}
	}
	if u, known := UsesAsOf(nil, 5); known || u.From != 0 {
		t.Errorf("a version that uses no files: %+v", u)
	}
}
