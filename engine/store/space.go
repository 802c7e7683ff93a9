package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file keeps the store usable when the disk is full. SQLite needs space to free space:
// deleting rows appends to the WAL, and moving the WAL into the database makes the database file
// grow. So a reserve lies next to the database, a file without content. When a commit finds the
// disk full, the reserve is removed, the WAL is moved into the file and truncated, and the reserve
// is made again of the freed space. If that fails, the store is full: deliveries and runs get
// ErrFull at once, so that they do not use up the space, and only pruning writes; as much of the
// reserve as fits is kept for it. Several times a second the store tries to restore the reserve,
// which ends this state automatically.

// Bounds of the WAL's size at which it is moved into the file. On a small disk the bound is
// smaller: at most a 48th of the disk. The reserve is twice the bound, since the WAL continues to
// grow while it is moved, and moving it takes at most about its size. A smaller bound moves the same
// page more often: with 4 MiB the throughput of runs is 3 to 10 % lower, and 16 MiB gains nothing.
const (
	maxWALLimit = 8 << 20
	minWALLimit = 128 << 10
	diskParts   = 48
)

// spaceEvery is how often a full store checks for space, and spaceTry how often it tries even if
// the file system reports none: quotas are not always reported.
const (
	spaceEvery = 200 * time.Millisecond
	spaceTry   = 5 * time.Second
)

// space tracks the free space on the database's disk.
type space struct {
	reserve string // path of the file
	dir     string
	// limit is the size of the WAL in bytes from which it is moved into the file.
	limit int64
	// stat returns the free and total bytes of the disk; tests replace it.
	stat func(dir string) (free, total int64, err error)
}

func newSpace(path string) *space {
	s := &space{reserve: path + "-reserve", dir: filepath.Dir(path), limit: maxWALLimit, stat: DiskSpace}
	if _, total, err := s.stat(s.dir); err == nil && total > 0 {
		s.limit = max(minWALLimit, min(maxWALLimit, total/diskParts))
	}
	return s
}

// size is the size of the reserve.
func (s *space) size() int64 { return 2 * s.limit }

// held is how many bytes the reserve occupies. A sparse file is not a reserve.
func (s *space) held() int64 {
	info, err := os.Stat(s.reserve)
	if err != nil {
		return 0
	}
	return min(info.Size(), allocated(info))
}

// need is how much space is required for the reserve and some writes.
func (s *space) need() int64 { return s.size() + s.limit }

// fits reports whether there is space for the reserve, or its missing part, and some writes.
func (s *space) fits() bool {
	free, _, err := s.stat(s.dir)
	return err == nil && free+s.held() >= s.need()
}

// Fits reports whether the disk has enough space to open and write a database at path.
func Fits(path string) bool {
	abs, err := filepath.Abs(path)
	return err == nil && newSpace(abs).fits()
}

// claim creates the reserve if it does not exist.
func (s *space) claim() error {
	switch {
	case s.held() >= s.size():
		return nil
	case !s.fits():
		return errNoSpace
	}
	return s.allocate(s.size())
}

// keep makes as much of the reserve as there is space for: other programs would use up the rest.
func (s *space) keep() {
	for n := s.size(); n >= minWALLimit/2 && s.held() < n; n /= 2 {
		if s.allocate(n) == nil {
			return
		}
	}
}

func (s *space) allocate(n int64) error {
	f, err := os.OpenFile(s.reserve, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(allocate(f, n), f.Close())
	}
	return err
}

// release returns the reserve to the file system.
func (s *space) release() {
	_ = os.Remove(s.reserve) // a reserve that cannot be removed frees nothing; the next write reports that
}

