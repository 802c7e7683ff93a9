package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/mattn/go-sqlite3"
)

// ReadThrough makes the readers of an open store call step before each query, and before each row of its result.
func (s *Store) ReadThrough(step func() error) error {
	var from driver.Connector
	if s.w.pg != nil {
		a := s.w.pg.address
		from = &readConnector{stdlib.GetConnector(*readConfig(a)), a, new(atomic.Int64)}
	} else {
		from = fileConnector(dsn(s.path, "ro", ""))
	}
	old := s.readers
	s.readers = sql.OpenDB(&stepConnector{from, step})
	s.readers.SetMaxIdleConns(2)
	return old.Close()
}

type stepConnector struct {
	driver.Connector
	step func() error
}

func (c *stepConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &stepConn{conn, c.step}, err
}

// stepConn is a connection whose queries may fail.
type stepConn struct {
	driver.Conn
	step func() error
}

func (c *stepConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.step(); err != nil && !errors.Is(err, ErrEmptyRow) {
		return nil, err
	}
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return &stepRows{rows, c.step}, nil
}

func (c *stepConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.step(); err != nil && !errors.Is(err, ErrEmptyRow) {
		return nil, err
	}
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

type stepRows struct {
	driver.Rows
	step func() error
}

func (r *stepRows) Next(dest []driver.Value) error {
	failure := r.step()
	if failure != nil && !errors.Is(failure, ErrEmptyRow) {
		return failure
	}
	if err := r.Rows.Next(dest); err != nil || failure == nil {
		return err
	}
	clear(dest)
	return nil
}

// ErrEmptyRow as the error of a row replaces it with one whose columns are all NULL.
var ErrEmptyRow = errors.New("an empty row")

// ErrLostFile is the error of a file that cannot be read any more.
var ErrLostFile error = sqlite3.Error{Code: sqlite3.ErrIoErr}

// FillQueue stops the writer and fills its queue, so that only writes that wait for room get in. waiting is how many
// did; release ends that.
func (s *Store) FillQueue(ctx context.Context) (waiting func() int, release func()) {
	stopped, hold := make(chan struct{}), make(chan struct{})
	fill := []*command{{done: make(chan error, 1), apply: func(*tx) error {
		close(stopped)
		<-hold
		return nil
	}}}
	s.w.queue <- fill[0]
	select {
	case <-stopped:
	case <-ctx.Done():
	}
	for range cap(s.w.queue)*3/4 + 1 {
		c := &command{done: make(chan error, 1), apply: func(*tx) error { return nil }}
		s.w.queue <- c
		fill = append(fill, c)
	}
	return func() int { return len(s.w.queue) - len(fill) + 1 }, func() {
		close(hold)
		for _, c := range fill {
			<-c.done
		}
	}
}
