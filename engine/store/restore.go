package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/atomicfile"
)

// This file replaces a database by a backup. SQLite applies a write-ahead log to any database with
// its name, so the old log must be gone before the copy gets the name. An interrupted restore
// leaves a mark, and no server starts on the intermediate state.

// Restored is the result of a restore, and what may be repeated because of it.
type Restored struct {
	Database string `json:"database"`
	// Aside is the new path of the old database, with its -wal and -shm; empty if there was none.
	Aside string `json:"old_database,omitempty"`
	// AsOf is the time of the copy.
	AsOf   time.Time `json:"as_of"`
	Events int64     `json:"events"`
	Runs   int64     `json:"runs"`
	Open   int64     `json:"open_runs"`
	// Compared reports whether the old database could be read, so that the following fields are
	// known.
	Compared bool `json:"compared"`
	// LaterEvents were received after the copy was made: only the old database has them. If their
	// senders send them again, they run again.
	LaterEvents    int64    `json:"later_events"`
	LaterEventIDs  []string `json:"later_event_ids,omitempty"`
	RepeatedCalls  int64    `json:"repeated_calls"`
	RepeatedCallOf []string `json:"repeated_call_of,omitempty"`
}

// maxListed is how many ids are listed of events and calls that may be repeated.
const maxListed = 1000

// restoring is the mark of a restore in progress.
func restoring(path string) string { return path + ".restoring" }

// Restore copies the backup in file to path, checked, and moves the database at path aside. No
// server may use the database.
func Restore(ctx context.Context, path, file string) (_ *Restored, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	path = realPath(abs)
	if same(path, file) {
		return nil, fmt.Errorf("%s is the database itself: give the file of a backup", file)
	}
	lock, err := takeLock(ctx, path, "restore")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	// With the lock, nobody else has the file of this name: a restore that was killed left it.
	temp := path + ".restore-copy.tmp"
	if err := removeSet(temp); err != nil {
		return nil, err
	}
	if err := copyBackup(ctx, file, temp); err != nil {
		return nil, errors.Join(fmt.Errorf("%s was not restored, and %s is unchanged: %w", file, path, err), removeSet(temp))
	}
	out, err := compare(ctx, path, temp)
	if err != nil {
		return nil, errors.Join(err, removeSet(temp))
	}
	out.Database = path
	out.Aside, err = swap(path, temp)
	return out, err
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// copyBackup makes a checked and synced copy with the schema of this build.
func copyBackup(ctx context.Context, file, temp string) error {
	from, err := OpenForBackup(file)
	if err != nil {
		return fmt.Errorf("no backup at %s", file)
	}
	var version int
	if err := from.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version == 0 {
		return errors.Join(errors.New("it is not a Hookloom database"), err, from.Close())
	}
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = errors.Join(from.vacuumInto(ctx, temp), f.Close())
	}
	if err = errors.Join(err, from.Close()); err != nil {
		return err
	}
	conn, err := openConn(temp, "rw", "FULL")
	if err != nil {
		return classify(err)
	}
	if err := errors.Join(migrate(conn), conn.Close()); err != nil {
		return err
	}
	return checkCopy(ctx, temp)
}

