package engine

// This file is hookloom/emit: a step puts an event into a trigger of the project. The
// event is stored in one transaction with the idempotency key of the step, so that a
// repeated attempt is the same event.

// Emission is an event that a step makes.
type Emission struct {
	Trigger, Key, Type string
	Data               any
	// Op, Run and Path are the step's: its idempotency key, its run, its address.
	Op   string
	Run  RunID
	Path string
}

// Emitted tells at an event which step made it.
type Emitted struct {
	Run      string `json:"run"`
	Workflow string `json:"workflow"`
	Step     string `json:"step"`
}

// EmittedEvent tells at a run which event a step made.
type EmittedEvent struct {
	Event   string `json:"event"`
	Trigger string `json:"trigger"`
	Step    string `json:"step"`
	// Duplicate tells that the trigger had an event with the key already.
	Duplicate bool `json:"duplicate"`
}
