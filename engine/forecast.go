package engine

import (
	"github.com/hookloom/hookloom/workflows"
)

// Forecast is what a batch would do. Package dryrun makes it.
type Forecast struct {
	// Events is the number of events in the batch, Looked how many were evaluated. If there was not
	// enough time for all, Looked is smaller, and the other numbers are lower bounds.
	Events int `json:"events"`
	Looked int `json:"looked"`
	Runs   int `json:"runs"`
	// SkipDone reports that steps which earlier runs carried out are not repeated.
	SkipDone  bool              `json:"skip_done,omitempty"`
	Workflows []PlannedWorkflow `json:"workflows"`
	// Chosen are the events that workflows would decide.
	Chosen []Chosen `json:"-"`
}

// Chosen is an event that a workflow decides.
type Chosen struct {
	Event    EventID
	Workflow string
}

// PlannedWorkflow is what a batch would do for one workflow.
type PlannedWorkflow struct {
	Workflow string `json:"workflow"`
	Version  string `json:"version"`
	// Runs would begin. NotMatched counts events that the rule does not match, RuleFailed those for
	// which it cannot be evaluated, Unreadable those that were pruned or are damaged.
	Runs       int `json:"runs"`
	NotMatched int `json:"not_matched"`
	RuleFailed int `json:"rule_failed"`
	Known      int `json:"known"`
	Unreadable int `json:"unreadable,omitempty"`
	// Repeated is how many of the runs are of events that had a run already; DoneSteps how many
	// steps with an effect those earlier runs carried out. They are repeated with new idempotency
	// keys, or, with skip_done, not carried out again.
	Repeated  int `json:"repeated"`
	DoneSteps int `json:"done_steps"`
	// Reason is the reason of the first rule that failed.
	Reason string `json:"reason,omitempty"`
	// Calls are what the dry runs would call.
	Calls   []PlannedCall `json:"calls"`
	DryRuns int           `json:"rehearsed"`
	// Problem is why a dry run was not possible.
	Problem string `json:"problem,omitempty"`
}

// PlannedCall is an action that runs would execute, and its target.
type PlannedCall struct {
	Action string `json:"action"`
	Host   string `json:"host,omitempty"`
	// Count is the number of calls in all dry runs; Done how many of them an earlier run of the same
	// event made.
	Count int `json:"count"`
	Done  int `json:"done"`
}

// Selected is one workflow and one event that a selection lets it decide about.
type Selected struct {
	Workflow *workflows.Workflow
	Start    workflows.Start
	// Types are the event types that the trigger's webhook accepts; empty accepts all.
	Types []string
	// Event is nil if it was pruned or cannot be read.
	Event *Event
	// Known reports that it has a run already, so that nothing would be decided.
	Known bool
	// Ran tells that it had a run, and Done which of the workflow's steps that carried out.
	Ran  bool
	Done []DoneStep
}
