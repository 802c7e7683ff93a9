package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// Query filters a list. Zero values do not filter.
type Query struct {
	Trigger, Workflow, Type string
	// Status is one or more, separated by commas; so are Reason and WaitsFor.
	Status string
	// Since and Until filter events by receipt, runs by start, and dead letters by their failure.
	// Until is exclusive.
	Since, Until time.Time
	// Host filters runs by a host of their attempts, dead letters by the host that failed: host,
	// host:port or scheme://host.
	Host string
	// Reason filters dead letters by error code, refused deliveries by the reason of the refusal.
	Reason string
	// WaitsFor filters runs by what they wait for: see WaitKinds.
	WaitsFor string
	// Who and Action filter the audit log.
	Who, Action string
	// Grep is text to find in keys, types and bodies (events), or in ids, workflows and errors
	// (runs).
	Grep string
	// After is the id of the last item of the previous page: lists are ordered from the newest to
	// the oldest.
	After string
	// Limit is the page size; 50 by default, at most 1000.
	Limit int
	// Event filters runs by their event.
	Event string
	// Ascending lists from the oldest to the newest, for tail.
	Ascending bool
	// DeadOnly filters runs to dead letters: failed runs that were not replayed.
	DeadOnly bool
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next continues the list when passed as after; empty at its end.
	Next string `json:"next"`
	// Total is the number of matching items on all pages; TotalMore reports that there are more,
	// because counting stopped.
	Total     *int `json:"total,omitempty"`
	TotalMore bool `json:"total_more,omitempty"`
	// SearchedTo is set if a filter without an index scanned so many rows that the search paused
	// there; Next continues it, even if Items are few.
	SearchedTo *time.Time `json:"searched_to,omitempty"`
}

// EventItem is one line of a list of events.
type EventItem struct {
	ID         string    `json:"id"`
	Trigger    string    `json:"trigger"`
	Inlet      Inlet     `json:"inlet"`
	Type       string    `json:"type"`
	Key        string    `json:"key"`
	ReceivedAt time.Time `json:"received_at"`
	Duplicates int       `json:"duplicates"`
	// Identity is what identifies the event: key (of the trigger), provider, header or content;
	// empty if nothing needs to.
	Identity string `json:"identity,omitempty"`
	// RepeatsBodyOf is the earlier event with the same body under another id.
	RepeatsBodyOf string `json:"same_body_as,omitempty"`
	// Conflicts is how many later deliveries had another body or type.
	Conflicts int `json:"conflicts"`
	// Proof is how it was verified: signature, sender, token, certificate or none, and the name of
	// the secret; empty if nothing is recorded.
	Proof Proof `json:"proof,omitempty"`
	// Outcome is matched, or why there is no run; pending until it is decided.
	Outcome string `json:"outcome"`
	// Runs is how many runs the event has.
	Runs int `json:"runs"`
	// Flag describes a problem with its key or body.
	Flag string `json:"flag,omitempty"`
	// RuleFailures is how many workflows could not decide about it.
	RuleFailures int `json:"rule_failures,omitempty"`
	// Test reports a sample of hookloom send or the console.
	Test bool `json:"test,omitempty"`
}

// Shown is the outcome as lists show it: a failed rule is not hidden by a workflow that ran.
func (e EventItem) Shown() string {
	if e.RuleFailures == 0 || e.Outcome == string(RuleFailed) {
		return e.Outcome
	}
	return fmt.Sprintf("%s (%d rule failed)", e.Outcome, e.RuleFailures)
}

// EventDetail is one event with all details.
type EventDetail struct {
	EventItem
	Time    time.Time         `json:"time"`
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	Headers map[string]string `json:"headers"`
	Query   map[string]string `json:"query"`
	Body    json.RawMessage   `json:"body"`
	// Pruned reports that body, headers and inputs were removed by retention.
	Pruned    bool            `json:"pruned,omitempty"`
	Inputs    json.RawMessage `json:"inputs,omitempty"`
	Decisions []DecisionItem  `json:"decisions"`
	// Earlier are superseded decisions, oldest first.
	Earlier []DecisionItem `json:"earlier_decisions,omitempty"`
	// EndedWaits are the steps that waited for the event.
	EndedWaits []EndedWait `json:"ended_waits,omitempty"`
	// EmittedBy is the step that made the event; nil for events that came from outside.
	EmittedBy *Emitted   `json:"emitted_by,omitempty"`
	Sightings []Sighting `json:"sightings"`
	// Conflicting are the later deliveries whose body or type differs, the first 20.
	Conflicting []Conflict `json:"conflicting,omitempty"`
	RunItems    []RunItem  `json:"run_items"`
}

