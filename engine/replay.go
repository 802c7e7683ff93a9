package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// ReplayOrder says how a run is repeated.
type ReplayOrder struct {
	// From is start, or failed to keep the steps that had succeeded.
	From string
	// Version is pinned, the version that ran, or current.
	Version string
	By      string
	// Again repeats a run also when it was repeated already.
	Again bool
}

// Replayed is the run that repeats another.
type Replayed struct {
	Run RunID
	// Already tells that an earlier order made it.
	Already bool
	// InDoubt is how many calls of the old run may have taken effect. From the failed step
	// they are made again with the same idempotency key, from the start with a new one.
	InDoubt int
}

// ReplayedError says that a run was repeated already.
type ReplayedError struct{ As RunID }

// Error implements error.
func (e *ReplayedError) Error() string { return "it was already replayed as " + e.As.String() }

// Replay makes a new run of an old one as ReplayRun does.
func (e *Engine) Replay(ctx context.Context, of RunID, from, version, by string) (RunID, error) {
	r, err := e.ReplayRun(ctx, of, ReplayOrder{From: from, Version: version, By: by})
	return r.Run, err
}

// ReplayRun makes a new run of an old one: of the same event, from the start or with
// the steps that had succeeded, on the pinned or the current version. A run is repeated
// once: who asks for it again gets the run that was made.
func (e *Engine) ReplayRun(ctx context.Context, of RunID, o ReplayOrder) (Replayed, error) {
	r, err := e.o.Store.Run(ctx, of)
	if err != nil && (r == nil || r.Workflow == "") { // what it gave need not be readable
		return Replayed{}, fmt.Errorf("run %s: %w", of, err)
	}
	if !r.Status.Ended() {
		return Replayed{}, fmt.Errorf("run %s is %s: only a run that has ended can be replayed", of, r.Status)
	}
	use := r.Version
	if o.Version == "current" {
		w := e.project.Load().Workflows[r.Workflow]
		if w == nil {
			return Replayed{}, fmt.Errorf("workflow %s: %w", r.Workflow, ErrNotFound)
		}
		use = w.Version
	}
	now := time.Now().UTC()
	ev, err := e.o.Store.Event(ctx, r.Event)
	if err != nil {
		return Replayed{}, fmt.Errorf("event %s: %w", r.Event, err)
	}
	if ev.Stripped {
		return Replayed{}, fmt.Errorf("run %s cannot be replayed: the body of its event was pruned (history: bodies)", of)
	}
	replay := Replay{New: RunID(e.ids.Next()), Of: of, From: o.From, Version: use, At: now, By: cmp.Or(o.By, "somebody"), Again: o.Again}
	if replay.Slot, replay.Cancels, err = e.slotOf(ctx, r, ev, replay); err != nil {
		return Replayed{}, fmt.Errorf("run %s: %w", of, err)
	}
	replay.NotBefore = e.replayAt(now)
	due, doubts, err := e.o.Store.Replay(ctx, replay)
	var already *ReplayedError
	if errors.As(err, &already) {
		return Replayed{Run: already.As, Already: true}, nil
	}
	if err != nil {
		return Replayed{}, fmt.Errorf("run %s was not replayed: %w", of, err)
	}
	e.dueAt(due)
	return Replayed{Run: replay.New, InDoubt: doubts}, nil
}
