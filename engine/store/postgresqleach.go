package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// This file reads thousands of rows. Package database/sql converts each column of each row twice, which takes as much
// processor time as PostgreSQL needs to find the rows.

// each calls row for each row of a query. It scans only into texts and integers.
func (h *History) each(ctx context.Context, query string, args []any, row func(scanner) error) error {
	if h.postgres {
		return classify(h.eachPostgres(ctx, query, args, row))
	}
	rows, err := h.db.QueryContext(ctx, query, args...)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return classify(err)
		}
	}
	return classify(rows.Err())
}

// eachPostgres is each without database/sql. As there, another connection is used if the first turns out to be closed
// before the query is sent.
func (h *History) eachPostgres(ctx context.Context, query string, args []any, row func(scanner) error) (err error) {
	for range postgresReaders + 1 {
		if err = h.eachOnce(ctx, query, args, row); !errors.Is(err, driver.ErrBadConn) {
			return err
		}
	}
	return err
}

func (h *History) eachOnce(ctx context.Context, query string, args []any, row func(scanner) error) (err error) {
	conn, err := h.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := conn.Close(); err == nil {
			err = cerr
		}
	}()
	return conn.Raw(func(c any) error {
		reader, ok := c.(*readConn)
		if !ok {
			return fmt.Errorf("a reader of PostgreSQL is a %T", c)
		}
		return reader.each(ctx, query, args, row)
	})
}

// each executes a query and calls row for each of its rows.
func (c *readConn) each(ctx context.Context, query string, args []any, row func(scanner) error) error {
	values := make([]any, len(args))
	for i, a := range args {
		if text, ok := a.(string); ok {
			a = storable(text)
		}
		values[i] = a
	}
	c.trips.Add(1)
	rows, err := c.Conn.Conn().Query(ctx, inSchema(translateOnce(query), c.address.Schema), values...)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(pgxRow{rows}); err != nil {
			return err
		}
	}
	return c.explain(ctx, rows.Err())
}

// explain returns an error of a query as the other queries of readers do.
func (c *readConn) explain(ctx context.Context, err error) error {
	if err != nil && pgconn.SafeToRetry(err) {
		return driver.ErrBadConn
	}
	return withFix(c.address, readError(ctx, err))
}

// pgxRow is a row whose texts are restored.
type pgxRow struct{ pgx.Rows }

// Scan reads the columns of the row into texts and integers.
func (r pgxRow) Scan(dest ...any) error {
	if err := r.Rows.Scan(dest...); err != nil {
		return err
	}
	for _, d := range dest {
		if text, ok := d.(*string); ok {
			*text = original(*text)
		}
	}
	return nil
}
