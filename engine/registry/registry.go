package registry

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// Store is the part of the store that the registry needs.
type Store interface {
	LastID() int64
	Node() int64
	engine.SharedStore
	Switches(ctx context.Context) ([]engine.Switch, error)
	SaveVersion(ctx context.Context, w *workflows.Workflow) error
	SaveFile(ctx context.Context, name, version string, text []byte) error
	SaveUses(ctx context.Context, u engine.VersionUses) error
	AllUses(ctx context.Context) ([]engine.VersionUses, error)
	OpenVersions(ctx context.Context) ([]engine.Run, error)
	Version(ctx context.Context, version string) (string, error)
	Awaited(ctx context.Context) ([]string, error)
	Gathered(ctx context.Context, id engine.RunID) (ids []engine.EventID, size int64, err error)
	Event(ctx context.Context, id engine.EventID) (*engine.Event, error)
}

// Options are the registry's dependencies.
type Options struct {
	Store    Store
	Redactor *redact.Redactor
	// Mark returns digits that are equal for equal masked texts; nil adds none.
	Mark func(text string) (string, error)
	// Secrets returns the value of a secret, until UseSecrets replaces it; nil has none.
	Secrets func(name string) (string, bool)
	// RunURL returns the address of a run's page, for run.url.
	RunURL func(engine.RunID) string
	Log    *slog.Logger
	// OnUse is called when a project is loaded, before others use it; publish makes it the current
	// one. If OnUse is nil, it is published at once.
	OnUse func(ctx context.Context, l *Snapshot, publish func()) error
}

// Registry holds the current project, its listeners by trigger, the versions that runs are pinned
// to, secrets and masks. Make it with New. Its methods may be called by several goroutines.
//
// Locks are taken in this order: turning, using, mu.
type Registry struct {
	// Immutable after New.

	o Options
	// everyRun masks what is masked in every run.
	everyRun *redact.Masker

	// Replaced as a whole; read without a lock.

	project atomic.Pointer[Snapshot]
	// lookup returns the value of a secret, see UseSecrets.
	lookup atomic.Pointer[func(name string) (string, bool)]
	// cancelRules are the rules that end runs, by trigger; nil for none. Writers hold mu.
	cancelRules atomic.Pointer[map[string][]cancelRule]

	// using serializes changes of project.
	using sync.Mutex
	// turning is held for reading by decisions while a workflow holds events, and for writing when
	// the last of them are decided.
	turning sync.RWMutex
	// mu serializes changes of cancelRules.
	mu sync.Mutex

	// Each is safe for concurrent use.

	ids  engine.IDs
	pins pins
	// rules is the state of what decisions rely on that was read last, see engine.SharedStore.
	rules atomic.Int64
	// learned are the versions of other nodes whose rules are registered.
	learned sync.Map
	// awaited are the triggers whose events a run may wait for; the set only grows.
	awaited sync.Map
}

// New makes a registry without a project. It continues the sequence of ids in the store.
func New(o Options) *Registry {
	g := &Registry{o: o, everyRun: o.Redactor.With(nil)}
	g.ids.Node = o.Store.Node()
	g.ids.Seen(o.Store.LastID())
	if o.Secrets == nil {
		o.Secrets = func(string) (string, bool) { return "", false }
	}
	g.lookup.Store(&o.Secrets)
	return g
}

// Use makes a project the current one, atomically: events that arrive from now on use it; open runs
// keep the version they began with.
func (g *Registry) Use(ctx context.Context, p *workflows.Project) error {
	g.using.Lock()
	defer g.using.Unlock()
	return g.use(ctx, p)
}

