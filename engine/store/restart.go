package store

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// Recover implements engine.Store. A file belongs to this process alone, so running runs were those of
// a process that has ended. On PostgreSQL, the runs of nodes that are gone are taken over; the rest is
// done by the first node.
func (s *Store) Recover(ctx context.Context, now time.Time) (int, error) {
	taken := 0
	if s.w.pg != nil {
		var err error
		if taken, err = s.recoverNode(ctx, now); err != nil {
			return taken, err
		}
	}
	n, err := s.recoverAlone(ctx, now)
	return taken + n, err
}

// recoverAlone recovers a database that no other process uses.
func (s *Store) recoverAlone(ctx context.Context, now time.Time) (int, error) {
	var n int64
	var setBack time.Duration
	err := s.w.do(ctx, true, func(t *tx) error {
		if t.w.pg != nil {
			if err := t.locked(); err != nil {
				return err
			}
			if live, err := t.row(`SELECT 1 FROM nodes WHERE NOT gone AND epoch <> ? LIMIT 1`, make([]driver.Value, 1), t.w.pg.epoch); err != nil ||
				live {
				return err
			}
		}
		if err := t.retakeStarts(); err != nil {
			return err
		}
		if err := t.exec(`UPDATE steps SET status = 'unknown', finished_at = ? WHERE status = 'running' AND run_id IN (SELECT id FROM runs `+
			`WHERE status = 'running')`, now.UnixMilli()); err != nil {
			return err
		}
		err := t.each(`SELECT id FROM runs WHERE status = 'running'`, 1, func(v []driver.Value) {
			id, _ := v[0].(int64)
			t.changedRun(engine.RunID(id), engine.Queued)
		})
		if err != nil {
			return err
		}
		err = t.exec(`UPDATE runs SET status = 'queued', due_at = ?, boots = boots + 1 WHERE status = 'running'`, now.UnixMilli())
		n = t.changes
		if err != nil {
			return err
		}
		// A run stored as ready is ready, also if the clock was set back in the meantime; runs that
		// wait for their turn, or are spread out, keep their time.
		if err := t.exec(`UPDATE runs SET due_at = ?1 WHERE status = 'queued' AND due_at > ?1 AND repeats IS NULL
			AND NOT EXISTS (SELECT 1 FROM places p WHERE p.run_id = runs.id)
			AND NOT EXISTS (SELECT 1 FROM held_runs h WHERE h.run_id = runs.id) AND NOT EXISTS (SELECT 1 FROM gatherings g
				WHERE g.run_id = runs.id)`, now.UnixMilli()); err != nil {
			return err
		}
		if setBack, err = t.clockWasSetBack(now); err != nil {
			return err
		}
		if err := t.clockSetBack(now); err != nil {
			return err
		}
		// Nothing wakes runs that wait for their destination: its queue was in memory.
		return t.exec(`UPDATE runs SET due_at = ? WHERE status = 'waiting' AND id IN (SELECT run_id FROM waits WHERE kind = 'destination')`,
			now.UnixMilli())
	})
	if err == nil && setBack > 0 {
		s.o.Log.Warn("the clock was set back while no server ran: sleeps, time limits of waits, schedules and rates follow the new time",
			"by_at_least", setBack)
	}
	return int(n), err
}

// clockSetBack makes runs due whose last attempt is in the future: the clock was set back, and
// the planner decides what that means for their pause. Only then are all waiting runs examined.
func (t *tx) clockSetBack(now time.Time) error {
	v := make([]driver.Value, 1)
	if _, err := t.row(`SELECT created_at FROM runs ORDER BY id DESC LIMIT 1`, v); err != nil {
		return err
	}
	if last, _ := v[0].(int64); last <= now.UnixMilli() {
		return nil
	}
	return t.exec(`UPDATE runs SET due_at = ?1 WHERE status = 'waiting' AND EXISTS (SELECT 1 FROM steps s WHERE s.run_id = runs.id AND `+
		`s.finished_at > ?1)`, now.UnixMilli())
}
