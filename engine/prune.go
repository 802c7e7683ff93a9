package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/workflows"
)

// PruneOrder selects the history to remove.
type PruneOrder struct {
	Now time.Time
	// Before removes events and ended runs older than that; Bodies removes only the payloads of
	// events and steps. Zero removes nothing.
	Before, Bodies time.Time
	// MaxSize is the largest size of the database in bytes; 0 for no limit.
	MaxSize int64
	// Dedupe is how long the keys of a trigger are kept, DefaultDedupe for other triggers.
	Dedupe        map[string]time.Duration
	DefaultDedupe time.Duration
	// Loaded are the versions of the project's workflows: what nodes must know of them stays.
	Loaded []string
}

// Pruned counts what was removed.
type Pruned struct {
	Runs     int `json:"runs"`
	Events   int `json:"events"`
	Bodies   int `json:"bodies"`
	Keys     int `json:"keys"`
	Refusals int `json:"refusals"`
	// Values is the number of expired stored values.
	Values int `json:"values"`
	// Files is the number of removed files of runs that no longer exist, and FileBytes their size.
	Files     int   `json:"files"`
	FileBytes int64 `json:"file_bytes"`
	// Bytes is how much the database file shrank.
	Bytes int64 `json:"bytes"`
}

// PruneOrderOf makes the order of a project's history: settings.
func PruneOrderOf(p *workflows.Project, h workflows.History, now time.Time) PruneOrder {
	o := PruneOrder{Now: now, MaxSize: h.MaxSize, Dedupe: map[string]time.Duration{}, DefaultDedupe: workflows.DefaultDedupe}
	if h.Keep > 0 {
		o.Before = now.Add(-h.Keep)
	}
	if h.Bodies > 0 {
		o.Bodies = now.Add(-h.Bodies)
	}
	for _, w := range p.Workflows {
		o.Loaded = append(o.Loaded, w.Version)
	}
	for name, t := range p.Triggers {
		if t.Webhook != nil {
			o.Dedupe[name] = t.Webhook.Dedupe
		}
		if t.Poll != nil {
			o.Dedupe[name] = max(o.Dedupe[name], t.Poll.Dedupe)
		}
	}
	return o
}

// RunReader loads single runs, see RunStore.
type RunReader interface {
	Run(ctx context.Context, id RunID) (*Run, error)
}

// SweepFiles removes the files of runs that no longer exist.
func SweepFiles(ctx context.Context, kept *files.Store, s RunReader) (n int, bytes int64, err error) {
	if kept == nil {
		return 0, 0, nil
	}
	swept, err := kept.Sweep(func(run string) (bool, error) {
		id, err := ParseRunID(run)
		if err != nil {
			return true, nil // a user's own folder
		}
		_, err = s.Run(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return swept.Files, swept.Bytes, fmt.Errorf("removing files of deleted runs: %w", err)
	}
	return swept.Files, swept.Bytes, nil
}
