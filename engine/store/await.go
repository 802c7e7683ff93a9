package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/hookloom/hookloom/engine"
)

// This file finds the events that runs wait for. Whether an event counts depends on when it was
// received, never on its id: ids are assigned before the commit, so an event found later may have
// the smaller id.

const (
	// arrived finds the event of a trigger and a key that was received at or after a time, and that
	// a run has neither begun with nor used.
	arrived = `SELECT k.event_id FROM keys k JOIN events e ON e.id = k.event_id WHERE k.trigger = ?1 AND k.key = ?2
		AND e.received_at >= ?3 AND k.event_id <> ?4
		AND NOT EXISTS (SELECT 1 FROM ended_waits w WHERE w.event_id = k.event_id AND w.run_id = ?5)`
	// wakeWaiting makes the runs due that wait for an event. Each run checks for itself whether the
	// event counts. Masking depends on the secrets in use, so a masked key may read differently for
	// the event (?3) and for a waiting run: the unmasked key (?4) matches waits whose key is not
	// masked, and a wait with a masked key matches any event.
	wakeWaiting = `UPDATE runs SET due_at = ?1 WHERE ` + waitingAmong + `
		SELECT run_id FROM waits WHERE trigger = ?2 AND key IN (?3, ?4)
		UNION ALL SELECT run_id FROM waits INDEXED BY waits_sealed WHERE trigger = ?2 AND sealed IS NOT NULL)`
)

// EventByKey implements engine.Store.
func (s *Store) EventByKey(ctx context.Context, w engine.EventWait, run *engine.Run) (*engine.Event, error) {
	var id int64
	err := s.readers.QueryRowContext(ctx, arrived, w.Trigger, w.Key, w.From.UnixMilli(), int64(run.Event), int64(run.ID)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, classify(err)
	}
	return s.Event(ctx, engine.EventID(id))
}

// Awaited implements engine.Store.
func (s *Store) Awaited(ctx context.Context) ([]string, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT DISTINCT trigger FROM waits WHERE trigger IS NOT NULL`)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, classify(err)
		}
		out = append(out, name)
	}
	return out, classify(rows.Err())
}

// endedBy lists the events that ended waits of a run.
func (h *History) endedBy(ctx context.Context, id engine.RunID) ([]engine.EndingEvent, error) {
	return collect(ctx, h.db,
		`SELECT w.path, printf('evt_%016x', w.event_id), coalesce(e.trigger, ''), coalesce(e.key, ''), coalesce(e.received_at, 0)
			FROM ended_waits w LEFT JOIN events e ON e.id = w.event_id
		WHERE w.run_id = ? ORDER BY w.path, w.event_id`, []any{int64(id)}, func(r scanner) (x engine.EndingEvent, err error) {
			var at int64
			err = r.Scan(&x.Step, &x.Event, &x.Trigger, &x.Key, &at)
			x.ReceivedAt = fromMillis(at)
			return x, err
		})
}
