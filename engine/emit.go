package engine

// This file is hookloom/emit: a step emits an event into a trigger of the project. The event is
// stored in one transaction with the idempotency key of the step, so that a repeated attempt yields
// the same event.

// Emission is an event that a step makes.
type Emission struct {
	Trigger, Key, Type string
	Data               any
	// Op, Run and Path are the step's idempotency key, run and address.
	Op   string
	Run  RunID
	Path string
}

// Emitted is, in an event, the step that emitted it.
type Emitted struct {
	Run      string `json:"run"`
	Workflow string `json:"workflow"`
	Step     string `json:"step"`
}

// EmittedEvent is, in a run, an event that a step emitted.
type EmittedEvent struct {
	Event   string `json:"event"`
	Trigger string `json:"trigger"`
	Step    string `json:"step"`
	// Duplicate reports that the trigger already had an event with the key.
	Duplicate bool `json:"duplicate"`
}
