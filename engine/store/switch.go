package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file stores which workflows are switched off, and what waits until they are on again.

// SetSwitch implements engine.Store.
func (s *Store) SetSwitch(ctx context.Context, x engine.Switch, on bool) error {
	return s.w.do(ctx, true, func(t *tx) error {
		if err := t.rulesChanged(); err != nil {
			return err
		}
		if on {
			if held, err := t.row(`SELECT 1 FROM decisions WHERE workflow = ? AND outcome = 'held' LIMIT 1`, make([]driver.Value, 1),
				x.Workflow); err != nil || held && x.State == engine.SwitchDraining {
				return cmp.Or(err, engine.ErrStale)
			}
			return t.exec(`DELETE FROM switched_off WHERE workflow = ?`, x.Workflow)
		}
		return t.exec(`INSERT INTO switched_off (workflow, by, at, hold) VALUES (?, ?, ?, ?) ON CONFLICT (workflow) DO UPDATE SET hold = `+
			`excluded.hold`,
			x.Workflow, x.By, x.At.UnixMilli(), int64(x.State))
	})
}

// Switches implements engine.Store.
func (s *Store) Switches(ctx context.Context) ([]engine.Switch, error) {
	return collect(ctx, s.readers, `SELECT workflow, by, at, hold FROM switched_off ORDER BY workflow`, nil,
		func(r scanner) (engine.Switch, error) {
			var x engine.Switch
			var at int64
			err := r.Scan(&x.Workflow, &x.By, &at, &x.State)
			x.At = fromMillis(at)
			return x, err
		})
}

// Missed implements engine.Store.
func (s *Store) Missed(ctx context.Context, workflow string) (engine.Switched, error) {
	return s.History().Missed(ctx, workflow)
}

// The queries must name the outcome as the condition of the index decisions_missed does.
const (
	countMissed = `SELECT (SELECT count(*) FROM decisions WHERE workflow = ?1 AND outcome = 'disabled'), (SELECT min(event_id)
		FROM decisions WHERE workflow = ?1 AND outcome = 'disabled'),
		(SELECT count(*) FROM decisions WHERE workflow = ?1 AND outcome = 'held')`
	heldEvents = `SELECT event_id FROM decisions WHERE workflow = ? AND outcome = 'held' ORDER BY event_id LIMIT ?`
)

// Missed counts what a workflow missed while it was off, and what is held for it.
func (h *History) Missed(ctx context.Context, workflow string) (engine.Switched, error) {
	var x engine.Switched
	var first sql.NullInt64
	err := h.db.QueryRowContext(ctx, countMissed, workflow).Scan(&x.Missed, &first, &x.Held)
	if first.Valid {
		at := engine.RunID(first.Int64).Time()
		x.Since = &at
	}
	return x, classify(err)
}

// HeldEvents implements engine.Store.
func (s *Store) HeldEvents(ctx context.Context, workflow string, limit int) ([]engine.EventID, error) {
	return collect(ctx, s.readers, heldEvents, []any{workflow, limit}, func(r scanner) (id engine.EventID, err error) {
		err = r.Scan(&id)
		return id, err
	})
}

// Park implements engine.Store.
func (s *Store) Park(ctx context.Context, id engine.RunID) error {
	return s.w.do(ctx, true, func(t *tx) error {
		if err := t.exec(`INSERT INTO held_runs (run_id, workflow, due_at) SELECT id, workflow, due_at FROM runs WHERE id = ? AND status = `+
			`'queued' AND started_at IS NULL AND due_at IS NOT NULL ON CONFLICT DO NOTHING`, int64(id)); err != nil {
			return err
		}
		return t.exec(`UPDATE runs SET due_at = NULL WHERE id = ? AND status = 'queued' AND started_at IS NULL`, int64(id))
	})
}

// Parked implements engine.Store.
func (s *Store) Parked(ctx context.Context) ([]string, error) {
	return collect(ctx, s.readers, `SELECT DISTINCT workflow FROM held_runs`, nil, func(r scanner) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	})
}

// Unpark implements engine.Store. Runs that were due continue first, in the order in which they
// were made.
func (s *Store) Unpark(ctx context.Context, workflows []string, now time.Time) (int, error) {
	names, err := json.Marshal(workflows)
	if err != nil {
		return 0, err
	}
	n := 0
	err = s.w.do(ctx, true, func(t *tx) error {
		if err := t.exec(`UPDATE runs SET due_at = max(?, (SELECT due_at FROM held_runs h WHERE h.run_id = runs.id)) WHERE status = 'queued'
			AND id IN (SELECT run_id FROM held_runs WHERE workflow IN (SELECT value FROM json_each(?)))`, now.UnixMilli(),
			string(names)); err != nil {
			return err
		}
		n = int(t.changes)
		t.signal(engine.SignalDue)
		return t.exec(`DELETE FROM held_runs WHERE workflow IN (SELECT value FROM json_each(?))`, string(names))
	})
	return n, err
}
