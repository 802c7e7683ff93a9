package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// History reads lists and details. It needs no lock, so the command line can
// look while a server works.
type History struct {
	db   *sql.DB
	path string
}

// OpenHistory opens an existing database for reading only.
func OpenHistory(path string) (*History, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no database at %s: hookloom serve makes it, --db names another", path)
	}
	db, err := OpenReaders(path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &History{db, path}, nil
}

// History gives the reading side of an open store.
func (s *Store) History() *History { return &History{s.readers, s.path} }

// Close releases the connections.
func (h *History) Close() error { return h.db.Close() }

// where gathers conditions with their parameters; texts never enter the SQL.
type where struct {
	parts []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	w.parts = append(w.parts, cond)
	w.args = append(w.args, args...)
}

func (w *where) String() string {
	if len(w.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.parts, " AND ")
}

// page adds the cursor and gives the order and limit.
func (w *where) page(q engine.Query, prefix, column string) (string, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	order := "DESC"
	if q.Ascending {
		order = "ASC"
	}
	if q.After != "" {
		n, err := parseAfter(q.After, prefix)
		if err != nil {
			return "", fmt.Errorf("%w: after is the next of the page before: %w", engine.ErrQuery, err)
		}
		if q.Ascending {
			w.add(column+" > ?", n)
		} else {
			w.add(column+" < ?", n)
		}
	}
	return fmt.Sprintf(" ORDER BY %s %s LIMIT %d", column, order, min(limit, 1000)), nil
}

func parseAfter(s, prefix string) (int64, error) {
	switch prefix {
	case "evt_":
		id, err := engine.ParseEventID(s)
		return int64(id), err
	case "run_":
		id, err := engine.ParseRunID(s)
		return int64(id), err
	}
	return strconv.ParseInt(strings.TrimPrefix(s, prefix), 10, 64)
}

// like turns a text into a pattern for LIKE that finds it anywhere.
func like(s string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s) + "%"
}

const eventItem = `SELECT e.id, e.trigger, e.inlet, e.type, e.key, e.flag, e.received_at, (SELECT count(*) FROM sightings s WHERE s.event_id = e.id),
	CASE WHEN EXISTS (SELECT 1 FROM inbox i WHERE i.event_id = e.id) THEN 'pending'
	     ELSE coalesce((SELECT d.outcome FROM decisions d WHERE d.event_id = e.id
	       ORDER BY CASE d.outcome WHEN 'matched' THEN 0 WHEN 'rule_failed' THEN 1 WHEN 'folded' THEN 1 WHEN 'held' THEN 2 WHEN 'disabled' THEN 3 WHEN 'dropped' THEN 4 WHEN 'skipped' THEN 5 ELSE 6 END LIMIT 1),
	       CASE WHEN EXISTS (SELECT 1 FROM ended_waits x WHERE x.event_id = e.id) THEN 'ended_wait' ELSE 'unmatched' END) END,
	(SELECT count(*) FROM runs r WHERE r.event_id = e.id), (SELECT count(*) FROM decisions d WHERE d.event_id = e.id AND d.outcome = 'rule_failed'),
	e.identity, coalesce(e.same_body, 0), (SELECT count(*) FROM conflicts c WHERE c.event_id = e.id), coalesce(e.proof, '') FROM events e`

func scanEventItem(row scanner) (engine.EventItem, error) {
	var it engine.EventItem
	var id int64
	var at, same number
	var named engine.Identity
	err := row.Scan(&id, &it.Trigger, &it.Inlet, &it.Type, &it.Key, &it.Flag, &at, &it.Duplicates, &it.Outcome, &it.Runs, &it.RuleFailures, &named, &same, &it.Conflicts, &it.Proof)
	it.Identity = named.String()
	if same != 0 {
		it.RepeatsBodyOf = engine.EventID(same).String()
	}
	it.ID, it.ReceivedAt = engine.EventID(id).String(), fromMillis(int64(at))
	return it, err
}

// maxScan is how many rows a search looks at in one go. What has no index is looked
// for in steps, so that a page costs the same whatever the history's length.
const maxScan = 20_000

