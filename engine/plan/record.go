package plan

import (
	"fmt"
	"time"
)

// Status is the state of one attempt of a step.
type Status string

// The states of an attempt.
const (
	Running   Status = "running"
	Waiting   Status = "waiting"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Skipped   Status = "skipped"
	// Unknown is an attempt that was interrupted by a crash or a lost response: it may have taken
	// effect.
	Unknown Status = "unknown"
)

// Record is the stored state of one attempt of one step. Steps without side effects have one record
// with attempt 1.
type Record struct {
	// Path is the step's address: its id or index, prefixed by those of the enclosing groups, such
	// as ship, 2/paid/refund or on_failure/0.
	Path    string
	Attempt int
	Action  string
	Status  Status
	// StartedAt and FinishedAt are UTC; FinishedAt is zero while it runs.
	StartedAt, FinishedAt time.Time
	// Input is the action's input, with secrets masked; Output is the step's output.
	Input, Output any
	// Masked are the texts of Output that were secrets when it was stored; they stay masked even if
	// the secrets change.
	Masked []string
	Error  *Error
	// Waits are what a waiting step waits for; its Output is nil. A step with wait: any has
	// several, and the first to arrive ends it.
	Waits []Wait
	// Waited reports that the record replaces one of the same attempt that waited.
	Waited bool
	// Notes are warnings about the attempt, such as a text with an empty insertion.
	Notes []string
	// Destination is the host that the attempt went to, or waits for; empty for none.
	Destination string
	// bytes, values and memory are the size of Output, once counted.
	bytes, values, memory int
}

// Permanent returns an error that must not be retried. code is one of engine.ErrorCodes, or the
// author's own.
func Permanent(code, format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...), Code: code}
}

// Error is why a step, or a run, failed.
type Error struct {
	Message string `json:"message"`
	// Code is a word such as timeout, http_status, network, expression, fail.
	Code string `json:"code"`
	// Status is the HTTP status of the response, 0 without a response.
	Status int `json:"status,omitempty"`
	// Step is the path of the step that failed first.
	Step     string `json:"step,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	// Retryable reports whether a retry may help.
	Retryable bool `json:"retryable"`
	Details   any  `json:"details,omitempty"`
	// RetryAfter is the delay requested by the other side, 0 for none.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	// InDoubt reports that a step of the run that was called may have taken effect: it was interrupted,
	// and no later attempt got a response.
	InDoubt bool `json:"in_doubt,omitempty"`
	// Resumed reports that a person cleared RetryAfter: the next attempt is made at once.
	Resumed bool `json:"resumed,omitempty"`
	// Handler is the failure of on_failure or finally, in addition to the failure itself.
	Handler *Error `json:"handler,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// names returns the error as expressions see it.
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

// CutCode is the error code of a step that was waiting when its run ended.
const CutCode = "cancelled"

// Shown is the status as shown to people and metrics: a step that was waiting when its run ended
// did not fail.
func (r *Record) Shown() string {
	if r.Status == Failed && r.Error != nil && r.Error.Code == CutCode {
		return "cancelled"
	}
	return string(r.Status)
}
