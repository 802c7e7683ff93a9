package intake

import (
	"context"

	"github.com/hookloom/hookloom/engine"
)

// acceptDecided stores an event with its decisions. If an earlier call stored them and its result
// was lost, it returns a result that covers any run the event may have woken or ended.
func (in *Intake) acceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (r engine.Receipt,
	result engine.MatchResult, err error) {
	err = in.store.UntilKnown(ctx, func(ctx context.Context) (err error) {
		r, result, err = in.store.AcceptDecided(ctx, id, d, m)
		return err
	})
	if err != nil || !r.Mine || !result.Known {
		return r, result, err
	}
	result = engine.MatchResult{Woken: 1} // an extra query for due runs is harmless
	list, err := in.store.CancelledBy(context.WithoutCancel(ctx))
	if err != nil {
		in.store.Fail(err) // the next start cancels them
	}
	for _, c := range list {
		if c.Event == id {
			result.Cancelled = append(result.Cancelled, c)
		}
	}
	return r, result, nil
}
