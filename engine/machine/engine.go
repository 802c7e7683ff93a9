package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/control"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// Options are the engine's parts and bounds.
type Options struct {
	Store   engine.Store
	Actions map[string]engine.Action
	Client  *http.Client
	// Secrets gives the value of a secret, until UseSecrets swaps it.
	Secrets func(name string) (string, bool)
	// Redactor masks secrets; the store masks with it too.
	Redactor *redact.Redactor
	// Mark gives digits by which equal texts can be told that are masked; nil gives
	// none.
	Mark func(text string) (string, error)
	Log  *slog.Logger
	// Files keeps the files of runs; nil keeps none.
	Files *files.Store
	// ConditionsEvery is how often conditions for alerts are looked at; 15 s by default.
	ConditionsEvery time.Duration
	// Disk gives the free and all bytes of the database's disk; nil where unknown.
	Disk func() (free, total int64, err error)
	// LinkKey signs the links of approvals. It must not be in the database: whoever
	// reads a backup could sign. nil has none signed.
	LinkKey func() ([]byte, error)
	// RunURL gives the address of a run's page, for run.url.
	RunURL func(engine.RunID) string
	// MaxRuns is how many runs work at once; 512 by default. What is beyond stays
	// in the store.
	MaxRuns int
	// MaxMatches is how many events are matched at once; 256 by default.
	MaxMatches int
	// BreakerPause is how long a destination that does not answer is left alone before
	// one attempt tries, 5 s by default; MaxHeld is how long an attempt waits for it
	// until it counts as failed, 10 min by default.
	BreakerPause, MaxHeld time.Duration
	// Grace is how long open attempts may go on after the stop; 20 s by default.
	Grace time.Duration
	// Observe is called after each change of a run, for demo and tests; may be nil.
	Observe func(engine.Change)
	// Watch is told what happens, for metrics and traces; may be nil.
	Watch engine.Watch
}

// Engine runs workflows over a store. Make it with New, give it a project with Use, then
// call Run. Its methods may be called by several goroutines, also before Run: what is
// accepted then waits in the inbox.
//
// Locks are taken in this order: those of Registry, mu.
type Engine struct {
	*control.Control

	// Immutable after New.

	o Options
	// reg is what is in force; it has locks of its own.
	reg *registry.Registry
	// destinations give permits to attempts; they have a lock of their own.
	destinations *destination.Table
	// The budgets of memory, in bytes: decoded is for events, outputs, answers, parsed and
	// lookups for what runs at work hold.
	decoded, outputs, answers, parsed, lookups *memory.Budget
	// wake and wakeGather have the dispatcher and the gatherings look again. Each holds at
	// most one signal.
	wake, wakeGather chan struct{}
	// working is closed by Run when work is set: before that nothing can be decided.
	working chan struct{}
	// failed takes the first error that ends the process.
	failed chan error

	// Set once by Run, before working is closed.

	// work is the context of attempts; it outlives the stop by Options.Grace. kill ends it.
	work context.Context
	kill context.CancelFunc

	// heldConnections are the connections that only a person can mend, and why. It has its
	// own lock.
	heldConnections sync.Map

	mu sync.Mutex

	// Guarded by mu.

	// atWork are the runs that have a slot, matching the events that are being decided.
	atWork   map[engine.RunID]*execution
	matching map[engine.EventID]bool
	fast     fastPath
	ordered  orderedQueue
	// backlog tells that the inbox holds events not picked up yet; looked is when it was
	// last read.
	backlog bool
	looked  time.Time
	// slowRuns is how many runs had been at work for slowFrom at the moment counted.
	slowRuns int
	counted  time.Time
	// dozing reports whether the dispatcher sleeps until it is woken.
	dozing bool
	// nextDue is when the next stored run is due, zero for none known; lookedDue is when
	// due runs were last read; gatherNext is when the next gathering is due.
	nextDue, lookedDue, gatherNext time.Time
	// nextReplay is the earliest start of the next replay.
	nextReplay time.Time
	// stopping tells that nothing new begins. goroutines counts those that drain waits
	// for.
	stopping   bool
	goroutines sync.WaitGroup

	// Each has a lock of its own.

	waiters  waiters
	alerts   alerts
	refusals refusalRates
	// toEnd are the events whose called runs are to be ended, with the reason; ends lets
	// one goroutine end them.
	toEnd sync.Map
	ends  chan struct{} // holds a token while somebody is at it
	// large are the bytes that runs take which were put down, where that is much.
	large sync.Map
	// paused are the endpoints that answered 410 Gone, by their key.
	paused sync.Map
}

