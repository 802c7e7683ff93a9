package engine

import (
	"time"
)

// Backlog is the age of what waits for its turn; zero times for nothing.
type Backlog struct {
	// OldestEvent was received and is not decided yet; OldestRun is due and does not
	// run yet.
	OldestEvent, OldestRun time.Time
}

// DiskLow tells whether a disk is nearly full: less than 512 MB, or less than a
// twentieth of it where that is less than 5 GB.
func DiskLow(free, total int64) bool {
	return free < max(512<<20, min(total/20, 5<<30))
}
