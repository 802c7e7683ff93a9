package engine

import (
	"fmt"
)

// Cursor is a position in the feed, the list of changes in commit order. It is formatted like an
// event id. Both contain a time, so an event id may be given as a cursor: what was committed after
// that time follows.
type Cursor int64

// String returns the cursor as it appears in Last-Event-ID and ?after=.
func (c Cursor) String() string { return EventID(c).String() }

// ParseCursor parses a cursor.
func ParseCursor(s string) (Cursor, error) {
	id, err := ParseEventID(s)
	if err != nil {
		return 0, fmt.Errorf("reading a cursor: %w", err)
	}
	return Cursor(id), nil
}

// FeedChange is one entry of the feed: an event was decided, or the status of a run changed.
type FeedChange struct {
	// At is the position of the change: a reader that has it continues after At.
	At Cursor
	// Event is the event that was decided; 0 for none.
	Event EventID
	// Run is the run that has the status since; 0 for none.
	Run    RunID
	Status RunStatus
}

// ChangedIDs returns the events and runs in a list of changes.
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

// ErrFeedGone means that the feed does not reach back to a cursor.
var ErrFeedGone = fmt.Errorf("the feed does not reach back that far: %w", ErrNotFound)

// MaxMissed is the largest number of events, and of runs, that a reader receives if its cursor is
// older than the feed: the newest ones.
const MaxMissed = 50_000

// As returns the item of a run as it was when it had an earlier status.
func (i RunItem) As(status RunStatus) RunItem {
	if i.Status == string(status) {
		return i
	}
	i.Status = string(status)
	i.FinishedAt, i.DueAt = nil, nil
	i.Error, i.ErrorStep, i.ErrorCode, i.Host, i.WaitsFor = "", "", "", "", ""
	return i
}
