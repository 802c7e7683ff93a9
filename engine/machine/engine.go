package machine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/alert"
	"github.com/hookloom/hookloom/engine/control"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/intake"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/runner"
)

// Options are the engine's dependencies and limits.
type Options struct {
	Store   engine.Store
	Actions map[string]engine.Action
	// Secrets returns the value of a secret, until UseSecrets replaces it.
	Secrets func(name string) (string, bool)
	// Redactor masks secrets; the store masks with it too.
	Redactor *redact.Redactor
	// Mark returns digits that are equal for equal masked texts; nil adds none.
	Mark func(text string) (string, error)
	Log  *slog.Logger
	// Files stores the files of runs; nil stores none.
	Files *files.Store
	// ConditionsEvery is how often the conditions of alerts are checked; 15 s by default.
	ConditionsEvery time.Duration
	// Recent visits the newest stored events of a trigger, for the alerts of changed events; nil
	// compares none. ShapesEvery is how often they are compared; 10 min by default.
	Recent      func(ctx context.Context, trigger string, limit int, visit func(*engine.Event) bool) error
	ShapesEvery time.Duration
	// Disk returns the free and total bytes of the database's disk; nil if unknown.
	Disk func() (free, total int64, err error)
	// LinkKey returns the key that signs approval links. It must not be in the database: anyone who
	// can read a backup could sign. If it is nil, no links are signed.
	LinkKey func() ([]byte, error)
	// RunURL returns the address of a run's page, for run.url.
	RunURL func(engine.RunID) string
	// MaxRuns is how many runs execute at once; 512 by default. Others stay in the store.
	MaxRuns int
	// MaxMatches is how many events are matched at once; 256 by default.
	MaxMatches int
	// BreakerPause is how long a destination that does not answer is paused before one attempt
	// probes it, 5 s by default; MaxHeld is how long an attempt waits for it before it fails, 10
	// min by default.
	BreakerPause, MaxHeld time.Duration
	// Grace is how long attempts in flight may continue after the stop; 20 s by default.
	Grace time.Duration
	// Observe is called after each change of a run, for demo and tests; may be nil.
	Observe func(engine.Change)
	// Watch receives what happens, for metrics and traces; may be nil.
	Watch engine.Watch
}

// Engine runs workflows over a store. Make it with New, give it a project with Use, then call Run.
// Its methods are safe for concurrent use, also before Run: events accepted before Run wait in the
// inbox.
type Engine struct {
	*control.Control

	// Immutable after New. Each has its own locks.

	o      Options
	reg    *registry.Registry
	store  *persist.Store
	alerts *alert.Monitor
	intake *intake.Intake
	runner *runner.Runner
	// budgets are the runner's.
	budgets *runner.Budgets
	// turns are the leases in use.
	turns turns
}

// New makes an engine. It continues the sequence of ids in the store.
func New(o Options) *Engine {
	o.fill()
	e := &Engine{o: o, store: persist.New(o.Store, o.Log), budgets: runner.NewBudgets(),
		turns: turns{works: map[string]*turn{}}}
	e.reg = registry.New(registry.Options{Store: o.Store, Redactor: o.Redactor, Mark: o.Mark, Secrets: o.Secrets, RunURL: o.RunURL, Log: o.Log,
		OnUse: e.used})
	e.alerts = alert.New(alert.Options{Store: o.Store, Registry: e.reg, Redactor: o.Redactor, Log: o.Log, Every: o.ConditionsEvery,
		Recent: o.Recent, ShapesEvery: o.ShapesEvery,
		Disk: o.Disk, RunURL: o.RunURL, Watch: o.Watch, Accept: e.Accept, Destinations: e.Destinations})
	e.runner = runner.New(runner.Options{Store: e.store, Registry: e.reg, Alerts: e.alerts, Arrivals: arrivals{e}, Budgets: e.budgets,
		Actions: o.Actions, Redactor: o.Redactor, Log: o.Log, Files: o.Files, MaxRuns: o.MaxRuns,
		BreakerPause: o.BreakerPause, MaxHeld: o.MaxHeld, Observe: o.Observe, Watch: o.Watch, Yield: e.yield})
	e.intake = intake.New(intake.Options{Store: e.store, Registry: e.reg, Alerts: e.alerts, Runner: e.runner, Redactor: o.Redactor,
		Log: o.Log, MaxRuns: o.MaxRuns, MaxMatches: o.MaxMatches, Watch: o.Watch})
	e.Control = control.New(control.Options{Store: o.Store, Registry: e.reg, Machine: orders{e}, Redactor: o.Redactor,
		Log: o.Log, Files: o.Files, LinkKey: o.LinkKey})
	return e
}

