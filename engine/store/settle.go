package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

const (
	insertDecision = `INSERT INTO decisions (event_id, workflow, version, outcome, reason, trace, run_id, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	insertRun      = `INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at, due_at, active_ms, output, error, text)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	// A run that has got on since the start is not what ends the process.
	updateRun = `UPDATE runs SET boots = CASE WHEN ? THEN 0 ELSE boots END, status = ?, started_at = ?, finished_at = ?, due_at = ?, active_ms = ?, output = ?, error = ?, text = ? WHERE id = ? AND status = 'running'`
	// An attempt that was opened is closed in place; its input stays as it was sent.
	// What it waited until then, it did not work.
	upsertStep = `INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, input, output, error, destination) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (run_id, path, attempt) DO UPDATE SET status = excluded.status, finished_at = excluded.finished_at, output = excluded.output, error = excluded.error, sealed = NULL,
		destination = coalesce(steps.destination, excluded.destination),
		waited_ms = CASE WHEN steps.status = 'waiting' THEN max(0, coalesce(excluded.finished_at, excluded.started_at) - steps.started_at) ELSE steps.waited_ms END
		WHERE steps.status IN ('running', 'waiting')`
)

// closeSteps ends what is open of a run that ends without its records having been read.
const closeSteps = `UPDATE steps SET finished_at = ?, output = NULL, sealed = NULL, error = '{"code":"cancelled","message":"the run ended","retryable":false}',
	status = CASE status WHEN 'running' THEN 'unknown' ELSE 'failed' END WHERE run_id = ? AND status IN ('running', 'waiting')`

// rows is a settlement encoded, outside of the writer's one goroutine.
type rows struct {
	of     engine.Settlement
	calls  []madeEvent
	insert bool
	// sealed are updates with what was masked, encrypted, and notes on steps; mostly
	// there are none.
	sealed []sealing
	run    []driver.Value
	steps  [][]driver.Value
}

func (s *Store) encode(st engine.Settlement) (rows, error) {
	r := st.Run
	result, err := s.encodeMasked(r.Output, st.Mask, sealedResult)
	if err != nil {
		return rows{}, err
	}
	output := result.shown
	failure, err := s.errorJSON(r.Error, st.Mask)
	if err != nil {
		return rows{}, err
	}
	text := s.maskText(r.Text, st.Mask)
	out := rows{of: st, insert: st.New}
	if result.sealed != nil {
		out.sealed = append(out.sealed, sealing{`UPDATE runs SET sealed = ? WHERE id = ?`, []driver.Value{result.sealed, int64(r.ID)}})
	}
	if st.New {
		out.run = []driver.Value{int64(r.ID), int64(r.Event), r.Workflow, r.Version, string(r.Status), r.CreatedAt.UnixMilli(), millis(r.StartedAt), millis(r.FinishedAt),
			millis(r.DueAt), r.Active.Milliseconds(), output, failure, text}
	} else {
		out.run = []driver.Value{gotOn(st), string(r.Status), millis(r.StartedAt), millis(r.FinishedAt), millis(r.DueAt), r.Active.Milliseconds(), output, failure, text, int64(r.ID)}
	}
	if r.Ending != nil && !r.Status.Ended() {
		why, err := s.errorJSON(r.Ending, st.Mask)
		if err != nil {
			return rows{}, err
		}
		out.sealed = append(out.sealed, sealing{`UPDATE runs SET ending = ? WHERE id = ?`, []driver.Value{why, int64(r.ID)}})
	}
	if out.calls, err = s.encodeEvents(st.Calls); err != nil {
		return rows{}, err
	}
	for _, rec := range st.Records {
		row, sealed, err := s.encodeStep(r.ID, rec, st.Mask)
		if err != nil {
			return rows{}, err
		}
		out.steps = append(out.steps, row)
		if sealed != nil {
			out.sealed = append(out.sealed, sealing{sealStep, []driver.Value{sealed, int64(r.ID), rec.Path, int64(rec.Attempt)}})
		}
		for _, note := range rec.Notes {
			out.sealed = append(out.sealed, sealing{insertNote, []driver.Value{int64(r.ID), rec.Path, note}})
		}
	}
	return out, nil
}

