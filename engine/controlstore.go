package engine

import (
	"context"
	"time"
)

// ControlStore is what people and the upkeep order. Its users are control (replay.go,
// again.go, batch.go, switch.go, hold.go, order.go, prune.go, alert.go) and the console.
type ControlStore interface {
	RunEnder
	// Replay makes a new queued run of an ended run's event, with its gathered events and,
	// from the failed step, copies of the attempts that succeeded. due is when it may begin,
	// zero when others have to end first; doubts is how many calls of the old run are in
	// doubt. It returns *DroppedError when its group does not admit it, *ReplayedError when
	// there is a replay already and Again is not set, ErrStale when the old run is open.
	// Running twice gives *ReplayedError with the run of the first call.
	Replay(ctx context.Context, r Replay) (due time.Time, doubts int, err error)
	// Answer keeps a person's answer and makes the waiting run due, in one transaction. It
	// returns ErrStale when the question has its answer already, or the run has ended: so
	// running twice gives ErrStale.
	Answer(ctx context.Context, a Answer) error
	// BeginOrder claims an idempotency key, bounded in number and time, or finds the order
	// that has it; EndOrder keeps its answer, or with status 0 gives the key back. The console
	// calls them around what it does. A second BeginOrder finds the first.
	BeginOrder(ctx context.Context, key string, digest []byte, now time.Time) (Order, error)
	EndOrder(ctx context.Context, key string, o Order) error
	// Audit keeps what a person did, bounded in number. Running twice keeps it twice.
	Audit(ctx context.Context, a AuditEntry) error
	// Conflict loads a conflicting delivery by its id, ErrNotFound for none;
	// ConflictAdmitted records the event that it became, and may run twice.
	Conflict(ctx context.Context, id string) (*Conflict, error)
	ConflictAdmitted(ctx context.Context, id string, event EventID) error
	// EndSession keeps that a login of the console ended before its time; EndedSessions
	// lists them with the time until which they would have lasted. It may run twice.
	EndSession(ctx context.Context, id string, until time.Time) error
	EndedSessions(ctx context.Context) (map[string]time.Time, error)
	// Prune removes old history in small transactions until there is none, or its context
	// ends; it returns what was removed so far, also with an error. It may run twice.
	Prune(ctx context.Context, o PruneOrder) (Pruned, error)
	DecisionStore
	SwitchStore
	BatchStore
	AlertStore
}

// DecisionStore is what deciding again needs: new decisions about events that are stored.
type DecisionStore interface {
	// Redecide stores new decisions, keeps the earlier ones, and the progress of a batch, all
	// or none. It returns ErrStale when the batch is not running, ErrPending for an event
	// without a first decision. Running twice gives Known for what Once forbids.
	Redecide(ctx context.Context, rs []Redecision, step *BatchStep) ([]Redecided, error)
	// Decided returns what is recorded of an event's decisions, ErrNotFound for no event.
	// Undone does so for events of triggers, after one and before another, the oldest first;
	// CountEvents counts those.
	Decided(ctx context.Context, id EventID) (DecidedState, error)
	Undone(ctx context.Context, triggers []string, after, end EventID, limit int) ([]DecidedState, error)
	CountEvents(ctx context.Context, triggers []string, after, end EventID) (int, error)
}

// SwitchStore keeps which workflows are off, which endpoints get nothing, and the runs that
// are held meanwhile. All of its methods may run twice.
type SwitchStore interface {
	// SetSwitch keeps how a workflow is switched off, or, with on, that it is not.
	SetSwitch(ctx context.Context, x Switch, on bool) error
	// Switches lists the workflows that are switched off.
	Switches(ctx context.Context) ([]Switch, error)
	// Missed counts what a workflow missed while it was off, and what is held for it.
	Missed(ctx context.Context, workflow string) (Switched, error)
	// HeldEvents lists the oldest events that are held for a workflow.
	HeldEvents(ctx context.Context, workflow string, limit int) ([]EventID, error)
	// Park puts a queued run that has not begun aside, without a due time; Unpark makes those
	// of workflows due again, and returns how many; Parked lists the workflows that have some.
	Park(ctx context.Context, id RunID) error
	Unpark(ctx context.Context, workflows []string, now time.Time) (int, error)
	Parked(ctx context.Context) ([]string, error)
	// Pause keeps that an endpoint gets nothing; Unpause ends it; Paused lists them.
	Pause(ctx context.Context, p Pause) error
	Unpause(ctx context.Context, key string) error
	Paused(ctx context.Context) ([]Pause, error)
}

// BatchStore keeps the orders that decide or run many events again.
type BatchStore interface {
	// AddBatch stores a batch, and drops the oldest ended ones beyond a number. Running twice
	// is an error.
	AddBatch(ctx context.Context, b *Batch) error
	// Batch loads one, ErrNotFound for none; Batches those of a state, empty for all, the
	// newest first.
	Batch(ctx context.Context, id BatchID) (*Batch, error)
	Batches(ctx context.Context, state string) ([]Batch, error)
	// ChangeBatch gives a batch another state if it is in one of some; it reports whether it
	// was. Running twice reports false.
	ChangeBatch(ctx context.Context, id BatchID, from []string, to, reason string, now time.Time) (bool, error)
}

// AlertStore keeps which alerts are open, so that a restart repeats none. All of its methods
// may run twice.
type AlertStore interface {
	// SaveAlert keeps that an alert is open, DropAlert that it is over; OpenAlerts lists
	// those that are.
	SaveAlert(ctx context.Context, a OpenAlert) error
	DropAlert(ctx context.Context, kind, subject string) error
	OpenAlerts(ctx context.Context) ([]OpenAlert, error)
	// Backlog returns the age of the oldest of what waits for its turn.
	Backlog(ctx context.Context, now time.Time) (Backlog, error)
}
