package engine

import "context"

// Signal is a set of kinds of changes that were committed.
type Signal uint16

// The kinds of changes.
const (
	// SignalEvents: events were accepted or decided.
	SignalEvents Signal = 1 << iota
	// SignalRuns: the status of runs changed.
	SignalRuns
	// SignalDue: runs may be due earlier than before.
	SignalDue
	// SignalAnswers: a step was answered.
	SignalAnswers
	// SignalSwitches: a workflow was switched on or off, or an endpoint paused or resumed.
	SignalSwitches
	// SignalTokens: the token of a connection changed.
	SignalTokens
	// SignalOrders: a run is to be ended by the node that executes it, or a batch was ordered or changed.
	SignalOrders
	// SignalNodes: a node came, went, or is to drain.
	SignalNodes
	// SignalDueElsewhere: another node has made runs due.
	SignalDueElsewhere
	// SignalInbox: another node has put events into a node's inbox.
	SignalInbox
	// SignalSecrets: a secret from a handshake was stored.
	SignalSecrets
)

// Signals notifies readers that something was committed, so that they need not wait for their next
// poll. Its users are those who follow a store: live readers of the console; on several nodes also
// the dispatchers of the others. The store publishes after its commits.
//
// A signal is a hint. Several may be merged into one, and one may be lost: a reader continues
// reading from its position, and also does so periodically without a signal. A signal carries no
// data. Both methods are safe for concurrent use.
type Signals interface {
	// Publish sends a signal to all subscribers of one of its kinds. It never blocks. It may run
	// twice.
	Publish(s Signal)
	// Subscribe returns a channel of signals of the given kinds, until the context ends; it is not
	// closed. A slow reader gets one signal for all that it missed. Each call is a separate
	// subscription.
	Subscribe(ctx context.Context, kinds Signal) <-chan Signal
}
