package engine

import (
	"time"

	"github.com/hookloom/hookloom/engine/redact"
)

// Change tells an observer what just became durable.
type Change struct {
	// mask masks what is told of it; nil for what is masked in every run.
	Mask  *redact.Masker
	Event *Event
	// Decision is set when a workflow decided; Run when a run changed.
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
	// Destination is where it went; empty for attempts that go nowhere.
	Destination string
}
