package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/store/postgres"
)

// This file copies a whole database into an empty one, usually of the other kind, and compares both.

// CopiedTable is a table that was copied and compared.
type CopiedTable struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	// Left are the keys of rows that only the source has: a SQLite file has no such table.
	Left []string `json:"left,omitempty"`
}

// copyStep is how many rows are written in one transaction.
const copyStep = 500

// notCopied are the tables that belong to one database.
var notCopied = []string{"nodes", "turn", "beats", "leases", "deciding", "shared_rules", "orders_to_nodes",
	"permit_starts", "permit_slots", "certificate_claims", "hour_counts", "dead_causes", "migrations", "events_view", "runs_view",
	"steps_view"}

// onlyPostgres are tables that a SQLite file does not have: what they hold is in the project's folder
// there. Their rows are encrypted with the project's key, and copied as they are.
var onlyPostgres = []string{"captured_secrets", "awaited_secrets", "certificates"}

// CopyDatabase copies all rows of one database into another one, which must be empty, and compares
// them row by row. No process may use either of them. The copy keeps the ids, the keys and the name of
// the installation: open runs continue there with the same idempotency keys. The source is then marked as
// copied: no server opens it again (CopiedError), and it is not copied a second time.
func CopyDatabase(ctx context.Context, from, to string, o Options) (_ []CopiedTable, err error) {
	o.Verb = "db copy"
	source, err := Open(ctx, from, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	var mark *CopiedError
	if err := source.copied(ctx); errors.As(err, &mark) {
		return nil, copiedAgain(mark)
	} else if err != nil {
		return nil, err
	}
	target, err := Open(ctx, to, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := source.incomplete(ctx); err != nil {
		return nil, fmt.Errorf("database %s: %w", source.path, err)
	}
	if err := target.mayTakeCopy(ctx); err != nil {
		return nil, err
	}
	if err := target.beginCopy(ctx, postgres.Name(source.path)); err != nil {
		return nil, err
	}
	var out []CopiedTable
	for _, table := range tables {
		if slices.Contains(notCopied, table) {
			continue
		}
		c := &copier{source: source, target: target, table: table}
		if slices.Contains(onlyPostgres, table) && (source.w.pg == nil || target.w.pg == nil) {
			left, err := c.left(ctx)
			if err != nil {
				return out, fmt.Errorf("reading table %s: %w", table, err)
			}
			if len(left) > 0 {
				out = append(out, CopiedTable{Table: table, Left: left})
			}
			continue
		}
		if err := c.run(ctx); err != nil {
			return out, fmt.Errorf("copying table %s: %w", table, err)
		}
		out = append(out, CopiedTable{Table: table, Rows: c.rows})
	}
	// In this order: after a crash in between neither of them is served, and then not both are.
	if err := source.markCopied(ctx, postgres.Name(target.path)); err != nil {
		return out, err
	}
	return out, target.endCopy(ctx)
}

// mayTakeCopy returns an error if the database has rows that are not those of an interrupted copy.
func (s *Store) mayTakeCopy(ctx context.Context) error {
	var interrupted *IncompleteCopyError
	if err := s.incomplete(ctx); errors.As(err, &interrupted) {
		return nil
	} else if err != nil {
		return err
	}
	for _, table := range []string{"events", "runs", "keys", "audit", "quarantine"} {
		var n int64
		if err := s.readers.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("database %s is not empty: its table %s has %d rows; name a new one", s.path, table, n)
		}
	}
	return nil
}

// copier copies one table.
type copier struct {
	source, target *Store
	table          string
	columns        []string
	// types are PostgreSQL's types of the columns.
	types map[string]string
	// rest is the end of the statement that reads the rows: their condition or their order.
	rest string
	rows int64
}

// left lists what the source has and the target has no table for.
func (c *copier) left(ctx context.Context) ([]string, error) {
	key := "name"
	switch {
	case c.source.w.pg == nil:
		return nil, nil
	case c.table == "awaited_secrets":
		key = "trigger"
	}
	return collect(ctx, c.source.readers, "SELECT "+key+" FROM "+c.table+" ORDER BY 1", nil, func(r scanner) (name string, err error) {
		return name, r.Scan(&name)
	})
}

func (c *copier) run(ctx context.Context) error {
	if err := c.read(ctx); err != nil {
		return err
	}
	insert, err := c.statement(ctx)
	if err != nil {
		return err
	}
	var batch [][]driver.Value
	flush := func() error {
		rows := batch
		batch = nil
		if insert == "" {
			return nil
		}
		return c.write(ctx, func(t *tx) error {
			for _, r := range rows {
				if err := t.put(insert, r...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	sum, err := c.each(ctx, c.source, func(row []driver.Value) error {
		if batch = append(batch, row); len(batch) < copyStep {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = c.advance(ctx)
	}
	if err != nil {
		return err
	}
	n := c.rows
	copied, err := c.each(ctx, c.target, func([]driver.Value) error { return nil })
	if err != nil || copied == sum && c.rows == n {
		return err
	}
	where, err := c.difference(ctx)
	return errors.Join(fmt.Errorf("the copy differs from the source: %s (%d rows were read, %d are in the copy)\n"+
		"Nothing has moved: the source can be served as before. Copy it again, into a new database", where, n, c.rows), err)
}

// statement prepares the table of the target, and returns the statement that adds a row.
func (c *copier) statement(ctx context.Context) (string, error) {
	switch {
	case c.table == keptSize && c.target.w.pg != nil: // a view
		return "", nil
	case c.table == keptSize: // it has one row
		return "UPDATE kept_size SET bytes = ?1, keys = ?2", nil
	}
	marks := make([]string, len(c.columns))
	for i := range marks {
		marks[i] = fmt.Sprintf("?%d", i+1)
	}
	insert := "INSERT INTO " + c.table + " (" + strings.Join(c.columns, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
	// A new database has rows in meta and feed.
	remove := "DELETE FROM " + c.table
	if c.table == "meta" {
		remove += " WHERE name <> '" + copyOf + "'"
	}
	return insert, c.write(ctx, func(t *tx) error { return t.exec(remove) })
}

// keptSize is a table of one row in SQLite, and a view in PostgreSQL.
const keptSize = "kept_size"

func (c *copier) write(ctx context.Context, apply func(*tx) error) error {
	return c.target.w.do(ctx, true, apply)
}

// read reads the names of the columns, and their order, from the source and the target.
func (c *copier) read(ctx context.Context) error {
	names := map[*Store][]string{}
	ordered := false
	for _, s := range []*Store{c.source, c.target} {
		query := `SELECT name FROM pragma_table_info(?)`
		args := []any{c.table}
		if s.w.pg != nil {
			query = `SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ?`
			args = []any{s.w.pg.address.Schema, c.table}
			if err := c.readTypes(ctx, s, args); err != nil {
				return err
			}
		}
		list, err := collect(ctx, s.readers, query, args, func(r scanner) (name string, err error) { return name, r.Scan(&name) })
		if err != nil {
			return err
		}
		ordered = ordered || slices.Contains(list, "rowid")
		list = slices.DeleteFunc(list, func(n string) bool {
			return n == "rowid" || n == "owner_node" || n == "lane" || n == "id" && c.table == keptSize
		})
		slices.Sort(list)
		names[s] = list
	}
	if c.columns = names[c.source]; len(c.columns) == 0 || !slices.Equal(c.columns, names[c.target]) {
		return fmt.Errorf("its columns are %v in one database, and %v in the other", names[c.source], names[c.target])
	}
	switch {
	case c.table == "places":
		c.rest = " ORDER BY run_id"
	case c.table == "inbox":
		c.rest = " ORDER BY event_id"
	case ordered: // the order in which the rows were added counts
		c.rest = " ORDER BY rowid"
	}
	if c.table == "meta" {
		c.rest = " WHERE name <> '" + copiedTo + "' AND name <> '" + copyOf + "'"
	}
	return nil
}

// readTypes reads the types of the columns in PostgreSQL.
func (c *copier) readTypes(ctx context.Context, s *Store, args []any) error {
	c.types = map[string]string{}
	rows, err := s.readers.QueryContext(ctx, `SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ? AND
		table_name = ?`, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return err
		}
		c.types[name] = kind
	}
	return rows.Err()
}

// typed converts a value of SQLite to PostgreSQL's type of its column.
func (c *copier) typed(column string, v driver.Value) driver.Value {
	kind := c.types[column]
	switch x := v.(type) {
	case int64:
		if kind == "boolean" {
			return x != 0
		}
	case string:
		if kind == "bytea" {
			return []byte(x)
		}
	case []byte:
		if kind == "text" {
			return string(x)
		}
	}
	return v
}

// digest is the sum of the rows' hashes: equal for the same rows in any order.
type digest [4]uint64

// each visits the rows of the table in one of the databases, and returns their digest.
func (c *copier) each(ctx context.Context, s *Store, visit func([]driver.Value) error) (sum digest, err error) {
	c.rows = 0
	rows, err := s.readers.QueryContext(ctx, c.selection())
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		row, err := c.next(rows)
		if row == nil || err != nil {
			return sum, err
		}
		sum.add(row)
		c.rows++
		for i, name := range c.columns {
			row[i] = c.typed(name, row[i])
		}
		if err := visit(row); err != nil {
			return sum, err
		}
	}
}

// add adds a row.
func (d *digest) add(row []driver.Value) {
	h := sha256.New()
	for _, v := range row {
		if v == nil {
			h.Write([]byte{0})
			continue
		}
		text := fmt.Sprint(plain(v))
		h.Write(binary.BigEndian.AppendUint64([]byte{1}, uint64(len(text))))
		h.Write([]byte(text))
	}
	sum := h.Sum(nil)
	for i := range d {
		d[i] += binary.BigEndian.Uint64(sum[8*i:])
	}
}

// advance sets PostgreSQL's counters of ids past the copied ones.
func (c *copier) advance(ctx context.Context) error {
	pg := c.target.w.pg
	if pg == nil {
		return nil
	}
	if !slices.Contains(c.columns, "id") {
		return nil
	}
	var sequence sql.NullString
	if err := c.target.readers.QueryRowContext(ctx, `SELECT pg_get_serial_sequence(?, 'id')`, pg.address.Schema+"."+c.table).
		Scan(&sequence); err != nil || !sequence.Valid {
		return err
	}
	return c.write(ctx, func(t *tx) error {
		_, err := t.row(`SELECT setval(?1::text::regclass, (SELECT coalesce(max(id), 0) + 1 FROM `+c.table+`), false)`, make([]driver.Value, 1),
			sequence.String)
		return err
	})
}
