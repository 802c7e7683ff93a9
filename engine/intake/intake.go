package intake

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/alert"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/runner"
)

// Options are the parts and bounds of an Intake. All are set, but for Watch.
type Options struct {
	Store    *persist.Store
	Registry *registry.Registry
	Alerts   *alert.Monitor
	Runner   *runner.Runner
	Redactor *redact.Redactor
	Log      *slog.Logger
	// MaxRuns is how many runs work at once, MaxMatches how many events are matched at
	// once.
	MaxRuns, MaxMatches int
	// Watch is told what is stored and polled; may be nil.
	Watch engine.Watch
}

// Intake takes deliveries in and decides about events. Make it with New; nothing is decided
// before Start. Its methods may be called by several goroutines.
//
// Locks are taken in this order: those of Registry, mu, the runner's.
type Intake struct {
	// Immutable after New.

	o Options
	// store, reg, runner and alerts are those of the options; each has locks of its own.
	store  *persist.Store
	reg    *registry.Registry
	runner *runner.Runner
	alerts *alert.Monitor
	// wake has RunInbox look again. It holds at most one signal.
	wake chan struct{}
	// working is closed by Start when work is set: before that nothing can be decided.
	working chan struct{}

	// Set once by Start, before working is closed.

	// work is the context of decisions; it outlives the stop by the grace.
	work context.Context

	// backlog tells that the inbox holds events not picked up yet. It is atomic: written with
	// mu held, and read without where only a backlog makes work.
	backlog atomic.Bool

	mu sync.Mutex

	// Guarded by mu.

	// matching are the events that are being decided.
	matching map[engine.EventID]bool
	fast     fastPath
	ordered  orderedQueue
	// looked is when the inbox was last read.
	looked time.Time
	// dozing reports whether RunInbox sleeps until it is woken.
	dozing bool
	// stopping tells that nothing new begins.
	stopping bool

	// goroutines counts those that Wait waits for.
	goroutines sync.WaitGroup

	// waiters has a lock of its own.
	waiters waiters
}

// New makes an Intake.
func New(o Options) *Intake {
	return &Intake{o: o, store: o.Store, reg: o.Registry, runner: o.Runner, alerts: o.Alerts, wake: make(chan struct{}, 1),
		working: make(chan struct{}), matching: map[engine.EventID]bool{}}
}

// Start lets decisions be made. work is the context of what is being decided. The runner was
// started before.
func (in *Intake) Start(work context.Context) {
	in.mu.Lock()
	in.work = work
	in.backlog.Store(true)
	in.ordered.backlog = true // what the inbox holds is older than what comes
	in.mu.Unlock()
	close(in.working)
}

// Working is closed when decisions can be made.
func (in *Intake) Working() <-chan struct{} { return in.working }

// Stop lets nothing new begin: what is accepted from now on stays in the inbox. Wait waits for all
// that is being decided.
func (in *Intake) Stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopping = true
}

// Wait waits, after Stop, for the goroutines of what is being decided. Runs that they began are
// with the runner.
func (in *Intake) Wait() { in.goroutines.Wait() }

// RunEnded has those look that wait for the run of an event.
func (in *Intake) RunEnded(of engine.EventID) { in.waiters.notify(of) }

// SlotFreed has the inbox looked at, if events wait there for a run to end.
func (in *Intake) SlotFreed() { in.wakeUp() }
