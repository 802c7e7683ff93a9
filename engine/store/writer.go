package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/mattn/go-sqlite3"
)

// maxBatch is how many writes share a commit.
const maxBatch = 512

// command is one transaction of the story. It may run more than once: when
// another one of its batch fails, each is tried again alone.
type command struct {
	apply func(*tx) error
	done  chan error
	// upkeep makes room, and may write while the disk is full.
	upkeep bool
}

// writer owns the one connection that writes.
type writer struct {
	conn    *sqlite3.SQLiteConn
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
	// bound are the values of the statement that runs.
	bound  []driver.NamedValue
	writes int
	// commits since the last checkpoint, when it was, and the sizes of the WAL from which
	// the next is due and is waited for.
	commits        int
	checkpoint     time.Time
	passAt, waitAt int64
	// space is the room on the disk; full is set while there is none, and roomy says that
	// there may be some again. passing is held while the WAL is moved.
	path    string
	space   *space
	full    atomic.Pointer[FullError]
	roomy   chan struct{}
	passing sync.Mutex
	log     *slog.Logger
	// checkpointer is the connection that moves the WAL into the file.
	checkpointer *sqlite3.SQLiteConn
	wal          string
	// files are those that are open, by the names that they must keep.
	files        openFiles
	watched      chan struct{}
	moves, moved chan struct{}
	caughtUp     atomic.Bool
	dones        sync.Pool
	redactor     *engine.Redactor
	// maxConflicts and maxConflictBytes bound the conflicting deliveries that are kept.
	maxConflicts     int
	maxConflictBytes int64
}

func newWriter(conn, checkpointer *sqlite3.SQLiteConn, wal string, o Options) *writer {
	w := &writer{conn: conn, checkpointer: checkpointer, wal: wal, moves: make(chan struct{}, 1), moved: make(chan struct{}), fault: o.Fault, redactor: o.Redactor, maxConflicts: o.MaxQuarantine, maxConflictBytes: o.MaxQuarantineBytes, queue: make(chan *command, o.MaxQueued), broken: make(chan struct{}), stop: make(chan struct{}),
		ended: make(chan struct{}), stmts: map[string]*sqlite3.SQLiteStmt{}, checkpoint: time.Now(), roomy: make(chan struct{}), log: o.Log}
	w.dones.New = func() any { return &command{done: make(chan error, 1)} }
	return w
}

func (w *writer) start() {
	w.watched = make(chan struct{})
	go w.run()
	go w.checkpoints()
	go func() { defer close(w.watched); w.watch() }()
}

// do queues a transaction and waits for its commit. With block it waits for
// room, else a full queue is ErrBusy.
func (w *writer) do(ctx context.Context, block bool, apply func(*tx) error) error {
	return w.queued(ctx, block, false, apply)
}

func (w *writer) queued(ctx context.Context, block, upkeep bool, apply func(*tx) error) error {
	c := w.dones.Get().(*command)
	c.apply, c.upkeep = apply, upkeep
	if err := w.enqueue(ctx, block, c); err != nil {
		return err
	}
	// Once queued, it will be decided: giving up here would leave the caller
	// not knowing whether its event is stored.
	err := <-c.done
	c.apply = nil
	w.dones.Put(c)
	return err
}

