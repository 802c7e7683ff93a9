package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// This file executes batches, and decides held events. One goroutine does both: the decisions of a
// batch and its progress are one transaction, so that it continues after a crash where it stopped.

const (
	// batchLook is how many events of a batch are processed before other batches get a turn.
	batchLook = 100
	// batchTick is the shortest pause between two runs of a batch.
	batchTick = 50 * time.Millisecond
	// batchRetry is the pause after an error of the store.
	batchRetry = time.Second
)

func (ctl *Control) signalBatches() {
	select {
	case ctl.batchSignal <- struct{}{}:
	default:
	}
}

// RunBatches executes batches, and decides held events, until ctx ends.
func (ctl *Control) RunBatches(ctx context.Context) {
	next := map[string]time.Time{}
	changed := ctl.o.Store.Subscribe(ctx, engine.SignalOrders|engine.SignalSwitches|engine.SignalNodes)
	for ctx.Err() == nil {
		at, err := ctl.batchRound(ctx, next)
		if err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrClosed) {
			ctl.o.Log.Warn("a batch, or held events, cannot continue yet", "error", ctl.o.Redactor.Text(err.Error()))
			at = time.Now().Add(batchRetry)
		}
		pause := time.Hour
		if !at.IsZero() {
			pause = max(time.Until(at), 0)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-ctl.batchSignal:
		case <-changed: // also by another node
		case <-timer.C:
		}
		timer.Stop()
	}
}

// batchRound takes each batch, and each workflow that is being switched on, a step
// further. It returns the moment of the next round, zero for when it is woken. Of several nodes, one
// does this; another one continues when that has ended.
func (ctl *Control) batchRound(ctx context.Context, next map[string]time.Time) (at time.Time, err error) {
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if !engine.Leads(ctx, ctl.o.Store, "batches") {
		clear(next)
		return at, ctx.Err()
	}
	for _, x := range ctl.o.Registry.Snapshot().Off {
		if x.State != engine.SwitchDraining || ctl.o.Registry.Snapshot().Workflows[x.Workflow] == nil {
			continue
		}
		done, derr := ctl.drainHeld(ctx, x)
		if derr != nil {
			err = errors.Join(err, derr)
		} else if !done {
			earlier(time.Now())
		}
	}
	list, lerr := ctl.o.Store.Batches(ctx, engine.BatchRunning)
	if lerr != nil {
		return at, errors.Join(err, lerr)
	}
	for i := range list {
		b := &list[i]
		if now := time.Now(); now.Before(next[b.ID]) {
			earlier(next[b.ID])
			continue
		}
		made, serr := ctl.batchStep(ctx, b)
		if errors.Is(serr, engine.ErrStale) {
			earlier(time.Now()) // it was paused or cancelled in the meantime
			continue
		}
		if serr != nil {
			err = errors.Join(err, serr)
			continue
		}
		next[b.ID] = time.Now().Add(time.Second * time.Duration(made) / time.Duration(b.Rate))
		earlier(next[b.ID])
	}
	if len(list) == 0 {
		clear(next)
	}
	return at, err
}

// batchStep looks at the next events of a batch until as many runs are made as may
// begin at once. It returns how many there are.
func (ctl *Control) batchStep(ctx context.Context, b *engine.Batch) (made int, err error) {
	id, err := engine.ParseBatchID(b.ID)
	if err != nil {
		return 0, err
	}
	if cannotRun(ctl.o.Registry.Snapshot(), b.Workflow) {
		return 0, ctl.pauseBatch(ctx, id, b)
	}
	list, err := ctl.o.Store.Undone(ctx, ctl.triggersOf(b.Selection), b.Cursor, b.End, batchLook)
	if err != nil {
		return 0, err
	}
	atOnce := max(1, int(time.Duration(b.Rate)*batchTick/time.Second))
	step := &engine.BatchStep{ID: id, Cursor: b.Cursor}
	for _, at := range list {
		rs := ctl.batchDecisions(ctx, b, at, step)
		if ctx.Err() != nil {
			return made, nil
		}
		step.Cursor = at.Event
		step.Looked++
		if len(rs) == 0 {
			continue
		}
		n, err := ctl.storeStep(ctx, step, rs)
		if err != nil {
			return made, err
		}
		step = &engine.BatchStep{ID: id, Cursor: at.Event}
		if made += n; made >= atOnce {
			return made, nil
		}
	}
	step.Done = len(list) < batchLook
	_, err = ctl.storeStep(ctx, step, nil)
	return made, err
}

