package engine

import (
	"context"
	"time"
)

// History is the read-only view of the record. Its users are the console, telemetry and the
// commands that only read. It never writes, and may be read while a server runs. Secrets in it are
// masked. An invalid query returns an error that wraps ErrQuery; an unknown id returns ErrNotFound.
type History interface {
	EventHistory
	RunHistory
	LiveHistory
	StatHistory
	// Quarantine lists refused deliveries, newest first; Refusal loads one with its body.
	Quarantine(context.Context, Query) ([]RefusalItem, error)
	Refusal(ctx context.Context, id string) (*RefusalItem, []byte, error)
	CountRefusals(context.Context, Query, *Page[RefusalItem]) error
	// RefusalGroups adds up refused deliveries by trigger and reason.
	RefusalGroups(context.Context, Query) ([]RefusalGroup, error)
	// AuditPage lists actions of people, newest first.
	AuditPage(context.Context, Query) (Page[AuditEntry], error)
	CountAudit(context.Context, Query, *Page[AuditEntry]) error
	// Values lists stored values by workflow and key; Value returns one.
	Values(context.Context, ValueQuery) ([]ValueItem, error)
	Value(ctx context.Context, ref ValueRef, now time.Time) (ValueItem, error)
}

// EventHistory lists events and their decisions. Count methods fill in totals, as far as counting
// is cheap.
type EventHistory interface {
	EventPage(context.Context, Query) (Page[EventItem], error)
	EventDetail(context.Context, EventID) (*EventDetail, error)
	CountEvents(context.Context, Query, *Page[EventItem]) error
	// HasName reports whether the history knows a workflow or a trigger.
	HasName(ctx context.Context, workflow, trigger string) (bool, error)
	// Missed counts the events that a workflow missed while it was off, and those held for it.
	Missed(ctx context.Context, workflow string) (Switched, error)
}

// RunHistory lists runs, and those that need attention.
type RunHistory interface {
	RunPage(context.Context, Query) (Page[RunItem], error)
	RunOne(context.Context, RunID) (RunItem, error)
	RunDetail(context.Context, RunID) (*RunDetail, error)
	CountRuns(context.Context, Query, *Page[RunItem]) error
	// DeadLetters lists failed runs and failed rules, DeadGroups the same by cause.
	DeadLetters(context.Context, Query) (Page[DeadLetter], error)
	DeadGroups(context.Context, Query) ([]DeadGroup, error)
	CountDead(context.Context, Query, *Page[DeadLetter]) error
	// NeedsPeople counts runs that wait for a person, up to a limit; InDoubt counts the runs of a
	// list that have calls in doubt.
	NeedsPeople(context.Context) (int, error)
	InDoubt(ctx context.Context, runs []string) (int, error)
	// Versions lists the versions of a workflow, newest first.
	Versions(ctx context.Context, workflow string) ([]VersionItem, error)
	VersionText(ctx context.Context, version string) (string, error)
}

// LiveHistory serves live readers: the feed, which lists changes in commit order, and the items of
// its entries.
type LiveHistory interface {
	// FeedEnd is the position of the newest change; 0 for none.
	FeedEnd(context.Context) (Cursor, error)
	// Feed lists changes after a position. It returns ErrFeedGone if changes after the position may
	// be missing; MissedChanges then finds them by time, and returns the position at which the feed
	// continues.
	Feed(ctx context.Context, after Cursor, limit int) ([]FeedChange, error)
	MissedChanges(ctx context.Context, since Cursor) ([]FeedChange, Cursor, error)
	// FeedEvents and FeedRuns load the items that a query selects.
	FeedEvents(context.Context, []EventID, Query) (map[EventID]EventItem, error)
	FeedRuns(ctx context.Context, ids []RunID, runs, events Query) (map[RunID]RunItem, error)
	// RunMark is a text that changes whenever a run does.
	RunMark(context.Context, RunID) (string, error)
}

// StatHistory computes the figures of overviews and metrics.
type StatHistory interface {
	CurrentState(context.Context) (CurrentState, error)
	Activity(ctx context.Context, from time.Time, step time.Duration, n int) ([]Bucket, error)
	TriggerStats(ctx context.Context, trigger string, since time.Time) (TriggerStats, error)
	WorkflowStats(ctx context.Context, since time.Time) (map[string]WorkflowStats, error)
	LearnedGap(ctx context.Context, trigger string) (time.Duration, error)
	Sightings(ctx context.Context, trigger string, since time.Time) (Sightings, error)
	InletState(ctx context.Context, trigger, inlet string) (InletState, error)
	SecretUses(context.Context) ([]SecretUse, error)
	// HasHost reports whether an attempt went to a host; FailedHosts lists the hosts of failed
	// attempts, by name; HostTimes sums the working and waiting time of the last attempts to a
	// host.
	HasHost(ctx context.Context, host string) (bool, error)
	FailedHosts(ctx context.Context) ([]string, error)
	HostTimes(ctx context.Context, host string) (HostTimes, error)
}
