package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// Replay makes a new run of an old one, see ReplayRun.
func (ctl *Control) Replay(ctx context.Context, of engine.RunID, from, version, by string) (engine.RunID, error) {
	r, err := ctl.ReplayRun(ctx, of, engine.ReplayOrder{From: from, Version: version, By: by})
	return r.Run, err
}

// ReplayRun makes a new run of an old one: of the same event, from the start or from the failed
// step, on the pinned or the current version. A run is replayed once: a repeated request returns
// the run that was made.
func (ctl *Control) ReplayRun(ctx context.Context, of engine.RunID, o engine.ReplayOrder) (engine.Replayed, error) {
	r, err := ctl.o.Store.Run(ctx, of)
	if err != nil && (r == nil || r.Workflow == "") { // its outputs need not be readable
		return engine.Replayed{}, fmt.Errorf("run %s: %w", of, err)
	}
	if !r.Status.Ended() {
		return engine.Replayed{}, fmt.Errorf("run %s is %s: only a run that has ended can be replayed", of, r.Status)
	}
	use := r.Version
	if o.Version == "current" {
		w := ctl.o.Registry.Snapshot().Workflows[r.Workflow]
		if w == nil {
			return engine.Replayed{}, fmt.Errorf("workflow %s: %w", r.Workflow, engine.ErrNotFound)
		}
		use = w.Version
	}
	now := time.Now().UTC()
	ev, err := ctl.o.Store.Event(ctx, r.Event)
	if err != nil {
		return engine.Replayed{}, fmt.Errorf("event %s: %w", r.Event, err)
	}
	if ev.Stripped {
		return engine.Replayed{}, fmt.Errorf("run %s cannot be replayed: the body of its event was pruned (history: bodies)", of)
	}
	replay := engine.Replay{New: engine.RunID(ctl.o.Registry.NextID()), Of: of, From: o.From, Version: use, At: now,
		By:    cmp.Or(o.By, "somebody"),
		Again: o.Again}
	if replay.Slot, replay.Cancels, err = ctl.slotOf(ctx, r, ev, replay); err != nil {
		return engine.Replayed{}, fmt.Errorf("run %s: %w", of, err)
	}
	replay.NotBefore = ctl.o.Machine.ReplayAt(now)
	due, doubts, err := ctl.o.Store.Replay(ctx, replay)
	var already *engine.ReplayedError
	if errors.As(err, &already) {
		return engine.Replayed{Run: already.As, Already: true}, nil
	}
	if err != nil {
		return engine.Replayed{}, fmt.Errorf("run %s was not replayed: %w", of, err)
	}
	ctl.o.Machine.DueAt(due)
	return engine.Replayed{Run: replay.New, InDoubt: doubts}, nil
}
