package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgres"
)

// This file is the lock that restricts a database to one process. The text of the lock names the
// holder and the address of its server, so the commands find the server of a database whatever its
// addresses are.

// Holder is the process that has locked a database.
type Holder struct {
	PID int
	// Verb is what the process does: serve, prune, restore.
	Verb string
	// Host is where the process runs; empty for this machine.
	Host string
	// Hooks and Admin are the URLs of a server; empty before it listens.
	Hooks, Admin string
}

// lockWait is how long a start waits for a command that holds the lock for a short time, and
// serverWait for a server: a process that only inspects the lock holds it for a moment, when its
// text may still be that of a server that was killed.
const (
	lockWait   = 15 * time.Second
	serverWait = 250 * time.Millisecond
)

// lockPath is the path of the lock: the same for all names of a database.
func lockPath(path string) string { return realPath(path) + ".lock" }

// realPath follows symbolic links, as SQLite does.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// takeLock locks a side file for the life of the process. The lock belongs to the open file: it also
// excludes a second handle of the same process, and the system releases it after kill -9. A holder that
// is not a server releases the lock soon; takeLock tells it that it waits.
func takeLock(ctx context.Context, path, verb string) (*os.File, error) {
	began := time.Now()
	for {
		f, err := os.OpenFile(lockPath(path), os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no folder %s for the database: create it, or write postgres://USER:PASSWORD@HOST:5432/DATABASE "+
				"for a PostgreSQL server", filepath.Dir(lockPath(path)))
		}
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
		named, _, err := identify(f.Name())
		open, errOpen := identifyOpen(f)
		if err != nil || errOpen != nil || named != open {
			_ = f.Close() // removed in the meantime: another process may have created it again
			continue
		}
		if err := writeHolder(f, Holder{PID: os.Getpid(), Verb: verb}); err != nil && !NoSpace(err) {
			return nil, errors.Join(fmt.Errorf("writing the database's lock: %w", err), f.Close())
		}
		return f, nil
	}
}

// waitForLock takes the lock, or returns its holder.
func waitForLock(ctx context.Context, f *os.File, began time.Time) (*Holder, error) {
	for waiting := false; ; {
		locked, err := tryLock(f, true)
		if locked && waiting {
			err = stopWaiting(f)
		}
		if locked {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		holder := readHolder(f)
		if waited := time.Since(began); waited > lockWait || holder.Verb == "serve" && waited > serverWait {
			return &holder, nil
		}
		if !waiting {
			if waiting, err = startWaiting(f); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wanted is the byte of the lock file that a waiting process locks. That lock is independent of the
// lock of the database.
const wanted = 1 << 20

// Wanted reports whether another process waits for the database.
func (s *Store) Wanted() bool {
	if s.w.pg != nil {
		return false // on a server, a waiting process is not seen
	}
	return isWanted(s.lock)
}

// Announce publishes the address of this database's server to other processes.
func (s *Store) Announce(hooks, admin string) error {
	if s.w.pg != nil {
		return s.announceNode(hooks, admin)
	}
	s.sole.announce(hooks, admin)
	err := writeHolder(s.lock, Holder{PID: os.Getpid(), Verb: s.o.Verb, Hooks: hooks, Admin: admin})
	if NoSpace(err) {
		return nil // commands then use the configured address
	}
	return err
}

// HolderOf returns the process that has locked the database at path; nil if there is none.
func HolderOf(path string) (*Holder, error) {
	if postgres.IsAddress(path) {
		return holderOnServer(path)
	}
	f, err := os.Open(lockPath(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // it is only read
	// A shared lock, held for a moment: a start at the same time waits for it.
	if free, err := tryLock(f, false); free || err != nil {
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
	if h.Host != "" {
		text += " on " + h.Host
	}
	return text
}

// writeHolder writes the lock's text. Builds that know only the process id read the first line.
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
	h.PID, _ = strconv.Atoi(strings.TrimSpace(lines[0])) // an empty file names no holder
	h.Verb, h.Hooks, h.Admin = lines[1], lines[2], lines[3]
	if h.PID != 0 && h.Verb == "" {
		h.Verb = "serve" // an earlier build wrote only the number
	}
	return h
}
