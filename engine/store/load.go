package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file loads data for the engine; lists for people are in read.go.

const eventColumns = `id, trigger, inlet, key, flag, type, time, received_at, method, path, headers, query, data_expr, inputs, only_one, ` +
	`body, crc, stripped, coalesce(same_body, 0), coalesce(proof, '')`

type scanner interface{ Scan(dest ...any) error }

// scanEvent reads the row of an event. unreadable describes what is wrong with the row; the event
// then has only its identifying fields, without content.
func scanEvent(row scanner) (ev *engine.Event, unreadable, err error) {
	ev = &engine.Event{}
	var id, at, received, crc int64
	var headers, query string
	var inputs sql.NullString
	err = row.Scan(&id, &ev.Trigger, &ev.Inlet, &ev.Key, &ev.Flag, &ev.Type, &at, &received, &ev.Method, &ev.Path, &headers, &query,
		&ev.DataExpr, &inputs, &ev.Only, &ev.Raw, &crc, &ev.Stripped, &ev.RepeatsBodyOf, &ev.Proof)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, engine.ErrNotFound
	}
	if err != nil {
		return nil, nil, classify(err)
	}
	ev.ID, ev.Time, ev.ReceivedAt = engine.EventID(id), fromMillis(at), fromMillis(received)
	if unreadable = readEvent(ev, crc, headers, query, inputs); unreadable != nil {
		ev.Raw, ev.Headers, ev.Query, ev.Inputs = nil, map[string]string{}, map[string]string{}, nil
	}
	return ev, unreadable, nil
}

// readEvent decodes the columns of an event's content.
func readEvent(ev *engine.Event, crc int64, headers, query string, inputs sql.NullString) error {
	if !ev.Stripped && crc != checksum(ev.Trigger, ev.Key, ev.Type, ev.Raw) {
		return errors.New("its checksum is wrong: the database is damaged; restore a backup")
	}
	if err := json.Unmarshal([]byte(headers), &ev.Headers); err != nil {
		return fmt.Errorf("its headers: %w", err)
	}
	if err := json.Unmarshal([]byte(query), &ev.Query); err != nil {
		return fmt.Errorf("its query: %w", err)
	}
	if !inputs.Valid {
		return nil
	}
	v, err := value.DecodeStored([]byte(inputs.String))
	if err != nil {
		return fmt.Errorf("its inputs: %w", err)
	}
	ev.Inputs, _ = v.(map[string]any)
	return nil
}

// lost is an event of which nothing can be read.
func lost(id engine.EventID, why error) *engine.Event {
	return &engine.Event{ID: id, Locked: why, Delivery: engine.Delivery{Headers: map[string]string{}, Query: map[string]string{}}}
}

// rowsFault reports whether an error is about a row, not about the database.
func rowsFault(err error) bool {
	return err != nil && !errors.Is(err, engine.ErrDisk) && !errors.Is(err, engine.ErrFull) && !errors.Is(err, engine.ErrBusy) &&
		!errors.Is(err, engine.ErrNotFound) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

func fromMillis(n int64) time.Time { return time.UnixMilli(n).UTC() }

// Event implements engine.Store.
func (s *Store) Event(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	ev, unreadable, err := scanEvent(s.readers.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE id = ?`, int64(id)))
	if err == nil && unreadable != nil {
		err = fmt.Errorf("event %s: %w", id, unreadable)
	}
	if err != nil {
		return nil, err
	}
	return ev, s.unseal(ctx, ev)
}

// event is Event, except for an event whose row cannot be read: it is locked.
func (s *Store) event(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	ev, unreadable, err := scanEvent(s.readers.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE id = ?`, int64(id)))
	if rowsFault(err) && ctx.Err() == nil {
		return lost(id, err), nil
	}
	if err != nil {
		return nil, err
	}
	if unreadable != nil {
		ev.Locked = unreadable
		return ev, nil
	}
	return ev, s.unseal(ctx, ev)
}

// inboxBytes bounds the bodies that one query of the inbox loads.
const inboxBytes = 16 << 20

// ownInbox lists the events that this node has to decide, in the order in which they were accepted.
const ownInbox = `SELECT event_id FROM inbox WHERE owner_node = ? ORDER BY rowid LIMIT ?`

