package machine

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

// execute works on a run until it has ended or waits. A panic ends that run alone.
func (e *Engine) execute(ex *execution) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a run panicked", "run", ex.Run.ID, "panic", p, "stack", string(debug.Stack()))
			e.unrecorded(ex, panicked(p))
		}
	}()
	e.runLoop(ex)
}

// runLoop starts the attempts that are due, advances the run by what came back, and stores
// the update, until the run has ended or waits. Attempts are on disk before they start.
func (e *Engine) runLoop(ex *execution) {
	for {
		ex.startAttempts()
		mark := uint64(0)
		if ex.held {
			mark = e.destinations.Mark()
		}
		s := ex.advance()
		if ex.held {
			e.destinations.Forget(int64(ex.Run.ID), mark) // those that it did not take
		}
		var next time.Time
		err := e.store(func() (err error) {
			next, err = e.o.Store.CommitRun(context.WithoutCancel(e.work), s)
			return err
		})
		if err != nil {
			if e.rowsFault(err) {
				err = fmt.Errorf("what this run did cannot be recorded: %w", err)
			}
			e.unrecorded(ex, err)
			return
		}
		e.began(s)
		e.dueAt(next)
		e.reportUpdate(ex.Event, s)
		ex.stored(s.Records)
		if len(ex.due) == 0 && ex.inFlight == 0 {
			ended := ex.Run.Status.Ended()
			if !ended {
				e.noteQuestions(ex)
			}
			e.release(ex)
			if ended {
				e.logEnd(ex.Run, ex.Masker())
			} else {
				e.dueAt(ex.Run.DueAt)
				e.resumeReady(ex)
			}
			return
		}
	}
}

// unrecorded stops work on a run whose update cannot be stored. When the error is about the
// run's own rows, the run fails; otherwise it is found again at the next start.
func (e *Engine) unrecorded(ex *execution, err error) {
	ex.abandon()
	if !errors.Is(err, engine.ErrStale) {
		e.o.Log.Error("a run cannot be recorded", "run", ex.Run.ID, "error", err)
	}
	if e.rowsFault(err) {
		ex.Run.Output, ex.Run.Text = nil, ""
		if gaveUp := e.giveUp(ex, err); !errors.Is(gaveUp, errGaveUp) {
			e.o.Log.Error("a run that failed cannot be recorded either", "run", ex.Run.ID, "error", gaveUp)
		}
	}
	e.release(ex)
}

// maxLogged is how many bytes of an error are logged.
const maxLogged = 4 << 10

func (e *Engine) logEnd(r *engine.Run, m *redact.Masker) {
	if r.Error != nil {
		e.o.Log.Warn("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event, "step", r.Error.Step,
			"error", m.Text(value.CutText(r.Error.Message, maxLogged)))
		return
	}
	if !e.o.Log.Enabled(e.work, slog.LevelDebug) {
		return // the attributes cost more than the call
	}
	e.o.Log.Debug("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event)
}

func (e *Engine) isStopping() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping
}
