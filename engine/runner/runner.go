package runner

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/alert"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// Arrivals receives the effects of runs outside the runner: events that they make, answers to
// other runs, their ends, and the slots that they free. The runner calls it without holding a
// lock.
type Arrivals interface {
	// Accepted processes the delivery that a step has stored as an event.
	Accepted(d *engine.Delivery, r engine.Receipt)
	// Answer applies the answer of a step to a question of another run, see Control.Answer.
	Answer(ctx context.Context, id engine.RunID, response engine.Response) (plan.Question, error)
	// Arrived processes an event that was stored with the update of a run: it calls a workflow, or
	// reports the end of a run.
	Arrived(ev *engine.Event)
	// RunEnded reports that the run of an event has ended.
	RunEnded(of engine.EventID)
	// SlotFreed reports that a run has released its slot.
	SlotFreed()
}

// Options are the dependencies and limits of a Runner. All must be set unless noted.
type Options struct {
	Store    *persist.Store
	Registry *registry.Registry
	Alerts   *alert.Monitor
	Arrivals Arrivals
	Budgets  *Budgets
	Actions  map[string]engine.Action
	Redactor *redact.Redactor
	Log      *slog.Logger
	// Files stores the files of runs; nil stores none.
	Files *files.Store
	// MaxRuns is how many runs execute at once. Others stay in the store.
	MaxRuns int
	// BreakerPause is how long a destination that does not answer is paused before one attempt
	// probes it; MaxHeld is how long an attempt waits for it before it fails.
	BreakerPause, MaxHeld time.Duration
	// Observe and Watch receive each change; both may be nil.
	Observe func(engine.Change)
	Watch   engine.Watch
	// Yield gives a lease to another node that has asked for it; nil does nothing.
	Yield func(ctx context.Context, work string) error
}

// Runner executes runs. Make it with New; call Load, Start and Resume before any other method than
// Cancel. Its methods are safe for concurrent use.
type Runner struct {
	// Immutable after New.

	o Options
	// store, reg and alerts are those of the options; each has its own locks.
	store  *persist.Store
	reg    *registry.Registry
	alerts *alert.Monitor
	// destinations issue permits to attempts; they have their own lock.
	destinations *destination.Table
	// wake and wakeGather make RunDue and RunGatherings look again. Each holds at most one signal.
	wake, wakeGather chan struct{}
	// permits makes RunPermits look; it holds at most one signal.
	permits chan struct{}
	// made is when the runner was made: the origin of counted.
	made time.Time

	// Set once by Start.

	// work is the context of attempts; it outlives the stop by the grace period.
	work context.Context

	// Atomic, so that intake reads them without mu. All but counted are written with mu held.

	// stopping reports that nothing new begins.
	stopping atomic.Bool
	// working is the number of runs in atWork. slow is how many of them had been executing for
	// slowFrom at the time counted, in nanoseconds since made.
	working, slow, counted atomic.Int64

	mu sync.Mutex

	// Guarded by mu.

	// atWork are the runs that have a slot.
	atWork map[engine.RunID]*Execution
	// nextDue is when the next stored run is due, zero if none is known; lookedDue is when due
	// runs were last read; gatherNext is when the next gathering is due.
	nextDue, lookedDue, gatherNext time.Time
	// nextReplay is the earliest start of the next replay.
	nextReplay time.Time

	// goroutines counts the goroutines that Wait waits for.
	goroutines sync.WaitGroup

	// Each has its own lock.

	// heldConnections are the connections that need a person, and why.
	heldConnections sync.Map
	// toEnd are the events whose called runs are to be ended, with the reason; ends limits ending
	// to one goroutine.
	toEnd sync.Map
	ends  chan struct{} // holds a token while a goroutine ends runs
	// large holds the memory sizes of large suspended runs, in bytes.
	large    sync.Map
	suspects suspects
	// paused are the endpoints that answered 410 Gone, by their key.
	paused sync.Map
}

// New makes a Runner.
func New(o Options) *Runner {
	rn := &Runner{o: o, store: o.Store, reg: o.Registry, alerts: o.Alerts, wake: make(chan struct{}, 1), wakeGather: make(chan struct{}, 1),
		permits: make(chan struct{}, 1), made: time.Now(), atWork: map[engine.RunID]*Execution{}, ends: make(chan struct{}, 1),
		suspects: suspects{few: make(chan struct{}, 1), alone: make(chan struct{}, 1)}}
	d := destination.Options{MaxRuns: o.MaxRuns, Pause: o.BreakerPause, Log: o.Log,
		OnPermit: func(run int64) bool { return rn.permitReady(engine.RunID(run)) }, Wake: rn.wakeUp}
	if o.Store.Shared() {
		d.Ask = rn.askPermits
	}
	rn.destinations = destination.New(d)
	return rn
}

// UseLimits applies a project's limits of destinations.
func (rn *Runner) UseLimits(limits map[string]workflows.Limit) { rn.destinations.Use(limits) }

// Load reads, at a start, what executing runs need in memory.
func (rn *Runner) Load(ctx context.Context) error {
	if err := rn.findLarge(ctx); err != nil {
		return err
	}
	if rn.o.Files != nil {
		if err := rn.o.Files.Clean(); err != nil {
			rn.o.Log.Warn("files that a crash left unfinished were not removed", "error", err)
		}
	}
	if err := rn.loadPaused(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Start lets runs begin. work is the context of their attempts.
func (rn *Runner) Start(work context.Context) {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	rn.work = work
	rn.nextDue = time.Now()
}

// Resume continues, after Start, what the last process left: orders to end runs, and runs that may
// have crashed it.
func (rn *Runner) Resume(ctx context.Context) error {
	for _, carryOn := range []func(context.Context) error{rn.loadEnds, rn.replaceLeft, rn.cancelLeft} {
		if err := carryOn(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if _, err := rn.ResumeSuspects(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Stop lets nothing new begin. Wait waits for everything that is executing.
func (rn *Runner) Stop() {
	rn.mu.Lock()
	defer rn.mu.Unlock()
	rn.stopping.Store(true)
}

// Wait waits, after Stop, for the goroutines of executing runs.
func (rn *Runner) Wait() { rn.goroutines.Wait() }
