package engine

import "time"

// Gaps is what the history knows of the pauses between the newest deliveries of a webhook.
type Gaps struct {
	// Events is how many deliveries it is about; First and Last are when the oldest and the
	// newest of them came.
	Events      int
	First, Last time.Time
	// Longest is the longest pause between two of them. The present silence does not count.
	Longest time.Duration
}

const (
	// gapEvents and gapSpan are how much history a gap is learned from at
	// least: it must hold a night, and a weekend when there is one.
	gapEvents = 50
	gapSpan   = 3 * 24 * time.Hour
	gapLeast  = 10 * time.Minute
)

// Quiet is how long the webhook may be quiet: half as long again as it ever was. It is zero
// when there is too little history to tell.
func (g Gaps) Quiet() time.Duration {
	if g.Events < gapEvents || g.Last.Sub(g.First) < gapSpan {
		return 0
	}
	return max(gapLeast, g.Longest*3/2)
}
