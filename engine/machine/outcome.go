package machine

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// unknownFor is how long the outcome of an acceptance is asked for before the process ends:
// the next start finds out what was stored.
const unknownFor = 10 * time.Second

// untilKnown accepts, and accepts the same again while it is not known whether that was
// stored. By the event's id the store finds its own acceptance. ctx ends only the first
// call: after it somebody may own what was stored.
func (e *Engine) untilKnown(ctx context.Context, accept func(context.Context) error) error {
	began := time.Now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := accept(ctx)
		if !errors.Is(err, engine.ErrUnknown) {
			return err
		}
		if time.Since(began) > unknownFor {
			e.fail(err)
			return err
		}
		e.o.Log.Warn("it is not known whether an event was stored; the store is asked again", "error", err)
		time.Sleep(pause)
		ctx = context.WithoutCancel(ctx)
	}
}

// acceptDecided stores an event with its decisions. When an earlier call stored them and its
// result was lost, the result is what any event may have woken or ended.
func (e *Engine) acceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (r engine.Receipt,
	result engine.MatchResult, err error) {
	err = e.untilKnown(ctx, func(ctx context.Context) (err error) {
		r, result, err = e.o.Store.AcceptDecided(ctx, id, d, m)
		return err
	})
	if err != nil || !r.Mine || !result.Known {
		return r, result, err
	}
	result = engine.MatchResult{Woken: 1} // a look for due runs that finds none does no harm
	list, err := e.o.Store.CancelledBy(context.WithoutCancel(ctx))
	if err != nil {
		e.fail(err) // the next start cancels them
	}
	for _, c := range list {
		if c.Event == id {
			result.Cancelled = append(result.Cancelled, c)
		}
	}
	return r, result, nil
}
