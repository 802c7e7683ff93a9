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
	// rhythmEvents and rhythmSpan are how much history a rhythm is learned from at
	// least: it must hold a night, and a weekend when there is one.
	rhythmEvents = 50
	rhythmSpan   = 3 * 24 * time.Hour
	rhythmLeast  = 10 * time.Minute
)

// Quiet is how long the webhook may be quiet: half as long again as it ever was. It is zero
// when there is too little history to tell.
func (g Gaps) Quiet() time.Duration {
	if g.Events < rhythmEvents || g.Last.Sub(g.First) < rhythmSpan {
		return 0
	}
	return max(rhythmLeast, g.Longest*3/2)
}
