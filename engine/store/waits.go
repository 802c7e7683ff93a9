package store

import (
	"database/sql/driver"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// wakeCaller makes the run due that waits for what an event called.
func (t *tx) wakeCaller(id engine.EventID, now time.Time) error {
	return t.exec(`UPDATE runs SET due_at = ? WHERE status = 'waiting' AND id IN (SELECT run_id FROM steps WHERE status = 'waiting' AND output ->> '$.call' = ?)`, now.UnixMilli(), id.String())
}

// cameMeanwhile makes a run due at once that begins to wait for an answer or an
// event which is here already. One goroutine writes, so that what it does not
// find comes later, and then finds the run waiting.
func (r rows) cameMeanwhile(t *tx) error {
	run := r.of.Run
	came := false
	if r.of.Answers >= 0 {
		n := make([]driver.Value, 1)
		if _, err := t.row(`SELECT count(*) FROM answers WHERE run_id = ?`, n, int64(run.ID)); err != nil {
			return err
		}
		count, _ := n[0].(int64)
		came = int(count) > r.of.Answers
	}
	for _, w := range r.of.Awaits {
		if w.Trigger == "" {
			id, err := engine.ParseEventID(w.Key)
			if err != nil {
				return err
			}
			ended, err := t.row(`SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE event_id = ?1) AND NOT EXISTS (SELECT 1 FROM runs WHERE event_id = ?1 AND finished_at IS NULL)`, make([]driver.Value, 1), int64(id))
			if err != nil {
				return err
			}
			came = came || ended
			continue
		}
		found, err := t.row(arrived, make([]driver.Value, 1), w.Trigger, w.Key, w.From.UnixMilli(), int64(run.Event), int64(run.ID))
		if err != nil {
			return err
		}
		came = came || found
	}
	if !came {
		return nil
	}
	run.DueAt = time.Now().UTC()
	return t.exec(`UPDATE runs SET due_at = ? WHERE id = ? AND status = 'waiting'`, run.DueAt.UnixMilli(), int64(run.ID))
}
