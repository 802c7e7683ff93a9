package engine

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// Sink receives what inlets deliver. Its one implementation is machine.Engine.
type Sink interface {
	// Accept stores a delivery durably and returns after its commit. Concurrent calls share one
	// fsync. ErrBusy and ErrFull mean that nothing was stored and the sender should retry.
	Accept(ctx context.Context, d *Delivery) (Receipt, error)
	// AcceptAll stores the events of one request, all or none.
	AcceptAll(ctx context.Context, ds []*Delivery) ([]Receipt, error)
	// Await waits for the end of an event's run.
	Await(ctx context.Context, id EventID) (*AwaitResult, error)
	// Refuse stores a refused delivery for diagnosis, as a best effort.
	Refuse(r Refusal)
}

// Action executes steps.
//
// Do makes one attempt and is called by many goroutines at once. It must return soon after ctx
// ends. A plain error is retryable; a *plan.Error carries details. An error that wraps
// ErrUnanswered means that the attempt may have taken effect.
type Action interface {
	Do(ctx context.Context, in Input) (any, error)
}

// ConnectionTest is an action that can test its connection without effect. The input has only what
// a connection needs, and the connection's name in With["connection"]; detail says what was tried.
type ConnectionTest interface {
	Test(ctx context.Context, in Input) (detail string, err error)
}

// ConnectionFields returns the values of the connection that a step names, which belongs to the
// connector k.
func (in *Input) ConnectionFields(name string, k *workflows.Connector) (map[string]any, error) {
	c := in.Connections[name]
	if c == nil {
		return nil, plan.Permanent("no_connection", "no connection is named %q in hookloom.yaml", name)
	}
	f, err := c.FieldValues(k, in.Secret, in.Now)
	if err != nil {
		return nil, plan.Permanent("invalid_connection", "%v", err)
	}
	return f, nil
}

// ErrUnanswered marks an attempt that was sent and got no response.
var ErrUnanswered = errors.New("sent, but no answer came")

// Input is the input of one attempt.
type Input struct {
	Spec *workflows.ActionSpec
	With map[string]any
	// Key is the idempotency key, equal for all attempts of the step.
	Key string
	Run RunID
	// Workflow is the run's workflow.
	Workflow string
	Path     string
	Attempt  int
	// Now is the time at which the step first became due, in the project's timezone: the value of
	// now() in the expressions of connectors and connections.
	Now time.Time
	// Connections are the project's; the action uses its own.
	Connections map[string]*workflows.Connection
	Secret      func(name string) (string, bool)
	// Redact masks secrets in what an action shows: the project's and the run's.
	Redact func(string) string
	// Link reports that url consists of one expression: a link from a response.
	Link bool
	// Preview is set for a request that is made to be shown: Secret then gives texts that contain
	// it, and a credential that does not contain it is written as ***.
	Preview string
	// Dir is the project's folder, Folder the subfolder for file/ actions, empty for none.
	Dir, Folder string
	// Files stores the files of runs; nil stores none. MaxFile is the largest size of a file in
	// bytes.
	Files   *files.Store
	MaxFile int64
	// Inside is what actions may do in the engine; nil if nothing.
	Inside Inside
}

// Match is the result of matching one event.
type Match struct {
	Event     EventID
	Decisions []Decision
	// Starts are the runs that begin, with their records so far.
	Starts []RunUpdate
	// Wakes is set if runs may wait for this event; Called if it calls a workflow: its caller is
	// due if no run begins, or if the run has ended already.
	Wakes  *EventWait
	Called bool
	// Cancels are the keys of the runs that the event ends.
	Cancels []CancelKey
	At      time.Time
	// Rules is the state of the rules on which the decisions rely, see SharedStore.Rules.
	Rules int64
	// Mask masks what is stored of the event; nil means the store's own redactor.
	Mask *redact.Masker
}

// MatchResult is the store's result of a Match.
type MatchResult struct {
	// Known reports that the event was matched before; nothing was changed.
	Known bool
	// Woken is how many runs waited for the event; they are due now.
	Woken int
	// Dropped are the runs that may not begin, with the reason; their decisions are
	// stored as dropped.
	Dropped map[RunID]string
	// Due is the earliest time at which one of the runs that waited for a slot may begin; zero for
	// none.
	Due time.Time
	// Replaced are runs to cancel because a new run replaces them.
	Replaced []RunID
	// Folded are the runs that are not made because their event joined another run; Gather is when
	// the first new gathering is due, zero for none.
	Folded map[RunID]Fold
	Gather time.Time
	// Cancelled are runs to cancel because the event ends them.
	Cancelled []CancelledBy
}

