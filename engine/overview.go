package engine

import "time"

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

// WorkflowStats is how a workflow did since a moment. Took are the seconds of its
// last runs, from start to end.
type WorkflowStats struct {
	Runs   int        `json:"runs"`
	Failed int        `json:"failed"`
	Open   int        `json:"open"`
	LastAt *time.Time `json:"last_at,omitempty"`
	Took   *Delays    `json:"took,omitempty"`
}

// SuccessRate is the share of ended runs that did not fail, 1 without any.
func (s WorkflowStats) SuccessRate() float64 {
	if s.Runs <= s.Open {
		return 1
	}
	return 1 - float64(s.Failed)/float64(s.Runs-s.Open)
}

// VersionItem is one version that a workflow had here.
type VersionItem struct {
	Version string    `json:"version"`
	FirstAt time.Time `json:"first_at"`
	Text    string    `json:"text,omitempty"`
}