// sealing is an update that adds what was masked.
type sealing struct {
	query string
	args  []driver.Value
}

const insertNote = `INSERT INTO step_notes (run_id, path, note) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

const sealStep = `UPDATE steps SET sealed = ? WHERE run_id = ? AND path = ? AND attempt = ?`

// madeEvent is an event that the engine itself makes, encoded.
type madeEvent struct {
	row    []driver.Value
	sealed driver.Value
}

// encodeEvents encodes events that the engine itself makes.
func (s *Store) encodeEvents(events []*engine.Event) ([]madeEvent, error) {
	var out []madeEvent
	for _, ev := range events {
		in, err := s.encodeInputs(&ev.Delivery)
		if err != nil {
			return nil, err
		}
		inputs, at := in.shown, ev.ReceivedAt.UnixMilli()
		out = append(out, madeEvent{sealed: in.sealed, row: []driver.Value{int64(ev.ID), ev.Trigger, ev.Inlet, ev.Key, "", ev.Type, at, at, "", "", s.texts(ev.Headers), "{}", "", inputs, ev.Only, nil,
			checksum(ev.Trigger, ev.Key, ev.Type, nil), int64(engine.Unnamed), nil, nil, nil}})
	}
	return out, nil
}

// begin stores events that the engine itself makes.
func (t *tx) begin(events []madeEvent) error {
	for _, ev := range events {
		if err := t.exec(insertEvent, ev.row...); err != nil {
			return err
		}
		if ev.sealed != nil {
			if err := t.exec(sealInputs, ev.sealed, ev.row[0]); err != nil {
				return err
			}
		}
		if err := t.exec(insertInbox, ev.row[0]); err != nil {
			return err
		}
	}
	return nil
}

func gotOn(st engine.Settlement) bool {
	return st.Run.Status == engine.Waiting || slices.ContainsFunc(st.Records, func(r *plan.Record) bool { return !r.FinishedAt.IsZero() })
}

func (s *Store) encodeStep(run engine.RunID, r *plan.Record, m *engine.Masker) (row []driver.Value, sealed driver.Value, err error) {
	input, err := s.json(forRecord(r.Input), m)
	if err != nil {
		return nil, nil, err
	}
	out, err := s.encodeMasked(r.Output, m, sealedOutput)
	if err != nil {
		return nil, nil, err
	}
	output := out.shown
	failure, err := s.errorJSON(r.Error, m)
	if err != nil {
		return nil, nil, err
	}
	var host driver.Value
	if r.Destination != "" {
		host = r.Destination
	}
	return []driver.Value{int64(run), r.Path, int64(r.Attempt), r.Action, string(r.Status), r.StartedAt.UnixMilli(), millis(r.FinishedAt), input, output, failure, host}, out.sealed, nil
}

func (s *Store) errorJSON(e *plan.Error, m *engine.Masker) (driver.Value, error) {
	if e == nil {
		return nil, nil
	}
	data, _ := workflows.HideHeaders(errorData(e))
	return s.json(data, m)
}

// forRecord cuts what is stored to be looked at only.
func forRecord(v any) any {
	if v == nil {
		return nil
	}
	return workflows.Cut(v)
}

func errorData(e *plan.Error) map[string]any {
	m := map[string]any{"message": e.Message, "code": e.Code, "retryable": e.Retryable}
	if e.Status != 0 {
		m["status"] = e.Status
	}
	if e.Step != "" {
		m["step"] = e.Step
	}
	if e.Attempts != 0 {
		m["attempts"] = e.Attempts
	}
	if e.Details != nil {
		m["details"] = e.Details
	}
	if e.RetryAfter != 0 {
		m["retry_after_ms"] = int(e.RetryAfter.Milliseconds())
	}
	if e.Resumed {
		m["resumed"] = true
	}
	if e.Handler != nil {
		m["handler"] = errorData(e.Handler)
	}
	return m
}

// dueColumn is where insertRun has the moment at which a run is due.
const dueColumn = 8

// write stores a settlement. When the end of its run lets another begin, next is
// the moment.
func (r rows) write(t *tx) (next time.Time, err error) {
	if r.insert {
		err = t.put(insertRun, r.run...)
	} else if err = t.exec(updateRun, r.run...); err == nil && t.changes == 0 {
		err = engine.ErrStale
	}
	if err != nil {
		return next, err
	}
	for _, s := range r.steps {
		if err := t.put(upsertStep, s...); err != nil {
			return next, err
		}
	}
	for _, s := range r.sealed {
		if err := t.exec(s.query, s.args...); err != nil {
			return next, err
		}
	}
	for _, c := range r.of.Came {
		if err := t.exec(`INSERT INTO ended_waits (event_id, run_id, path) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, int64(c.Event), int64(r.of.Run.ID), c.Path); err != nil {
			return next, err
		}
	}
	if err := t.endCalls(r.of.Ends, r.of.Run.FinishedAt); err != nil {
		return next, err
	}
	if err := r.anyWaits(t); err != nil {
		return next, err
	}
	if err := t.begin(r.calls); err != nil {
		return next, err
	}
	if err := t.cancelKeys(int64(r.of.Run.ID), r.of.Cancels); err != nil {
		return next, err
	}
	if r.of.Cancelable && r.of.Run.Status.Ended() {
		if err := t.exec(`DELETE FROM cancel_keys WHERE run_id = ?`, int64(r.of.Run.ID)); err != nil {
			return next, err
		}
	}
	if r.of.Run.Status == engine.Waiting {
		return next, r.cameMeanwhile(t)
	}
	if !r.of.Run.Status.Ended() {
		return next, nil
	}
	return r.writeEnd(t)
}

