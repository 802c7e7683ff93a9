package engine

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// Sink takes what inlets bring. Its one implementation is machine.Engine.
type Sink interface {
	// Accept stores a delivery durably and returns after its commit. Many may
	// call at once and share one fsync. ErrBusy and ErrFull mean that nothing was
	// stored and the sender should try again.
	Accept(ctx context.Context, d *Delivery) (Receipt, error)
	// AcceptAll stores the events of one request, all or none.
	AcceptAll(ctx context.Context, ds []*Delivery) ([]Receipt, error)
	// Await waits for the end of an event's run.
	Await(ctx context.Context, id EventID) (*AwaitResult, error)
	// Refuse keeps a refused delivery for diagnosis. It is best effort.
	Refuse(r Refusal)
}

// Action carries out steps.
//
// Do makes one attempt and is called from many goroutines at once. It must end
// soon after ctx does. A plain error may be tried again; *plan.Error says more.
// An error that wraps ErrUnanswered means that the effect may have happened.
type Action interface {
	Do(ctx context.Context, in Input) (any, error)
}

// ErrUnanswered marks an attempt that was sent and got no answer.
var ErrUnanswered = errors.New("sent, but no answer came")

// Input is one attempt's order.
type Input struct {
	Spec *workflows.ActionSpec
	With map[string]any
	// Key is the idempotency key, equal for all attempts of the step.
	Key string
	Run RunID
	// Workflow is the run's.
	Workflow string
	Path     string
	Attempt  int
	// Now is the moment the step first began, in the project's timezone: what now() is
	// in the expressions of connectors and connections.
	Now time.Time
	// Connections are the project's; the action picks its own.
	Connections map[string]*workflows.Connection
	Secret      func(name string) (string, bool)
	// Redact masks what an action shows: the project's secrets and those of the run.
	Redact func(string) string
	Client *http.Client
	// Link tells that all of url is one expression: a link that an answer gave.
	Link bool
	// Dir is the project's folder, Folder that of file/ actions below it, empty for none.
	Dir, Folder string
	// Files keeps the files of runs; nil keeps none. MaxFile is how many bytes one may
	// have.
	Files   *files.Store
	MaxFile int64
	// Inside is what actions may do in the engine; nil where there is none.
	Inside Inside
}

// Match is the outcome of matching one event.
type Match struct {
	Event     EventID
	Decisions []Decision
	// Starts are the runs that begin, with what is on record of them so far.
	Starts []RunUpdate
	// Wakes is set when runs may wait for this event; Called when it calls a
	// workflow: its caller is due when no run begins, or has ended already.
	Wakes  *EventWait
	Called bool
	// Cancels are the keys of the runs that the event ends.
	Cancels []CancelKey
	At      time.Time
	// Mask masks what is stored of it; nil is the store's own redactor.
	Mask *redact.Masker
}

// MatchResult is what the store made of a Match.
type MatchResult struct {
	// Known tells that the event was matched before; nothing was changed.
	Known bool
	// Woken is how many runs waited for the event; they are due now.
	Woken int
	// Dropped are the runs that may not begin, with the reason; their decisions are
	// stored as dropped.
	Dropped map[RunID]string
	// Due is the earliest moment at which one of the runs may begin that have a
	// slot to take; zero for none.
	Due time.Time
	// Replaced are runs that a new one takes the place of: they are to be cancelled.
	Replaced []RunID
	// Folded are the runs that are not made, because their event joined another; Gather
	// is when the first new gathering is due, zero for none.
	Folded map[RunID]Fold
	Gather time.Time
	// Cancelled are the runs that the event ends: they are to be cancelled.
	Cancelled []CancelledBy
}

// RunUpdate is one change of a run, in one transaction.
type RunUpdate struct {
	// Run carries the new state. New tells that its row must be made.
	Run *Run
	New bool
	// Slot is what a new run has to ask for before it begins; nil for nothing.
	// FreesSlot tells that the end of the run frees its slot.
	Slot      *SlotRequest
	FreesSlot bool
	// Gather is set for a new run that gathers events.
	Gather *Gathering
	// Cancels are the keys by which events end a new run; Cancelable tells that it may
	// have some.
	Cancels    []CancelKey
	Cancelable bool
	// Records are attempts to insert, or to replace when they were open.
	Records []*plan.Record
	// Answers is how many answers the run has seen, -1 when it can have none; Awaits
	// are the events that it waits for.
	Answers int
	Awaits  []EventWait
	// Came are the events that released steps which waited for them.
	Came []CameEvent
	// Emits are events that begin called runs, or those of workflows that listen to
	// this one's end, to store with the rest. Called tells
	// that the run was itself called: its end makes the caller due.
	Emits  []*Event
	Called bool
	// CloseSteps ends the steps of an ended run that are open on record.
	CloseSteps bool
	// Ends are called runs that are to be ended, since nobody waits for them any more.
	Ends []EndCall
	// Wrote tells that the run has written kept values: when it succeeds nothing of it is
	// repeated, and the notes of its writes go.
	Wrote bool
	// Mask masks what is stored of it; nil is the store's own redactor.
	Mask *redact.Masker
}

// VersionUses are what runs of a workflow's version use, from a run on.
type VersionUses struct {
	Version string
	From    RunID
	Uses    workflows.Uses
}

// EndCall is an order to end the run of an event that called a workflow. It stands in
// the store until the run has ended.
type EndCall struct {
	Event EventID
	Why   string
}

// LoadedRun is a run ready to go on.
type LoadedRun struct {
	Run     *Run
	Event   *Event
	Records []*plan.Record
	// Answers are those that people gave, by path, the newest of each; Answered is
	// how many there are with the older ones.
	Answers  map[string]*plan.Answer
	Answered int
	// Unreadable says which of the run's rows cannot be read; nil when all can. The rest
	// is what could be read.
	Unreadable error
	// Of a replay from the failed step, FirstStarted is when the first run of its chain
	// began, and Kept are the calls in doubt, by path.
	FirstStarted time.Time
	FirstReplays bool
	Kept         map[string]KeptKey
}

// KeptKey is a call in doubt: it has the idempotency key that it had in Run, where its
// first attempt began at Began.
type KeptKey struct {
	Run   RunID
	Began time.Time
	// Replays tells that Run is itself a replay.
	Replays bool
}

// Answer is what a person said about a step of a run.
type Answer struct {
	Run  RunID
	Path string
	plan.Answer
	By, Comment string
	// Proof is as in Response.
	Proof string
	At    time.Time
}

// EventWait names an event that a run waits for. Without a trigger, Key is the
// id of the event that began a called run, whose end is waited for.
type EventWait struct {
	Trigger, Key string
	// From is when an event was received at the earliest that counts.
	From time.Time
}

// Same tells that two waits are for the same event.
func (w EventWait) Same(x EventWait) bool { return w.Trigger == x.Trigger && w.Key == x.Key }

// CameEvent is an event that a step waited for.
type CameEvent struct {
	Path  string
	Event EventID
}

// CallState is how a called workflow stands.
type CallState struct {
	// Run is nil while, or when, there is none.
	Run *Run
	// Decided tells that the workflow has decided; Outcome and Reason say what.
	Decided bool
	Outcome Outcome
	Reason  string
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
	// Again makes a run also where the old one was replayed already.
	Again bool
	// NotBefore is when it may begin.
	NotBefore time.Time
	// Slot and Cancels are as in RunUpdate.
	Slot    *SlotRequest
	Cancels []CancelKey
}
