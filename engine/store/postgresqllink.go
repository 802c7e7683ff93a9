package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// This file is the second connection of a node. It extends the lease, which must not wait for a
// transaction of the writer, and passes hints between the nodes: what a node has committed, the others
// read again. A hint is a notification of the database, at most one every hintEvery, and on a
// connection of its own, because a notification in each transaction would make their commits wait for
// each other. Notifications can be lost, and a pooler does not pass them on: so each node also looks
// with each beat whether another one has written.

// hintEvery is how often hints are sent at most.
const hintEvery = 10 * time.Millisecond

// allSignals is every kind of change.
const allSignals = engine.SignalEvents | engine.SignalRuns | engine.SignalDue | engine.SignalAnswers | engine.SignalSwitches |
	engine.SignalTokens | engine.SignalOrders | engine.SignalNodes | engine.SignalDueElsewhere | engine.SignalInbox | engine.SignalSecrets

// started is the origin of the monotonic times that goroutines share.
var started = time.Now()

// link is the state of the second connection. Its goroutine owns it, but for the atomic fields.
type link struct {
	p       *postgresql
	w       *writer
	conn    *pgx.Conn // nil while there is none
	steady  time.Time // since when it beats without a gap
	hinted  time.Time
	written string // what the other nodes had written at the last beat
	// hints are the changes of which the others have no notification yet.
	hints atomic.Uint32
	wake  chan struct{}
	// stop is closed after the writer has ended: while it commits what is queued, the lease must hold.
	stop, ended chan struct{}
}

