package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hookloom/hookloom/engine"
	"github.com/mattn/go-sqlite3"
)

// Finding is the result of one check of the database.
type Finding struct {
	// What was checked, in words; Rows is the number of rows checked, 0 where it has no meaning.
	What string `json:"what"`
	Rows int64  `json:"rows,omitempty"`
	// Wrong lists at most ten places where the check fails.
	Wrong []string `json:"wrong,omitempty"`
	// Alone reports whether each place concerns only one run or event: the database can still be
	// used.
	Alone bool `json:"alone,omitempty"`
}

// invariants are conditions that all rows must meet, each with a query for the rows that violate
// it.
var invariants = []struct{ what, query string }{
	{"each run has its event", `SELECT printf('run_%016x', id) FROM runs r
		WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id)`},
	{"each step has its run", `SELECT printf('run_%016x ', run_id) || path FROM steps s
		WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.run_id)`},
	{"only running runs have open attempts",
		`SELECT printf('run_%016x ', run_id) || path FROM steps s WHERE s.status = 'running'
			AND EXISTS (SELECT 1 FROM runs r WHERE r.id = s.run_id AND r.status <> 'running')`},
	{"no step of an ended run waits", `SELECT printf('run_%016x ', run_id) || path FROM steps s WHERE s.status = 'waiting'
		AND EXISTS (SELECT 1 FROM runs r WHERE r.id = s.run_id AND r.finished_at IS NOT NULL)`},
	{"no step has succeeded twice", `SELECT printf('run_%016x ', run_id) || path FROM steps WHERE status = 'succeeded'
		GROUP BY run_id, path HAVING count(*) > 1`},
	{"an event has one run of a workflow, except for replays",
		`SELECT printf('evt_%016x ', event_id) || workflow FROM (SELECT event_id, workflow FROM runs WHERE repeats IS NULL
		UNION ALL SELECT x.event_id, r.workflow FROM run_events x JOIN runs r ON r.id = x.run_id WHERE r.repeats IS NULL)
			GROUP BY event_id, workflow HAVING count(*) > 1`},
	{"each event that waits to be matched exists", `SELECT printf('evt_%016x', event_id) FROM inbox i
		WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = i.event_id)`},
	{"only open runs have a slot in a group", `SELECT printf('run_%016x', run_id) FROM places p WHERE state <> 'left'
		AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = p.run_id AND r.finished_at IS NULL)`},
	{"only runs that have not begun gather events",
		`SELECT printf('run_%016x', run_id) FROM gatherings g
			WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = g.run_id AND r.status = 'queued')`},
	{"each event of a run exists",
		`SELECT printf('evt_%016x', event_id) FROM run_events x WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = x.event_id)`},
	{"only open runs can be ended by an event", `SELECT printf('run_%016x', run_id) FROM cancel_keys c
		WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = c.run_id AND r.finished_at IS NULL)`},
	{"no group has more runs than its limit", `SELECT workflow || ' ' || grp FROM places WHERE grp IS NOT NULL GROUP BY workflow, grp
		HAVING count(*) FILTER (WHERE state = 'has') > max(max_runs)`},
	{waitsHaveSteps, `SELECT printf('run_%016x ', run_id) || path FROM waits w WHERE NOT EXISTS (SELECT 1 FROM steps s
		JOIN runs r ON r.id = s.run_id WHERE s.run_id = w.run_id AND s.path = w.path AND s.status = 'waiting' AND r.finished_at IS NULL)`},
	{stepsHaveWaits, `SELECT printf('run_%016x ', run_id) || path FROM steps s WHERE s.status = 'waiting'
		AND NOT EXISTS (SELECT 1 FROM waits w WHERE w.run_id = s.run_id AND w.path = s.path)`},
}

// An event looks up a wait without a step in vain, and a run whose step has lost its wait fails
// when it continues: each concerns one run only.
const (
	waitsHaveSteps = "each recorded wait belongs to a waiting step of an open run"
	stepsHaveWaits = "each waiting step has a recorded wait"
)