// span bounds a search to the maxScan rows that come next, by the filters that
// have an index. It gives the last of their ids, 0 when the list ends before.
func (h *History) span(ctx context.Context, table string, indexed where, q engine.Query, prefix string) (int64, error) {
	q.Limit = 1
	tail, err := indexed.page(q, prefix, "x.id")
	if err != nil {
		return 0, err
	}
	var last int64
	err = h.db.QueryRowContext(ctx, `SELECT x.id FROM `+table+` x`+indexed.String()+tail+fmt.Sprintf(" OFFSET %d", maxScan-1), indexed.args...).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return last, classify(err)
}

// within bounds a query to a span.
func (w *where) within(last int64, ascending bool, column string) {
	switch {
	case last == 0:
	case ascending:
		w.add(column+" <= ?", last)
	default:
		w.add(column+" >= ?", last)
	}
}

// finish makes a page of what a query gave. last is where its search paused.
func finish[T any](items []T, q engine.Query, last int64, id func(T) string, name func(int64) string) engine.Page[T] {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	p := engine.Page[T]{Items: items}
	switch {
	case len(items) == min(limit, 1000):
		p.Next = id(items[len(items)-1])
	case last != 0:
		at := engine.RunID(last).Time()
		p.Next, p.SearchedTo = name(last), &at
	}
	return p
}

// all gathers the pages of a list up to the query's limit.
func all[T any](ctx context.Context, q engine.Query, page func(context.Context, engine.Query) (engine.Page[T], error)) ([]T, error) {
	out := []T{}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	for {
		q.Limit = limit - len(out)
		p, err := page(ctx, q)
		if err != nil {
			return nil, err
		}
		if out = append(out, p.Items...); len(out) >= limit || p.Next == "" || p.SearchedTo == nil {
			return out, nil
		}
		q.After = p.Next
	}
}

// unreadable finds the events whose body cannot be read, in the words of the index
// events_unreadable.
const unreadable = `substr(e.flag, 1, 17) = '` + engine.UnreadableFlag + `'`

// Events lists events, the newest first, however far back they are.
func (h *History) Events(ctx context.Context, q engine.Query) ([]engine.EventItem, error) {
	return all(ctx, q, h.EventPage)
}

// EventPage lists events, the newest first, at a bounded cost.
func (h *History) EventPage(ctx context.Context, q engine.Query) (engine.Page[engine.EventItem], error) {
	none := engine.Page[engine.EventItem]{}
	w, x, costly, err := eventConditions(q)
	if err != nil {
		return none, err
	}
	var last int64
	if costly {
		if last, err = h.span(ctx, "events", x, q, "evt_"); err != nil {
			return none, err
		}
		w.within(last, q.Ascending, "e.id")
	}
	tail, err := w.page(q, "evt_", "e.id")
	if err != nil {
		return none, err
	}
	items, err := collect(ctx, h.db, eventItem+w.String()+tail, w.args, scanEventItem)
	return finish(items, q, last, func(i engine.EventItem) string { return i.ID }, func(n int64) string { return engine.EventID(n).String() }), err
}

func collect[T any](ctx context.Context, db querier, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		out = append(out, item)
	}
	return out, classify(rows.Err())
}

// deadLetters are the runs that failed and were not replayed. Its first half is a
// part, word by word, of the condition of the index runs_not_well, or SQLite would
// read all runs.
const deadLetters = `(r.status = 'failed' OR r.status = 'timed_out') AND NOT EXISTS (SELECT 1 FROM runs n WHERE n.repeats = r.id)`

const runItem = `SELECT r.id, r.workflow, r.version, r.event_id, r.status, r.created_at, r.started_at, r.finished_at, r.due_at, r.repeats, r.replayed_by,
	` + errorMessage + `, ` + errorStep + `, ` + errorCode + `, r.active_ms, coalesce(e.key, ''), coalesce(e.type, ''),
	` + runHost + `, ` + runWaitsFor + `,
	(SELECT count(*) FROM step_notes n WHERE n.run_id = r.id),
	coalesce((SELECT path || ': ' || note FROM step_notes n WHERE n.run_id = r.id LIMIT 1), '') FROM runs r LEFT JOIN events e ON e.id = r.event_id`

