package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5"
)

// This file keeps the row of this process in nodes. Its number is part of the ids that the process
// makes, its random epoch tells it from later processes of the same number: each transaction changes
// the row of this epoch, and fails if there is none any more. The lease is in beats
// (postgresqllink.go).

const (
	leaseTime = 4 * time.Second
	// beatEvery is how often the lease is extended, and how often a node looks for what others did.
	beatEvery = 500 * time.Millisecond
	// beginTime is how long after its last beat a node may begin what other systems notice.
	beginTime = 3 * time.Second
	// silentTime is how long a process has not extended its lease before it may count as dead.
	silentTime = 1500 * time.Millisecond
	// steadyTime is how long a node has extended its lease without a gap before it takes over the work
	// of others: after an outage of the database the leases of all nodes have ended.
	steadyTime = 2 * time.Second
	// enterTime is how long a process that joins waits for the turn before it looks whether who has it answers.
	enterTime = time.Second
	// checkEvery is how often a node that writes nothing reads the settings of the database.
	checkEvery = time.Second
	// reconnectEvery is how often a lost connection is tried again.
	reconnectEvery = 250 * time.Millisecond
	// patience is how long writes wait for a database that is away, before they are answered that it is.
	patience = 5 * time.Second
)

// databaseNow is the database's time in milliseconds.
const databaseNow = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

// NodeNameError reports that a living node has the name that this one was given.
type NodeNameError struct{ Name, Holder string }

// Error implements error.
func (e *NodeNameError) Error() string {
	return fmt.Sprintf("a node with the name %q is already running (%s): stop it, or give this node another name with --node", e.Name,
		e.Holder)
}

// otherNode is the row of another process.
type otherNode struct {
	node, epoch int64
	name, host  string
	pid         int
	verb        string
	gone        bool
	// left is how long its lease still holds, by the database's clock; negative if it has ended.
	left time.Duration
}

// String describes the process for people.
func (n otherNode) String() string {
	return Holder{PID: n.pid, Verb: n.verb}.String() + " on " + n.host
}

// dead reports whether a node has ended for certain: it said so, or its process ran on this host and
// is gone. A process in another container may have this host's name, and looks as if it had ended; so
// it counts only after silentTime.
func (n otherNode) dead(host string) bool {
	return n.gone || n.host == host && n.left <= leaseTime-silentTime && processEnded(n.pid)
}

// live reports whether a node may still work.
func (n otherNode) live(host string) bool { return !n.dead(host) && n.left > 0 }

const listOthers = `SELECT n.node, n.epoch, n.name, n.host, n.pid, n.verb, n.gone, coalesce(b.until, 0) - ` + databaseNow + ` FROM ` +
	schemaName + `.nodes n LEFT JOIN ` + schemaName + `.beats b ON b.node = n.node AND b.epoch = n.epoch WHERE n.epoch <> $1 ORDER BY n.node`

// queryer is a connection or a transaction.
type queryer interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// others lists the other nodes.
func (p *postgresql) others(ctx context.Context, q queryer) ([]otherNode, error) {
	rows, err := q.Query(ctx, inSchema(listOthers, p.address.Schema), p.epoch)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (n otherNode, err error) {
		var left int64
		err = r.Scan(&n.node, &n.epoch, &n.name, &n.host, &n.pid, &n.verb, &n.gone, &left)
		n.left = time.Duration(left) * time.Millisecond
		return n, err
	})
}

// errWait means that another process must end before this one can join.
var errWait = errors.New("wait")

