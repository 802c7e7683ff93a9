package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine/atomicfile"
)

// Backup writes a copy of the database as of one moment, also while a server runs. The copy is
// checked and on disk when Backup returns. An existing file is replaced only if replace is true. Of a
// database with the schema of another version, only the structure is checked.
func (h *History) Backup(ctx context.Context, file string, replace bool) ([]Finding, error) {
	if h.postgres {
		return nil, errors.New("a database on a PostgreSQL server is backed up with its own tools: pg_dump --schema=hookloom, " +
			"or pg_basebackup for the whole server")
	}
	if _, err := os.Stat(file); err == nil && !replace {
		return nil, fmt.Errorf("%s already exists", file)
	}
	// SQLite writes into an empty file; created here, it is readable only by its owner from the
	// start. A killed backup leaves its file, so each one uses a new name, and removes those left behind. A process id
	// in the name would not be enough: in a container it is the same each time.
	_ = atomicfile.RemoveStale(filepath.Dir(file), filepath.Base(file)+".", ".tmp", removeSet) // no reason to make no backup
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("making the copy: %w", err)
	}
	temp := f.Name()
	stop := keepFresh(temp)
	found, err := h.copyTo(ctx, f, temp)
	stop()
	if err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		return found, errors.Join(err, removeSet(temp))
	}
	return found, atomicfile.SyncDir(filepath.Dir(file))
}

// vacuumInto copies the database, as of one moment, into an empty file.
func (h *History) vacuumInto(ctx context.Context, temp string) error {
	// The readers' connections accept only queries, which VACUUM INTO is not; this connection
	// cannot write to the database either.
	from := sql.OpenDB(fileConnector(strings.Replace(dsn(h.path, "ro", ""), "&_query_only=1", "", 1)))
	_, err := from.ExecContext(ctx, `VACUUM INTO ?`, temp)
	if err = errors.Join(err, from.Close()); err != nil {
		return fmt.Errorf("copying: %w", classify(err))
	}
	return nil
}

func (h *History) copyTo(ctx context.Context, f *os.File, temp string) ([]Finding, error) {
	if err := h.vacuumInto(ctx, temp); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("syncing the copy: %w", err)
	}
	db, err := OpenReaders(temp)
	if err != nil {
		return nil, fmt.Errorf("opening the copy: %w", err)
	}
	copied := &History{db: db, path: temp}
	check := copied.Check
	if copied.schemaFits() != nil {
		check = copied.structure
	}
	found, err := check(ctx)
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("checking the copy: %w", err)
	}
	for _, x := range found {
		if len(x.Wrong) > 0 && !x.Alone { // the database holds the same rows
			return found, fmt.Errorf("the copy is damaged: a check failed (%s): %s", x.What, x.Wrong[0])
		}
	}
	return found, nil
}

// keepFresh changes the time of a temporary file until stop is called, so that another process does not take
// it for one that was left behind: while the copy is checked, nothing is written to it.
func keepFresh(temp string) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(atomicfile.StaleAfter / 10)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				_ = os.Chtimes(temp, now, now) // at worst another backup removes the file, and this one fails
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}
