package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file reads the recorded history page by page, for backtests.

// recordedBytes bounds the bodies of one page.
const recordedBytes = 8 << 20

func recordedConditions(q engine.RecordedQuery) (where, error) {
	var w where
	if q.Trigger != "" {
		w.add("trigger = ?", q.Trigger)
	}
	if q.After > 0 {
		w.add("id > ?", int64(q.After))
	}
	if q.Before > 0 {
		w.add("id < ?", int64(q.Before))
	}
	if q.IDs != nil {
		list, err := idList(q.IDs)
		if err != nil {
			return w, err
		}
		w.add("id IN (SELECT value FROM json_each(?))", list)
	}
	return w, nil
}

// RecordedIDs implements engine.RecordHistory.
func (h *History) RecordedIDs(ctx context.Context, q engine.RecordedQuery, do func(engine.EventID)) error {
	w, err := recordedConditions(q)
	if err != nil {
		return err
	}
	rows, err := h.db.QueryContext(ctx, `SELECT id FROM events`+w.String()+` ORDER BY id`, w.args...)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return classify(err)
		}
		do(engine.EventID(id))
	}
	return classify(rows.Err())
}

// RecordedPage implements engine.RecordHistory.
func (h *History) RecordedPage(ctx context.Context, q engine.RecordedQuery) (page []*engine.RecordedEvent, err error) {
	w, err := recordedConditions(q)
	if err != nil {
		return nil, err
	}
	tx, err := h.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, classify(err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	r := recordedReader{ctx: ctx, tx: tx, events: map[int64]*engine.RecordedEvent{}, runs: map[int64]*engine.RecordedRun{}}
	if page, err = r.page(w, q.Limit); err != nil || len(page) == 0 {
		return page, err
	}
	for _, read := range []func() error{r.pending, r.emitted, r.decisions, r.runsOf, r.steps, r.answers, r.gathered} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// recordedReader reads one page.
type recordedReader struct {
	ctx    context.Context
	tx     *sql.Tx
	events map[int64]*engine.RecordedEvent
	runs   map[int64]*engine.RecordedRun
	// ids and runIDs are those of the page, as JSON.
	ids, runIDs string
}

// errPageFull stops the reading of rows.
var errPageFull = errors.New("the page is full")

// each calls read for each row of a query, until read returns errPageFull.
func (r *recordedReader) each(query string, args []any, read func(scanner) error) error {
	rows, err := r.tx.QueryContext(r.ctx, query, args...)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			if errors.Is(err, errPageFull) {
				return nil
			}
			return classify(err)
		}
	}
	return classify(rows.Err())
}

func (r *recordedReader) page(w where, limit int) (page []*engine.RecordedEvent, err error) {
	size := 0
	var ids []engine.EventID
	err = r.each(`SELECT `+eventColumns+` FROM events`+w.String()+fmt.Sprintf(" ORDER BY id LIMIT %d", limit), w.args, func(s scanner) error {
		if size > recordedBytes {
			return errPageFull // SQLite would read the bodies of all further rows, which belong to the next page
		}
		ev, unreadable, err := scanEvent(s)
		if err != nil {
			return err
		}
		ev.Locked = unreadable
		size += len(ev.Raw)
		e := &engine.RecordedEvent{Event: ev}
		page, ids = append(page, e), append(ids, ev.ID)
		r.events[int64(ev.ID)] = e
		return nil
	})
	if err == nil {
		r.ids, err = idList(ids)
	}
	return page, err
}

func (r *recordedReader) pending() error {
	return r.each(`SELECT event_id FROM inbox WHERE event_id IN (SELECT value FROM json_each(?))`, []any{r.ids}, func(s scanner) error {
		var id int64
		err := s.Scan(&id)
		if e := r.events[id]; e != nil {
			e.Pending = true
		}
		return err
	})
}

func (r *recordedReader) emitted() error {
	return r.each(`SELECT event_id, run_id, path FROM emitted WHERE event_id IN (SELECT value FROM json_each(?)) AND NOT duplicate`,
		[]any{r.ids}, func(s scanner) error {
			var id, run int64
			var path string
			err := s.Scan(&id, &run, &path)
			if e := r.events[id]; e != nil {
				e.Emitted, e.EmittedAt = engine.RunID(run), path
			}
			return err
		})
}

func (r *recordedReader) decisions() error {
	return r.each(`SELECT event_id, workflow, version, outcome, reason, run_id FROM decisions
		WHERE event_id IN (SELECT value FROM json_each(?)) ORDER BY event_id, workflow`, []any{r.ids}, func(s scanner) error {
		var id int64
		var run sql.NullInt64
		var d engine.Decision
		if err := s.Scan(&id, &d.Workflow, &d.Version, &d.Outcome, &d.Reason, &run); err != nil {
			return err
		}
		d.Run = engine.RunID(run.Int64)
		r.events[id].Decisions = append(r.events[id].Decisions, d)
		return nil
	})
}