func (w *writer) enqueue(ctx context.Context, block bool, c *command) error {
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
	if !block {
		// Accepting may fill three quarters; the rest is for runs at work, so that
		// a flood cannot stop what would drain it.
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

// fatal stops all writing: after a failed sync SQLite would go on as if nothing
// had happened, and what was acknowledged could be gone.
func (w *writer) fatal(err error) {
	w.once.Do(func() {
		w.cause.Store(&err)
		close(w.broken)
	})
}

// run gathers what is waiting and commits it, until the store is closed.
func (w *writer) run() {
	defer close(w.ended)
	batch := make([]*command, 0, maxBatch)
	for {
		select {
		case c := <-w.queue:
			batch = w.gather(append(batch[:0], c))
			w.commit(batch)
		case <-w.roomy:
			w.recover()
			continue
		case <-w.stop:
			for len(w.queue) > 0 {
				batch = w.gather(batch[:0])
				w.commit(batch)
			}
			return
		}
		w.maybeCheckpoint()
	}
}

// gather takes what is waiting. It first lets the callers that are just about
// to queue get there: a commit costs the same for one write as for fifty.
func (w *writer) gather(batch []*command) []*command {
	for quiet, before := 0, 0; quiet < 2 && len(w.queue) < maxBatch; {
		runtime.Gosched()
		if now := len(w.queue); now > before {
			quiet, before = 0, now
		} else {
			quiet++
		}
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

// commit carries out a batch in one transaction and tells every caller.
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
	if errors.Is(err, engine.ErrFull) {
		if !w.relieve() {
			w.commitFull(batch, w.full.Load())
			return
		}
		if err = w.transaction(batch); errors.Is(err, engine.ErrFull) {
			w.setFull() // what is wanted is larger than the room that is left
		}
	}
	if err != nil && len(batch) > 1 && w.err() == nil {
		// Somebody's command failed: each alone, so that it fails for its own.
		for _, c := range batch {
			c.done <- w.transaction([]*command{c})
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
	t := &tx{w: w}
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return w.judge(err)
	}
	for _, c := range batch {
		if err := c.apply(t); err != nil {
			return w.rollback(err)
		}
	}
	if err := w.faulty(); err != nil {
		return w.rollback(err)
	}
	if err := t.exec("COMMIT"); err != nil {
		return w.rollback(err)
	}
	if err := w.files.moved(); err != nil {
		w.fatal(err)
		return err // what was committed is in a file that a restart does not find
	}
	w.commits += len(batch)
	return nil
}

func (w *writer) rollback(cause error) error {
	if !w.conn.AutoCommit() {
		if _, err := w.conn.Exec("ROLLBACK", nil); err != nil && !w.conn.AutoCommit() {
			w.fatal(fmt.Errorf("rolling back: %w", diskError{err}))
		}
	}
	return w.judge(cause)
}

// judge tells errors that pass from those after which nothing may be written.
func (w *writer) judge(err error) error {
	var se sqlite3.Error
	if err = classify(err); errors.As(err, &se) && !errors.Is(err, engine.ErrFull) {
		switch se.Code {
		case sqlite3.ErrIoErr, sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
			err = fmt.Errorf("the database cannot be written any more: %w", err)
			w.fatal(err)
		}
	}
	return err
}

// classify names SQLite's errors in the engine's words.
func classify(err error) error {
	var se sqlite3.Error
	if !errors.As(err, &se) {
		if noSpace(err) {
			return fmt.Errorf("%w: %w", engine.ErrFull, err)
		}
		return err
	}
	switch {
	case se.Code == sqlite3.ErrFull,
		// A failed sync is worse: what was written before may be gone.
		noSpace(se.SystemErrno) && se.ExtendedCode != sqlite3.ErrIoErrFsync && se.ExtendedCode != sqlite3.ErrIoErrDirFsync:
		return fmt.Errorf("%w: %w", engine.ErrFull, err)
	case se.Code == sqlite3.ErrCantOpen && (se.SystemErrno == syscall.EMFILE || se.SystemErrno == syscall.ENFILE):
		return fmt.Errorf("%w (no file descriptor is free): %w", engine.ErrBusy, err)
	case se.Code == sqlite3.ErrBusy, se.Code == sqlite3.ErrLocked:
		return fmt.Errorf("%w: %w", engine.ErrBusy, err)
	}
	switch se.Code {
	case sqlite3.ErrConstraint, sqlite3.ErrMismatch, sqlite3.ErrTooBig, sqlite3.ErrRange, sqlite3.ErrError, sqlite3.ErrInterrupt:
		return err // of the rows that it is about, such as JSON that is malformed
	}
	return diskError{err}
}

// diskError is an engine.ErrDisk in the words of SQLite.
type diskError struct{ error }

func (e diskError) Unwrap() error        { return e.error }
func (e diskError) Is(target error) bool { return target == engine.ErrDisk }

// noSpace tells the operating system's words for a full disk or a quota that is used up.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// faulty lets a test fail the n-th commit, as a disk does.
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

// maybeCheckpoint keeps the WAL short, so that commits overwrite it in place: a
// file that grows costs its file system a journal entry more at each sync, and a small
// disk may be full of it. The bulk is moved beside the commits; the few frames that came
// meanwhile are moved here, after which SQLite begins the WAL anew, and cuts it to
// journal_size_limit. A file that is larger has grown since then.
func (w *writer) maybeCheckpoint() {
	if w.err() != nil {
		return
	}
	if w.caughtUp.CompareAndSwap(true, false) {
		if _, err := queryText(w.conn, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			// A checkpoint that fails loses nothing; its error returns with the next
			// commit if it matters.
			_ = w.judge(err)
		}
		return
	}
	size := int64(0)
	if info, err := os.Stat(w.wal); err == nil {
		size = info.Size()
	}
	if size <= w.space.limit {
		w.passAt, w.waitAt = w.space.limit, 2*w.space.limit
	}
	if size <= w.passAt && (w.commits == 0 || time.Since(w.checkpoint) < time.Minute) {
		return
	}
	if size > w.waitAt {
		w.catchUp(size)
		return
	}
	// A reader may hold it open for long: then the next pass is due when it has grown.
	w.commits, w.checkpoint, w.passAt = 0, time.Now(), size+w.space.limit/2
	select {
	case w.moves <- struct{}{}:
	default:
	}
}

// catchUp waits until the WAL is moved: it is written faster than the pass beside the
// commits gets on, and a disk that is nearly full would have no room for it later.
func (w *writer) catchUp(size int64) {
	w.commits, w.checkpoint, w.passAt, w.waitAt = 0, time.Now(), size+w.space.limit/2, size+w.space.limit
	w.passing.Lock()
	_, err := queryText(w.conn, "PRAGMA wal_checkpoint(PASSIVE)")
	w.passing.Unlock()
	if err != nil {
		_ = w.judge(err)
	}
}

// checkpoints moves the WAL into the file on a connection of its own. PASSIVE
// waits for nobody and nobody waits for it.
func (w *writer) checkpoints() {
	defer close(w.moved)
	for range w.moves {
		w.passing.Lock()
		_, err := queryText(w.checkpointer, "PRAGMA wal_checkpoint(PASSIVE)")
		w.passing.Unlock()
		if err != nil {
			_ = w.judge(err)
		}
		w.caughtUp.Store(true)
	}
}

func (w *writer) close() error {
	w.closing.Lock()
	already := w.closed
	w.closed = true
	w.closing.Unlock()
	if already {
		return nil
	}
	close(w.stop)
	<-w.ended
	<-w.watched
	close(w.moves)
	<-w.moved
	err := w.checkpointer.Close()
	var moved *MovedError
	if w.err() == nil || errors.As(w.err(), &moved) && moved.Path == w.wal {
		// The open log has what its name no longer leads to. On a full disk what is in the
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

// tx is the running transaction.
type tx struct {
	w       *writer
	changes int64
}

// exec runs a statement, prepared once. The statement's text is its name.
func (t *tx) exec(query string, args ...driver.Value) error {
	s, err := t.w.prepare(query)
	if err != nil {
		return err
	}
	defer t.w.unbind(len(args))
	r, err := s.ExecContext(context.Background(), t.w.bind(args))
	if err != nil {
		return err
	}
	t.changes, err = r.RowsAffected()
	return err
}

// maxPut is how many bytes of values put binds: the driver copies them to memory that it
// keeps for each statement.
const maxPut = 64 << 10

// put runs a statement like exec, but does not count the changed rows. As a query, the
// driver binds all values and runs the statement in one call into C; as a command it
// makes one call for each value.
func (t *tx) put(query string, args ...driver.Value) error {
	if sizeOf(args) > maxPut {
		return t.exec(query, args...)
	}
	s, err := t.w.prepare(query)
	if err != nil {
		return err
	}
	defer t.w.unbind(len(args))
	rows, err := s.QueryContext(context.Background(), t.w.bind(args))
	if err != nil {
		return err
	}
	return rows.Close()
}

// sizeOf is how many bytes the texts and blobs of a statement have.
func sizeOf(args []driver.Value) (n int) {
	for _, a := range args {
		switch a := a.(type) {
		case string:
			n += len(a)
		case []byte:
			n += len(a)
		}
	}
	return n
}

// bind gives the values of a statement as the driver takes them, in memory that the next
// statement uses again.
func (w *writer) bind(args []driver.Value) []driver.NamedValue {
	for len(w.bound) < len(args) {
		w.bound = append(w.bound, driver.NamedValue{Ordinal: len(w.bound) + 1})
	}
	for i, a := range args {
		w.bound[i].Value = a
	}
	return w.bound[:len(args)]
}

// unbind lets go of the values of the last statement.
func (w *writer) unbind(n int) {
	for i := range w.bound[:n] {
		w.bound[i].Value = nil
	}
}

func (w *writer) prepare(query string) (*sqlite3.SQLiteStmt, error) {
	if s := w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	st := s.(*sqlite3.SQLiteStmt)
	w.stmts[query] = st
	return st, nil
}

// row reads the first row of a query; found is false when there is none.
func (t *tx) row(query string, dest []driver.Value, args ...driver.Value) (found bool, err error) {
	s, err := t.w.prepare(query)
	if err != nil {
		return false, err
	}
	defer t.w.unbind(len(args))
	rows, err := s.QueryContext(context.Background(), t.w.bind(args))
	if err != nil {
		return false, err
	}
	err = rows.Next(dest)
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// each reads all rows of a query.
func (t *tx) each(query string, columns int, visit func(v []driver.Value), args ...driver.Value) error {
	s, err := t.w.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args)
	if err != nil {
		return err
	}
	v := make([]driver.Value, columns)
	for err = rows.Next(v); err == nil; err = rows.Next(v) {
		visit(v)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

func queryText(conn *sqlite3.SQLiteConn, query string) (string, error) {
	rows, err := conn.Query(query, nil)
	if err != nil {
		return "", err
	}
	dest := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(dest)
	for err == nil {
		// Row-returning pragmas do their work step by step and must be drained.
		err = rows.Next(make([]driver.Value, len(dest)))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", errors.Join(err, rows.Close())
	}
	if len(dest) == 0 {
		return "", rows.Close()
	}
	return fmt.Sprint(dest[0]), rows.Close()
}