// Check checks the database: its structure, the checksum of each event, and the invariants of its
// rows. It may run while a server uses the database.
func (h *History) Check(ctx context.Context) ([]Finding, error) {
	var out []Finding
	if !h.postgres { // PostgreSQL has no such check without an extension
		var err error
		if out, err = h.structure(ctx); err != nil {
			return nil, err
		}
	}
	f, err := h.checksums(ctx)
	if err != nil && !damage(err) {
		return nil, err
	} else if err != nil {
		f.Wrong = append(f.Wrong, err.Error())
	}
	out = append(out, f)
	for _, x := range invariants {
		f := Finding{What: x.what, Alone: x.what == waitsHaveSteps || x.what == stepsHaveWaits}
		f.Wrong, err = collect(ctx, h.db, x.query+` LIMIT 10`, nil, func(r scanner) (text string, err error) {
			err = r.Scan(&text)
			return text, err
		})
		if err != nil && !damage(err) {
			return nil, fmt.Errorf("checking that %s: %w", x.what, err)
		}
		if err != nil {
			f.Wrong = []string{"cannot be checked: " + err.Error()}
		}
		out = append(out, f)
	}
	bad, looked, err := h.Unreadable(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil && !damage(err) {
		return nil, fmt.Errorf("reading each row: %w", err)
	}
	f = Finding{What: "each row can be read back", Rows: looked, Alone: err == nil}
	if err != nil {
		f.Wrong = append(f.Wrong, err.Error())
	}
	for _, b := range bad {
		f.Wrong = append(f.Wrong, b.String())
	}
	return append(out, f), nil
}

// structure checks the file of an SQLite database.
func (h *History) structure(ctx context.Context) ([]Finding, error) {
	structure, err := collect(ctx, h.db, `PRAGMA integrity_check(10)`, nil, func(r scanner) (text string, err error) {
		err = r.Scan(&text)
		return text, err
	})
	if err != nil && !damage(err) {
		return nil, fmt.Errorf("checking the structure: %w", err)
	}
	f := Finding{What: "the file's structure is sound (integrity_check)"}
	if len(structure) != 1 || structure[0] != "ok" {
		f.Wrong = structure
	}
	if err != nil {
		f.Wrong = append(f.Wrong, err.Error())
	}
	out := []Finding{f}
	if len(f.Wrong) > 0 {
		out = append(out, h.readable(ctx)...)
	}
	return out, nil
}

// damage reports whether a file cannot be read because of its content.
func damage(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrCorrupt || se.Code == sqlite3.ErrNotADB)
}

// readable reports, for each table of a damaged file, how many rows can be read before the first
// error.
func (h *History) readable(ctx context.Context) []Finding {
	tables, err := collect(ctx, h.db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`,
		nil, func(r scanner) (name string, err error) {
			err = r.Scan(&name)
			return name, err
		})
	if err != nil {
		return []Finding{{What: "the schema can be read", Wrong: []string{err.Error()}}}
	}
	var out []Finding
	for _, name := range tables {
		f := Finding{What: "table " + name + " can be read"}
		rows, err := h.db.QueryContext(ctx, `SELECT * FROM "`+name+`"`)
		if err == nil {
			for rows.Next() {
				f.Rows++
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		if err != nil {
			f.Wrong = []string{fmt.Sprintf("%d rows, then: %v", f.Rows, err)}
		}
		out = append(out, f)
	}
	return out
}

// checksums reads every event: SQLite's check of the structure does not detect a flipped bit.
func (h *History) checksums(ctx context.Context) (Finding, error) {
	f := Finding{What: "each event is as it was stored (checksum)"}
	rows, err := h.db.QueryContext(ctx, `SELECT id, trigger, key, type, body, crc FROM events WHERE stripped = 0`)
	if err != nil {
		return f, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, crc int64
		var trigger, key, kind string
		var body []byte
		if err := rows.Scan(&id, &trigger, &key, &kind, &body, &crc); err != nil {
			return f, classify(err)
		}
		f.Rows++
		if crc != checksum(trigger, key, kind, body) && len(f.Wrong) < 10 {
			f.Wrong = append(f.Wrong, engine.EventID(id).String())
		}
	}
	return f, classify(rows.Err())
}

// Size is how large the database is.
type Size struct {
	// Bytes is the length of the file, Free how many of them are unused, WAL the length of the log
	// next to it.
	Bytes, Free, WAL int64
}

// Size reads the size of the database.
func (h *History) Size(ctx context.Context) (Size, error) {
	var s Size
	if h.postgres {
		err := h.db.QueryRowContext(ctx, postgresSize).Scan(&s.Bytes)
		return s, classify(err)
	}
	var pages, free, size int64
	for query, to := range map[string]*int64{"page_count": &pages, "freelist_count": &free, "page_size": &size} {
		if err := h.db.QueryRowContext(ctx, "PRAGMA "+query).Scan(to); err != nil {
			return s, classify(err)
		}
	}
	s.Bytes, s.Free = pages*size, free*size
	if info, err := os.Stat(h.path + "-wal"); err == nil {
		s.WAL = info.Size()
	}
	return s, nil
}
