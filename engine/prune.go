package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/workflows"
)

// PruneOrder says what of the history may go.
type PruneOrder struct {
	Now time.Time
	// Before removes events and ended runs older than that, Bodies only what events and
	// steps carried; zero removes nothing.
	Before, Bodies time.Time
	// MaxSize is how many bytes the database may hold; 0 for any number.
	MaxSize int64
	// Dedupe is how long the keys of a trigger count, DefaultDedupe for others.
	Dedupe        map[string]time.Duration
	DefaultDedupe time.Duration
}

// Pruned counts what went.
type Pruned struct {
	Runs     int `json:"runs"`
	Events   int `json:"events"`
	Bodies   int `json:"bodies"`
	Keys     int `json:"keys"`
	Refusals int `json:"refusals"`
	// Values are kept values whose time was over.
	Values int `json:"values"`
	// Files of runs that are gone were removed, with so many bytes.
	Files     int   `json:"files"`
	FileBytes int64 `json:"file_bytes"`
	// Bytes were given back to the file system, of the database's file.
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

// RunReader loads single runs, as RunStore says.
type RunReader interface {
	Run(ctx context.Context, id RunID) (*Run, error)
}

// SweepFiles removes the files of runs that are no longer on record.
func SweepFiles(ctx context.Context, kept *files.Store, s RunReader) (n int, bytes int64, err error) {
	if kept == nil {
		return 0, 0, nil
	}
	swept, err := kept.Sweep(func(run string) (bool, error) {
		id, err := ParseRunID(run)
		if err != nil {
			return true, nil // a person's own folder
		}
		_, err = s.Run(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return swept.Files, swept.Bytes, fmt.Errorf("removing files of runs that are gone: %w", err)
	}
	return swept.Files, swept.Bytes, nil
}
