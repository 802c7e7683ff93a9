package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// This file executes the writer's statements on PostgreSQL. Each round trip to the server costs more
// than the statement: statements whose result nobody needs are sent together with the next one.

// statementTime is how long a statement may take before its connection counts as lost, and commitTime
// the same for a commit: without an answer until then, its outcome is unknown.
const (
	statementTime = 30 * time.Second
	commitTime    = 5 * time.Second
)

// postgresql is the connection that writes. Only the writer's goroutine uses it.
type postgresql struct {
	ctx     context.Context
	address *postgres.Address
	verb    string
	log     *slog.Logger
	conn    *pgx.Conn // nil while there is none
	// pending are the statements that were not sent yet. fence is the position of the one that must
	// change the node's row and returns promises, -1 for none.
	pending *pgx.Batch
	fence   int
	// turn is the position of the statement that locks the turn and returns the epoch of the node that
	// wrote last, -1 for none.
	turn  int
	texts map[string]string
	// warned is the first warning of the server since it was last reset: a commit with one is not
	// acknowledged.
	warned *pgconn.Notice
	// node and epoch identify the row of this process in nodes, batch is the number of its last
	// transaction. beaten is when its lease was last extended.
	node, epoch, batch int64
	name, host         string
	hooks, admin       string
	checked            time.Time
	kept               keptTotals
	// onTurn is called when the turn was locked: other reports that another node wrote since this one's
	// last transaction; seq and total are the end of the feed.
	onTurn func(other bool, seq, total int64)
	other  bool
	link   *link
	// beaten is when the lease was last extended, in nanoseconds since started. steady, draining, alone
	// and share are what the last beat has found. The link sets them, everybody reads them.
	beaten                  atomic.Int64
	steady, draining, alone atomic.Bool
	share                   atomic.Pointer[share]
}

func newPostgresql(ctx context.Context, a *postgres.Address, o Options) *postgresql {
	p := &postgresql{ctx: ctx, address: a, verb: o.Verb, log: o.Log, turn: -1, fence: -1}
	p.alone.Store(true)
	p.share.Store(&share{})
	return p
}

// keptTotals are the number and the size of the kept values, or more than that: values that were removed,
// or whose transaction failed, are subtracted only by the next count.
type keptTotals struct {
	known       bool
	keys, bytes int64
}

var (
	// errLost means that the connection was lost before the commit was sent.
	errLost = errors.New("the connection to the database was lost")
	// errFenced means that another process has taken over the row of this one.
	errFenced = errors.New("another hookloom process has taken over this database, because this one did not extend its lease: " +
		"nothing more is written here")
)

// connect opens the connection, and forgets statements of the former one.
func (p *postgresql) connect(ctx context.Context) error {
	config := p.address.Config()
	config.DefaultQueryExecMode = execMode(p.address)
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if p.warned == nil && n.SeverityUnlocalized == "WARNING" {
			p.warned = n
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return p.address.Explain(err)
	}
	p.conn, p.pending, p.fence, p.turn = conn, &pgx.Batch{}, -1, -1
	if p.texts == nil {
		p.texts = map[string]string{}
	}
	return nil
}

// disconnect closes the connection, whose state is unknown.
func (p *postgresql) disconnect() {
	p.kept = keptTotals{}
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	_ = p.conn.Close(ctx) // it may be broken
	p.conn = nil
}

// lost reports whether an error, or the connection's state, means that the connection is gone.
func (p *postgresql) lost(err error) bool {
	return p.conn == nil || p.conn.IsClosed() || away(err)
}

// put adds a statement to those that are sent with the next one.
func (p *postgresql) put(query string, args []driver.Value) {
	text, known := p.texts[query]
	if !known {
		text = strings.ReplaceAll(inSchema(translate(query), p.address.Schema), nodeNumber, strconv.FormatInt(p.node, 10))
		p.texts[query] = text
	}
	p.pending.Queue(text, encodeArgs(args)...)
}

// send sends all pending statements, and reads the rows of the last one if read is not nil. It returns
// the number of rows that the last one changed.
func (p *postgresql) send(within time.Duration, read func(pgx.Rows) error) (tag pgconn.CommandTag, err error) {
	batch, fence, turn := p.pending, p.fence, p.turn
	p.pending, p.fence, p.turn = &pgx.Batch{}, -1, -1
	if batch.Len() == 0 {
		return tag, nil
	}
	if p.conn == nil {
		return tag, errLost
	}
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	results := p.conn.SendBatch(ctx, batch)
	defer func() {
		if cerr := results.Close(); err == nil {
			err = cerr
		}
	}()
	for i := range batch.Len() {
		if i == batch.Len()-1 && read != nil {
			rows, err := results.Query()
			if err != nil {
				return tag, err
			}
			err = read(rows)
			rows.Close()
			return rows.CommandTag(), errors.Join(err, rows.Err())
		}
		if i == turn || i == fence {
			if err = p.lead(results.QueryRow(), i == turn); err != nil {
				return tag, err
			}
			continue
		}
		if tag, err = results.Exec(); err != nil {
			return tag, err
		}
	}
	return tag, nil
}

