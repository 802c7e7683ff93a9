// Package persist wraps the store for intake and runner. It retries writes that must not be lost
// while the store is temporarily unavailable, distinguishes errors of single rows from errors that
// end the process, and reserves memory for event bodies.
//
// It must not know what is written, or how events and runs are processed.
package persist

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/lograte"
	"github.com/hookloom/hookloom/engine/memory"
)

// Store retries the writes of a store. Make it with New; call Start before Retry.
type Store struct {
	engine.Store

	// Immutable after New.

	// Decoded is the memory budget shared by all decoded events and runs.
	Decoded *memory.Budget
	log     *slog.Logger
	// failed receives the first error that ends the process.
	failed chan error
	// warned limits the log lines of an outage.
	warned *lograte.Log

	// Set once by Start.

	// work is the context of running work; it outlives the stop by the grace period.
	work context.Context
}

// New makes a Store.
func New(s engine.Store, log *slog.Logger) *Store {
	return &Store{Store: s, Decoded: memory.NewBudget(maxDecoded), log: log, failed: make(chan error, 1),
		warned: lograte.New(warnEvery)}
}

// Start sets the context of running work. Call it before any work starts.
func (s *Store) Start(work context.Context) { s.work = work }

// Fail reports that the store can no longer be trusted and that the process must end.
func (s *Store) Fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Failed returns the channel that receives the first error passed to Fail.
func (s *Store) Failed() <-chan error { return s.failed }

// Retry repeats a write until it is on disk, or a read until it is answered. A full disk, and a database that
// is away, are retried; a store that cannot be used ends the process. Errors about the rows themselves are returned to the caller.
func (s *Store) Retry(do func() error) error {
	pause := 50 * time.Millisecond
	for {
		err := do()
		switch {
		case err == nil, errors.Is(err, engine.ErrStale), errors.Is(err, engine.ErrNotFound):
			return err
		case errors.Is(err, engine.ErrDisk), errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrUnknown):
			s.Fail(err)
			return err
		case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrBusy):
			s.WarnAgain("runs wait until the database can be used again", err)
			select {
			case <-time.After(pause):
				pause = min(2*pause, 5*time.Second)
				continue
			case <-s.work.Done():
				return err
			}
		}
		return err
	}
}

// RowsFault reports whether a store error concerns only the rows of one run or event, which then
// fails alone.
func (s *Store) RowsFault(err error) bool {
	return engine.RowsFault(err) && (s.work == nil || s.work.Err() == nil)
}

// ReadError classifies an error of a query for due work. again means that the query should be
// repeated soon. A fatal error ends the process; errors of single rows are never fatal, because
// the next query may succeed, and neither are errors while the engine is stopping.
func (s *Store) ReadError(ctx context.Context, err error) (again bool, fatal error) {
	if ctx.Err() != nil || errors.Is(err, engine.ErrClosed) {
		return false, nil
	}
	if errors.Is(err, engine.ErrBusy) {
		s.WarnAgain("due runs cannot be read now: retrying", err)
		return true, nil
	}
	if !errors.Is(err, engine.ErrDisk) {
		s.log.Error("rows cannot be read; hookloom check says which", "error", err)
		return false, nil
	}
	return false, err
}

// unknownFor is how long UntilKnown retries before the process ends: the next start then finds
// what was stored.
const unknownFor = 10 * time.Second

// UntilKnown accepts an event, and repeats the call while it is unknown whether the event was
// stored. The store recognizes a repeated call by the event's id. ctx ends only the first call:
// after that, a stored event may already have been picked up.
func (s *Store) UntilKnown(ctx context.Context, accept func(context.Context) error) error {
	began := time.Now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := accept(ctx)
		if !errors.Is(err, engine.ErrUnknown) {
			return err
		}
		if time.Since(began) > unknownFor {
			s.Fail(err)
			return err
		}
		s.log.Warn("unknown whether an event was stored; querying the store again", "error", err)
		time.Sleep(pause)
		ctx = context.WithoutCancel(ctx)
	}
}
