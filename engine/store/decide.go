package store

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// This file stores new decisions about stored events. The earlier decision goes to
// decision_history.

// redecision is a Redecision, encoded outside the writer's goroutine.
type redecision struct {
	of       engine.Redecision
	decision []driver.Value
	start    *encodedUpdate
}

// Redecide implements engine.Store.
func (s *Store) Redecide(ctx context.Context, rs []engine.Redecision, step *engine.BatchStep) ([]engine.Redecided, error) {
	encoded := make([]redecision, len(rs))
	for i, r := range rs {
		m := engine.Match{Event: r.Event, Decisions: []engine.Decision{r.Decision}, At: r.At}
		if r.Start != nil {
			m.Starts = []engine.RunUpdate{*r.Start}
		}
		e, err := s.encodeMatch(m)
		if err != nil {
			return nil, err
		}
		encoded[i] = redecision{of: r, decision: e.decisions[0]}
		if r.Start != nil {
			encoded[i].start = &e.starts[0]
		}
	}
	out := make([]engine.Redecided, len(rs))
	err := s.w.do(ctx, true, func(t *tx) (err error) {
		for i, r := range encoded {
			if out[i], err = t.redecide(r); err == nil {
				err = t.writtenAlone()
			}
			if err != nil {
				return &engine.UnstorableError{Workflow: r.of.Decision.Workflow, Err: err}
			}
		}
		return t.advanceBatch(step, out)
	})
	return out, err
}

// known finds the run that prevents a new decision.
func (t *tx) known(r engine.Redecision) (out engine.Redecided, err error) {
	if pending, err := t.row(`SELECT 1 FROM inbox WHERE event_id = ?`, make([]driver.Value, 1), int64(r.Event)); err != nil || pending {
		if err == nil {
			err = engine.ErrPending
		}
		return out, err
	}
	v := make([]driver.Value, 3)
	found, err := t.row(`SELECT id, replayed_by <> '', finished_at IS NULL FROM runs WHERE event_id = ? AND workflow = ? ORDER BY id DESC `+
		`LIMIT 1`, v, int64(r.Event), r.Decision.Workflow)
	if err == nil && !found { // it may have taken part in another event's run
		found, err = t.row(`SELECT r.id, r.replayed_by <> '', r.finished_at IS NULL FROM run_events x JOIN runs r ON r.id = x.run_id WHERE `+
			`x.event_id = ? AND r.workflow = ? ORDER BY r.id DESC LIMIT 1`,
			v, int64(r.Event), r.Decision.Workflow)
	}
	if err != nil || !found {
		return out, err
	}
	id, _ := v[0].(int64)
	ordered, _ := v[1].(int64)
	open, _ := v[2].(int64)
	out.Run = engine.RunID(id)
	out.Known = r.Once == engine.OnceEver || r.Once == engine.OnlyHeld || ordered == 1 && r.Once == engine.OnceAsked || open == 1
	out.Open = open == 1 && (ordered == 0 || r.Once == engine.EachTime)
	out.Outcome = engine.Matched
	return out, nil
}

