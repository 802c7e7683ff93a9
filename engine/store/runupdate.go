package store

import (
	"context"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	insertDecision = `INSERT INTO decisions (event_id, workflow, version, outcome, reason, trace, run_id, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	insertRun      = `INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at, due_at,
		active_ms, output, error, text)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	// A run that has made progress since the start is not the one that ends the process.
	updateRun = `UPDATE runs SET boots = CASE WHEN ? THEN 0 ELSE boots END, status = ?, started_at = ?, finished_at = ?, due_at = ?, ` +
		`active_ms = ?, output = ?, error = ?, text = ? WHERE id = ? AND status = 'running'`
	// An opened attempt is closed in place; its input stays as it was sent.
	// The time until then was waiting time, not work.
	upsertStep = `INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, input, output, error,
		destination) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (run_id, path, attempt) DO UPDATE
			SET status = excluded.status, finished_at = excluded.finished_at, output = excluded.output, error = excluded.error, sealed = NULL,
		destination = CASE WHEN 'waiting' IN (steps.status, excluded.status) THEN coalesce(excluded.destination, steps.destination)
			ELSE coalesce(steps.destination, excluded.destination) END,
		waited_ms = CASE WHEN steps.status = 'waiting' THEN max(0, coalesce(excluded.finished_at,
		excluded.started_at) - steps.started_at) ELSE steps.waited_ms END
		WHERE steps.status IN ('running', 'waiting')`
)

// insertStep is upsertStep for the steps of a new run, of which there are none yet.
var insertStep = upsertStep[:strings.Index(upsertStep, "ON CONFLICT")]

// closeSteps closes the open steps of a run that ends without its records having been read. What the run
// that a step called has done is not known then.
const closeSteps = `UPDATE steps
	SET finished_at = ?, output = NULL, sealed = NULL, error = '{"code":"cancelled","message":"the run ended","retryable":false}',
	status = CASE WHEN status = 'running' OR action = 'call' THEN 'unknown' ELSE 'failed' END
	WHERE run_id = ? AND status IN ('running', 'waiting')`

// insertEvents stores events that the engine made.
func (t *tx) insertEvents(events []madeEvent) error {
	for _, ev := range events {
		if err := t.put(insertEvent, ev.row...); err != nil {
			return err
		}
		if id, ok := ev.row[0].(int64); ok {
			if err := t.dropLateCount(id); err != nil {
				return err
			}
		}
		if ev.sealed != nil {
			if err := t.put(sealInputs, ev.sealed, ev.row[0]); err != nil {
				return err
			}
		}
		t.signal(engine.SignalEvents)
		if err := t.put(insertInbox, ev.row[0]); err != nil {
			return err
		}
	}
	return nil
}

// dueColumn is the column in which insertRun stores when a run is due.
const dueColumn = 8

// write stores an update. If the end of its run starts another run, next is the time of that start.
func (r encodedUpdate) write(t *tx) (next time.Time, err error) {
	if r.insert {
		if err = t.put(insertRun, r.run...); err == nil {
			err = t.dropLateCount(int64(r.of.Run.ID))
		}
	} else {
		err = t.update(updateRun, r.run...)
	}
	if err != nil {
		return next, err
	}
	if r.insert || r.of.Run.Status != engine.Running {
		t.changedRun(r.of.Run.ID, r.of.Run.Status)
	}
	write := upsertStep
	if r.insert && t.w.pg != nil && !t.careful {
		write = insertStep // checking for a conflict costs PostgreSQL as much as the row
	}
	for _, s := range r.steps {
		if err := t.put(write, s...); err != nil {
			return next, err
		}
	}
	for _, s := range r.waits {
		if err := t.put(s.query, s.args...); err != nil {
			return next, err
		}
	}
	for _, s := range r.sealed {
		if err := t.put(s.query, s.args...); err != nil {
			return next, err
		}
	}
	for _, c := range r.of.Came {
		if err := t.put(`INSERT INTO ended_waits (event_id, run_id, path) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, int64(c.Event),
			int64(r.of.Run.ID), c.Path); err != nil {
			return next, err
		}
	}
	if err := t.endCalls(r.of.Ends, r.of.Run.FinishedAt); err != nil {
		return next, err
	}
	if err := t.insertEvents(r.calls); err != nil {
		return next, err
	}
	if err := t.cancelKeys(int64(r.of.Run.ID), r.of.Cancels); err != nil {
		return next, err
	}
	if r.of.Cancelable && r.of.Run.Status.Ended() {
		if err := t.put(`DELETE FROM cancel_keys WHERE run_id = ?`, int64(r.of.Run.ID)); err != nil {
			return next, err
		}
	}
	if r.of.Run.Status == engine.Waiting {
		return next, r.wakeIfArrived(t)
	}
	if !r.of.Run.Status.Ended() {
		return next, nil
	}
	return r.writeEnd(t)
}

// writeEnd stores the changes that the end of a run makes besides its own rows.
func (r encodedUpdate) writeEnd(t *tx) (next time.Time, err error) {
	if r.of.CloseSteps {
		if _, err := t.endCallsOf(r.of.Run); err != nil {
			return next, err
		}
		if err := t.put(deleteRunWaits, int64(r.of.Run.ID)); err != nil {
			return next, err
		}
		if err := t.put(closeSteps, r.of.Run.FinishedAt.UnixMilli(), int64(r.of.Run.ID)); err != nil {
			return next, err
		}
	}
	if r.of.Wrote && r.of.Run.Status == engine.Succeeded {
		if err := t.put(`DELETE FROM kept_writes WHERE run_id = ?`, int64(r.of.Run.ID)); err != nil {
			return next, err
		}
	}
	if r.of.Called {
		if err := t.wakeCaller(r.of.Run.Event, r.of.Run.FinishedAt); err != nil {
			return next, err
		}
	}
	if r.of.FreesSlot {
		return t.leave(r.of.Run, r.of.Run.FinishedAt)
	}
	return next, nil
}

// CommitRun implements engine.Store.
func (s *Store) CommitRun(ctx context.Context, st engine.RunUpdate) (next time.Time, err error) {
	r, err := s.encode(st)
	if err != nil {
		return next, err
	}
	err = s.w.do(ctx, true, func(t *tx) (err error) {
		next, err = r.write(t)
		return err
	})
	return next, err
}
