package store

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
// than the statement: statements whose result is not needed are sent together with the next one.

// statementTime is how long a statement may take before its connection counts as lost, and commitTime
// the same for a commit: without an answer until then, its outcome is unknown.
const (
	statementTime = 30 * time.Second
	commitTime    = 5 * time.Second
	// writeTime is commitTime for a commit that is sent together with the last rows, which may first wait for a
	// lock: the server's answer that it got none comes before.
	writeTime = turnTime + time.Second
	// maxWithCommit is how many bytes of rows are sent together with a commit at most.
	maxWithCommit = 1 << 20
)

// postgresql is the connection that writes. Only the writer's goroutine uses it.
type postgresql struct {
	ctx     context.Context
	address *postgres.Address
	verb    string
	log     *slog.Logger
	conn    *pgx.Conn // nil while there is none
	// connected is when conn was opened.
	connected time.Time
	// pending are the statements that were not sent yet, and outcomes what each must return. held are the
	// rows that are not even in a statement yet (postgresqlbulk.go).
	pending  *pgx.Batch
	outcomes []outcome
	held     map[string]*heldRows
	texts    map[string]*postgresText
	// size is the number of bytes in the held rows of the transaction.
	size int
	// took is how long the last transaction took that was committed, wrote the number of its commands.
	took  time.Duration
	wrote int
	// known is what was read for the whole batch (postgresqlahead.go).
	known known
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
	// last transaction; seq and total are the end of the feed. leading is set until then.
	onTurn         func(other bool, seq, total int64)
	other, leading bool
	link           *link
	// rules is the state of what decisions rely on, when the turn was locked.
	rules int64
	// beaten is when the lease was last extended, in nanoseconds since started. steady, draining, alone
	// and share are what the last beat has found. The link sets them, everybody reads them.
	beaten                  atomic.Int64
	steady, draining, alone atomic.Bool
	// full is when the server last had no space, in nanoseconds since started; 0 for never.
	full atomic.Int64
	// denied is set while the role lacks a right to store events.
	denied atomic.Pointer[AwayError]
	share  atomic.Pointer[share]
	// trips counts the requests to the server; readers count theirs in it, too.
	trips atomic.Int64
}

func newPostgresql(ctx context.Context, a *postgres.Address, o Options) *postgresql {
	p := &postgresql{ctx: ctx, address: a, verb: o.Verb, log: o.Log, texts: map[string]*postgresText{}}
	p.forget()
	p.alone.Store(true)
	p.share.Store(&share{})
	return p
}

// RoundTrips returns how often the store has waited for a PostgreSQL server since it was opened; 0 for SQLite.
func (s *Store) RoundTrips() int64 {
	if s.w.pg == nil {
		return 0
	}
	return s.w.pg.trips.Load()
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
	p.conn, p.connected = conn, time.Now()
	p.forget()
	return p.settle(ctx)
}

// connectionLife is how long a connection is used: its session keeps a plan and memory for each statement.
const connectionLife = 15 * time.Minute

