package store

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
)

// This file stores what steps wait for, in rows that are written and removed in the transaction
// that changes their step. Wake-ups find runs by these rows, and the planner reads them when a run
// continues. The output of a waiting step shows people the same data.

const (
	insertWait = `INSERT INTO waits (run_id, path, number,
		kind, is_any, trigger, key, since, event_id, workflow, ending, text, by, until, fixed, sealed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteWaits    = `DELETE FROM waits WHERE run_id = ? AND path = ?`
	deleteRunWaits = `DELETE FROM waits WHERE run_id = ?`
	wakeCaller     = `UPDATE runs SET due_at = ? WHERE ` + waitingAmong + `SELECT run_id FROM waits WHERE event_id = ?)`
	// waitingAmong and queuedAmong select such runs among those of a query.
	waitingAmong = `status = 'waiting' AND id IN (`
	queuedAmong  = `status = 'queued' AND id IN (`
)

// encodeWaits adds the statements that a record needs in waits; none if the record neither waits
// nor ends a wait.
func (s *Store) encodeWaits(out []sealing, run engine.RunID, r *plan.Record, m *redact.Masker) ([]sealing, error) {
	if r.Waited {
		out = append(out, sealing{deleteWaits, []driver.Value{int64(run), r.Path}})
	}
	for i := range r.Waits {
		row, err := s.encodeWait(&r.Waits[i], m)
		if err != nil {
			return nil, fmt.Errorf("what step %s waits for: %w", r.Path, err)
		}
		out = append(out, sealing{insertWait, append([]driver.Value{int64(run), r.Path, int64(i)}, row...)})
	}
	return out, nil
}

// encodeWait encodes the columns of a wait, beginning with kind.
func (s *Store) encodeWait(w *plan.Wait, m *redact.Masker) (_ []driver.Value, err error) {
	var trigger, key, event, workflow, by, sealed driver.Value
	text := w.Approval
	switch w.Kind {
	case plan.WaitEvent:
		masked := s.maskText(w.Key, m)
		if trigger, key = w.Trigger, masked; masked != w.Key {
			if sealed, err = s.sealed(map[string]any{"key": w.Key}, sealedOutput); err != nil {
				return nil, err
			}
		}
	case plan.WaitCall:
		id, err := engine.ParseEventID(w.Event)
		if err != nil {
			return nil, err
		}
		event, workflow = int64(id), w.Workflow
	case plan.WaitDestination:
		text = w.Destination
	}
	if len(w.By) > 0 {
		names, err := json.Marshal(w.By)
		if err != nil {
			return nil, err
		}
		by = string(names)
	}
	ending, err := s.errorJSON(w.Ending, m)
	if err != nil {
		return nil, err
	}
	until := w.Until.Add(time.Millisecond - 1) // never earlier than stated
	if w.Until.IsZero() {
		until = w.Until
	}
	return []driver.Value{string(w.Kind), w.Any, trigger, key, millis(w.From), event, workflow, ending,
		s.maskText(text, m), by, millis(until), w.Fixed, sealed}, nil
}

// waitColumns are the columns of waits that waitRow reads, of w.
const waitColumns = `w.kind, w.is_any, w.trigger, w.key, w.since, w.event_id, w.workflow, w.ending,
	w.text, w.by, w.until, w.fixed, w.sealed, w.number`

// waitRow is a row of waits, or of none, as scanned.
type waitRow struct {
	kind, trigger, key, workflow, ending, text, by sql.NullString
	any, fixed                                     sql.NullBool
	since, event, until, number                    sql.NullInt64
	sealed                                         []byte
}

func (w *waitRow) dest() []any {
	return []any{&w.kind, &w.any, &w.trigger, &w.key, &w.since, &w.event, &w.workflow, &w.ending,
		&w.text, &w.by, &w.until, &w.fixed, &w.sealed, &w.number}
}

// decodeWait reads a wait of a step.
func (s *Store) decodeWait(row *waitRow, path string) (plan.Wait, error) {
	w := plan.Wait{Kind: plan.WaitKind(row.kind.String), Any: row.any.Bool, Until: nullTime(row.until), Fixed: row.fixed.Bool}
	switch w.Kind {
	case plan.WaitApproval:
		w.Approval = row.text.String
		if row.by.Valid {
			if err := json.Unmarshal([]byte(row.by.String), &w.By); err != nil {
				return w, err
			}
		}
	case plan.WaitEvent:
		w.Trigger, w.Key, w.From = row.trigger.String, row.key.String, nullTime(row.since)
		if row.sealed != nil {
			v, err := s.opened(row.sealed, sealedOutput)
			if err != nil {
				return w, err
			}
			w.Key = sealedKey(v, int(row.number.Int64), w.Key)
		}
	case plan.WaitCall:
		w.Event, w.Workflow = engine.EventID(row.event.Int64).String(), row.workflow.String
		e, err := decodeError(row.ending)
		if err != nil {
			return w, err
		}
		if w.Ending = e; e != nil {
			e.Step = path
		}
	case plan.WaitSleep:
	case plan.WaitDestination:
		w.Destination = row.text.String
	default:
		return w, errors.New("it is not recorded")
	}
	return w, nil
}

// sealedKey decrypts the masked key of an event. Up to schema 25 the full output of the step is
// encrypted.
func sealedKey(v any, number int, masked string) string {
	m, _ := v.(map[string]any)
	if list, ok := m["any"].([]any); ok && number < len(list) {
		m, _ = list[number].(map[string]any)
	}
	if key, ok := m["key"].(string); ok {
		return key
	}
	return masked
}

// wakeCaller makes the run due that waits for the run which an event called.
func (t *tx) wakeCaller(id engine.EventID, now time.Time) error {
	t.signal(engine.SignalDue)
	return t.exec(wakeCaller, now.UnixMilli(), int64(id))
}

// wakeIfArrived makes a run due at once if the answer or event that it begins to wait for is
// already stored. Only one goroutine writes, so an answer or event not found here is stored later,
// and then finds the run waiting.
func (r encodedUpdate) wakeIfArrived(t *tx) error {
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
			ended, err := t.row(`SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE event_id = ?1)
				AND NOT EXISTS (SELECT 1 FROM runs WHERE event_id = ?1 AND finished_at IS NULL)`, make([]driver.Value, 1), int64(id))
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
	t.signal(engine.SignalDue)
	return t.exec(`UPDATE runs SET due_at = ? WHERE id = ? AND status = 'waiting'`, run.DueAt.UnixMilli(), int64(run.ID))
}
