package engine

import (
	"time"

	"github.com/hookloom/hookloom/engine/redact"
)

// Change describes what just became durable, for observers.
type Change struct {
	// Mask masks what is shown of the change; nil masks only the values that are masked in every
	// run.
	Mask  *redact.Masker
	Event *Event
	// Decision is set if a workflow decided; Run if a run changed.
	Decision *Decision
	Run      *Run
	Steps    []StepChange
}

// StepChange is one attempt as an observer sees it.
type StepChange struct {
	Path, Action, Status, Error string
	Attempt                     int
	StartedAt                   time.Time
	Took                        time.Duration
	// Destination is the attempt's host; empty for attempts without one.
	Destination string
	// Code is the error's code; empty without an error. Method and HTTPStatus are those of the
	// attempt's HTTP request and response; empty and 0 if unknown.
	Code, Method string
	HTTPStatus   int
}