// renew replaces a connection that is old. Without a new one it keeps the old one for another while.
func (p *postgresql) renew() {
	if p.conn == nil || time.Since(p.connected) < connectionLife {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	old := p.conn
	if err := p.connect(ctx); err != nil {
		p.conn, p.connected = old, time.Now()
		return
	}
	_ = old.Close(ctx) // nothing was pending
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

// writerSettings make the plans of the writer's statements independent of the number of rows when they were
// prepared: all of them find their rows by an index, however small the tables are.
var writerSettings = []string{"SET enable_seqscan = off", "SET enable_hashjoin = off", "SET enable_mergejoin = off",
	"SET plan_cache_mode = force_generic_plan", "SET jit = off", // compiling takes longer than any of them
	keepSession}

// limitSession sets the limits of limitTransaction for the whole session.
const limitSession = `SELECT set_config('lock_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $2, false),
	set_config('statement_timeout', $3, false), set_config('client_min_messages', 'warning', false)`

// limits are the values of limitTransaction and limitSession.
func limits() []any {
	return []any{milliseconds(turnTime), milliseconds(idleTime), milliseconds(statementTime)}
}

// keepSession makes the server keep the session of a node that has nothing to write or to read: the loss of a
// session is an outage. PostgreSQL 13 does not have the setting.
const keepSession = `SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'`

// keepReaders is keepSession for sessions that do not write. check, db copy and ANALYZE read a table with one
// statement, which may take longer than a statement_timeout of the role or of the database.
const keepReaders = `SELECT set_config(name, '0', false) FROM pg_settings
	WHERE name IN ('idle_session_timeout', 'statement_timeout', 'lock_timeout')`

// settle changes the settings of the session. Behind a pooler, a session is not the writer's alone.
func (p *postgresql) settle(ctx context.Context) error {
	if !p.address.Hints {
		return nil
	}
	for _, s := range writerSettings {
		if _, err := p.conn.Exec(ctx, s); err != nil {
			return p.address.Explain(errors.Join(err, p.conn.Close(ctx)))
		}
	}
	if _, err := p.conn.Exec(ctx, limitSession, limits()...); err != nil {
		return p.address.Explain(errors.Join(err, p.conn.Close(ctx)))
	}
	return nil
}

// forget drops what belongs to a transaction that was not committed, or that has ended.
func (p *postgresql) forget() {
	p.pending, p.outcomes, p.held, p.known, p.leading, p.size = &pgx.Batch{}, nil, map[string]*heldRows{}, known{}, false, 0
}

// outcome is what a statement returns.
type outcome struct {
	// want is the number of rows that it must change.
	want int64
	// read reads its rows; nil if it has none.
	read func(pgx.Rows) error
}

// anyNumber is for statements that may change any number of rows.
const anyNumber = -1

// text returns a statement in PostgreSQL's SQL.
func (p *postgresql) text(query string) *postgresText {
	t := p.texts[query]
	if t == nil {
		t = newPostgresText(query, p.here)
		p.texts[query] = t
	}
	return t
}

// here completes a statement for this node and its schema.
func (p *postgresql) here(text string) string {
	return strings.ReplaceAll(inSchema(text, p.address.Schema), nodeNumber, strconv.FormatInt(p.node, 10))
}

// queue adds a statement to those that are sent with the next one.
func (p *postgresql) queue(text string, want int64, read func(pgx.Rows) error, args ...any) {
	p.pending.Queue(text, args...)
	p.outcomes = append(p.outcomes, outcome{want, read})
}

// put adds a statement without a result to those that are sent with the next one. together reports whether it
// may be executed together with others.
func (p *postgresql) put(query string, args []driver.Value, together bool) {
	if b := bulks[query]; b != nil && together {
		p.hold(b, args)
		return
	}
	t := p.text(query)
	p.releaseFor(t)
	p.queue(t.text, anyNumber, nil, encodeArgs(args)...)
}

// ask sends all pending statements and then this one, and reads its rows.
func (p *postgresql) ask(query string, args []driver.Value, read func(pgx.Rows) error) (pgconn.CommandTag, error) {
	t := p.text(query)
	p.releaseFor(t)
	p.queue(t.text, anyNumber, read, encodeArgs(args)...)
	return p.send(statementTime)
}

// send sends all pending statements. It returns the result of the last one.
func (p *postgresql) send(within time.Duration) (tag pgconn.CommandTag, err error) {
	batch, outcomes := p.pending, p.outcomes
	p.pending, p.outcomes, p.leading = &pgx.Batch{}, nil, false
	if batch.Len() == 0 {
		return tag, nil
	}
	if p.conn == nil {
		return tag, errLost
	}
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	p.trips.Add(1)
	results := p.conn.SendBatch(ctx, batch)
	defer func() {
		if cerr := results.Close(); err == nil {
			err = cerr
		}
	}()
	for _, a := range outcomes {
		if tag, err = a.take(results); err != nil {
			return tag, turnError(err)
		}
	}
	return tag, nil
}

// take reads the result of the next statement.
func (a outcome) take(results pgx.BatchResults) (tag pgconn.CommandTag, err error) {
	if a.read == nil {
		tag, err = results.Exec()
	} else {
		rows, qerr := results.Query()
		if qerr != nil {
			return tag, qerr
		}
		err = a.read(rows)
		rows.Close()
		if err == nil {
			err = rows.Err()
		}
		tag = rows.CommandTag()
	}
	if err == nil && a.want != anyNumber && tag.RowsAffected() != a.want {
		err = errAssumed
	}
	return tag, err
}

// flush sends everything that the transaction has written so far.
func (p *postgresql) flush() error {
	p.releaseAll()
	_, err := p.send(statementTime)
	return err
}

// uncertain reports whether the results of pending statements may forbid the commit, or take long: they are then
// sent before it.
func (p *postgresql) uncertain() bool {
	return p.size > maxWithCommit || slices.ContainsFunc(p.outcomes, func(a outcome) bool { return a.read != nil || a.want != anyNumber })
}

func (p *postgresql) exec(query string, args []driver.Value) (changes int64, err error) {
	tag, err := p.ask(query, args, nil)
	return tag.RowsAffected(), err
}

func (p *postgresql) row(query string, dest, args []driver.Value) (found bool, err error) {
	_, err = p.ask(query, args, func(rows pgx.Rows) error {
		if found = rows.Next(); !found {
			return nil
		}
		return decodeRow(rows, dest)
	})
	return found && err == nil, err
}

// each reads all rows before it visits them, so that visit may execute statements.
func (p *postgresql) each(query string, columns int, visit func(v []driver.Value), args []driver.Value) error {
	var all [][]driver.Value
	_, err := p.ask(query, args, func(rows pgx.Rows) error {
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
	p.renew()
	if p.conn == nil || p.conn.IsClosed() {
		return errLost
	}
	p.batch++
	p.forget()
	p.warned = nil
	p.leading = true
	p.queue(beginTransaction, anyNumber, nil)
	if !p.address.Hints {
		p.queue(limitTransaction, anyNumber, nil, limits()...)
	}
	p.queue(p.here(lockTurn), anyNumber, first(p.readTurn))
	p.queue(p.here(fenceNode), anyNumber, first(p.readFence), p.batch, p.node, p.epoch)
	return nil
}

// first reads the first row of a statement; without one, Scan returns pgx.ErrNoRows.
func first(read func(pgx.Row) error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if rows.Next() {
			return read(rows)
		}
		rows.Close()
		return read(noRow{rows.Err()})
	}
}

// noRow is the row of a statement that returned none.
type noRow struct{ err error }

// Scan implements pgx.Row.
func (r noRow) Scan(...any) error { return cmp.Or(r.err, pgx.ErrNoRows) }

// commit commits. sent reports whether the server may have received the commit: an error then says
// nothing about its outcome.
func (p *postgresql) commit() (sent bool, err error) {
	within := commitTime
	if p.releaseAll(); p.uncertain() {
		if _, err := p.send(statementTime); err != nil {
			return false, err
		}
	} else if len(p.outcomes) > 0 {
		within = writeTime
	}
	p.warned = nil
	p.queue("COMMIT", anyNumber, nil)
	tag, err := p.send(within)
	switch {
	case err != nil && p.conn != nil && p.conn.PgConn().TxStatus() == 'E':
		return false, err // a statement before has failed, and the server says that the transaction waits for its end
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
	p.forget()
	p.kept = keptTotals{}
	if p.conn == nil || p.conn.IsClosed() || p.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, commitTime)
	defer cancel()
	if _, err := p.conn.Exec(ctx, "ROLLBACK"); err != nil {
		p.disconnect()
	}
}