// EndedWait is a step of a run that waited for an event. Without a step, the event ended
// the run itself (cancel_on).
type EndedWait struct {
	Run      string `json:"run"`
	Step     string `json:"step"`
	Workflow string `json:"workflow"`
}

// EndingEvent is an event that ended a wait of a run.
type EndingEvent struct {
	Step       string    `json:"step"`
	Event      string    `json:"event"`
	Trigger    string    `json:"trigger"`
	Key        string    `json:"key"`
	ReceivedAt time.Time `json:"received_at"`
}

// DeadLetter is a run that failed and was not replayed, or, of kind rule_failed, an event for which
// a workflow's rule could not be evaluated: its id is then the event's.
type DeadLetter struct {
	Kind string `json:"kind"`
	RunItem
	Trigger string `json:"trigger,omitempty"`
	Type    string `json:"type,omitempty"`
}

// DecisionItem is what one workflow decided.
type DecisionItem struct {
	Workflow   string          `json:"workflow"`
	Version    string          `json:"version"`
	Outcome    string          `json:"outcome"`
	Reason     string          `json:"reason,omitempty"`
	Conditions json.RawMessage `json:"conditions"`
	Run        string          `json:"run,omitempty"`
	At         time.Time       `json:"at"`
}

// Sighting is a later delivery of an event.
type Sighting struct {
	At    time.Time `json:"at"`
	Inlet Inlet     `json:"inlet"`
	// SameBody reports that the bytes equal those of the first delivery. Delay is the time since
	// the first delivery, in seconds.
	Delay float64 `json:"delay"`
	// Differences are where its data differs from the event's: path to both values.
	Differences json.RawMessage `json:"differences,omitempty"`
	SameBody    bool            `json:"same_body"`
}