// writeEnd stores what the end of a run changes besides its own rows.
func (r rows) writeEnd(t *tx) (next time.Time, err error) {
	if r.of.CloseSteps {
		if _, err := t.endCallsOf(r.of.Run); err != nil {
			return next, err
		}
		if err := t.exec(closeSteps, r.of.Run.FinishedAt.UnixMilli(), int64(r.of.Run.ID)); err != nil {
			return next, err
		}
	}
	if r.of.Wrote && r.of.Run.Status == engine.Succeeded {
		if err := t.exec(`DELETE FROM kept_writes WHERE run_id = ?`, int64(r.of.Run.ID)); err != nil {
			return next, err
		}
	}
	if r.of.Called {
		if err := t.wakeCaller(r.of.Run.Event, r.of.Run.FinishedAt); err != nil {
			return next, err
		}
	}
	if r.of.Leaves {
		return t.leave(r.of.Run, r.of.Run.FinishedAt)
	}
	return next, nil
}

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

// matchRows is a Match encoded, outside of the writer's one goroutine.
type matchRows struct {
	of        engine.Match
	starts    []rows
	decisions [][]driver.Value
}

// Match implements engine.Store.
func (s *Store) Match(ctx context.Context, ms []engine.Match) ([]engine.MatchResult, error) {
	encoded := make([]matchRows, len(ms))
	for i, m := range ms {
		var err error
		if encoded[i], err = s.encodeMatch(m); err != nil {
			return nil, err
		}
	}
	results := make([]engine.MatchResult, len(ms))
	err := s.w.do(ctx, true, func(t *tx) error {
		for i, m := range encoded {
			var err error
			if err = t.exec(`DELETE FROM inbox WHERE event_id = ?`, int64(m.of.Event)); err != nil {
				return err
			}
			if t.changes == 0 {
				results[i].Known = true
				continue
			}
			if results[i], err = m.write(t); err != nil {
				return err
			}
		}
		return nil
	})
	return results, err
}

func (s *Store) encodeMatch(m engine.Match) (matchRows, error) {
	out := matchRows{of: m}
	for _, st := range m.Starts {
		r, err := s.encode(st)
		if err != nil {
			return out, err
		}
		out.starts = append(out.starts, r)
	}
	for _, d := range m.Decisions {
		trace, err := s.trace(d.Conditions, m.Mask)
		if err != nil {
			return out, err
		}
		var run driver.Value
		if d.Run != 0 {
			run = int64(d.Run)
		}
		out.decisions = append(out.decisions, []driver.Value{int64(m.Event), d.Workflow, d.Version, string(d.Outcome), s.maskText(d.Reason, m.Mask), trace, run, m.At.UnixMilli()})
	}
	return out, nil
}

