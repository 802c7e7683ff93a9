package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// This file begins the transactions of a node. The nodes write one after another: whoever has locked
// the row of turn. So each statement reads what was committed before its transaction began, rows are
// numbered in the order of the commits, and no two transactions can wait for each other, as on SQLite.
// The price is small: a server with two cores commits one node's batches nearly as fast as those of
// four, because each batch is one commit.

// turnTime is how long a transaction waits for those of other nodes, idleTime how long the database
// waits for the next statement of a transaction: a node that is stopped in the middle of one must not
// stop the others.
const (
	turnTime = 5 * time.Second
	idleTime = 1500 * time.Millisecond
)

const (
	// Each statement must read what was committed while this transaction waited for its turn, whatever
	// the default of the role or the database is.
	beginTransaction = `BEGIN ISOLATION LEVEL READ COMMITTED`
	// A statement_timeout of the role may be shorter than the wait for the turn. Behind a pooler each transaction
	// sets its limits, otherwise they are the session's (limitSession).
	limitTransaction = `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true),
		set_config('statement_timeout', $3, true), ` + tellWarnings
	// Without it, a role with client_min_messages = error would not get the warning of a commit that the standby
	// has not confirmed. It lasts until the commit has ended.
	tellWarnings = `set_config('client_min_messages', 'warning', true)`
	lockTurn     = `SELECT epoch FROM ` + schemaName + `.turn WHERE one = 1 FOR UPDATE`
	fenceNode    = `UPDATE ` + schemaName + `.nodes SET batch = $1 WHERE node = $2 AND epoch = $3 AND NOT gone RETURNING ` + promises + `,
		coalesce((SELECT seq FROM ` + schemaName + `.feed ORDER BY seq DESC LIMIT 1), 0),
		coalesce((SELECT total FROM ` + schemaName + `.feed ORDER BY seq DESC LIMIT 1), 0),
		(SELECT seq FROM ` + schemaName + `.deciding)`
	passTurn = `UPDATE ` + schemaName + `.turn SET epoch = $1 WHERE one = 1`
	// nodeNumber is the placeholder for the number of this node in the text of statements.
	nodeNumber = `/*node*/`
)

// errTurn means that other nodes have written for turnTime: nothing was stored.
var errTurn = fmt.Errorf("%w: another node is writing", engine.ErrBusy)

// milliseconds is a time as a setting.
func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// turnError returns errTurn for the error of a statement that waited too long for a lock: the turn is the
// only lock that a transaction waits for.
func turnError(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "55P03" { // lock_not_available
		return errTurn
	}
	return err
}

// readTurn reads which node wrote last.
func (p *postgresql) readTurn(row pgx.Row) error {
	var last int64
	err := row.Scan(&last)
	if p.other = last != p.epoch; p.other {
		p.kept = keptTotals{}
	}
	return err
}

// readFence reads whether this node may write, and where the feed ends.
func (p *postgresql) readFence(row pgx.Row) error {
	var seq, total int64
	if err := p.promised(row, &seq, &total, &p.rules); err != nil {
		return err
	}
	p.onTurn(p.other, seq, total)
	if p.other {
		p.queue(p.here(passTurn), anyNumber, nil, p.epoch)
	}
	return nil
}

// locked locks the turn, if the transaction has not done so yet: state kept in memory from earlier
// transactions is valid only while no other node has written.
func (t *tx) locked() error {
	if t.w.pg == nil || !t.w.pg.leading {
		return nil
	}
	_, err := t.w.pg.send(statementTime)
	return err
}

// A session that has the turn and whose node was stopped, or cut off, while the server sends it a large
// result waits forever: idle_in_transaction_session_timeout counts only between statements, and a session
// that waits for its client to read does not end at its statement_timeout (tried on 15), only when another
// session terminates it, which the same role may do.
const (
	// silentNodes are the nodes that have not extended their lease for beginTime, and therefore begin
	// nothing: their lease ends within leaseTime less beginTime, in milliseconds.
	silentNodes = schemaName + `.nodes n JOIN ` + schemaName + `.beats b ON b.node = n.node AND b.epoch = n.epoch
		WHERE b.until - ` + databaseNow + ` < 1000 AND NOT n.gone`
	// endSilentTurn ends the session of a silent node that has the turn and has sent no statement for a second.
	// The row of turn is locked by the transaction that has changed the node's row.
	endSilentTurn = `SELECT n.name, pg_terminate_backend(a.pid) FROM (SELECT n.name, n.xmax AS x FROM ` + silentNodes + `) n
		JOIN ` + schemaName + `.turn t ON t.xmax = n.x JOIN pg_stat_activity a ON a.backend_xid = t.xmax
		WHERE a.pid <> pg_backend_pid() AND a.query_start < clock_timestamp() - interval '1 second'`
)

// freeTurn ends the session of a node that has the turn and no longer responds. PostgreSQL rolls its
// transaction back. A node that still works connects again and repeats its transaction.
func (p *postgresql) freeTurn(ctx context.Context, conn *pgx.Conn) {
	rows, err := conn.Query(ctx, inSchema(endSilentTurn, p.address.Schema))
	var name string
	var ended bool
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&name, &ended}, func() error {
			p.log.Warn("a node does not answer while the others wait for its transaction: its session was ended", "node", name, "ended", ended)
			return nil
		})
	}
	if err != nil { // the role may not be the one of that node
		p.log.Warn("the session of a node that does not answer cannot be ended: its transaction holds up the others", "error", err)
	}
}
