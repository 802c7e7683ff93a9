package store

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5/pgconn"
)

// AwayError means that the database cannot be used at the moment: an engine.ErrBusy. It ends by itself.
type AwayError struct {
	// Path is the database, without password.
	Path  string
	Cause error
}

// Error implements error.
func (e *AwayError) Error() string {
	var known *postgres.Error
	if errors.As(e.Cause, &known) {
		return known.Error()
	}
	name := "the database"
	if e.Path != "" {
		name += " " + e.Path
	}
	return fmt.Sprintf("%s cannot be used at the moment: %v", name, e.Cause)
}

// Unwrap returns the cause.
func (e *AwayError) Unwrap() error { return e.Cause }

// Is reports whether target is engine.ErrBusy.
func (e *AwayError) Is(target error) bool { return target == engine.ErrBusy }

// away reports whether an error of PostgreSQL or of its connection ends by itself when the server is
// back (postgresql.org/docs/current/errcodes-appendix.html).
func away(err error) bool {
	if err == nil {
		return false
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		// Connection exceptions, operator intervention but for a cancelled statement, too many
		// connections, a server that is read-only, such as a standby, a session that the server has ended
		// because its client was stopped in a transaction, and a lock that another session keeps.
		return strings.HasPrefix(pe.Code, "08") || strings.HasPrefix(pe.Code, "57P") ||
			slices.Contains([]string{"53300", "25006", "25P03", "25P04", "55P03"}, pe.Code)
	}
	var ne net.Error // such as net.ErrClosed and context.DeadlineExceeded
	var ce *pgconn.ConnectError
	return errors.As(err, &ne) || errors.As(err, &ce) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, errLost) || strings.Contains(err.Error(), "conn closed")
}

// conflicted reports whether a transaction may succeed when it is executed again: it could not be
// serialized, or was the victim of a deadlock.
func conflicted(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "40001" || pe.Code == "40P01")
}

// classifyPostgres converts PostgreSQL's errors to those of the engine.
func classifyPostgres(pe *pgconn.PgError, err error) error {
	switch {
	case pe.Code == "53100": // disk_full
		return fmt.Errorf("%w: %w", engine.ErrFull, err)
	case away(pe), pe.Code == "53200", pe.Code == "57014": // out_of_memory, query_canceled
		return &AwayError{Cause: err}
	case conflicted(pe):
		return fmt.Errorf("%w: %w", engine.ErrBusy, err)
	case pe.Code == "XX001", pe.Code == "XX002", strings.HasPrefix(pe.Code, "58"): // corrupted data or index, errors of the disk
		return diskError{err}
	}
	return err // an error of the rows concerned
}