// write stores the decisions about one event, and the runs that begin.
func (m matchRows) write(t *tx) (out engine.MatchResult, err error) {
	open := false
	for _, r := range m.starts {
		dropped, err := m.start(t, r, &out)
		if err != nil {
			return out, err
		}
		open = open || !dropped && !r.of.Run.Status.Ended()
	}
	for i, d := range m.decisions {
		if reason := out.Dropped[m.of.Decisions[i].Run]; reason != "" {
			d = slices.Clone(d)
			d[3], d[4], d[6] = string(engine.Dropped), reason, nil
		}
		if f, folded := out.Folded[m.of.Decisions[i].Run]; folded {
			d = slices.Clone(d)
			foldDecision(d, f, m.kindOf(m.of.Decisions[i].Run))
		}
		if err := t.put(insertDecision, d...); err != nil {
			return out, err
		}
	}
	if m.of.Called && !open {
		if err := t.wakeCaller(m.of.Event, m.of.At); err != nil {
			return out, err
		}
		out.Woken = int(t.changes)
	}
	if err := m.cancels(t, &out); err != nil {
		return out, err
	}
	if m.of.Wakes == nil {
		return out, nil
	}
	err = t.exec(wakeWaiting, m.of.At.UnixMilli(), m.of.Wakes.Trigger, m.of.Wakes.Key)
	out.Woken += int(t.changes)
	return out, err
}

// start stores a run that begins, or that has to wait for its place. It tells whether no
// run was made: it was dropped, or its event joined another.
func (m matchRows) start(t *tx, r rows, out *engine.MatchResult) (dropped bool, err error) {
	if r.of.Gather != nil {
		joined, err := t.join(r, m.of.At, out)
		if err != nil || joined {
			return joined, err
		}
		r.run = slices.Clone(r.run)
		r.run[dueColumn] = parked(m.of.At).UnixMilli() // until its gathering is closed
		_, err = r.write(t)
		return false, err
	}
	p := r.of.Place
	if p == nil {
		_, err := r.write(t)
		return false, err
	}
	due, replaced, reason, err := t.enter(r.of.Run.ID, p, m.of.At)
	if err != nil {
		return false, err
	}
	if reason != "" {
		if out.Dropped == nil {
			out.Dropped = map[engine.RunID]string{}
		}
		out.Dropped[r.of.Run.ID] = t.w.redactor.Text(reason)
		return true, nil
	}
	out.Replaced = append(out.Replaced, replaced...)
	if out.Due.IsZero() || due.Before(out.Due) {
		out.Due = due
	}
	r.run = slices.Clone(r.run)
	r.run[dueColumn] = due.UnixMilli()
	_, err = r.write(t)
	return false, err
}

func (s *Store) trace(conditions []engine.Condition, mask *engine.Masker) (driver.Value, error) {
	list := make([]any, len(conditions))
	for i, c := range conditions {
		m := map[string]any{"expr": c.Expr, "result": nil}
		if c.Result != nil {
			m["result"] = *c.Result
		}
		if c.Error != "" {
			m["error"] = c.Error
		}
		if c.Values != nil {
			m["values"] = c.Values
		}
		list[i] = m
	}
	return s.json(list, mask)
}

// Settle implements engine.Store.
func (s *Store) Settle(ctx context.Context, st engine.Settlement) (next time.Time, err error) {
	r, err := s.encode(st)
	if err != nil {
		return next, err
	}
	err = s.w.do(ctx, true, func(t *tx) (err error) {
		next, err = r.write(t)
		return err
	})
	return next, err
}

// Take implements engine.Store.
func (s *Store) Take(ctx context.Context, id engine.RunID) (*engine.Taken, error) {
	taken := false
	err := s.w.do(ctx, true, func(t *tx) (err error) {
		taken, err = t.take(int64(id), time.Now())
		return err
	})
	if err == nil && !taken {
		err = engine.ErrStale
	}
	if err != nil {
		return nil, err
	}
	return s.Peek(ctx, id)
}