func (g *Registry) use(ctx context.Context, p *workflows.Project) error {
	seq, err := g.learnRules(ctx, p)
	if err != nil {
		return err
	}
	switches, err := g.o.Store.Switches(ctx)
	if err != nil {
		return fmt.Errorf("reading which workflows are switched off: %w", err)
	}
	l := &Snapshot{Project: p, Off: map[string]engine.Switch{}, ByTrigger: map[string][]engine.Listener{},
		byRun:  map[string][]engine.Listener{},
		Gated:  map[string]bool{},
		Polled: map[string]bool{}, Resting: map[string]bool{}}
	ofEvents := slices.DeleteFunc(slices.Clone(p.History.Redact), func(x workflows.RedactPath) bool { return x.Step != "" })
	if len(ofEvents) > 0 {
		l.fields = redact.NewFields(ofEvents, g.o.Mark)
	}
	g.o.Redactor.SetSteps(p.History.Redact)
	for _, x := range switches {
		l.Off[x.Workflow] = x
	}
	for _, id := range slices.Sorted(maps.Keys(p.Workflows)) {
		w := p.Workflows[id]
		if err := g.loadVersion(ctx, p, w); err != nil {
			return err
		}
		for _, c := range w.CancelOn {
			l.Gated[c.Trigger] = true
		}
		off := l.offOutcome(w.ID, w.Enabled)
		if off != "" && l.Off[w.ID].State != engine.SwitchDraining {
			l.Resting[w.ID] = true
		}
		l.holding = l.holding || off == engine.Held
		for _, s := range w.Starts {
			// Held events are decided in order of arrival.
			if w.Gated() && off != engine.Disabled || off == engine.Held {
				l.Gated[w.ID] = true
				l.Gated[s.Trigger] = true
			}
			for _, id := range s.Workflows {
				l.byRun[id] = append(l.byRun[id], engine.Listener{Workflow: w, Start: s})
			}
			if s.Kind == "trigger" {
				t := p.Triggers[s.Trigger]
				if t != nil && !t.Starts() {
					continue // its events only end waits
				}
				var types []string
				if t != nil && t.Webhook != nil {
					types = t.Webhook.Events
				}
				l.ByTrigger[s.Trigger] = append(l.ByTrigger[s.Trigger], engine.Listener{Workflow: w, Start: s, Types: types, Off: off})
			}
		}
	}
	for name, t := range p.Triggers {
		l.Polled[name] = t.Webhook != nil && (t.Poll != nil || t.Webhook.Reconcile != nil)
	}
	l.findLanes()
	g.refreshRedactor(p)
	return g.publish(ctx, l, seq)
}

// loadVersion stores a workflow of a project that is being loaded, and registers what its runs wait for
// and what ends them.
func (g *Registry) loadVersion(ctx context.Context, p *workflows.Project, w *workflows.Workflow) error {
	if err := g.o.Store.SaveVersion(ctx, w); err != nil {
		return fmt.Errorf("storing workflow %s: %w", w.ID, err)
	}
	if err := g.pin(ctx, p, w); err != nil {
		return err
	}
	g.AddCancelRules(w)
	if len(w.CancelOn) == 0 && len(w.AwaitedTriggers()) == 0 {
		return nil
	}
	if err := g.o.Store.ShareRules(ctx, w.Version, w.ID); err != nil {
		return fmt.Errorf("storing what the runs of workflow %s wait for: %w", w.ID, err)
	}
	return nil
}

// publish makes a project the current one, with the state of the rules that it was made with.
func (g *Registry) publish(ctx context.Context, l *Snapshot, rules int64) error {
	publish := func() {
		g.project.Store(l)
		g.rules.Store(rules)
	}
	if g.o.OnUse == nil {
		publish()
		return nil
	}
	return g.o.OnUse(ctx, l, publish)
}

// Snapshot is the current project; nil before the first.
func (g *Registry) Snapshot() *Snapshot { return g.project.Load() }

// EveryRun masks what is masked in every run.
func (g *Registry) EveryRun() *redact.Masker { return g.everyRun }

// NextID returns a new id, larger than all ids passed to SeenID.
func (g *Registry) NextID() int64 { return g.ids.Next() }

// SeenID registers an existing id.
func (g *Registry) SeenID(id int64) { g.ids.Seen(id) }

// Awaited reports whether a run may wait for events of a trigger.
func (g *Registry) Awaited(trigger string) bool {
	_, is := g.awaited.Load(trigger)
	return is
}

// Reload calls change to store something that depends on the current project, such as a switch,
// while the project cannot change, and then loads the same project again. change receives the
// project, nil for none; if it returns false or an error, nothing is loaded.
func (g *Registry) Reload(ctx context.Context, change func(l *Snapshot) (bool, error)) error {
	g.using.Lock()
	defer g.using.Unlock()
	l := g.project.Load()
	if changed, err := change(l); err != nil || !changed {
		return err
	}
	return g.use(ctx, l.Project)
}

// WithoutDecisions calls do while no decision that relies on a hold is being written.
func (g *Registry) WithoutDecisions(do func() (bool, error)) (bool, error) {
	g.turning.Lock()
	defer g.turning.Unlock()
	return do()
}

// Snapshot is a project with its workflows by trigger.
type Snapshot struct {
	*workflows.Project
	ByTrigger map[string][]engine.Listener
	// byRun are the workflows that listen to the ends of a workflow's runs.
	byRun map[string][]engine.Listener
	// Gated are the triggers, and the workflows, whose events are decided in order.
	Gated map[string]bool
	// lanes are the names of the lanes of Gated: events of one lane may concern the same runs.
	lanes map[string]string
	// Polled are the triggers with more than one inlet.
	Polled map[string]bool
	// Resting are the workflows that are off, by a person or by their file: their queued runs do
	// not begin. holding reports that events of one are held.
	Resting map[string]bool
	holding bool
	// Off are the workflows that a person has switched off.
	Off map[string]engine.Switch
	// fields masks what history.redact names; nil for nothing.
	fields *redact.Fields
}

// Enabled reports whether a workflow may be started.
func (l *Snapshot) Enabled(w *workflows.Workflow) bool { return !l.Resting[w.ID] }
