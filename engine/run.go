package engine

import (
	"crypto/sha256"
	"encoding/base32"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// RunStatus is the state of a run.
type RunStatus string

// The states of a run.
const (
	Queued    RunStatus = "queued"
	Running   RunStatus = "running"
	Waiting   RunStatus = "waiting"
	Succeeded RunStatus = "succeeded"
	Failed    RunStatus = "failed"
	Cancelled RunStatus = "cancelled"
	TimedOut  RunStatus = "timed_out"
)

// RunStatuses are all states, as list filters.
var RunStatuses = []string{"queued", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"}

// Ended reports whether a run will not change any more.
func (s RunStatus) Ended() bool {
	return s == Succeeded || s == Failed || s == Cancelled || s == TimedOut
}

// transitions are the legal changes of a run; the store refuses all others.
var transitions = map[RunStatus][]RunStatus{
	Queued:  {Running, Cancelled},
	Running: {Running, Waiting, Queued, Succeeded, Failed, TimedOut, Cancelled},
	Waiting: {Running, Cancelled},
}

// MayBecome reports whether a run may change from one state to another.
func (s RunStatus) MayBecome(next RunStatus) bool {
	for _, t := range transitions[s] {
		if t == next {
			return true
		}
	}
	return false
}

// Outcome is what a workflow decided about an event.
type Outcome string

// Matched starts a run; with the others there is none, for the reason given.
const (
	Matched    Outcome = "matched"
	Filtered   Outcome = "filtered"
	Skipped    Outcome = "skipped"
	RuleFailed Outcome = "rule_failed"
	// Dropped is an event rejected by concurrency or rate, or older than one that was already
	// applied.
	Dropped Outcome = "dropped"
	// Disabled is an event that arrived while the workflow was switched off; Held one that runs
	// when it is switched on.
	Disabled Outcome = "disabled"
	Held     Outcome = "held"
	// Folded is an event that joined the run of another event, by debounce or batch.
	Folded Outcome = "folded"
)

// Decision is the result of one workflow's rule for one event.
type Decision struct {
	Workflow, Version string
	Outcome           Outcome
	// Conditions are the parts of when:, in order, as far as they were evaluated.
	Conditions []Condition
	// Run is set when Outcome is matched or folded.
	Run RunID
	// Reason is why there is no run, in words.
	Reason string
}

// Condition is one part of a rule with the values it saw.
type Condition struct {
	Expr   string         `json:"expr"`
	Result *bool          `json:"result"`
	Error  string         `json:"error,omitempty"`
	Values map[string]any `json:"values,omitempty"`
}

// Run is one execution of a workflow for an event.
type Run struct {
	ID                RunID
	Event             EventID
	Workflow, Version string
	Status            RunStatus
	// Repeats is the run that this one replays, 0 for none.
	Repeats RunID
	// Continues is the first run of the chain that this one continues, as a replay from the failed
	// step; 0 for none.
	Continues                        RunID
	CreatedAt, StartedAt, FinishedAt time.Time
	// DueAt is when a queued or waiting run continues. It is zero for a run that continues only
	// when something makes it due, such as an answer or a free slot.
	DueAt time.Time
	// Active is the working time so far, without pauses.
	Active time.Duration
	Output any
	Error  *plan.Error
	// Text is the text of the stop step.
	Text string
	// Ending is why a run is being cancelled that still has finally steps to execute.
	Ending *plan.Error
	// Crashes counts consecutive starts of the process that found the run executing without
	// progress since: a run that crashes the process is isolated.
	Crashes int
}

// WaitsFrom is the latest time from which awaited events count: when its event was received, or for
// a replay when it was made.
func (r *Run) WaitsFrom(ev *Event) time.Time {
	if r.Repeats != 0 {
		return r.CreatedAt
	}
	return ev.ReceivedAt
}

// IdempotencyKey is the same for every attempt of one step of one run, and for no other: it is
// derived from the installation, the run's root and the step's path.
func IdempotencyKey(instance, root, path string) string {
	sum := sha256.Sum256([]byte(instance + "|" + root + "|" + path))
	return "hl_" + lowerBase32.EncodeToString(sum[:20])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