// join makes the row of this process. Servers share a database; every other command needs it for
// itself, and waits for the end of the lease of a server that does not answer. So does a server whose name
// another one has: that may be the process before it, whose end cannot be seen from another container.
func (p *postgresql) join(ctx context.Context, name string) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	var err error
	if p.host, err = os.Hostname(); err != nil {
		return errors.Join(fmt.Errorf("this host's name: %w", err), p.conn.Close(ctx))
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return errors.Join(err, p.conn.Close(ctx))
	}
	p.epoch = int64(binary.LittleEndian.Uint64(random[:]) >> 1)
	var namesake lapse
	for began := time.Now(); ; {
		inTheWay, err := p.enter(ctx, name)
		if err == nil {
			return nil
		}
		limit := leaseTime + beatEvery
		switch {
		case errors.As(err, new(*NodeNameError)):
			if time.Since(began) > limit || namesake.extended(inTheWay) {
				return errors.Join(err, p.conn.Close(ctx))
			}
		case errors.Is(err, errTurn) && time.Since(began) < statementTime:
			p.freeTurn(ctx, p.conn)
			continue
		case !errors.Is(err, errWait):
			return errors.Join(err, p.conn.Close(ctx))
		default:
			if inTheWay.verb != "serve" {
				limit = lockWait
			}
			if time.Since(began) > limit {
				return errors.Join(&InUseError{Path: p.address.String(), Holder: inTheWay.String()}, p.conn.Close(ctx))
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.conn.Close(p.ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// lapse watches the lease of a node that may have ended.
type lapse struct {
	epoch int64
	until time.Time
}

// extended reports whether the lease ends later than when it was seen first.
func (l *lapse) extended(n otherNode) bool {
	until := time.Now().Add(n.left)
	if l.epoch != n.epoch {
		l.epoch, l.until = n.epoch, until
		return false
	}
	return until.Sub(l.until) > beatEvery/2 // more than the two clocks can differ in their course
}

// enter tries to make the row once: errWait if another process is in the way.
func (p *postgresql) enter(ctx context.Context, name string) (inTheWay otherNode, err error) {
	tx, err := p.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return inTheWay, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
	}()
	if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, milliseconds(enterTime)); err != nil {
		return inTheWay, err
	}
	if _, err := tx.Exec(ctx, `SELECT epoch FROM `+p.address.Schema+`.turn FOR UPDATE`); err != nil {
		return inTheWay, turnError(err)
	}
	list, err := p.others(ctx, tx)
	if err != nil {
		return inTheWay, err
	}
	living := slices.DeleteFunc(slices.Clone(list), func(n otherNode) bool { return !n.live(p.host) })
	for _, n := range living {
		if n.verb != "serve" || p.verb != "serve" {
			return n, errWait
		}
		if n.name == name {
			return n, &NodeNameError{Name: name, Holder: n.String()}
		}
	}
	p.name = freeName(name, p.host, living)
	p.node = 0
	for slices.ContainsFunc(list, func(n otherNode) bool { return n.node == p.node }) {
		p.node++
	}
	if p.node > engine.MaxNode {
		return inTheWay, fmt.Errorf("the database %s has %d nodes, and cannot have more", p.address, len(list))
	}
	p.beaten.Store(int64(time.Since(started)))
	if _, err = tx.Exec(ctx, `INSERT INTO `+p.address.Schema+`.nodes (node, epoch, name, host, pid, verb, since) VALUES ($1, $2, $3, $4, $5,
		$6, `+databaseNow+`)`, p.node, p.epoch, p.name, p.host, os.Getpid(), p.verb); err != nil {
		return inTheWay, err
	}
	if _, err = tx.Exec(ctx, `INSERT INTO `+p.address.Schema+`.beats (node, epoch, until) VALUES ($1, $2, `+databaseNow+` + $3)
		ON CONFLICT (node) DO UPDATE SET epoch = excluded.epoch, until = excluded.until`, p.node, p.epoch,
		leaseTime.Milliseconds()); err != nil {
		return inTheWay, err
	}
	return inTheWay, p.disown(ctx, tx)
}

// disown leaves what an earlier node of this number has left to whoever takes over next, and commits. A
// database that was restored, for example, has open runs of nodes that it does not know.
func (p *postgresql) disown(ctx context.Context, tx pgx.Tx) error {
	for _, text := range []string{`UPDATE ` + schemaName + `.runs SET owner_node = NULL WHERE status = 'running' AND owner_node = $1`,
		`UPDATE ` + schemaName + `.inbox SET owner_node = NULL WHERE owner_node = $1`} {
		if _, err := tx.Exec(ctx, inSchema(text, p.address.Schema), p.node); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// freeName is the given name or, without one, the host's name with a number if another node has it.
func freeName(name, host string, living []otherNode) string {
	if name != "" {
		return name
	}
	name = host
	for i := 2; slices.ContainsFunc(living, func(n otherNode) bool { return n.name == name }); i++ {
		name = fmt.Sprint(host, "-", i)
	}
	return name
}

// check reads whether this process still has its row, what commits are worth, and whether this session may write
// at all: a standby and a read-only database take connections, too.
func (p *postgresql) check() error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	var f postgres.Facts
	err := p.promised(p.conn.QueryRow(ctx, `SELECT `+promises+`, pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'
		FROM `+p.address.Schema+`.nodes WHERE node = $1 AND epoch = $2`, p.node, p.epoch), &f.Standby, &f.ReadOnly)
	if err == nil {
		err = p.address.Writable(&f)
	}
	if err == nil {
		p.checked = time.Now()
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

// promised reads promises, and more, from a statement that changes or reads the row of this process:
// errFenced if there is no row, a weakError if commits are worth too little.
func (p *postgresql) promised(row pgx.Row, more ...any) error {
	var f postgres.Facts
	err := row.Scan(append([]any{&f.Fsync, &f.FullPageWrites, &f.SynchronousCommit}, more...)...)
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

// leave gives the work of this process to the other nodes, and closes the connection. It waits for the
// turn: a node that is just taking over the work of others must find all of this one's, or nothing.
func (p *postgresql) leave() error {
	if p.conn == nil || p.conn.IsClosed() {
		return nil // the lease ends by itself
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text := `UPDATE ` + p.address.Schema + `.nodes SET gone = TRUE WHERE node = $1 AND epoch = $2`
	if p.verb != "serve" { // it has begun nothing
		text = `DELETE FROM ` + p.address.Schema + `.nodes WHERE node = $1 AND epoch = $2`
	}
	err := pgx.BeginTxFunc(ctx, p.conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, inSchema(lockTurn, p.address.Schema)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, text, p.node, p.epoch)
		return err
	})
	return errors.Join(err, p.conn.Close(ctx))
}

// committed reports whether the transaction with the number p.batch was committed. It waits for the end
// of the former connection's transaction, and commits itself: with a synchronous standby, that commit
// is acknowledged only when everything before it is on the standby too.
func (p *postgresql) committed() (bool, error) {
	ctx, cancel := context.WithTimeout(p.ctx, commitTime)
	defer cancel()
	tx, err := p.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return false, err
	}
	var batch int64
	if _, err := tx.Exec(ctx, `SELECT `+tellWarnings); err != nil {
		return false, errors.Join(err, tx.Rollback(ctx))
	}
	err = p.promised(tx.QueryRow(ctx, `UPDATE `+p.address.Schema+`.nodes SET hooks = $3 WHERE node = $1 AND epoch = $2
		RETURNING `+promises, p.node, p.epoch, p.hooks))
	if err == nil {
		err = tx.QueryRow(ctx, `SELECT batch FROM `+p.address.Schema+`.nodes WHERE node = $1`, p.node).Scan(&batch)
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
