package engine

import (
	"time"
)

// Backlog is the age of waiting events and runs; zero times for none.
type Backlog struct {
	// OldestEvent is when the oldest undecided event was received; OldestRun is when the oldest run
	// that is not running became due.
	OldestEvent, OldestRun time.Time
}

// DiskLow reports whether a disk is nearly full: less than 512 MB free, or less than 5 % where that
// is less than 5 GB.
func DiskLow(free, total int64) bool {
	return free < max(512<<20, min(total/20, 5<<30))
}
