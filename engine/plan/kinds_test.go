package plan_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// kindExamples has a step of each kind.
var kindExamples = map[string]string{
	"uses":     "{uses: test/act}",
	"steps":    "{steps: [{uses: test/act}]}",
	"parallel": "{parallel: [{uses: test/act}]}",
	"switch":   "{switch: event.type, cases: {t: [{uses: test/act}]}}",
	"set":      "{set: {a: 1}}",
	"sleep":    "{sleep: 5m}",
	"wait":     "{wait: {approval: Ship}}",
	"call":     "{call: other}",
	"stop":     "{stop: enough}",
	"fail":     "{fail: no}",
}

// TestEachKindOfStepIsSupportedEverywhere: a kind in the table of package workflows is read
// and checked, stands in the schema with its help, can be planned, and is in docs/workflows.md.
func TestEachKindOfStepIsSupportedEverywhere(t *testing.T) {
	b, err := json.Marshal(workflows.Schema("workflow", &workflows.Catalog{Actions: workflows.NewActions(acts, nil)}))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs struct {
			Step struct {
				Properties map[string]struct{ Description string }
				OneOf      []struct{ Required []string }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/workflows.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := workflows.StepKinds()
	if len(schema.Defs.Step.OneOf) != len(kinds) {
		t.Errorf("the schema knows %d kinds of steps, the table %d", len(schema.Defs.Step.OneOf), len(kinds))
	}
	for _, k := range kinds {
		example, ok := kindExamples[k]
		if !ok {
			t.Errorf("%s: this test has no example", k)
			continue
		}
		if schema.Defs.Step.Properties[k].Description == "" {
			t.Errorf("%s: the schema has no help", k)
		}
		if !strings.Contains(string(guide), "`"+k+":") {
			t.Errorf("%s: not in docs/workflows.md", k)
		}
		w := flow(t, "on: manual\nsteps: ["+example+"]")
		if w.Steps[0].Body != k {
			t.Errorf("%s: read as %q", example, w.Steps[0].Body)
		}
		if problem := refused(w); problem != "" {
			t.Errorf("%s: the planner says %s", k, problem)
		}
	}
	unknown := flow(t, "on: manual\nsteps: [{stop: x}]")
	unknown.Steps[0].Body = "other"
	if refused(unknown) == "" {
		t.Error("the planner carries out a kind that it does not know")
	}
}

// refused is why a workflow's first step cannot be planned, or "".
func refused(w *workflows.Workflow) string {
	for _, r := range plan.Next(state(w, nil)).Finished {
		if r.Error != nil && r.Error.Code == "unsupported" {
			return r.Error.Message
		}
	}
	return ""
}
