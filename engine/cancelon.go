package engine

// This file is how events end open runs: cancel_on. A run stores the keys by which it can be ended
// when it begins. An event with one of them marks the run in the transaction of its decisions, and
// the run is cancelled afterwards, even after a crash. Events of the triggers on both sides are
// decided one after another (ordered.go): an event ends the runs of all earlier events and of no
// later one.

// CancelKey is a key by which an event ends runs.
type CancelKey struct {
	Trigger string
	// Rule is an entry of cancel_on of one version of a workflow.
	Rule, Key string
}

// CancelledBy is a run that an event has ended.
type CancelledBy struct {
	Run     RunID
	Event   EventID
	Trigger string
}
