package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file applies the limits of values (value.Fit) where a run creates values. A step whose value
// exceeds a limit fails with the code too_large, so that every stored value can be read back.

// MaxErrorText is the largest size in bytes of remote text that is kept in an error.
const MaxErrorText = 64 << 10

// What to do about a value that is too large.
const (
	keepLess     = "keep only what later steps need, with output: on the step"
	keepLessEach = "reduce each item with output: on the step; output: ${{ nil }} keeps nothing"
)

// TooLarge is the error of a step whose value exceeds a limit; what names the value, and hint says
// how to stay under the limit. An error that is not about a limit is returned as an expression
// error.
func TooLarge(err error, what, hint, step string) *Error {
	var limit *value.LimitError
	var work *expr.LimitError
	switch {
	case errors.As(err, &work):
		return expressionError(err, step)
	case errors.As(err, &limit):
		return &Error{Message: what + " " + limit.Problem + ": " + hint, Code: "too_large", Step: step, Attempts: 1}
	case errors.Is(err, value.ErrTooLarge):
		return &Error{Message: fmt.Sprintf("%s: %v: %s", what, err, hint), Code: "too_large", Step: step, Attempts: 1}
	}
	return expressionError(err, step)
}

// fit returns a value in the form in which it is stored.
func fit(v any, what, hint, step string) (any, *Error) {
	v, err := value.Fit(v)
	if err != nil {
		return nil, TooLarge(err, what, hint, step)
	}
	return v, nil
}

// Bound truncates the remote text in an error.
func (e *Error) Bound() {
	e.Message = value.CutText(e.Message, MaxErrorText)
	if e.Details != nil {
		e.Details = value.Cut(e.Details)
	}
	if e.Handler != nil {
		h := *e.Handler
		h.Bound()
		e.Handler = &h
	}
}

// sizes is the total size of the outputs of a loop.
type sizes struct{ bytes, values int }

func (s *sizes) add(r *Record) {
	r.count()
	s.bytes += r.bytes + 1
	s.values += r.values
}

// count counts the size of a record's output.
func (r *Record) count() {
	if r.values == 0 {
		r.bytes, r.values, r.memory = value.Size(r.Output)
	}
}

// MaxMemory is the approximate largest size in memory, in bytes, of the outputs of one run
// together.
const MaxMemory = 256 << 20

// Memory is the approximate size in memory, in bytes, of the run's outputs.
func (s *State) Memory() int64 { return s.memory }

// Fit fails an attempt whose output does not fit into the run's memory limit together with its
// other outputs.
func (s *State) Fit(r *Record) {
	if r.Status != Succeeded || r.Output == nil || slices.Contains(s.Records[r.Path], r) {
		return
	}
	if r.count(); s.memory+int64(r.memory) > MaxMemory {
		r.Status, r.Output, r.bytes, r.values, r.memory = Failed, nil, 0, 0, 0
		r.Error = &Error{Message: fmt.Sprintf("the outputs of this run take more than %d MiB of memory together: %s",
			MaxMemory>>20, keepLess), Code: "too_large", Step: r.Path, Attempts: r.Attempt}
	}
}

// full reports whether the outputs together exceed a limit already.
func (s *sizes) full() bool {
	return s.bytes > value.MaxSize || s.values > value.MaxJSONNodes
}
