package engine

import (
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// This file makes one run of several events: debounce and batch. The run is stored with its first
// event, as queued, and a gathering collects the events that follow. When the gathering is due it
// is closed: the run requests its concurrency slot, if its workflow has a limit, and begins. Each
// of these is one transaction, so that a crash between two of them loses no event and makes no
// second run. Events of such workflows are matched one after another (ordered.go).

// Gathering is how the event of a new run joins other events.
type Gathering struct {
	Kind, Key string
	// Wait and Max are those of workflows.Gather, Size that of a batch.
	Wait, Max time.Duration
	Size      int
	// Bytes is the size of the event in memory.
	Bytes int64
}

// GatherState is the state of an open gathering when another event with its key arrives.
type GatherState struct {
	Kind string
	// First is when it began.
	First time.Time
	// Events and Bytes are the number and size of all its events.
	Events int
	Bytes  int64
}

// Begin is when a gathering that begins with this event is due, unless another event arrives.
func (g *Gathering) Begin(now time.Time) (due time.Time) { return now.Add(g.Wait) }

// Joined is the state of a gathering after another event arrived.
type Joined struct {
	// Refused reports that it does not accept the event: it is due at once, and the event begins another
	// one.
	Refused bool
	// Due is its new due time. Full reports that it accepts no further event.
	Due  time.Time
	Full bool
}

// Join decides whether the event joins a gathering. It is pure: the store calls it inside its
// transaction, and backtests call it for recorded events.
func (g *Gathering) Join(c GatherState, now time.Time) Joined {
	if c.Kind != g.Kind || g.Kind == workflows.Batch && c.Bytes+g.Bytes > MaxGathered {
		// The workflow gathers otherwise by now, or its events are too large for one run.
		return Joined{Refused: true, Due: now, Full: true}
	}
	if g.Kind != workflows.Batch {
		due := now.Add(g.Wait)
		if last := c.First.Add(g.Max); last.Before(due) {
			due = last
		}
		return Joined{Due: due}
	}
	if c.Events+1 >= g.Size {
		return Joined{Due: now, Full: true}
	}
	return Joined{Due: c.First.Add(g.Wait)}
}

// Fold reports that an event joined an existing gathering.
type Fold struct {
	// Run is the gathering's run; Newest reports that the run's own event is this one from now on.
	Run    RunID
	Newest bool
}

// DueGathering is a gathering that is due.
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

// Closed is the outcome of closing a gathering.
type Closed struct {
	Due      time.Time
	Replaced []RunID
	// Dropped is why the run may not begin; it is to be cancelled.
	Dropped string
}

// The reasons of decisions about events that joined another run.
const (
	FoldedByDebounce = "debounce: the run uses a later event with this key"
	FoldedByBatch    = "batch: the run includes this event"
)

// MaxGathered is the largest memory size of the decoded events of one batch, in bytes.
const MaxGathered = 16 << 20