// writeZeros allocates by writing, for file systems without another way.
func writeZeros(f *os.File, size int64) error {
	_, err := io.CopyN(f, zeros{}, size)
	return err
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// FullError is the error of a full store: an engine.ErrFull.
type FullError struct {
	// Path is the database's file, Free the bytes left on the disk and Need the bytes required.
	Path       string
	Free, Need int64
}

// Error implements error.
func (e *FullError) Error() string {
	return fmt.Sprintf("%v: %d kB are free on the disk of %s, %d kB are needed; free some space, or run hookloom prune",
		engine.ErrFull, e.Free>>10, e.Path, e.Need>>10)
}

// Is reports whether target is engine.ErrFull.
func (e *FullError) Is(target error) bool { return target == engine.ErrFull }

// Full returns the error of a full disk, of a database that is away, or of a role that may not store events: calls of
// the store fail until it can be written again. It returns nil otherwise.
func (s *Store) Full() error {
	if err := s.w.full.Load(); err != nil {
		return err
	}
	if err := s.w.away.Load(); err != nil {
		return err
	}
	if s.w.pg == nil {
		return nil
	}
	if err := s.w.pg.denied.Load(); err != nil {
		return err
	}
	if s.w.pg.noSpace() {
		return fmt.Errorf("%w: that of the PostgreSQL server", engine.ErrFull)
	}
	return nil
}

// relieve frees space after a write that found none; it reports whether writing may continue.
func (w *writer) relieve() bool {
	w.space.release()
	if w.shrinkWAL() && w.space.fits() && w.space.claim() == nil {
		return true
	}
	w.setFull()
	return false
}

func (w *writer) setFull() {
	w.space.keep()
	free, _, _ := w.space.stat(w.space.dir)
	err := &FullError{Path: w.path, Free: free, Need: w.space.need()}
	if w.full.Swap(err) == nil {
		w.log.Error("the disk is full: deliveries are answered 503 and runs wait until there is space", "free", free, "needed", err.Need)
		go w.watchSpace()
	}
}

// watchSpace checks for space until there is some.
func (w *writer) watchSpace() {
	tried := time.Now()
	for w.full.Load() != nil {
		select {
		case <-w.stop:
			return
		case <-time.After(spaceEvery):
		}
		if !w.space.fits() && time.Since(tried) < spaceTry {
			continue
		}
		tried = time.Now()
		select {
		case w.roomy <- struct{}{}:
		case <-w.stop:
			return
		}
	}
}

// recover ends the full state when there is space again.
func (w *writer) recover() {
	if w.full.Load() == nil || w.err() != nil {
		return
	}
	if !w.space.fits() {
		w.space.release()
		w.shrinkWAL() // the freed space may be the missing part
	}
	if !w.space.fits() || w.space.claim() != nil {
		w.space.keep()
		return
	}
	w.full.Store(nil)
	w.log.Info("the disk has space again: deliveries are stored")
}

// shrinkWAL moves the WAL into the file and truncates it; it reports whether that was complete. It
// waits only briefly for readers: senders are waiting.
func (w *writer) shrinkWAL() bool {
	w.passing.Lock()
	defer w.passing.Unlock()
	if !w.movable(1) {
		return false
	}
	if _, err := queryText(w.conn, "PRAGMA busy_timeout = 250"); err != nil {
		return false
	}
	busy, err := queryText(w.conn, "PRAGMA wal_checkpoint(TRUNCATE)")
	_, back := queryText(w.conn, "PRAGMA busy_timeout = 5000")
	if err != nil {
		_ = w.severity(err) // a full disk is temporary, an error of the disk ends the process
	}
	return err == nil && back == nil && busy == "0"
}

// refuse rejects writes that are not allowed on a full disk, and keeps the rest.
func (w *writer) refuse(batch []*command, full error) []*command {
	kept := batch[:0]
	for _, c := range batch {
		if c.upkeep {
			kept = append(kept, c)
			continue
		}
		c.done <- full
	}
	return kept
}

// commitFull is commit on a full disk: only upkeep, one command at a time, and after each the WAL
// is moved to make room for the next.
func (w *writer) commitFull(batch []*command, full error) {
	for _, c := range w.refuse(batch, full) {
		w.space.release()
		c.done <- w.transaction([]*command{c})
		w.shrinkWAL()
		w.space.keep()
	}
	if w.space.fits() {
		w.recover()
	}
}

// doUpkeep is do for commands that free space: they may use the reserve.
func (s *Store) doUpkeep(ctx context.Context, apply func(*tx) error) error {
	return s.w.queued(ctx, order{wait: true, upkeep: true}, apply)
}
