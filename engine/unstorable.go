package engine

import (
	"context"
	"errors"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// UnstorableError means that the database refused a row of one workflow's decision about an event, or of the
// run that it begins. Nothing was stored; without this workflow, the same write may succeed.
type UnstorableError struct {
	Workflow string
	Err      error
}

// Error implements error.
func (e *UnstorableError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the database.
func (e *UnstorableError) Unwrap() error { return e.Err }

// Unrecorded is the decision of a workflow whose own decision, or the run that it begins, could not be stored.
func Unrecorded(workflow, version string, cause error) Decision {
	return Decision{Workflow: workflow, Version: version, Outcome: RuleFailed,
		Reason: "the decision cannot be recorded: " + value.CutText(cause.Error(), plan.MaxErrorText)}
}

// RowsFault reports whether an error of the store concerns the rows that were to be written: the same write
// would fail again, while writes of other rows succeed.
func RowsFault(err error) bool {
	for _, other := range []error{ErrStale, ErrNotFound, ErrPending, ErrDisk, ErrClosed, ErrUnknown, ErrFull, ErrBusy, ErrRules,
		context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil
}
