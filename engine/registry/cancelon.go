package registry

import (
	"github.com/hookloom/hookloom/workflows/expr"

	"maps"
	"slices"
	"strconv"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// cancelRule is one entry of cancel_on.
type cancelRule struct {
	id string
	on *workflows.CancelOn
}

func ruleID(version string, nth int) string { return version + "/" + strconv.Itoa(nth) }

// AddCancelRules registers what ends the runs of a workflow's version. Rules stay for the life of
// the process, since runs of earlier versions continue.
func (g *Registry) AddCancelRules(w *workflows.Workflow) {
	if len(w.CancelOn) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	rules := map[string][]cancelRule{}
	if old := g.cancelRules.Load(); old != nil {
		rules = maps.Clone(*old)
	}
	for i := range w.CancelOn {
		on, id := &w.CancelOn[i], ruleID(w.Version, i)
		list := slices.DeleteFunc(slices.Clone(rules[on.Trigger]), func(r cancelRule) bool { return r.id == id })
		rules[on.Trigger] = append(list, cancelRule{id, on})
	}
	g.cancelRules.Store(&rules)
}

// cancelRulesOf returns the rules for the events of a trigger; usually none.
func (g *Registry) cancelRulesOf(trigger string) []cancelRule {
	rules := g.cancelRules.Load()
	if rules == nil {
		return nil
	}
	return (*rules)[trigger]
}

// FindCancelKeys evaluates the keys by which a new run can be ended.
func (rc *RunContext) FindCancelKeys() error {
	w := rc.State.Workflow
	for i := range w.CancelOn {
		key, err := w.CancelOn[i].RunKey(keyEnv(rc.State, rc.Event))
		if err != nil {
			return err
		}
		if key != "" {
			rc.Cancels = append(rc.Cancels, engine.CancelKey{Trigger: w.CancelOn[i].Trigger, Rule: ruleID(w.Version, i),
				Key: rc.Masker().Text(key)})
		}
	}
	return nil
}

// CancelsOf returns the keys of the runs that an event ends.
func (g *Registry) CancelsOf(ev *engine.Event, names map[string]any) (out []engine.CancelKey) {
	rules := g.cancelRulesOf(ev.Trigger)
	if len(rules) == 0 {
		return nil
	}
	mask := g.MaskOf(ev)
	for _, r := range rules {
		if !workflows.MatchType(r.on.Events, ev.Type) {
			continue
		}
		env := &expr.Env{Names: expr.Names{"event": names, "inputs": ev.Inputs}, Now: ev.ReceivedAt, Seed: ev.ID.String()}
		for _, key := range r.on.EventKeys(ev.Key, env) {
			out = append(out, engine.CancelKey{Trigger: ev.Trigger, Rule: r.id, Key: mask.Text(key)})
		}
	}
	return out
}