// Peek implements engine.Store.
func (s *Store) Peek(ctx context.Context, id engine.RunID) (*engine.Taken, error) {
	run, unreadable, err := s.run(ctx, id)
	if err != nil {
		return nil, err
	}
	ev, err := s.event(ctx, run.Event)
	if errors.Is(err, engine.ErrNotFound) {
		ev, err = lost(run.Event, errors.New("it is not in the database")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("event of run %s: %w", id, err)
	}
	taken := &engine.Taken{Run: run, Event: ev}
	records, badRecord, err := s.records(ctx, id)
	if err != nil {
		return nil, err
	}
	answers, answered, badAnswer, err := s.answers(ctx, id)
	if err != nil {
		return nil, err
	}
	taken.Records, taken.Answers, taken.Answered = records, answers, answered
	taken.Unreadable = cmp.Or(unreadable, badRecord, badAnswer)
	return taken, s.continued(ctx, taken)
}

// answers loads what people said, by path; a later attempt has a later answer.
func (s *Store) answers(ctx context.Context, id engine.RunID) (out map[string]*plan.Answer, number int, unreadable, err error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT path, attempt, verdict, output, at FROM answers WHERE run_id = ? ORDER BY path, attempt`, int64(id))
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
		err := t.exec(`INSERT INTO answers (run_id, path, attempt, verdict, said_by, comment, output, at, proof) SELECT id, ?, ?, ?, ?, ?, ?, ?, ? FROM runs WHERE id = ? AND finished_at IS NULL ON CONFLICT DO NOTHING`,
			a.Path, int64(a.Attempt), a.Verdict, s.o.Redactor.Text(a.By), s.o.Redactor.Text(a.Comment), output, a.At.UnixMilli(), a.Proof, int64(a.Run))
		if err != nil {
			return err
		}
		if t.changes == 0 {
			return engine.ErrStale
		}
		return t.exec(`UPDATE runs SET due_at = ? WHERE id = ? AND status = 'waiting'`, a.At.UnixMilli(), int64(a.Run))
	})
}

// Called implements engine.Store.
func (s *Store) Called(ctx context.Context, id engine.EventID) (engine.CallState, error) {
	var c engine.CallState
	var run sql.NullInt64
	var outcome, reason sql.NullString
	err := s.readers.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM inbox WHERE event_id = ?1), (SELECT min(id) FROM runs WHERE event_id = ?1 AND repeats IS NULL),
		(SELECT outcome FROM decisions WHERE event_id = ?1 LIMIT 1), (SELECT reason FROM decisions WHERE event_id = ?1 LIMIT 1)`, int64(id)).Scan(&c.Decided, &run, &outcome, &reason)
	if err != nil {
		return c, classify(err)
	}
	c.Outcome, c.Reason = engine.Outcome(outcome.String), reason.String
	if run.Valid {
		c.Run, err = s.Run(ctx, engine.RunID(run.Int64))
	}
	if err == nil && c.Run != nil && c.Run.Output != nil {
		err = s.unsealResult(ctx, c.Run)
	}
	return c, err
}

