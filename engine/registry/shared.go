package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file keeps up with the other nodes of a shared database: which workflows are switched off, what
// runs wait for, and what ends them. A decision that relies on what another node has changed since is
// rejected by the store; Refresh reads it again.

// Rules is the state of the rules that decisions of now rely on. It is read before they are made.
func (g *Registry) Rules() int64 { return g.rules.Load() }

// Refresh loads the current project again if another node has changed what decisions rely on.
func (g *Registry) Refresh(ctx context.Context) error {
	g.using.Lock()
	defer g.using.Unlock()
	l := g.project.Load()
	if l == nil || !g.o.Store.Shared() {
		return nil
	}
	seq, _, err := g.o.Store.Rules(ctx)
	if err != nil {
		return fmt.Errorf("reading what other nodes have changed: %w", err)
	}
	if seq == g.rules.Load() {
		return nil
	}
	return g.use(ctx, l.Project)
}

// Current calls decide, and again with what another node has changed if it returns engine.ErrRules.
func (g *Registry) Current(ctx context.Context, decide func() error) error {
	for {
		err := decide()
		if !errors.Is(err, engine.ErrRules) {
			return err
		}
		if err := g.Refresh(ctx); err != nil {
			return err
		}
	}
}

// learnRules registers what runs wait for, and what ends them, of the versions that other nodes have
// loaded. It returns the state that was read.
func (g *Registry) learnRules(ctx context.Context, p *workflows.Project) (seq int64, err error) {
	seq, versions, err := g.o.Store.Rules(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading what other nodes have loaded: %w", err)
	}
	if len(versions) > 0 {
		if err := g.pins.load(ctx, g.o.Store); err != nil {
			return 0, err
		}
	}
	for _, v := range versions {
		if _, known := g.learned.LoadOrStore(v.Version, true); known {
			continue
		}
		w, err := g.versionIn(ctx, p, &v, engine.RunID(g.ids.Next()))
		if err != nil {
			g.o.Log.Warn("events neither wake nor end runs of a workflow version that cannot be read", "workflow", v.Workflow,
				"version", v.Version, "error", err)
			continue
		}
		g.AddCancelRules(w) // versionIn has registered what its runs wait for
	}
	return seq, nil
}

// Lane is the lane of a trigger's events; empty if they are decided in any order.
func (l *Snapshot) Lane(trigger string) string {
	if l == nil {
		return ""
	}
	return l.lanes[trigger]
}

// findLanes names the lanes. Triggers of one workflow are in one lane, because their events may begin or
// end runs of the same group.
func (l *Snapshot) findLanes() {
	l.lanes = map[string]string{}
	for _, trigger := range slices.Sorted(maps.Keys(l.Gated)) {
		l.lanes[trigger] = trigger
	}
	for changed := true; changed; {
		changed = false
		for _, w := range l.Workflows {
			of := []string{w.ID}
			for _, s := range w.Starts {
				of = append(of, s.Trigger)
			}
			for _, c := range w.CancelOn {
				of = append(of, c.Trigger)
			}
			changed = l.join(of) || changed
		}
	}
}

// join puts gated triggers into one lane; it reports whether that changed one.
func (l *Snapshot) join(triggers []string) (changed bool) {
	first := ""
	for _, t := range triggers {
		if lane := l.lanes[t]; lane != "" && (first == "" || lane < first) {
			first = lane
		}
	}
	for _, t := range triggers {
		if lane := l.lanes[t]; lane != "" && lane != first {
			l.lanes[t], changed = first, true
		}
	}
	return changed
}
