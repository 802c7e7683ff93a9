package store

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// SaveAlert implements engine.Store.
func (s *Store) SaveAlert(ctx context.Context, a engine.OpenAlert) error {
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`INSERT INTO alerts (kind, subject, trigger, message, opened_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			a.Kind, a.Subject, a.Trigger, a.Message, a.OpenedAt.UnixMilli())
	})
}

// DropAlert implements engine.Store.
func (s *Store) DropAlert(ctx context.Context, kind, subject string) error {
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`DELETE FROM alerts WHERE kind = ? AND subject = ?`, kind, subject)
	})
}

// OpenAlerts implements engine.Store.
func (s *Store) OpenAlerts(ctx context.Context) ([]engine.OpenAlert, error) {
	return collect(ctx, s.readers, `SELECT kind, subject, trigger, message, opened_at FROM alerts`, nil,
		func(r scanner) (engine.OpenAlert, error) {
			var a engine.OpenAlert
			var at int64
			err := r.Scan(&a.Kind, &a.Subject, &a.Trigger, &a.Message, &at)
			a.OpenedAt = fromMillis(at)
			return a, err
		})
}

// Backlog implements engine.Store. Both results are the first entry of an index.
func (s *Store) Backlog(ctx context.Context, now time.Time) (b engine.Backlog, err error) {
	var event, run *int64
	if err := s.readers.QueryRowContext(ctx, `SELECT min(event_id) FROM inbox`).Scan(&event); err != nil {
		return b, classify(err)
	}
	if event != nil {
		b.OldestEvent = engine.RunID(*event).Time()
	}
	if err := s.readers.QueryRowContext(ctx, `SELECT min(due_at) FROM runs WHERE `+openRun+` AND due_at <= ?`, now.UnixMilli()).Scan(
		&run); err != nil {
		return b, classify(err)
	}
	if run != nil {
		b.OldestRun = fromMillis(*run)
	}
	return b, nil
}
