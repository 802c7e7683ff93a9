package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/mattn/go-sqlite3"
)

// maxBatch is how many writes share a commit.
const maxBatch = 512

// command is one transaction. It may be executed more than once: if another command of its batch
// fails, each is retried alone.
type command struct {
	apply func(*tx) error
	done  chan error
	order
}

// order is how a command is executed.
type order struct {
	// wait waits for room in the queue; otherwise a full queue is ErrBusy.
	wait bool
	// upkeep frees space, and may write while the disk is full.
	upkeep bool
	needs  needs
}

// writer owns the only connection that writes.
type writer struct {
	conn *sqlite3.SQLiteConn
	// pg is the connection to PostgreSQL, nil for SQLite; away is set while it does not answer.
	pg      *postgresql
	away    atomic.Pointer[AwayError]
	fault   func(int) error
	queue   chan *command
	broken  chan struct{}
	cause   atomic.Pointer[error]
	once    sync.Once
	stop    chan struct{}
	ended   chan struct{}
	closing sync.RWMutex
	closed  bool
	stmts   map[string]*sqlite3.SQLiteStmt
	// bound are the values of the current statement.
	bound  []driver.NamedValue
	writes int
	feed   feed
	// signal describes the changes of the running transaction; signals is notified after its
	// commit.
	signal  engine.Signal
	signals engine.Signals
	// Commits since the last checkpoint, its time, and the WAL sizes from which the next checkpoint
	// is due and is waited for.
	commits        int
	checkpoint     time.Time
	passAt, waitAt int64
	walSize        int64                  // bytes, after the last commit
	walFile        *os.File               // for its headers; nil if it could not be opened
	walEnd         atomic.Pointer[walEnd] // nil before the first commit that wrote
	walStart       walEnd                 // of the file when the store was opened
	// space tracks the disk space; full is set while there is none, and roomy reports that there
	// may be some again. passing is held while the WAL is moved.
	path    string
	space   *space
	full    atomic.Pointer[FullError]
	roomy   chan struct{}
	passing sync.Mutex
	log     *slog.Logger
	// checkpointer is the connection that moves the WAL into the file.
	checkpointer *sqlite3.SQLiteConn
	wal          string
	// files are the open files, with the names that they must keep.
	files        openFiles
	mark         *fileMark
	watched      chan struct{}
	moves, moved chan struct{}
	caughtUp     atomic.Bool
	dones        sync.Pool
	redactor     *redact.Redactor
	// maxConflicts and maxConflictBytes bound the stored conflicting deliveries.
	maxConflicts     int
	maxConflictBytes int64
}

func newWriter(conn, checkpointer *sqlite3.SQLiteConn, wal string, o Options) *writer {
	w := &writer{conn: conn, checkpointer: checkpointer, wal: wal, moves: make(chan struct{}, 1), moved: make(chan struct{}), fault: o.Fault,
		redactor: o.Redactor, signals: o.Signals,
		maxConflicts: o.MaxQuarantine, maxConflictBytes: o.MaxQuarantineBytes, queue: make(chan *command, o.MaxQueued),
		broken: make(chan struct{}), stop: make(chan struct{}),
		ended: make(chan struct{}), stmts: map[string]*sqlite3.SQLiteStmt{}, checkpoint: time.Now(), roomy: make(chan struct{}), log: o.Log}
	w.dones.New = func() any { return &command{done: make(chan error, 1)} }
	return w
}

func (w *writer) start() {
	if w.pg != nil {
		go w.run()
		go w.pg.link.run()
		return
	}
	w.watched = make(chan struct{})
	go w.run()
	go w.checkpoints()
	go func() { defer close(w.watched); w.watch() }()
}

// do queues a transaction and waits for its commit. With block it waits for room in the queue;
// otherwise a full queue is ErrBusy.
func (w *writer) do(ctx context.Context, block bool, apply func(*tx) error) error {
	return w.queued(ctx, order{wait: block}, apply)
}

// queued is do with an order.
func (w *writer) queued(ctx context.Context, o order, apply func(*tx) error) error {
	c := w.dones.Get().(*command)
	c.apply, c.order = apply, o
	if err := w.enqueue(ctx, c); err != nil {
		return err
	}
	// A queued command will be executed: if the caller gave up here, it would not know whether its
	// event is stored.
	err := <-c.done
	c.apply, c.needs = nil, needs{}
	w.dones.Put(c)
	return err
}

