package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"

	"github.com/hookloom/hookloom/engine"
)

// Emit implements engine.Store.
func (s *Store) Emit(ctx context.Context, id engine.EventID, d *engine.Delivery, o engine.Emission) (r engine.Receipt, again bool,
	err error) {
	a, err := s.encodeDelivery(id, d)
	if err != nil {
		return r, false, err
	}
	err = s.w.do(ctx, true, func(t *tx) (err error) {
		v := make([]driver.Value, 2)
		if again, err = t.row(`SELECT event_id, duplicate FROM emitted WHERE op = ?`, v, o.Op); err != nil {
			return err
		}
		if again {
			n, _ := v[0].(int64)
			was, _ := v[1].(int64)
			r = engine.Receipt{Event: engine.EventID(n), Duplicate: was != 0}
			return nil
		}
		if r, err = t.accept(&a); err != nil {
			return err
		}
		return t.exec(`INSERT INTO emitted (op, event_id, run_id, path, duplicate) VALUES (?, ?, ?, ?, ?)`, o.Op, int64(r.Event), int64(o.Run),
			o.Path, r.Duplicate)
	})
	return r, again, err
}

// emittedBy finds the step that emitted an event.
func (h *History) emittedBy(ctx context.Context, id engine.EventID) (*engine.Emitted, error) {
	var run int64
	var x engine.Emitted
	var workflow sql.NullString
	err := h.db.QueryRowContext(ctx, `SELECT e.run_id, e.path, r.workflow FROM emitted e LEFT JOIN runs r ON r.id = e.run_id WHERE `+
		`e.event_id = ? AND NOT e.duplicate`, int64(id)).Scan(&run, &x.Step, &workflow)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	x.Run, x.Workflow = engine.RunID(run).String(), workflow.String
	return &x, classify(err)
}

// emitted lists the events that a run's steps emitted.
func (h *History) emitted(ctx context.Context, id engine.RunID, steps []engine.StepItem) ([]engine.EmittedEvent, error) {
	if !slices.ContainsFunc(steps, func(s engine.StepItem) bool { return s.Action == "hookloom/emit" }) {
		return nil, nil
	}
	return collect(ctx, h.db, `SELECT m.event_id, coalesce(e.trigger, ''), m.path, m.duplicate FROM emitted m LEFT JOIN events e ON e.id = `+
		`m.event_id WHERE m.run_id = ? ORDER BY m.event_id LIMIT 1000`, []any{int64(id)}, func(r scanner) (x engine.EmittedEvent, err error) {
		var event int64
		err = r.Scan(&event, &x.Trigger, &x.Step, &x.Duplicate)
		x.Event = engine.EventID(event).String()
		return x, err
	})
}
