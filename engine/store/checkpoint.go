package store

import (
	"time"
)

// maybeCheckpoint keeps the WAL short, so that commits overwrite it in place: a growing file costs
// its file system one more journal entry at each sync, and can fill a small disk. Most of the WAL
// is moved concurrently with the commits; the few frames that arrive in the meantime are moved
// here. SQLite then restarts the WAL, and truncates it to journal_size_limit. A file that is larger
// has grown since then.
func (w *writer) maybeCheckpoint() {
	if w.err() != nil {
		return
	}
	if w.caughtUp.CompareAndSwap(true, false) {
		if !w.movable(moveStride) {
			return
		}
		if _, err := queryText(w.conn, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			// A failed checkpoint loses nothing; if its error matters, the next commit returns it.
			_ = w.severity(err)
		}
		return
	}
	size := w.walSize
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
	// A reader may block it for long: the next pass is due when the WAL has grown.
	w.commits, w.checkpoint, w.passAt = 0, time.Now(), size+w.space.limit/2
	select {
	case w.moves <- struct{}{}:
	default:
	}
}

// catchUp waits until the WAL is moved. It is called when commits write faster than the concurrent
// pass moves: a disk that is nearly full would have no room for the WAL later.
func (w *writer) catchUp(size int64) {
	w.commits, w.checkpoint, w.passAt, w.waitAt = 0, time.Now(), size+w.space.limit/2, size+w.space.limit
	if !w.movable(moveStride) {
		return
	}
	w.passing.Lock()
	_, err := queryText(w.conn, "PRAGMA wal_checkpoint(PASSIVE)")
	w.passing.Unlock()
	if err != nil {
		_ = w.severity(err)
	}
}

// checkpoints copies the WAL into the database file on its own connection. A PASSIVE checkpoint
// blocks no reader or writer, and waits for none.
func (w *writer) checkpoints() {
	defer close(w.moved)
	for range w.moves {
		if size, err := w.files.look(w.wal); w.err() != nil || err != nil || headless(w.walFile, size) || !w.movable(moveStride) {
			continue // the next commit, or watch, reports it
		}
		w.passing.Lock()
		_, err := queryText(w.checkpointer, "PRAGMA wal_checkpoint(PASSIVE)")
		w.passing.Unlock()
		if err != nil {
			_ = w.severity(err)
		}
		w.caughtUp.Store(true)
	}
}
