package backtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// versions compiles the versions that ran, with what they used of other files.
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

// at is what a version used as of a run.
func (v *versions) at(version string, id engine.RunID) (out engine.VersionUses) {
	for i, u := range v.uses[version] {
		if i == 0 || u.From <= id {
			out = u
		}
	}
	return out
}

// ran gives the workflow of a recorded run, as it was.
func (v *versions) ran(ctx context.Context, r *engine.Run, ev *engine.Event) (*workflows.Workflow, error) {
	return v.workflow(ctx, r.Workflow, r.Version, registry.AsOf(r, ev))
}

// workflow gives a version of a workflow as of a run.
func (v *versions) workflow(ctx context.Context, id, version string, as engine.RunID) (*workflows.Workflow, error) {
	u := v.at(version, as)
	k := versionKey{id, version, u.From}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.known[k]; ok {
		return c.w, c.err
	}
	w, err := v.compile(ctx, k, u.Uses)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	v.known[k] = compiled{w, err}
	return w, err
}

func (v *versions) compile(ctx context.Context, k versionKey, uses workflows.Uses) (*workflows.Workflow, error) {
	text, err := v.history.VersionText(ctx, k.version)
	if err != nil {
		return nil, fmt.Errorf("the text of version %s is not on record: %w", k.version, err)
	}
	pins := workflows.Pins{Triggers: uses.Triggers}
	if pins.Workflows, err = v.texts(ctx, uses.Workflows); err != nil {
		return nil, err
	}
	if pins.Connectors, err = v.texts(ctx, uses.Connectors); err != nil {
		return nil, err
	}
	w, mistakes := v.project.Compile(k.workflow, []byte(text), pins)
	if mistakes.Errors() > 0 {
		return nil, fmt.Errorf("version %s can no longer be compiled: %w", k.version, mistakes)
	}
	return w, nil
}

func (v *versions) texts(ctx context.Context, of map[string]string) (map[string][]byte, error) {
	var out map[string][]byte
	for name, version := range of {
		text, err := v.history.VersionText(ctx, version)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("version %s of %s: %w", version, name, err)
		}
		if out == nil {
			out = map[string][]byte{}
		}
		out[name] = []byte(text)
	}
	return out, nil
}
