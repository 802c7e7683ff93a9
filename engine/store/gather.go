package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file stores which events are gathered in one run (debounce, batch), and which events end
// runs (cancel_on). All decisions are made inside the writer's transactions.

// join adds the event of a new run to the gathering of its key. It returns false if no gathering
// accepts it: the run is then made, and begins a gathering.
func (t *tx) join(r encodedUpdate, at time.Time, out *engine.MatchResult) (bool, error) {
	g, run := r.of.Gather, r.of.Run
	v := make([]driver.Value, 6)
	found, err := t.row(`SELECT g.run_id, r.event_id, g.kind, g.first_at, g.events, g.bytes FROM gatherings g JOIN runs r
		ON r.id = g.run_id WHERE g.workflow = ? AND g.key = ? AND g.open = 1`,
		v, run.Workflow, g.Key)
	if err != nil {
		return false, err
	}
	now := at.UnixMilli()
	into, _ := v[0].(int64)
	first, _ := v[3].(int64)
	events, _ := v[4].(int64)
	bytes, _ := v[5].(int64)
	kind, _ := v[2].(string)
	j := engine.Joined{Refused: true}
	if found {
		j = g.Join(engine.GatherState{Kind: kind, First: fromMillis(first), Events: int(events), Bytes: bytes}, fromMillis(now))
		if j.Refused {
			if err := t.exec(`UPDATE gatherings SET open = 0, due_at = ? WHERE run_id = ?`, now, into); err != nil {
				return false, err
			}
			out.Gather = at
		}
	}
	if j.Refused {
		return false, t.gather(r, now, out)
	}
	own, _ := v[1].(int64)
	due, open := j.Due.UnixMilli(), int64(1)
	if j.Full {
		open = 0
	}
	if due <= now {
		out.Gather = at
	}
	if err := t.exec(`UPDATE gatherings SET open = ?, due_at = ?, events = ?, bytes = ? WHERE run_id = ?`, open, due, events+1,
		bytes+g.Bytes, into); err != nil {
		return false, err
	}
	fold := engine.Fold{Run: engine.RunID(into), Newest: g.Kind == workflows.Debounce && int64(run.Event) > own}
	if err := t.fold(r, fold, own); err != nil {
		return false, err
	}
	if out.Folded == nil {
		out.Folded = map[engine.RunID]engine.Fold{}
	}
	out.Folded[run.ID] = fold
	return true, nil
}

// gather begins the gathering of a new run.
func (t *tx) gather(r encodedUpdate, now int64, out *engine.MatchResult) error {
	g := r.of.Gather
	due := g.Begin(fromMillis(now)).UnixMilli()
	if at := fromMillis(due); out.Gather.IsZero() || at.Before(out.Gather) {
		out.Gather = at
	}
	return t.exec(`INSERT INTO gatherings (run_id, workflow, kind, key, open, first_at, due_at, events, bytes)
		VALUES (?, ?, ?, ?, 1, ?, ?, 1, ?)`,
		int64(r.of.Run.ID), r.of.Run.Workflow, g.Kind, g.Key, now, due, g.Bytes)
}

// fold records which of two events is the run's own, and which is gathered in it.
func (t *tx) fold(r encodedUpdate, f engine.Fold, own int64) error {
	run, into := r.of.Run, int64(f.Run)
	folded, size := int64(run.Event), r.of.Gather.Bytes
	if f.Newest {
		folded = own
		// The run has not begun: it uses the version that decided last.
		if err := t.exec(`UPDATE runs SET event_id = ?, version = ? WHERE id = ?`, int64(run.Event), run.Version, into); err != nil {
			return err
		}
		if err := t.exec(`UPDATE decisions SET outcome = 'folded', reason = ? WHERE event_id = ? AND workflow = ? AND run_id = ?`,
			engine.FoldedByDebounce, own, run.Workflow, into); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM cancel_keys WHERE run_id = ?`, into); err != nil {
			return err
		}
		if err := t.cancelKeys(into, r.of.Cancels); err != nil {
			return err
		}
	}
	return t.exec(`INSERT INTO run_events (run_id, event_id, size) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, into, folded, size)
}

// kindOf returns how the event of a proposed run is gathered.
func (m matchRows) kindOf(run engine.RunID) string {
	for _, r := range m.starts {
		if r.of.Run.ID == run && r.of.Gather != nil {
			return r.of.Gather.Kind
		}
	}
	return ""
}

