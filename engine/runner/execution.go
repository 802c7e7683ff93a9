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

// execution is one run at work: from the moment it takes a slot until it ends or is put
// down because it waits. One goroutine owns it (see runLoop); attempts run beside that
// goroutine and read only what does not change while they do. Before a new run is handed to
// its goroutine, it belongs to the one that evaluates its event.
type Execution struct {
	registry.RunContext

	// Set when it is made; not changed afterwards.

	rn *Runner
	// slot tells that it holds one of Options.MaxRuns; a suspect has one beyond them.
	slot, suspect bool
	// alone tells that its event joins no others (debounce, batch).
	alone bool
	// news is signalled when an answer or an event may have come; nil for workflows that
	// never wait for one.
	news chan struct{}

	// Guarded by Runner.mu for writing. The run's goroutine reads what only it writes
	// without the lock.

	// cancel ends ctx and with it the run, for the reason why; nil is a person's order.
	// The run's goroutine replaces both when the run goes on to its finally steps.
	ctx    context.Context
	cancel context.CancelFunc
	why    *plan.Error
	// ending tells that the run is being cancelled and is at its finally steps, which only
	// a person may cancel.
	ending bool
	// taken is when it took its slot.
	taken time.Time
	// awaits are the events that it waits for.
	awaits []engine.EventWait
	// turn is signalled when a permit for a destination is ready; nil until one was denied.
	turn chan struct{}

	// Owned by the run's goroutine.

	// provisional tells that the run's event is not known to be new yet (fast path): the
	// run must have no side effects and must not queue. declined tells that it would have
	// had to.
	provisional, declined bool
	// questions are what the run waits for, as the planner last said.
	questions []plan.Question
	// unsaved are records, emits are events, and ends are orders to end called runs, that
	// the next update stores.
	unsaved []*plan.Record
	emits   []*engine.Event
	ends    []engine.EndCall
	// due are attempts on record as running and not started yet. inFlight is how many are
	// under way; they come back by results.
	due      []plan.Due
	inFlight int
	results  chan *plan.Record
	// wake is when the planner must be asked again though no attempt came back.
	wake time.Time
	// answers is how many answers of people the run has read.
	answers int
	// permits are those of attempts in due, by path. held tells that an attempt was denied
	// one, so that a permit may be reserved for the run.
	permits map[string]*destination.Permit
	held    bool
	// heldBy are the connections that an attempt was denied for, because they need a person.
	heldBy []string
	// releasedBy are the events that came for waiting steps, by path.
	releasedBy map[string]engine.EventID
	// since is when the present stretch of work began, by the monotonic clock.
	since time.Time
	// share is its part of the memory of its event. lent and looked are bytes taken from
	// Budgets; rooms are those of answers not on record yet.
	share        *memory.Share
	lent, looked int64
	rooms        rooms
	// large tells that it is counted in Runner.large. A crowded run found no memory and is
	// put down when no attempt is under way; one that forgot has dropped outputs, so that
	// the planner cannot be asked before it is loaded again.
	large, crowded, forgot bool

	// Atomic.

	// setBack is by how much the clock was set back while it was at work, in nanoseconds.
	setBack atomic.Int64
	// wrote tells that an attempt has written kept values.
	wrote atomic.Bool
}

// newExecution makes the execution of a run. Its state is made by begin.
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
		ex.declined = ex.provisional // it would be read back; in the inbox it costs less
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

// putDown gives back the memory of a run that is no longer at work. The execution must not
// be used afterwards.
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

// abandon breaks off the attempts still under way, whose results can no longer
// be recorded, and waits for them. On record they stay running, thus in doubt.
func (ex *Execution) abandon() {
	ex.cancel()
	for ex.inFlight > 0 {
		ex.ended(<-ex.results)
	}
}