func (t *tx) redecide(r redecision) (out engine.Redecided, err error) {
	event, workflow := int64(r.of.Event), r.of.Decision.Workflow
	r.decision = slices.Clone(r.decision) // the value is changed, and the transaction may be retried
	if out, err = t.known(r.of); err != nil || out.Known {
		return out, err
	}
	before := make([]driver.Value, 3)
	found, err := t.row(`SELECT version, outcome, reason FROM decisions WHERE event_id = ? AND workflow = ?`, before, event, workflow)
	if err != nil {
		return out, err
	}
	if r.of.Once == engine.OnlyHeld && (!found || before[1] != string(engine.Held)) {
		return engine.Redecided{Known: true}, nil
	}
	repeats := out.Run
	out = engine.Redecided{Outcome: r.of.Decision.Outcome, Reason: r.of.Decision.Reason}
	if r.start != nil {
		if err := t.startAgain(r, repeats, &out); err != nil {
			return out, err
		}
	}
	d := append([]driver.Value(nil), r.decision...)
	if out.Run == 0 {
		d[3], d[4], d[6] = string(out.Outcome), t.w.redactor.Text(out.Reason), nil
	}
	// The same decision of the same version is not recorded again.
	if found && (before[0] != d[2] || before[1] != d[3] || before[2] != d[4] || out.Run != 0) {
		if err := t.exec(`INSERT INTO decision_history (event_id, workflow, version, outcome, reason, trace, run_id, at)
			SELECT event_id, workflow, version, outcome, reason, trace, run_id, at FROM decisions `+
			`WHERE event_id = ? AND workflow = ?`, event, workflow); err != nil {
			return out, err
		}
	}
	if err := t.exec(`DELETE FROM decisions WHERE event_id = ? AND workflow = ?`, event, workflow); err != nil {
		return out, err
	}
	return out, t.exec(insertDecision, d...)
}

// startAgain stores the run that a new decision starts.
func (t *tx) startAgain(r redecision, repeats engine.RunID, out *engine.Redecided) error {
	var m engine.MatchResult
	dropped, err := matchRows{of: engine.Match{At: r.of.At}}.start(t, *r.start, &m)
	if err != nil {
		return err
	}
	run := r.start.of.Run
	if f, folded := m.Folded[run.ID]; folded {
		out.Run, out.Folded, out.Gather = f.Run, true, m.Gather
		foldDecision(r.decision, f, r.start.of.Gather.Kind)
		if !f.Newest {
			out.Outcome = engine.Folded
		}
		return nil
	}
	if dropped {
		out.Outcome, out.Reason = engine.Dropped, m.Dropped[run.ID]
		return nil
	}
	out.Run, out.Repeats, out.Due, out.Gather = run.ID, repeats, run.DueAt, m.Gather
	if r.start.of.Slot != nil {
		out.Due = m.Due
		if !out.Due.IsZero() && out.Due.Before(run.DueAt) { // spread out as others are
			out.Due = run.DueAt
			if err := t.exec(`UPDATE runs SET due_at = ? WHERE id = ?`, out.Due.UnixMilli(), int64(run.ID)); err != nil {
				return err
			}
		}
	}
	if r.of.Once == engine.OnlyHeld {
		return nil // this is the run of the event's arrival, only later
	}
	var of driver.Value
	if repeats != 0 {
		of = int64(repeats)
		if err := t.takeOver(r.of, run.ID, repeats); err != nil {
			return err
		}
	}
	return t.exec(`UPDATE runs SET repeats = ?, replayed_by = ? WHERE id = ?`, of, t.w.redactor.Text(r.of.By), int64(run.ID))
}

// takeOver copies to a new run the results of steps that earlier runs executed. Its calls in doubt
// keep their idempotency keys, as in a replay from the failed step.
func (t *tx) takeOver(r engine.Redecision, run, repeats engine.RunID) error {
	if r.Done == nil {
		return nil
	}
	if _, err := t.keepKeys(engine.Replay{New: run, Of: repeats}); err != nil {
		return err
	}
	for _, d := range r.Done {
		if err := t.exec(`INSERT INTO steps (`+copiedColumns+`) SELECT ?, `+strings.TrimPrefix(copiedColumns, "run_id, ")+` FROM steps
			WHERE run_id = ? AND path = ? AND attempt = ? AND status = 'succeeded'`, int64(run), int64(d.Run), d.Path,
			int64(d.Attempt)); err != nil {
			return err
		}
	}
	return nil
}