func (w *writer) enqueue(ctx context.Context, c *command) error {
	w.closing.RLock()
	defer w.closing.RUnlock()
	if w.closed {
		return engine.ErrClosed
	}
	if err := w.err(); err != nil {
		return err
	}
	if full := w.full.Load(); full != nil && !c.upkeep {
		return full
	}
	if away := w.away.Load(); away != nil {
		return away
	}
	if !c.wait {
		// Accepting may fill three quarters; the rest is for running work, so a flood cannot stop
		// the work that would drain it.
		if len(w.queue) > cap(w.queue)*3/4 {
			return engine.ErrBusy
		}
	}
	select {
	case w.queue <- c:
		return nil
	case <-w.broken:
		return w.err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) err() error {
	if p := w.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// fatal stops all writing: after a failed sync SQLite would continue as if nothing had happened,
// and acknowledged writes could be lost.
func (w *writer) fatal(err error) {
	w.once.Do(func() {
		var moved *MovedError
		if errors.As(err, &moved) && moved.over {
			w.putLogAside(moved)
		}
		w.cause.Store(&err)
		close(w.broken)
	})
}

// run collects waiting commands and commits them, until the store is closed.
func (w *writer) run() {
	defer close(w.ended)
	batch := make([]*command, 0, maxBatch)
	var ticks <-chan time.Time // PostgreSQL's lease
	if w.pg != nil {
		ticker := time.NewTicker(reconnectEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case c := <-w.queue:
			batch = w.gather(append(batch[:0], c))
			w.commit(batch)
		case <-w.roomy:
			w.recover()
			continue
		case <-ticks:
			w.tick()
			continue
		case <-w.stop:
			for len(w.queue) > 0 {
				batch = w.gather(batch[:0])
				w.commit(batch)
			}
			return
		}
		if w.pg == nil {
			w.maybeCheckpoint()
		} else if time.Since(w.pg.checked) >= checkEvery {
			w.tick()
		}
	}
}

// gather collects the waiting commands. It first lets callers that are about to queue do so: a
// commit costs the same for one write as for fifty.
func (w *writer) gather(batch []*command) []*command {
	for quiet, before := 0, 0; quiet < 2 && len(w.queue) < maxBatch; {
		runtime.Gosched()
		if now := len(w.queue); now > before {
			quiet, before = 0, now
		} else {
			quiet++
		}
	}
	if w.pg != nil {
		w.awaitMore(time.Sleep)
	}
	for len(batch) < maxBatch {
		select {
		case c := <-w.queue:
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// commit executes a batch in one transaction and notifies every caller.
func (w *writer) commit(batch []*command) {
	if err := w.err(); err != nil {
		answer(batch, err)
		return
	}
	if full := w.full.Load(); full != nil {
		w.commitFull(batch, full)
		return
	}
	err := w.transaction(batch)
	if errors.Is(err, engine.ErrFull) && w.pg == nil {
		if !w.relieve() {
			w.commitFull(batch, w.full.Load())
			return
		}
		if err = w.transaction(batch); errors.Is(err, engine.ErrFull) {
			w.setFull() // the request is larger than the remaining room
		}
	}
	if err != nil && len(batch) > 1 && w.err() == nil && w.away.Load() == nil && !errors.Is(err, errTurn) {
		// A command failed: execute each alone, so that only the failing one fails.
		for i, c := range batch {
			if away := w.away.Load(); away != nil { // each would wait for the database
				answer(batch[i:], away)
				return
			}
			err := w.transaction([]*command{c})
			c.done <- err
			if errors.Is(err, errTurn) { // so would each of the others
				answer(batch[i+1:], err)
				return
			}
		}
		return
	}
	answer(batch, err)
}

func answer(batch []*command, err error) {
	for _, c := range batch {
		c.done <- err
	}
}

func (w *writer) transaction(batch []*command) error {
	if w.pg != nil {
		return w.postgresTransaction(batch)
	}
	t := &tx{w: w}
	w.feed.changes, w.signal = w.feed.changes[:0], 0
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return w.severity(err)
	}
	for _, c := range batch {
		if err := c.apply(t); err != nil {
			return w.rollback(err)
		}
	}
	if err := t.writeFeed(); err != nil {
		return w.rollback(err)
	}
	if err := w.faulty(); err != nil {
		return w.rollback(err)
	}
	if err := t.exec("COMMIT"); err != nil {
		return w.rollback(err)
	}
	if err := w.lookAfterCommit(); err != nil {
		w.fatal(err)
		return err // the committed data is in a file that a restart does not find
	}
	w.commits += len(batch)
	if w.signal != 0 {
		w.signals.Publish(w.signal)
	}
	return nil
}

func (w *writer) rollback(cause error) error {
	if !w.conn.AutoCommit() {
		if _, err := w.conn.Exec("ROLLBACK", nil); err != nil && !w.conn.AutoCommit() {
			w.fatal(fmt.Errorf("rolling back: %w", diskError{err}))
		}
	}
	return w.severity(cause)
}

// faulty lets a test fail the n-th commit, as a disk may.
func (w *writer) faulty() error {
	if w.fault == nil {
		return nil
	}
	w.writes++
	err := w.fault(w.writes)
	if err != nil && !errors.Is(err, engine.ErrFull) && !errors.Is(err, engine.ErrBusy) {
		return diskError{err}
	}
	return err
}

func (w *writer) close() error {
	w.closing.Lock()
	already := w.closed
	w.closed = true
	w.closing.Unlock()
	if already {
		return nil
	}
	if w.pg != nil {
		return w.closePostgres()
	}
	close(w.stop)
	<-w.ended
	<-w.watched
	close(w.moves)
	<-w.moved
	err := w.checkpointer.Close()
	if w.walFile != nil {
		defer w.walFile.Close() // it was only read
	}
	if w.err() == nil && !w.movable(1) {
		err = errors.Join(err, w.err())
	}
	var moved *MovedError
	if errors.As(w.err(), &moved) && moved.hollow {
		return err // closing the last connection would move the log: the process ends with it open
	}
	if w.err() == nil || errors.As(w.err(), &moved) && moved.Path == w.wal {
		// The open log has data that its name no longer leads to. On a full disk the data in the
		// WAL stays there, which loses nothing.
		if _, cerr := queryText(w.conn, "PRAGMA wal_checkpoint(TRUNCATE)"); !errors.Is(classify(cerr), engine.ErrFull) {
			err = errors.Join(err, cerr)
		}
	}
	for _, s := range w.stmts {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, w.conn.Close())
}
