package cmd

import (
	"cmp"
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// breakage is what an edit does to open runs.
type breakage struct {
	// Kind is trigger_gone, run_ends or step_fails.
	Kind     string `json:"kind"`
	Workflow string `json:"workflow"`
	// Version is the one that the runs began with; empty where it does not matter.
	Version string `json:"version,omitempty"`
	Runs    int    `json:"runs"`
	Trigger string `json:"trigger,omitempty"`
	Step    string `json:"step,omitempty"`
	Reason  string `json:"reason"`
}

// The kinds of breakages.
const (
	triggerGone = "trigger_gone"
	runEnds     = "run_ends"
	stepFails   = "step_fails"
)

// breakages checks what the files of a project would do to the runs that are open now: they continue
// with the version that they began with, but with the triggers, connections and actions of today.
func breakages(ctx context.Context, h *store.History, p *workflows.Project) ([]breakage, error) {
	out := []breakage{}
	waits, err := h.AwaitedTriggers(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range waits {
		if p.Triggers[w.Trigger] == nil {
			out = append(out, breakage{Kind: triggerGone, Workflow: w.Workflow, Trigger: w.Trigger, Runs: w.Runs,
				Reason: "the trigger is removed"})
		}
	}
	versions, err := h.OpenVersions(ctx)
	if err != nil {
		return nil, err
	}
	all, err := h.AllUses(ctx)
	if err != nil {
		return nil, err
	}
	uses := map[string][]engine.VersionUses{}
	for _, u := range all {
		uses[u.Version] = append(uses[u.Version], u)
	}
	for _, v := range versions {
		u, _ := registry.UsesAsOf(uses[v.Version], v.From)
		w, err := registry.CompileVersion(ctx, p, v.Workflow, v.Version, u.Uses, h.VersionText)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		x := breakage{Workflow: v.Workflow, Version: v.Version, Runs: v.Runs}
		if err != nil {
			x.Kind, x.Reason = runEnds, err.Error()
			out = append(out, x)
			continue
		}
		w.EachStep(func(s *workflows.Step) {
			why := s.Gone
			if c := p.LacksConnection(s); c != "" && why == "" {
				why = "connection " + c + " is removed"
			}
			if why != "" {
				x.Kind, x.Step, x.Reason = stepFails, cmp.Or(s.ID, s.Name, fmt.Sprintf("%s on line %d", s.Body, s.Pos.Line)), why
				out = append(out, x)
			}
		})
	}
	return out, nil
}

// printBreakages says which open runs an edit would break.
func (a *app) printBreakages(list []breakage) {
	for _, b := range list {
		runs := counted(b.Runs, "open run") + " of " + b.Workflow
		switch b.Kind {
		case triggerGone:
			a.printf("breaking: %s would lose an event of %s: %s\n", runs, b.Trigger, printable(b.Reason))
		case stepFails:
			a.printf("breaking: %s (version %s) would fail at step %s: %s\n", runs, b.Version, printable(b.Step), printable(b.Reason))
		default:
			a.printf("breaking: %s (version %s) would end as failed: %s\n", runs, b.Version, printable(b.Reason))
		}
	}
}
