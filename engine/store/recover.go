package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/atomicfile"
	"github.com/mattn/go-sqlite3"
)

// This file copies the readable part of a damaged database into a new one. The damaged files are
// only read.

// Salvaged is what was readable of one table.
type Salvaged struct {
	Table string `json:"table"`
	// Rows is the number of rows read and copied.
	Rows int64 `json:"rows"`
	// Gaps is how often rows could not be read; Refused counts rows that were read but are damaged:
	// a wrong checksum, an impossible state.
	Gaps    int   `json:"gaps"`
	Refused int64 `json:"refused"`
	// Problem is the first error.
	Problem string `json:"problem,omitempty"`
}

// Recovered is the result of Recover.
type Recovered struct {
	File   string     `json:"file"`
	Tables []Salvaged `json:"tables"`
	Events int64      `json:"events"`
	Runs   int64      `json:"runs"`
	// Orphans counts rows that were left out because the row they belong to is lost.
	Orphans int64 `json:"orphans"`
	// Undecided counts events with neither a decision nor a run: theirs are lost.
	Undecided int64 `json:"undecided_events"`
	// Open counts runs that continue when the file is used.
	Open int64 `json:"open_runs"`
}

// Damaged reports whether anything was lost.
func (r *Recovered) Damaged() bool {
	return r.Orphans > 0 || slices.ContainsFunc(r.Tables, func(t Salvaged) bool { return t.Gaps > 0 || t.Refused > 0 || t.Problem != "" })
}

// Recover copies the readable part of the database at path into a new file, which must not exist.
// The files at path are not changed.
func Recover(ctx context.Context, path, file string) (*Recovered, error) {
	if exists(file) {
		return nil, fmt.Errorf("%s already exists: give the name of a new file", file)
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), ".hookloom-recover-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the copy: %w", err)
	}
	out, err := recoverIn(ctx, dir, realPath(path))
	if err == nil {
		err = os.Rename(filepath.Join(dir, "new.db"), file)
	}
	if err == nil {
		out.File, err = file, atomicfile.SyncDir(filepath.Dir(file))
	}
	return out, errors.Join(err, os.RemoveAll(dir))
}

func recoverIn(ctx context.Context, dir, path string) (*Recovered, error) {
	damaged := filepath.Join(dir, "damaged.db")
	for _, side := range []string{"", "-wal"} {
		if err := copyFile(path+side, damaged+side); err != nil && (side == "" || !errors.Is(err, os.ErrNotExist)) {
			return nil, fmt.Errorf("copying %s: %w", path+side, err)
		}
	}
	from := sql.OpenDB(fileConnector("file:" + escapePath(damaged) + "?mode=rw&_query_only=1"))
	defer from.Close()
	from.SetMaxOpenConns(1)
	var version int
	if err := from.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return nil, fmt.Errorf("%s cannot be read at all, because its schema is damaged: %w", path, err)
	}
	// Tables that this program does not know would be left out.
	if files, err := fs.Glob(migrations, "migrations/sqlite/*.sql"); err != nil || version > len(files) {
		return nil, cmp.Or(err, newerFile(path, version, len(files)))
	}
	conn, err := openConn(filepath.Join(dir, "new.db"), "rwc", "FULL")
	if err != nil {
		return nil, err
	}
	s := &salvage{from: from, to: conn, out: &Recovered{}}
	err = s.all(ctx, version)
	if err = errors.Join(err, conn.Close()); err != nil {
		return nil, err
	}
	return s.out, checkCopy(ctx, filepath.Join(dir, "new.db"))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// salvage copies tables from a damaged database to a new one.
type salvage struct {
	from *sql.DB
	to   *sqlite3.SQLiteConn
	out  *Recovered
}

