package engine

import "github.com/hookloom/hookloom/workflows/expr"

// AwaitResult is the outcome of an event whose sender waits for it.
type AwaitResult struct {
	// Run is the event's first run; nil if it started none.
	Run *Run
	// Names are what a synchronous response may read: event, output, run.
	Names expr.Names
}