// Recover implements engine.Store. No lease has to run out: the file belongs to
// this process alone, so whatever was at work belongs to one that is gone.
func (s *Store) Recover(ctx context.Context, now time.Time) (int, error) {
	var n int64
	var setBack time.Duration
	err := s.w.do(ctx, true, func(t *tx) error {
		if err := t.retakeStarts(); err != nil {
			return err
		}
		if err := t.exec(`UPDATE steps SET status = 'unknown', finished_at = ? WHERE status = 'running' AND run_id IN (SELECT id FROM runs WHERE status = 'running')`, now.UnixMilli()); err != nil {
			return err
		}
		err := t.exec(`UPDATE runs SET status = 'queued', due_at = ?, boots = boots + 1 WHERE status = 'running'`, now.UnixMilli())
		n = t.changes
		if err != nil {
			return err
		}
		// A run that was put down as ready is ready, also when the clock was set back
		// meanwhile; those that wait for their turn, or are spread out, keep their time.
		if err := t.exec(`UPDATE runs SET due_at = ?1 WHERE status = 'queued' AND due_at > ?1 AND repeats IS NULL AND NOT EXISTS (SELECT 1 FROM places p WHERE p.run_id = runs.id)
			AND NOT EXISTS (SELECT 1 FROM held_runs h WHERE h.run_id = runs.id) AND NOT EXISTS (SELECT 1 FROM gatherings g WHERE g.run_id = runs.id)`, now.UnixMilli()); err != nil {
			return err
		}
		if setBack, err = t.clockWasSetBack(now); err != nil {
			return err
		}
		if err := t.clockSetBack(now); err != nil {
			return err
		}
		// Nobody calls those that wait for their destination: its queue was memory.
		return t.exec(`UPDATE runs SET due_at = ? WHERE status = 'waiting' AND id IN (SELECT run_id FROM steps WHERE status = 'waiting' AND output ->> '$.destination' IS NOT NULL)`, now.UnixMilli())
	})
	if err == nil && setBack > 0 {
		s.o.Log.Warn("the clock was set back while no server ran: sleeps, time limits of waits, schedules and rates go on from the new time", "by_at_least", setBack)
	}
	return int(n), err
}

// clockSetBack makes runs due whose last attempt lies in the future: the clock was
// set back, and the plan says what that means for their pause. All waiting runs are
// looked at only then.
func (t *tx) clockSetBack(now time.Time) error {
	v := make([]driver.Value, 1)
	if _, err := t.row(`SELECT created_at FROM runs ORDER BY id DESC LIMIT 1`, v); err != nil {
		return err
	}
	if last, _ := v[0].(int64); last <= now.UnixMilli() {
		return nil
	}
	return t.exec(`UPDATE runs SET due_at = ?1 WHERE status = 'waiting' AND EXISTS (SELECT 1 FROM steps s WHERE s.run_id = runs.id AND s.finished_at > ?1)`, now.UnixMilli())
}

