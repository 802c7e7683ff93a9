package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/mattn/go-sqlite3"
)

// This file notices that another database was copied over the open one (cp other.db
// hookloom.db): the file keeps its name and inode then, SQLite goes on with its caches and
// its log, and each checkpoint would write pages of the old database into the new one.
//
// The header of the file tells (sqlite.org/fileformat2.html, 1.3). Each process that opens
// the database to write draws a new application id, so that other databases differ, and so
// do older copies of this one and copies on which another server went on. The change counter
// never goes back, which tells a copy that was made while this process ran.

// The parts of the header, as offsets in bytes. What stands before headFixed never changes
// while the file is open: the magic string, the page size and the versions of the format.
const (
	headFixed   = 24
	headCounter = 24
	headOwner   = 68
	headLength  = 100
)

// fileMark is what the header of the open database may say.
type fileMark struct {
	// file is open as long as the process has any connection: closing it would drop the locks
	// of all of them (sqlite.org/howtocorrupt.html, 2.2).
	file  *os.File
	fixed [headFixed]byte
	// owner is the application id of this process, before that of the one before it, which
	// the file has until the first checkpoint.
	owner, before uint32
	seen          atomic.Bool
	// counter is the highest change counter that was seen.
	counter atomic.Uint32
}

// markFile draws the application id of this process. A disk that is full leaves the former one.
func markFile(conn *sqlite3.SQLiteConn, path string) (*fileMark, error) {
	text, err := queryText(conn, "PRAGMA application_id")
	if err != nil {
		return nil, err
	}
	var former int32
	if _, err := fmt.Sscan(text, &former); err != nil {
		return nil, fmt.Errorf("application_id: %w", err)
	}
	drawn := rand.Int32() | 1 // never 0, which files of other programs have
	_, err = conn.Exec(fmt.Sprintf("PRAGMA application_id = %d", drawn), nil)
	if errors.Is(classify(err), engine.ErrFull) {
		drawn = former
	} else if err != nil {
		return nil, err
	}
	// The id is in the file from the start on, unless somebody reads an older state just now.
	if _, err := queryText(conn, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil && !errors.Is(classify(err), engine.ErrFull) {
		return nil, err
	}
	m := &fileMark{owner: uint32(drawn), before: uint32(former)}
	if m.file, err = os.Open(path); err != nil {
		return nil, err
	}
	var head [headLength]byte
	if _, err := m.file.ReadAt(head[:], 0); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the header of %s: %w", path, err), m.file.Close())
	}
	copy(m.fixed[:], head[:])
	m.counter.Store(binary.BigEndian.Uint32(head[headCounter:]))
	m.seen.Store(binary.BigEndian.Uint32(head[headOwner:]) == m.owner)
	return m, nil
}

// holds reports whether the file still begins as the open database does.
func (m *fileMark) holds() bool {
	var head [headLength]byte
	if n, err := m.file.ReadAt(head[:], 0); n < headLength {
		var failed *os.PathError
		return errors.As(err, &failed) // an error of the read proves nothing; a short file does
	}
	owner, counter := binary.BigEndian.Uint32(head[headOwner:]), binary.BigEndian.Uint32(head[headCounter:])
	if [headFixed]byte(head[:]) != m.fixed || owner != m.owner && (owner != m.before || m.seen.Load()) {
		return false
	}
	if owner == m.owner {
		m.seen.Store(true)
	}
	for {
		last := m.counter.Load()
		if int32(counter-last) <= 0 { // it may wrap
			return counter == last
		}
		if m.counter.CompareAndSwap(last, counter) {
			return true
		}
	}
}

// overwritten returns an error when the file has the content of another database. It looks
// again before it says so: a checkpoint may be writing the header.
func (w *writer) overwritten() error {
	if w.mark == nil {
		return nil
	}
	for range 3 {
		if w.mark.holds() {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return &MovedError{What: "the database file", Path: w.path, How: "overwritten in place by another program", hollow: true, over: true}
}

// putLogAside keeps the next start from applying the log of the former content to what is in
// the file now.
func (w *writer) putLogAside(e *MovedError) {
	aside := w.wal + ".of-overwritten-" + time.Now().UTC().Format("20060102T150405Z")
	if err := os.Rename(w.wal, aside); err != nil {
		w.log.Error("moving the write-ahead log aside", "error", err)
		return
	}
	e.aside = aside
}
