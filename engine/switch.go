package engine

import (
	"time"
)

// This file defines how a workflow is switched off and on. While it is off, events are recorded as
// disabled or, with hold, as held; its queued runs do not begin. When the workflow is switched on,
// held events are decided in order of arrival; until all of them are, new events are held behind
// them.

// SwitchState is how a workflow is switched off.
type SwitchState int

// The states of a switch, as they are stored.
const (
	// SwitchOff does not keep events: they are recorded as disabled.
	SwitchOff SwitchState = iota
	// SwitchHold holds events for later.
	SwitchHold
	// SwitchDraining decides held events; it ends by itself.
	SwitchDraining
)

// SwitchOrder is an order to switch a workflow off or on.
type SwitchOrder struct {
	Workflow string
	On       bool
	// Hold holds events that arrive while it is off, and runs them when it is switched on.
	Hold bool
	By   string
}

// Switched counts what a workflow missed while it was off.
type Switched struct {
	// Missed events were disabled and have not run since; the first came at Since.
	Missed int        `json:"missed"`
	Since  *time.Time `json:"missed_since,omitempty"`
	// Held events run now, in order.
	Held int `json:"held"`
}
