package store

import (
	"cmp"
	"context"
	"math"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file finds the runs that are to continue.

// due lists runs that are due, without those already claimed. left is how long a due run is left to
// another node.
func (s *Store) due(ctx context.Context, now time.Time, limit int, claimed func(engine.RunID) bool,
	left func(engine.RunID) time.Duration) ([]engine.RunID, time.Time, error) {
	var ids []engine.RunID
	var later, beyond int64 // when the first run that is left to another node is due here, and the first one after these
	if err := s.eachDue(ctx, limit, func(id, due int64) bool {
		if claimed(engine.RunID(id)) {
			return true
		}
		if due > now.UnixMilli() || len(ids) == limit {
			beyond = due
			return false
		}
		if own := due + left(engine.RunID(id)).Milliseconds(); own > now.UnixMilli() {
			later = min(cmp.Or(later, own), own)
			return true
		}
		ids = append(ids, engine.RunID(id))
		return true
	}); err != nil {
		return nil, time.Time{}, err
	}
	if later != 0 && (beyond == 0 || later < beyond) {
		beyond = later
	}
	if beyond == 0 {
		return ids, time.Time{}, nil
	}
	return ids, fromMillis(beyond), nil
}

const (
	dueRuns = `SELECT id, due_at FROM runs INDEXED BY runs_due WHERE ` + openRun + ` AND due_at IS NOT NULL AND boots < ?`
	dueSort = ` ORDER BY due_at, id`
	duePage = dueRuns + ` AND (due_at, id) > (?, ?)` + dueSort + ` LIMIT ?`
)

// eachDue visits open runs in the order in which they are due, until visit returns false. A server sends
// all rows of a query, so it is asked for pages: of 100,000 runs that wait, each call needs a few hundred.
func (s *Store) eachDue(ctx context.Context, limit int, visit func(id, due int64) bool) error {
	if s.w.pg == nil {
		_, err := s.dueRows(ctx, visit, dueRuns+dueSort, engine.SuspectCrashes)
		return err
	}
	page := 2*limit + 100
	for id, due := int64(0), int64(math.MinInt64); ; {
		n := 0
		more, err := s.dueRows(ctx, func(i, d int64) bool { n++; id, due = i, d; return visit(i, d) }, duePage, engine.SuspectCrashes, due, id,
			page)
		if err != nil || !more || n < page {
			return err
		}
	}
}

// dueRows visits the rows of a query; more is false if visit returned false.
func (s *Store) dueRows(ctx context.Context, visit func(id, due int64) bool, query string, args ...any) (more bool, err error) {
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return false, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var due number
		if err := rows.Scan(&id, &due); err != nil {
			return false, classify(err)
		}
		if !visit(id, int64(due)) {
			return false, classify(rows.Err())
		}
	}
	return true, classify(rows.Err())
}

// Large implements engine.Store.
func (s *Store) Large(ctx context.Context, more int64) (map[engine.RunID]int64, error) {
	rows, err := s.readers.QueryContext(ctx,
		`SELECT s.run_id, sum(coalesce(octet_length(s.output), 0) + coalesce(octet_length(s.sealed), 0)) AS n
		FROM runs r INDEXED BY runs_due CROSS JOIN steps s ON s.run_id = r.id
		WHERE (r.status = 'queued' OR r.status = 'waiting') GROUP BY s.run_id
		HAVING sum(coalesce(octet_length(s.output), 0) + coalesce(octet_length(s.sealed), 0)) > ?`, more)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	out := map[engine.RunID]int64{}
	for rows.Next() {
		var id, n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, classify(err)
		}
		out[engine.RunID(id)] = n
	}
	return out, classify(rows.Err())
}

// Suspects implements engine.Store.
func (s *Store) Suspects(ctx context.Context) (few, alone []engine.RunID, err error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT id, boots FROM runs INDEXED BY runs_due WHERE `+openRun+
		` AND boots >= ? ORDER BY boots DESC, id`, engine.SuspectCrashes)
	if err != nil {
		return nil, nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, boots int64
		if err := rows.Scan(&id, &boots); err != nil {
			return nil, nil, classify(err)
		}
		if boots > engine.SuspectCrashes {
			alone = append(alone, engine.RunID(id))
		} else {
			few = append(few, engine.RunID(id))
		}
	}
	return few, alone, classify(rows.Err())
}
