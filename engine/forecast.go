package engine

import (
	"github.com/hookloom/hookloom/workflows"
)

// Forecast is what a batch would do. Package dryrun makes it.
type Forecast struct {
	// Events is how many there are to look at, Looked how many were looked at: fewer when
	// there was no time for all, and the numbers are then at least so many.
	Events    int               `json:"events"`
	Looked    int               `json:"looked"`
	Runs      int               `json:"runs"`
	Workflows []PlannedWorkflow `json:"workflows"`
}

// PlannedWorkflow is what a batch would do of one workflow.
type PlannedWorkflow struct {
	Workflow string `json:"workflow"`
	Version  string `json:"version"`
	// Runs would begin. NotMatched is where the rule says no, RuleFailed where it cannot
	// be asked, Unreadable where the event was pruned or is damaged.
	Runs       int `json:"runs"`
	NotMatched int `json:"not_matched"`
	RuleFailed int `json:"rule_failed"`
	Known      int `json:"known"`
	Unreadable int `json:"unreadable,omitempty"`
	// Reason is that of the first rule that failed.
	Reason string `json:"reason,omitempty"`
	// Calls are what DryRuns of the runs would call.
	Calls   []PlannedCall `json:"calls"`
	DryRuns int           `json:"rehearsed"`
	// Problem is why a dry run was not possible.
	Problem string `json:"problem,omitempty"`
}

// PlannedCall is an action that runs would carry out, and where.
type PlannedCall struct {
	Action string `json:"action"`
	Host   string `json:"host,omitempty"`
	// Count is how often in all dry runs.
	Count int `json:"count"`
}

// Selected is one workflow that a selection has decide about one event.
type Selected struct {
	Workflow *workflows.Workflow
	Start    workflows.Start
	// Types are those that the trigger's webhook takes; empty takes all.
	Types []string
	// Event is nil when it was pruned or cannot be read.
	Event *Event
	// Known tells that it has a run already, so that nothing would be decided.
	Known bool
}
