package intake

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/alert"
	"github.com/hookloom/hookloom/engine/lograte"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/runner"
)

// Options are the dependencies and limits of an Intake. All must be set except Watch.
type Options struct {
	Store    *persist.Store
	Registry *registry.Registry
	Alerts   *alert.Monitor
	Runner   *runner.Runner
	Redactor *redact.Redactor
	Log      *slog.Logger
	// MaxRuns is how many runs execute at once, MaxMatches how many events are matched at once.
	MaxRuns, MaxMatches int
	// Watch receives what is stored and polled; may be nil.
	Watch engine.Watch
}

// Intake accepts deliveries and decides about events. Make it with New; nothing is decided before
// Start. Its methods are safe for concurrent use.
//
// Locks are taken in this order: those of Registry, mu, the runner's.
type Intake struct {
	// Immutable after New.

	o Options
	// store, reg, runner and alerts are those of the options; each has its own locks.
	store  *persist.Store
	reg    *registry.Registry
	runner *runner.Runner
	alerts *alert.Monitor
	// often logs what each refused delivery would log while the database is away.
	often *lograte.Log
	// wake makes RunInbox query the inbox again. It holds at most one signal.
	wake chan struct{}
	// working is closed by Start once work is set: nothing can be decided before that.
	working chan struct{}

	// Set once by Start, before working is closed.

	// work is the context of decisions; it outlives the stop by the grace period.
	work context.Context

	// backlog reports whether the inbox holds events not picked up yet. It is written with mu held,
	// and is atomic so that the hot path can read it without the lock.
	backlog atomic.Bool

	mu sync.Mutex

	// Guarded by mu.

	// matching are the events that are being decided.
	matching map[engine.EventID]bool
	fast     fastPath
	ordered  orderedQueue
	// looked is when the inbox was last read.
	looked time.Time
	// sleeping reports whether RunInbox sleeps until it is woken.
	sleeping bool
	// stopping reports that nothing new begins.
	stopping bool
	// early are repeated deliveries that were stored before Start and wait for their comparison.
	early []repeat

	// goroutines counts the goroutines that Wait waits for.
	goroutines sync.WaitGroup

	// waiters has its own lock.
	waiters waiters
}

// repeat is a delivery of an event that was stored before.
type repeat struct {
	delivery *engine.Delivery
	receipt  engine.Receipt
}

// maxEarly is the largest number of repeated deliveries that are kept for their comparison until
// Start: they are in memory with their bodies. The differences of others are not recorded.
const maxEarly = 100

// New makes an Intake.
func New(o Options) *Intake {
	return &Intake{o: o, store: o.Store, reg: o.Registry, runner: o.Runner, alerts: o.Alerts, wake: make(chan struct{}, 1),
		working: make(chan struct{}), often: lograte.New(lograte.Flood), matching: map[engine.EventID]bool{}}
}

// Start lets decisions begin. work is the context of decisions in progress. The runner must have
// been started before.
func (in *Intake) Start(work context.Context) {
	in.mu.Lock()
	in.work = work
	in.backlog.Store(true)
	in.ordered.backlog = true // events in the inbox are older than new ones
	early := in.early
	in.early = nil
	in.goroutines.Go(func() {
		for _, x := range early {
			in.compareData(work, x.delivery, x.receipt)
		}
	})
	in.mu.Unlock()
	close(in.working)
}

// Working is closed once decisions can be made.
func (in *Intake) Working() <-chan struct{} { return in.working }

// Stop lets nothing new begin: events accepted from now on stay in the inbox. Wait waits for the
// decisions in progress.
func (in *Intake) Stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopping = true
}

// Wait waits, after Stop, for the goroutines of decisions in progress. The runner waits for the
// runs that they began.
func (in *Intake) Wait() { in.goroutines.Wait() }

// RunEnded wakes the goroutines that wait for the run of an event.
func (in *Intake) RunEnded(of engine.EventID) { in.waiters.notify(of) }

// Adopted reports that the inbox has events of a node that is gone.
func (in *Intake) Adopted() {
	in.backlog.Store(true)
	in.signalInbox()
}

// SlotFreed wakes RunInbox if events in the inbox wait for a run to end.
func (in *Intake) SlotFreed() { in.wakeUp() }
