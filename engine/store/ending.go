package store

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const orderEnd = `INSERT INTO end_calls (event, why, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

// endCalls requests the end of called runs.
func (t *tx) endCalls(list []engine.EndCall, now time.Time) error {
	for _, x := range list {
		if err := t.exec(orderEnd, x.Event.String(), x.Why, now.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// endCallsOf requests the end of the runs that a run waits for; it reports whether there are any.
func (t *tx) endCallsOf(r *engine.Run) (bool, error) {
	err := t.exec(`INSERT INTO end_calls (event, why, at) SELECT printf('evt_%016x', event_id), ?, ? FROM waits WHERE run_id = ? AND kind = `+
		`'call' ON CONFLICT DO NOTHING`,
		engine.WhyEnded(r), r.FinishedAt.UnixMilli(), int64(r.ID))
	return t.changes > 0, err
}

// EndCalls implements engine.Store.
func (s *Store) EndCalls(ctx context.Context) ([]engine.EndCall, error) {
	return collect(ctx, s.readers, `SELECT event, why FROM end_calls ORDER BY event`, nil, func(r scanner) (x engine.EndCall, err error) {
		var event string
		if err := r.Scan(&event, &x.Why); err != nil {
			return x, err
		}
		x.Event, err = engine.ParseEventID(event)
		return x, err
	})
}

// EndedCall implements engine.Store.
func (s *Store) EndedCall(ctx context.Context, id engine.EventID) error {
	return s.w.do(ctx, true, func(t *tx) error { return t.exec(`DELETE FROM end_calls WHERE event = ?`, id.String()) })
}