// RunItem is one line of a list of runs.
type RunItem struct {
	ID         string     `json:"id"`
	Workflow   string     `json:"workflow"`
	Version    string     `json:"version"`
	Event      string     `json:"event"`
	Status     string     `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	DueAt      *time.Time `json:"due_at,omitempty"`
	Repeats    string     `json:"repeats,omitempty"`
	ReplayedBy string     `json:"replayed_by,omitempty"`
	Error      string     `json:"error,omitempty"`
	// ErrorStep and ErrorCode are the step that failed and its error code.
	ErrorStep string `json:"error_step,omitempty"`
	ErrorCode string `json:"error_code,omitempty"`
	// Warnings is the number of warnings of the run's steps, such as a text with an empty
	// insertion.
	Warnings int `json:"warnings,omitempty"`
	// Warning is one of them: the step, and the problem.
	Warning string `json:"warning,omitempty"`
	// Host is the host of the failed step, or of a waiting run's next attempt.
	Host string `json:"host,omitempty"`
	// WaitsFor is what a run that is neither ended nor running waits for.
	WaitsFor string `json:"waits_for,omitempty"`
	// EventKey and EventType are those of its event.
	EventKey  string `json:"event_key,omitempty"`
	EventType string `json:"event_type,omitempty"`
	// Test reports that its event is a sample of hookloom send or the console.
	Test bool `json:"test,omitempty"`
	// WorkedMS is its working time; WaitedMS is the rest of the time from its creation to its end,
	// or to now while it waits.
	WorkedMS int64 `json:"worked_ms"`
	WaitedMS int64 `json:"waited_ms"`
}

// RunDetail is one run with all details.
type RunDetail struct {
	RunItem
	Output    json.RawMessage `json:"output"`
	ErrorFull json.RawMessage `json:"error_detail,omitempty"`
	Text      string          `json:"text,omitempty"`
	Steps     []StepItem      `json:"steps"`
	Answers   []AnswerItem    `json:"answers,omitempty"`
	// CalledBy is the run that called this one; Calls are the runs that it waits for.
	CalledBy string       `json:"called_by,omitempty"`
	Calls    []CalledItem `json:"calls,omitempty"`
	// EndedBy are the events that ended waits of the run.
	EndedBy   []EndingEvent `json:"ended_by,omitempty"`
	EventItem EventItem     `json:"event_item"`
	Decision  *DecisionItem `json:"decision,omitempty"`
	// Emitted are the events that its steps emitted, the first 1000.
	Emitted []EmittedEvent `json:"emitted,omitempty"`
	// KeptKeys are the steps that reuse an idempotency key of the run that this one continues:
	// their call was in doubt.
	KeptKeys []string `json:"kept_keys,omitempty"`
	// ReplayedAs are the runs that repeat this one.
	ReplayedAs []string `json:"replayed_as,omitempty"`
	// Queue is set while the run waits for a concurrency slot.
	Queue *QueueItem `json:"queue,omitempty"`
	// Held reports that the run begins when its workflow is switched on.
	Held bool `json:"held,omitempty"`
	// Gathering is set while the run gathers events (debounce, batch).
	Gathering *GatheringItem `json:"gathering,omitempty"`
	// Keys are what idempotency keys are derived from.
	Keys RunKeys `json:"-"`
	// Events are the run's further events: those of a batch, or those that a debounce folded into
	// it. At most 1000 are listed; EventCount is their number.
	Events     []string `json:"events,omitempty"`
	EventCount int      `json:"event_count,omitempty"`
}

// GatheringItem is how a run gathers events.
type GatheringItem struct {
	Kind string `json:"kind"`
	Key  string `json:"key,omitempty"`
	// Events is the number so far, DueAt when the run begins if no more arrive.
	Events int       `json:"events"`
	DueAt  time.Time `json:"due_at"`
}

// Problem is a short text for lists: the run's error, else a warning.
func (i RunItem) Problem() string {
	switch {
	case i.Error != "" || i.Warnings == 0:
		return i.Error
	case i.Warnings == 1:
		return "warning: " + i.Warning
	}
	return fmt.Sprintf("%d warnings: %s", i.Warnings, i.Warning)
}

// QueueItem is the position of a run that waits for a concurrency slot.
type QueueItem struct {
	Group string `json:"group"`
	// AtWork runs of the group have begun; Ahead wait before this one.
	AtWork int `json:"at_work"`
	Ahead  int `json:"ahead"`
	// Holders are the runs that have begun, oldest first, at most three.
	Holders []SlotHolder `json:"holders"`
}

// GoesOn describes when an open run continues, and how to answer it if it waits for a person. Times
// are in zone.
func (d *RunDetail) GoesOn(zone *time.Location) string {
	if d.DueAt == nil && d.Status != string(Waiting) && d.Status != string(Queued) {
		return ""
	}
	if d.Held {
		return "when its workflow is switched on: hookloom enable " + d.Workflow
	}
	if g := d.Gathering; g != nil {
		if g.Kind == workflows.Batch {
			return fmt.Sprintf("%s, or when the batch is full; it has %d so far", clock(g.DueAt, zone), g.Events)
		}
		return fmt.Sprintf("%s, or later if another event with its key comes (debounce); there are %d so far", clock(g.DueAt, zone), g.Events)
	}
	if q := d.Queue; q != nil {
		return q.goesOn(zone)
	}
	for _, s := range d.Steps {
		var what struct {
			Approval, Event, Key, Workflow, Destination string
			By                                          []string
			Any                                         []struct{ Event, Key string }
			Until                                       time.Time
		}
		if s.Status != "waiting" || json.Unmarshal(s.Output, &what) != nil {
			continue
		}
		end := ""
		if !what.Until.IsZero() {
			end = ", else the step fails at " + clock(what.Until, zone)
		}
		var events []string
		for _, x := range what.Any {
			if x.Event != "" {
				events = append(events, "with the event of "+x.Event+" whose key is "+x.Key)
			}
		}
		switch {
		case what.Approval != "":
			return strings.Join(append(events, "when it is answered"+byWhom(what.By)+": hookloom approve "+d.ID+" --step "+s.Path), ", or ") + end
		case len(events) > 0:
			return strings.Join(events, ", or ") + end
		case what.Event != "":
			return "with the event of " + what.Event + " whose key is " + what.Key + end
		case what.Destination != "":
			return "when its destination is available: " + what.Destination
		case what.Workflow != "":
			return "when " + d.calledRun(s.Path, what.Workflow) + " ends" + end
		}
	}
	switch {
	case d.DueAt == nil && d.Status == string(Queued):
		return ""
	case d.DueAt == nil:
		return "when the attempt in doubt is answered: hookloom approve " + d.ID + " --review resend, done or fail"
	}
	return clock(*d.DueAt, zone)
}

func clock(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("2006-01-02 15:04:05.000Z07:00")
}

// AnswerItem is a person's answer to a waiting step.
type AnswerItem struct {
	Path    string `json:"path"`
	Attempt int    `json:"attempt"`
	Verdict string `json:"verdict"`
	By      string `json:"by,omitempty"`
	Comment string `json:"comment,omitempty"`
	// Proof is how the name was proved: token or link; empty for an unproved name.
	Proof string    `json:"proof,omitempty"`
	At    time.Time `json:"at"`
}

// StepItem is one attempt of a step.
type StepItem struct {
	Path       string     `json:"path"`
	Action     string     `json:"action"`
	Attempt    int        `json:"attempt"`
	Status     string     `json:"status"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	// Destination is the host that the attempt went to, or waits for.
	Destination string `json:"destination,omitempty"`
	// WaitedMS is how long it waited since StartedAt, WorkedMS its working time after that.
	WaitedMS int64           `json:"waited_ms"`
	WorkedMS int64           `json:"worked_ms"`
	Input    json.RawMessage `json:"input"`
	Output   json.RawMessage `json:"output"`
	Error    json.RawMessage `json:"error"`
	// Kept reports that an earlier run made the attempt, and a replay from the failed step kept it.
	// KeptFrom is that run; it is empty if it was pruned.
	Kept     bool   `json:"kept,omitempty"`
	KeptFrom string `json:"kept_from,omitempty"`
	// Origin is what the request of a kept attempt is computed from; nil for others.
	Origin *StepOrigin `json:"-"`
	// Warnings are about what it sent, such as a text with an empty insertion.
	Warnings []string `json:"warnings,omitempty"`
	// Request and Response are those of an attempt that speaks HTTP.
	Request  *SentRequest  `json:"request,omitempty"`
	Response *SentResponse `json:"response,omitempty"`
}

