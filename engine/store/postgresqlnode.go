package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5"
)

// This file keeps the row of this process in nodes. It is a lease, by the database's clock: while it
// holds, a second process is refused. For now a database has one node, number 0.

const (
	leaseTime = 4 * time.Second
	beatEvery = time.Second
	// silentTime is how long a process has not extended its lease before it may count as dead.
	silentTime = 1500 * time.Millisecond
	// reconnectEvery is how often a lost connection is tried again.
	reconnectEvery = 250 * time.Millisecond
	// patience is how long writes wait for a database that is away, before they are answered that it is.
	patience = 5 * time.Second
)

// databaseNow is the database's time in milliseconds.
const databaseNow = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

const joinNode = `INSERT INTO ` + schemaName + `.nodes AS n (node, epoch, batch, until, host, pid, verb)
	VALUES ($1, 1, 0, ` + databaseNow + ` + $2, $3, $4, $5)
	ON CONFLICT (node) DO UPDATE SET epoch = n.epoch + 1, batch = 0, until = excluded.until, host = excluded.host, pid = excluded.pid,
		verb = excluded.verb, hooks = '', admin = '' WHERE n.until <= ` + databaseNow + ` OR
		(n.host = $3 AND n.pid = $6 AND n.until <= ` + databaseNow + ` + $2 - $7) RETURNING epoch`

// join takes the row of this node. A row whose lease holds belongs to another process: join waits for
// the end of the lease once, and longer for a process that is no server.
func (p *postgresql) join(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("this host's name: %w", err)
	}
	for began := time.Now(); ; {
		holder, dead, err := p.holder(ctx, host)
		if err != nil {
			return errors.Join(err, p.conn.Close(ctx))
		}
		err = p.conn.QueryRow(ctx, inSchema(joinNode, p.address.Schema), p.node, leaseTime.Milliseconds(), host, os.Getpid(), p.verb,
			dead, silentTime.Milliseconds()).Scan(&p.epoch)
		if err == nil {
			p.beaten = time.Now()
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return errors.Join(err, p.conn.Close(ctx))
		}
		limit := leaseTime + beatEvery
		if holder.Verb != "serve" {
			limit = lockWait
		}
		if time.Since(began) > limit {
			return errors.Join(&InUseError{Path: p.address.String(), Holder: holder.String()}, p.conn.Close(ctx))
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.conn.Close(p.ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// holder reads who has the row. dead is its process id if that process ran on this host and has ended,
// so that the end of its lease need not be waited for; otherwise -1. A process in another container may
// have this host's name, and looks as if it had ended: join waits for silentTime.
func (p *postgresql) holder(ctx context.Context, host string) (h Holder, dead int64, err error) {
	var on string
	err = p.conn.QueryRow(ctx, `SELECT host, pid, verb, hooks, admin FROM `+p.address.Schema+`.nodes WHERE node = $1`, p.node).
		Scan(&on, &h.PID, &h.Verb, &h.Hooks, &h.Admin)
	if errors.Is(err, pgx.ErrNoRows) {
		return h, -1, nil
	}
	if err == nil && on == host && errors.Is(syscall.Kill(h.PID, 0), syscall.ESRCH) {
		return h, int64(h.PID), nil
	}
	return h, -1, err
}

// beat extends the lease.
func (p *postgresql) beat() error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	err := p.promised(p.conn.QueryRow(ctx, `UPDATE `+p.address.Schema+`.nodes SET until = `+databaseNow+` + $1, hooks = $4, admin = $5
		WHERE node = $2 AND epoch = $3 RETURNING `+promises, leaseTime.Milliseconds(), p.node, p.epoch, p.hooks, p.admin))
	if err == nil {
		p.beaten = time.Now()
	}
	return err
}

// promises are the settings on which an acknowledgement relies. The server takes over changed ones
// between two statements (postgresql.org/docs/current/config-setting.html), so each transaction reads
// them before it writes.
const promises = `current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')`

// weakError means that the settings have become weaker than an acknowledgement promises.
type weakError struct{ error }

// Unwrap returns what is to be changed, a *postgres.Error.
func (e weakError) Unwrap() error { return e.error }

// promised reads promises from a statement that changes the row of this process: errFenced if it has
// changed none, a weakError if commits are worth too little.
func (p *postgresql) promised(row pgx.Row) error {
	var f postgres.Facts
	err := row.Scan(&f.Fsync, &f.FullPageWrites, &f.SynchronousCommit)
	if errors.Is(err, pgx.ErrNoRows) {
		return errFenced
	}
	if err != nil {
		return err
	}
	if err := p.address.Durable(&f); err != nil {
		return weakError{err}
	}
	return nil
}

// leave ends the lease and closes the connection.
func (p *postgresql) leave() error {
	if p.conn == nil || p.conn.IsClosed() {
		return nil // the lease ends by itself
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := p.conn.Exec(ctx, `UPDATE `+p.address.Schema+`.nodes SET until = 0 WHERE node = $1 AND epoch = $2`, p.node, p.epoch)
	return errors.Join(err, p.conn.Close(ctx))
}

// committed reports whether the transaction with the number p.batch was committed. It waits for the end
// of the former connection's transaction, and commits itself: with a synchronous standby, that commit
// is acknowledged only when everything before it is on the standby too.
func (p *postgresql) committed() (bool, error) {
	ctx, cancel := context.WithTimeout(p.ctx, commitTime)
	defer cancel()
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	var batch int64
	err = p.promised(tx.QueryRow(ctx, `UPDATE `+p.address.Schema+`.nodes SET until = `+databaseNow+` + $1 WHERE node = $2 AND epoch = $3
		RETURNING `+promises, leaseTime.Milliseconds(), p.node, p.epoch))
	if err == nil {
		err = tx.QueryRow(ctx, `SELECT batch FROM `+p.address.Schema+`.nodes WHERE node = $1`, p.node).Scan(&batch)
	}
	if errors.As(err, new(weakError)) {
		return false, errors.Join(err, tx.Commit(ctx)) // for the lease
	}
	if err != nil {
		return false, errors.Join(err, tx.Rollback(ctx))
	}
	p.warned = nil
	if err := tx.Commit(ctx); err != nil {
		return false, err
	}
	if p.warned != nil {
		return false, errLost // asked again
	}
	return batch == p.batch, nil
}
