package store

import (
	"database/sql/driver"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file counts the starts of runs whose workflow has a rate. A planned start (flow.go) is not
// sufficient: after a pause of the process all runs planned in the meantime are due at once. So the
// start is counted here, when the run really starts, and only as many as the rate allows within any
// interval.

const (
	takesRun = `UPDATE runs SET status = 'running',`
	takeRun  = takesRun + ` due_at = NULL, started_at = coalesce(started_at, ?2) WHERE id = ?1 AND status IN ` +
		`('queued', 'waiting')`
	// unstarted reads the rate of a run that has not started.
	unstarted = `SELECT workflow, rate_grp, rate_limit, rate_per, starts_at FROM places WHERE run_id = ? AND started = 0 AND rate_grp ` +
		`IS NOT NULL`
)

// take marks a run as running; it reports whether it could. If a rate does not allow the start yet,
// the run is rescheduled.
func (t *tx) take(run int64, now time.Time) (bool, error) {
	if t.takenAhead(run) {
		t.changedRun(engine.RunID(run), engine.Running)
		return true, nil
	}
	err := t.exec(takeRun+` AND NOT EXISTS (SELECT 1 FROM places WHERE run_id = ?1 AND started = 0 AND rate_grp IS NOT NULL)`, run,
		now.UnixMilli())
	if err != nil {
		return false, err
	}
	if t.changes > 0 {
		t.changedRun(engine.RunID(run), engine.Running)
		return true, nil
	}
	v := make([]driver.Value, 5)
	found, err := t.row(unstarted, v, run)
	planned, has := v[4].(int64)
	if err != nil || !found || !has || planned > now.UnixMilli() {
		return false, err // it has changed, or was rescheduled since it was found due
	}
	r := rateGroup{}
	r.workflow, _ = v[0].(string)
	r.group, _ = v[1].(string)
	r.limit, _ = v[2].(int64)
	r.per, _ = v[3].(int64)
	at, err := t.allowed(r)
	if err != nil {
		return false, err
	}
	if at > now.UnixMilli() {
		return false, t.delay(run, r, planned, at)
	}
	if err := t.exec(takeRun, run, now.UnixMilli()); err != nil || t.changes == 0 {
		return false, err
	}
	t.changedRun(engine.RunID(run), engine.Running)
	return true, t.exec(`UPDATE places SET started = 1, starts_at = ? WHERE run_id = ?`, now.UnixMilli(), run)
}

// rateGroup is one group of a workflow's rate; per is in milliseconds.
type rateGroup struct {
	workflow, group string
	limit, per      int64
}

// allowed is when one more run may start: one interval of the rate after the start that lies limit
// starts back.
func (t *tx) allowed(r rateGroup) (int64, error) {
	v := make([]driver.Value, 1)
	found, err := t.row(`SELECT starts_at FROM places WHERE workflow = ? AND rate_grp = ? AND rate_grp IS NOT NULL AND started = 1 ORDER BY `+
		`starts_at DESC LIMIT 1 OFFSET ?`, v, r.workflow, r.group, r.limit-1)
	if err != nil || !found {
		return 0, err
	}
	first, _ := v[0].(int64)
	return first + r.per, nil
}

// delay reschedules a run that may not start yet. If it is late by more than a short congestion
// explains, all planned runs of its group are late too, and are moved by the same amount: they keep
// their order and their distances.
func (t *tx) delay(run int64, r rateGroup, planned, at int64) error {
	if at-planned < r.per/10 {
		if err := t.exec(`UPDATE places SET starts_at = ? WHERE run_id = ?`, at, run); err != nil {
			return err
		}
		return t.exec(`UPDATE runs SET due_at = ? WHERE id = ? AND status = 'queued'`, at, run)
	}
	v := make([]driver.Value, 1)
	if _, err := t.row(`SELECT min(starts_at) FROM places WHERE workflow = ? AND rate_grp = ? AND rate_grp IS NOT NULL AND started = 0`, v,
		r.workflow, r.group); err != nil {
		return err
	}
	first, _ := v[0].(int64)
	if err := t.exec(`UPDATE places SET starts_at = starts_at + ? WHERE workflow = ? AND rate_grp = ? AND rate_grp IS NOT NULL AND started = `+
		`0 AND starts_at IS NOT NULL`, at-first, r.workflow, r.group); err != nil {
		return err
	}
	return t.exec(`UPDATE runs SET due_at = max(due_at, (SELECT starts_at FROM places WHERE run_id = runs.id)) WHERE `+queuedAmong+`
		SELECT run_id FROM places WHERE workflow = ? AND rate_grp = ? AND rate_grp IS NOT NULL AND started = 0
			AND starts_at IS NOT NULL)`, r.workflow, r.group)
}

// retakeStarts uncounts the starts of runs that the end of the process cut off before their first
// step: they start again, and the rate counts them then.
func (t *tx) retakeStarts() error {
	const cut = `SELECT p.run_id FROM places p JOIN runs r ON r.id = p.run_id WHERE p.rate_grp IS NOT NULL AND r.status IN ('queued', ` +
		`'running') AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.run_id = r.id)`
	if err := t.exec(`UPDATE runs SET started_at = NULL WHERE id IN (` + cut + ` AND p.started = 1)`); err != nil {
		return err
	}
	return t.exec(`UPDATE places SET started = 0 WHERE started = 1 AND run_id IN (` + cut + `)`)
}