// RefusalItem is one refused delivery.
type RefusalItem struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Trigger string    `json:"trigger"`
	Reason  string    `json:"reason"`
	Detail  string    `json:"detail,omitempty"`
	// Diagnosis is what would have made it valid, found by trying.
	Diagnosis string            `json:"diagnosis,omitempty"`
	Remote    string            `json:"remote,omitempty"`
	Method    string            `json:"method"`
	Path      string            `json:"path"`
	URL       string            `json:"url,omitempty"`
	Headers   map[string]string `json:"headers"`
	// Size is the body's length in bytes, Kept the length of the stored part.
	Size int    `json:"size"`
	Kept int    `json:"kept"`
	Body string `json:"body,omitempty"`
	// Event is the event that it became, if it was admitted later.
	Event string `json:"event,omitempty"`
}

// InletHealth is the state of a poll or reconciliation, for people.
type InletHealth struct {
	Inlet    string     `json:"inlet"`
	AskedAt  *time.Time `json:"asked_at,omitempty"`
	OKAt     *time.Time `json:"ok_at,omitempty"`
	Failures int        `json:"failures"`
	Error    string     `json:"error,omitempty"`
	Cursor   string     `json:"cursor,omitempty"`
}

// Health describes a state in words.
func (st InletState) Health(inlet string) InletHealth {
	h := InletHealth{Inlet: inlet, Failures: st.Failures, Error: st.Error, Cursor: string(st.Cursor)}
	if !st.AskedAt.IsZero() {
		h.AskedAt = &st.AskedAt
	}
	if !st.OKAt.IsZero() {
		h.OKAt = &st.OKAt
	}
	return h
}