func (r *recordedReader) runsOf() error {
	var ids []engine.RunID
	err := r.each(`SELECT id, event_id, workflow, version, status, created_at, started_at, finished_at, output, error, text, ending FROM runs
		WHERE event_id IN (SELECT value FROM json_each(?)) AND repeats IS NULL ORDER BY event_id, id`, []any{r.ids}, func(s scanner) error {
		var id, event, created int64
		var started, finished sql.NullInt64
		var output, failure, ending sql.NullString
		x := &engine.Run{}
		if err := s.Scan(&id, &event, &x.Workflow, &x.Version, &x.Status, &created, &started, &finished, &output, &failure, &x.Text,
			&ending); err != nil {
			return err
		}
		x.ID, x.Event, x.CreatedAt = engine.RunID(id), engine.EventID(event), fromMillis(created)
		x.StartedAt, x.FinishedAt = nullTime(started), nullTime(finished)
		run := &engine.RecordedRun{Run: x}
		var e1, e2, e3 error
		x.Output, e1 = decodeColumn(output)
		x.Error, e2 = decodeError(failure)
		x.Ending, e3 = decodeError(ending)
		run.Unreadable = errors.Join(e1, e2, e3)
		r.runs[id], ids = run, append(ids, x.ID)
		r.events[event].Runs = append(r.events[event].Runs, run)
		return nil
	})
	if err == nil {
		r.runIDs, err = idList(ids)
	}
	return err
}

func (r *recordedReader) steps() error {
	return r.each(`SELECT run_id, path, attempt, action, status, started_at, finished_at, output, error FROM steps
		WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id, rowid`, []any{r.runIDs}, func(s scanner) error {
		var run, started int64
		var finished sql.NullInt64
		var output, failure sql.NullString
		x := &plan.Record{}
		if err := s.Scan(&run, &x.Path, &x.Attempt, &x.Action, &x.Status, &started, &finished, &output, &failure); err != nil {
			return err
		}
		x.StartedAt, x.FinishedAt = fromMillis(started), nullTime(finished)
		var e1, e2 error
		if x.Status != plan.Waiting {
			x.Output, e1 = decodeColumn(output)
		}
		x.Error, e2 = decodeError(failure)
		of := r.runs[run]
		of.Records = append(of.Records, x)
		if e := errors.Join(e1, e2); e != nil {
			of.Unreadable = fmt.Errorf("step %s: %w", x.Path, e)
		}
		return nil
	})
}

func (r *recordedReader) answers() error {
	return r.each(`SELECT run_id, path, attempt, verdict, output, at FROM answers WHERE run_id IN (SELECT value FROM json_each(?))
		ORDER BY run_id, path, attempt`, []any{r.runIDs}, func(s scanner) error {
		var run, at int64
		var output sql.NullString
		var a engine.RecordedAnswer
		if err := s.Scan(&run, &a.Path, &a.Attempt, &a.Verdict, &output, &at); err != nil {
			return err
		}
		a.At = fromMillis(at)
		var err error
		if a.Output, err = decodeColumn(output); err != nil {
			r.runs[run].Unreadable = fmt.Errorf("the answer to step %s: %w", a.Path, err)
		}
		r.runs[run].Answers = append(r.runs[run].Answers, a)
		return nil
	})
}

// gathered loads the further events of batches.
func (r *recordedReader) gathered() error {
	return r.each(`SELECT x.run_id, `+eventColumnsOf("e")+` FROM run_events x JOIN events e ON e.id = x.event_id
		WHERE x.run_id IN (SELECT value FROM json_each(?)) ORDER BY x.run_id, e.id`, []any{r.runIDs}, func(s scanner) error {
		first := &leadingColumn{row: s}
		ev, unreadable, err := scanEvent(first)
		if err != nil {
			return err
		}
		ev.Locked = unreadable
		r.runs[first.value].More = append(r.runs[first.value].More, ev)
		return nil
	})
}

// eventColumnsOf are eventColumns of a table with an alias.
func eventColumnsOf(alias string) string {
	return alias + `.id, ` + alias + `.trigger, ` + alias + `.inlet, ` + alias + `.key, ` + alias + `.flag, ` + alias + `.type, ` +
		alias + `.time, received_at, method, path, headers, query, data_expr, inputs, only_one, body, crc, stripped, coalesce(same_body, 0), ` +
		`coalesce(proof, '')`
}

// leadingColumn reads a column before those that another function scans.
type leadingColumn struct {
	row   scanner
	value int64
}

