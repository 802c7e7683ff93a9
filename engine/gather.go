package engine

import (
	"time"
)

// This file makes one run of several events: debounce and batch. The run is stored with
// its first event, as queued, and a gathering beside it takes the events that follow.
// When the gathering is due it is closed: the run asks for its place, if its workflow
// has any, and begins. Each of these is one transaction, so that a crash between two of
// them loses no event and makes no second run. Events of such workflows are matched one
// after another (ordered.go).

// Gathering is how the event of a new run joins others.
type Gathering struct {
	Kind, Key string
	// Wait and Max are those of workflows.Gather, Size that of a batch.
	Wait, Max time.Duration
	Size      int
	// Bytes is what the event takes in memory.
	Bytes int64
}

// Fold tells that an event joined a gathering that was there.
type Fold struct {
	// Run is the gathering's; Newest tells that the event is the run's own from now on.
	Run    RunID
	Newest bool
}

// DueGathering is a gathering whose time has come.
type DueGathering struct {
	Run               RunID
	Event             EventID
	Workflow, Version string
	Due               time.Time
}

// Closing is an order to let a gathered run begin.
type Closing struct {
	Run   RunID
	Event EventID
	Slot  *SlotRequest
	At    time.Time
}

// Closed is what became of a gathered run.
type Closed struct {
	Due      time.Time
	Replaced []RunID
	// Dropped says why the run may not begin; it is to be cancelled.
	Dropped string
}

// MaxGathered bounds the memory that the events of one batch take, decoded.
const MaxGathered = 16 << 20
