// Package plan decides what may happen next in a run: which steps are due,
// what is waited for, or how the run ended. It is pure: the same workflow,
// records and moment give the same answer, so that recovery after a crash, dry
// runs, tests and backtests all ask it. It must not know clocks, disks,
// networks, stores or actions.
package plan

import (
	"fmt"
	"time"
)

// Status is the state of one attempt of a step.
type Status string

// The states of design.md section 5.
const (
	Running   Status = "running"
	Waiting   Status = "waiting"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Skipped   Status = "skipped"
	// Unknown is an attempt that a crash or a lost answer cut: the effect may
	// have happened.
	Unknown Status = "unknown"
)

// Record is what is on record about one attempt of one step. Steps that act
// nowhere outside have one record with attempt 1.
type Record struct {
	// Path is the step's address: id or index, with those of the groups around it,
	// such as ship, 2/paid/refund or on_failure/0.
	Path    string
	Attempt int
	Action  string
	Status  Status
	// StartedAt and FinishedAt are UTC; FinishedAt is zero while it runs.
	StartedAt, FinishedAt time.Time
	// Input is what the action got, secrets masked; Output what the step gave.
	Input, Output any
	// Masked are the texts of Output that were secrets when it was stored; they are masked
	// on, whatever the secrets are now.
	Masked []string
	Error  *Error
	// Waits are what a waiting step waits for; its Output is nil. Several belong to a
	// step of wait: any, which the first to come ends.
	Waits []Wait
	// Waited tells that the record takes the place of one of the same attempt that waited.
	Waited bool
	// Notes are warnings about the attempt, such as that a text has a hole.
	Notes []string
	// Destination is the host that the attempt went to, or waits for; empty for none.
	Destination string
	// bytes, values and memory are the size of Output, once it was counted.
	bytes, values, memory int
}

// Permanent returns an error that a retry does not help. code is one of engine.ErrorCodes, or
// the author's own.
func Permanent(code, format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...), Code: code}
}

// Error is why a step, or a run, failed.
type Error struct {
	Message string `json:"message"`
	// Code is a word such as timeout, http_status, network, expression, fail.
	Code string `json:"code"`
	// Status is the HTTP status that came back, 0 when none did.
	Status int `json:"status,omitempty"`
	// Step is the path of the step that failed first.
	Step     string `json:"step,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	// Retryable tells that another try may help.
	Retryable bool `json:"retryable"`
	Details   any  `json:"details,omitempty"`
	// RetryAfter is how long the other side asked to wait, 0 for not at all.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	// Resumed tells that a person lifted that: the next attempt is made at once.
	Resumed bool `json:"resumed,omitempty"`
	// Handler is what went wrong in on_failure, beside the failure itself.
	Handler *Error `json:"handler,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// names gives the error as expressions see it.
func (e *Error) names() map[string]any {
	if e == nil {
		return nil
	}
	var status any
	if e.Status != 0 {
		status = e.Status
	}
	return map[string]any{"message": e.Message, "code": e.Code, "status": status, "step": e.Step, "attempts": e.Attempts,
		"retryable": e.Retryable, "details": e.Details}
}

// TokenCode is the error code of an attempt that had no token for its connection: nothing
// was sent to the destination.
const TokenCode = "token"

// CutCode is the error code of a step that waited when its run ended.
const CutCode = "cancelled"

// Shown is the status as people and metrics see it: a step that waited when its run ended
// did not fail.
func (r *Record) Shown() string {
	if r.Status == Failed && r.Error != nil && r.Error.Code == CutCode {
		return "cancelled"
	}
	return string(r.Status)
}
