package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file adjusts stored times after the clock was set back.

// ClockStep describes the last time that the clock was set back.
type ClockStep struct {
	At time.Time `json:"at"`
	// Milliseconds by which it was set back.
	Milliseconds int64 `json:"by_ms"`
	// LastID is the newest event or run at that time: older ones do not indicate a new step.
	LastID int64 `json:"last_id"`
}

// ClockSetBack implements engine.Store.
func (s *Store) ClockSetBack(ctx context.Context, by time.Duration) error {
	return s.w.do(ctx, true, func(t *tx) error { return t.setBack(time.Now(), by) })
}

// noticed is how long it may take until a step is detected: times stored within it are assumed to
// be of the new clock already. So no sleep gets shorter.
const noticed = 1500

// shownUntil is the output of a waiting step, with its time moved back by ?1 milliseconds.
const shownUntil = `CASE WHEN json_valid(output) THEN json_set(output, '$.until',
	strftime('%Y-%m-%dT%H:%M:%fZ', output ->> '$.until', printf('-%.3f seconds', ?1 / 1000.0))) ELSE output END`

// setBack moves the ends of sleeps and waits, the times at which runs are due, and the starts that
// rates count.
func (t *tx) setBack(now time.Time, by time.Duration) error {
	ms, at := by.Milliseconds(), now.UnixMilli()
	err := t.exec(`UPDATE waits SET until = until - ?1 WHERE until IS NOT NULL AND NOT fixed AND NOT EXISTS (SELECT 1 FROM steps s
		WHERE s.run_id = waits.run_id AND s.path = waits.path AND s.status = 'waiting' AND s.started_at BETWEEN ?3 AND ?2)`, ms, at,
		at-noticed)
	if err == nil { // the output of a waiting step shows what it waits for
		err = t.exec(`UPDATE steps SET output = `+shownUntil+`,
			started_at = CASE WHEN started_at > ?2 THEN started_at - ?1 ELSE started_at END
			WHERE (run_id, path) IN (SELECT run_id, path FROM waits WHERE until IS NOT NULL AND NOT fixed) AND status = 'waiting'
			AND NOT started_at BETWEEN ?3 AND ?2`, ms, at, at-noticed)
	}
	if err == nil {
		err = t.exec(`UPDATE runs SET due_at = due_at - ? WHERE `+openRun+` AND due_at > ?`, ms, at)
	}
	if err == nil {
		err = t.exec(`UPDATE places SET starts_at = starts_at - ?1 WHERE rate_grp IS NOT NULL AND starts_at IS NOT NULL AND NOT (started = 1 `+
			`AND starts_at BETWEEN ?3 AND ?2)`, ms, at, at-noticed)
	}
	if err != nil {
		return err
	}
	return t.noteClockStep(now, ms)
}

func (t *tx) noteClockStep(now time.Time, ms int64) error {
	v := make([]driver.Value, 1)
	if _, err := t.row(`SELECT max(coalesce((SELECT max(id) FROM events), 0), coalesce((SELECT max(id) FROM runs), 0))`, v); err != nil {
		return err
	}
	last, _ := v[0].(int64)
	text, err := json.Marshal(ClockStep{At: now.UTC(), Milliseconds: ms, LastID: last})
	if err != nil {
		return err
	}
	return t.exec(`INSERT INTO meta (name, value) VALUES ('clock_step', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		string(text))
}

// clockWasSetBack detects by the newest event and run that the clock was set back while no process
// ran. It adjusts the stored times, and returns the smallest possible step.
func (t *tx) clockWasSetBack(now time.Time) (time.Duration, error) {
	v := make([]driver.Value, 1)
	after := ClockStep{}
	if found, err := t.row(`SELECT value FROM meta WHERE name = 'clock_step'`, v); err != nil {
		return 0, err
	} else if text, _ := v[0].(string); found {
		if err := json.Unmarshal([]byte(text), &after); err != nil {
			after = ClockStep{}
		}
	}
	newest := int64(0)
	for _, query := range []string{`SELECT created_at FROM runs WHERE id > ? ORDER BY id DESC LIMIT 1`,
		`SELECT received_at FROM events WHERE id > ? ORDER BY id DESC LIMIT 1`} {
		v[0] = nil
		if _, err := t.row(query, v, after.LastID); err != nil {
			return 0, err
		}
		at, _ := v[0].(int64)
		newest = max(newest, at)
	}
	by := time.Duration(newest-now.UnixMilli()) * time.Millisecond
	if by < engine.ClockSteps {
		return 0, nil
	}
	return by, t.setBack(now, by)
}

// ClockStep returns the last time that the clock was set back; nil if never.
func (h *History) ClockStep(ctx context.Context) (*ClockStep, error) {
	var text string
	err := h.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'clock_step'`).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, classify(err)
	}
	var c ClockStep
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return nil, nil // written by another build
	}
	return &c, nil
}