func scanRunItem(row scanner) (engine.RunItem, error) {
	var it engine.RunItem
	var id int64
	var event, created, worked number // a list shows rows that cannot be read, too
	var started, finished, due, repeats sql.NullInt64
	err := row.Scan(&id, &it.Workflow, &it.Version, &event, &it.Status, &created, maybe{&started}, maybe{&finished}, maybe{&due}, maybe{&repeats}, &it.ReplayedBy, &it.Error, &it.ErrorStep, &it.ErrorCode, &worked, &it.EventKey, &it.EventType, &it.Host, &it.WaitsFor, &it.Warnings, &it.Warning)
	it.ID, it.Event, it.CreatedAt = engine.RunID(id).String(), engine.EventID(event).String(), fromMillis(int64(created))
	it.WorkedMS = int64(worked)
	it.StartedAt, it.FinishedAt, it.DueAt = timePointer(started), timePointer(finished), timePointer(due)
	if repeats.Valid {
		it.Repeats = engine.RunID(repeats.Int64).String()
	}
	if it.Status != string(engine.Running) {
		end := time.Now().UnixMilli()
		if finished.Valid {
			end = finished.Int64
		}
		it.WaitedMS = max(0, end-int64(created)-it.WorkedMS)
	}
	return it, err
}

func timePointer(n sql.NullInt64) *time.Time {
	if !n.Valid {
		return nil
	}
	t := fromMillis(n.Int64)
	return &t
}

// Runs lists runs, the newest first, however far back they are.
func (h *History) Runs(ctx context.Context, q engine.Query) ([]engine.RunItem, error) {
	return all(ctx, q, h.RunPage)
}

// RunPage lists runs, the newest first, at a bounded cost.
func (h *History) RunPage(ctx context.Context, q engine.Query) (engine.Page[engine.RunItem], error) {
	none := engine.Page[engine.RunItem]{}
	w, x, costly, err := runConditions(q)
	if err != nil {
		return none, err
	}
	var last int64
	if costly {
		if last, err = h.span(ctx, "runs", x, q, "run_"); err != nil {
			return none, err
		}
		w.within(last, q.Ascending, "r.id")
	}
	tail, err := w.page(q, "run_", "r.id")
	if err != nil {
		return none, err
	}
	items, err := collect(ctx, h.db, runItem+w.String()+tail, w.args, scanRunItem)
	return finish(items, q, last, func(i engine.RunItem) string { return i.ID }, func(n int64) string { return engine.RunID(n).String() }), err
}

// EventDetail gives one event whole.
func (h *History) EventDetail(ctx context.Context, id engine.EventID) (*engine.EventDetail, error) {
	item, err := scanEventItem(h.db.QueryRowContext(ctx, eventItem+` WHERE e.id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, engine.ErrNotFound
	}
	if err != nil {
		return nil, classify(err)
	}
	ev, unreadable, err := scanEvent(h.db.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE id = ?`, int64(id)))
	if err == nil && unreadable != nil {
		err = fmt.Errorf("event %s: %w", id, unreadable)
	}
	if err != nil {
		return nil, err
	}
	d := &engine.EventDetail{EventItem: item, Time: ev.Time, Method: ev.Method, Path: ev.Path, Headers: ev.Headers, Query: ev.Query, Body: bodyText(ev), Pruned: ev.Stripped}
	if ev.Inputs != nil {
		if d.Inputs, err = json.Marshal(ev.Inputs); err != nil {
			return nil, err
		}
	}
	if d.Decisions, err = h.decisions(ctx, `d.event_id = ?`, int64(id)); err != nil {
		return nil, err
	}
	if d.Earlier, err = h.earlier(ctx, id); err != nil {
		return nil, err
	}
	if d.EndedWaits, err = h.endedWaits(ctx, id); err != nil {
		return nil, err
	}
	if ev.Inlet == "emit" {
		if d.EmittedBy, err = h.emittedBy(ctx, id); err != nil {
			return nil, err
		}
	}
	d.Sightings, err = collect(ctx, h.db, `SELECT at, inlet, same, diff FROM sightings WHERE event_id = ? ORDER BY at LIMIT 1000`, []any{int64(id)}, func(s scanner) (engine.Sighting, error) {
		var x engine.Sighting
		var at int64
		var diff sql.NullString
		err := s.Scan(&at, &x.Inlet, &x.SameBody, &diff)
		x.At = fromMillis(at)
		x.Delay = x.At.Sub(ev.ReceivedAt).Seconds()
		if diff.Valid {
			x.Differences = rawColumn(diff)
		}
		return x, err
	})
	if err != nil {
		return nil, err
	}
	if d.Conflicting, err = h.conflicts(ctx, ev); err != nil {
		return nil, err
	}
	d.RunItems, err = h.Runs(ctx, engine.Query{Event: id.String(), Limit: 1000})
	return d, err
}

