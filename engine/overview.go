package engine

import (
	"time"
)

// Bucket is what happened in a stretch of time.
type Bucket struct {
	At     time.Time `json:"at"`
	Events int       `json:"events"`
	// Runs began in the stretch, whatever became of them later; Failed holds those
	// that failed or timed out, Cancelled and Open the others that did not succeed.
	Runs      int `json:"runs"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Open      int `json:"open"`
	Refused   int `json:"refused"`
}

// Succeeded are the runs of the stretch that ended well.
func (b Bucket) Succeeded() int { return max(0, b.Runs-b.Failed-b.Cancelled-b.Open) }

// Standing is how the whole stands now.
type Standing struct {
	// Inbox are events that no rule has looked at yet; Queued and Waiting runs that
	// are not at work, AtWork those that are.
	Inbox       int `json:"inbox"`
	Queued      int `json:"queued"`
	Waiting     int `json:"waiting"`
	AtWork      int `json:"at_work"`
	DeadLetters int `json:"dead_letters"`
	// RuleFailures are those of the dead letters whose rule could not decide.
	RuleFailures int `json:"rule_failures"`
	// NeedPeople are the runs that wait for a person.
	NeedPeople int `json:"need_people"`
	// OldestEvent is when the oldest event came that no rule has looked at yet, OldestRun
	// since when the oldest run is due that is not at work.
	OldestEvent *time.Time `json:"oldest_event,omitempty"`
	OldestRun   *time.Time `json:"oldest_run,omitempty"`
	// DatabaseBytes and WALBytes are the files' sizes.
	DatabaseBytes int64 `json:"database_bytes"`
	WALBytes      int64 `json:"wal_bytes"`
}

// TriggerStats is how a trigger did since a moment.
type TriggerStats struct {
	Events  int        `json:"events"`
	Refused int        `json:"refused"`
	LastAt  *time.Time `json:"last_at,omitempty"`
}

// WorkflowStats is how a workflow did since a moment. Took are the seconds of its last
// runs that ended, from when they were made; Worked is the part in which they were at
// work, Waited the rest.
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

// Ended are the runs that succeeded or failed; cancelling is neither.
func (s WorkflowStats) Ended() int { return max(0, s.Runs-s.Open-s.Cancelled) }

// Success is the share of them that succeeded; ok is false when none has ended.
func (s WorkflowStats) Success() (share float64, ok bool) {
	n := s.Ended()
	if n == 0 {
		return 0, false
	}
	return 1 - float64(min(s.Failed, n))/float64(n), true
}

// VersionItem is one version that a workflow had here.
type VersionItem struct {
	Version string    `json:"version"`
	FirstAt time.Time `json:"first_at"`
	Text    string    `json:"text,omitempty"`
}

// HostTimes is how the last attempts to a host went.
type HostTimes struct {
	Attempts int     `json:"attempts"`
	Failed   int     `json:"failed"`
	Worked   *Delays `json:"worked,omitempty"`
	Waited   *Delays `json:"waited,omitempty"`
}
