package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgres"
)

// History reads lists and details. It needs no lock, so the command line can read while a server
// runs.
type History struct {
	db   *sql.DB
	path string
	// postgres reports whether the database is on a PostgreSQL server; path is then its address for
	// messages.
	postgres bool
}

// OpenHistory opens an existing database for reading only. A database file with the schema of another
// version of the program is rejected: its lists would fail, or lack what was added since. On PostgreSQL,
// where nodes of two versions work side by side, each query reports what it lacks.
func OpenHistory(path string) (*History, error) {
	h, err := openAnySchema(path)
	if err != nil || h.postgres {
		return h, err
	}
	if err := h.schemaFits(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// OpenForBackup is OpenHistory for the backup of a database whose schema may be that of another
// version, as before an update of the program.
func OpenForBackup(path string) (*History, error) { return openAnySchema(path) }

func openAnySchema(path string) (*History, error) {
	if postgres.IsAddress(path) {
		a, err := postgres.Parse(path)
		if err != nil {
			return nil, err
		}
		return &History{openPostgresReaders(a, new(atomic.Int64)), a.String(), true}, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no database at %s: hookloom serve creates it, --db names another", path)
	}
	db, err := OpenReaders(path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &History{db, path, false}, nil
}

var (
	_ engine.History       = (*History)(nil)
	_ engine.RecordHistory = (*History)(nil)
)

// History returns the History of an open store.
func (s *Store) History() *History { return &History{s.readers, s.path, s.w.pg != nil} }

// Close releases the connections.
func (h *History) Close() error { return h.db.Close() }

// where collects conditions with their parameters; texts never become part of the SQL.
type where struct {
	parts []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	w.parts = append(w.parts, cond)
	w.args = append(w.args, args...)
}

func (w *where) String() string {
	if len(w.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.parts, " AND ")
}

// maxPage is the largest page, and one row more: a reader that asks for it sees whether there are more.
const maxPage = 1000 + 1

// page adds the cursor, the order and the limit.
func (w *where) page(q engine.Query, prefix, column string) (string, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	order := "DESC"
	if q.Ascending {
		order = "ASC"
	}
	if q.After != "" {
		n, err := parseAfter(q.After, prefix)
		if err != nil {
			return "", fmt.Errorf("%w: after must be the next of the previous page: %w", engine.ErrQuery, err)
		}
		if q.Ascending {
			w.add(column+" > ?", n)
		} else {
			w.add(column+" < ?", n)
		}
	}
	return fmt.Sprintf(" ORDER BY %s %s LIMIT %d", column, order, min(limit, maxPage)), nil
}

func parseAfter(s, prefix string) (int64, error) {
	switch prefix {
	case "evt_":
		id, err := engine.ParseEventID(s)
		return int64(id), err
	case "run_":
		id, err := engine.ParseRunID(s)
		return int64(id), err
	}
	return strconv.ParseInt(strings.TrimPrefix(s, prefix), 10, 64)
}

// like converts a text to a LIKE pattern that finds it anywhere.
func like(s string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s) + "%"
}

// maxScan is how many rows one search scans. Conditions without an index are searched in steps, so
// a page costs the same whatever the history's length.
const maxScan = 20_000

// span bounds a search to the next maxScan rows, by the filters that have an index. It returns the
// last of their ids, 0 if the list ends before.
func (h *History) span(ctx context.Context, table string, indexed where, q engine.Query, prefix string) (int64, error) {
	q.Limit = 1
	tail, err := indexed.page(q, prefix, "x.id")
	if err != nil {
		return 0, err
	}
	var last int64
	err = h.db.QueryRowContext(ctx, `SELECT x.id FROM `+table+` x`+indexed.String()+tail+fmt.Sprintf(" OFFSET %d", maxScan-1),
		indexed.args...).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return last, classify(err)
}

// within bounds a query to a span.
func (w *where) within(last int64, ascending bool, column string) {
	switch {
	case last == 0:
	case ascending:
		w.add(column+" <= ?", last)
	default:
		w.add(column+" >= ?", last)
	}
}

// listing describes a list that is read in pages.
type listing[T any] struct {
	// table contains its rows; column is their id in query, and prefix the beginning of their ids.
	table, column, prefix string
	// query selects an item, and scan reads it.
	query string
	scan  func(scanner) (T, error)
	// id returns the id of an item, name the id for a number.
	id   func(T) string
	name func(int64) string
}

// readPage reads a page by the conditions w. If they are costly, it scans only the next rows that
// x, the conditions with an index, finds.
func readPage[T any](ctx context.Context, h *History, q engine.Query, l listing[T], w, x where, costly bool) (engine.Page[T], error) {
	none := engine.Page[T]{}
	var last int64
	var err error
	if costly {
		if last, err = h.span(ctx, l.table, x, q, l.prefix); err != nil {
			return none, err
		}
		w.within(last, q.Ascending, l.column)
	}
	tail, err := w.page(q, l.prefix, l.column)
	if err != nil {
		return none, err
	}
	items, err := searchText(h, l.query+w.String()+tail, func(query string) ([]T, error) {
		return collect(ctx, h.db, query, w.args, l.scan)
	})
	return finish(items, q, last, l.id, l.name), err
}

// finish makes a page of the rows of a query. last is where its search paused.
func finish[T any](items []T, q engine.Query, last int64, id func(T) string, name func(int64) string) engine.Page[T] {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	p := engine.Page[T]{Items: items}
	switch {
	case len(items) == min(limit, 1000):
		p.Next = id(items[len(items)-1])
	case last != 0:
		at := engine.RunID(last).Time()
		p.Next, p.SearchedTo = name(last), &at
	}
	return p
}

// all collects the pages of a list up to the query's limit.
func all[T any](ctx context.Context, q engine.Query, page func(context.Context, engine.Query) (engine.Page[T], error)) ([]T, error) {
	out := []T{}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	for {
		q.Limit = limit - len(out)
		p, err := page(ctx, q)
		if err != nil {
			return nil, err
		}
		if out = append(out, p.Items...); len(out) >= limit || p.Next == "" || p.SearchedTo == nil {
			return out, nil
		}
		q.After = p.Next
	}
}

func collect[T any](ctx context.Context, db querier, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		out = append(out, item)
	}
	return out, classify(rows.Err())
}

// SecretUses lists how often each secret verified a delivery.
func (h *History) SecretUses(ctx context.Context) ([]engine.SecretUse, error) {
	return collect(ctx, h.db, `SELECT trigger, secret, count, first_at, last_at FROM secret_uses ORDER BY trigger, last_at DESC`, nil,
		func(s scanner) (engine.SecretUse, error) {
			var u engine.SecretUse
			var first, last int64
			err := s.Scan(&u.Trigger, &u.Secret, &u.Count, &first, &last)
			u.FirstAt, u.LastAt = fromMillis(first), fromMillis(last)
			return u, err
		})
}

// Counts are the metrics of the whole database.
type Counts struct {
	Open, Inbox int
}

// Counts counts open work, by partial indexes only.
func (h *History) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	err := h.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM runs INDEXED BY runs_due WHERE `+openRun+`) + (SELECT count(*)
		FROM runs WHERE status = 'running'), (SELECT count(*) FROM inbox)`).Scan(&c.Open, &c.Inbox)
	return c, classify(err)
}
