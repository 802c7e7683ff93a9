package control

import (
	"slices"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// TestWorkflowsThatDecideAgain: without again, none that an event matched or that has a run of it,
// which are counted; none that is switched off, and only those of the selection.
func TestWorkflowsThatDecideAgain(t *testing.T) {
	listener := func(id string) engine.Listener { return engine.Listener{Workflow: &workflows.Workflow{ID: id}} }
	p := &registry.Snapshot{Resting: map[string]bool{"off": true}, ByTrigger: map[string][]engine.Listener{
		"hook": {listener("new"), listener("matched"), listener("ran"), listener("filtered"), listener("off")}}}
	at := engine.DecidedState{Ran: []string{"ran"},
		Outcomes: map[string]engine.Outcome{"matched": engine.Matched, "filtered": engine.Filtered}}
	for name, c := range map[string]struct {
		s     engine.Selection
		at    engine.DecidedState
		want  []string
		known int
	}{
		"all":               {engine.Selection{}, at, []string{"new", "filtered"}, 2},
		"again":             {engine.Selection{Again: true}, at, []string{"new", "matched", "ran", "filtered"}, 0},
		"one":               {engine.Selection{Workflow: "filtered"}, at, []string{"filtered"}, 0},
		"one that ran":      {engine.Selection{Workflow: "ran"}, at, nil, 1},
		"one that is off":   {engine.Selection{Workflow: "off", Again: true}, at, nil, 0},
		"by status":         {engine.Selection{Statuses: []string{"filtered"}}, at, []string{"filtered"}, 0},
		"what is unmatched": {engine.Selection{Statuses: []string{"unmatched"}}, at, []string{"new"}, 1},
		"not decided yet":   {engine.Selection{Again: true}, engine.DecidedState{Pending: true}, nil, 0},
	} {
		take, known := takes(p, c.s, &engine.Event{Delivery: engine.Delivery{Trigger: "hook"}}, c.at)
		var got []string
		for _, l := range take {
			got = append(got, l.Workflow.ID)
		}
		if !slices.Equal(got, c.want) || known != c.known {
			t.Errorf("%s: %q, %d known", name, got, known)
		}
	}
}