// foldDecision changes the row of a decision to that of an event which joined a gathering.
func foldDecision(d []driver.Value, f engine.Fold, kind string) {
	d[6] = int64(f.Run)
	switch {
	case f.Newest:
	case kind == workflows.Batch:
		d[3], d[4] = string(engine.Folded), engine.FoldedByBatch
	default:
		d[3], d[4] = string(engine.Folded), engine.FoldedByDebounce
	}
}

// DueGatherings implements engine.Store.
func (s *Store) DueGatherings(ctx context.Context, now time.Time, limit int) (list []engine.DueGathering, next time.Time,
	oldest engine.EventID, err error) {
	all, err := collect(ctx, s.readers, `SELECT g.run_id, r.event_id, r.workflow, r.version, g.due_at FROM gatherings g JOIN runs r
		ON r.id = g.run_id ORDER BY g.due_at LIMIT ?`, []any{limit + 1},
		func(r scanner) (g engine.DueGathering, err error) {
			var run, event, due int64
			err = r.Scan(&run, &event, &g.Workflow, &g.Version, &due)
			g.Run, g.Event, g.Due = engine.RunID(run), engine.EventID(event), fromMillis(due)
			return g, err
		})
	if err != nil {
		return nil, next, 0, err
	}
	for i, g := range all {
		if g.Due.After(now) || i == limit {
			next = g.Due
			break
		}
		list = append(list, g)
	}
	if len(list) == 0 {
		return nil, next, 0, nil
	}
	var first sql.NullInt64
	err = s.readers.QueryRowContext(ctx, `SELECT min(event_id) FROM inbox`).Scan(&first)
	return list, next, engine.EventID(first.Int64), classify(err)
}

// CloseGathering implements engine.Store.
func (s *Store) CloseGathering(ctx context.Context, c engine.Closing) (out engine.Closed, err error) {
	err = s.w.do(ctx, true, func(t *tx) error {
		out = engine.Closed{Due: c.At}
		found, err := t.row(`SELECT 1 FROM gatherings g JOIN runs r ON r.id = g.run_id WHERE g.run_id = ? AND r.event_id = ?
			AND g.due_at <= ?`,
			make([]driver.Value, 1), int64(c.Run), int64(c.Event), c.At.UnixMilli())
		if err != nil {
			return err
		}
		if !found {
			return engine.ErrStale
		}
		if c.Slot != nil {
			if out.Due, out.Replaced, out.Dropped, err = t.enter(c.Run, c.Slot, c.At); err != nil || out.Dropped != "" {
				return err // it stays due until its run is cancelled
			}
		}
		if err := t.exec(`DELETE FROM gatherings WHERE run_id = ?`, int64(c.Run)); err != nil {
			return err
		}
		t.signal(engine.SignalDue)
		return t.exec(`UPDATE runs SET due_at = ? WHERE id = ? AND status = 'queued'`, millis(out.Due), int64(c.Run))
	})
	return out, err
}

// Gathered implements engine.Store.
func (s *Store) Gathered(ctx context.Context, id engine.RunID) (ids []engine.EventID, size int64, err error) {
	ids, err = collect(ctx, s.readers, `SELECT event_id, size FROM run_events WHERE run_id = ? ORDER BY event_id`, []any{int64(id)},
		func(r scanner) (engine.EventID, error) {
			var event, n int64
			err := r.Scan(&event, &n)
			size += n
			return engine.EventID(event), err
		})
	return ids, size, err
}

// cancelKeys stores the keys that can end a run.
func (t *tx) cancelKeys(run int64, keys []engine.CancelKey) error {
	for _, k := range keys {
		if err := t.exec(`INSERT INTO cancel_keys (run_id, trigger, rule, key) VALUES (?, ?, ?, ?)`, run, k.Trigger, k.Rule,
			k.Key); err != nil {
			return err
		}
	}
	return nil
}

// ends are the runs that an event ends by one of its keys.
const ends = `SELECT c.run_id FROM cancel_keys c JOIN runs r ON r.id = c.run_id WHERE c.trigger = ? AND c.rule = ? AND c.key = ?
	AND c.by_event IS NULL AND r.event_id < ?`

