package engine

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// Sink takes what inlets bring. Its one implementation is *Engine.
type Sink interface {
	// Accept stores a delivery durably and returns after its commit. Many may
	// call at once and share one fsync. ErrBusy and ErrFull mean that nothing was
	// stored and the sender should try again.
	Accept(ctx context.Context, d *Delivery) (Receipt, error)
	// AcceptAll stores the events of one request, all or none.
	AcceptAll(ctx context.Context, ds []*Delivery) ([]Receipt, error)
	// Await waits for the end of an event's run.
	Await(ctx context.Context, id EventID) (*Ended, error)
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
	Key     string
	Run     RunID
	Path    string
	Attempt int
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
	// Files keeps the files of runs; nil keeps none. MaxFile is how many bytes one may
	// have.
	Files   *files.Store
	MaxFile int64
	// Inside is what actions may do in the engine; nil where there is none.
	Inside Inside
}

// The store's refusals, which callers tell apart.
var (
	// ErrFull means that the disk is full; nothing was written.
	ErrFull = errors.New("the disk is full")
	// ErrBusy means that too much is waiting to be written.
	ErrBusy = errors.New("too much is waiting to be stored")
	// ErrDisk means that the database itself cannot be read or written: the process must
	// end. An error of the store that is none of these is about single rows.
	ErrDisk = errors.New("the database cannot be used")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrNotFound means that no row has the id.
	ErrNotFound = errors.New("not found")
	// ErrQuery means that a list was asked for in a way that has no answer.
	ErrQuery = errors.New("the query cannot be answered")
	// ErrStale means that a run is no longer in the state that a change leaves.
	ErrStale = errors.New("the run has changed meanwhile")
)

