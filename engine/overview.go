package engine

import (
	"time"
)

// Bucket is what happened in a period of time.
type Bucket struct {
	At     time.Time `json:"at"`
	Events int       `json:"events"`
	// Runs began in the period, however they ended later; Failed are those that failed or timed
	// out, Cancelled and Open the others that did not succeed.
	Runs      int `json:"runs"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Open      int `json:"open"`
	Refused   int `json:"refused"`
}

// Succeeded is the number of runs of the period that succeeded.
func (b Bucket) Succeeded() int { return max(0, b.Runs-b.Failed-b.Cancelled-b.Open) }

// CurrentState is the current state of the system.
type CurrentState struct {
	// Inbox is the number of undecided events; Queued and Waiting are runs that are not running,
	// AtWork those that are.
	Inbox       int `json:"inbox"`
	Queued      int `json:"queued"`
	Waiting     int `json:"waiting"`
	AtWork      int `json:"at_work"`
	DeadLetters int `json:"dead_letters"`
	// RuleFailures are the dead letters whose rule could not be evaluated.
	RuleFailures int `json:"rule_failures"`
	// NeedPeople is the number of runs that wait for a person.
	NeedPeople int `json:"need_people"`
	// OldestEvent is when the oldest undecided event was received, OldestRun when the oldest run
	// that is not running became due.
	OldestEvent *time.Time `json:"oldest_event,omitempty"`
	OldestRun   *time.Time `json:"oldest_run,omitempty"`
	// DatabaseBytes and WALBytes are the files' sizes. HasWAL is false on PostgreSQL, whose log is that of
	// the whole server.
	DatabaseBytes int64 `json:"database_bytes"`
	WALBytes      int64 `json:"wal_bytes"`
	HasWAL        bool  `json:"-"`
}

// TriggerStats are the figures of a trigger since a time.
type TriggerStats struct {
	Events  int        `json:"events"`
	Refused int        `json:"refused"`
	LastAt  *time.Time `json:"last_at,omitempty"`
}

// WorkflowStats are the figures of a workflow since a time. Took are the durations in seconds of
// its last ended runs, from their creation; Worked is the part in which they were running, Waited
// the rest.
type WorkflowStats struct {
	Runs      int        `json:"runs"`
	Failed    int        `json:"failed"`
	Open      int        `json:"open"`
	Cancelled int        `json:"cancelled"`
	LastAt    *time.Time `json:"last_at,omitempty"`
	Took      *Delays    `json:"took,omitempty"`
	Worked    *Delays    `json:"worked,omitempty"`
	Waited    *Delays    `json:"waited,omitempty"`
}

// Ended is the number of runs that succeeded or failed; cancelled runs do not count.
func (s WorkflowStats) Ended() int { return max(0, s.Runs-s.Open-s.Cancelled) }

// Success is the share of them that succeeded; ok is false if none has ended.
func (s WorkflowStats) Success() (share float64, ok bool) {
	n := s.Ended()
	if n == 0 {
		return 0, false
	}
	return 1 - float64(min(s.Failed, n))/float64(n), true
}

// VersionItem is one version of a workflow in this installation.
type VersionItem struct {
	Version string    `json:"version"`
	FirstAt time.Time `json:"first_at"`
	Text    string    `json:"text,omitempty"`
}

// HostTimes are the durations of the last attempts to a host.
type HostTimes struct {
	Attempts int     `json:"attempts"`
	Failed   int     `json:"failed"`
	Worked   *Delays `json:"worked,omitempty"`
	Waited   *Delays `json:"waited,omitempty"`
}