// cancels marks all runs that an event ends, in one pass: nothing is accepted in the meantime.
func (m matchRows) cancels(t *tx, out *engine.MatchResult) error {
	event := int64(m.of.Event)
	for _, k := range m.of.Cancels {
		before := len(out.Cancelled)
		err := t.each(ends, 1, func(v []driver.Value) {
			run, _ := v[0].(int64)
			out.Cancelled = append(out.Cancelled, engine.CancelledBy{Run: engine.RunID(run), Event: m.of.Event, Trigger: k.Trigger})
		}, k.Trigger, k.Rule, k.Key, event)
		if err != nil {
			return err
		}
		if len(out.Cancelled) == before {
			continue
		}
		if err := t.exec(`INSERT INTO ended_waits (event_id, run_id, path) SELECT ?, run_id, '' FROM (`+ends+`) WHERE true
			ON CONFLICT DO NOTHING`, event, k.Trigger, k.Rule, k.Key, event); err != nil {
			return err
		}
		if err := t.exec(`UPDATE cancel_keys SET by_event = ? WHERE run_id IN (`+ends+`)`, event, k.Trigger, k.Rule, k.Key,
			event); err != nil {
			return err
		}
	}
	return nil
}

// CancelVersions implements engine.Store.
func (s *Store) CancelVersions(ctx context.Context) ([]engine.Run, error) {
	return collect(ctx, s.readers, `SELECT r.workflow, r.version, max(r.id) FROM cancel_keys c JOIN runs r ON r.id = c.run_id
		GROUP BY r.workflow, r.version`, nil, func(r scanner) (x engine.Run, err error) {
		var id int64
		err = r.Scan(&x.Workflow, &x.Version, &id)
		x.ID = engine.RunID(id)
		return x, err
	})
}

// CancelledBy implements engine.Store.
func (s *Store) CancelledBy(ctx context.Context) ([]engine.CancelledBy, error) {
	return collect(ctx, s.readers, `SELECT DISTINCT c.run_id, c.by_event, c.trigger FROM cancel_keys c JOIN runs r ON r.id = c.run_id
		WHERE c.by_event IS NOT NULL AND r.finished_at IS NULL`, nil,
		func(r scanner) (x engine.CancelledBy, err error) {
			var run, event int64
			err = r.Scan(&run, &event, &x.Trigger)
			x.Run, x.Event = engine.RunID(run), engine.EventID(event)
			return x, err
		})
}

// End implements engine.Store.
func (s *Store) End(ctx context.Context, id engine.RunID, why *plan.Error, now time.Time) error {
	text, err := s.errorJSON(why, nil)
	if err != nil {
		return err
	}
	return s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalDue)
		if err := t.exec(`UPDATE runs SET ending = ?, due_at = ? WHERE id = ? AND status IN ('queued', 'waiting')`, text, now.UnixMilli(),
			int64(id)); err != nil {
			return err
		}
		if t.changes == 0 {
			return engine.ErrStale
		}
		return nil
	})
}

// maxRunEvents is how many events of a run are listed.
const maxRunEvents = 1000

// runEvents returns the events of a run besides its own, and how it gathers more.
func (h *History) runEvents(ctx context.Context, id engine.RunID, d *engine.RunDetail) (err error) {
	d.Events, err = collect(ctx, h.db, `SELECT event_id FROM run_events WHERE run_id = ? ORDER BY event_id LIMIT ?`,
		[]any{int64(id), maxRunEvents}, func(r scanner) (string, error) {
			var event int64
			err := r.Scan(&event)
			return engine.EventID(event).String(), err
		})
	if err != nil {
		return err
	}
	if d.EventCount = len(d.Events); d.EventCount == maxRunEvents {
		if err := h.db.QueryRowContext(ctx, `SELECT count(*) FROM run_events WHERE run_id = ?`, int64(id)).Scan(&d.EventCount); err != nil {
			return classify(err)
		}
	}
	if d.Status != string(engine.Queued) {
		return nil
	}
	var g engine.GatheringItem
	var due int64
	err = h.db.QueryRowContext(ctx, `SELECT kind, key, events, due_at FROM gatherings WHERE run_id = ?`, int64(id)).Scan(&g.Kind, &g.Key,
		&g.Events, &due)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		g.DueAt = fromMillis(due)
		d.Gathering = &g
	}
	return classify(err)
}
