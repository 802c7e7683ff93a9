package plan

import (
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Decision is what may happen next.
type Decision struct {
	// Finished are records of steps that needed no action: skipped, set, switch,
	// groups, stop, fail, and steps whose expressions failed. Store them first.
	Finished []*Record
	// Due are attempts to make, each not before its time.
	Due []Due
	// Wake is when the plan must be asked again though nothing happens: a sleep is
	// over, or a wait or a group has run out of time. Zero for never.
	Wake time.Time
	// Calls are workflows to start; with their records made, ask again.
	Calls []Call
	// Questions are what the run waits for from outside.
	Questions []Question
	// End is set when the run is over.
	End *End
	// open counts what is at work or waits, but not what pauses before its next try.
	open int
}

// Due is one attempt to make.
type Due struct {
	Path    string
	Attempt int
	Step    *workflows.Step
	// With is the rendered input; Shown the same as it may be kept on record: of what
	// is left in the clear, values of secrets are still masked.
	With, Shown map[string]any
	// Derived are parts of secrets that its expressions cut out, and secret inputs of
	// its action: they are masked from now on.
	Derived []string
	// Notes are warnings about what the attempt sends.
	Notes []string
	// NotBefore is zero for at once; HeldSince is when an attempt was due first that
	// waits for its destination, and zero for others.
	NotBefore, HeldSince time.Time
	// Deadline is when a group around the step runs out of time, or the deadline of a step
	// or of the run passes, zero for never; Group is its path and GroupTimeout what it may
	// take.
	Deadline     time.Time
	Group        string
	GroupTimeout time.Duration
	byDeadline   bool
	// Env evaluates the step's output.
	names expr.Names
	now   time.Time
}

// Began is when the step was due first, the moment of now() in its expressions.
func (d Due) Began() time.Time { return d.now }

// End is how a run ended.
type End struct {
	// Status is succeeded, failed or timed_out.
	Status string
	Output any
	Error  *Error
	// Text is what stop said.
	Text string
}
