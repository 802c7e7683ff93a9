package plan

import (
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Decision is what may happen next in a run.
type Decision struct {
	// Finished are records of steps that needed no action: skipped, set, switch, groups, stop,
	// fail, and steps whose expressions failed. Store them before anything else.
	Finished []*Record
	// Due are attempts to make, none before its time.
	Due []Due
	// Wake is when the planner must be asked again even if nothing happens: a sleep ends, or a wait
	// or a group times out. Zero for never.
	Wake time.Time
	// Calls are workflows to start; ask again once their records are made.
	Calls []Call
	// Questions are the answers and events that the run waits for.
	Questions []Question
	// End is set once the run has ended.
	End *End
	// open counts steps that are running or waiting, except those that pause before a retry.
	open int
}

// Due is one attempt to make.
type Due struct {
	Path    string
	Attempt int
	Step    *workflows.Step
	// With is the rendered input. Shown is the same input as it may be stored: with the values of
	// secrets masked.
	With, Shown map[string]any
	// Derived are texts that are masked from now on: parts of secrets that its expressions cut out,
	// and secret inputs of its action.
	Derived []string
	// Notes are warnings about what the attempt sends.
	Notes []string
	// NotBefore is zero for at once. HeldSince is when an attempt that waits for its destination
	// first became due, and zero for others.
	NotBefore, HeldSince time.Time
	// Deadline is when a group around the step times out, or the deadline of a step or of the run
	// passes, zero for never; Group is the group's path and GroupTimeout its timeout.
	Deadline     time.Time
	Group        string
	GroupTimeout time.Duration
	byDeadline   bool
	// Env evaluates the step's output.
	names expr.Names
	now   time.Time
}

// Began is when the step first became due: the time that now() returns in its expressions.
func (d Due) Began() time.Time { return d.now }

// End is how a run ended.
type End struct {
	// Status is succeeded, failed or timed_out.
	Status string
	Output any
	Error  *Error
	// Text is the text of the stop step.
	Text string
}
