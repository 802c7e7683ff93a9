package engine

import (
	"crypto/sha256"
	"encoding/base32"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// RunStatus is the state of a run.
type RunStatus string

// The states of design.md section 5.
const (
	Queued    RunStatus = "queued"
	Running   RunStatus = "running"
	Waiting   RunStatus = "waiting"
	Succeeded RunStatus = "succeeded"
	Failed    RunStatus = "failed"
	Cancelled RunStatus = "cancelled"
	TimedOut  RunStatus = "timed_out"
)

// RunStatuses are all of them, as lists can be narrowed by.
var RunStatuses = []string{"queued", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"}

// Ended tells that a run will not change any more.
func (s RunStatus) Ended() bool {
	return s == Succeeded || s == Failed || s == Cancelled || s == TimedOut
}

// transitions are the legal changes of a run; the store refuses all others.
var transitions = map[RunStatus][]RunStatus{
	Queued:  {Running, Cancelled},
	Running: {Running, Waiting, Queued, Succeeded, Failed, TimedOut, Cancelled},
	Waiting: {Running, Cancelled},
}

// MayBecome tells whether a run may go from one state to another.
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

// Matched starts a run; the others say why there is none.
const (
	Matched    Outcome = "matched"
	Filtered   Outcome = "filtered"
	Skipped    Outcome = "skipped"
	RuleFailed Outcome = "rule_failed"
	// Dropped is an event that concurrency or rate left no room for, or that was
	// older than what was applied already.
	Dropped Outcome = "dropped"
	// Disabled is an event that came while the workflow was switched off; Held one that
	// runs when it is switched on.
	Disabled Outcome = "disabled"
	Held     Outcome = "held"
	// Folded is an event that takes part in the run of another: by debounce or batch.
	Folded Outcome = "folded"
)

// Decision is what one workflow's rule gave for one event.
type Decision struct {
	Workflow, Version string
	Outcome           Outcome
	// Conditions are those of when:, in order, as far as they were asked.
	Conditions []Condition
	// Run is set when Outcome is matched or folded.
	Run RunID
	// Reason says in words why there is no run.
	Reason string
}

// Condition is one part of a rule with the values it saw.
type Condition struct {
	Expr   string         `json:"expr"`
	Result *bool          `json:"result"`
	Error  string         `json:"error,omitempty"`
	Values map[string]any `json:"values,omitempty"`
}

// Run is one workflow carried out for one event.
type Run struct {
	ID                RunID
	Event             EventID
	Workflow, Version string
	Status            RunStatus
	// Repeats is the run that this one replays, 0 for none.
	Repeats RunID
	// Continues is the first run of the chain that this one goes on with, as a replay
	// from the failed step; 0 for none.
	Continues                        RunID
	CreatedAt, StartedAt, FinishedAt time.Time
	// DueAt is when a queued or waiting run goes on; zero for one that is parked: it goes
	// on when something makes it due, such as an answer, or its turn in a group.
	DueAt time.Time
	// Active is the working time so far, pauses not counted.
	Active time.Duration
	Output any
	Error  *plan.Error
	// Text is what stop said.
	Text string
	// Ending is why a run is being cancelled that has finally steps to come.
	Ending *plan.Error
	// Crashes counts how often in a row, without having got on, a start of the
	// process found the run at work: a run
	// that brings the process down is put aside.
	Crashes int
}

// WaitsFrom is when what a run may wait for counts at the latest: when its event came, or
// for a replay when it was made.
func (r *Run) WaitsFrom(ev *Event) time.Time {
	if r.Repeats != 0 {
		return r.CreatedAt
	}
	return ev.ReceivedAt
}

// IdempotencyKey is the same for every attempt of one step of one run, and for
// no other: derived from the installation, the run's root and the step's path.
func IdempotencyKey(instance, root, path string) string {
	sum := sha256.Sum256([]byte(instance + "|" + root + "|" + path))
	return "hl_" + lowerBase32.EncodeToString(sum[:20])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
