package engine

import "github.com/hookloom/hookloom/workflows/expr"

// AwaitResult is what became of an event whose sender waits for it.
type AwaitResult struct {
	// Run is the event's first run; nil when it began none.
	Run *Run
	// Names are what a synchronous answer may read: event, output, run.
	Names expr.Names
}
