package store

import (
	"database/sql/driver"
	"slices"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// encodedUpdate is an update of a run, encoded outside the writer's goroutine.
type encodedUpdate struct {
	of     engine.RunUpdate
	calls  []madeEvent
	insert bool
	// sealed holds updates with masked values, encrypted, and notes on steps; usually empty.
	sealed []sealing
	run    []driver.Value
	steps  [][]driver.Value
	// waits holds updates of what steps wait for.
	waits []sealing
}

func (s *Store) encode(st engine.RunUpdate) (encodedUpdate, error) {
	r := st.Run
	result, err := s.encodeMasked(r.Output, st.Mask, sealedResult)
	if err != nil {
		return encodedUpdate{}, err
	}
	output := result.shown
	failure, err := s.errorJSON(r.Error, st.Mask)
	if err != nil {
		return encodedUpdate{}, err
	}
	text := s.maskText(r.Text, st.Mask)
	out := encodedUpdate{of: st, insert: st.New}
	if result.sealed != nil {
		out.sealed = append(out.sealed, sealing{`UPDATE runs SET sealed = ? WHERE id = ?`, []driver.Value{result.sealed, int64(r.ID)}})
	}
	if st.New {
		out.run = []driver.Value{int64(r.ID), int64(r.Event), r.Workflow, r.Version, string(r.Status), r.CreatedAt.UnixMilli(),
			millis(r.StartedAt), millis(r.FinishedAt),
			millis(r.DueAt), r.Active.Milliseconds(), output, failure, text}
	} else {
		out.run = []driver.Value{madeProgress(st), string(r.Status), millis(r.StartedAt), millis(r.FinishedAt), millis(r.DueAt),
			r.Active.Milliseconds(), output, failure, text, int64(r.ID)}
	}
	if r.Ending != nil && !r.Status.Ended() {
		why, err := s.errorJSON(r.Ending, st.Mask)
		if err != nil {
			return encodedUpdate{}, err
		}
		out.sealed = append(out.sealed, sealing{`UPDATE runs SET ending = ? WHERE id = ?`, []driver.Value{why, int64(r.ID)}})
	}
	if out.calls, err = s.encodeEvents(st.Emits); err != nil {
		return encodedUpdate{}, err
	}
	for _, rec := range st.Records {
		row, sealed, err := s.encodeStep(r.ID, rec, st.Mask)
		if err != nil {
			return encodedUpdate{}, err
		}
		out.steps = append(out.steps, row)
		if sealed != nil {
			out.sealed = append(out.sealed, sealing{sealStep, []driver.Value{sealed, int64(r.ID), rec.Path, int64(rec.Attempt)}})
		}
		if out.waits, err = s.encodeWaits(out.waits, r.ID, rec, st.Mask); err != nil {
			return encodedUpdate{}, err
		}
		for _, note := range rec.Notes {
			out.sealed = append(out.sealed, sealing{insertNote, []driver.Value{int64(r.ID), rec.Path, note}})
		}
	}
	return out, nil
}

// sealing is a statement that adds to a row, such as its masked values, encrypted.
type sealing struct {
	query string
	args  []driver.Value
}

const insertNote = `INSERT INTO step_notes (run_id, path, note) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

const sealStep = `UPDATE steps SET sealed = ? WHERE run_id = ? AND path = ? AND attempt = ?`

// madeEvent is an event that the engine made, encoded.
type madeEvent struct {
	row    []driver.Value
	sealed driver.Value
}

// encodeEvents encodes events that the engine made.
func (s *Store) encodeEvents(events []*engine.Event) ([]madeEvent, error) {
	var out []madeEvent
	for _, ev := range events {
		if err := engine.CheckInlet(ev.Inlet); err != nil {
			return nil, err
		}
		in, err := s.encodeInputs(&ev.Delivery)
		if err != nil {
			return nil, err
		}
		inputs, at := in.shown, ev.ReceivedAt.UnixMilli()
		out = append(out, madeEvent{sealed: in.sealed, row: []driver.Value{int64(ev.ID), ev.Trigger, string(ev.Inlet), ev.Key, "",
			ev.Type, at, at, "",
			"", s.texts(ev.Headers), "{}", "", inputs, ev.Only, nil,
			checksum(ev.Trigger, ev.Key, ev.Type, nil), int64(engine.Unnamed), nil, nil, nil}})
	}
	return out, nil
}

func madeProgress(st engine.RunUpdate) bool {
	return st.Run.Status == engine.Waiting || slices.ContainsFunc(st.Records, func(r *plan.Record) bool { return !r.FinishedAt.IsZero() })
}

func (s *Store) encodeStep(run engine.RunID, r *plan.Record, m *redact.Masker) (row []driver.Value, sealed driver.Value, err error) {
	var input driver.Value
	if shown := forRecord(r.Input); shown != nil {
		if input, err = encodeText(shown, func(b []byte) []byte {
			b, _ = s.maskJSON(b, m)
			b, _ = s.o.Redactor.StepJSON(r.Path, "input", b)
			return b
		}); err != nil {
			return nil, nil, err
		}
	}
	out, err := s.encodeFields(r.Output, m, sealedOutput, func(b []byte) ([]byte, bool) { return s.o.Redactor.StepJSON(r.Path, "output", b) })
	if err != nil {
		return nil, nil, err
	}
	output := out.shown
	if len(r.Waits) > 0 { // for display only
		if output, err = s.json(plan.Shown(r.Waits), m); err != nil {
			return nil, nil, err
		}
	}
	failure, err := s.errorJSON(r.Error, m)
	if err != nil {
		return nil, nil, err
	}
	var host driver.Value
	if r.Destination != "" {
		host = r.Destination
	}
	return []driver.Value{int64(run), r.Path, int64(r.Attempt), r.Action, string(r.Status), r.StartedAt.UnixMilli(), millis(r.FinishedAt),
		input, output, failure, host}, out.sealed, nil
}

func (s *Store) errorJSON(e *plan.Error, m *redact.Masker) (driver.Value, error) {
	if e == nil {
		return nil, nil
	}
	data, _ := workflows.HideHeaders(errorData(e))
	return s.json(data, m)
}

// forRecord truncates values that are stored for display only.
func forRecord(v any) any {
	if v == nil {
		return nil
	}
	return value.Cut(v)
}

func errorData(e *plan.Error) map[string]any {
	m := map[string]any{"message": e.Message, "code": e.Code, "retryable": e.Retryable}
	if e.Status != 0 {
		m["status"] = e.Status
	}
	if e.Step != "" {
		m["step"] = e.Step
	}
	if e.InDoubt {
		m["in_doubt"] = true
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
