package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// Take implements engine.Store.
func (s *Store) Take(ctx context.Context, id engine.RunID) error {
	taken := false
	err := s.w.queued(ctx, order{wait: true, needs: needs{take: id}}, func(t *tx) (err error) {
		taken, err = t.take(int64(id), time.Now())
		return err
	})
	if err == nil {
		s.claims.taken(id)
		if !taken {
			err = engine.ErrStale
		}
	}
	return err
}

// LoadRun implements engine.Store.
func (s *Store) LoadRun(ctx context.Context, id engine.RunID) (*engine.LoadedRun, error) {
	run, unreadable, err := s.run(ctx, id)
	if err != nil {
		return nil, err
	}
	ev, err := s.event(ctx, run.Event)
	if errors.Is(err, engine.ErrNotFound) {
		ev, err = lost(run.Event, errors.New("it is not in the database")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("event of run %s: %w", id, err)
	}
	loaded := &engine.LoadedRun{Run: run, Event: ev}
	records, badRecord, err := s.records(ctx, id)
	if err != nil {
		return nil, err
	}
	answers, answered, badAnswer, err := s.answers(ctx, id)
	if err != nil {
		return nil, err
	}
	loaded.Records, loaded.Answers, loaded.Answered = records, answers, answered
	loaded.Unreadable = cmp.Or(unreadable, badRecord, badAnswer)
	return loaded, s.continued(ctx, loaded)
}

// Called implements engine.Store.
func (s *Store) Called(ctx context.Context, id engine.EventID) (engine.CallState, error) {
	var c engine.CallState
	var run sql.NullInt64
	var outcome, reason sql.NullString
	err := s.readers.QueryRowContext(ctx,
		`SELECT NOT EXISTS (SELECT 1 FROM inbox WHERE event_id = ?1), (SELECT min(id) FROM runs WHERE event_id = ?1 AND repeats IS NULL),
		(SELECT outcome FROM decisions WHERE event_id = ?1 LIMIT 1), (SELECT reason FROM decisions WHERE event_id = ?1 LIMIT 1)`,
		int64(id)).Scan(&c.Decided, &run, &outcome, &reason)
	if err != nil {
		return c, classify(err)
	}
	c.Outcome, c.Reason = engine.Outcome(outcome.String), reason.String
	if run.Valid {
		c.Run, err = s.Run(ctx, engine.RunID(run.Int64))
	}
	if err == nil && c.Run != nil && c.Run.Status.Ended() && c.Run.Status != engine.Succeeded {
		if err := s.readers.QueryRowContext(ctx, `SELECT EXISTS (`+inDoubt+`)`, run.Int64).Scan(&c.InDoubt); err != nil {
			return c, classify(err)
		}
	}
	if err == nil && c.Run != nil && c.Run.Output != nil {
		err = s.unsealResult(ctx, c.Run)
	}
	return c, err
}

// SaveVersion implements engine.Store.
func (s *Store) SaveVersion(ctx context.Context, w *workflows.Workflow) error {
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`INSERT INTO versions (version, workflow, text, first_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, w.Version, w.ID,
			string(w.Text), time.Now().UnixMilli())
	})
}

// Cancel implements engine.Store.
func (s *Store) Cancel(ctx context.Context, r *engine.Run, events []*engine.Event) (cut []*plan.Record, next time.Time, ends bool,
	err error) {
	id, now := r.ID, r.FinishedAt
	calls, err := s.encodeEvents(events)
	if err != nil {
		return nil, next, ends, err
	}
	why, err := s.errorJSON(r.Error, nil)
	if err != nil {
		return nil, next, ends, err
	}
	err = s.w.do(ctx, true, func(t *tx) (err error) {
		if err := t.exec(`UPDATE runs SET status = 'cancelled', finished_at = ?, due_at = NULL, error = ? WHERE id = ? AND status IN ('queued', `+
			`'waiting')`, now.UnixMilli(), why, int64(id)); err != nil {
			return err
		}
		if t.changes == 0 {
			found, err := t.row(`SELECT status FROM runs WHERE id = ?`, make([]driver.Value, 1), int64(id))
			if err == nil && !found {
				return engine.ErrNotFound
			}
			return errors.Join(engine.ErrStale, err)
		}
		t.changedRun(id, engine.Cancelled)
		if err := t.insertEvents(calls); err != nil {
			return err
		}
		if err := t.exec(`UPDATE runs SET due_at = ? WHERE status = 'waiting' AND id IN (SELECT run_id FROM waits WHERE event_id = (SELECT `+
			`event_id FROM runs WHERE id = ?))`, now.UnixMilli(), int64(id)); err != nil {
			return err
		}
		if ends, err = t.endCallsOf(r); err != nil {
			return err
		}
		for _, q := range []string{`DELETE FROM gatherings WHERE run_id = ?`, `DELETE FROM cancel_keys WHERE run_id = ?`} {
			if err := t.exec(q, int64(id)); err != nil {
				return err
			}
		}
		// The waits of the run have ended.
		if cut, err = t.cutWaiting(id, now); err != nil {
			return err
		}
		if err := t.exec(deleteRunWaits, int64(id)); err != nil {
			return err
		}
		next, err = t.leave(r, now)
		return err
	})
	return cut, next, ends, err
}

// cutWaiting ends the waiting steps of a run, and returns them as ended.
func (t *tx) cutWaiting(id engine.RunID, now time.Time) (cut []*plan.Record, err error) {
	err = t.each(`SELECT path, attempt, action, started_at FROM steps WHERE run_id = ? AND status = 'waiting' ORDER BY rowid`, 4,
		func(v []driver.Value) {
			r := &plan.Record{Status: plan.Failed, FinishedAt: now, Error: &plan.Error{Message: "the run ended", Code: plan.CutCode}}
			r.Path, _ = v[0].(string)
			attempt, _ := v[1].(int64)
			r.Action, _ = v[2].(string)
			started, _ := v[3].(int64)
			r.Attempt, r.StartedAt = int(attempt), fromMillis(started)
			cut = append(cut, r)
		}, int64(id))
	if err != nil || len(cut) == 0 {
		return cut, err
	}
	return cut, t.exec(`UPDATE steps
		SET status = 'failed', finished_at = ?1, waited_ms = max(0, ?1 - started_at), output = NULL, sealed = NULL,
		error = '{"code":"cancelled","message":"the run ended","retryable":false}' WHERE run_id = ?2 AND status = 'waiting'`,
		now.UnixMilli(), int64(id))
}
