package backtest

import (
	"context"
	"fmt"
	"sync"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// versions compiles the versions that ran, with the other files that they used.
type versions struct {
	history engine.RecordHistory
	project *workflows.Project
	uses    map[string][]engine.VersionUses
	mu      sync.Mutex
	known   map[versionKey]compiled
}

type versionKey struct {
	workflow, version string
	from              engine.RunID
}

type compiled struct {
	w   *workflows.Workflow
	err error
}

func newVersions(ctx context.Context, h engine.RecordHistory, p *workflows.Project) (*versions, error) {
	all, err := h.AllUses(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what versions of workflows use: %w", err)
	}
	v := &versions{history: h, project: p, uses: map[string][]engine.VersionUses{}, known: map[versionKey]compiled{}}
	for _, u := range all {
		v.uses[u.Version] = append(v.uses[u.Version], u)
	}
	return v, nil
}

// ran returns the workflow of a recorded run, as it was.
func (v *versions) ran(ctx context.Context, r *engine.Run, ev *engine.Event) (*workflows.Workflow, error) {
	return v.workflow(ctx, r.Workflow, r.Version, registry.AsOf(r, ev))
}

// workflow returns a version of a workflow as of a run.
func (v *versions) workflow(ctx context.Context, id, version string, as engine.RunID) (*workflows.Workflow, error) {
	u, _ := registry.UsesAsOf(v.uses[version], as)
	k := versionKey{id, version, u.From}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.known[k]; ok {
		return c.w, c.err
	}
	w, err := registry.CompileVersion(ctx, v.project, id, version, u.Uses, v.history.VersionText)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	v.known[k] = compiled{w, err}
	return w, err
}
