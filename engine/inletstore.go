package engine

import (
	"context"
	"time"
)

// InletStore stores the state of polls and schedules. Its users are the inlets in package triggers,
// through the engine (poll.go, alert.go).
type InletStore interface {
	// Poll stores the items of a poll and its progress, in one transaction: a crash loses no item
	// and repeats none. The receipt of an item that made no event is empty. It may run twice with
	// the same ids: the receipts of events that the first call made are Mine. With other ids the
	// items are known.
	Poll(ctx context.Context, ids []EventID, b *PollBatch) ([]Receipt, error)
	// InletState returns the progress of a poll or a schedule; zero if it never ran.
	InletState(ctx context.Context, trigger, inlet string) (InletState, error)
	// Known reports which keys a poll would not treat as new.
	Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error)
	// SaveDifference stores how the newest delivery of an event by another inlet differs from it;
	// nil means that its data is the same. It may run twice.
	SaveDifference(ctx context.Context, id EventID, inlet Inlet, diff map[string]any) error
	// LastDelivery is when a trigger's webhook delivered its newest event; zero for never.
	LastDelivery(ctx context.Context, trigger string) (time.Time, error)
	// LearnedGap is how long a trigger's webhook may be silent, learned from its history; zero if
	// the history is too short.
	LearnedGap(ctx context.Context, trigger string) (time.Duration, error)
}