// RunUpdate is one change of a run, in one transaction.
type RunUpdate struct {
	// Run is the new state. New reports that the run's row must be inserted.
	Run *Run
	New bool
	// Slot is the concurrency slot or rate token that a new run needs; nil for none. FreesSlot
	// reports that the end of the run frees its slot.
	Slot      *SlotRequest
	FreesSlot bool
	// Gather is set for a new run that gathers events.
	Gather *Gathering
	// Cancels are the keys by which events end a new run; Cancelable reports that it may have any.
	Cancels    []CancelKey
	Cancelable bool
	// Records are attempts to insert, or to replace if they were open.
	Records []*plan.Record
	// Answers is how many answers the run has read, -1 if it can have none; Awaits are the events
	// that it waits for.
	Answers int
	Awaits  []EventWait
	// Came are the events that ended waits of steps.
	Came []CameEvent
	// Emits are events to store with the update: they begin called runs, or runs of workflows that
	// listen to this one's end. Called reports that the run was itself called: its end makes the
	// caller due.
	Emits  []*Event
	Called bool
	// CloseSteps ends the open steps of an ended run.
	CloseSteps bool
	// Ends are called runs to end because their caller no longer waits for them.
	Ends []EndCall
	// Wrote reports that the run has written stored values. Once it succeeds, nothing of it is
	// repeated, so the records of its writes are removed.
	Wrote bool
	// Mask masks what is stored of the run; nil means the store's own redactor.
	Mask *redact.Masker
}

// VersionUses are the files that runs of a workflow's version use, from a given run on.
type VersionUses struct {
	Version string
	From    RunID
	Uses    workflows.Uses
}

// EndCall is an order to end the run of an event that called a workflow. It is kept until that run
// has ended.
type EndCall struct {
	Event EventID
	Why   string
}

// LoadedRun is a stored run that is ready to continue.
type LoadedRun struct {
	Run     *Run
	Event   *Event
	Records []*plan.Record
	// Answers are people's answers, by path, the newest of each; Answered is their number,
	// including older ones.
	Answers  map[string]*plan.Answer
	Answered int
	// Unreadable is why some of the run's rows cannot be read; nil if all can. The other fields
	// hold what could be read.
	Unreadable error
	// For a replay from the failed step, FirstStarted is when the first run of its chain began, and
	// Kept are the calls in doubt, by path.
	FirstStarted time.Time
	FirstReplays bool
	Kept         map[string]KeptKey
}

// KeptKey is a call in doubt: it keeps the idempotency key that it had in Run, where its first
// attempt began at Began.
type KeptKey struct {
	Run   RunID
	Began time.Time
	// Replays reports that Run is itself a replay.
	Replays bool
}

// Answer is a person's answer to a step of a run.
type Answer struct {
	Run  RunID
	Path string
	plan.Answer
	By, Comment string
	// Proof is as in Response.
	Proof string
	At    time.Time
}

// EventWait identifies an event that a run waits for. Without a trigger, Key is the id of the event
// that began a called run, whose end the run waits for.
type EventWait struct {
	Trigger, Key string
	// From is the earliest time of receipt of an event that counts.
	From time.Time
}

// Same reports whether two waits are for the same event.
func (w EventWait) Same(x EventWait) bool { return w.Trigger == x.Trigger && w.Key == x.Key }

// CameEvent is an event that a step waited for.
type CameEvent struct {
	Path  string
	Event EventID
}

// CallState is the state of a called workflow.
type CallState struct {
	// Run is nil if there is none, or none yet.
	Run *Run
	// Decided reports that the workflow has decided; Outcome and Reason are its decision.
	Decided bool
	Outcome Outcome
	Reason  string
	// InDoubt reports that the run failed and that a call of its steps may have taken effect.
	InDoubt bool
}

// Replay is an order to run an event's workflow again.
type Replay struct {
	New  RunID
	Of   RunID
	From string // start or failed
	// Version is the workflow version to use.
	Version string
	At      time.Time
	By, Why string
	// Again makes a run even if the old one was already replayed.
	Again bool
	// NotBefore is the earliest time at which it may begin.
	NotBefore time.Time
	// Slot and Cancels are as in RunUpdate.
	Slot    *SlotRequest
	Cancels []CancelKey
}
