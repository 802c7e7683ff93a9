package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// This file finds the first row that differs between a database and its copy.

// key reads the names of the columns of the table's primary key. It is empty if the key is the order in
// which the rows were added.
func (c *copier) key(ctx context.Context) ([]string, error) {
	query, args := `SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk`, []any{c.table}
	s := c.source
	if s.w.pg != nil {
		s = c.target
	}
	if s.w.pg != nil {
		query, args = `SELECT k.column_name FROM information_schema.key_column_usage k JOIN information_schema.table_constraints c
			USING (constraint_schema, constraint_name, table_name) WHERE c.constraint_type = 'PRIMARY KEY' AND k.table_schema = ?
			AND k.table_name = ? ORDER BY k.ordinal_position`, []any{s.w.pg.address.Schema, c.table}
	}
	list, err := collect(ctx, s.readers, query, args, func(r scanner) (name string, err error) { return name, r.Scan(&name) })
	if slices.ContainsFunc(list, func(n string) bool { return !slices.Contains(c.columns, n) }) {
		list = nil
	}
	return list, err
}

// difference says which row is the first that differs. The rows of both databases are read in the same
// order: that of the key, which both compare byte by byte, or that in which they were added.
func (c *copier) difference(ctx context.Context) (_ string, err error) {
	key, err := c.key(ctx)
	if err != nil {
		return "", err
	}
	query := c.selection()
	if len(key) > 0 && !strings.Contains(c.rest, "ORDER BY") {
		query += " ORDER BY " + strings.Join(key, ", ")
	}
	from, err := c.source.readers.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := c.target.readers.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	for n := 1; ; n++ {
		a, err := c.next(from)
		if err != nil {
			return "", err
		}
		b, err := c.next(to)
		if err != nil {
			return "", err
		}
		if a == nil && b == nil {
			return "both are the same when they are read again", nil
		}
		if text := c.compare(key, a, b, n); text != "" {
			return text, nil
		}
	}
}

// compare compares the rows number n; nil is the end of a table. It returns "" for equal ones.
func (c *copier) compare(key []string, a, b []driver.Value, n int) string {
	switch {
	case a == nil:
		return "the copy has one row more, with " + c.name(key, b, n)
	case b == nil:
		return "the copy has no row with " + c.name(key, a, n)
	}
	if x, y := c.name(key, a, n), c.name(key, b, n); x != y {
		return fmt.Sprintf("where the source has the row with %s, the copy has %s", x, y)
	}
	for i, column := range c.columns {
		if !sameValue(a[i], b[i]) {
			return fmt.Sprintf("column %s of the row with %s", column, c.name(key, a, n))
		}
	}
	return ""
}

// sameValue reports whether the digests of two values are equal: a number may be an integer in one database and a decimal
// in the other.
func sameValue(a, b driver.Value) bool {
	return (a == nil) == (b == nil) && fmt.Sprint(plain(a)) == fmt.Sprint(plain(b))
}

// name names a row by its key, or by its number.
func (c *copier) name(key []string, row []driver.Value, n int) string {
	if len(key) == 0 {
		return fmt.Sprintf("number %d", n)
	}
	var parts []string
	for _, column := range key {
		text := fmt.Sprintf("%q", plain(row[slices.Index(c.columns, column)]))
		if v, ok := plain(row[slices.Index(c.columns, column)]).(int64); ok {
			text = fmt.Sprint(v)
		}
		parts = append(parts, column+" "+text)
	}
	return strings.Join(parts, ", ")
}

// selection reads the table.
func (c *copier) selection() string {
	return "SELECT " + strings.Join(c.columns, ", ") + " FROM " + c.table + c.rest
}

// next reads a row; nil at the end.
func (c *copier) next(rows *sql.Rows) ([]driver.Value, error) {
	if !rows.Next() {
		return nil, rows.Err()
	}
	row, dest := make([]driver.Value, len(c.columns)), make([]any, len(c.columns))
	for i := range row {
		dest[i] = (*any)(&row[i])
	}
	return row, rows.Scan(dest...)
}

// plain returns a value as both kinds of databases have it: booleans are numbers in SQLite, and bytes may
// be a text.
func plain(v driver.Value) driver.Value {
	switch x := v.(type) {
	case bool:
		if x {
			return int64(1)
		}
		return int64(0)
	case []byte:
		return string(x)
	}
	return v
}
