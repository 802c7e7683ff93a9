// Package persist is the store as the packages at work use it: intake and runner write what must
// not be lost. It repeats a write while the store refuses it for now, tells the errors of single
// rows from those that end the process, and lends events their share of the memory.
//
// It must not know what is written, nor who decides or runs.
package persist

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
)

// Store is a store whose writes are repeated. Make it with New; call Start before Retry.
type Store struct {
	engine.Store

	// Immutable after New.

	// Decoded is the budget of the memory of all events and runs.
	Decoded *memory.Budget
	log     *slog.Logger
	// failed takes the first error that ends the process.
	failed chan error

	// Set once by Start.

	// work is the context of what is at work; it outlives the stop by the grace.
	work context.Context
}

// New makes a Store.
func New(s engine.Store, log *slog.Logger) *Store {
	return &Store{Store: s, Decoded: memory.NewBudget(maxDecoded), log: log, failed: make(chan error, 1)}
}

// Start gives the context of what is at work, before anything is.
func (s *Store) Start(work context.Context) { s.work = work }

// Fail tells that the store can no longer be trusted and the process must end.
func (s *Store) Fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Failed gives the first error of Fail.
func (s *Store) Failed() <-chan error { return s.failed }

// Retry repeats a write until it is on disk. A full disk passes; one that cannot be
// used ends the process. Other errors are about the rows, and the caller's.
func (s *Store) Retry(write func() error) error {
	pause := 50 * time.Millisecond
	for {
		err := write()
		switch {
		case err == nil, errors.Is(err, engine.ErrStale), errors.Is(err, engine.ErrNotFound):
			return err
		case errors.Is(err, engine.ErrDisk), errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrUnknown):
			s.Fail(err)
			return err
		case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrBusy):
			s.log.Warn("a run cannot be recorded yet", "error", err)
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

// RowsFault tells that an error of the store is about rows: about one run or one event,
// which fails alone.
func (s *Store) RowsFault(err error) bool {
	for _, other := range []error{engine.ErrStale, engine.ErrNotFound, engine.ErrDisk, engine.ErrClosed, engine.ErrUnknown,
		engine.ErrFull, engine.ErrBusy} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil && (s.work == nil || s.work.Err() == nil)
}

// ReadError sorts an error of a look for what is due. With again the look is to be repeated
// soon. A fatal error ends the process: not one of rows, which the next look may get past,
// and none while the engine is being stopped.
func (s *Store) ReadError(ctx context.Context, err error) (again bool, fatal error) {
	if ctx.Err() != nil || errors.Is(err, engine.ErrClosed) {
		return false, nil
	}
	if errors.Is(err, engine.ErrBusy) {
		s.log.Warn("what is due cannot be read now; it is tried again", "error", err)
		return true, nil
	}
	if !errors.Is(err, engine.ErrDisk) {
		s.log.Error("rows cannot be read; hookloom check says which", "error", err)
		return false, nil
	}
	return false, err
}

// unknownFor is how long the outcome of an acceptance is asked for before the process ends:
// the next start finds out what was stored.
const unknownFor = 10 * time.Second

// UntilKnown accepts, and accepts the same again while it is not known whether that was
// stored. By the event's id the store finds its own acceptance. ctx ends only the first
// call: after it somebody may own what was stored.
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
