package store

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// copiedColumns are the columns of a step that a later run copies.
	copiedColumns = `run_id, path, attempt, action, status, started_at, finished_at, input, output, error, sealed, destination, waited_ms`
	// ofSteps narrows steps s to those of a workflow's steps:.
	ofSteps = `s.path NOT LIKE 'on_failure/%' AND s.path NOT LIKE '%/on_failure/%' AND s.path NOT LIKE 'finally/%'`
)

// Replay implements engine.Store. From failed, succeeded attempts are copied, so their steps are
// not repeated.
func (s *Store) Replay(ctx context.Context, r engine.Replay) (due time.Time, doubts int, err error) {
	err = s.w.do(ctx, true, func(t *tx) error {
		due = r.At
		v := make([]driver.Value, 1)
		if found, err := t.row(`SELECT id FROM runs WHERE repeats = ? ORDER BY id LIMIT 1`, v, int64(r.Of)); err != nil {
			return err
		} else if as, _ := v[0].(int64); found && !r.Again {
			return &engine.ReplayedError{As: engine.RunID(as)}
		}
		if r.Slot != nil {
			var dropped string
			var err error
			due, _, dropped, err = t.enter(r.New, r.Slot, r.At)
			if err != nil {
				return err
			}
			if dropped != "" {
				return &engine.DroppedError{Reason: dropped}
			}
		}
		if !due.IsZero() && due.Before(r.NotBefore) {
			due = r.NotBefore
		}
		err := t.exec(`INSERT INTO runs (id, event_id, workflow, version, status, repeats, replayed_by, created_at, due_at)
			SELECT ?, event_id, workflow, ?, 'queued', id, ?, ?, ? FROM runs WHERE id = ? AND finished_at IS NOT NULL`,
			int64(r.New), r.Version, r.By, r.At.UnixMilli(), millis(due), int64(r.Of))
		if err != nil {
			return err
		}
		if t.changes == 0 {
			return engine.ErrStale
		}
		if err := t.dropLateCount(int64(r.New)); err != nil {
			return err
		}
		t.changedRun(r.New, engine.Queued)
		if err := t.cancelKeys(int64(r.New), r.Cancels); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO run_events (run_id, event_id, size) SELECT ?, event_id, size FROM run_events WHERE run_id = ?`,
			int64(r.New), int64(r.Of)); err != nil {
			return err
		}
		if r.From != "failed" {
			doubts, err = t.callsInDoubt(r.Of)
			return err
		}
		if doubts, err = t.keepKeys(r); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO ended_waits (event_id, run_id, path) SELECT event_id, ?, path FROM ended_waits w WHERE run_id = ?
			AND EXISTS (SELECT 1 FROM steps s
			WHERE s.run_id = w.run_id AND s.path = w.path AND s.status = 'succeeded')`, int64(r.New), int64(r.Of)); err != nil {
			return err
		}
		return t.exec(`INSERT INTO steps (`+copiedColumns+`) SELECT ?, `+strings.TrimPrefix(copiedColumns, "run_id, ")+` FROM steps s
			WHERE run_id = ? AND status IN ('succeeded', 'skipped') AND `+ofSteps, int64(r.New), int64(r.Of))
	})
	return due, doubts, err
}
