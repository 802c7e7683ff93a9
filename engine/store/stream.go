package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file serves live readers: the feed, and the lines of its changes.

// FeedEnd is the position of the newest change.
func (h *History) FeedEnd(ctx context.Context) (engine.Cursor, error) {
	return feedEnd(ctx, h.db)
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func feedEnd(ctx context.Context, q querier) (engine.Cursor, error) {
	var seq int64
	err := q.QueryRowContext(ctx, `SELECT seq FROM feed ORDER BY seq DESC LIMIT 1`).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return engine.Cursor(seq), classify(err)
}

// Feed lists changes after a position, in the order of their commits. It returns engine.ErrFeedGone
// if the oldest stored row lies after the position: changes between them may be missing.
func (h *History) Feed(ctx context.Context, after engine.Cursor, limit int) ([]engine.FeedChange, error) {
	rows, err := h.db.QueryContext(ctx, `SELECT seq, changes, (SELECT seq FROM feed ORDER BY seq LIMIT 1) AS oldest FROM feed WHERE seq > ?
		ORDER BY seq LIMIT ?`, int64(after), limit)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var out []engine.FeedChange
	for len(out) < limit && rows.Next() {
		var seq, oldest int64
		var blob []byte
		if err := rows.Scan(&seq, &blob, &oldest); err != nil {
			return nil, classify(err)
		}
		if oldest > int64(after) {
			return nil, engine.ErrFeedGone
		}
		list, err := decodeChanges(seq, blob)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if c.At > after { // the reader may have received only part of a commit
				out = append(out, c)
			}
		}
	}
	return out[:min(len(out), limit)], classify(rows.Err())
}

// missedBefore is how long before its commit an id may have been assigned.
const missedBefore = 30 * time.Second

const (
	sinceThen = `(o.started_at >= ?2 OR EXISTS (SELECT 1 FROM steps s WHERE s.run_id = o.id
		AND (s.started_at >= ?2 OR s.finished_at >= ?2)))`
	missedEvents = `SELECT id FROM events e WHERE id > ?1 AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.event_id = e.id) ORDER BY id DESC
		LIMIT ?2`
	// missedRuns finds the runs after an id (?1), the runs that ended since a time (?2), by the
	// index of late ends and by their ids (from ?3 on), and the open runs with records since that
	// time.
	missedRuns = `SELECT r.id, r.status FROM runs r WHERE r.id IN (
		SELECT id FROM runs WHERE id > ?1
		UNION SELECT id FROM runs WHERE id > ?3 AND id <= ?1 AND finished_at >= ?2
		UNION SELECT id FROM runs INDEXED BY runs_ended_late WHERE finished_at - created_at > 2000 AND finished_at >= ?2
		UNION SELECT o.id FROM runs o INDEXED BY runs_due WHERE (o.status = 'queued' OR o.status = 'waiting') AND ` + sinceThen + `
		UNION SELECT o.id FROM runs o WHERE o.status = 'running' AND ` + sinceThen + `)
		ORDER BY r.id DESC LIMIT ?4`
)