// bodyText shows a body as JSON: itself when it is JSON, else as text. A body in
// another charset is shown as it was read.
func bodyText(ev *engine.Event) json.RawMessage {
	if len(ev.Raw) == 0 {
		return json.RawMessage("null")
	}
	raw := engine.DecodeText(ev.Headers["content-type"], ev.Raw)
	if json.Valid(raw) {
		return raw
	}
	if !utf8.Valid(raw) {
		if v, err := engine.DecodeBody(ev.Headers["content-type"], ev.Raw); err == nil && v != nil {
			if b, err := value.EncodeJSON(v); err == nil {
				return b
			}
		}
		return json.RawMessage(fmt.Sprintf(`"%d bytes that are not text"`, len(ev.Raw)))
	}
	return value.AppendText(nil, string(raw))
}

func (h *History) decisions(ctx context.Context, cond string, args ...any) ([]engine.DecisionItem, error) {
	return collect(ctx, h.db, `SELECT workflow, version, outcome, reason, trace, run_id, at FROM decisions d WHERE `+cond+` ORDER BY workflow`, args, scanDecision)
}

// RunDetail gives one run whole.
func (h *History) RunDetail(ctx context.Context, id engine.RunID) (*engine.RunDetail, error) {
	item, err := scanRunItem(h.db.QueryRowContext(ctx, runItem+` WHERE r.id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, engine.ErrNotFound
	}
	if err != nil {
		return nil, classify(err)
	}
	d := &engine.RunDetail{RunItem: item}
	var output, failure sql.NullString
	var event int64
	if err := h.db.QueryRowContext(ctx, `SELECT event_id, output, error, text FROM runs WHERE id = ?`, int64(id)).Scan(&event, &output, &failure, &d.Text); err != nil {
		return nil, classify(err)
	}
	d.Output, d.ErrorFull = rawColumn(output), rawColumn(failure)
	d.EventItem, err = scanEventItem(h.db.QueryRowContext(ctx, eventItem+` WHERE e.id = ?`, event))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, classify(err)
	}
	decisions, err := h.decisions(ctx, `d.event_id = ? AND d.workflow = ?`, event, item.Workflow)
	if err != nil {
		return nil, err
	}
	if len(decisions) > 0 {
		d.Decision = &decisions[0]
	}
	if d.Steps, err = h.Steps(ctx, id); err != nil {
		return nil, err
	}
	if d.Emitted, err = h.emitted(ctx, id, d.Steps); err != nil {
		return nil, err
	}
	if item.Warnings > 0 {
		if err := h.notes(ctx, id, d.Steps); err != nil {
			return nil, err
		}
	}
	if err := h.runEvents(ctx, id, d); err != nil {
		return nil, err
	}
	if item.Status == string(engine.Queued) {
		if err := h.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM held_runs WHERE run_id = ?)`, int64(id)).Scan(&d.Held); err != nil {
			return nil, classify(err)
		}
		if d.Queue, err = h.queue(ctx, id); err != nil {
			return nil, err
		}
	}
	if d.KeptKeys, err = h.keptKeys(ctx, id); err != nil {
		return nil, err
	}
	if err := h.answers(ctx, id, d); err != nil {
		return nil, err
	}
	if d.EndedBy, err = h.endedBy(ctx, id); err != nil {
		return nil, err
	}
	if err := h.calls(ctx, id, d); err != nil {
		return nil, err
	}
	d.CalledBy, err = h.calledBy(ctx, event)
	return d, err
}

