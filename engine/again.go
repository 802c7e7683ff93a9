package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// This file decides stored events again, with the current rule. Each (event, workflow) has one current
// decision; earlier ones are kept with it.

// Onceness is what to do with an (event, workflow) that already has a run.
type Onceness int

const (
	// OnceEver makes no run if there is one.
	OnceEver Onceness = iota
	// OnceAsked makes one run besides the original one, however often it is requested.
	OnceAsked
	// EachTime makes a run each time, unless one is open.
	EachTime
	// OnlyHeld decides only held events.
	OnlyHeld
)

// Redecision is a new decision about a stored event.
type Redecision struct {
	Event    EventID
	Decision Decision
	// Start is the run that begins, nil for none.
	Start *RunUpdate
	Once  Onceness
	At    time.Time
	By    string
	// Source is the event; nil if it cannot be read.
	Source *Event
	// Done are steps that earlier runs carried out: the new run has their results, and does not
	// repeat them.
	Done []DoneStep
}

// DoneStep is an attempt of an earlier run that succeeded.
type DoneStep struct {
	Run     RunID
	Path    string
	Attempt int
	Action  string
}

// DoneIn narrows steps that earlier runs carried out to those with an effect that a workflow would
// have again: the step stands at the same path, and does the same.
func DoneIn(w *workflows.Workflow, done []DoneStep) (out []DoneStep) {
	for _, d := range done {
		step := w.StepAt(d.Path)
		switch {
		case step == nil:
		case step.Call != "" && d.Action == "call", step.Uses == d.Action && step.Spec != nil && step.Spec.SideEffects:
			out = append(out, d)
		}
	}
	return out
}

// Redecided is the store's result of a Redecision.
type Redecided struct {
	// Known reports that nothing was changed: Run is the existing run, 0 if the decision is not of
	// the requested kind.
	Known bool
	// Open reports that the known run has not ended.
	Open bool
	// Run is the new run, or the known one; Repeats the run that the new one repeats.
	Run, Repeats RunID
	Outcome      Outcome
	Reason       string
	// Due is when the new run may begin; zero if there is none, or if the event joined a gathering.
	Due time.Time
	// Folded reports that the event joined the gathering of Run; Gather is when a new gathering is
	// due.
	Folded bool
	Gather time.Time
}

// ErrPending means that an event does not have its first decision yet.
var ErrPending = errors.New("the event is not decided yet; try again in a moment")

// Again is the result of an order to decide an event again for one workflow.
type Again struct {
	Workflow string      `json:"workflow"`
	Version  string      `json:"version"`
	Outcome  string      `json:"outcome"`
	Reason   string      `json:"reason,omitempty"`
	Run      string      `json:"run,omitempty"`
	Repeats  string      `json:"repeats,omitempty"`
	Rule     []Condition `json:"conditions,omitempty"`
	// AlreadyReplayed reports that an earlier order made Run.
	AlreadyReplayed bool `json:"already_replayed,omitempty"`
	// InDoubt is how many calls of the run that Run repeats may have taken effect.
	InDoubt int `json:"in_doubt,omitempty"`
}

// CanReplay returns why an event cannot be decided again; nil if it can.
func (e *Event) CanReplay() error {
	switch {
	case e.Stripped:
		return fmt.Errorf("event %s cannot be replayed: its body was pruned (history: bodies)", e.ID)
	case e.Inlet == workflows.InletCall:
		return fmt.Errorf("event %s is the call of run %s: replay that run", e.ID, e.Headers["x-called-by"])
	}
	return nil
}

// OffError says that a workflow is switched off.
type OffError struct{ Workflow string }

// Error implements error.
func (e *OffError) Error() string {
	return fmt.Sprintf("workflow %s is switched off; hookloom enable %s switches it on", e.Workflow, e.Workflow)
}
