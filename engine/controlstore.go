package engine

import (
	"context"
	"time"
)

// ControlStore stores what operators and maintenance request. Its users are control (replay.go,
// again.go, batch.go, switch.go, hold.go, order.go, prune.go, alert.go) and the console.
type ControlStore interface {
	RunEnder
	// Replay makes a new queued run of an ended run's event, with its gathered events and, from the
	// failed step, copies of the attempts that succeeded. due is when it may begin, zero if other
	// runs must end first; doubts is how many calls of the old run are in doubt. It returns
	// *DroppedError if its group does not admit it, *ReplayedError if there is a replay already and
	// Again is not set, ErrStale if the old run is open. Running twice returns *ReplayedError with
	// the run of the first call.
	Replay(ctx context.Context, r Replay) (due time.Time, doubts int, err error)
	// Answer stores a person's answer and makes the waiting run due, in one transaction. It returns
	// ErrStale if the question already has its answer or the run has ended; so running twice
	// returns ErrStale.
	Answer(ctx context.Context, a Answer) error
	// BeginOrder claims an idempotency key, bounded in number and time, or finds the order that has
	// it. EndOrder stores the order's response, or with status 0 releases the key. The console
	// calls them around each order. A second BeginOrder finds the first.
	BeginOrder(ctx context.Context, key string, digest []byte, now time.Time) (Order, error)
	EndOrder(ctx context.Context, key string, o Order) error
	// Audit stores an action of a person, bounded in number. Running twice stores it twice.
	Audit(ctx context.Context, a AuditEntry) error
	// Conflict loads a conflicting delivery by its id, ErrNotFound for none; ConflictAdmitted
	// records the event that it became, and may run twice.
	Conflict(ctx context.Context, id string) (*Conflict, error)
	ConflictAdmitted(ctx context.Context, id string, event EventID) error
	// EndSession stores that a console login ended before its expiry; EndedSessions lists these
	// logins with their expiry. It may run twice.
	EndSession(ctx context.Context, id string, until time.Time) error
	EndedSessions(ctx context.Context) (map[string]time.Time, error)
	// Prune removes old history in small transactions until none is left or its context ends. It
	// returns what was removed so far, also with an error. It may run twice.
	Prune(ctx context.Context, o PruneOrder) (Pruned, error)
	DecisionStore
	SwitchStore
	BatchStore
	AlertStore
}

// DecisionStore makes new decisions about stored events.
type DecisionStore interface {
	// Redecide stores new decisions, keeps the earlier ones, and stores the progress of a batch,
	// all or none. It returns ErrStale if the batch is not running, ErrPending for an event without
	// a first decision, and an UnstorableError if the database refuses the rows of one workflow.
	// Running twice returns Known where Once forbids another run.
	Redecide(ctx context.Context, rs []Redecision, step *BatchStep) ([]Redecided, error)
	// DoneSteps returns the attempts of the ended runs of an event and a workflow that succeeded, the
	// newest of each step; those of on_failure and finally are not among them.
	DoneSteps(ctx context.Context, event EventID, workflow string) ([]DoneStep, error)
	// Decided returns what is stored about an event's decisions, ErrNotFound if there is no event.
	// Undone does the same for events of triggers, after one and before another, oldest first;
	// CountEvents counts them.
	Decided(ctx context.Context, id EventID) (DecidedState, error)
	Undone(ctx context.Context, triggers []string, after, end EventID, limit int) ([]DecidedState, error)
	CountEvents(ctx context.Context, triggers []string, after, end EventID) (int, error)
}

// SwitchStore stores which workflows are off, which endpoints are paused, and the runs held
// meanwhile. All of its methods may run twice.
type SwitchStore interface {
	// SetSwitch stores how a workflow is switched off or, with on, that it is on.
	SetSwitch(ctx context.Context, x Switch, on bool) error
	// Switches lists the workflows that are switched off.
	Switches(ctx context.Context) ([]Switch, error)
	// Missed counts the events that a workflow missed while it was off, and those held for it.
	Missed(ctx context.Context, workflow string) (Switched, error)
	// HeldEvents lists the oldest events held for a workflow.
	HeldEvents(ctx context.Context, workflow string, limit int) ([]EventID, error)
	// Park removes the due time of a queued run that has not begun; Unpark makes such runs of
	// workflows due again, and returns how many; Parked lists the workflows that have any.
	Park(ctx context.Context, id RunID) error
	Unpark(ctx context.Context, workflows []string, now time.Time) (int, error)
	Parked(ctx context.Context) ([]string, error)
	// Pause stores that an endpoint is paused; Unpause ends the pause; Paused lists paused
	// endpoints.
	Pause(ctx context.Context, p Pause) error
	Unpause(ctx context.Context, key string) error
	Paused(ctx context.Context) ([]Pause, error)
}

// BatchStore stores orders to decide or run many events again.
type BatchStore interface {
	// AddBatch stores a batch, and drops the oldest ended ones above a limit. Running twice is an
	// error.
	AddBatch(ctx context.Context, b *Batch) error
	// Batch loads a batch, ErrNotFound for none; Batches lists those in a state, empty for all,
	// newest first.
	Batch(ctx context.Context, id BatchID) (*Batch, error)
	Batches(ctx context.Context, state string) ([]Batch, error)
	// ChangeBatch changes the state of a batch if it is in one of the from states; it reports
	// whether it was. Running twice reports false.
	ChangeBatch(ctx context.Context, id BatchID, from []string, to, reason string, now time.Time) (bool, error)
}

// AlertStore stores which alerts are open, so that a restart does not repeat them. All of its
// methods may run twice.
type AlertStore interface {
	// SaveAlert stores that an alert is open, DropAlert that it is over; OpenAlerts lists the open
	// ones.
	SaveAlert(ctx context.Context, a OpenAlert) error
	DropAlert(ctx context.Context, kind, subject string) error
	OpenAlerts(ctx context.Context) ([]OpenAlert, error)
	// Backlog returns the age of the oldest waiting event and run.
	Backlog(ctx context.Context, now time.Time) (Backlog, error)
}
