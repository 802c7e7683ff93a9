package registry

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file is how a run keeps the versions it began with: its workflow's text, and the versions of
// the workflows, connectors and triggers that the text names. What a version uses is stored when a
// project is loaded, from the next run's id on. So nothing is stored per run, and nothing at all
// for workflows that use no other file.

const (
	// VersionHeader of an event that calls a workflow is the version to run. asOfHeader is the run
	// whose pinned versions it uses: the first caller.
	VersionHeader = "x-workflow-version"
	AsOfHeader    = "x-as-of"
)

// pins are the files that the versions of workflows use.
type pins struct {
	mu     sync.Mutex
	loaded bool
	// uses are by version, oldest first.
	uses map[string][]engine.VersionUses
	// compiled are compiled texts, as pinned.
	compiled map[pinned]*workflows.Workflow
}

// pinned is a version of a workflow together with the run from which on it uses its files.
type pinned struct {
	workflow, version string
	from              engine.RunID
}

// AsOf is the run whose pinned files a run uses: itself, or for a called run the first caller.
func AsOf(r *engine.Run, ev *engine.Event) engine.RunID {
	if ev != nil && ev.Inlet == workflows.InletCall && r.Repeats == 0 {
		if id, err := engine.ParseRunID(ev.Headers[AsOfHeader]); err == nil {
			return id
		}
	}
	return r.ID
}

// at returns the files that a version uses for a run, see UsesAsOf.
func (p *pins) at(version string, id engine.RunID) (engine.VersionUses, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return UsesAsOf(p.uses[version], id)
}

// load reads the stored uses, once.
func (p *pins) load(ctx context.Context, s Store) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loaded {
		return nil
	}
	if err := p.readLocked(ctx, s); err != nil {
		return err
	}
	p.compiled, p.loaded = map[pinned]*workflows.Workflow{}, true
	return nil
}

// read reads the stored uses again: other nodes store some too.
func (p *pins) read(ctx context.Context, s Store) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readLocked(ctx, s)
}

func (p *pins) readLocked(ctx context.Context, s Store) error {
	all, err := s.AllUses(ctx)
	if err != nil {
		return fmt.Errorf("reading what versions of workflows use: %w", err)
	}
	p.uses = map[string][]engine.VersionUses{}
	for _, u := range all {
		p.uses[u.Version] = append(p.uses[u.Version], u)
	}
	return nil
}

func (p *pins) keep(k pinned, w *workflows.Workflow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.compiled[k] = w
}

func (p *pins) find(k pinned) *workflows.Workflow {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.compiled[k]
}

// pin stores what a workflow of a project uses, if that has changed.
func (g *Registry) pin(ctx context.Context, p *workflows.Project, w *workflows.Workflow) error {
	if err := g.pins.load(ctx, g.o.Store); err != nil {
		return err
	}
	g.awaits(w)
	uses := p.Uses(w)
	if uses.None() {
		g.pins.keep(pinned{w.ID, w.Version, 0}, w)
		return nil
	}
	for name, version := range uses.Connectors {
		if err := g.o.Store.SaveFile(ctx, "connectors/"+name, version, p.ConnectorText(name)); err != nil {
			return fmt.Errorf("storing connector %s: %w", name, err)
		}
	}
	u := engine.VersionUses{Version: w.Version, From: engine.RunID(g.ids.Next()), Uses: uses}
	g.pins.mu.Lock()
	list := g.pins.uses[w.Version]
	g.pins.mu.Unlock()
	if n := len(list); n > 0 && same(list[n-1].Uses, uses) {
		u = list[n-1]
	} else {
		if err := g.o.Store.SaveUses(ctx, u); err != nil {
			return fmt.Errorf("storing what workflow %s uses: %w", w.ID, err)
		}
		if err := g.pins.read(ctx, g.o.Store); err != nil { // with what another node has stored meanwhile
			return err
		}
	}
	g.pins.keep(pinned{w.ID, w.Version, u.From}, w)
	return nil
}

func same(a, b workflows.Uses) bool {
	return maps.Equal(a.Workflows, b.Workflows) && maps.Equal(a.Connectors, b.Connectors) && maps.Equal(a.Triggers, b.Triggers)
}

