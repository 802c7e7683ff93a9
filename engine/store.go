package engine

import (
	"errors"
	"fmt"
)

// Store stores everything that outlives the process: events, decisions, runs, attempts, and what
// operators request. It is the sum of the contracts below, one per user. A database is supported if
// it passes the suite in engine/store/storetest.
//
// Unless its comment says otherwise, for each method:
//
//   - A method that changes something is one transaction. All of it is on disk when the
//     method returns nil; none of it was stored when it returns an error, except ErrUnknown
//     and ErrDisk, after which the outcome is unknown.
//   - A read sees each change that was stored before the read began, and may run twice.
//   - The context ends the wait in the queue, with nothing stored. Once the change is
//     being written, the method waits for its outcome.
//   - Methods are safe for concurrent use.
//   - Any method may return ErrFull, ErrBusy (nothing was stored, and it may be tried again),
//     ErrDisk and ErrClosed (the process must end). Comments name further errors.
//   - "May run twice" says what happens when a caller that does not know the outcome
//     repeats the call with the same arguments.
type Store interface {
	// Instance is a random name of this installation, made with the database. Attempts
	// derive their idempotency keys from it. It never changes.
	Instance() string
	// LastID is the largest id of an event, run or batch when the store was opened. New ids
	// come after it.
	LastID() int64
	// Owner is the owner of this opening of the store: what it accepts belongs to that owner.
	Owner() Owner
	EventStore
	RunStore
	ControlStore
	InletStore
	NodeStore
	SharedStore
	Health
	Signals
}

// Health is whether a store can write. Its user is the server.
type Health interface {
	// Failed is closed when writing became impossible; the process must then end. The server waits
	// for it.
	Failed() <-chan struct{}
	// Err is why writing became impossible; nil while it is possible.
	Err() error
	// Full is why nothing can be stored at present: an error that wraps ErrFull, or nil. The
	// readiness check calls it. The store itself detects when there is room again.
	Full() error
}

// The errors of a store that callers distinguish.
var (
	// ErrFull means that the disk is full; nothing was written.
	ErrFull = errors.New("the disk is full")
	// ErrBusy means that too many writes are queued.
	ErrBusy = errors.New("too much is waiting to be stored")
	// ErrDisk means that the database itself cannot be read or written: the process must end. A
	// store error that is none of these concerns single rows.
	ErrDisk = errors.New("the database cannot be used")
	// ErrUnknown means that it is unknown whether the change was stored: the connection was lost
	// during the commit. Accepting the same event id again resolves it. Other changes are resolved
	// at the next start (Recover), so the process must end.
	ErrUnknown = errors.New("it is unknown whether the change was stored")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrNotFound means that no row has the id.
	ErrNotFound = errors.New("not found")
	// ErrQuery means that a query is invalid.
	ErrQuery = errors.New("the query cannot be answered")
	// ErrRules means that a decision relies on what another node has changed: the caller reads it
	// again, and decides anew. Nothing was stored.
	ErrRules = errors.New("another node has changed what the decision relies on")
	// ErrStale means that a run is no longer in the state from which the change starts.
	ErrStale = errors.New("the run was changed by another update")
)

// HasEnded is the ErrStale of a run that can no longer be cancelled.
type HasEnded struct {
	Run    RunID
	Status RunStatus
}

// Error implements error.
func (e *HasEnded) Error() string { return fmt.Sprintf("run %s has ended as %s", e.Run, e.Status) }

// Is makes it an ErrStale.
func (e *HasEnded) Is(target error) bool { return target == ErrStale }
