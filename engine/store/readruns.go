package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// deadLetters are the failed runs that were not replayed. Its first half must repeat, word for
// word, a part of the condition of the index runs_not_well; otherwise SQLite would read all runs.
const deadLetters = `(r.status = 'failed' OR r.status = 'timed_out') AND NOT EXISTS (SELECT 1 FROM runs n WHERE n.repeats = r.id)`

const runItem = `SELECT r.id, r.workflow, r.version, r.event_id, r.status, r.created_at, r.started_at, r.finished_at, r.due_at, r.repeats,
	r.replayed_by,
	` + errorMessage + `, ` + errorStep + `, ` + errorCode + `, r.active_ms, coalesce(e.key, ''), coalesce(e.type, ''),
	` + runHost + `, ` + runWaitsFor + `,
	(SELECT count(*) FROM step_notes n WHERE n.run_id = r.id),
	coalesce((SELECT path || ': ' || note FROM step_notes n WHERE n.run_id = r.id LIMIT 1), ''), ` + isTest + ` FROM runs r LEFT JOIN events e
		ON e.id = r.event_id`

func scanRunItem(row scanner) (engine.RunItem, error) {
	var it engine.RunItem
	var id int64
	var event, created, worked number // lists show rows that cannot be read, too
	var started, finished, due, repeats sql.NullInt64
	err := row.Scan(&id, &it.Workflow, &it.Version, &event, &it.Status, &created, maybe{&started}, maybe{&finished}, maybe{&due},
		maybe{&repeats}, &it.ReplayedBy, &it.Error, &it.ErrorStep, &it.ErrorCode, &worked, &it.EventKey, &it.EventType, &it.Host,
		&it.WaitsFor, &it.Warnings, &it.Warning, &it.Test)
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

// Runs lists runs, newest first, however far back they are.
func (h *History) Runs(ctx context.Context, q engine.Query) ([]engine.RunItem, error) {
	return all(ctx, q, h.RunPage)
}

var runList = listing[engine.RunItem]{
	table: "runs", prefix: "run_", column: "r.id", query: runItem, scan: scanRunItem,
	id:   func(i engine.RunItem) string { return i.ID },
	name: func(n int64) string { return engine.RunID(n).String() },
}

// RunPage lists runs, newest first, at a bounded cost.
func (h *History) RunPage(ctx context.Context, q engine.Query) (engine.Page[engine.RunItem], error) {
	w, x, costly, err := h.runConditions(q)
	if err != nil {
		return engine.Page[engine.RunItem]{}, err
	}
	if q.DeadOnly && q.Host != "" && !costly {
		// The runs of the page are found by indexes, before their details are read: PostgreSQL would read those of all.
		tail, err := w.page(q, runList.prefix, runList.column)
		if err != nil {
			return engine.Page[engine.RunItem]{}, err
		}
		w = where{parts: []string{`r.id IN (SELECT r.id FROM runs r` + w.String() + tail + `)`}, args: w.args}
	}
	return readPage(ctx, h, q, runList, w, x, costly)
}

// RunDetail returns one run with all its details.
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
	if err := h.db.QueryRowContext(ctx, `SELECT event_id, output, error, text FROM runs WHERE id = ?`, int64(id)).Scan(&event, &output,
		&failure, &d.Text); err != nil {
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
		if err := h.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM held_runs WHERE run_id = ?)`,
			int64(id)).Scan(&d.Held); err != nil {
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
	if err := h.runKeys(ctx, id, event, d); err != nil {
		return nil, err
	}
	d.CalledBy, err = h.calledBy(ctx, event)
	return d, err
}

// answers adds the replays of a run, and people's answers to its questions.
func (h *History) answers(ctx context.Context, id engine.RunID, d *engine.RunDetail) (err error) {
	d.ReplayedAs, err = collect(ctx, h.db, `SELECT printf('run_%016x', id) FROM runs WHERE repeats = ? ORDER BY id`, []any{int64(id)},
		func(s scanner) (id string, err error) {
			err = s.Scan(&id)
			return id, err
		})
	if err != nil {
		return err
	}
	d.Answers, err = collect(ctx, h.db, `SELECT path, attempt, verdict, said_by, comment, proof, at FROM answers WHERE run_id = ?
		ORDER BY at`, []any{int64(id)}, func(s scanner) (engine.AnswerItem, error) {
		var x engine.AnswerItem
		var at int64
		err := s.Scan(&x.Path, &x.Attempt, &x.Verdict, &x.By, &x.Comment, &x.Proof, &at)
		x.At = fromMillis(at)
		return x, err
	})
	return err
}

// queue returns the position of a run that waits for its turn; nil for others.
func (h *History) queue(ctx context.Context, id engine.RunID) (*engine.QueueItem, error) {
	var q engine.QueueItem
	err := h.db.QueryRowContext(ctx, `SELECT p.grp, (SELECT count(*) FROM places o WHERE o.workflow = p.workflow AND o.grp = p.grp
		AND o.state IN ('has', 'replaced')),
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

// Steps lists the attempts of a run in the order in which they were made.
func (h *History) Steps(ctx context.Context, id engine.RunID) ([]engine.StepItem, error) {
	return collect(ctx, h.db, `SELECT path, action, attempt, CASE WHEN status = 'failed'
		AND error ->> '$.code' = '`+plan.CutCode+`' THEN 'cancelled' ELSE status END, started_at, finished_at,
		input, output, error, coalesce(destination, ''), coalesce(waited_ms, 0)
		FROM steps WHERE run_id = ? ORDER BY rowid`, []any{int64(id)}, func(s scanner) (engine.StepItem, error) {
		var x engine.StepItem
		var started, waited number
		var finished sql.NullInt64
		var input, output, failure sql.NullString
		err := s.Scan(&x.Path, &x.Action, &x.Attempt, &x.Status, &started, maybe{&finished}, &input, &output, &failure, &x.Destination,
			&waited)
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

// notes adds the notes of a run to its steps, each to the last attempt.
func (h *History) notes(ctx context.Context, id engine.RunID, steps []engine.StepItem) error {
	_, err := collect(ctx, h.db, `SELECT path, note FROM step_notes WHERE run_id = ? ORDER BY path, note`, []any{int64(id)},
		func(s scanner) (struct{}, error) {
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

// rawColumn shows stored JSON unchanged; anything else is shown as text.
func rawColumn(c sql.NullString) json.RawMessage {
	if !c.Valid {
		return json.RawMessage("null")
	}
	if !json.Valid([]byte(c.String)) {
		return value.AppendText(nil, c.String)
	}
	return json.RawMessage(c.String)
}

// RunOne returns one run without its steps.
func (h *History) RunOne(ctx context.Context, id engine.RunID) (engine.RunItem, error) {
	it, err := scanRunItem(h.db.QueryRowContext(ctx, runItem+` WHERE r.id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return it, engine.ErrNotFound
	}
	return it, classify(err)
}