// Store keeps events, runs and attempts. Each method is one transaction of the
// story and returns after it is on disk.
type Store interface {
	GatherStore
	// Instance is a random name of this installation, made with the database.
	Instance() string
	// LastID is the largest id of an event or run when the store was opened.
	LastID() int64
	// Accept stores a delivery as a new event under the given id, or finds the
	// event that its key already has. Duplicates are counted as sightings.
	Accept(ctx context.Context, id EventID, d *Delivery) (Receipt, error)
	// AcceptDecided does so with what every workflow decided about the event, and the
	// runs that begin, all in one transaction: the event is never in the inbox. Of a
	// duplicate only the sighting is kept.
	AcceptDecided(ctx context.Context, id EventID, d *Delivery, m Match) (Receipt, MatchResult, error)
	// AcceptAll does so with several, all or none.
	AcceptAll(ctx context.Context, ids []EventID, ds []*Delivery) ([]Receipt, error)
	// Poll stores what a poll found and how far it has come, in one transaction. The
	// receipt of an item that made no event is empty.
	Poll(ctx context.Context, ids []EventID, b *PollBatch) ([]Receipt, error)
	// InletState gives how far a poll or a schedule has come.
	InletState(ctx context.Context, trigger, inlet string) (InletState, error)
	// Differ keeps how a later delivery of an event, by another inlet, differs from it;
	// nil says that its data is the same.
	Differ(ctx context.Context, id EventID, inlet string, diff map[string]any) error
	// LastDelivery is when a trigger's webhook brought its newest event; zero for never.
	LastDelivery(ctx context.Context, trigger string) (time.Time, error)
	// Rhythm is how long a trigger's webhook may be quiet, going by its history; zero
	// when there is too little of it.
	Rhythm(ctx context.Context, trigger string) (time.Duration, error)
	// Known tells which keys a poll would not take for new.
	Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error)
	// Conflict loads a conflicting delivery by its id, ConflictAdmitted notes the event
	// that it became.
	Conflict(ctx context.Context, id string) (*Conflict, error)
	ConflictAdmitted(ctx context.Context, id string, event EventID) error
	// Refuse keeps a refused delivery, bounded in number and size.
	Refuse(ctx context.Context, r Refusal) error
	// SaveVersion keeps a workflow's text under its version.
	SaveVersion(ctx context.Context, w *workflows.Workflow) error
	// SaveFile keeps another file's text under its version; Version gives it too.
	SaveFile(ctx context.Context, name, version string, text []byte) error
	// SaveUses keeps what runs of a version use of other files, from a run on; AllUses
	// lists all that is kept, the oldest of each version first.
	SaveUses(ctx context.Context, u VersionUses) error
	AllUses(ctx context.Context) ([]VersionUses, error)
	// OpenVersions lists the versions of runs that have not ended.
	OpenVersions(ctx context.Context) ([]Run, error)
	// Version gives the text of a workflow's version.
	Version(ctx context.Context, version string) (string, error)
	// Match records, in order, what every workflow decided about events, with the
	// runs that begin. The events leave the inbox. Doing it twice changes nothing.
	Match(ctx context.Context, ms []Match) ([]MatchResult, error)
	// Large gives the open runs whose outputs take more than so many bytes as they are
	// stored, with how many that is.
	Large(ctx context.Context, more int64) (map[RunID]int64, error)
	// SizeOf gives how many bytes what may have come for a waiting step takes as it is
	// stored: an event, or the result of a called run; 0 while there is none.
	SizeOf(ctx context.Context, w EventWait) (int64, error)
	// CommitRun records a step of a run's way: attempts that ended, attempts that
	// begin, and the run's own state. A run that begins to wait for what has come
	// meanwhile is due at once: its DueAt says so when CommitRun returns. When the end
	// of the run lets another begin, next is the moment.
	CommitRun(ctx context.Context, s RunUpdate) (next time.Time, err error)
	// Replaced lists the runs that newer ones are to take the place of, and that have
	// not ended.
	Replaced(ctx context.Context) ([]RunID, error)
	// Peek loads a run with all it needs and changes nothing.
	Peek(ctx context.Context, id RunID) (*Taken, error)
	// Answer keeps a person's answer and makes a waiting run due. It returns
	// ErrStale when the question has its answer already, or the run has ended.
	Answer(ctx context.Context, a Answer) error
	// Arrived finds the event that a run waits for, nil when there is none: one that
	// counts, that the run was not begun by, and that has not ended an earlier wait of it.
	Arrived(ctx context.Context, w EventWait, run *Run) (*Event, error)
	// Called tells how the workflow stands that an event called.
	Called(ctx context.Context, id EventID) (CallState, error)
	// Awaited lists the triggers whose events a run waits for.
	Awaited(ctx context.Context) ([]string, error)
	// Take marks a due run as running and loads it with all it needs.
	Take(ctx context.Context, id RunID) (*Taken, error)
	// Inbox lists acknowledged events that are not matched yet, oldest first: of the
	// first limit of them those that are not known. It stops early when their bodies
	// are large; whole tells that nothing else is in the inbox.
	Inbox(ctx context.Context, limit int, known func(EventID) bool) (events []*Event, whole bool, err error)
	// Due lists queued and waiting runs whose time has come, oldest first, and
	// when the next one after them is due. Suspects are not among them.
	Due(ctx context.Context, now time.Time, limit int) (ids []RunID, next time.Time, err error)
	// Suspects lists the queued runs that SuspectCrashes starts have found at work, and
	// apart from them those that more have.
	Suspects(ctx context.Context) (few, alone []RunID, err error)
	// Recover is called once at the start: runs that were at work are queued
	// again, attempts without an end become unknown. It returns how many.
	Recover(ctx context.Context, now time.Time) (int, error)
	// ClockSetBack moves the ends of sleeps and waits, the moments at which runs are due, and
	// what rates count, to the time of a clock that was set back.
	ClockSetBack(ctx context.Context, by time.Duration) error
	// Prune removes old history in small transactions, until there is none.
	Prune(ctx context.Context, o PruneOrder) (Pruned, error)
	// Pause keeps that an endpoint gets nothing; Unpause ends it; Paused lists them.
	Pause(ctx context.Context, p Pause) error
	Unpause(ctx context.Context, key string) error
	Paused(ctx context.Context) ([]Pause, error)
	// ResumeRuns lets the waiting runs go on at now whose last attempt was asked to wait
	// (Retry-After) by one of some destinations. It gives how many they were.
	ResumeRuns(ctx context.Context, destinations []string, now time.Time) (int, error)
	// SaveAlert keeps that an alert is open, DropAlert that it is over; OpenAlerts lists
	// those that are.
	SaveAlert(ctx context.Context, a OpenAlert) error
	DropAlert(ctx context.Context, kind, subject string) error
	OpenAlerts(ctx context.Context) ([]OpenAlert, error)
	// Backlog tells how old the oldest of what waits for its turn is.
	Backlog(ctx context.Context, now time.Time) (Backlog, error)
	// Audit keeps what a person did, bounded in number.
	Audit(ctx context.Context, a AuditEntry) error
	// SetSwitch keeps how a workflow is switched off, or, with on, that it is not.
	SetSwitch(ctx context.Context, x Switch, on bool) error
	// Switches lists the workflows that are switched off.
	Switches(ctx context.Context) ([]Switch, error)
	// Missed counts what a workflow missed while it was off, and what is held for it.
	Missed(ctx context.Context, workflow string) (Switched, error)
	// HeldEvents lists the oldest events that are held for a workflow.
	HeldEvents(ctx context.Context, workflow string, limit int) ([]EventID, error)
	// Park puts a queued run that has not begun aside; Unpark makes those of workflows
	// due again, and gives how many; Parked lists the workflows that have some.
	Park(ctx context.Context, id RunID) error
	Unpark(ctx context.Context, workflows []string, now time.Time) (int, error)
	Parked(ctx context.Context) ([]string, error)
	// Redecide stores new decisions, keeps the earlier ones, and the progress of a batch,
	// all or none. It returns ErrStale when the batch is not running, ErrPending for an
	// event without a first decision.
	Redecide(ctx context.Context, rs []Redecision, step *BatchStep) ([]Redecided, error)
	// Decided gives what is on record of an event's decisions; Undone does so for events
	// of triggers, after one and before another, the oldest first; CountEvents counts
	// those.
	Decided(ctx context.Context, id EventID) (DecidedState, error)
	Undone(ctx context.Context, triggers []string, after, end EventID, limit int) ([]DecidedState, error)
	CountEvents(ctx context.Context, triggers []string, after, end EventID) (int, error)
	// AddBatch stores a batch; Batch gives one, Batches those of a state, empty for all,
	// the newest first.
	AddBatch(ctx context.Context, b *Batch) error
	Batch(ctx context.Context, id BatchID) (*Batch, error)
	Batches(ctx context.Context, state string) ([]Batch, error)
	// ChangeBatch gives a batch another state, if it is in one of some; it tells whether
	// it was.
	ChangeBatch(ctx context.Context, id BatchID, from []string, to, reason string, now time.Time) (bool, error)
	// BeginOrder claims a key, bounded in number and time, or finds the order that has it;
	// EndOrder keeps its answer, or with status 0 gives the key back.
	BeginOrder(ctx context.Context, key string, digest []byte, now time.Time) (Order, error)
	EndOrder(ctx context.Context, key string, o Order) error
	// Replay makes a new run of an old one's event. It returns when the run may
	// begin, zero when others have to end first, and how many calls of the old run are in
	// doubt; *DroppedError when it may not, and
	// *ReplayedError when there is one already.
	Replay(ctx context.Context, r Replay) (due time.Time, doubts int, err error)
	// Cancel ends a run that is not at work, as its new state says, and stores the
	// events of those that listen. It returns ErrStale for others; cut are the steps that
	// waited, as they ended, next is as with CommitRun. ends tells that the run waits for called ones, which are to be ended now.
	Cancel(ctx context.Context, r *Run, events []*Event) (cut []*plan.Record, next time.Time, ends bool, err error)
	// EndCalls lists the orders to end called runs; EndedCall drops one that is carried out.
	EndCalls(ctx context.Context) ([]EndCall, error)
	EndedCall(ctx context.Context, id EventID) error
	// Value gives a kept value, ErrNotFound for none; ChangeValue writes one, once for each
	// Op.
	Value(ctx context.Context, ref ValueRef, now time.Time) (ValueItem, error)
	ChangeValue(ctx context.Context, c ValueChange) (ValueNext, error)
	// Emit stores the event of a step as Accept does, once for each Op; again tells that it
	// was stored by an earlier attempt.
	Emit(ctx context.Context, id EventID, d *Delivery, o Emission) (r Receipt, again bool, err error)
	// End puts on record why a run that is not at work is to be cancelled, and makes it
	// due for its finally steps. It returns ErrStale for others.
	End(ctx context.Context, id RunID, why *plan.Error, now time.Time) error
	// Event loads one event.
	Event(ctx context.Context, id EventID) (*Event, error)
	// Run loads one run without its steps.
	Run(ctx context.Context, id RunID) (*Run, error)
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
	Mask *Masker
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
	Mask *Masker
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

// Taken is a run ready to go on.
type Taken struct {
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

// names tells that two waits are for the same event.
func (w EventWait) names(x EventWait) bool { return w.Trigger == x.Trigger && w.Key == x.Key }

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
