package engine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// RecordHistory reads what happened, in the order in which it arrived, to compare it with what
// would happen. Its user is package backtest. A page is one snapshot of the database: no
// transaction stays open between two pages, so that a running server can truncate its write-ahead
// log.
type RecordHistory interface {
	// RecordedPage returns the events that q selects, by increasing id, with their results.
	RecordedPage(ctx context.Context, q RecordedQuery) ([]*RecordedEvent, error)
	// RecordedIDs calls do with the id of each event that q selects, by increasing id.
	RecordedIDs(ctx context.Context, q RecordedQuery, do func(EventID)) error
	// AllUses lists the other files that versions of workflows use, oldest of each first.
	AllUses(ctx context.Context) ([]VersionUses, error)
	// VersionText returns the text of a version of a file; ErrNotFound for none. VersionOf finds a
	// version by the beginning of its name, and returns its workflow.
	VersionText(ctx context.Context, version string) (string, error)
	VersionOf(ctx context.Context, prefix string) (version, workflow string, err error)
	// MadeEvent returns the event with a key that a run made for a workflow at a time, give or take
	// some seconds, by its end; 0 for none. KeySeen returns when the trigger last had an event with a
	// key, as far as it remembers; zero for never.
	MadeEvent(ctx context.Context, run RunID, workflow, key string, at time.Time) (EventID, error)
	KeySeen(ctx context.Context, trigger, key string) (time.Time, error)
	// FirstReceived is when the oldest event was received; zero if there is none.
	FirstReceived(ctx context.Context) (time.Time, error)
}

// ScheduleChange is what an edit changes about the firings of a schedule. Its functions may be called
// concurrently.
type ScheduleChange struct {
	// Schedule is the id of the schedule, empty if it has none.
	Trigger, Schedule string
	// Before and After are the times as written, with their zone; empty for none.
	Before, After string
	// Zone is the time zone of the edited schedule.
	Zone *time.Location
	// Next returns the first firing that appears and is planned after a time; nil if there is none.
	Next func(after time.Time) (*NewFiring, error)
	// Keeps reports whether the edited schedule has a recorded firing too, by the key of its event.
	Keeps func(key string) bool
}

// NewFiring is a firing of an edited schedule that is not recorded.
type NewFiring struct {
	Planned  time.Time
	Delivery *Delivery
}

// ScheduleState is the stored progress of a schedule.
type ScheduleState struct {
	// Schedule is the id of the schedule, empty if it has none.
	Trigger, Schedule string
	// Timetable is the text of its times as JSON.
	Timetable []byte
}

// RecordedQuery selects recorded events.
type RecordedQuery struct {
	// Trigger is empty for all.
	Trigger string
	// After and Before bound the ids, both exclusive. 0 means no bound.
	After, Before EventID
	// IDs are the events to return; nil for all.
	IDs []EventID
	// Limit is the largest number of events on a page. A page with large bodies has fewer.
	Limit int
}

// RecordedEvent is an event with its results.
type RecordedEvent struct {
	Event *Event
	// Pending reports that it is not decided yet.
	Pending bool
	// Emitted is the run, and EmittedAt the step, that emitted it; 0 for others.
	Emitted   RunID
	EmittedAt string
	// Decisions are the newest ones, without the conditions that were evaluated.
	Decisions []Decision
	// Runs are the runs that it began, without replays.
	Runs []*RecordedRun
}

// RecordedRun is a run with its attempts and answers.
type RecordedRun struct {
	Run *Run
	// Records are in the order in which they were made. Open ones have no output.
	Records []*plan.Record
	// Answers are those of people.
	Answers []RecordedAnswer
	// More are the further events of a batch.
	More []*Event
	// Unreadable is why parts of it cannot be read; nil if all can.
	Unreadable error
}

// RecordedAnswer is a person's answer to a step.
type RecordedAnswer struct {
	Path string
	plan.Answer
}
