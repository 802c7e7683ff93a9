package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/hookloom/hookloom/workflows/value"
)

// drive carries a run on until it has ended or waits. A bug that one run brings out
// ends that run alone.
func (e *Engine) drive(dr *driver) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a run panicked", "run", dr.run.ID, "panic", p, "stack", string(debug.Stack()))
			e.unrecorded(dr, panicked(p))
		}
	}()
	e.carry(dr)
}

// carry makes what is due, asks the plan, and stores, again and again.
func (e *Engine) carry(dr *driver) {
	for {
		dr.perform()
		mark := uint64(0)
		if dr.held {
			mark = e.destinations.Mark()
		}
		s := dr.settle()
		if dr.held {
			e.destinations.Forget(int64(dr.run.ID), mark) // those that it did not take
		}
		var next time.Time
		err := e.store(func() (err error) {
			next, err = e.o.Store.Settle(context.WithoutCancel(e.work), s)
			return err
		})
		if err != nil {
			if e.rowsFault(err) {
				err = fmt.Errorf("what this run did cannot be recorded: %w", err)
			}
			e.unrecorded(dr, err)
			return
		}
		e.began(s)
		e.dueAt(next)
		e.observe(dr.event, s)
		dr.stored(s.Records)
		if len(dr.due) == 0 && dr.inFlight == 0 {
			ended := dr.run.Status.Ended()
			if !ended {
				e.noteQuestions(dr)
			}
			e.release(dr)
			if ended {
				e.logEnd(dr.run, dr.masker())
			} else {
				e.dueAt(dr.run.DueAt)
			}
			return
		}
	}
}

// unrecorded ends the work on a run that cannot be recorded. When that is the fault of
// the run, it fails alone.
func (e *Engine) unrecorded(dr *driver, err error) {
	dr.abandon()
	if !errors.Is(err, ErrStale) {
		e.o.Log.Error("a run cannot be recorded", "run", dr.run.ID, "error", err)
	}
	if e.rowsFault(err) {
		dr.run.Output, dr.run.Text = nil, ""
		if gaveUp := e.giveUp(dr, err); !errors.Is(gaveUp, errGaveUp) {
			e.o.Log.Error("a run that failed cannot be recorded either", "run", dr.run.ID, "error", gaveUp)
		}
	}
	e.release(dr)
}

// maxLogged is how many bytes of an error are logged.
const maxLogged = 4 << 10

func (e *Engine) logEnd(r *Run, m *Masker) {
	if r.Error != nil {
		e.o.Log.Warn("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event, "step", r.Error.Step,
			"error", m.Text(value.CutText(r.Error.Message, maxLogged)))
		return
	}
	if !e.o.Log.Enabled(context.Background(), slog.LevelDebug) {
		return // the attributes cost more than the call
	}
	e.o.Log.Debug("run "+string(r.Status), "run", r.ID, "workflow", r.Workflow, "event", r.Event)
}

func (e *Engine) isStopping() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping
}
