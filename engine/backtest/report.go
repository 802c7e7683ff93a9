package backtest

import (
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// Report is the result of a backtest, without the changes, which are passed to Options.Change.
type Report struct {
	// Events is the number of events examined.
	Events int `json:"events"`
	// RunsBefore and RunsAfter are the number of runs on each side; Unchanged is the number that do
	// the same on both.
	RunsBefore int `json:"runs_before"`
	RunsAfter  int `json:"runs_after"`
	Unchanged  int `json:"unchanged"`
	// Assumed is the number of runs in which a recorded answer is used for another request.
	Assumed int `json:"assumed"`
	// Kinds counts the changes by kind.
	Kinds map[string]int `json:"kinds"`
	// Calls are the expected numbers of calls, by host and day.
	Calls []HostDay `json:"calls"`
	// Concurrency is the maximum number of simultaneous runs per workflow.
	Concurrency []Concurrency `json:"concurrency"`
	// Schedules are the schedules whose times the edit changes.
	Schedules []ScheduleCount `json:"schedules"`
	// Limits is what the history does not contain.
	Limits Limits `json:"limits"`
}

// Limits counts what the history does not contain.
type Limits struct {
	// BodiesPruned are events whose body, and with it the answers to their steps, was removed
	// (history: bodies). AnswersPruned are runs without their steps.
	BodiesPruned  int `json:"bodies_pruned"`
	AnswersPruned int `json:"answers_pruned"`
	// Secrets is the number of runs that use secrets, whose values are not recorded: placeholders
	// are used. Masked are runs with partly masked answers.
	Secrets int `json:"secrets"`
	Masked  int `json:"masked"`
	// Open are runs that have not ended, Off events that arrived while the workflow was switched
	// off, Pending events that are not decided yet.
	Open    int `json:"open"`
	Off     int `json:"off"`
	Pending int `json:"pending"`
	// Gathered are events that belong to the run of another event (debounce, batch).
	Gathered int `json:"gathered"`
	// Moved are runs that would start at another time, because of concurrency, rate, debounce or
	// batch; they are simulated at that time.
	Moved int `json:"moved"`
	// Unreproduced are runs whose record the version that ran does not reproduce.
	Unreproduced int `json:"unreproduced"`
}

// HostDay is the number of calls to a host on a day, in UTC.
type HostDay struct {
	Host   string `json:"host"`
	Day    string `json:"day"`
	Before int    `json:"before"`
	After  int    `json:"after"`
}

// Concurrency is the maximum number of simultaneous runs of a workflow.
type Concurrency struct {
	Workflow string `json:"workflow"`
	Before   int    `json:"before"`
	After    int    `json:"after"`
}

// ScheduleCount counts the firings that appear and vanish because the times of a schedule changed.
type ScheduleCount struct {
	Trigger string `json:"trigger"`
	// Schedule is the id of the schedule, empty if it has none.
	Schedule string `json:"schedule"`
	// Before and After are the times as written, with their zone; empty for none.
	Before string `json:"before"`
	After  string `json:"after"`
	// Appear and Vanish count firings that only one side has.
	Appear int `json:"appear"`
	Vanish int `json:"vanish"`
}

// Name identifies the schedule to a person.
func (s ScheduleCount) Name() string { return scheduleName(s.Trigger, s.Schedule) }

func scheduleName(trigger, schedule string) string {
	if schedule == "" {
		return trigger
	}
	return trigger + "/" + schedule
}

// Firing is a firing of a schedule that only one side has.
type Firing struct {
	Trigger string `json:"trigger"`
	// Schedule is the id of the schedule, empty if it has none.
	Schedule string `json:"schedule"`
	// Planned is the time of the schedule, in its zone.
	Planned time.Time `json:"planned"`
	// Appears reports that only the edited schedule fires.
	Appears bool `json:"appears"`

	change *schedule
}

// String identifies the firing to a person.
func (f *Firing) String() string {
	return scheduleName(f.Trigger, f.Schedule) + " " + f.Planned.Format("2006-01-02 15:04:05 -07:00")
}

// Unknown is a run whose outcome cannot be determined.
type Unknown struct {
	// Event is empty for a firing that appears.
	Event    string `json:"event"`
	Workflow string `json:"workflow"`
	Reason   string `json:"reason"`
	// Firing is that of an edited schedule; nil for other events.
	Firing *Firing `json:"firing,omitempty"`
}

// The kinds of changes.
const (
	StartsMatching = "starts_matching"
	StopsMatching  = "stops_matching"
	PathChanged    = "path"
	RequestChanged = "requests"
	ErrorChanged   = "error"
	OutputChanged  = "output"
)

// Change is one event that one workflow treats differently. Kind is the first that applies of:
// starts or stops matching, error, path, requests, output; the other fields contain all
// differences.
type Change struct {
	// Event is empty for a firing that appears, and for what its run makes.
	Event    string   `json:"event"`
	Workflow string   `json:"workflow"`
	Kind     string   `json:"kind"`
	Because  Because  `json:"because"`
	Requests Requests `json:"requests"`
	// Run is the recorded run, empty if there is none.
	Run string `json:"run,omitempty"`
	// Assumed reports whether an answer to another request is used.
	Assumed bool `json:"assumed,omitempty"`
	// Path are the steps whose outcome differs.
	Path   []StepChange `json:"path,omitempty"`
	Error  *ErrorChange `json:"error,omitempty"`
	Output *Values      `json:"output,omitempty"`
	// Cause is what made the event; nil for an event that both sides have.
	Cause *Cause `json:"cause,omitempty"`
	// Firing is that of an edited schedule; nil for other events.
	Firing *Firing `json:"firing,omitempty"`
}

// Subject names the event, or the firing that appears.
func (c Change) Subject() string {
	if c.Event == "" && c.Firing != nil {
		return c.Firing.String()
	}
	return c.Event
}

// Origin says what the change comes from, besides the event: the planned time of a firing that vanishes,
// or the run that makes the event; "" for neither.
func (c Change) Origin() string {
	switch {
	case c.Cause != nil && c.Cause.Step != "":
		return fmt.Sprintf("by %s of %s, step %s", c.Cause.How, c.Cause.Workflow, c.Cause.Step)
	case c.Cause != nil:
		return fmt.Sprintf("by %s of %s", c.Cause.How, c.Cause.Workflow)
	case c.Event != "" && c.Firing != nil:
		return c.Firing.String()
	}
	return ""
}

// Cause is the run that makes an event on one side only, or with other data.
type Cause struct {
	Workflow string `json:"workflow"`
	// Run is the recorded run; empty for one that is only simulated.
	Run string `json:"run,omitempty"`
	// Step is what emits or calls; empty for the end of the run. How is emit, call or workflow_run.
	Step string `json:"step,omitempty"`
	How  string `json:"how"`
}

// because describes an event that only one side has.
func (c *Cause) because(after bool) Because {
	out := Because{Expression: c.Workflow}
	if c.Step != "" {
		out.Expression += ".steps." + c.Step
	}
	if after {
		out.After = c.How
	} else {
		out.Before = c.How
	}
	return out
}

// Because is the smallest expression whose value explains the difference, with its values. Its
// expression is empty if none does.
type Because struct {
	Expression string `json:"expression"`
	Before     any    `json:"before"`
	After      any    `json:"after"`
}

// Requests are those that differ.
type Requests struct {
	Added   []Request       `json:"added"`
	Removed []Request       `json:"removed"`
	Changed []RequestChange `json:"changed"`
}

// Request is one attempt of a step that has an external effect, or that calls a workflow.
type Request struct {
	Step    string         `json:"step"`
	Attempt int            `json:"attempt"`
	Action  string         `json:"action"`
	Host    string         `json:"host,omitempty"`
	Request map[string]any `json:"request"`
}

// RequestChange is a request that differs. Before and After are the inputs of the step; if they are
// equal, and the connector file makes another request of them, that request.
type RequestChange struct {
	Step    string         `json:"step"`
	Attempt int            `json:"attempt"`
	Action  string         `json:"action"`
	Before  map[string]any `json:"before"`
	After   map[string]any `json:"after"`
	// Fields are the parts that differ.
	Fields []FieldChange `json:"fields"`
	// sent reports that Before and After are requests, and not inputs.
	sent bool
}

// FieldChange is a part of a request that differs.
type FieldChange struct {
	Field  string `json:"field"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// StepChange is a step with another outcome. An empty outcome is a step that is not reached.
type StepChange struct {
	Step   string `json:"step"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// ErrorChange is an error that appears, vanishes or differs.
type ErrorChange struct {
	Before *plan.Error `json:"before"`
	After  *plan.Error `json:"after"`
}

// Values are two values.
type Values struct {
	Before any `json:"before"`
	After  any `json:"after"`
}
