package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows/value"
)

// matchRows is a Match, encoded outside the writer's goroutine.
type matchRows struct {
	of        engine.Match
	starts    []encodedUpdate
	decisions [][]driver.Value
	// wakes is the key of the event that runs may wait for, masked as in waits.
	wakes string
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
	err := s.w.queued(ctx, order{wait: true, needs: needs{matches: encoded}}, func(t *tx) error {
		for i, m := range encoded {
			var err error
			if err = t.deleteInbox(int64(m.of.Event)); err != nil {
				return err
			}
			if t.changes == 0 {
				results[i].Known = true
				continue
			}
			if err = t.reliesOn(m.of.Rules); err != nil {
				return err
			}
			t.decidedEvent(m.of.Event)
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
			return out, refusedRun(st.Run.Workflow, err)
		}
		out.starts = append(out.starts, r)
	}
	if m.Wakes != nil {
		out.wakes = s.maskText(m.Wakes.Key, m.Mask)
	}
	for _, d := range m.Decisions {
		trace, err := s.trace(d.Conditions, m.Mask)
		if err != nil {
			return out, &engine.UnstorableError{Workflow: d.Workflow, Err: err}
		}
		var run driver.Value
		if d.Run != 0 {
			run = int64(d.Run)
		}
		out.decisions = append(out.decisions, []driver.Value{int64(m.Event), d.Workflow, d.Version, string(d.Outcome),
			s.maskText(d.Reason, m.Mask), trace, run, m.At.UnixMilli()})
	}
	return out, nil
}

// write stores the decisions about one event, and the runs that begin.
func (m matchRows) write(t *tx) (out engine.MatchResult, err error) {
	open := false
	for _, r := range m.starts {
		dropped, err := m.start(t, r, &out)
		if err == nil {
			err = t.writtenAlone()
		}
		if err != nil {
			return out, refusedRun(r.of.Run.Workflow, err)
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
		err := t.put(insertDecision, d...)
		if err == nil {
			err = t.writtenAlone()
		}
		if err != nil {
			return out, &engine.UnstorableError{Workflow: m.of.Decisions[i].Workflow, Err: err}
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
	t.signal(engine.SignalDue)
	err = t.exec(wakeWaiting, m.of.At.UnixMilli(), m.of.Wakes.Trigger, m.wakes, m.of.Wakes.Key)
	out.Woken += int(t.changes)
	return out, err
}

// refusedRun says that a run cannot be stored.
func refusedRun(workflow string, err error) error {
	return &engine.UnstorableError{Workflow: workflow, Err: fmt.Errorf("the run that begins: %w", err)}
}

// writtenAlone sends the statements that PostgreSQL has not executed yet, if each command finds out for itself
// why it failed: an error then belongs to the rows since the last call.
func (t *tx) writtenAlone() error {
	if t.w.pg == nil || !t.careful {
		return nil
	}
	return t.w.pg.flush()
}

// start stores a run that begins or waits for its slot. It reports whether no run was made: it was
// dropped, or its event was gathered in another run.
func (m matchRows) start(t *tx, r encodedUpdate, out *engine.MatchResult) (dropped bool, err error) {
	if r.of.Gather != nil {
		joined, err := t.join(r, m.of.At, out)
		if err != nil || joined {
			return joined, err
		}
		r.run = slices.Clone(r.run)
		r.run[dueColumn] = nil // until its gathering is closed
		_, err = r.write(t)
		return false, err
	}
	p := r.of.Slot
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
	if !due.IsZero() && (out.Due.IsZero() || due.Before(out.Due)) {
		out.Due = due
	}
	r.run = slices.Clone(r.run)
	r.run[dueColumn] = millis(due)
	_, err = r.write(t)
	return false, err
}

func (s *Store) trace(conditions []engine.Condition, mask *redact.Masker) (driver.Value, error) {
	p := encodeBuffers.Get().(*[]byte)
	defer encodeBuffers.Put(p)
	b := append((*p)[:0], '[')
	for i, c := range conditions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if c.Error != "" {
			b = append(value.AppendText(append(b, `"error":`...), c.Error), ',')
		}
		b = append(value.AppendText(append(b, `"expr":`...), c.Expr), `,"result":`...)
		if c.Result == nil {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendBool(b, *c.Result)
		}
		if c.Values != nil {
			var err error
			if b, err = value.AppendStored(append(b, `,"values":`...), c.Values); err != nil {
				return nil, fmt.Errorf("it cannot be recorded: %w", err)
			}
		}
		b = append(b, '}')
	}
	if b = append(b, ']'); cap(b) <= keptBuffer {
		*p = b
	}
	b, _ = s.maskJSON(b, mask)
	return string(b), nil
}
