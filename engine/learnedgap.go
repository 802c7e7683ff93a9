package engine

import "time"

// Gaps describes the pauses between the newest deliveries of a webhook.
type Gaps struct {
	// Events is the number of deliveries; First and Last are when the oldest and the newest of them
	// arrived.
	Events      int
	First, Last time.Time
	// Longest is the longest pause between two of them. The current silence does not count.
	Longest time.Duration
}

const (
	// gapEvents and gapSpan are the least history that a gap is learned from: it must include a
	// night, and a weekend if there is one.
	gapEvents = 50
	gapSpan   = 3 * 24 * time.Hour
	gapLeast  = 10 * time.Minute
)

// Quiet is how long the webhook may be silent: 1.5 times the longest pause so far. It is zero if
// the history is too short.
func (g Gaps) Quiet() time.Duration {
	if g.Events < gapEvents || g.Last.Sub(g.First) < gapSpan {
		return 0
	}
	return max(gapLeast, g.Longest*3/2)
}
