package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/hookloom/hookloom/engine"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// severity distinguishes temporary errors from those after which nothing may be written.
func (w *writer) severity(err error) error {
	var se sqlite3.Error
	if err = classify(err); errors.As(err, &se) && !errors.Is(err, engine.ErrFull) {
		switch se.Code {
		case sqlite3.ErrIoErr, sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
			err = fmt.Errorf("the database cannot be written any more: %w", err)
			if over := w.overwritten(); over != nil {
				err = over
			}
			w.fatal(err)
		}
	}
	return err
}

// classify converts the errors of SQLite and PostgreSQL to those of the engine.
func classify(err error) error {
	var se sqlite3.Error
	if !errors.As(err, &se) {
		var pe *pgconn.PgError
		if errors.As(err, &pe) {
			return classifyPostgres(pe, err)
		}
		if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) { // only PostgreSQL's can break
			return &AwayError{Cause: err}
		}
		if NoSpace(err) {
			return fmt.Errorf("%w: %w", engine.ErrFull, err)
		}
		return err
	}
	switch {
	case se.Code == sqlite3.ErrFull,
		// A failed sync is worse: earlier writes may be lost.
		NoSpace(se.SystemErrno) && se.ExtendedCode != sqlite3.ErrIoErrFsync && se.ExtendedCode != sqlite3.ErrIoErrDirFsync:
		return fmt.Errorf("%w: %w", engine.ErrFull, err)
	case se.Code == sqlite3.ErrCantOpen && slices.Contains(noDescriptors, se.SystemErrno):
		return fmt.Errorf("%w (no file descriptor is free): %w", engine.ErrBusy, err)
	case se.Code == sqlite3.ErrBusy, se.Code == sqlite3.ErrLocked:
		return fmt.Errorf("%w: %w", engine.ErrBusy, err)
	}
	switch se.Code {
	case sqlite3.ErrConstraint, sqlite3.ErrMismatch, sqlite3.ErrTooBig, sqlite3.ErrRange, sqlite3.ErrError, sqlite3.ErrInterrupt:
		return err // an error of the rows concerned, such as malformed JSON
	}
	return diskError{err}
}

// diskError is an engine.ErrDisk with SQLite's message.
type diskError struct{ error }

func (e diskError) Unwrap() error { return e.error }

func (e diskError) Is(target error) bool { return target == engine.ErrDisk }

// NoSpace recognizes the operating system's errors for a full disk or an exhausted quota.
func NoSpace(err error) bool {
	return slices.ContainsFunc(diskFull, func(full syscall.Errno) bool { return errors.Is(err, full) })
}
