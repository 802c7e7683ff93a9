package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mattn/go-sqlite3"
)

// tx is the running transaction.
type tx struct {
	w       *writer
	changes int64
	// careful reports whether each statement is executed when its command reaches it. It is set if the
	// assumptions of a batch were wrong; PostgreSQL only.
	careful bool
}

// exec executes a statement, prepared once. The statement's text is its key.
func (t *tx) exec(query string, args ...driver.Value) (err error) {
	if t.w.pg != nil {
		// The copy keeps SQLite's arguments on the stack.
		t.changes, err = t.w.pg.exec(query, slices.Clone(args))
		return err
	}
	s, err := t.w.prepare(query)
	if err != nil {
		return err
	}
	defer t.w.unbind(len(args))
	r, err := s.ExecContext(context.Background(), t.w.bind(args))
	if err != nil {
		return err
	}
	t.changes, err = r.RowsAffected()
	return err
}

// maxPut is the largest size of values, in bytes, that put binds: the driver copies them to memory
// that it keeps for each statement.
const maxPut = 64 << 10

// put executes a statement like exec, but does not count the changed rows. Executed as a query, the
// driver binds all values and runs the statement in one C call; executed as a command it makes one
// call for each value.
func (t *tx) put(query string, args ...driver.Value) error {
	if t.w.pg != nil {
		t.w.pg.put(query, slices.Clone(args), !t.careful)
		return nil
	}
	if sizeOf(args) > maxPut {
		return t.exec(query, args...)
	}
	s, err := t.w.prepare(query)
	if err != nil {
		return err
	}
	defer t.w.unbind(len(args))
	rows, err := s.QueryContext(context.Background(), t.w.bind(args))
	if err != nil {
		return err
	}
	return rows.Close()
}

// sizeOf returns the size in bytes of the texts and blobs of a statement.
func sizeOf(args []driver.Value) (n int) {
	for _, a := range args {
		switch a := a.(type) {
		case string:
			n += len(a)
		case []byte:
			n += len(a)
		}
	}
	return n
}

// bind returns the values of a statement in the driver's type, in memory that the next statement
// reuses.
func (w *writer) bind(args []driver.Value) []driver.NamedValue {
	for len(w.bound) < len(args) {
		w.bound = append(w.bound, driver.NamedValue{Ordinal: len(w.bound) + 1})
	}
	for i, a := range args {
		w.bound[i].Value = a
	}
	return w.bound[:len(args)]
}

// unbind releases the values of the last statement.
func (w *writer) unbind(n int) {
	for i := range w.bound[:n] {
		w.bound[i].Value = nil
	}
}

func (w *writer) prepare(query string) (*sqlite3.SQLiteStmt, error) {
	if s := w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	st := s.(*sqlite3.SQLiteStmt)
	w.stmts[query] = st
	return st, nil
}

// row reads the first row of a query; found is false if there is none.
func (t *tx) row(query string, dest []driver.Value, args ...driver.Value) (found bool, err error) {
	if t.w.pg != nil {
		v := make([]driver.Value, len(dest))
		found, err = t.w.pg.row(query, v, slices.Clone(args))
		if found {
			copy(dest, v)
		}
		return found, err
	}
	s, err := t.w.prepare(query)
	if err != nil {
		return false, err
	}
	defer t.w.unbind(len(args))
	rows, err := s.QueryContext(context.Background(), t.w.bind(args))
	if err != nil {
		return false, err
	}
	err = rows.Next(dest)
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// each reads all rows of a query.
func (t *tx) each(query string, columns int, visit func(v []driver.Value), args ...driver.Value) error {
	if t.w.pg != nil {
		return t.w.pg.each(query, columns, visit, slices.Clone(args))
	}
	s, err := t.w.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args)
	if err != nil {
		return err
	}
	v := make([]driver.Value, columns)
	for err = rows.Next(v); err == nil; err = rows.Next(v) {
		visit(v)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

func queryText(conn *sqlite3.SQLiteConn, query string) (string, error) {
	rows, err := conn.Query(query, nil)
	if err != nil {
		return "", err
	}
	dest := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(dest)
	for err == nil {
		// Pragmas that return rows work step by step and must be drained.
		err = rows.Next(make([]driver.Value, len(dest)))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", errors.Join(err, rows.Close())
	}
	if len(dest) == 0 {
		return "", rows.Close()
	}
	return fmt.Sprint(dest[0]), rows.Close()
}
