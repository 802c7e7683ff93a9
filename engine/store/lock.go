package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// This file is the lock that keeps a database to one process. Its text names the
// holder and where its server can be reached, so that the verbs of the command line
// find the server of a database whatever its addresses are.

// Holder is the process that has a database.
type Holder struct {
	PID int
	// Verb is what it does: serve, prune, restore.
	Verb string
	// Hooks and Admin are the URLs of a server; empty before it listens.
	Hooks, Admin string
}

// lockWait is how long a start waits for a verb that holds the lock for a short time,
// and serverWait for a server: who only looks at the lock has it for a moment, when
// its text may still be that of a server that was killed.
const (
	lockWait   = 15 * time.Second
	serverWait = 250 * time.Millisecond
)

// lockPath is the lock's name: one for all names of a database.
func lockPath(path string) string { return realPath(path) + ".lock" }

// realPath follows symbolic links, as SQLite does.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// takeLock holds a side file for the life of the process. It is a flock: it tells
// two handles of one process apart, and the kernel drops it at kill -9. A holder that
// is no server gives the lock up soon; it is waited for, and told so.
func takeLock(ctx context.Context, path, verb string) (*os.File, error) {
	began := time.Now()
	for {
		f, err := os.OpenFile(lockPath(path), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the database's lock: %w", err)
		}
		holder, err := waitForLock(ctx, f, began)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("locking the database: %w", err), f.Close())
		}
		if holder != nil {
			return nil, errors.Join(&InUseError{Path: path, Holder: holder.String()}, f.Close())
		}
		var st syscall.Stat_t
		if id, _, err := identify(f.Name()); err != nil || syscall.Fstat(int(f.Fd()), &st) != nil || id != (fileID{uint64(st.Dev), st.Ino}) {
			_ = f.Close() // removed in the meantime: another process may have made it again
			continue
		}
		if err := writeHolder(f, Holder{PID: os.Getpid(), Verb: verb}); err != nil && !noSpace(err) {
			return nil, errors.Join(fmt.Errorf("writing the database's lock: %w", err), f.Close())
		}
		return f, nil
	}
}

// waitForLock takes the lock, or gives who has it.
func waitForLock(ctx context.Context, f *os.File, began time.Time) (*Holder, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil, want(f, syscall.F_UNLCK)
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, err
		}
		holder := readHolder(f)
		if waited := time.Since(began); waited > lockWait || holder.Verb == "serve" && waited > serverWait {
			return &holder, nil
		}
		if err := want(f, syscall.F_RDLCK); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wanted is the byte of the lock file that is locked by who waits for it, as a record
// lock, which is apart from the flock.
const wanted = 1 << 20

// want tells the holder that the lock is waited for, or not any more.
func want(f *os.File, kind int16) error {
	return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: kind, Start: wanted, Len: 1})
}

// Wanted reports whether another process waits for the database.
func (s *Store) Wanted() bool {
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: wanted, Len: 1}
	return syscall.FcntlFlock(s.lock.Fd(), syscall.F_GETLK, &l) == nil && l.Type != syscall.F_UNLCK
}

// Announce tells other processes where the server of this database is reached.
func (s *Store) Announce(hooks, admin string) error {
	err := writeHolder(s.lock, Holder{PID: os.Getpid(), Verb: s.o.Verb, Hooks: hooks, Admin: admin})
	if noSpace(err) {
		return nil // verbs use the configured address then
	}
	return err
}

// HolderOf returns the process that has the database at path; nil when none has.
func HolderOf(path string) (*Holder, error) {
	f, err := os.Open(lockPath(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // it is only read
	// A shared lock, for a moment: a start that comes just then waits for it.
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return nil, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, err
	}
	h := readHolder(f)
	return &h, nil
}

// String names the holder for messages.
func (h Holder) String() string {
	text := "process"
	if h.PID != 0 {
		text += " " + strconv.Itoa(h.PID)
	}
	if h.Verb != "" && h.Verb != "serve" {
		text += ", hookloom " + h.Verb
	}
	return text
}

// writeHolder writes the lock's text. Builds that know only the number read the first
// line.
func writeHolder(f *os.File, h Holder) error {
	text := fmt.Sprintf("%d\n%s\n%s\n%s\n", h.PID, h.Verb, h.Hooks, h.Admin)
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(text)))
}

func readHolder(f *os.File) (h Holder) {
	b := make([]byte, 1024)
	n, _ := f.ReadAt(b, 0) // an empty name is fine
	lines := strings.Split(string(b[:n]), "\n")
	for len(lines) < 4 {
		lines = append(lines, "")
	}
	h.PID, _ = strconv.Atoi(strings.TrimSpace(lines[0])) // an empty file names nobody
	h.Verb, h.Hooks, h.Admin = lines[1], lines[2], lines[3]
	if h.PID != 0 && h.Verb == "" {
		h.Verb = "serve" // an earlier build wrote the number alone
	}
	return h
}
