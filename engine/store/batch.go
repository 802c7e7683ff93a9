package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// maxBatches is how many ended batches are kept.
const maxBatches = 1000

const selectBatch = `SELECT id, at, by, state, reason, filter, rate, cursor, until_id, total, looked, runs, not_matched, failed, known, ` +
	`finished_at FROM batches`

func scanBatch(r scanner) (engine.Batch, error) {
	var b engine.Batch
	var id, at int64
	var filter string
	var finished sql.NullInt64
	err := r.Scan(&id, &at, &b.By, &b.State, &b.Reason, &filter, &b.Rate, &b.Cursor, &b.End, &b.Total, &b.Looked, &b.Runs, &b.NotMatched,
		&b.Failed, &b.Known, &finished)
	b.ID, b.At, b.FinishedAt = engine.BatchID(id).String(), fromMillis(at), timePointer(finished)
	if err == nil {
		err = json.Unmarshal([]byte(filter), &b.Selection)
	}
	return b, err
}

// AddBatch implements engine.Store.
func (s *Store) AddBatch(ctx context.Context, b *engine.Batch) error {
	id, err := engine.ParseBatchID(b.ID)
	if err != nil {
		return err
	}
	filter, err := json.Marshal(b.Selection)
	if err != nil {
		return err
	}
	return s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalOrders)
		if err := t.exec(`INSERT INTO batches (id, at, by, state, filter, rate, cursor, until_id, total) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			int64(id), b.At.UnixMilli(), b.By, b.State, string(filter), int64(b.Rate), int64(b.Cursor), int64(b.End), int64(b.Total)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM batches WHERE finished_at IS NOT NULL AND id NOT IN (SELECT id FROM batches ORDER BY id DESC LIMIT ?)`,
			int64(maxBatches))
	})
}

// Batches implements engine.Store.
func (s *Store) Batches(ctx context.Context, state string) ([]engine.Batch, error) {
	if state == "" {
		return collect(ctx, s.readers, selectBatch+` ORDER BY id DESC`, nil, scanBatch)
	}
	return collect(ctx, s.readers, selectBatch+` WHERE state = ? ORDER BY id DESC`, []any{state}, scanBatch)
}

// Batch implements engine.Store.
func (s *Store) Batch(ctx context.Context, id engine.BatchID) (*engine.Batch, error) {
	list, err := collect(ctx, s.readers, selectBatch+` WHERE id = ?`, []any{int64(id)}, scanBatch)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, engine.ErrNotFound
	}
	return &list[0], nil
}

// ChangeBatch implements engine.Store.
func (s *Store) ChangeBatch(ctx context.Context, id engine.BatchID, from []string, to, reason string, now time.Time) (changed bool,
	err error) {
	b, err := s.Batch(ctx, id)
	if err != nil || !slices.Contains(from, b.State) {
		return false, err
	}
	var finished time.Time
	if to == engine.BatchCancelled {
		finished = now
	}
	err = s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalOrders)
		err := t.exec(`UPDATE batches SET state = ?, reason = ?, finished_at = ? WHERE id = ? AND state = ?`, to, reason, millis(finished),
			int64(id), b.State)
		changed = t.changes > 0
		return err
	})
	return changed, err
}

// advanceBatch stores the progress of a batch.
func (t *tx) advanceBatch(step *engine.BatchStep, made []engine.Redecided) error {
	if step == nil {
		return nil
	}
	runs, notMatched, failed, known := 0, 0, step.Failed, step.Known
	for _, x := range made {
		switch {
		case x.Known, x.Folded:
			known++
		case x.Run != 0:
			runs++
		case x.Outcome == engine.RuleFailed:
			failed++
		default:
			notMatched++
		}
	}
	if err := t.exec(`UPDATE batches SET cursor = ?, looked = looked + ?, runs = runs + ?, not_matched = not_matched + ?, failed = failed + `+
		`?, known = known + ? WHERE id = ? AND state = 'running'`,
		int64(step.Cursor), int64(step.Looked), int64(runs), int64(notMatched), int64(failed), int64(known), int64(step.ID)); err != nil {
		return err
	}
	if t.changes == 0 {
		return engine.ErrStale
	}
	if !step.Done {
		return nil
	}
	return t.exec(`UPDATE batches SET state = 'done', finished_at = ? WHERE id = ?`, step.At.UnixMilli(), int64(step.ID))
}