// MissedChanges lists the changes since a cursor that is older than the feed, by the times of the
// events and runs, in the order of their ids; of events and runs each the newest engine.MaxMissed.
// All of them were committed up to the position end, from which the feed continues. Changes within
// missedBefore of the cursor may be repeated.
func (h *History) MissedChanges(ctx context.Context, since engine.Cursor) (list []engine.FeedChange, end engine.Cursor, err error) {
	tx, err := h.db.BeginTx(ctx, nil) // one state of the database for all
	if err != nil {
		return nil, 0, classify(err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	if end, err = feedEnd(ctx, tx); err != nil {
		return nil, 0, err
	}
	at := engine.EventID(since).Time().Add(-missedBefore)
	first := engine.FirstID(at)
	list, err = collect(ctx, tx, missedEvents, []any{first, engine.MaxMissed}, func(s scanner) (c engine.FeedChange, err error) {
		err = s.Scan((*int64)(&c.Event))
		return c, err
	})
	if err != nil {
		return nil, 0, err
	}
	runs, err := collect(ctx, tx, missedRuns, []any{first, at.UnixMilli(), engine.FirstID(at.Add(-lateEnd)), engine.MaxMissed},
		func(s scanner) (c engine.FeedChange, err error) {
			err = s.Scan((*int64)(&c.Run), (*string)(&c.Status))
			return c, err
		})
	if err != nil {
		return nil, 0, err
	}
	list = append(list, runs...)
	slices.SortFunc(list, func(a, b engine.FeedChange) int {
		return cmp.Compare(int64(a.Event)+int64(a.Run), int64(b.Event)+int64(b.Run))
	})
	return list, end, nil
}

// lateEnd is the duration of a run from which its end is in the index runs_ended_late.
const lateEnd = 2 * time.Second

// idList is a list of ids as JSON, for json_each.
func idList[T ~int64](ids []T) (string, error) {
	list := make([]int64, len(ids))
	for i, id := range ids {
		list[i] = int64(id)
	}
	b, err := json.Marshal(list)
	return string(b), err
}

// FeedEvents returns the lines of those of some events that match a query, by id.
func (h *History) FeedEvents(ctx context.Context, ids []engine.EventID, q engine.Query) (map[engine.EventID]engine.EventItem, error) {
	w, _, _, err := eventConditions(q)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	list, err := idList(ids)
	if err != nil {
		return nil, err
	}
	w.add("e.id IN (SELECT value FROM json_each(?))", list)
	items, err := collect(ctx, h.db, eventItem+w.String(), w.args, scanEventItem)
	out := make(map[engine.EventID]engine.EventItem, len(items))
	for _, i := range items {
		id, err := engine.ParseEventID(i.ID)
		if err != nil {
			return nil, err
		}
		out[id] = i
	}
	return out, err
}

// FeedRuns returns the lines of those of some runs that match runs, and whose event matches events,
// by id.
func (h *History) FeedRuns(ctx context.Context, ids []engine.RunID, runs, events engine.Query) (map[engine.RunID]engine.RunItem, error) {
	w, _, _, err := h.runConditions(runs)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	of, _, _, err := eventConditions(events)
	if err != nil {
		return nil, err
	}
	list, err := idList(ids)
	if err != nil {
		return nil, err
	}
	w.add("r.id IN (SELECT value FROM json_each(?))", list)
	w.parts = append(w.parts, of.parts...) // of the alias e, the run's event
	w.args = append(w.args, of.args...)
	items, err := collect(ctx, h.db, runItem+w.String(), w.args, scanRunItem)
	out := make(map[engine.RunID]engine.RunItem, len(items))
	for _, i := range items {
		id, err := engine.ParseRunID(i.ID)
		if err != nil {
			return nil, err
		}
		out[id] = i
	}
	return out, err
}

// RunMark returns a value that changes whenever something of a run is recorded.
func (h *History) RunMark(ctx context.Context, id engine.RunID) (mark string, err error) {
	err = h.db.QueryRowContext(ctx, `SELECT r.status || ' ' || coalesce(r.due_at,
		0) || ' ' || (SELECT count(*) || ' ' || coalesce(sum(CASE s.status WHEN 'running' THEN 1 WHEN 'waiting' THEN 1000003
			ELSE 2000003 END), 0)
		FROM steps s WHERE s.run_id = r.id) || ' ' || (SELECT count(*) FROM answers a WHERE a.run_id = r.id) || ' ' || (SELECT count(*)
			FROM runs n WHERE n.repeats = r.id) FROM runs r WHERE r.id = ?`, int64(id)).Scan(&mark)
	if errors.Is(err, sql.ErrNoRows) {
		return "", engine.ErrNotFound
	}
	return mark, classify(err)
}
