package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// UsesAsOf returns the files that a version uses for a run; list is its history, oldest first. Runs
// begun by a build that did not record it use the oldest known entry. It returns false if the
// version uses no files.
func UsesAsOf(list []engine.VersionUses, id engine.RunID) (engine.VersionUses, bool) {
	if len(list) == 0 {
		return engine.VersionUses{}, false
	}
	out := list[0]
	for _, u := range list {
		if u.From <= id {
			out = u
		}
	}
	return out, true
}

// CompileVersion compiles a version of a workflow with the versions of the files that it used. text
// returns the text of a version, or engine.ErrNotFound.
func CompileVersion(ctx context.Context, p *workflows.Project, workflow, version string, uses workflows.Uses,
	text func(ctx context.Context, version string) (string, error)) (*workflows.Workflow, error) {
	own, err := text(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("the text of version %s of workflow %s: %w", version, workflow, err)
	}
	with := workflows.Pins{Triggers: uses.Triggers}
	if with.Workflows, err = texts(ctx, uses.Workflows, text); err != nil {
		return nil, err
	}
	if with.Connectors, err = texts(ctx, uses.Connectors, text); err != nil {
		return nil, err
	}
	w, mistakes := p.Compile(workflow, []byte(own), with)
	if mistakes.Errors() > 0 {
		return nil, fmt.Errorf("version %s of workflow %s can no longer be compiled: %w", version, workflow, mistakes)
	}
	return w, nil
}

// texts reads versions of files; missing ones are left out.
func texts(ctx context.Context, versions map[string]string,
	text func(ctx context.Context, version string) (string, error)) (map[string][]byte, error) {
	var out map[string][]byte
	for name, version := range versions {
		t, err := text(ctx, version)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("version %s of %s: %w", version, name, err)
		}
		if out == nil {
			out = map[string][]byte{}
		}
		out[name] = []byte(t)
	}
	return out, nil
}
