package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// This file detects that the database's files were removed, moved or replaced while a process runs.
// SQLite then continues with the open files: each commit would succeed, and be lost when the
// process ends. The names are compared with the open files after each commit, before it is
// acknowledged, and every movedEvery.
//
// The log's index is never opened for this, and the database only as long as it has connections
// (overwritten.go): when a process closes any descriptor of a file, the kernel drops all of
// SQLite's locks on it (sqlite.org/howtocorrupt.html, 2.2). The log itself has no locks. It is kept
// open, since a log that was truncated has a plausible size again once SQLite has continued at its
// old offset: its header is empty then, and a restart would find nothing in it.

// movedEvery is the interval of the check in an idle process.
const movedEvery = 500 * time.Millisecond

// fileID identifies a file whatever its names are.
type fileID struct{ dev, ino uint64 }

// openFile is one file that the process has open, with its name.
type openFile struct {
	path, what string
	id         fileID
	// filled reports whether the file is never empty from now on: the log may be.
	filled bool
}

// openFiles are the database's files, as opened.
type openFiles []openFile

// watchFiles records which files path currently names: the database, SQLite's files next to it, and
// the lock.
func watchFiles(path string, lock *os.File) (openFiles, error) {
	var out openFiles
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	size := int64(0)
	for _, f := range []openFile{{path: path, what: "the database file"}, {path: real + "-wal", what: "the write-ahead log"},
		{path: real + "-shm", what: "the log's index"}} {
		if f.id, size, err = identify(f.path); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("looking at %s: %w", f.path, err)
		}
		f.filled = f.path == path && size > 0
		out = append(out, f)
	}
	id, err := identifyOpen(lock)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", lock.Name(), err)
	}
	return append(out, openFile{path: lock.Name(), what: "the lock file", id: id}), nil
}

// MovedError reports that a name no longer leads to the open file.
type MovedError struct {
	What, Path, How string
	// hollow reports whether the log must no longer be moved into the database: it has lost pages
	// that SQLite still relies on, or belongs to the former content of the file.
	hollow bool
	// over reports whether the file was overwritten; aside is the path of the log of its former
	// content.
	over  bool
	aside string
}

// Error implements error.
func (e *MovedError) Error() string {
	if e.over {
		log := "remove its -wal before the next start: it belongs to the former content"
		if e.aside != "" {
			log = "the write-ahead log of its former content is now " + e.aside
		}
		return fmt.Sprintf("%s %s was %s while the server ran: nothing more is acknowledged; %s. Stop whatever writes to the file; "+
			"run hookloom restore FILE with the backup that is wanted (it checks the file), then start again", e.What, e.Path, e.How, log)
	}
	if e.hollow {
		return fmt.Sprintf("%s %s was %s while the server ran: nothing more is acknowledged, and data that was only in the log is lost. Stop "+
			"whatever changes it; "+
			"put a copy of the log back if you have one, then run hookloom check and start again", e.What, e.Path, e.How)
	}
	return fmt.Sprintf("%s %s was %s while the server ran: nothing more is acknowledged. Stop whatever moves it; put the file back with its "+
		"-wal and -shm, "+
		"or restore a backup (hookloom restore FILE), then start again", e.What, e.Path, e.How)
}

// look returns an error for the first file that is not in its place; nil if there is none. A
// failure of the check itself, such as a folder that is briefly unreadable, is not reported. It
// also returns the size in bytes of the file named sized.
func (files openFiles) look(sized string) (bytes int64, _ error) {
	for _, f := range files {
		id, size, err := identify(f.path)
		if f.path == sized {
			bytes = size
		}
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotFolder):
			return 0, &MovedError{What: f.what, Path: f.path, How: "removed or moved away"}
		case err == nil && id != f.id:
			return 0, &MovedError{What: f.what, Path: f.path, How: "replaced by another file"}
		case err == nil && f.filled && size == 0:
			return 0, &MovedError{What: f.what, Path: f.path, How: "emptied"}
		}
	}
	return bytes, nil
}

// walHead is the length of the log's header, and walMagic its first bytes without the last bit
// (sqlite.org/fileformat2.html, 4.1).
const (
	walHead  = 32
	walMagic = 0x377f0682
)

// headless reports whether another program truncated or overwrote the log: it has content that does
// not begin with a log's header.
func headless(wal *os.File, size int64) bool {
	if wal == nil || size < walHead {
		return false
	}
	var b [4]byte
	_, err := wal.ReadAt(b[:], 0)
	return err == nil && binary.BigEndian.Uint32(b[:])&^1 != walMagic
}

// lookAfterCommit returns an error if the next start would not find what was just committed.
func (w *writer) lookAfterCommit() error {
	size, err := w.files.look(w.wal)
	w.walSize = size
	if err == nil {
		err = w.overwritten()
	}
	if err == nil {
		err = w.hollow(size)
	}
	if err == nil {
		err = w.hasGap(0)
	}
	if err == nil {
		w.noteWALEnd()
	}
	return err
}

// hollow returns an error for a log that another program truncated or overwrote.
func (w *writer) hollow(size int64) error {
	if !headless(w.walFile, size) {
		return nil
	}
	return &MovedError{What: "the write-ahead log", Path: w.wal, How: "emptied or written over by another program", hollow: true}
}

// watch stops all writing when a file is not in its place, also while nothing is written.
func (w *writer) watch() {
	ticker := time.NewTicker(movedEvery)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.broken:
			return
		case <-ticker.C:
		}
		size, err := w.files.look(w.wal)
		if err == nil {
			err = w.overwritten()
		}
		if err == nil {
			err = w.hollow(size)
		}
		if err == nil {
			err = w.hasGap(1)
		}
		if err != nil {
			w.fatal(err)
			return
		}
	}
}
