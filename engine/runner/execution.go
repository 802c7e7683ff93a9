package runner

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// Execution is one executing run: from the moment it takes a slot until it ends or is suspended
// because it waits. One goroutine owns it (see runLoop); attempts run beside that goroutine and
// read only fields that do not change meanwhile. Before a new run is handed to its goroutine, it
// belongs to the goroutine that evaluates its event.
type Execution struct {
	registry.RunContext

	// Set by newExecution; immutable afterwards.

	rn *Runner
	// slot reports whether it holds one of Options.MaxRuns; a suspect does not count.
	slot, suspect bool
	// alone reports that its event is not gathered with others (debounce, batch).
	alone bool
	// news is signalled when an answer or an event may have arrived; nil for workflows that never
	// wait for one.
	news chan struct{}

	// Guarded by Runner.mu for writing. The run's goroutine reads without the lock the fields that
	// only it writes.

	// cancel cancels ctx and with it the run, for the reason why; nil means a person did. The
	// run's goroutine replaces both when the run continues with its finally steps.
	ctx    context.Context
	cancel context.CancelFunc
	why    *plan.Error
	// ending reports that the run is being cancelled and executes its finally steps, which only a
	// person may cancel.
	ending bool
	// taken is when it took its slot.
	taken time.Time
	// awaits are the events that the run waits for.
	awaits []engine.EventWait
	// permitReady is signalled when a permit for a destination is ready; nil until one was denied.
	permitReady chan struct{}

	// Owned by the run's goroutine.

	// provisional reports that the run's event is not known to be new yet (fast path): the run
	// must have no side effects and must not queue. declined reports that it would have had to.
	provisional, declined bool
	// questions are what the run waits for, as last returned by the planner.
	questions []plan.Question
	// The next update stores unsaved records, the events in emits, and in ends the orders to end
	// called runs.
	unsaved []*plan.Record
	emits   []*engine.Event
	ends    []engine.EndCall
	// due are attempts recorded as running and not started yet. inFlight is the number of started
	// attempts; they return on results.
	due      []plan.Due
	inFlight int
	results  chan *plan.Record
	// more reports that the run goes on without waiting: see maxInline.
	more bool
	// wake is when the planner must be asked again even if no attempt returns.
	wake time.Time
	// answers is the number of people's answers that the run has read.
	answers int
	// permits are those of attempts in due, by path. held reports that an attempt was denied one,
	// so that a permit may be reserved for the run.
	permits map[string]*destination.Permit
	held    bool
	// heldBy are the connections that need a person and for which an attempt was denied.
	heldBy []string
	// releasedBy are the events that arrived for waiting steps, by path.
	releasedBy map[string]engine.EventID
	// since is when the current period of work began, by the monotonic clock.
	since time.Time
	// share is the memory share of its event. lent and looked are bytes taken from Budgets; rooms
	// are the bytes of answers not stored yet.
	share        *memory.Share
	lent, looked int64
	rooms        rooms
	// large reports that it is counted in Runner.large. A crowded run found no memory and is
	// suspended once no attempt is in flight. A run that forgot has dropped outputs, so the
	// planner cannot be asked before the run is loaded again.
	large, crowded, forgot bool

	// Atomic.

	// setBack is by how much the clock was set back during the execution, in nanoseconds.
	setBack atomic.Int64
	// wrote reports that an attempt has written kept values.
	wrote atomic.Bool
}

// newExecution makes the execution of a run. RunContext.Begin sets its state.
func (rn *Runner) newExecution(ev *engine.Event, r *engine.Run) *Execution {
	ex := &Execution{RunContext: registry.RunContext{Reg: rn.reg, Event: ev, Run: r}, rn: rn}
	ex.ctx, ex.cancel = context.WithCancel(rn.work)
	return ex
}

// newRun makes the execution of a run that does not exist yet.
func (rn *Runner) newRun(ev *engine.Event, w *workflows.Workflow, id engine.RunID, names map[string]any) *Execution {
	now := time.Now().UTC()
	ex := rn.newExecution(ev, &engine.Run{ID: id, Event: ev.ID, Workflow: w.ID, Version: w.Version, Status: engine.Queued, CreatedAt: now,
		DueAt: now})
	ex.since, ex.share = time.Now(), ev.Share.Retain()
	ex.Begin(w, names, now)
	if registry.IsBatch(w) {
		ex.State.Events = []any{names}
	}
	ex.watchNews(w)
	return ex
}

// start plans the first steps of a new run. If no worker slot is free, the run is stored as
// queued instead.
func (ex *Execution) start(slot bool) engine.RunUpdate {
	ex.slot = slot
	if !slot {
		ex.declined = ex.provisional // storing and reloading it would cost more than the inbox
		return engine.RunUpdate{Run: ex.Run, New: true, Cancels: ex.Cancels}
	}
	ex.Run.StartedAt = ex.Run.CreatedAt
	s := ex.advance()
	s.New = true
	if !s.Run.Status.Ended() {
		s.Cancels = ex.Cancels
	}
	return s
}

// putDown releases the memory of a run that is no longer executed. The execution must not be used
// afterwards.
func (ex *Execution) putDown() {
	ex.share.Release()
	ex.share = nil
	ex.rooms.all()
	ex.lookedUp()
	ex.noteSize()
	if ex.lent > 0 {
		ex.rn.o.Budgets.Outputs.Give(ex.lent)
		ex.lent = 0
	}
}

// abandon cancels the attempts in flight, whose results can no longer be stored, and waits for
// them. They stay recorded as running, so their outcome is in doubt.
func (ex *Execution) abandon() {
	ex.cancel()
	for ex.inFlight > 0 {
		ex.ended(<-ex.results)
	}
}
