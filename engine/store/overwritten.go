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

// This file detects that another database was copied over the open one (cp other.db hookloom.db):
// the file then keeps its name and inode, SQLite continues with its caches and its log, and each
// checkpoint would write pages of the old database into the new one.
//
// The header of the file shows it (sqlite.org/fileformat2.html, 1.3). Each process that opens the
// database for writing sets a random application id, which other databases, older copies of this
// one, and copies that another server has used do not have. The change counter never decreases,
// which reveals a copy that was made while this process ran.

// The parts of the header, as offsets in bytes. The part before headFixed never changes while the
// file is open: the magic string, the page size and the format versions.
const (
	headFixed   = 24
	headCounter = 24
	headOwner   = 68
	headLength  = 100
)

// fileMark describes the headers that the open database may have.
type fileMark struct {
	// file stays open as long as the process has any connection: closing it would drop the locks of
	// all of them (sqlite.org/howtocorrupt.html, 2.2).
	file  *os.File
	fixed [headFixed]byte
	// owner is the application id of this process, before the id of the previous process, which the
	// file has until the first checkpoint.
	owner, before uint32
	seen          atomic.Bool
	// counter is the highest change counter seen so far.
	counter atomic.Uint32
}

// markFile sets a random application id for this process. On a full disk the previous one stays.
func markFile(conn *sqlite3.SQLiteConn, path string) (*fileMark, error) {
	text, err := queryText(conn, "PRAGMA application_id")
	if err != nil {
		return nil, err
	}
	var former int32
	if _, err := fmt.Sscan(text, &former); err != nil {
		return nil, fmt.Errorf("application_id: %w", err)
	}
	drawn := rand.Int32() | 1 // never 0, which the files of other programs have
	_, err = conn.Exec(fmt.Sprintf("PRAGMA application_id = %d", drawn), nil)
	if errors.Is(classify(err), engine.ErrFull) {
		drawn = former
	} else if err != nil {
		return nil, err
	}
	// The id is in the file from the start, unless a reader holds an older state at this moment.
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

// holds reports whether the file still begins like the open database.
func (m *fileMark) holds() bool {
	var head [headLength]byte
	if n, err := m.file.ReadAt(head[:], 0); n < headLength {
		var failed *os.PathError
		return errors.As(err, &failed) // a failed read proves nothing; a short file does
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

// overwritten returns an error if the file has the content of another database. It checks a second
// time before it reports this: a checkpoint may be writing the header.
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

// putLogAside prevents the next start from applying the log of the former content to the present
// file.
func (w *writer) putLogAside(e *MovedError) {
	aside := w.wal + ".of-overwritten-" + time.Now().UTC().Format("20060102T150405Z")
	if err := os.Rename(w.wal, aside); err != nil {
		w.log.Error("moving the write-ahead log aside", "error", err)
		return
	}
	e.aside = aside
}
