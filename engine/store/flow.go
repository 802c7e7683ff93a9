package store

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file counts the slots of runs whose workflow has concurrency or rate. All of it runs inside
// the writer's transactions, so two events never see the same free slot.
//
// A place in a group is a row, and its number is its rowid. In SQLite that is the id of its run: one
// process assigns all ids, and orders the events of a group before it makes their runs
// (intake/ordered.go), so ids rise in the order of arrival. Ids of several nodes do not: PostgreSQL
// numbers the rows in the order in which they are added, which is that of the commits.

// enter requests a slot for a new run. It returns when the run is due, zero if it is parked until
// its turn, and the runs that it replaces. If dropped is not empty, the run must not be made.
func (t *tx) enter(run engine.RunID, p *engine.SlotRequest, now time.Time) (due time.Time, replaced []engine.RunID, dropped string,
	err error) {
	c, err := t.groupState(p)
	if err != nil {
		return due, nil, "", err
	}
	a := p.Admit(c, now)
	if a.Drop != "" {
		return due, nil, a.Drop, nil
	}
	if a.Replace {
		if replaced, err = t.replace(p); err != nil {
			return due, nil, "", err
		}
	}
	// A run without a group is limited only by its rate.
	state, group, starts, rate := "waits", driver.Value(nil), driver.Value(nil), driver.Value(nil)
	if a.Begins {
		state, due, starts = "has", a.Start, a.Start.UnixMilli()
	}
	if p.Limit > 0 {
		group = p.Group
	} else {
		state = "left"
	}
	if p.RateLimit > 0 {
		rate = p.RateGroup
		if err := t.exec(`DELETE FROM places WHERE workflow = ? AND rate_grp = ? AND rate_grp IS NOT NULL AND started = 1 AND state = 'left' `+
			`AND starts_at < ?`, p.Workflow, p.RateGroup, now.Add(-p.RatePer).UnixMilli()); err != nil {
			return due, nil, "", err
		}
	}
	err = t.exec(`INSERT INTO places (run_id, workflow, grp, state, max_runs, stale, rate_grp, rate_limit, rate_per, starts_at) VALUES (?, `+
		`?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(run), p.Workflow, group, state, int64(p.Limit), p.Stale, rate, int64(p.RateLimit), p.RatePer.Milliseconds(), starts)
	return due, replaced, "", err
}

// groupState counts the runs in the groups of a slot.
func (t *tx) groupState(p *engine.SlotRequest) (c engine.GroupState, err error) {
	if p.Limit > 0 {
		if c.AtWork, err = t.count(`SELECT count(*) FROM places WHERE workflow = ? AND grp = ? AND state IN ('has', 'replaced')`, p.Workflow,
			p.Group); err != nil {
			return c, err
		}
		if c.Queued, err = t.count(`SELECT count(*) FROM places WHERE workflow = ? AND grp = ? AND state = 'waits'`, p.Workflow,
			p.Group); err != nil {
			return c, err
		}
	}
	if p.Stale != nil {
		v := make([]driver.Value, 1)
		if _, err := t.row(`SELECT max(value) FROM (SELECT value FROM newest WHERE workflow = ?1 AND grp = ?2 UNION ALL SELECT stale FROM `+
			`places WHERE workflow = ?1 AND grp = ?2 AND state <> 'replaced')`, v, p.Workflow, p.Group); err != nil {
			return c, err
		}
		c.Newest = v[0]
	}
	c.NextStart, err = t.nextStart(p.Workflow, p.RateGroup, p.RateLimit, p.RatePer)
	return c, err
}

func (t *tx) count(query string, args ...driver.Value) (int, error) {
	v := make([]driver.Value, 1)
	_, err := t.row(query, v, args...)
	n, _ := v[0].(int64)
	return int(n), err
}

// nextStart is the earliest time at which a rate allows another start.
func (t *tx) nextStart(workflow, group string, limit int, per time.Duration) (time.Time, error) {
	if limit == 0 {
		return time.Time{}, nil
	}
	v := make([]driver.Value, 1)
	found, err := t.row(`SELECT starts_at FROM places WHERE workflow = ? AND rate_grp = ? AND starts_at IS NOT NULL ORDER BY starts_at DESC `+
		`LIMIT 1`, v, workflow, group)
	if err != nil || !found {
		return time.Time{}, err
	}
	last, _ := v[0].(int64)
	found, err = t.row(`SELECT starts_at FROM places WHERE workflow = ? AND rate_grp = ? AND starts_at IS NOT NULL ORDER BY starts_at DESC `+
		`LIMIT 1 OFFSET ?`, v, workflow, group, int64(limit-1))
	if err != nil {
		return time.Time{}, err
	}
	var back time.Time
	if first, _ := v[0].(int64); found {
		back = fromMillis(first)
	}
	return engine.RateStart(fromMillis(last), back, per), nil
}

// replace marks the runs that a new one replaces.
func (t *tx) replace(p *engine.SlotRequest) ([]engine.RunID, error) {
	waiting, err := t.inGroup(p, "waits")
	if err != nil {
		return nil, err
	}
	atWork, err := t.inGroup(p, "has")
	if err != nil {
		return nil, err
	}
	out := p.Replaces(waiting, atWork)
	for _, id := range out {
		if err := t.exec(`UPDATE places SET state = 'replaced' WHERE run_id = ?`, int64(id)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inGroup lists the runs of a group in a given state, in the order of arrival.
func (t *tx) inGroup(p *engine.SlotRequest, state string) (out []engine.RunID, err error) {
	err = t.each(`SELECT run_id FROM places WHERE workflow = ? AND grp = ? AND state = ? ORDER BY rowid`, 1, func(v []driver.Value) {
		id, _ := v[0].(int64)
		out = append(out, engine.RunID(id))
	}, p.Workflow, p.Group, state)
	return out, err
}

// leave releases the slot of an ended run and starts the runs that wait for it. It returns when the
// first of them is due, zero if there is none.
func (t *tx) leave(r *engine.Run, now time.Time) (next time.Time, err error) {
	// A run that did not start does not count for a rate.
	if err := t.exec(`DELETE FROM places WHERE run_id = ? AND state = 'left' AND started = 0`, int64(r.ID)); err != nil || t.changes > 0 {
		return time.Time{}, err
	}
	v := make([]driver.Value, 4)
	found, err := t.row(`SELECT workflow, grp, stale, rate_grp FROM places WHERE run_id = ? AND state <> 'left'`, v, int64(r.ID))
	if err != nil || !found {
		return time.Time{}, err
	}
	workflow, _ := v[0].(string)
	group, grouped := v[1].(string)
	if v[2] != nil && r.Status == engine.Succeeded {
		if err := t.exec(`INSERT INTO newest (workflow, grp, value, run_id) VALUES (?, ?, ?, ?)
			ON CONFLICT (workflow, grp) DO UPDATE SET value = excluded.value, run_id = excluded.run_id WHERE excluded.value > newest.value`,
			workflow, group, v[2], int64(r.ID)); err != nil {
			return time.Time{}, err
		}
	}
	// The start still counts for the rate; a run that did not start does not.
	if err := t.exec(`DELETE FROM places WHERE run_id = ? AND (rate_grp IS NULL OR started = 0)`, int64(r.ID)); err != nil {
		return time.Time{}, err
	}
	if err := t.exec(`UPDATE places SET state = 'left', grp = NULL WHERE run_id = ?`, int64(r.ID)); err != nil || !grouped {
		return time.Time{}, err
	}
	for {
		due, more, err := t.promote(workflow, group, now)
		if err != nil || !more {
			return next, err
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
}

// promote gives a free slot of a group to the run that has waited longest.
func (t *tx) promote(workflow, group string, now time.Time) (due time.Time, more bool, err error) {
	v := make([]driver.Value, 5)
	found, err := t.row(`SELECT run_id, max_runs, rate_grp, rate_limit, rate_per FROM places WHERE workflow = ? AND grp = ? AND state = `+
		`'waits' ORDER BY rowid LIMIT 1`, v, workflow, group)
	if err != nil || !found {
		return due, false, err
	}
	run, _ := v[0].(int64)
	limit, _ := v[1].(int64)
	var c engine.GroupState
	if c.AtWork, err = t.count(`SELECT count(*) FROM places WHERE workflow = ? AND grp = ? AND state IN ('has', 'replaced')`, workflow,
		group); err != nil {
		return due, false, err
	}
	rate, _ := v[2].(string)
	rateLimit, _ := v[3].(int64)
	per, _ := v[4].(int64)
	if c.NextStart, err = t.nextStart(workflow, rate, int(rateLimit), time.Duration(per)*time.Millisecond); err != nil {
		return due, false, err
	}
	due, begins := c.Turn(int(limit), now)
	if !begins {
		return due, false, nil
	}
	if err := t.exec(`UPDATE places SET state = 'has', starts_at = ? WHERE run_id = ?`, due.UnixMilli(), run); err != nil {
		return due, false, err
	}
	t.signal(engine.SignalDue)
	return due, true, t.exec(`UPDATE runs SET due_at = ? WHERE id = ? AND status = 'queued'`, due.UnixMilli(), run)
}

// Replaced implements engine.Store.
func (s *Store) Replaced(ctx context.Context) ([]engine.RunID, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT run_id FROM places WHERE state = 'replaced'`)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var out []engine.RunID
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, classify(err)
		}
		out = append(out, engine.RunID(id))
	}
	return out, classify(rows.Err())
}

// Pause implements engine.Store.
func (s *Store) Pause(ctx context.Context, p engine.Pause) error {
	return s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalSwitches)
		return t.exec(`INSERT INTO paused (key, endpoint, run, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, p.Key, p.Endpoint, p.Run,
			p.At.UnixMilli())
	})
}

// Unpause implements engine.Store.
func (s *Store) Unpause(ctx context.Context, key string) error {
	return s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalSwitches)
		return t.exec(`DELETE FROM paused WHERE key = ?`, key)
	})
}

// Paused implements engine.Store.
func (s *Store) Paused(ctx context.Context) ([]engine.Pause, error) {
	return collect(ctx, s.readers, `SELECT key, endpoint, run, at FROM paused ORDER BY at`, nil, func(r scanner) (engine.Pause, error) {
		var p engine.Pause
		var at int64
		err := r.Scan(&p.Key, &p.Endpoint, &p.Run, &at)
		p.At = fromMillis(at)
		return p, err
	})
}
