package engine

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/engine/plan"
)

// SharedStore tells the nodes of a shared database what each of them keeps in memory. With SQLite, whose
// file has one node, its methods do nothing. Its users are registry, runner and machine.
type SharedStore interface {
	// Shared reports whether several nodes may use the database.
	Shared() bool
	// ShareRules stores that runs of a workflow's version wait for events, or are ended by them. It is
	// called before a run of the version can begin. It may run twice.
	ShareRules(ctx context.Context, version, workflow string) error
	// Rules returns the versions of ShareRules, and the number of the state of what decisions rely on:
	// it grows with each of them, and with each SetSwitch. A decision that relies on an earlier state is
	// rejected with ErrRules.
	Rules(ctx context.Context) (seq int64, versions []Run, err error)
	// OrderNodes stores an order to other nodes, and publishes SignalOrders. NodeOrders lists those to
	// this node; DoneOrder drops one. The last two may run twice.
	OrderNodes(ctx context.Context, o NodeOrder) error
	NodeOrders(ctx context.Context) ([]NodeOrder, error)
	DoneOrder(ctx context.Context, id int64) error
	// TakePermits gives this node a part of the limits that hold for all nodes together, in the order of
	// the asks. What it gives counts as used from then on, also if the answer is lost. With SQLite it
	// returns an error: limits are those of the only node.
	TakePermits(ctx context.Context, asks []permit.Ask) ([]permit.Grant, error)
	// ShareKey stores the digest of the key with which this node encrypts. It returns a *KeyError, and
	// stores nothing, if a living node has another one. It may run twice.
	ShareKey(ctx context.Context, digest string) error
}

// KeyError reports that a living node encrypts with another key.
type KeyError struct{ Node string }

// Error implements error.
func (e *KeyError) Error() string {
	return fmt.Sprintf("this node has another key than node %q, so neither can read what the other one encrypts: copy .hookloom-key of that "+
		"node over the one of this project folder, or start all nodes with the same HOOKLOOM_KEY", e.Node)
}

// NodeOrder is an order to other nodes.
type NodeOrder struct {
	ID   int64
	Kind string
	// Subject is the id of a run, or the name of a destination, a connection or a lease.
	Subject string
	// Why is the reason for the end of a run; nil if a person ordered it.
	Why *plan.Error
}

// The kinds of orders to nodes.
const (
	// OrderCancel ends a run, at the node that executes it.
	OrderCancel = "cancel"
	// OrderLift ends the pause of a destination, OrderReady the hold of a connection.
	OrderLift  = "lift"
	OrderReady = "ready"
	// OrderDelay makes attempts to a destination wait: the subject is the time and its name.
	OrderDelay = "delay"
	// OrderYield ends a lease when its node is not at work: the subject is the name of the lease.
	OrderYield = "yield"
)
