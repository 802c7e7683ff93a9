package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// This file handles calls in doubt: an attempt was cut off, and no later one was answered. A replay
// from the failed step repeats such a call as the same call, with the idempotency key of the run
// that made it first.

// inDoubt finds the paths of a run's calls that are in doubt: its own, those of the runs that it
// called, under the path of the step that called, and those of the run that it continues which no
// later attempt has answered.
const (
	unanswered = `(l.status IN ('unknown', 'running', 'waiting') OR l.status = 'failed' AND l.error ->> '$.status' IS NULL)`
	inDoubt    = `SELECT s.path FROM steps s WHERE s.run_id = ?1 AND (s.status = 'unknown' OR s.status = 'failed' AND ` +
		`s.error ->> '$.in_doubt' IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM steps l WHERE l.run_id = ?1 AND l.path = s.path AND ` +
		`l.attempt > s.attempt AND NOT ` + unanswered + `)
		UNION SELECT k.path FROM kept_keys k WHERE k.run_id = ?1 AND NOT EXISTS (SELECT 1 FROM steps l WHERE l.run_id = ?1
			AND l.path = k.path AND NOT ` + unanswered + `)`
)

// keepKeys records, for a replay from the failed step, which run it continues and which calls keep
// their key. It returns the number of calls.
func (t *tx) keepKeys(r engine.Replay) (int, error) {
	if err := t.exec(`UPDATE runs SET continues = (SELECT coalesce(of.continues, of.id) FROM runs of WHERE of.id = ?) WHERE id = ?`,
		int64(r.Of), int64(r.New)); err != nil {
		return 0, err
	}
	err := t.exec(`INSERT INTO kept_keys (run_id, path, key_run, began)
		SELECT ?2, d.path, coalesce((SELECT k.key_run FROM kept_keys k WHERE k.run_id = ?1 AND k.path = d.path), ?1),
			coalesce((SELECT k.began FROM kept_keys k WHERE k.run_id = ?1 AND k.path = d.path), (SELECT min(f.started_at) FROM steps f
				WHERE f.run_id = ?1 AND f.path = d.path))
		FROM (`+inDoubt+`) d`, int64(r.Of), int64(r.New))
	return int(t.changes), err
}

// continued loads what a replay from the failed step keeps of the earlier runs.
func (s *Store) continued(ctx context.Context, loaded *engine.LoadedRun) error {
	if loaded.Run.Continues == 0 {
		return nil
	}
	var at int64
	err := s.readers.QueryRowContext(ctx, `SELECT coalesce(started_at, created_at), repeats IS NOT NULL FROM runs WHERE id = ?`,
		int64(loaded.Run.Continues)).Scan(&at, &loaded.FirstReplays)
	switch {
	case err == nil:
		loaded.FirstStarted = fromMillis(at)
	case !errors.Is(err, sql.ErrNoRows): // it may have been pruned
		return classify(err)
	}
	loaded.Kept, err = keptRuns(ctx, s.readers, loaded.Run.ID)
	return err
}

// keptRuns are the steps of a run that have the idempotency key of an earlier one, nil for none.
func keptRuns(ctx context.Context, db *sql.DB, id engine.RunID) (kept map[string]engine.KeptKey, err error) {
	rows, err := db.QueryContext(ctx, `SELECT path, key_run, began, EXISTS (SELECT 1 FROM runs r WHERE r.id = key_run AND r.repeats `+
		`IS NOT NULL) FROM kept_keys WHERE run_id = ?`, int64(id))
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var path string
		var run, began int64
		var replays bool
		if err := rows.Scan(&path, &run, &began, &replays); err != nil {
			return nil, classify(err)
		}
		if kept == nil {
			kept = map[string]engine.KeptKey{}
		}
		kept[path] = engine.KeptKey{Run: engine.RunID(run), Began: fromMillis(began), Replays: replays}
	}
	return kept, classify(rows.Err())
}

// runKeys reads what the idempotency keys of a run are derived from.
func (h *History) runKeys(ctx context.Context, id engine.RunID, event int64, d *engine.RunDetail) error {
	var headers string
	err := h.db.QueryRowContext(ctx, `SELECT value, coalesce((SELECT headers FROM events WHERE id = ?), '{}') FROM meta
		WHERE name = 'instance'`, event).Scan(&d.Keys.Instance, &headers)
	if err != nil {
		return classify(err)
	}
	if json.Unmarshal([]byte(headers), &d.Keys.EventHeaders) != nil {
		d.Keys.EventHeaders = nil // a damaged row must not hide the run
	}
	if d.Keys.Kept, err = keptRuns(ctx, h.db, id); err != nil {
		return err
	}
	return h.origins(ctx, id, d)
}

// InDoubt counts the runs with calls in doubt among those that are about to be replayed.
func (h *History) InDoubt(ctx context.Context, ids []string) (runs int, err error) {
	for _, text := range ids {
		id, err := engine.ParseRunID(text)
		if err != nil {
			continue // an event
		}
		var found bool
		if err := h.db.QueryRowContext(ctx, `SELECT EXISTS (`+inDoubt+`)`, int64(id)).Scan(&found); err != nil {
			return runs, fmt.Errorf("looking for calls in doubt: %w", classify(err))
		}
		if found {
			runs++
		}
	}
	return runs, nil
}

// callsInDoubt counts a run's calls that are in doubt.
func (t *tx) callsInDoubt(id engine.RunID) (int, error) {
	return t.count(`SELECT count(*) FROM (`+inDoubt+`)`, int64(id))
}

// keptKeys lists the steps of a run that use the idempotency key of an earlier run.
func (h *History) keptKeys(ctx context.Context, id engine.RunID) ([]string, error) {
	return collect(ctx, h.db, `SELECT path FROM kept_keys WHERE run_id = ? ORDER BY path`, []any{int64(id)},
		func(r scanner) (path string, err error) {
			err = r.Scan(&path)
			return path, err
		})
}
