package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file keeps a full disk from being a trap. SQLite needs room to give room back:
// deleting rows appends to the WAL, and moving the WAL into the database's file makes
// that file grow. So a reserve lies beside the database, a file that holds nothing. When
// a commit finds the disk full, the reserve is removed, the WAL is moved into the file and
// cut to nothing, and the reserve is made again from what that gave back. Where it cannot
// be made, the store is full: deliveries and runs get ErrFull at once, so that they do not
// use up the room, and only pruning writes; as much of the reserve as fits is kept for
// it meanwhile. Several times a second it is tried whether
// the reserve can be made again, which ends that state without anybody's help.

// Bounds of the WAL's size at which it is moved into the file. A small disk has a smaller
// one: at most a 48th of it. The reserve is twice that, since the WAL goes on growing
// while it is moved, and moving it takes about its size at most.
const (
	maxWALLimit = 4 << 20
	minWALLimit = 128 << 10
	diskParts   = 48
)

// spaceEvery is how often a full store looks for room, and spaceTry how often it tries
// even where the file system reports none: quotas are not always told.
const (
	spaceEvery = 200 * time.Millisecond
	spaceTry   = 5 * time.Second
)

// space is the room on the database's disk.
type space struct {
	reserve string // the file
	dir     string
	// limit is the WAL's size in bytes from which it is moved into the file.
	limit int64
	// stat returns free and all bytes of the disk; tests replace it.
	stat func(dir string) (free, total int64, err error)
}

func newSpace(path string) *space {
	s := &space{reserve: path + "-reserve", dir: filepath.Dir(path), limit: maxWALLimit, stat: DiskSpace}
	if _, total, err := s.stat(s.dir); err == nil && total > 0 {
		s.limit = max(minWALLimit, min(maxWALLimit, total/diskParts))
	}
	return s
}

// size is how large the reserve is.
func (s *space) size() int64 { return 2 * s.limit }

// DiskSpace returns the free and all bytes of a folder's disk.
func DiskSpace(dir string) (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// held is how many bytes the reserve keeps. A file with holes is no reserve.
func (s *space) held() int64 {
	info, err := os.Stat(s.reserve)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), st.Blocks*512)
	}
	return info.Size()
}

// need is how much room there must be for the reserve and some writes beside it.
func (s *space) need() int64 { return s.size() + s.limit }

// fits reports whether there is room for the reserve, or what is missing of it, and some
// beside it.
func (s *space) fits() bool {
	free, _, err := s.stat(s.dir)
	return err == nil && free+s.held() >= s.need()
}

// Fits reports whether a database at path would find the room that it needs, to be
// opened and written.
func Fits(path string) bool {
	abs, err := filepath.Abs(path)
	return err == nil && newSpace(abs).fits()
}

// claim makes the reserve where it is not there.
func (s *space) claim() error {
	switch {
	case s.held() >= s.size():
		return nil
	case !s.fits():
		return syscall.ENOSPC
	}
	return s.allocate(s.size())
}

// keep makes as much of the reserve as there is room for: what is left lying is used up
// by others.
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

// release returns the reserve back to the file system.
func (s *space) release() {
	_ = os.Remove(s.reserve) // what cannot be removed gives no room; the next write says so
}

// writeZeros allocates by writing, for file systems that cannot otherwise.
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

// FullError is what a full store says: an engine.ErrFull.
type FullError struct {
	// Path is the database's file, Free what the disk has left and Need what it takes, in
	// bytes.
	Path       string
	Free, Need int64
}

// Error implements error.
func (e *FullError) Error() string {
	return fmt.Sprintf("%v: %d kB are free beside %s, %d kB are needed; free some space, or run hookloom prune",
		engine.ErrFull, e.Free>>10, e.Path, e.Need>>10)
}

// Is makes it an engine.ErrFull.
func (e *FullError) Is(target error) bool { return target == engine.ErrFull }

// Full reports whether the disk is full: what is wanted of the store fails with ErrFull until
// there is room. It is nil otherwise.
func (s *Store) Full() error {
	if err := s.w.full.Load(); err != nil {
		return err
	}
	return nil
}

// relieve makes room after a write that found none; it reports whether writing may go on.
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

// watchSpace looks for room until there is some.
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

// recover ends the state of being full where there is room again.
func (w *writer) recover() {
	if w.full.Load() == nil || w.err() != nil {
		return
	}
	if !w.space.fits() {
		w.space.release()
		w.shrinkWAL() // what it gives back may be the room that is missing
	}
	if !w.space.fits() || w.space.claim() != nil {
		w.space.keep()
		return
	}
	w.full.Store(nil)
	w.log.Info("the disk has space again: deliveries are stored")
}

// shrinkWAL moves the WAL into the file and cuts it; it reports whether that was done
// whole. Readers are waited for only shortly: senders wait meanwhile.
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
		_ = w.judge(err) // a full disk passes, an error of the disk ends the process
	}
	return err == nil && back == nil && busy == "0"
}

// refuse answers what may not write while the disk is full, and keeps the rest.
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

// commitFull is commit while the disk is full: upkeep alone, one by one, and after each
// the WAL is moved, so that the next has room.
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

// doUpkeep is do for what makes room: it may use what is reserved.
func (s *Store) doUpkeep(ctx context.Context, apply func(*tx) error) error {
	return s.w.queued(ctx, true, true, apply)
}
