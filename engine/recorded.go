package engine

import (
	"context"

	"github.com/hookloom/hookloom/engine/plan"
)

// RecordHistory reads what happened, in the order in which it came, to compare it with what
// would happen. Its user is package backtest. A page is one state of the database: no
// transaction stays open between two pages, so that a server which works meanwhile can shrink
// its write-ahead log.
type RecordHistory interface {
	// RecordedPage gives the events that q selects, by rising id, with what came of them.
	RecordedPage(ctx context.Context, q RecordedQuery) ([]*RecordedEvent, error)
	// RecordedIDs calls do with the id of each event that q selects, by rising id.
	RecordedIDs(ctx context.Context, q RecordedQuery, do func(EventID)) error
	// AllUses lists what versions of workflows use of other files, the oldest of each first.
	AllUses(ctx context.Context) ([]VersionUses, error)
	// VersionText gives the text of a version of a file; ErrNotFound for none. VersionOf finds a
	// version by the beginning of its name, and gives the workflow that it is of.
	VersionText(ctx context.Context, version string) (string, error)
	VersionOf(ctx context.Context, prefix string) (version, workflow string, err error)
}

// RecordedQuery selects events of the record.
type RecordedQuery struct {
	// Trigger is empty for all.
	Trigger string
	// After and Before bound the ids; neither is in it. 0 does not bound.
	After, Before EventID
	// IDs are the events to give; nil for all.
	IDs []EventID
	// Limit is how many events a page has at most. A page with large bodies has fewer.
	Limit int
}

// RecordedEvent is an event with what came of it.
type RecordedEvent struct {
	Event *Event
	// Pending tells that it is not decided yet.
	Pending bool
	// Decisions are the newest ones, without the conditions that were evaluated.
	Decisions []Decision
	// Runs are those that it began, without replays.
	Runs []*RecordedRun
}

// RecordedRun is a run with all that was done for it.
type RecordedRun struct {
	Run *Run
	// Records are in the order in which they were made. Those that are open have no output.
	Records []*plan.Record
	// Answers are those of people.
	Answers []RecordedAnswer
	// More are the further events of a batch.
	More []*Event
	// Unreadable says what of it cannot be read; nil when all can.
	Unreadable error
}

// RecordedAnswer is what a person said about a step.
type RecordedAnswer struct {
	Path string
	plan.Answer
}