// SaveVersion implements engine.Store.
func (s *Store) SaveVersion(ctx context.Context, w *workflows.Workflow) error {
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`INSERT INTO versions (version, workflow, text, first_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, w.Version, w.ID, string(w.Text), time.Now().UnixMilli())
	})
}

// Cancel implements engine.Store.
func (s *Store) Cancel(ctx context.Context, r *engine.Run, events []*engine.Event) (cut []*plan.Record, next time.Time, ends bool, err error) {
	id, now := r.ID, r.FinishedAt
	calls, err := s.encodeEvents(events)
	if err != nil {
		return nil, next, ends, err
	}
	why, err := s.errorJSON(r.Error, nil)
	if err != nil {
		return nil, next, ends, err
	}
	err = s.w.do(ctx, true, func(t *tx) (err error) {
		if err := t.exec(`UPDATE runs SET status = 'cancelled', finished_at = ?, due_at = NULL, error = ? WHERE id = ? AND status IN ('queued', 'waiting')`, now.UnixMilli(), why, int64(id)); err != nil {
			return err
		}
		if t.changes == 0 {
			found, err := t.row(`SELECT status FROM runs WHERE id = ?`, make([]driver.Value, 1), int64(id))
			if err == nil && !found {
				return engine.ErrNotFound
			}
			return errors.Join(engine.ErrStale, err)
		}
		if err := t.begin(calls); err != nil {
			return err
		}
		if err := t.exec(`UPDATE runs SET due_at = ? WHERE status = 'waiting' AND id IN (SELECT run_id FROM steps WHERE status = 'waiting'
			AND output ->> '$.call' = (SELECT printf('evt_%016x', event_id) FROM runs WHERE id = ?))`, now.UnixMilli(), int64(id)); err != nil {
			return err
		}
		if ends, err = t.endCallsOf(r); err != nil {
			return err
		}
		for _, q := range []string{`DELETE FROM gatherings WHERE run_id = ?`, `DELETE FROM cancel_keys WHERE run_id = ?`} {
			if err := t.exec(q, int64(id)); err != nil {
				return err
			}
		}
		// What it waited for is not waited for any more.
		if cut, err = t.cutWaiting(id, now); err != nil {
			return err
		}
		if err := t.exec(endAnyWaits, int64(id)); err != nil {
			return err
		}
		next, err = t.leave(r, now)
		return err
	})
	return cut, next, ends, err
}

// cutWaiting ends the steps of a run that wait, and gives them as they ended.
func (t *tx) cutWaiting(id engine.RunID, now time.Time) (cut []*plan.Record, err error) {
	err = t.each(`SELECT path, attempt, action, started_at FROM steps WHERE run_id = ? AND status = 'waiting' ORDER BY rowid`, 4, func(v []driver.Value) {
		r := &plan.Record{Status: plan.Failed, FinishedAt: now, Error: &plan.Error{Message: "the run ended", Code: plan.CutCode}}
		r.Path, _ = v[0].(string)
		attempt, _ := v[1].(int64)
		r.Action, _ = v[2].(string)
		started, _ := v[3].(int64)
		r.Attempt, r.StartedAt = int(attempt), fromMillis(started)
		cut = append(cut, r)
	}, int64(id))
	if err != nil || len(cut) == 0 {
		return cut, err
	}
	return cut, t.exec(`UPDATE steps SET status = 'failed', finished_at = ?1, waited_ms = max(0, ?1 - started_at), output = NULL, sealed = NULL,
		error = '{"code":"cancelled","message":"the run ended","retryable":false}' WHERE run_id = ?2 AND status = 'waiting'`, now.UnixMilli(), int64(id))
}

// Replay implements engine.Store. From failed, the attempts that had succeeded
// are copied, so that their steps are not repeated.
func (s *Store) Replay(ctx context.Context, r engine.Replay) (due time.Time, doubts int, err error) {
	err = s.w.do(ctx, true, func(t *tx) error {
		due = r.At
		v := make([]driver.Value, 1)
		if found, err := t.row(`SELECT id FROM runs WHERE repeats = ? ORDER BY id LIMIT 1`, v, int64(r.Of)); err != nil {
			return err
		} else if as, _ := v[0].(int64); found && !r.Again {
			return &engine.ReplayedError{As: engine.RunID(as)}
		}
		if r.Place != nil {
			var dropped string
			var err error
			due, _, dropped, err = t.enter(r.New, r.Place, r.At)
			if err != nil {
				return err
			}
			if dropped != "" {
				return &engine.DroppedError{Reason: dropped}
			}
		}
		if due.Before(r.NotBefore) {
			due = r.NotBefore
		}
		err := t.exec(`INSERT INTO runs (id, event_id, workflow, version, status, repeats, replayed_by, created_at, due_at)
			SELECT ?, event_id, workflow, ?, 'queued', id, ?, ?, ? FROM runs WHERE id = ? AND finished_at IS NOT NULL`,
			int64(r.New), r.Version, r.By, r.At.UnixMilli(), due.UnixMilli(), int64(r.Of))
		if err != nil {
			return err
		}
		if t.changes == 0 {
			return engine.ErrStale
		}
		if err := t.cancelKeys(int64(r.New), r.Cancels); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO run_events (run_id, event_id, size) SELECT ?, event_id, size FROM run_events WHERE run_id = ?`, int64(r.New), int64(r.Of)); err != nil {
			return err
		}
		if r.From != "failed" {
			doubts, err = t.callsInDoubt(r.Of)
			return err
		}
		if doubts, err = t.keepKeys(r); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO ended_waits (event_id, run_id, path) SELECT event_id, ?, path FROM ended_waits w WHERE run_id = ? AND EXISTS (SELECT 1 FROM steps s
			WHERE s.run_id = w.run_id AND s.path = w.path AND s.status = 'succeeded')`, int64(r.New), int64(r.Of)); err != nil {
			return err
		}
		return t.exec(`INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, input, output, error, sealed, destination, waited_ms)
			SELECT ?, path, attempt, action, status, started_at, finished_at, input, output, error, sealed, destination, waited_ms FROM steps
			WHERE run_id = ? AND status IN ('succeeded', 'skipped') AND path NOT LIKE 'on_failure/%' AND path NOT LIKE '%/on_failure/%' AND path NOT LIKE 'finally/%'`, int64(r.New), int64(r.Of))
	})
	return due, doubts, err
}