func newLink(p *postgresql, w *writer) *link {
	return &link{p: p, w: w, wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
}

// mayBegin reports whether the lease surely holds.
func (p *postgresql) mayBegin() bool {
	return time.Since(started)-time.Duration(p.beaten.Load()) < beginTime
}

// mayTakeOver reports whether this node may decide by their leases that other nodes are gone. After an
// outage of the database all leases have ended, and the living nodes need time to extend theirs.
func (p *postgresql) mayTakeOver() bool { return p.steady.Load() && p.mayBegin() }

// hint tells the other nodes of changes.
func (l *link) hint(s engine.Signal) {
	if s == 0 || l.p.alone.Load() {
		return
	}
	if l.hints.Or(uint32(s)) == 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// run beats and passes hints until the writer has ended.
func (l *link) run() {
	defer close(l.ended)
	defer l.disconnect()
	for {
		select {
		case <-l.stop:
			return
		case <-l.w.broken:
			return
		default:
		}
		began := time.Now()
		if err := l.step(); err != nil {
			if errors.Is(err, errFenced) {
				l.w.fatal(err)
				return
			}
			l.p.steady.Store(false)
			l.disconnect()
			l.pause(reconnectEvery)
			continue
		}
		l.listen(began.Add(beatEvery))
	}
}

// pause waits, at most until the writer has ended.
func (l *link) pause(d time.Duration) {
	select {
	case <-l.stop:
	case <-time.After(d):
	}
}

// step connects if necessary, and beats.
func (l *link) step() error {
	ctx, cancel := context.WithTimeout(l.p.ctx, leaseTime/2)
	defer cancel()
	if l.conn == nil {
		if err := l.connect(ctx); err != nil {
			return err
		}
	}
	return l.beat(ctx)
}

func (l *link) connect(ctx context.Context) error {
	config := l.p.address.Config()
	config.DefaultQueryExecMode = execMode(l.p.address)
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { l.publishNotified(n.Payload) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	l.conn, l.steady = conn, time.Now()
	if !l.p.address.Hints {
		return nil
	}
	_, err = conn.Exec(ctx, `LISTEN `+pgx.Identifier{l.channel()}.Sanitize())
	return err
}

func (l *link) disconnect() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.p.ctx, time.Second)
	defer cancel()
	_ = l.conn.Close(ctx) // it may be broken
	l.conn = nil
}

// channel is the name of the notifications of a schema.
func (l *link) channel() string { return "hookloom_" + l.p.address.Schema }

// Statements of a beat. The lease need not outlive the database: its transaction does not wait for the
// disk, nor for a standby.
const (
	asyncBeat  = `SELECT set_config('synchronous_commit', 'off', true)`
	extendBeat = `UPDATE ` + schemaName + `.beats SET until = ` + databaseNow + ` + $1 WHERE node = $2 AND epoch = $3`
	readBeat   = `SELECT coalesce((SELECT drain FROM ` + schemaName + `.nodes WHERE epoch = $1 AND NOT gone)::text, ''),
		coalesce((SELECT string_agg(n.node::text, ',' ORDER BY n.node) FROM ` + schemaName + `.nodes n JOIN ` + schemaName + `.beats b
			ON b.node = n.node AND b.epoch = n.epoch WHERE b.until > ` + databaseNow + ` AND NOT n.gone AND n.verb = 'serve'
			AND (NOT n.drain OR n.epoch = $1)), ''),
		coalesce((SELECT string_agg(n.epoch::text || ' ' || n.batch::text, ',' ORDER BY n.node) FROM ` + schemaName + `.nodes n
			WHERE n.epoch <> $1), ''),
		EXISTS (SELECT 1 FROM ` + silentNodes + `)`
)

// beat extends the lease, and reads what the other nodes do.
func (l *link) beat(ctx context.Context) error {
	p := l.p
	began := time.Since(started)
	if now := began - time.Duration(p.beaten.Load()); now > beginTime {
		l.steady = time.Now()
	}
	batch := &pgx.Batch{}
	batch.Queue(beginTransaction)
	batch.Queue(asyncBeat)
	batch.Queue(inSchema(extendBeat, p.address.Schema), leaseTime.Milliseconds(), p.node, p.epoch)
	batch.Queue(inSchema(readBeat, p.address.Schema), p.epoch)
	batch.Queue("COMMIT")
	results := l.conn.SendBatch(ctx, batch)
	var drain, living, written string
	var extended int64
	var silent bool
	err := errors.Join(ignore(results.Exec()), ignore(results.Exec()))
	if err == nil {
		var tag pgconn.CommandTag
		tag, err = results.Exec()
		extended = tag.RowsAffected()
	}
	if err == nil {
		err = results.QueryRow().Scan(&drain, &living, &written, &silent)
	}
	if err == nil {
		err = ignore(results.Exec())
	}
	if err = errors.Join(err, results.Close()); err != nil {
		return err
	}
	if extended == 0 || drain == "" {
		return errFenced
	}
	p.steady.Store(time.Since(l.steady) >= steadyTime) // before beaten, for mayTakeOver
	p.beaten.Store(int64(began))
	l.read(drain == "true", living, written)
	if silent {
		p.freeTurn(ctx, l.conn)
	}
	return nil
}

// ignore drops the result of a statement.
func ignore(_ pgconn.CommandTag, err error) error { return err }

// read compares what a beat has found with the one before.
func (l *link) read(drain bool, living, written string) {
	p := l.p
	if drain && !p.draining.Swap(true) {
		l.w.signals.Publish(engine.SignalNodes)
	}
	if share := newShare(living, p.node); !slices.Equal(share.nodes, p.share.Load().nodes) {
		p.share.Store(share)
		p.alone.Store(written == "")
		l.w.signals.Publish(engine.SignalNodes | engine.SignalDueElsewhere)
	}
	if written != "" {
		p.alone.Store(false)
	}
	if written != l.written {
		l.written = written
		l.w.signals.Publish(allSignals)
	}
}

// publishNotified publishes the changes that a notification of another node names: its epoch and their
// kinds.
func (l *link) publishNotified(payload string) {
	epoch, kinds, _ := strings.Cut(payload, " ")
	n, err := strconv.ParseUint(kinds, 10, 16)
	if err != nil || epoch == strconv.FormatInt(l.p.epoch, 10) {
		return
	}
	s := engine.Signal(n)
	if s&engine.SignalDue != 0 {
		s |= engine.SignalDueElsewhere
	}
	l.w.signals.Publish(s)
}

// listen receives and sends hints until the next beat.
func (l *link) listen(until time.Time) {
	for time.Now().Before(until) && l.conn != nil {
		if l.hints.Load() != 0 && time.Since(l.hinted) >= hintEvery {
			l.send()
			continue
		}
		next := until
		if l.hints.Load() != 0 {
			next = l.hinted.Add(hintEvery)
		}
		if !l.wait(next) {
			return
		}
	}
}

// wait receives notifications until a time, until a hint must be sent, or until the end; it reports
// whether to continue.
func (l *link) wait(until time.Time) bool {
	ctx, cancel := context.WithDeadline(l.p.ctx, until)
	defer cancel()
	if !l.p.address.Hints {
		return l.woken(ctx)
	}
	// It must have ended before the next one begins, which would otherwise miss what wakes this one.
	ended := make(chan bool)
	go func() {
		goOn := l.woken(ctx)
		cancel()
		ended <- goOn
	}()
	_, err := l.conn.WaitForNotification(ctx)
	lost := err != nil && ctx.Err() == nil
	cancel()
	goOn := <-ended
	if lost || l.conn.IsClosed() {
		l.p.steady.Store(false)
		l.disconnect()
	}
	return goOn
}

// woken waits until there is a hint to be sent or ctx ends; false if the writer has ended.
func (l *link) woken(ctx context.Context) bool {
	select {
	case <-l.stop:
		return false
	case <-l.wake:
	case <-ctx.Done():
	}
	return true
}

// send tells the other nodes what changed.
func (l *link) send() {
	kinds := l.hints.Swap(0)
	l.hinted = time.Now()
	if !l.p.address.Hints {
		return // the others see it with their next beat
	}
	ctx, cancel := context.WithTimeout(l.p.ctx, leaseTime/2)
	defer cancel()
	if _, err := l.conn.Exec(ctx, `SELECT pg_notify($1, $2)`, l.channel(), fmt.Sprint(l.p.epoch, " ", kinds)); err != nil {
		l.disconnect()
	}
}

// share is which stored runs this node takes up. Each living node takes its share, so that no two try
// to take the same run; what is left for lateTime is taken by any of them.
type share struct {
	nodes []int64
	rank  uint64
}

// lateTime is how long a due run is left to the node whose share it is.
const lateTime = 2 * time.Second

// newShare reads the numbers of the living nodes.
func newShare(living string, self int64) *share {
	s := &share{}
	for text := range strings.SplitSeq(living, ",") {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			continue
		}
		if n == self {
			s.rank = uint64(len(s.nodes))
		}
		s.nodes = append(s.nodes, n)
	}
	return s
}

// has reports whether a run is in the share.
func (s *share) has(id int64) bool {
	const mix = 0x9E3779B97F4A7C15 // spreads ids, whose low bits are a counter (Knuth, TAOCP 6.4)
	return len(s.nodes) < 2 || uint64(id)*mix>>32%uint64(len(s.nodes)) == s.rank
}
