package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
)

// Machine is the part of the machine that orders need.
type Machine interface {
	// Working is closed once decisions can be made.
	Working() <-chan struct{}
	// Accept stores a delivery.
	Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error)
	// AwaitShare returns an event with its memory share, which the caller releases.
	AwaitShare(ctx context.Context, ev *engine.Event) (*engine.Event, error)
	// EvaluateQueued evaluates one workflow, for a run that waits in the store. With alone, its
	// event is not gathered with others.
	EvaluateQueued(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error, alone bool) (engine.Decision,
		*engine.RunUpdate)
	// Decided reports a decision that is on disk.
	Decided(ev *engine.Event, d *engine.Decision)
	// Answered resumes a run that got an answer.
	Answered(id engine.RunID, at time.Time)
	// DueAt and GatherDue report that a run, or a gathering, is due at a time; the zero time is
	// ignored. ReplayAt is when the next replay may begin.
	DueAt(t time.Time)
	GatherDue(t time.Time)
	ReplayAt(now time.Time) time.Time
}

// Store is the part of the store that orders need, see engine.ControlStore, engine.EventStore and
// engine.RunStore.
type Store interface {
	// Reads.
	Instance() string
	Event(ctx context.Context, id engine.EventID) (*engine.Event, error)
	Run(ctx context.Context, id engine.RunID) (*engine.Run, error)
	LoadRun(ctx context.Context, id engine.RunID) (*engine.LoadedRun, error)
	Conflict(ctx context.Context, id string) (*engine.Conflict, error)

	// Several nodes.
	engine.Leaser
	Subscribe(ctx context.Context, kinds engine.Signal) <-chan engine.Signal

	// Orders.
	Answer(ctx context.Context, a engine.Answer) error
	Replay(ctx context.Context, r engine.Replay) (due time.Time, inDoubt int, err error)
	ConflictAdmitted(ctx context.Context, id string, event engine.EventID) error
	Prune(ctx context.Context, o engine.PruneOrder) (engine.Pruned, error)
	SetSwitch(ctx context.Context, x engine.Switch, on bool) error
	Missed(ctx context.Context, workflow string) (engine.Switched, error)
	HeldEvents(ctx context.Context, workflow string, limit int) ([]engine.EventID, error)
	engine.ValueStore
	engine.DecisionStore
	engine.BatchStore

	// The record of orders.
	BeginOrder(ctx context.Context, key string, digest []byte, now time.Time) (engine.Order, error)
	EndOrder(ctx context.Context, key string, o engine.Order) error
	Audit(ctx context.Context, a engine.AuditEntry) error
}

// Options are the dependencies of Control.
type Options struct {
	Store    Store
	Registry *registry.Registry
	Machine  Machine
	Redactor *redact.Redactor
	Log      *slog.Logger
	// Files stores the files of runs; nil stores none.
	Files *files.Store
	// LinkKey returns the key that signs approval links; if it is nil, none are signed.
	LinkKey func() ([]byte, error)
}

// Control executes what operators request. Make it with New. Its methods may be called by several
// goroutines.
type Control struct {
	// Immutable after New.

	o Options
	// batchSignal makes RunBatches look again. It holds at most one signal.
	batchSignal chan struct{}
}

// New makes a Control.
func New(o Options) *Control {
	return &Control{o: o, batchSignal: make(chan struct{}, 1)}
}
