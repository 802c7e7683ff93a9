package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// This file makes a PostgreSQL database readable by the code that reads SQLite: a driver that
// translates statements and texts.

// postgresReaders is how many connections read at the same time.
const postgresReaders = 8

// readConfig is the configuration of connections that read.
func readConfig(a *postgres.Address) *pgx.ConnConfig {
	config := a.Config()
	config.DefaultQueryExecMode = execMode(a)
	if a.Hints {
		// The default is that of a disk with a moving arm. With it, the newest rows of a list are searched for
		// in all rows, and a list that has none reads the whole history.
		config.RuntimeParams["random_page_cost"] = "1.1"
		config.RuntimeParams["jit"] = "off" // compiling takes longer than nearly all queries
		// Starting two workers takes 10 ms and more of each of them: only what reads 100,000 rows gains.
		config.RuntimeParams["parallel_setup_cost"] = "10000"
	}
	return config
}

// ReadableThroughPooler returns an error if a pooler before the server refuses connections as hookloom serve
// opens them.
func ReadableThroughPooler(ctx context.Context, a *postgres.Address) error {
	c, err := pgx.ConnectConfig(ctx, readConfig(a))
	if err != nil {
		return a.Explain(err)
	}
	return c.Close(ctx)
}

// openPostgresReaders opens the connections of readers, which count their queries in trips.
func openPostgresReaders(a *postgres.Address, trips *atomic.Int64) *sql.DB {
	keep := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		if !a.Hints {
			return nil
		}
		_, err := c.Exec(ctx, keepReaders)
		return err
	})
	db := sql.OpenDB(&readConnector{stdlib.GetConnector(*readConfig(a), keep), a, trips})
	db.SetMaxOpenConns(postgresReaders)
	db.SetMaxIdleConns(postgresReaders)
	// A statement that was prepared while the tables were small keeps its plan as long as its
	// connection lives.
	db.SetConnMaxLifetime(15 * time.Minute)
	return db
}

type readConnector struct {
	driver.Connector
	address *postgres.Address
	trips   *atomic.Int64
}

// Connect implements driver.Connector.
func (c *readConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &AwayError{Cause: c.address.Explain(err)}
	}
	inner, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, errors.New("the driver of PostgreSQL returned another connection than its own")
	}
	return &readConn{inner, c.address, c.trips}, nil
}

// readConn translates the statements of one connection.
type readConn struct {
	*stdlib.Conn
	address *postgres.Address
	trips   *atomic.Int64
}

// QueryContext implements driver.QueryerContext.
func (c *readConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	for i, a := range args {
		if text, ok := a.Value.(string); ok {
			args[i].Value = storable(text)
		}
	}
	c.trips.Add(1)
	rows, err := c.Conn.QueryContext(ctx, inSchema(translateOnce(query), c.address.Schema), args)
	if err != nil {
		return nil, withFix(c.address, readError(ctx, err))
	}
	return &readRows{rows, ctx}, nil
}

// BeginTx implements driver.ConnBeginTx. All queries of a transaction see one state of the database, as
// in SQLite.
func (c *readConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	o.Isolation, o.ReadOnly = driver.IsolationLevel(sql.LevelRepeatableRead), true
	tx, err := c.Conn.BeginTx(ctx, o)
	return tx, readError(ctx, err)
}

// Prepare implements driver.Conn.
func (c *readConn) Prepare(query string) (driver.Stmt, error) {
	return c.Conn.Prepare(inSchema(translateOnce(query), c.address.Schema))
}

// ExecContext implements driver.ExecerContext: readers do not write.
func (c *readConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, errors.New("this connection only reads")
}

// readRows restores texts.
type readRows struct {
	driver.Rows
	ctx context.Context
}

// Next implements driver.Rows.
func (r *readRows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil {
		return readError(r.ctx, err)
	}
	for i, v := range dest {
		if text, ok := v.(string); ok {
			dest[i] = original(text)
		}
	}
	return nil
}

// readError marks errors of the connection: they are not about the rows.
func readError(ctx context.Context, err error) error {
	var pe *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, driver.ErrBadConn), errors.As(err, &pe), ctx.Err() != nil:
		return err
	}
	return &AwayError{Cause: err}
}
