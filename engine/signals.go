package engine

import "context"

// Signal says what kinds of changes were committed; it can be several at once.
type Signal uint8

// The kinds of changes that signals are about.
const (
	// SignalEvents: events were accepted or decided.
	SignalEvents Signal = 1 << iota
	// SignalRuns: runs have another status.
	SignalRuns
	// SignalDue: runs may be due earlier than they were.
	SignalDue
	// SignalAnswers: somebody answered a step.
	SignalAnswers
	// SignalSwitches: a workflow was switched on or off, or an endpoint paused or resumed.
	SignalSwitches
	// SignalTokens: the token of a connection changed.
	SignalTokens
)

// Signals tells readers that something was committed, so that they look at once and not only
// now and then. Its users are those who follow a store: live readers of the console; on
// several nodes also the dispatchers of the others. The store publishes after its commits.
//
// A signal is a hint. Several may come as one, and one may be lost: a reader reads again
// what it follows, from where it was, and does so now and then without a signal. It learns
// nothing from a signal but when to look. Both methods may be called by any number of
// goroutines.
type Signals interface {
	// Publish passes a signal to all that have subscribed to one of its kinds. It never
	// waits for them. It may run twice.
	Publish(s Signal)
	// Subscribe returns a channel of signals with the kinds that were asked for, until the
	// context ends; it is not closed. A reader that is slow gets one signal for all that it
	// missed. Each call is a subscription of its own.
	Subscribe(ctx context.Context, kinds Signal) <-chan Signal
}
