package registry

import (
	"slices"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// MarkUnsubscribed records on a delivery whether anything may react to it, and its lane.
func (g *Registry) MarkUnsubscribed(d *engine.Delivery) {
	d.Rules = g.rules.Load() // before what they are
	p := g.project.Load()
	d.Lane = p.Lane(d.Trigger)
	_, awaited := g.awaited.Load(d.Trigger)
	d.Unsubscribed = p != nil && len(p.Listeners(d)) == 0 && !awaited && len(g.cancelRulesOf(d.Trigger)) == 0
}

// EndListeners are the workflows that listen to the ends of a workflow's runs, each once. Workflows
// that listen to all others do not listen to each other, which would loop forever.
func (l *Snapshot) EndListeners(workflow string) []engine.Listener {
	return EndListenersOf(l.byRun, workflow)
}

// EndListenersOf are the EndListeners among those that listen to ends, by the workflow that they
// listen to.
func EndListenersOf(byRun map[string][]engine.Listener, workflow string) []engine.Listener {
	out, all := byRun[workflow], byRun[workflows.AnyWorkflow]
	if slices.ContainsFunc(all, func(x engine.Listener) bool { return x.Workflow.ID == workflow }) {
		return out
	}
	for _, x := range all {
		if !slices.ContainsFunc(out, func(y engine.Listener) bool { return y.Workflow.ID == x.Workflow.ID }) {
			out = append(out[:len(out):len(out)], x)
		}
	}
	return out
}

// Listeners are the workflows that receive an event.
func (l *Snapshot) Listeners(ev *engine.Delivery) []engine.Listener {
	if ev.Only == "" && ev.Inlet != workflows.InletManual {
		return l.ByTrigger[ev.Trigger]
	}
	name := ev.Only
	if name == "" {
		name = ev.Trigger
	}
	if w := l.Workflows[name]; w != nil {
		only := engine.Listener{Workflow: w, Start: workflows.Start{Kind: "manual"}}
		if ev.Inlet == workflows.InletWorkflowRun { // those who start or call it got an error
			only.Off = l.offOutcome(name, w.Enabled)
		}
		return []engine.Listener{only}
	}
	return nil
}

// SwitchedOff returns the workflows that a person has switched off.
func (g *Registry) SwitchedOff() map[string]engine.Switch {
	p := g.project.Load()
	if p == nil {
		return nil
	}
	return p.Off
}

// offOutcome is the outcome recorded for a workflow's events while it is off; empty while it is on.
func (l *Snapshot) offOutcome(workflow string, inFile bool) engine.Outcome {
	x, off := l.Off[workflow]
	switch {
	case off && x.State != engine.SwitchOff:
		return engine.Held
	case off || !inFile:
		return engine.Disabled
	}
	return ""
}

// Deciding prevents a hold from ending while decisions that rely on it are being written. It
// returns the project to decide with.
func (g *Registry) Deciding() (p *Snapshot, done func()) {
	if p = g.project.Load(); !p.holding {
		return p, func() {}
	}
	g.turning.RLock()
	return g.project.Load(), g.turning.RUnlock
}