// awaits records the triggers whose events a workflow may wait for.
func (g *Registry) awaits(w *workflows.Workflow) {
	for _, name := range w.AwaitedTriggers() {
		g.awaited.Store(name, true)
	}
}

// AwaitOpen records the triggers whose events open runs may wait for, including runs that do not
// wait yet.
func (g *Registry) AwaitOpen(ctx context.Context) error {
	names, err := g.o.Store.Awaited(ctx)
	if err != nil {
		return fmt.Errorf("looking for what runs wait for: %w", err)
	}
	for _, name := range names {
		g.awaited.Store(name, true)
	}
	open, err := g.o.Store.OpenVersions(ctx)
	if err != nil {
		return fmt.Errorf("looking for the versions of open runs: %w", err)
	}
	p := g.project.Load()
	for _, r := range open {
		if w := p.Workflows[r.Workflow]; w != nil && w.Version == r.Version {
			continue
		}
		_, _ = g.Version(ctx, &r, r.ID) // an unreadable version fails when its run continues
	}
	return nil
}

// Version returns the workflow that a run is pinned to, compiled with the files it used as of a
// run.
func (g *Registry) Version(ctx context.Context, r *engine.Run, as engine.RunID) (*workflows.Workflow, error) {
	return g.versionIn(ctx, g.project.Load().Project, r, as)
}

func (g *Registry) versionIn(ctx context.Context, p *workflows.Project, r *engine.Run, as engine.RunID) (*workflows.Workflow, error) {
	u, known := g.pins.at(r.Version, as)
	k := pinned{r.Workflow, r.Version, u.From}
	if w := g.pins.find(k); w != nil {
		return w, nil
	}
	if !known && g.o.Store.Shared() { // another node may have loaded it
		if err := g.pins.read(ctx, g.o.Store); err != nil {
			return nil, err
		}
		u, _ = g.pins.at(r.Version, as)
		k.from = u.From
	}
	w, err := CompileVersion(ctx, p, r.Workflow, r.Version, u.Uses, g.o.Store.Version)
	if err != nil {
		return nil, err
	}
	g.awaits(w)
	g.pins.keep(k, w)
	return w, nil
}

// Callee is the workflow that a step of a run calls, in the version that was current when the run
// began.
func (g *Registry) Callee(ctx context.Context, r *engine.Run, ev *engine.Event, name string) (*workflows.Workflow, error) {
	as := AsOf(r, ev)
	now := g.project.Load().Workflows[name]
	u, known := g.pins.at(r.Version, as)
	version := u.Uses.Workflows[name]
	switch {
	case known && version != "" && (now == nil || now.Version != version):
		return g.Version(ctx, &engine.Run{Workflow: name, Version: version}, as)
	case now == nil:
		return nil, fmt.Errorf("workflow %s no longer exists", name)
	}
	return now, nil
}

// ListenersTo are the workflows that receive an event. A called workflow has the version that the
// caller began with.
func (g *Registry) ListenersTo(ctx context.Context, p *Snapshot, ev *engine.Event) ([]engine.Listener, error) {
	if ev.Inlet != workflows.InletCall {
		return p.Listeners(&ev.Delivery), nil
	}
	if version := ev.Headers[VersionHeader]; version != "" {
		as, err := engine.ParseRunID(ev.Headers[AsOfHeader])
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", ev.ID, err)
		}
		w, err := g.Version(ctx, &engine.Run{Workflow: ev.Only, Version: version}, as)
		if err != nil {
			return nil, err
		}
		return []engine.Listener{{Workflow: w, Start: workflows.Start{Kind: "manual"}}}, nil
	}
	return p.Listeners(&ev.Delivery), nil
}

// GoneTriggers are the triggers that a workflow waits for and that the project no longer has.
func (g *Registry) GoneTriggers(w *workflows.Workflow) (gone map[string]bool) {
	p := g.project.Load()
	for _, name := range w.AwaitedTriggers() {
		if p.Triggers[name] == nil {
			if gone == nil {
				gone = map[string]bool{}
			}
			gone[name] = true
		}
	}
	return gone
}
