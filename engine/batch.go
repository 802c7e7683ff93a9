package engine

import (
	"errors"
	"time"
)

// BatchID names a batch: bat_ and 16 hex digits, in the order of time.
type BatchID int64

// String gives bat_ and 16 hex digits.
func (id BatchID) String() string { return idText("bat_", int64(id)) }

// ParseBatchID reads bat_ and 16 hex digits.
func ParseBatchID(s string) (BatchID, error) {
	n, err := parseID(s, "bat_")
	return BatchID(n), err
}

// The states of a batch.
const (
	BatchRunning   = "running"
	BatchPaused    = "paused"
	BatchDone      = "done"
	BatchCancelled = "cancelled"
)

// Selection says which stored events are decided again, and for which workflows.
type Selection struct {
	// Trigger is where the events came from; empty for all triggers of Workflow.
	Trigger string `json:"trigger,omitempty"`
	// Workflow is the one that decides; empty for all that listen to Trigger today.
	Workflow string `json:"workflow,omitempty"`
	// Statuses are what the workflow's last decision about the event is, unmatched for
	// none; empty for all that made no run.
	Statuses []string  `json:"status,omitempty"`
	Since    time.Time `json:"since"`
	// Until is the end, not included.
	Until time.Time `json:"until"`
	// Again makes a run also where there is one.
	Again bool `json:"again,omitempty"`
}

// Outcomes are what the decisions about an event may be looked for by.
var Outcomes = []string{"matched", "filtered", "skipped", "rule_failed", "dropped", "disabled", "held", "folded", "unmatched"}

// The bounds of a batch's rate, in runs a second.
const (
	DefaultRate = 20
	MaxRate     = 1000
)

// Batch is an order to decide many events again, and how far it has come.
type Batch struct {
	ID     string    `json:"id,omitzero"`
	At     time.Time `json:"at,omitzero"`
	By     string    `json:"by,omitempty"`
	State  string    `json:"state,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Selection
	// Rate is how many runs begin in a second.
	Rate int `json:"rate"`
	// Total is how many events there are to look at; Looked how many were.
	Total  int `json:"total"`
	Looked int `json:"looked"`
	// Runs were made. NotMatched is where today's rule says no, Failed where it cannot
	// be asked, Known where there was a run.
	Runs       int        `json:"runs"`
	NotMatched int        `json:"not_matched"`
	Failed     int        `json:"failed"`
	Known      int        `json:"known"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Cursor is the last event that is done; End the first that is not taken.
	Cursor, End EventID `json:"-"`
}

// BatchStep is the progress of a batch, stored with what it decided.
type BatchStep struct {
	ID     BatchID
	Cursor EventID
	// Looked events were looked at; Failed could not be read; Known had a run.
	Looked, Failed, Known int
	Done                  bool
	At                    time.Time
}

// DecidedState is what is on record of an event's decisions.
type DecidedState struct {
	Event EventID
	// Pending tells that it waits for its first decision.
	Pending  bool
	Outcomes map[string]Outcome
	// Ran are the workflows that have had a run for it.
	Ran []string
}

// ErrBatchState means that a batch is not in a state in which the order makes sense.
var ErrBatchState = errors.New("that is not possible in this state")
