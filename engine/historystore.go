package engine

import (
	"context"
	"time"
)

// History is the record as people read it. Its users are the console, telemetry and the
// commands that only read. It never writes, and may be read beside a running server. Secrets
// are masked in it. A query that has no answer returns an error that wraps ErrQuery; an
// id without a row ErrNotFound.
type History interface {
	EventHistory
	RunHistory
	LiveHistory
	StatHistory
	// Quarantine lists refused deliveries, the newest first; Refusal loads one with its body.
	Quarantine(context.Context, Query) ([]RefusalItem, error)
	Refusal(ctx context.Context, id string) (*RefusalItem, []byte, error)
	CountRefusals(context.Context, Query, *Page[RefusalItem]) error
	// AuditPage lists what people did, the newest first.
	AuditPage(context.Context, Query) (Page[AuditEntry], error)
	CountAudit(context.Context, Query, *Page[AuditEntry]) error
	// Values lists kept values by workflow and key; Value returns one.
	Values(context.Context, ValueQuery) ([]ValueItem, error)
	Value(ctx context.Context, ref ValueRef, now time.Time) (ValueItem, error)
}

// EventHistory lists events and their decisions. Count methods fill in how many there are in
// all, as far as that is cheap.
type EventHistory interface {
	EventPage(context.Context, Query) (Page[EventItem], error)
	EventDetail(context.Context, EventID) (*EventDetail, error)
	CountEvents(context.Context, Query, *Page[EventItem]) error
	// HasName reports whether the history knows a workflow or a trigger.
	HasName(ctx context.Context, workflow, trigger string) (bool, error)
	// Missed counts what a workflow missed while it was off, and what is held for it.
	Missed(ctx context.Context, workflow string) (Switched, error)
}

// RunHistory lists runs and what has to be done about them.
type RunHistory interface {
	RunPage(context.Context, Query) (Page[RunItem], error)
	RunOne(context.Context, RunID) (RunItem, error)
	RunDetail(context.Context, RunID) (*RunDetail, error)
	CountRuns(context.Context, Query, *Page[RunItem]) error
	// DeadLetters lists failed runs and failed rules, DeadGroups the same by cause.
	DeadLetters(context.Context, Query) (Page[DeadLetter], error)
	DeadGroups(context.Context, Query) ([]DeadGroup, error)
	CountDead(context.Context, Query, *Page[DeadLetter]) error
	// NeedsPeople counts runs that wait for a person, up to a number; InDoubt counts runs of a list with calls
	// whose effect is not known.
	NeedsPeople(context.Context) (int, error)
	InDoubt(ctx context.Context, runs []string) (int, error)
	// Versions lists the versions of a workflow, the newest first.
	Versions(ctx context.Context, workflow string) ([]VersionItem, error)
	VersionText(ctx context.Context, version string) (string, error)
}

// LiveHistory is what live readers follow: the feed, which lists changes in the order of
// their commits, and the lines of what is in it.
type LiveHistory interface {
	// FeedEnd is the position of the newest change; 0 for none.
	FeedEnd(context.Context) (Cursor, error)
	// Feed lists changes after a position. It returns ErrFeedGone when changes after the
	// position may be missing; MissedChanges then finds them by time, and says with which
	// position the feed goes on.
	Feed(ctx context.Context, after Cursor, limit int) ([]FeedChange, error)
	MissedChanges(ctx context.Context, since Cursor) ([]FeedChange, Cursor, error)
	// FeedEvents and FeedRuns load the lines of those that a query selects.
	FeedEvents(context.Context, []EventID, Query) (map[EventID]EventItem, error)
	FeedRuns(ctx context.Context, ids []RunID, runs, events Query) (map[RunID]RunItem, error)
	// RunMark is a text that changes whenever a run does.
	RunMark(context.Context, RunID) (string, error)
}

// StatHistory is what overviews and metrics count.
type StatHistory interface {
	Standing(context.Context) (Standing, error)
	Activity(ctx context.Context, from time.Time, step time.Duration, n int) ([]Bucket, error)
	TriggerStats(ctx context.Context, trigger string, since time.Time) (TriggerStats, error)
	WorkflowStats(ctx context.Context, since time.Time) (map[string]WorkflowStats, error)
	LearnedGap(ctx context.Context, trigger string) (time.Duration, error)
	Sightings(ctx context.Context, trigger string, since time.Time) (Sightings, error)
	InletState(ctx context.Context, trigger, inlet string) (InletState, error)
	SecretUses(context.Context) ([]SecretUse, error)
	// HasHost reports whether an attempt went to a host; FailedHosts lists those of failed
	// attempts, by name; HostTimes sums how long the last attempts to one worked and waited.
	HasHost(ctx context.Context, host string) (bool, error)
	FailedHosts(ctx context.Context) ([]string, error)
	HostTimes(ctx context.Context, host string) (HostTimes, error)
}