// answers adds the replays of a run, and what people answered to its questions.
func (h *History) answers(ctx context.Context, id engine.RunID, d *engine.RunDetail) (err error) {
	d.ReplayedAs, err = collect(ctx, h.db, `SELECT printf('run_%016x', id) FROM runs WHERE repeats = ? ORDER BY id`, []any{int64(id)}, func(s scanner) (id string, err error) {
		err = s.Scan(&id)
		return id, err
	})
	if err != nil {
		return err
	}
	d.Answers, err = collect(ctx, h.db, `SELECT path, attempt, verdict, said_by, comment, proof, at FROM answers WHERE run_id = ? ORDER BY at`, []any{int64(id)}, func(s scanner) (engine.AnswerItem, error) {
		var x engine.AnswerItem
		var at int64
		err := s.Scan(&x.Path, &x.Attempt, &x.Verdict, &x.By, &x.Comment, &x.Proof, &at)
		x.At = fromMillis(at)
		return x, err
	})
	return err
}

// queue tells where a run stands that waits for its turn; nil for others.
func (h *History) queue(ctx context.Context, id engine.RunID) (*engine.QueueItem, error) {
	var q engine.QueueItem
	err := h.db.QueryRowContext(ctx, `SELECT p.grp, (SELECT count(*) FROM places o WHERE o.workflow = p.workflow AND o.grp = p.grp AND o.state IN ('has', 'replaced')),
		(SELECT count(*) FROM places o WHERE o.workflow = p.workflow AND o.grp = p.grp AND o.state = 'waits' AND o.run_id < p.run_id)
		FROM places p WHERE p.run_id = ? AND p.state = 'waits' AND p.grp IS NOT NULL`, int64(id)).Scan(&q.Group, &q.AtWork, &q.Ahead)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, classify(err)
	}
	q.Holders, err = h.holders(ctx, id)
	return &q, err
}

// Steps lists the attempts of a run in the order they were made.
func (h *History) Steps(ctx context.Context, id engine.RunID) ([]engine.StepItem, error) {
	return collect(ctx, h.db, `SELECT path, action, attempt, CASE WHEN status = 'failed' AND error ->> '$.code' = '`+plan.CutCode+`' THEN 'cancelled' ELSE status END, started_at, finished_at, input, output, error, coalesce(destination, ''), coalesce(waited_ms, 0) FROM steps WHERE run_id = ? ORDER BY rowid`, []any{int64(id)}, func(s scanner) (engine.StepItem, error) {
		var x engine.StepItem
		var started, waited number
		var finished sql.NullInt64
		var input, output, failure sql.NullString
		err := s.Scan(&x.Path, &x.Action, &x.Attempt, &x.Status, &started, maybe{&finished}, &input, &output, &failure, &x.Destination, &waited)
		x.StartedAt, x.FinishedAt, x.WaitedMS = fromMillis(int64(started)), timePointer(finished), int64(waited)
		end := time.Now().UnixMilli()
		if finished.Valid {
			end = finished.Int64
		}
		if x.Status == string(plan.Waiting) {
			x.WaitedMS = max(0, end-int64(started))
		}
		x.WorkedMS = max(0, end-int64(started)-x.WaitedMS)
		x.Input, x.Output, x.Error = rawColumn(input), rawColumn(output), rawColumn(failure)
		return x, err
	})
}

// notes puts the notes of a run beside its steps: each beside the last attempt.
func (h *History) notes(ctx context.Context, id engine.RunID, steps []engine.StepItem) error {
	_, err := collect(ctx, h.db, `SELECT path, note FROM step_notes WHERE run_id = ? ORDER BY path, note`, []any{int64(id)}, func(s scanner) (struct{}, error) {
		var path, note string
		err := s.Scan(&path, &note)
		for i := len(steps) - 1; i >= 0; i-- {
			if steps[i].Path == path {
				steps[i].Warnings = append(steps[i].Warnings, note)
				break
			}
		}
		return struct{}{}, err
	})
	return err
}

// rawColumn shows JSON as it is stored; what is none is shown as a text.
func rawColumn(c sql.NullString) json.RawMessage {
	if !c.Valid {
		return json.RawMessage("null")
	}
	if !json.Valid([]byte(c.String)) {
		return value.AppendText(nil, c.String)
	}
	return json.RawMessage(c.String)
}