func (p *postgresql) exec(query string, args []driver.Value) (changes int64, err error) {
	p.put(query, args)
	tag, err := p.send(statementTime, nil)
	return tag.RowsAffected(), err
}

func (p *postgresql) row(query string, dest, args []driver.Value) (found bool, err error) {
	p.put(query, args)
	_, err = p.send(statementTime, func(rows pgx.Rows) error {
		if found = rows.Next(); !found {
			return nil
		}
		return decodeRow(rows, dest)
	})
	return found && err == nil, err
}

// each reads all rows before it visits them, so that visit may execute statements.
func (p *postgresql) each(query string, columns int, visit func(v []driver.Value), args []driver.Value) error {
	p.put(query, args)
	var all [][]driver.Value
	_, err := p.send(statementTime, func(rows pgx.Rows) error {
		for rows.Next() {
			v := make([]driver.Value, columns)
			if err := decodeRow(rows, v); err != nil {
				return err
			}
			all = append(all, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, v := range all {
		visit(v)
	}
	return nil
}

// encodeArgs copies the values of a statement, with texts as PostgreSQL can store them.
func encodeArgs(args []driver.Value) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if text, ok := a.(string); ok {
			a = storable(text)
		}
		out[i] = a
	}
	return out
}

// decodeRow reads a row as SQLite's driver returns it: integers, floats, texts, bytes and NULL.
func decodeRow(rows pgx.Rows, dest []driver.Value) error {
	values, err := rows.Values()
	if err != nil {
		return err
	}
	for i := range dest {
		switch v := values[i].(type) {
		case bool:
			dest[i] = int64(0)
			if v {
				dest[i] = int64(1)
			}
		case int32:
			dest[i] = int64(v)
		case int16:
			dest[i] = int64(v)
		case string:
			dest[i] = original(v)
		case pgtype.Numeric:
			if dest[i], err = decodeNumeric(v); err != nil {
				return err
			}
		default:
			dest[i] = v
		}
	}
	return nil
}

// decodeNumeric returns an int64 for an integer that fits, otherwise a float64.
func decodeNumeric(n pgtype.Numeric) (driver.Value, error) {
	if i, err := n.Int64Value(); err == nil && i.Valid {
		return i.Int64, nil
	}
	f, err := n.Float64Value()
	return f.Float64, err
}

// begin starts a transaction that fails if this process has lost its row.
func (p *postgresql) begin() error {
	if p.conn == nil || p.conn.IsClosed() {
		return errLost
	}
	p.batch++
	p.pending, p.warned = &pgx.Batch{}, nil
	p.pending.Queue("BEGIN")
	p.pending.Queue(limitTransaction, strconv.FormatInt(turnTime.Milliseconds(), 10), strconv.FormatInt(idleTime.Milliseconds(), 10))
	p.turn, p.fence = 2, 3
	p.pending.Queue(inSchema(lockTurn, p.address.Schema))
	p.pending.Queue(inSchema(fenceNode, p.address.Schema), p.batch, p.node, p.epoch)
	return nil
}

// commit commits. sent reports whether the server may have received the commit: an error then says
// nothing about its outcome.
func (p *postgresql) commit() (sent bool, err error) {
	// What is pending goes first, so that its errors are not those of the commit.
	if _, err := p.send(statementTime, nil); err != nil {
		return false, err
	}
	p.warned = nil
	p.pending.Queue("COMMIT")
	tag, err := p.send(commitTime, nil)
	switch {
	case err != nil:
		return true, err
	case tag.String() != "COMMIT":
		return false, fmt.Errorf("the database has rolled back a transaction instead of committing it (%s)", tag)
	case p.warned != nil:
		// Such as 01000: canceling wait for synchronous replication due to user request.
		return true, fmt.Errorf("the commit came back with a warning: %s (%s)", p.warned.Message, p.warned.Code)
	}
	return true, nil
}

// rollback ends a transaction that failed.
func (p *postgresql) rollback() {
	p.pending, p.fence, p.turn, p.kept = &pgx.Batch{}, -1, -1, keptTotals{}
	if p.conn == nil || p.conn.IsClosed() || p.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, commitTime)
	defer cancel()
	if _, err := p.conn.Exec(ctx, "ROLLBACK"); err != nil {
		p.disconnect()
	}
}