// fill sets the defaults of options that are not set.
func (o *Options) fill() {
	o.MaxRuns = cmp.Or(o.MaxRuns, 512)
	o.MaxMatches = cmp.Or(o.MaxMatches, 256)
	o.BreakerPause = cmp.Or(o.BreakerPause, 5*time.Second)
	o.MaxHeld = cmp.Or(o.MaxHeld, 10*time.Minute)
	o.Grace = cmp.Or(o.Grace, 20*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Redactor = cmp.Or(o.Redactor, &redact.Redactor{})
	if o.RunURL == nil {
		o.RunURL = func(id engine.RunID) string { return "/runs/" + id.String() }
	}
}

// used applies a project that is being loaded; publish makes it the current one.
func (e *Engine) used(ctx context.Context, l *registry.Snapshot, publish func()) error {
	if e.o.Files != nil {
		e.o.Files.Bound(l.FileBounds.MaxSize)
	}
	e.runner.UseLimits(l.Destinations)
	publish()
	return e.runner.UnparkAll(ctx, l)
}

// Run runs the engine until ctx ends, then lets attempts in flight finish within the grace period.
// An error means that nothing can be stored safely any more and the process must end; acknowledged
// events are processed at the next start.
func (e *Engine) Run(ctx context.Context) error {
	ctx, stopUpkeep := context.WithCancel(ctx)
	defer stopUpkeep()
	work, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	n, err := e.store.Recover(ctx, time.Now())
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recovering open runs: %w", err)
	}
	if n > 0 {
		e.o.Log.Info("open runs continue", "runs", n)
	}
	if err := e.start(ctx, work); err != nil {
		return err
	}
	var upkeep sync.WaitGroup
	for _, run := range []func(context.Context){e.RunPruning, e.RunBatches, e.followNodes, e.alerts.Run,
		e.alerts.RunConditions, e.alerts.RunShapes, e.runner.RunGatherings, e.runner.RunClock, e.runner.RunPermits, e.runner.RunDue,
		e.intake.RunInbox} {
		upkeep.Go(func() { run(ctx) })
	}
	select {
	case <-ctx.Done():
	case err = <-e.store.Failed():
	}
	if e.store.Err() != nil {
		kill() // no result can be stored: the next start, or another node, makes the open attempts again
	}
	stopUpkeep()
	e.intake.Stop()
	e.runner.Stop()
	e.drain(&upkeep, kill)
	return err
}

// start continues what the last process left, and lets decisions and runs begin.
func (e *Engine) start(ctx, work context.Context) error {
	if err := e.runner.Load(ctx); err != nil {
		return err
	}
	if err := e.reg.AwaitOpen(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	e.store.Start(work)
	e.runner.Start(work)
	e.intake.Start(work)
	if err := e.runner.Resume(ctx); err != nil {
		return err
	}
	if err := e.alerts.Load(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// drain waits for all goroutines for Options.Grace, and then cancels attempts by kill. Each group
// of goroutines is started by those before it.
func (e *Engine) drain(upkeep *sync.WaitGroup, kill func()) {
	ended := make(chan struct{})
	go func() {
		upkeep.Wait()
		e.intake.Wait()
		e.runner.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(e.o.Grace):
		kill()
		<-ended
	}
}
