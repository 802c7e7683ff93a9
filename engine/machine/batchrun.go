package machine

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file carries batches out, and decides what was held. One goroutine does all of
// it: what a batch decides and how far it has come are one transaction, so that it goes
// on after a crash where it was.

const (
	// batchLook is how many events are looked at before other batches are.
	batchLook = 100
	// batchTick is the shortest pause between two runs of a batch that are made apart.
	batchTick = 50 * time.Millisecond
	// batchRetry is the pause after an error of the store.
	batchRetry = time.Second
)

func (e *Engine) pokeBatches() {
	select {
	case e.wakeBatches <- struct{}{}:
	default:
	}
}

// runBatches works until ctx ends.
func (e *Engine) runBatches(ctx context.Context) {
	next := map[string]time.Time{}
	for ctx.Err() == nil {
		at, err := e.batchRound(ctx, next)
		if err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrClosed) {
			e.o.Log.Warn("a batch, or held events, cannot continue yet", "error", e.o.Redactor.Text(err.Error()))
			at = time.Now().Add(batchRetry)
		}
		pause := time.Hour
		if !at.IsZero() {
			pause = max(time.Until(at), 0)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-e.wakeBatches:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// batchRound takes each batch, and each workflow that is being switched on, a step
// further. It gives the moment of the next round, zero for when it is woken.
func (e *Engine) batchRound(ctx context.Context, next map[string]time.Time) (at time.Time, err error) {
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, x := range e.project.Load().off {
		if x.State != engine.SwitchDraining || e.project.Load().Workflows[x.Workflow] == nil {
			continue
		}
		done, derr := e.drainHeld(ctx, x)
		if derr != nil {
			err = errors.Join(err, derr)
		} else if !done {
			earlier(time.Now())
		}
	}
	list, lerr := e.o.Store.Batches(ctx, engine.BatchRunning)
	if lerr != nil {
		return at, errors.Join(err, lerr)
	}
	for i := range list {
		b := &list[i]
		if now := time.Now(); now.Before(next[b.ID]) {
			earlier(next[b.ID])
			continue
		}
		made, serr := e.batchStep(ctx, b)
		if errors.Is(serr, engine.ErrStale) {
			earlier(time.Now()) // it was paused or cancelled meanwhile
			continue
		}
		if serr != nil {
			err = errors.Join(err, serr)
			continue
		}
		next[b.ID] = time.Now()
		if made > 0 {
			next[b.ID] = next[b.ID].Add(time.Second * time.Duration(made) / time.Duration(b.Rate))
		}
		earlier(next[b.ID])
	}
	if len(list) == 0 {
		clear(next)
	}
	return at, err
}

// batchStep looks at the next events of a batch until as many runs are made as may
// begin at once. It tells how many there are.
func (e *Engine) batchStep(ctx context.Context, b *engine.Batch) (made int, err error) {
	id, err := engine.ParseBatchID(b.ID)
	if err != nil {
		return 0, err
	}
	if e.project.Load().cannotRun(b.Workflow) {
		return 0, e.pauseBatch(ctx, id, b)
	}
	list, err := e.o.Store.Undone(ctx, e.triggersOf(b.Selection), b.Cursor, b.End, batchLook)
	if err != nil {
		return 0, err
	}
	atOnce := max(1, int(time.Duration(b.Rate)*batchTick/time.Second))
	step := &engine.BatchStep{ID: id, Cursor: b.Cursor}
	for _, at := range list {
		rs := e.batchDecisions(ctx, b, at, step)
		if ctx.Err() != nil {
			return made, nil
		}
		step.Cursor = at.Event
		step.Looked++
		if len(rs) == 0 {
			continue
		}
		n, err := e.storeStep(ctx, step, rs)
		if err != nil {
			return made, err
		}
		step = &engine.BatchStep{ID: id, Cursor: at.Event}
		if made += n; made >= atOnce {
			return made, nil
		}
	}
	step.Done = len(list) < batchLook
	_, err = e.storeStep(ctx, step, nil)
	return made, err
}

// cannotRun tells that a batch for a workflow must wait: it is switched off, or gone.
func (l *loaded) cannotRun(workflow string) bool {
	return l.resting[workflow] || workflow != "" && l.Workflows[workflow] == nil
}

// pauseBatch pauses a batch whose workflow is off. When it was switched on meanwhile,
// nobody would know that the batch is to be resumed, so it goes on.
func (e *Engine) pauseBatch(ctx context.Context, id engine.BatchID, b *engine.Batch) error {
	reason := "workflow " + b.Workflow + " is switched off or no longer exists"
	_, err := e.o.Store.ChangeBatch(ctx, id, []string{engine.BatchRunning}, engine.BatchPaused, reason, time.Now().UTC())
	if err == nil && !e.project.Load().cannotRun(b.Workflow) {
		_, err = e.o.Store.ChangeBatch(ctx, id, []string{engine.BatchPaused}, engine.BatchRunning, "", time.Now().UTC())
	}
	return err
}

// batchDecisions decides about one event of a batch. What cannot be read is counted
// and holds up no other.
func (e *Engine) batchDecisions(ctx context.Context, b *engine.Batch, at engine.DecidedState, step *engine.BatchStep) []engine.Redecision {
	ev, err := e.o.Store.Event(ctx, at.Event)
	if err == nil {
		err = ev.CanReplay()
	}
	if err != nil {
		if ctx.Err() == nil {
			step.Failed++
		}
		return nil
	}
	p := e.project.Load()
	take, known := p.takes(b.Selection, ev, at)
	step.Known += known
	once := engine.OnceEver
	if b.Again {
		once = engine.EachTime
	}
	var out []engine.Redecision
	for _, l := range take {
		out = append(out, e.redecision(l, ev, once, true, time.Now().UTC(), b.By))
	}
	return out
}

// storeStep stores what a batch decided; a batch that was paused or cancelled meanwhile
// has decided nothing.
func (e *Engine) storeStep(ctx context.Context, step *engine.BatchStep, rs []engine.Redecision) (made int, err error) {
	step.At = time.Now().UTC()
	out, err := e.redecide(ctx, step, rs...)
	for _, x := range out {
		if !x.Known && x.Run != 0 && !x.Folded {
			made++
		}
	}
	return made, err
}
