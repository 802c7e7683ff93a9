package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// answers loads the answers of people, by path; a later attempt has a later answer.
func (s *Store) answers(ctx context.Context, id engine.RunID) (out map[string]*plan.Answer, number int, unreadable, err error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT path, attempt, verdict, output, at FROM answers WHERE run_id = ? ORDER BY path, `+
		`attempt`, int64(id))
	if err != nil {
		return nil, 0, nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		a, path := &plan.Answer{}, ""
		var output sql.NullString
		var at int64
		err := rows.Scan(&path, &a.Attempt, &a.Verdict, &output, &at)
		a.At = fromMillis(at)
		if err == nil {
			a.Output, err = decodeColumn(output)
		}
		if err != nil {
			unreadable = fmt.Errorf("the answer to step %s: %w", path, err)
			continue
		}
		if out == nil {
			out = map[string]*plan.Answer{}
		}
		out[path] = a
		number++
	}
	return out, number, unreadable, classify(rows.Err())
}

// Answer implements engine.Store.
func (s *Store) Answer(ctx context.Context, a engine.Answer) error {
	output, err := s.json(a.Output, nil)
	if err != nil {
		return err
	}
	return s.w.do(ctx, true, func(t *tx) error {
		err := t.exec(`INSERT INTO answers (run_id, path, attempt, verdict, said_by, comment, output, at, proof) SELECT id, ?, ?, ?, ?, ?, ?, `+
			`?, ? FROM runs WHERE id = ? AND finished_at IS NULL ON CONFLICT DO NOTHING`,
			a.Path, int64(a.Attempt), a.Verdict, s.o.Redactor.Text(a.By), s.o.Redactor.Text(a.Comment), output, a.At.UnixMilli(), a.Proof,
			int64(a.Run))
		if err != nil {
			return err
		}
		if t.changes == 0 {
			return engine.ErrStale
		}
		t.signal(engine.SignalAnswers | engine.SignalDue)
		return t.exec(`UPDATE runs SET due_at = ? WHERE id = ? AND status = 'waiting'`, a.At.UnixMilli(), int64(a.Run))
	})
}
