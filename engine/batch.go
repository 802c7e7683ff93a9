package engine

import (
	"errors"
	"time"
)

// BatchID identifies a batch: bat_ and 16 hex digits, ordered by time.
type BatchID int64

// String returns bat_ and 16 hex digits.
func (id BatchID) String() string { return idText("bat_", int64(id)) }

// ParseBatchID parses bat_ and 16 hex digits.
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

// Selection selects the stored events to decide again, and the workflows that decide.
type Selection struct {
	// Trigger is the trigger of the events; empty for all triggers of Workflow.
	Trigger string `json:"trigger,omitempty"`
	// Workflow is the workflow that decides; empty for all that listen to Trigger today.
	Workflow string `json:"workflow,omitempty"`
	// Statuses filter by the workflow's last decision about the event, unmatched for none; empty
	// for all decisions that made no run.
	Statuses []string  `json:"status,omitempty"`
	Since    time.Time `json:"since"`
	// Until is the end, exclusive.
	Until time.Time `json:"until"`
	// Again makes a run even if there is one.
	Again bool `json:"again,omitempty"`
	// SkipDone is Again, and has the new runs take over the steps whose effect an earlier run of
	// the same event had, in place of repeating them.
	SkipDone bool `json:"skip_done,omitempty"`
	// Within is the time for its forecast; 0 for the usual limit.
	Within time.Duration `json:"-"`
}

// Outcomes are the decisions that events can be filtered by.
var Outcomes = []string{"matched", "filtered", "skipped", "rule_failed", "dropped", "disabled", "held", "folded", "unmatched"}

// The limits of a batch's rate, in runs per second.
const (
	DefaultRate = 20
	MaxRate     = 1000
)

// Batch is an order to decide many events again, and its progress.
type Batch struct {
	ID     string    `json:"id,omitzero"`
	At     time.Time `json:"at,omitzero"`
	By     string    `json:"by,omitempty"`
	State  string    `json:"state,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Selection
	// Rate is how many runs begin per second.
	Rate int `json:"rate"`
	// Total is the number of events to process; Looked how many have been processed.
	Total  int `json:"total"`
	Looked int `json:"looked"`
	// Runs is the number of runs made. NotMatched counts events that the current rule does not match,
	// Failed those for which it cannot be evaluated, Known those that had a run.
	Runs       int        `json:"runs"`
	NotMatched int        `json:"not_matched"`
	Failed     int        `json:"failed"`
	Known      int        `json:"known"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Cursor is the last processed event; End the first event after the batch.
	Cursor, End EventID `json:"-"`
}

// BatchStep is the progress of a batch, stored with its decisions.
type BatchStep struct {
	ID     BatchID
	Cursor EventID
	// Looked events were processed; Failed could not be read; Known had a run.
	Looked, Failed, Known int
	Done                  bool
	At                    time.Time
}

// DecidedState is what is stored about an event's decisions.
type DecidedState struct {
	Event EventID
	// Pending reports that it waits for its first decision.
	Pending  bool
	Outcomes map[string]Outcome
	// Ran are the workflows that have had a run for it.
	Ran []string
}

// ErrBatchState means that the order is not possible in the batch's state.
var ErrBatchState = errors.New("that is not possible in this state")
