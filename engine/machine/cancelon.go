package machine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// cancelRule is one entry of cancel_on.
type cancelRule struct {
	id string
	on *workflows.CancelOn
}

func ruleID(version string, nth int) string { return version + "/" + strconv.Itoa(nth) }

// addCancelRules makes known what ends the runs of a workflow's version. Rules stay
// while the process lives: runs of earlier versions go on.
func (e *Engine) addCancelRules(w *workflows.Workflow) {
	if len(w.CancelOn) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	rules := map[string][]cancelRule{}
	if old := e.cancelRules.Load(); old != nil {
		rules = maps.Clone(*old)
	}
	for i := range w.CancelOn {
		on, id := &w.CancelOn[i], ruleID(w.Version, i)
		list := slices.DeleteFunc(slices.Clone(rules[on.Trigger]), func(r cancelRule) bool { return r.id == id })
		rules[on.Trigger] = append(list, cancelRule{id, on})
	}
	e.cancelRules.Store(&rules)
}

// cancelRulesOf gives what the events of a trigger may end; mostly nothing.
func (e *Engine) cancelRulesOf(trigger string) []cancelRule {
	rules := e.cancelRules.Load()
	if rules == nil {
		return nil
	}
	return (*rules)[trigger]
}

// findCancelKeys evaluates the keys by which a new run can be ended.
func (rc *runContext) findCancelKeys() error {
	w := rc.state.Workflow
	for i := range w.CancelOn {
		key, err := w.CancelOn[i].RunKey(rc.keyEnv())
		if err != nil {
			return err
		}
		if key != "" {
			rc.cancels = append(rc.cancels, engine.CancelKey{Trigger: w.CancelOn[i].Trigger, Rule: ruleID(w.Version, i),
				Key: rc.masker().Text(key)})
		}
	}
	return nil
}

// cancelsOf gives the keys of the runs that an event ends.
func (e *Engine) cancelsOf(ev *engine.Event, names map[string]any) (out []engine.CancelKey) {
	rules := e.cancelRulesOf(ev.Trigger)
	if len(rules) == 0 {
		return nil
	}
	mask := e.maskOf(ev)
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

// cancelBy cancels runs that events have ended.
func (e *Engine) cancelBy(list []engine.CancelledBy) {
	if len(list) == 0 {
		return
	}
	e.goroutines.Add(1)
	go func() {
		defer e.goroutines.Done()
		for _, c := range list {
			why := &plan.Error{Message: fmt.Sprintf("event %s of trigger %s ended it (cancel_on)", c.Event, c.Trigger), Code: "cancelled_by_event",
				Details: map[string]any{"event": c.Event.String(), "trigger": c.Trigger}}
			if err := e.cancel(e.work, c.Run, why); err != nil && !errors.Is(err, engine.ErrStale) && e.work.Err() == nil {
				e.o.Log.Error("a run was not ended by its event", "run", c.Run, "event", c.Event, "error", err)
			}
		}
	}()
}

// cancelLeft takes up at a start what events were about to end before it.
func (e *Engine) cancelLeft(ctx context.Context) error {
	versions, err := e.o.Store.CancelVersions(ctx)
	if err != nil {
		return fmt.Errorf("looking for what ends open runs: %w", err)
	}
	for _, v := range versions {
		w, err := e.version(ctx, &v, v.ID)
		if err != nil {
			e.o.Log.Warn("no event can end the runs of a version that cannot be read", "workflow", v.Workflow, "version", v.Version, "error", err)
			continue
		}
		e.addCancelRules(w)
	}
	list, err := e.o.Store.CancelledBy(ctx)
	if err != nil {
		return fmt.Errorf("looking for runs that events have ended: %w", err)
	}
	e.cancelBy(list)
	return nil
}
