package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// markResumed is the error of a step with the mark that its pause was ended.
const markResumed = `json_set(error, '$.resumed', json('true'))`

// ResumeRuns implements engine.Store. The mark on the attempt stays, so the planner computes the
// same pause again.
func (s *Store) ResumeRuns(ctx context.Context, destinations []string, now time.Time) (int, error) {
	names, err := json.Marshal(destinations)
	if err != nil {
		return 0, err
	}
	var n int64
	err = s.w.do(ctx, true, func(t *tx) error {
		if err := t.exec(`UPDATE steps SET error = `+markResumed+`
			WHERE run_id IN (SELECT id FROM runs WHERE due_at > ? AND status = 'waiting') AND status = 'failed'
			AND destination IN (SELECT value FROM json_each(?)) AND CAST(error ->> '$.retry_after_ms' AS BIGINT) > 0
			AND attempt = (SELECT max(x.attempt) FROM steps x WHERE x.run_id = steps.run_id AND x.path = steps.path)`, now.UnixMilli(),
			string(names)); err != nil {
			return err
		}
		if t.changes == 0 {
			return nil
		}
		err := t.exec(`UPDATE runs SET due_at = ?1 WHERE due_at > ?1 AND status = 'waiting' AND id IN (SELECT run_id FROM steps
			WHERE run_id IN (SELECT id FROM runs WHERE due_at > ?1 AND status = 'waiting') AND status = 'failed'
			AND destination IN (SELECT value FROM json_each(?2)) AND error ->> '$.resumed' IS NOT NULL)`, now.UnixMilli(), string(names))
		n = t.changes
		t.signal(engine.SignalDue)
		return err
	})
	return int(n), err
}