// Quarantine lists refused deliveries, the newest first. There is a bounded number
// of them.
func (h *History) Quarantine(ctx context.Context, q engine.Query) ([]engine.RefusalItem, error) {
	var w where
	if err := h.refusalConditions(ctx, &w, q); err != nil {
		return nil, err
	}
	tail, err := w.page(q, refusalPrefix, "id")
	if err != nil {
		return nil, err
	}
	return collect(ctx, h.db, selectRefusal+w.String()+tail, w.args, func(s scanner) (engine.RefusalItem, error) {
		x, body, err := scanRefusal(s)
		if utf8.Valid(body) {
			x.Body = string(body)
		}
		return x, err
	})
}

const selectRefusal = `SELECT id, at, trigger, reason, detail, diagnosis, remote, method, path, url, headers, size, event_id, body FROM quarantine`

func scanRefusal(s scanner) (engine.RefusalItem, []byte, error) {
	var x engine.RefusalItem
	var id, at int64
	var headers string
	var event sql.NullInt64
	var body []byte
	err := s.Scan(&id, &at, &x.Trigger, &x.Reason, &x.Detail, &x.Diagnosis, &x.Remote, &x.Method, &x.Path, &x.URL, &headers, &x.Size, &event, &body)
	x.ID, x.At, x.Kept = fmt.Sprintf("%s%d", refusalPrefix, id), fromMillis(at), min(len(body), x.Size) // masked fields may be longer than what came
	if event.Valid {
		x.Event = engine.EventID(event.Int64).String()
	}
	if err == nil {
		err = json.Unmarshal([]byte(headers), &x.Headers)
	}
	return x, body, err
}

// refusalPrefix begins the id of a refused delivery.
const refusalPrefix = "ref_"

// ParseRefusalID reads ref_ and a number.
func ParseRefusalID(s string) (int64, error) {
	text, ok := strings.CutPrefix(s, refusalPrefix)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not the id of a refused delivery: ref_ and a number", s)
	}
	return n, nil
}

// Refusal loads one refused delivery, and the bytes that were kept of its body.
func (h *History) Refusal(ctx context.Context, id string) (*engine.RefusalItem, []byte, error) {
	n, err := ParseRefusalID(id)
	if err != nil {
		return nil, nil, err
	}
	x, body, err := scanRefusal(h.db.QueryRowContext(ctx, selectRefusal+` WHERE id = ?`, n))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, fmt.Errorf("refused delivery %s: %w", id, engine.ErrNotFound)
	}
	if err != nil {
		return nil, nil, classify(err)
	}
	if utf8.Valid(body) {
		x.Body = string(body)
	}
	return &x, body, nil
}

// SecretUses lists how often each secret has proved a delivery.
func (h *History) SecretUses(ctx context.Context) ([]engine.SecretUse, error) {
	return collect(ctx, h.db, `SELECT trigger, secret, count, first_at, last_at FROM secret_uses ORDER BY trigger, last_at DESC`, nil, func(s scanner) (engine.SecretUse, error) {
		var u engine.SecretUse
		var first, last int64
		err := s.Scan(&u.Trigger, &u.Secret, &u.Count, &first, &last)
		u.FirstAt, u.LastAt = fromMillis(first), fromMillis(last)
		return u, err
	})
}

// Counts are what metrics show of the whole database.
type Counts struct {
	Open, Inbox int
}

// Counts tells how much is open, by partial indexes only.
func (h *History) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	err := h.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM runs WHERE due_at IS NOT NULL) + (SELECT count(*) FROM runs WHERE status = 'running'), (SELECT count(*) FROM inbox)`).Scan(&c.Open, &c.Inbox)
	return c, classify(err)
}

// RunOne gives one run without its steps.
func (h *History) RunOne(ctx context.Context, id engine.RunID) (engine.RunItem, error) {
	it, err := scanRunItem(h.db.QueryRowContext(ctx, runItem+` WHERE r.id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return it, engine.ErrNotFound
	}
	return it, classify(err)
}