func (s *salvage) all(ctx context.Context, version int) error {
	// The rows have the damaged file's schema; later migrations convert them.
	if err := migrateTo(s.to, version); err != nil {
		return err
	}
	if _, err := s.to.Exec("BEGIN", nil); err != nil {
		return err
	}
	tables, err := names(s.to, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		return err
	}
	for _, name := range tables {
		t, err := s.table(ctx, name)
		if err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		s.out.Tables = append(s.out.Tables, *t)
	}
	if err := s.orphans(tables); err != nil {
		return err
	}
	if _, err := s.to.Exec("COMMIT", nil); err != nil {
		return err
	}
	if err := migrate(s.to); err != nil {
		return err
	}
	for query, n := range map[string]*int64{`SELECT count(*) FROM events`: &s.out.Events, `SELECT count(*) FROM runs`: &s.out.Runs,
		`SELECT count(*) FROM runs WHERE finished_at IS NULL`: &s.out.Open,
		`SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.event_id = e.id) AND NOT EXISTS (SELECT 1
			FROM runs r WHERE r.event_id = e.id)
			AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.event_id = e.id) AND NOT EXISTS (SELECT 1 FROM ended_waits x
				WHERE x.event_id = e.id)`: &s.out.Undecided} {
		text, err := queryText(s.to, query)
		if err == nil {
			_, err = fmt.Sscan(text, n)
		}
		if err != nil {
			return err
		}
	}
	_, err = queryText(s.to, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// names reads a query of one text.
func names(conn *sqlite3.SQLiteConn, query string) (out []string, err error) {
	rows, err := conn.Query(query, nil)
	if err != nil {
		return nil, err
	}
	v := make([]driver.Value, 1)
	for err = rows.Next(v); err == nil; err = rows.Next(v) {
		out = append(out, fmt.Sprint(v[0]))
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return out, errors.Join(err, rows.Close())
}

// table copies the readable part of one table.
func (s *salvage) table(ctx context.Context, name string) (*Salvaged, error) {
	t := &Salvaged{Table: name}
	columns, err := names(s.to, `SELECT name FROM pragma_table_info('`+name+`')`)
	if err != nil {
		return nil, err
	}
	key, err := names(s.to, `SELECT name FROM pragma_table_info('`+name+`') WHERE pk > 0 ORDER BY pk`)
	if err != nil {
		return nil, err
	}
	without, err := names(s.to, `SELECT wr FROM pragma_table_list('`+name+`')`)
	if err != nil {
		return nil, err
	}
	prepared, err := s.to.Prepare(`INSERT OR REPLACE INTO "` + name + `" ("` + strings.Join(columns, `", "`) + `") VALUES (` +
		strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + `)`)
	if err != nil {
		return nil, err
	}
	defer prepared.Close()
	insert, ok := prepared.(*sqlite3.SQLiteStmt)
	if !ok {
		return nil, fmt.Errorf("preparing the insert of %s: %T", name, prepared)
	}
	r := &reader{from: s.from, name: name, columns: columns, t: t, put: func(v []driver.Value) error {
		if name == "events" && !soundEvent(columns, v) {
			t.Refused++
			return nil
		}
		if _, err := insert.Exec(v); err != nil {
			t.Refused++ // an impossible state
			return nil
		}
		t.Rows++
		return nil
	}}
	if len(without) == 1 && without[0] == "1" {
		return t, r.byKey(ctx, key)
	}
	return t, r.byRow(ctx)
}

// soundEvent reports whether an event matches its checksum.
func soundEvent(columns []string, v []driver.Value) bool {
	at := func(name string) driver.Value {
		if i := slices.Index(columns, name); i >= 0 {
			return v[i]
		}
		return nil
	}
	text := func(name string) string {
		switch x := at(name).(type) {
		case string:
			return x
		case []byte:
			return string(x)
		}
		return ""
	}
	var body []byte
	switch x := at("body").(type) {
	case []byte:
		body = x
	case string:
		body = []byte(x)
	}
	stripped, _ := at("stripped").(int64)
	crc, _ := at("crc").(int64)
	return stripped == 1 || crc == checksum(text("trigger"), text("key"), text("type"), body)
}

// orphans removes rows that belong to lost rows.
func (s *salvage) orphans(tables []string) error {
	for _, x := range []struct{ table, where string }{
		{"runs", `NOT EXISTS (SELECT 1 FROM events e WHERE e.id = runs.event_id)`},
		{"steps", `NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = steps.run_id)`},
		{"steps", `status = 'waiting' AND EXISTS (SELECT 1 FROM runs r WHERE r.id = steps.run_id AND r.finished_at IS NOT NULL)`},
		{"waits", `NOT EXISTS (SELECT 1 FROM steps s WHERE s.run_id = waits.run_id AND s.path = waits.path AND s.status = 'waiting')`},
		{"inbox", `NOT EXISTS (SELECT 1 FROM events e WHERE e.id = inbox.event_id)`},
		{"places", `state <> 'left' AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = places.run_id AND r.finished_at IS NULL)`},
		{"held_runs", `NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = held_runs.run_id)`},
		{"answers", `NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = answers.run_id)`},
	} {
		if !slices.Contains(tables, x.table) {
			continue
		}
		r, err := s.to.Exec(`DELETE FROM `+x.table+` WHERE `+x.where, nil)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if err != nil {
			return err
		}
		s.out.Orphans += n
	}
	// A running run has its open attempt; open attempts of other runs are in doubt.
	_, err := s.to.Exec(`UPDATE steps SET status = 'unknown', finished_at = started_at WHERE status = 'running' AND NOT EXISTS (SELECT 1 `+
		`FROM runs r WHERE r.id = steps.run_id AND r.status = 'running')`, nil)
	return err
}
