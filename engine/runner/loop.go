package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows/value"
)

// Execute executes a run until it has ended or waits. A panic fails only that run.
func (rn *Runner) Execute(ex *Execution) {
	defer func() {
		if p := recover(); p != nil {
			rn.o.Log.Error("a run panicked", "run", ex.Run.ID, "panic", p, "stack", string(debug.Stack()))
			rn.unrecorded(ex, panicked(p))
		}
	}()
	rn.runLoop(ex)
}

// runLoop starts the attempts that are due, advances the run with their results, and stores the
// update, until the run has ended or waits. Attempts are on disk before they start.
func (rn *Runner) runLoop(ex *Execution) {
	for {
		ex.startAttempts()
		mark := uint64(0)
		if ex.held {
			mark = rn.destinations.Mark()
		}
		s := ex.advance()
		if ex.held {
			rn.destinations.Forget(int64(ex.Run.ID), mark) // those that it did not use
		}
		var next time.Time
		err := rn.store.Retry(func() (err error) {
			next, err = rn.store.CommitRun(context.WithoutCancel(rn.work), s)
			return err
		})
		if err != nil {
			if rn.store.RowsFault(err) {
				err = fmt.Errorf("what this run did cannot be recorded: %w", err)
			}
			rn.unrecorded(ex, err)
			return
		}
		rn.began(s)
		rn.DueAt(next)
		rn.ReportUpdate(ex.Event, s)
		ex.stored(s.Records)
		if len(ex.due) == 0 && ex.inFlight == 0 && !ex.more {
			ended := ex.Run.Status.Ended()
			if !ended {
				rn.noteQuestions(ex)
			}
			rn.Release(ex)
			if ended {
				rn.logEnd(ex.Run, ex.Masker())
			} else {
				rn.DueAt(ex.Run.DueAt)
				rn.resumeReady(ex)
			}
			return
		}
	}
}

// unrecorded stops a run whose update cannot be stored. If the error is about the run's own rows,
// the run fails; otherwise it is found again at the next start.
func (rn *Runner) unrecorded(ex *Execution, err error) {
	ex.abandon()
	if !errors.Is(err, engine.ErrStale) {
		rn.o.Log.Error("a run cannot be recorded", "run", ex.Run.ID, "error", err)
	}
	if rn.store.RowsFault(err) {
		ex.Run.Output, ex.Run.Text = nil, ""
		if gaveUp := rn.giveUp(ex, err); !errors.Is(gaveUp, errGaveUp) {
			rn.o.Log.Error("a run that failed cannot be recorded either", "run", ex.Run.ID, "error", gaveUp)
		}
	}
	rn.Release(ex)
}

// maxLogged is how many bytes of an error are logged.
const maxLogged = 4 << 10

func (rn *Runner) logEnd(r *engine.Run, m *redact.Masker) {
	if r.Error != nil {
		rn.o.Log.Warn("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event, "step", r.Error.Step,
			"error", m.Text(value.CutText(r.Error.Message, maxLogged)))
		return
	}
	if !rn.o.Log.Enabled(rn.work, slog.LevelDebug) {
		return // the attributes cost more than the call
	}
	rn.o.Log.Debug("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event)
}