// New makes an engine. Its ids come after those that the store knows.
func New(o Options) *Engine {
	if o.MaxRuns == 0 {
		o.MaxRuns = 512
	}
	if o.MaxMatches == 0 {
		o.MaxMatches = 256
	}
	if o.BreakerPause == 0 {
		o.BreakerPause = 5 * time.Second
	}
	if o.ConditionsEvery == 0 {
		o.ConditionsEvery = conditionsEvery
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = 10 * time.Minute
	}
	if o.Grace == 0 {
		o.Grace = 20 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.RunURL == nil {
		o.RunURL = func(id engine.RunID) string { return "/runs/" + id.String() }
	}
	if o.Redactor == nil {
		o.Redactor = &redact.Redactor{}
	}
	e := &Engine{o: o, wake: make(chan struct{}, 1), wakeGather: make(chan struct{}, 1),
		working: make(chan struct{}), ends: make(chan struct{}, 1), atWork: map[engine.RunID]*execution{}, matching: map[engine.EventID]bool{},
		failed: make(chan error, 1),
		alerts: alerts{open: map[alertKey]engine.OpenAlert{}, pending: map[alertKey]*engine.Alert{}, wake: make(chan struct{}, 1)}}
	e.reg = registry.New(registry.Options{Store: o.Store, Redactor: o.Redactor, Mark: o.Mark, Secrets: o.Secrets, RunURL: o.RunURL, Log: o.Log,
		OnUse: e.used})
	e.Control = control.New(control.Options{Store: o.Store, Registry: e.reg, Machine: orders{e}, Redactor: o.Redactor, Log: o.Log,
		Files: o.Files, LinkKey: o.LinkKey})
	e.decoded, e.outputs, e.answers = memory.NewBudget(maxDecoded), memory.NewBudget(maxOutputs), memory.NewBudget(maxAnswers)
	e.parsed, e.lookups = memory.NewBudget(maxParsed), memory.NewBudget(maxLookups)
	e.destinations = destination.New(destination.Options{MaxRuns: o.MaxRuns, Pause: o.BreakerPause, Log: o.Log,
		Call: func(run int64) bool { return e.permitReady(engine.RunID(run)) }, Wake: e.poke})
	return e
}

// used follows a project that is taken into use; publish makes it the current one.
func (e *Engine) used(ctx context.Context, l *registry.Snapshot, publish func()) error {
	if e.o.Files != nil {
		e.o.Files.Bound(l.FileBounds.MaxSize)
	}
	e.destinations.Use(l.Destinations)
	publish()
	return e.unparkAll(ctx, l)
}

// Use makes a project the current one, see Registry.Use.
func (e *Engine) Use(ctx context.Context, p *workflows.Project) error { return e.reg.Use(ctx, p) }

// UseSecrets swaps the source of secrets, see Registry.UseSecrets.
func (e *Engine) UseSecrets(lookup func(name string) (string, bool)) { e.reg.UseSecrets(lookup) }

// SwitchedOff tells which workflows a person has switched off.
func (e *Engine) SwitchedOff() map[string]engine.Switch { return e.reg.SwitchedOff() }

// Run works until ctx ends, then lets open attempts finish within the grace. An
// error means that nothing can be stored safely any more and the process must
// end; what was acknowledged goes on at the next start.
func (e *Engine) Run(ctx context.Context) error {
	ctx, stopUpkeep := context.WithCancel(ctx)
	defer stopUpkeep()
	work, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	n, err := e.o.Store.Recover(ctx, time.Now())
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recovering open runs: %w", err)
	}
	if n > 0 {
		e.o.Log.Info("open runs go on", "runs", n)
	}
	if err := e.findLarge(ctx); err != nil {
		return err
	}
	if e.o.Files != nil {
		if err := e.o.Files.Clean(); err != nil {
			e.o.Log.Warn("files that a crash left unfinished were not removed", "error", err)
		}
	}
	if err := e.loadPaused(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	if err := e.reg.AwaitOpen(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	e.mu.Lock()
	e.work, e.kill = work, kill
	e.backlog, e.nextDue = true, time.Now()
	e.ordered.backlog = true // what the inbox holds is older than what comes
	e.mu.Unlock()
	close(e.working)
	if err := e.loadEnds(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	if err := e.replaceLeft(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	if err := e.cancelLeft(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	few, alone, err := e.o.Store.Suspects(ctx)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("looking for runs that were often at work: %w", err)
	}
	e.resumeSuspects(ctx, few, alone)
	if err := e.loadAlerts(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	for _, upkeep := range []func(context.Context){e.RunPruning, e.RunBatches, e.closeGatherings, e.tellAlerts, e.watchConditions,
		e.watchClock} {
		e.goroutines.Add(1)
		go func() {
			defer e.goroutines.Done()
			upkeep(ctx)
		}()
	}
	err = e.dispatch(ctx)
	stopUpkeep()
	e.drain()
	return err
}

// drain waits for all goroutines: for Options.Grace, then attempts are cancelled.
func (e *Engine) drain() {
	e.mu.Lock()
	e.stopping = true
	e.mu.Unlock()
	ended := make(chan struct{})
	go func() { e.goroutines.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(e.o.Grace):
		e.kill()
		<-ended
	}
}

// fail ends the engine: the store can no longer be trusted.
func (e *Engine) fail(err error) {
	select {
	case e.failed <- err:
	default:
	}
}

// Cancel ends a run, at work or not.
func (e *Engine) Cancel(ctx context.Context, id engine.RunID) error { return e.cancel(ctx, id, nil) }

// cancel ends a run with a reason to record; nil for a person's wish.
func (e *Engine) cancel(ctx context.Context, id engine.RunID, why *plan.Error) error {
	for {
		e.mu.Lock()
		ex := e.atWork[id]
		if ex != nil && !(ex.ending && why != nil) { // a person may cut finally, an event does not
			ex.why = why
			ex.cancel() // while it cannot be released
		}
		e.mu.Unlock()
		if ex != nil {
			return nil
		}
		err := e.cancelStored(ctx, id, why)
		if !errors.Is(err, engine.ErrStale) {
			return err
		}
		// It has ended, or was taken up just now, or put down.
		r, readErr := e.o.Store.Run(ctx, id)
		if readErr != nil {
			return fmt.Errorf("run %s: %w", id, readErr)
		}
		if r.Status.Ended() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
