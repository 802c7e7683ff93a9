package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file is what the live stream reads: what is new, and what has changed, since a
// moment.

// lateEnd is from how long a life on the end of a run is in the index runs_ended_late.
const lateEnd = 2 * time.Second

// NewEvents lists the ids of events after one, the oldest first.
func (h *History) NewEvents(ctx context.Context, after engine.EventID, trigger string, limit int) ([]engine.EventID, error) {
	var w where
	w.add("id > ?", int64(after))
	if trigger != "" {
		w.add("trigger = ?", trigger)
	}
	return collect(ctx, h.db, `SELECT id FROM events`+w.String()+` ORDER BY id LIMIT ?`, append(w.args, limit), scanEventID)
}

func scanEventID(s scanner) (engine.EventID, error) {
	var id int64
	err := s.Scan(&id)
	return engine.EventID(id), err
}

// idList is a list of ids as JSON, for json_each.
func idList[T ~int64](ids []T) (string, error) {
	list := make([]int64, len(ids))
	for i, id := range ids {
		list[i] = int64(id)
	}
	b, err := json.Marshal(list)
	return string(b), err
}

// EventItems gives the lines of some events, the oldest first.
func (h *History) EventItems(ctx context.Context, ids []engine.EventID) ([]engine.EventItem, error) {
	list, err := idList(ids)
	if err != nil {
		return nil, err
	}
	return collect(ctx, h.db, eventItem+` WHERE e.id IN (SELECT value FROM json_each(?)) ORDER BY e.id`, []any{list}, scanEventItem)
}

// RunItems gives the lines of some runs, the oldest first.
func (h *History) RunItems(ctx context.Context, ids []engine.RunID) ([]engine.RunItem, error) {
	list, err := idList(ids)
	if err != nil {
		return nil, err
	}
	return collect(ctx, h.db, runItem+` WHERE r.id IN (SELECT value FROM json_each(?)) ORDER BY r.id`, []any{list}, scanRunItem)
}

// changedRuns finds the runs after an id (?1), those that ended since a moment (?2), by
// the index of late ends and by their ids (from ?3 on), and some others (?4).
const changedRuns = `SELECT r.id, r.status, coalesce(r.finished_at, 0) FROM runs r WHERE r.id IN (
	SELECT id FROM runs WHERE id > ?1
	UNION SELECT id FROM runs WHERE id > ?3 AND id <= ?1 AND finished_at >= ?2
	UNION SELECT id FROM runs INDEXED BY runs_ended_late WHERE finished_at - created_at > 2000 AND finished_at >= ?2
	UNION SELECT value FROM json_each(?4))`

// ChangedRuns lists the runs that are new after an id, or have ended since its moment, and
// the others that are named, the oldest first.
func (h *History) ChangedRuns(ctx context.Context, after engine.RunID, others []engine.RunID, q engine.Query) ([]engine.RunState, error) {
	list, err := idList(others)
	if err != nil {
		return nil, err
	}
	at := after.Time()
	args := []any{int64(after), at.UnixMilli(), engine.FirstID(at.Add(-lateEnd)), list}
	query := changedRuns
	if q.Workflow != "" {
		query, args = query+` AND r.workflow = ?`, append(args, q.Workflow)
	}
	if q.Trigger != "" {
		query, args = query+` AND EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id AND e.trigger = ?)`, append(args, q.Trigger)
	}
	return collect(ctx, h.db, query+fmt.Sprintf(` ORDER BY r.id LIMIT %d`, engine.MaxChanged), args, scanRunState)
}

func scanRunState(s scanner) (engine.RunState, error) {
	var x engine.RunState
	var id, finished int64
	err := s.Scan(&id, &x.Status, &finished)
	x.ID = engine.RunID(id)
	if finished != 0 {
		x.FinishedAt = fromMillis(finished)
	}
	return x, err
}

// OpenRuns lists the newest runs up to an id that have not ended. Changed are those of
// them with something on record since a moment.
func (h *History) OpenRuns(ctx context.Context, upTo engine.RunID, since time.Time, limit int) (open []engine.RunState, changed map[engine.RunID]bool, err error) {
	changed = map[engine.RunID]bool{}
	open, err = collect(ctx, h.db, `SELECT r.id, r.status, 0, coalesce(r.started_at, 0) >= ?2 OR EXISTS (SELECT 1 FROM steps s WHERE s.run_id = r.id AND (s.started_at >= ?2 OR s.finished_at >= ?2))
		FROM runs r WHERE r.id <= ?1 AND r.id IN (SELECT id FROM runs WHERE due_at IS NOT NULL UNION SELECT id FROM runs WHERE status = 'running') ORDER BY r.id DESC LIMIT ?3`,
		[]any{int64(upTo), since.UnixMilli(), limit}, func(s scanner) (engine.RunState, error) {
			var x engine.RunState
			var id, none int64
			var is bool
			err := s.Scan(&id, &x.Status, &none, &is)
			x.ID = engine.RunID(id)
			changed[x.ID] = is
			return x, err
		})
	return open, changed, err
}

// RunMark changes whenever something of a run is put on record.
func (h *History) RunMark(ctx context.Context, id engine.RunID) (mark string, err error) {
	err = h.db.QueryRowContext(ctx, `SELECT r.status || ' ' || coalesce(r.due_at, 0) || ' ' || (SELECT count(*) || ' ' || coalesce(sum(CASE s.status WHEN 'running' THEN 1 WHEN 'waiting' THEN 1000003 ELSE 2000003 END), 0)
		FROM steps s WHERE s.run_id = r.id) || ' ' || (SELECT count(*) FROM answers a WHERE a.run_id = r.id) || ' ' || (SELECT count(*) FROM runs n WHERE n.repeats = r.id) FROM runs r WHERE r.id = ?`, int64(id)).Scan(&mark)
	if errors.Is(err, sql.ErrNoRows) {
		return "", engine.ErrNotFound
	}
	return mark, classify(err)
}
