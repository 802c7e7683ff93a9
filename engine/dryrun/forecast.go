package dryrun

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

const (
	// forecastTime limits a forecast; after that it returns the result so far.
	forecastTime = 15 * time.Second
	// runsEach is the number of runs per workflow that are simulated to see what they call.
	runsEach = 5
)

// Events provides the events of a selection; machine.Engine implements it.
type Events interface {
	EachSelected(ctx context.Context, s engine.Selection, until time.Time, do func(engine.Selected)) (events, looked int, err error)
}

// Forecaster predicts what a batch replay would do: the same rules decide about the same events,
// and dry runs of the first runs of each workflow show what they would call. It is safe for
// concurrent use.
type Forecaster struct {
	Events  Events
	Project func() *workflows.Project
	Actions map[string]engine.Action
	// Secret returns the value of a secret.
	Secret func(name string) (string, bool)
	// Redact masks secrets in the result.
	Redact func(string) string
}

// Forecast predicts a batch replay of a selection. It returns engine.ErrQuery for an invalid
// selection.
func (f *Forecaster) Forecast(ctx context.Context, s engine.Selection) (*engine.Forecast, error) {
	out := &engine.Forecast{Workflows: []engine.PlannedWorkflow{}, SkipDone: s.SkipDone}
	by := map[string]*engine.PlannedWorkflow{}
	var err error
	out.Events, out.Looked, err = f.Events.EachSelected(ctx, s, time.Now().Add(cmp.Or(s.Within, forecastTime)), func(x engine.Selected) {
		id := x.Workflow.ID
		if by[id] == nil {
			by[id] = &engine.PlannedWorkflow{Workflow: id, Version: x.Workflow.Version, Calls: []engine.PlannedCall{}}
		}
		switch w := by[id]; {
		case x.Event == nil:
			w.Unreadable++
		case x.Known:
			w.Known++
		default:
			out.Chosen = append(out.Chosen, engine.Chosen{Event: x.Event.ID, Workflow: id})
			f.plan(x, w)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		w := by[id]
		slices.SortFunc(w.Calls, func(a, b engine.PlannedCall) int {
			return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Action, b.Action))
		})
		out.Runs += w.Runs
		out.Workflows = append(out.Workflows, *w)
	}
	return out, nil
}

// plan adds the outcome of one event.
func (f *Forecaster) plan(x engine.Selected, w *engine.PlannedWorkflow) {
	names, err := x.Event.Names()
	d := engine.Listener{Workflow: x.Workflow, Start: x.Start, Types: x.Types}.Evaluate(x.Event, names, err, time.Time{})
	switch d.Outcome {
	case engine.Matched:
		w.Runs++
		if x.Ran {
			w.Repeated++
			w.DoneSteps += len(x.Done)
		}
	case engine.RuleFailed:
		w.RuleFailed++
		w.Reason = cmp.Or(w.Reason, f.Redact(d.Reason))
	default:
		w.NotMatched++
	}
	if d.Outcome != engine.Matched || w.DryRuns >= runsEach || w.Problem != "" {
		return
	}
	got, err := f.run(x)
	if err != nil {
		w.Problem = f.Redact(err.Error())
		return
	}
	w.DryRuns++
	for _, c := range got.Calls {
		f.addCall(w, c, x.Done)
	}
}

// run simulates a run; a panic ends only this run.
func (f *Forecaster) run(x engine.Selected) (got *Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the dry run panicked, which is a bug in Hookloom: %v", p)
		}
	}()
	secret := func(name string) string {
		v, _ := f.Secret(name)
		return v
	}
	copied := *x.Event // a dry run may change its inputs
	return Run(Request{Project: f.Project(), Workflow: x.Workflow, Event: &copied, Now: time.Now().UTC(), Secret: secret})
}

// addCall records what an attempt would have called, and whether an earlier run did.
func (f *Forecaster) addCall(w *engine.PlannedWorkflow, c Call, done []engine.DoneStep) {
	if c.Due == nil || c.Due.Step.Spec == nil || !c.Due.Step.Spec.SideEffects {
		return
	}
	call := engine.PlannedCall{Action: c.Due.Step.Uses, Host: f.host(*c.Due)}
	i := slices.IndexFunc(w.Calls, func(x engine.PlannedCall) bool { return x.Action == call.Action && x.Host == call.Host })
	if i < 0 {
		i, w.Calls = len(w.Calls), append(w.Calls, call)
	}
	w.Calls[i].Count++
	if slices.ContainsFunc(done, func(d engine.DoneStep) bool { return d.Path == c.Due.Path }) {
		w.Calls[i].Done++
	}
}

// host returns the host that an attempt would call; empty if unknown.
func (f *Forecaster) host(d plan.Due) string {
	a, ok := f.Actions[engine.ActionName(d.Step)].(engine.Destined)
	if !ok {
		return ""
	}
	in := engine.Input{Spec: d.Step.Spec, With: d.With, Path: d.Path, Attempt: d.Attempt, Connections: f.Project().Connections,
		Secret: f.Secret}
	return f.Redact(a.Destination(in))
}
