package store

import (
	"time"
)

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
		if !w.movable(moveStride) {
			return
		}
		if _, err := queryText(w.conn, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			// A checkpoint that fails loses nothing; its error returns with the next
			// commit if it matters.
			_ = w.judge(err)
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
	if !w.movable(moveStride) {
		return
	}
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
		if size, err := w.files.look(w.wal); w.err() != nil || err != nil || headless(w.walFile, size) || !w.movable(moveStride) {
			continue // the next commit, or watch, says so
		}
		w.passing.Lock()
		_, err := queryText(w.checkpointer, "PRAGMA wal_checkpoint(PASSIVE)")
		w.passing.Unlock()
		if err != nil {
			_ = w.judge(err)
		}
		w.caughtUp.Store(true)
	}
}