// DoneSteps implements engine.Store.
func (s *Store) DoneSteps(ctx context.Context, event engine.EventID, workflow string) ([]engine.DoneStep, error) {
	return collect(ctx, s.readers, `SELECT run_id, path, attempt, action FROM (SELECT s.run_id, s.path, s.attempt, s.action,
		row_number() OVER (PARTITION BY s.path ORDER BY s.run_id DESC, s.attempt DESC) AS n FROM runs r JOIN steps s ON s.run_id = r.id
		WHERE r.event_id = ? AND r.workflow = ? AND r.finished_at IS NOT NULL AND s.status = 'succeeded' AND `+ofSteps+`)
		WHERE n = 1 ORDER BY path`, []any{int64(event), workflow}, func(r scanner) (d engine.DoneStep, err error) {
		var run int64
		err = r.Scan(&run, &d.Path, &d.Attempt, &d.Action)
		d.Run = engine.RunID(run)
		return d, err
	})
}

// outcomesOf and workflowsOf collect the rows of a query into one JSON value.
const (
	outcomesOf  = `json_group_object(d.workflow, d.outcome)`
	workflowsOf = `json_group_array(DISTINCT workflow)`
)

// decidedColumns are the columns of DecidedState.
const decidedColumns = `e.id, EXISTS (SELECT 1 FROM inbox i
	WHERE i.event_id = e.id), (SELECT ` + outcomesOf + ` FROM decisions d WHERE d.event_id = e.id),
	(SELECT ` + workflowsOf + ` FROM (SELECT r.workflow FROM runs r WHERE r.event_id = e.id
		UNION ALL SELECT r.workflow FROM run_events x JOIN runs r ON r.id = x.run_id WHERE x.event_id = e.id)) FROM events e`

func scanDecided(r scanner) (engine.DecidedState, error) {
	var x engine.DecidedState
	var outcomes, ran string
	err := r.Scan(&x.Event, &x.Pending, &outcomes, &ran)
	if err == nil {
		err = json.Unmarshal([]byte(outcomes), &x.Outcomes)
	}
	if err == nil {
		err = json.Unmarshal([]byte(ran), &x.Ran)
	}
	return x, err
}

// Decided implements engine.Store.
func (s *Store) Decided(ctx context.Context, id engine.EventID) (engine.DecidedState, error) {
	list, err := collect(ctx, s.readers, `SELECT `+decidedColumns+` WHERE e.id = ?`, []any{int64(id)}, scanDecided)
	if err == nil && len(list) == 0 {
		return engine.DecidedState{}, engine.ErrNotFound
	}
	if err != nil {
		return engine.DecidedState{}, err
	}
	return list[0], nil
}

// ofTriggers selects events of triggers between two ids. Events of one trigger are found by its
// index in their order; for several triggers, all events in between are scanned.
func ofTriggers(triggers []string, after, end engine.EventID) (cond string, args []any) {
	args = []any{int64(after), int64(end)}
	if len(triggers) == 1 {
		return ` WHERE e.id > ? AND e.id < ? AND e.trigger = ?`, append(args, triggers[0])
	}
	for _, name := range triggers {
		args = append(args, name)
	}
	return fmt.Sprintf(` WHERE e.id > ? AND e.id < ? AND +e.trigger IN (%s)`, strings.TrimSuffix(strings.Repeat("?, ", len(triggers)),
		", ")), args
}

// Undone implements engine.Store.
func (s *Store) Undone(ctx context.Context, triggers []string, after, end engine.EventID, limit int) ([]engine.DecidedState, error) {
	cond, args := ofTriggers(triggers, after, end)
	return collect(ctx, s.readers, `SELECT `+decidedColumns+cond+` ORDER BY e.id LIMIT ?`, append(args, limit), scanDecided)
}

// CountEvents implements engine.Store.
func (s *Store) CountEvents(ctx context.Context, triggers []string, after, end engine.EventID) (n int, err error) {
	cond, args := ofTriggers(triggers, after, end)
	err = s.readers.QueryRowContext(ctx, `SELECT count(*) FROM events e`+cond, args...).Scan(&n)
	return n, classify(err)
}
