package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync/atomic"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5/pgconn"
)

// This file tells other processes of the server of a database on a PostgreSQL server, as the lock file
// of a SQLite database does.

// announceNode publishes the addresses of this process in its row.
func (s *Store) announceNode(hooks, admin string) error {
	return s.w.do(s.w.pg.ctx, true, func(t *tx) error {
		t.w.pg.hooks, t.w.pg.admin = hooks, admin
		return t.exec(`UPDATE nodes SET hooks = ?1, admin = ?2 WHERE epoch = ?3`, hooks, admin, t.w.pg.epoch)
	})
}

// holderOnServer returns a process that uses a database, one on this host if there is any; nil if there
// is none.
func holderOnServer(address string) (*Holder, error) {
	a, err := postgres.Parse(address)
	if err != nil {
		return nil, err
	}
	db := openPostgresReaders(a, new(atomic.Int64))
	defer db.Close() //nolint:errcheck // it was only read
	here, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("this host's name: %w", err)
	}
	var h Holder
	err = db.QueryRow(`SELECT n.host, n.pid, n.verb, n.hooks, n.admin FROM nodes n JOIN beats b ON b.node = n.node AND b.epoch = n.epoch WHERE
		b.until > `+databaseNow+` AND NOT n.gone ORDER BY n.verb <> 'serve', n.drain, n.host <> ?, n.node LIMIT 1`, here).
		Scan(&h.Host, &h.PID, &h.Verb, &h.Hooks, &h.Admin)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if h.Host == here {
		h.Host = ""
		return &h, nil
	}
	h.Hooks, h.Admin = fromElsewhere(h.Hooks), fromElsewhere(h.Admin)
	return &h, nil
}

// DrainNodeOf asks a node of a database on a PostgreSQL server to drain, from a process that is no node. The
// node reads it with its next beat.
func DrainNodeOf(ctx context.Context, address, name string) error {
	a, err := postgres.Parse(address)
	if err != nil {
		return err
	}
	c, err := a.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the statement is committed
	tag, err := c.Exec(ctx, `UPDATE `+a.Schema+`.nodes AS n SET drain = TRUE FROM `+a.Schema+`.beats b WHERE b.node = n.node AND
		b.epoch = n.epoch AND b.until > `+databaseNow+` AND n.name = $1 AND NOT n.gone AND n.verb = 'serve'`, name)
	if err != nil {
		return withFix(a, err)
	}
	if tag.RowsAffected() == 0 {
		return engine.ErrNotFound
	}
	return nil
}

// fromElsewhere returns the URL of a server on another machine; empty if only that machine reaches it.
func fromElsewhere(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return ""
	}
	return text
}

// withFix says what to do about a database without Hookloom's tables, without the right to read them, or
// behind a pooler in transaction mode. Other errors stay as they are.
func withFix(a *postgres.Address, err error) error {
	var pe *pgconn.PgError
	switch {
	case !errors.As(err, &pe):
	case pe.Code == "42P01", pe.Code == "42703", pe.Code == "3F000": // undefined_table, undefined_column, invalid_schema_name
		return &postgres.Error{Address: a.String(), Problem: "the database has no tables of Hookloom, or those of an older version",
			Fix: "hookloom db migrate makes them, and so does hookloom serve.", NoTables: pe.Code != "42703"}
	case pe.Code == "42501", pe.Code == "26000", pe.Code == "42P05": // insufficient_privilege; statements of a pooler's other connection
		return a.Explain(err)
	}
	return err
}
