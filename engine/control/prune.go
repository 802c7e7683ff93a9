package control

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// pruneEvery is how often the history is pruned, and pruneFirst the delay after a start.
const (
	pruneEvery = time.Hour
	pruneFirst = time.Minute
)

// RunPruning prunes the history as the project is configured, until ctx ends.
func (ctl *Control) RunPruning(ctx context.Context) {
	timer := time.NewTimer(pruneFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if _, err := ctl.pruneHere(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrClosed) {
			ctl.o.Log.Warn("the history was only partly pruned; trying again in an hour", "error", err)
		}
		timer.Reset(pruneEvery)
	}
}

// pruneHere prunes the history if this node has the lease for it, and the files of this node.
func (ctl *Control) pruneHere(ctx context.Context) (n engine.Pruned, err error) {
	if engine.Leads(ctx, ctl.o.Store, "prune") {
		return ctl.Prune(ctx, ctl.o.Registry.Snapshot().History)
	}
	n.Files, n.FileBytes, err = engine.SweepFiles(ctx, ctl.o.Files, ctl.o.Store)
	return n, err
}

// Prune removes history that is older than the settings allow.
func (ctl *Control) Prune(ctx context.Context, h workflows.History) (engine.Pruned, error) {
	n, err := ctl.o.Store.Prune(ctx, engine.PruneOrderOf(ctl.o.Registry.Snapshot().Project, h, time.Now()))
	if err == nil {
		n.Files, n.FileBytes, err = engine.SweepFiles(ctx, ctl.o.Files, ctl.o.Store)
	}
	if n != (engine.Pruned{}) {
		ctl.o.Log.Info("the history was pruned", "runs", n.Runs, "events", n.Events, "bodies", n.Bodies, "keys", n.Keys,
			"refusals", n.Refusals, "values", n.Values, "files", n.Files, "file_bytes", n.FileBytes, "bytes_given_back", n.Bytes)
	}
	return n, err
}