// inbox lists undecided events of this node, without those that are already known.
func (s *Store) inbox(ctx context.Context, limit int, known func(engine.EventID) bool) (events []*engine.Event, whole bool, err error) {
	seen, size := 0, 0
	var ids []byte
	var wanted []engine.EventID
	query, args := `SELECT event_id FROM inbox ORDER BY event_id LIMIT ?`, []any{limit}
	if s.w.pg != nil {
		query, args = ownInbox, []any{s.w.pg.node, limit}
	}
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, false, classify(err)
		}
		if seen++; known(engine.EventID(id)) {
			continue
		}
		if len(ids) > 0 {
			ids = append(ids, ',')
		}
		ids = strconv.AppendInt(ids, id, 10)
		wanted = append(wanted, engine.EventID(id))
	}
	if err := rows.Err(); err != nil {
		return nil, false, classify(err)
	}
	if len(ids) == 0 {
		return nil, seen < limit, nil
	}
	order := "id"
	if s.w.pg != nil {
		order = "array_position(ARRAY[" + string(ids) + "]::bigint[], id)" // ids of several nodes are not in the order of arrival
	}
	found, err := s.readers.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE id IN (`+string(ids)+`) ORDER BY `+order)
	if err != nil {
		return nil, false, classify(err)
	}
	defer found.Close()
	for found.Next() {
		ev, unreadable, err := scanEvent(found)
		if rowsFault(err) && ctx.Err() == nil {
			return s.inboxOneByOne(ctx, wanted)
		}
		if err != nil {
			return nil, false, err
		}
		ev.Locked = unreadable
		events = append(events, ev)
		if size += len(ev.Raw); size > inboxBytes {
			break
		}
	}
	// Sealed values are read after the rows are closed: each query uses one connection.
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return nil, false, classify(err)
	}
	for _, ev := range events {
		if err := s.unseal(ctx, ev); err != nil {
			return nil, false, err
		}
	}
	return events, size <= inboxBytes && seen < limit, nil
}

// inboxOneByOne reads events one at a time when a row cannot be scanned.
func (s *Store) inboxOneByOne(ctx context.Context, ids []engine.EventID) (events []*engine.Event, whole bool, err error) {
	size := 0
	for i, id := range ids {
		ev, err := s.event(ctx, id)
		if err != nil {
			return nil, false, err
		}
		events = append(events, ev)
		if size += len(ev.Raw); size > inboxBytes && i+1 < len(ids) {
			break
		}
	}
	return events, false, nil
}

// SizeOf implements engine.Store.
func (s *Store) SizeOf(ctx context.Context, w engine.EventWait) (n int64, err error) {
	if w.Trigger != "" {
		err = s.readers.QueryRowContext(ctx,
			`SELECT coalesce(octet_length(e.body), 0) + coalesce(octet_length(e.inputs), 0) FROM keys k JOIN events e ON e.id = k.event_id
			WHERE k.trigger = ? AND k.key = ?`, w.Trigger, w.Key).Scan(&n)
	} else if id, perr := engine.ParseEventID(w.Key); perr == nil {
		err = s.readers.QueryRowContext(ctx, `SELECT coalesce(octet_length(output), 0) FROM runs WHERE event_id = ? AND repeats IS NULL ORDER `+
			`BY id LIMIT 1`, int64(id)).Scan(&n)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, classify(err)
}

// Run implements engine.Store.
func (s *Store) Run(ctx context.Context, id engine.RunID) (*engine.Run, error) {
	r, unreadable, err := s.run(ctx, id)
	if err == nil && unreadable != nil {
		err = fmt.Errorf("run %s: %w", id, unreadable)
	}
	return r, err
}

// run reads a run. unreadable says what is wrong with its row.
func (s *Store) run(ctx context.Context, id engine.RunID) (_ *engine.Run, unreadable, err error) {
	var r engine.Run
	var event, created, active int64
	var status string
	var started, finished, due, repeats, continues sql.NullInt64
	var output, failure, ending sql.NullString
	err = s.readers.QueryRowContext(ctx, `SELECT event_id, workflow, version, status, repeats, continues, created_at, started_at, `+
		`finished_at, due_at, active_ms, boots, output, error, text, ending FROM runs WHERE id = ?`, int64(id)).
		Scan(&event, &r.Workflow, &r.Version, &status, &repeats, &continues, &created, &started, &finished, &due, &active, &r.Crashes, &output,
			&failure, &r.Text, &ending)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, engine.ErrNotFound
	}
	if err = classify(err); rowsFault(err) && ctx.Err() == nil {
		return &engine.Run{ID: id}, fmt.Errorf("its row: %w", err), nil
	}
	if err != nil {
		return nil, nil, err
	}
	r.ID, r.Event, r.Status, r.Repeats = id, engine.EventID(event), engine.RunStatus(status), engine.RunID(repeats.Int64)
	r.Continues = engine.RunID(continues.Int64)
	r.CreatedAt, r.StartedAt, r.FinishedAt, r.DueAt = fromMillis(created), nullTime(started), nullTime(finished), nullTime(due)
	r.Active = time.Duration(active) * time.Millisecond
	if r.Output, err = decodeColumn(output); err != nil {
		unreadable = fmt.Errorf("its output: %w", err)
	}
	if r.Error, err = decodeError(failure); err != nil {
		unreadable = fmt.Errorf("its error: %w", err)
	}
	if r.Ending, err = decodeError(ending); err != nil {
		unreadable = fmt.Errorf("why it is being cancelled: %w", err)
	}
	return &r, unreadable, nil
}

func nullTime(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return fromMillis(n.Int64)
}

func decodeColumn(c sql.NullString) (any, error) {
	if !c.Valid {
		return nil, nil
	}
	return value.DecodeStored([]byte(c.String))
}

func decodeError(c sql.NullString) (*plan.Error, error) {
	v, err := decodeColumn(c)
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, err
	}
	return errorFrom(m), nil
}

func errorFrom(m map[string]any) *plan.Error {
	e := &plan.Error{Details: m["details"]}
	e.Message, _ = m["message"].(string)
	e.Code, _ = m["code"].(string)
	e.Step, _ = m["step"].(string)
	e.Status, _ = m["status"].(int)
	e.Attempts, _ = m["attempts"].(int)
	e.Retryable, _ = m["retryable"].(bool)
	if ms, ok := m["retry_after_ms"].(int); ok {
		e.RetryAfter = time.Duration(ms) * time.Millisecond
	}
	e.Resumed, _ = m["resumed"].(bool)
	if h, ok := m["handler"].(map[string]any); ok {
		e.Handler = errorFrom(h)
	}
	return e
}

// number reads an integer column; any other value is read as 0.
type number int64

// Scan implements sql.Scanner.
func (n *number) Scan(v any) error {
	i, _ := v.(int64)
	*n = number(i)
	return nil
}

// maybe reads a column that holds an integer or NULL; any other value is read as NULL.
type maybe struct{ *sql.NullInt64 }

// Scan implements sql.Scanner.
func (m maybe) Scan(v any) error {
	m.Int64, m.Valid = v.(int64)
	return nil
}

// records loads the attempts of a run, oldest first. unreadable describes which of them cannot be
// read.
func (s *Store) records(ctx context.Context, id engine.RunID) (out []*plan.Record, unreadable, err error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT s.path, s.attempt, s.action, s.status, s.started_at, s.finished_at, s.output, s.error, `+
		`s.sealed, `+waitColumns+`
		FROM steps s LEFT JOIN waits w ON s.status = 'waiting' AND w.run_id = s.run_id AND w.path = s.path WHERE s.run_id = ?
			ORDER BY s.path, s.attempt, w.number`, int64(id))
	if err != nil {
		return nil, nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		r := &plan.Record{}
		var started int64
		var finished sql.NullInt64
		var output, failure sql.NullString
		var sealed []byte
		var wait waitRow
		if err := rows.Scan(append([]any{&r.Path, &r.Attempt, &r.Action, &r.Status, &started, &finished, &output, &failure, &sealed},
			wait.dest()...)...); err != nil {
			unreadable = fmt.Errorf("the row of step %q: %w", r.Path, err)
			continue
		}
		r.StartedAt, r.FinishedAt = fromMillis(started), nullTime(finished)
		if r.Status == plan.Waiting {
			w, err := s.decodeWait(&wait, r.Path)
			if err != nil {
				unreadable = fmt.Errorf("what step %s waits for: %w", r.Path, err)
			}
			if n := len(out); n > 0 && wait.number.Int64 > 0 && out[n-1].Path == r.Path {
				out[n-1].Waits = append(out[n-1].Waits, w)
				continue
			}
			r.Waits = []plan.Wait{w}
		} else if sealed != nil {
			if r.Output, err = s.opened(sealed, sealedOutput); err != nil {
				unreadable = fmt.Errorf("step %s: %w", r.Path, err)
			} else if shown, err := decodeColumn(output); err == nil {
				r.Masked = workflows.MaskedParts(shown, r.Output)
			}
		} else if r.Output, err = decodeColumn(output); err != nil {
			unreadable = fmt.Errorf("the output of step %s: %w", r.Path, err)
		}
		if r.Error, err = decodeError(failure); err != nil {
			unreadable = fmt.Errorf("the error of step %s: %w", r.Path, err)
		}
		out = append(out, r)
	}
	return out, unreadable, classify(rows.Err())
}

// Version implements engine.Store.
func (s *Store) Version(ctx context.Context, version string) (string, error) {
	var text string
	err := s.readers.QueryRowContext(ctx, `SELECT text FROM versions WHERE version = ?`, version).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", engine.ErrNotFound
	}
	return text, classify(err)
}