// checkCopy checks an entire database and syncs it.
func checkCopy(ctx context.Context, path string) error {
	db, err := OpenReaders(path)
	if err != nil {
		return err
	}
	found, err := (&History{db: db, path: path}).Check(ctx)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("checking the copy: %w", err)
	}
	for _, x := range found {
		if len(x.Wrong) > 0 {
			return fmt.Errorf("the copy is damaged: a check failed (%s): %s", x.What, x.Wrong[0])
		}
	}
	if err := removeSide(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removeSide removes the files that SQLite leaves next to a closed database.
func removeSide(path string) error {
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("%s-wal is not empty", path)
	}
	var err error
	for _, side := range []string{"-wal", "-shm"} {
		if rerr := os.Remove(path + side); !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

func removeSet(path string) error {
	var err error
	for _, side := range []string{"", "-wal", "-shm", "-journal"} {
		if rerr := os.Remove(path + side); !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// compare returns what the copy has, and what was added after it according to the old database.
func compare(ctx context.Context, path, temp string) (*Restored, error) {
	// The copy is closed and synced; immutable=1 leaves no -wal and -shm next to it.
	db := sql.OpenDB(fileConnector("file:" + escapePath(temp) + "?mode=ro&immutable=1"))
	defer db.Close()
	out := &Restored{}
	var asOf, newest int64
	err := db.QueryRowContext(ctx,
		`SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM runs), (SELECT count(*) FROM runs WHERE finished_at IS NULL),
		max(coalesce((SELECT max(received_at) FROM events), 0), coalesce((SELECT max(coalesce(finished_at, started_at, created_at))
			FROM runs), 0), coalesce((SELECT max(coalesce(finished_at, started_at)) FROM steps), 0)),
		coalesce((SELECT max(id) FROM events), 0)`).Scan(&out.Events, &out.Runs, &out.Open, &asOf, &newest)
	if err != nil {
		return nil, fmt.Errorf("reading the copy: %w", classify(err))
	}
	out.AsOf = fromMillis(asOf)
	if _, err := os.Stat(path); err != nil {
		return out, nil
	}
	// It may be damaged: its content is useful, and its errors stop nothing.
	out.Compared = out.later(ctx, path, asOf, newest) == nil
	return out, nil
}

func (r *Restored) later(ctx context.Context, path string, asOf, newest int64) error {
	old, err := OpenReaders(path)
	if err != nil {
		return err
	}
	defer old.Close()
	text := func(s scanner) (id string, err error) {
		err = s.Scan(&id)
		return id, err
	}
	const events = ` FROM events WHERE id > ? AND inlet IN ('webhook', 'poll', 'manual')`
	// Attempts of later runs count as well: when their events are sent again, they are repeated.
	const calls = ` FROM steps s WHERE s.started_at > ? AND s.action LIKE '%/%' AND s.status IN ('succeeded', 'failed', 'unknown', 'running')`
	if err := old.QueryRowContext(ctx, `SELECT count(*)`+events, newest).Scan(&r.LaterEvents); err != nil {
		return err
	}
	if err := old.QueryRowContext(ctx, `SELECT count(*)`+calls, asOf).Scan(&r.RepeatedCalls); err != nil {
		return err
	}
	if r.LaterEventIDs, err = collect(ctx, old, `SELECT printf('evt_%016x', id)`+events+` ORDER BY id LIMIT ?`, []any{newest, maxListed},
		text); err != nil {
		return err
	}
	r.RepeatedCallOf, err = collect(ctx, old, `SELECT DISTINCT printf('run_%016x ', s.run_id) || s.path`+calls+` ORDER BY 1 LIMIT ?`,
		[]any{asOf, maxListed}, text)
	return err
}

// swap moves the old database aside and gives the copy its name.
func swap(path, temp string) (aside string, err error) {
	if _, err := os.Stat(path); err == nil {
		aside = path + ".before-restore-" + time.Now().UTC().Format("20060102T150405Z")
		for n := 2; exists(aside); n++ {
			aside = fmt.Sprintf("%s-%d", strings.TrimSuffix(aside, fmt.Sprintf("-%d", n-1)), n)
		}
	}
	if err := os.WriteFile(restoring(path), []byte(aside+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	// The log goes first: it must not exist when the copy gets its database's name.
	for _, side := range []string{"-wal", "-shm", ""} {
		if aside == "" && side == "" {
			continue
		}
		to := aside + side
		if aside == "" {
			to = path + ".before-restore" + side // a log without its database
		}
		if err := os.Rename(path+side, to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return aside, fmt.Errorf("moving the old database aside: %w", err)
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return aside, fmt.Errorf("putting the copy in place: %w", err)
	}
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return aside, err
	}
	return aside, os.Remove(restoring(path))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// cutRestore rejects a database whose restore was interrupted.
func cutRestore(path string) error {
	aside, err := os.ReadFile(restoring(path))
	if err != nil {
		return nil
	}
	return fmt.Errorf("a restore was interrupted while it changed the files: run hookloom restore again, then start; "+
		"the old database is %s (or "+
		"still in its place)", strings.TrimSpace(string(aside)))
}