// cannotRun reports whether a batch for a workflow must wait: it is switched off, or gone.
func cannotRun(l *registry.Snapshot, workflow string) bool {
	return l.Resting[workflow] || workflow != "" && l.Workflows[workflow] == nil
}

// pauseBatch pauses a batch whose workflow is off. If the workflow was switched on in the meantime,
// the batch continues, since nobody would know to resume it.
func (ctl *Control) pauseBatch(ctx context.Context, id engine.BatchID, b *engine.Batch) error {
	reason := "workflow " + b.Workflow + " is switched off or no longer exists"
	_, err := ctl.o.Store.ChangeBatch(ctx, id, []string{engine.BatchRunning}, engine.BatchPaused, reason, time.Now().UTC())
	if err == nil && !cannotRun(ctl.o.Registry.Snapshot(), b.Workflow) {
		_, err = ctl.o.Store.ChangeBatch(ctx, id, []string{engine.BatchPaused}, engine.BatchRunning, "", time.Now().UTC())
	}
	return err
}

// batchDecisions decides about one event of a batch. Unreadable events are counted and do not block
// others.
func (ctl *Control) batchDecisions(ctx context.Context, b *engine.Batch, at engine.DecidedState,
	step *engine.BatchStep) []engine.Redecision {
	ev, err := ctl.o.Store.Event(ctx, at.Event)
	if err == nil {
		err = ev.CanReplay()
	}
	if err != nil {
		if ctx.Err() == nil {
			step.Failed++
		}
		return nil
	}
	p := ctl.o.Registry.Snapshot()
	take, known := takes(p, b.Selection, ev, at)
	step.Known += known
	once := engine.OnceEver
	if b.Again {
		once = engine.EachTime
	}
	var out []engine.Redecision
	for _, l := range take {
		r := ctl.redecision(l, ev, once, true, time.Now().UTC(), b.By)
		if b.SkipDone && r.Start != nil {
			done, err := ctl.doneSteps(ctx, ev.ID, l.Workflow)
			if err != nil {
				if ctx.Err() == nil {
					step.Failed++
				}
				continue // without them it would repeat what was done
			}
			r.Done = done
		}
		out = append(out, r)
	}
	return out
}

// doneSteps lists the steps of a workflow whose effect earlier runs of an event had; it is not nil.
func (ctl *Control) doneSteps(ctx context.Context, id engine.EventID, w *workflows.Workflow) ([]engine.DoneStep, error) {
	all, err := ctl.o.Store.DoneSteps(ctx, id, w.ID)
	if err != nil {
		return nil, fmt.Errorf("reading what earlier runs of event %s did: %w", id, err)
	}
	return append([]engine.DoneStep{}, engine.DoneIn(w, all)...), nil
}

// refusedOf returns which of some decisions the database has refused, -1 for none: the error has another cause,
// and all of them are tried again later.
func refusedOf(rs []engine.Redecision, err error) int {
	at := (*engine.UnstorableError)(nil)
	if !engine.RowsFault(err) || !errors.As(err, &at) {
		return -1
	}
	return slices.IndexFunc(rs, func(r engine.Redecision) bool { return r.Decision.Workflow == at.Workflow })
}

// unrecorded replaces a decision that cannot be stored by one that says so.
func unrecorded(r engine.Redecision, cause error) engine.Redecision {
	r.Decision, r.Start, r.Done = engine.Unrecorded(r.Decision.Workflow, r.Decision.Version, cause), nil, nil
	return r
}

// storeStep stores the decisions of a batch, unless it was paused or cancelled in the meantime. Decisions
// that the database refuses are counted and do not block others.
func (ctl *Control) storeStep(ctx context.Context, step *engine.BatchStep, rs []engine.Redecision) (made int, err error) {
	step.At = time.Now().UTC()
	var out []engine.Redecided
	for {
		out, err = ctl.redecide(ctx, step, rs...)
		i := refusedOf(rs, err)
		if i < 0 {
			break
		}
		ctl.o.Log.Error("a decision of a batch cannot be stored", "batch", step.ID, "event", rs[i].Event,
			"workflow", rs[i].Decision.Workflow, "error", ctl.o.Redactor.Text(err.Error()))
		if rs[i].Start != nil {
			rs[i] = unrecorded(rs[i], err)
			continue
		}
		rs = slices.Delete(rs, i, i+1)
		step.Failed++
	}
	for _, x := range out {
		if !x.Known && x.Run != 0 && !x.Folded {
			made++
		}
	}
	return made, err
}
