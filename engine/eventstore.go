package engine

import (
	"context"
)

// EventStore stores events from their acceptance to their decisions. Its user is the package
// intake: accept.go, fastpath.go, decide.go, ordered.go, inbox.go, await.go.
type EventStore interface {
	// Accept stores a delivery as a new event with the given id, in the inbox, or finds the event
	// that has its key, its signature or its content already; for that event, the further delivery
	// is recorded. Claiming the key and storing the event are one transaction, so that a failed
	// call claims no key. The intake calls it before the sender is answered. It may run twice: for
	// an id that is already stored, the receipt is Mine and nothing is changed; a duplicate is
	// recorded once more.
	Accept(ctx context.Context, id EventID, d *Delivery) (Receipt, error)
	// AcceptDecided combines Accept and Match for the event in one transaction: the event is never
	// in the inbox. For a known event, only the further delivery is recorded. The fast path calls
	// it before the sender is answered. It may run twice: the second receipt is Mine, and the
	// result Known, because the first call began the runs. An event of this id that waits in the
	// inbox is decided.
	AcceptDecided(ctx context.Context, id EventID, d *Delivery, m Match) (Receipt, MatchResult, error)
	// AcceptAll is Accept for the events of one request, all or none. The receipts are in the order
	// of the deliveries. It may run twice, like Accept.
	AcceptAll(ctx context.Context, ids []EventID, ds []*Delivery) ([]Receipt, error)
	// Emit is Accept for the event of a step, once for each Op; again reports that an earlier
	// attempt stored it. It is called by an attempt. It may run twice: the second call returns the
	// receipt of the first, with again.
	Emit(ctx context.Context, id EventID, d *Delivery, o Emission) (r Receipt, again bool, err error)
	// Refuse stores a refused delivery for diagnosis, up to a number and a size. It is called while
	// the sender waits. Running twice stores it twice.
	Refuse(ctx context.Context, r Refusal) error
	// Admitted records the event that a refused delivery became after a person had it verified
	// again; the server calls it after the event is stored. It may run twice.
	Admitted(ctx context.Context, refusal int64, event EventID) error
	// UseSecrets adds how often each secret has verified a delivery. The server calls it
	// periodically, with the counts since the last call. Running twice counts twice.
	UseSecrets(ctx context.Context, uses []SecretUse) error

	// ClaimInbox claims events that are acknowledged and not decided, and returns them, oldest
	// first: of the first limit events, those that are not in working and that no other owner has.
	// Events that the store's owner has accepted since it was opened belong to it, so that no other
	// owner claims an event while the fast path decides it. working reports the events that the
	// owner is deciding; its other claims are released first, and may be returned again. It stops
	// early when their bodies are large; whole reports that the inbox holds nothing else for this
	// owner. A claim ends when the event is decided. The intake calls it. It may run twice.
	ClaimInbox(ctx context.Context, owner Owner, limit int, working func(EventID) bool) (events []*Event, whole bool, err error)
	// Match records, in order, what every workflow decided about events, with the runs that begin
	// and the waiting runs that the events wake or end, all or none. The events leave the inbox.
	// The intake calls it. It may run twice: an event that has left the inbox is not changed, and
	// its result is Known. It returns an UnstorableError if the database refuses the rows of one workflow.
	Match(ctx context.Context, ms []Match) ([]MatchResult, error)
	// Event loads one event; ErrNotFound if there is none.
	Event(ctx context.Context, id EventID) (*Event, error)
	// Called reports the state of the workflow that an event called: whether it decided, and
	// its run. Callers are a request that waits for its answer, and the calling run.
	Called(ctx context.Context, id EventID) (CallState, error)
	// Awaited lists the triggers whose events a run waits for. The engine calls it when it loads a
	// project, to keep the events of these triggers even if no workflow listens.
	Awaited(ctx context.Context) ([]string, error)
}
