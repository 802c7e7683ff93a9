package engine

import (
	"time"
)

// This file is how a workflow is switched off and on. While it is off, events are on
// record as disabled, or, with hold, as held; its queued runs do not begin. What is
// held is decided, in the order in which it came, when the workflow is switched on:
// until the last of it is, new events are held behind it.

// SwitchState is how a workflow is switched off.
type SwitchState int

// The states of a switch, as they are stored.
const (
	// SwitchOff lets events pass: they are on record as disabled.
	SwitchOff SwitchState = iota
	// SwitchHold keeps events for later.
	SwitchHold
	// SwitchDraining decides what was held; it ends by itself.
	SwitchDraining
)

// SwitchOrder is an order to switch a workflow off or on.
type SwitchOrder struct {
	Workflow string
	On       bool
	// Hold keeps what comes while it is off, and runs it when it is switched on.
	Hold bool
	By   string
}

// Switched tells what a workflow missed while it was off.
type Switched struct {
	// Missed events were disabled and have not run since; the first came at Since.
	Missed int        `json:"missed"`
	Since  *time.Time `json:"missed_since,omitempty"`
	// Held events run now, in order.
	Held int `json:"held"`
}