// Scan implements scanner.
func (l *leadingColumn) Scan(dest ...any) error {
	return l.row.Scan(append([]any{&l.value}, dest...)...)
}

// madeWithin is how far apart the time of a run and the id of an event that it made may be: the clock
// of an id may run ahead of the machine's. madeAfter is the same for ids from before their epoch,
// which only count up; it is less than a millisecond of the others.
const (
	madeWithin = 10 * time.Second
	madeAfter  = 1 << 20
)

// MadeEvent implements engine.RecordHistory.
func (h *History) MadeEvent(ctx context.Context, run engine.RunID, workflow, key string, at time.Time) (engine.EventID, error) {
	id, err := h.number(ctx, `SELECT id FROM events WHERE trigger = ? AND id > ? AND id < ? AND key = ? ORDER BY id LIMIT 1`, workflow,
		max(int64(run), engine.FirstID(at.Add(-madeWithin))), max(int64(run)+madeAfter, engine.FirstID(at.Add(madeWithin))), key)
	return engine.EventID(id), err
}

// KeySeen implements engine.RecordHistory.
func (h *History) KeySeen(ctx context.Context, trigger, key string) (time.Time, error) {
	n, err := h.number(ctx, `SELECT seen_at FROM keys WHERE trigger = ? AND key = ?`, trigger, key)
	if n == 0 || err != nil {
		return time.Time{}, err
	}
	return fromMillis(n), nil
}

// FirstReceived implements engine.RecordHistory.
func (h *History) FirstReceived(ctx context.Context) (time.Time, error) {
	n, err := h.number(ctx, `SELECT received_at FROM events ORDER BY id LIMIT 1`)
	if n == 0 || err != nil {
		return time.Time{}, err
	}
	return fromMillis(n), nil
}

// Firings calls do with the key of each event that schedules of a trigger made since a time, and with
// the time at which it was made.
func (h *History) Firings(ctx context.Context, trigger string, since time.Time, do func(key string, at time.Time)) error {
	rows, err := h.db.QueryContext(ctx, `SELECT key, received_at FROM events WHERE trigger = ? AND inlet = ? AND received_at >= ?
		ORDER BY id`, trigger, string(workflows.InletSchedule), since.UnixMilli())
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var at int64
		if err := rows.Scan(&key, &at); err != nil {
			return classify(err)
		}
		do(key, fromMillis(at))
	}
	return classify(rows.Err())
}

// Schedules lists the schedules that have run.
func (h *History) Schedules(ctx context.Context) ([]engine.ScheduleState, error) {
	return collect(ctx, h.db, `SELECT trigger, inlet, cursor FROM inlets WHERE inlet LIKE 'schedule %' ORDER BY trigger, inlet`, nil,
		func(r scanner) (s engine.ScheduleState, err error) {
			var inlet string
			var timetable sql.NullString
			err = r.Scan(&s.Trigger, &inlet, &timetable)
			s.Schedule, s.Timetable = strings.TrimPrefix(inlet, "schedule "), []byte(timetable.String)
			return s, err
		})
}

// number reads one number; 0 for none.
func (h *History) number(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = h.db.QueryRowContext(ctx, query, args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, classify(err)
}

// AllUses implements engine.RecordHistory.
func (h *History) AllUses(ctx context.Context) ([]engine.VersionUses, error) {
	return collect(ctx, h.db, allUses, nil, scanUses)
}

const allUses = `SELECT version, from_id, uses FROM version_uses ORDER BY version, from_id`

func scanUses(r scanner) (u engine.VersionUses, err error) {
	var from int64
	var text string
	if err := r.Scan(&u.Version, &from, &text); err != nil {
		return u, err
	}
	u.From = engine.RunID(from)
	return u, json.Unmarshal([]byte(text), &u.Uses)
}

// VersionOf implements engine.RecordHistory. Files of connectors have versions too; they do not
// belong to a workflow.
func (h *History) VersionOf(ctx context.Context, prefix string) (version, workflow string, err error) {
	type row struct{ version, workflow string }
	found, err := collect(ctx, h.db, `SELECT version, workflow FROM versions WHERE version LIKE ? ESCAPE '\'
		AND workflow NOT LIKE 'connectors/%' LIMIT 2`, []any{like(prefix)[1:]}, func(s scanner) (r row, err error) {
		err = s.Scan(&r.version, &r.workflow)
		return r, err
	})
	switch {
	case err != nil:
		return "", "", err
	case len(found) == 0:
		return "", "", engine.ErrNotFound
	case len(found) > 1:
		return "", "", fmt.Errorf("%w: %s is the beginning of more than one version", engine.ErrQuery, prefix)
	}
	return found[0].version, found[0].workflow, nil
}
