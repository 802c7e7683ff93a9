package engine

import (
	"fmt"
)

// Cursor is a position in the feed, the list of what changed in the order of the commits.
// It is written like an event's id. Both hold a moment, so an event's id may be given for a
// cursor: what was committed after that moment follows.
type Cursor int64

// String gives the cursor as it stands in Last-Event-ID and ?after=.
func (c Cursor) String() string { return EventID(c).String() }

// ParseCursor reads a cursor.
func ParseCursor(s string) (Cursor, error) {
	id, err := ParseEventID(s)
	if err != nil {
		return 0, fmt.Errorf("reading a cursor: %w", err)
	}
	return Cursor(id), nil
}

// FeedChange is one entry of the feed: an event was decided, or a run got another status.
type FeedChange struct {
	// At is the position of the change: a reader that has it continues after At.
	At Cursor
	// Event was decided, if it is not 0.
	Event EventID
	// Run has the status since, if it is not 0.
	Run    RunID
	Status RunStatus
}

// ChangedIDs returns the events and the runs that a list of changes is about.
func ChangedIDs(list []FeedChange) (events []EventID, runs []RunID) {
	for _, x := range list {
		if x.Event != 0 {
			events = append(events, x.Event)
		} else {
			runs = append(runs, x.Run)
		}
	}
	return events, runs
}

// ErrFeedGone says that the feed does not reach back to a cursor.
var ErrFeedGone = fmt.Errorf("the feed does not reach back so far: %w", ErrNotFound)

// MaxMissed is how many events, and how many runs, a reader is told at most when its cursor
// is older than the feed: the newest.
const MaxMissed = 50_000

// As gives the line of a run as it was when it had a status, where it has another one now.
func (i RunItem) As(status RunStatus) RunItem {
	if i.Status == string(status) {
		return i
	}
	i.Status = string(status)
	i.FinishedAt, i.DueAt = nil, nil
	i.Error, i.ErrorStep, i.ErrorCode, i.Host, i.WaitsFor = "", "", "", "", ""
	return i
}
