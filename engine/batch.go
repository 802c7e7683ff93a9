package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// BatchID names a batch: bat_ and 16 hex digits, in the order of time.
type BatchID int64

// String gives bat_ and 16 hex digits.
func (id BatchID) String() string { return idText("bat_", int64(id)) }

// ParseBatchID reads bat_ and 16 hex digits.
func ParseBatchID(s string) (BatchID, error) {
	n, err := parseID(s, "bat_")
	return BatchID(n), err
}

// The states of a batch.
const (
	BatchRunning   = "running"
	BatchPaused    = "paused"
	BatchDone      = "done"
	BatchCancelled = "cancelled"
)

// Selection says which stored events are decided again, and for which workflows.
type Selection struct {
	// Trigger is where the events came from; empty for all triggers of Workflow.
	Trigger string `json:"trigger,omitempty"`
	// Workflow is the one that decides; empty for all that listen to Trigger today.
	Workflow string `json:"workflow,omitempty"`
	// Statuses are what the workflow's last decision about the event is, unmatched for
	// none; empty for all that made no run.
	Statuses []string  `json:"status,omitempty"`
	Since    time.Time `json:"since"`
	// Until is the end, not included.
	Until time.Time `json:"until"`
	// Again makes a run also where there is one.
	Again bool `json:"again,omitempty"`
}

// Outcomes are what the decisions about an event may be looked for by.
var Outcomes = []string{"matched", "filtered", "skipped", "rule_failed", "dropped", "disabled", "held", "folded", "unmatched"}

// The bounds of a batch's rate, in runs a second.
const (
	DefaultRate = 20
	MaxRate     = 1000
)

// Batch is an order to decide many events again, and how far it has come.
type Batch struct {
	ID     string    `json:"id,omitzero"`
	At     time.Time `json:"at,omitzero"`
	By     string    `json:"by,omitempty"`
	State  string    `json:"state,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Selection
	// Rate is how many runs begin in a second.
	Rate int `json:"rate"`
	// Total is how many events there are to look at; Looked how many were.
	Total  int `json:"total"`
	Looked int `json:"looked"`
	// Runs were made. NotMatched is where today's rule says no, Failed where it cannot
	// be asked, Known where there was a run.
	Runs       int        `json:"runs"`
	NotMatched int        `json:"not_matched"`
	Failed     int        `json:"failed"`
	Known      int        `json:"known"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Cursor is the last event that is done; End the first that is not taken.
	Cursor, End EventID `json:"-"`
}

// BatchStep is the progress of a batch, stored with what it decided.
type BatchStep struct {
	ID     BatchID
	Cursor EventID
	// Looked events were looked at; Failed could not be read; Known had a run.
	Looked, Failed, Known int
	Done                  bool
	At                    time.Time
}

// DecidedState is what is on record of an event's decisions.
type DecidedState struct {
	Event EventID
	// Pending tells that it waits for its first decision.
	Pending  bool
	Outcomes map[string]Outcome
	// Ran are the workflows that have had a run for it.
	Ran []string
}

// normalize checks a selection against the project.
func (e *Engine) normalize(s *Selection, now time.Time) error {
	p := e.project.Load()
	for _, status := range s.Statuses {
		if !slices.Contains(Outcomes, status) || status == "matched" && !s.Again {
			return fmt.Errorf("%w: unknown status %q; use one of %s", ErrQuery, status, strings.Join(Outcomes[1:], ", "))
		}
	}
	if s.Since.IsZero() {
		return fmt.Errorf("%w: since is missing: give one, such as 30d", ErrQuery)
	}
	if s.Until.IsZero() || s.Until.After(now) {
		s.Until = now
	}
	if !s.Since.Before(s.Until) {
		return fmt.Errorf("%w: since must be before until", ErrQuery)
	}
	w := p.Workflows[s.Workflow]
	switch {
	case s.Workflow == "" && s.Trigger == "":
		return fmt.Errorf("%w: give a trigger or a workflow", ErrQuery)
	case s.Workflow != "" && w == nil:
		return fmt.Errorf("%w: there is no workflow %q; there are %s", ErrQuery, s.Workflow,
			strings.Join(slices.Sorted(maps.Keys(p.Workflows)), ", "))
	case w != nil && p.resting[w.ID]:
		return e.offError(p, w.ID)
	case w != nil && s.Trigger != "" && !slices.Contains(e.triggersOf(*s), s.Trigger):
		return fmt.Errorf("%w: workflow %s does not listen to trigger %s", ErrQuery, s.Workflow, s.Trigger)
	case w == nil && len(p.byTrigger[s.Trigger]) == 0:
		return fmt.Errorf("%w: no workflow listens to a trigger %q", ErrQuery, s.Trigger)
	}
	return nil
}

// triggersOf are the triggers whose events a selection takes. The events about the ends
// of other runs are under the workflow's own name.
func (e *Engine) triggersOf(s Selection) []string {
	if s.Trigger != "" && s.Workflow == "" {
		return []string{s.Trigger}
	}
	names := []string{s.Workflow}
	if w := e.project.Load().Workflows[s.Workflow]; w != nil {
		for _, st := range w.Starts {
			if st.Kind == "trigger" {
				names = append(names, st.Trigger)
			}
		}
		if !slices.ContainsFunc(w.Starts, func(st workflows.Start) bool { return len(st.Workflows) > 0 || st.Kind == "manual" }) {
			names = names[1:]
		}
	}
	if s.Trigger != "" && slices.Contains(names, s.Trigger) {
		return []string{s.Trigger}
	}
	return names
}

// takes lists the workflows that a selection has decide about an event.
func (p *loaded) takes(s Selection, ev *Event, at DecidedState) (take []listener, known int) {
	if at.Pending {
		return nil, 0
	}
	for _, l := range p.listeners(&ev.Delivery) {
		id := l.workflow.ID
		if s.Workflow != "" && id != s.Workflow || p.resting[id] {
			continue
		}
		outcome := cmp.Or(string(at.Outcomes[id]), "unmatched")
		if len(s.Statuses) > 0 && !slices.Contains(s.Statuses, outcome) {
			continue
		}
		if !s.Again && (outcome == string(Matched) || slices.Contains(at.Ran, id)) {
			known++
			continue
		}
		take = append(take, l)
	}
	return take, known
}

// StartBatch orders that events are decided again, at a rate of runs a second.
func (e *Engine) StartBatch(ctx context.Context, s Selection, rate int, by string) (*Batch, error) {
	now := time.Now().UTC()
	if err := e.normalize(&s, now); err != nil {
		return nil, err
	}
	if rate == 0 {
		rate = DefaultRate
	}
	if rate < 0 || rate > MaxRate {
		return nil, fmt.Errorf("%w: rate must be from 1 to %d runs a second", ErrQuery, MaxRate)
	}
	b := &Batch{ID: BatchID(e.ids.Next()).String(), At: now, By: e.o.Redactor.Text(cmp.Or(by, "somebody")), State: BatchRunning,
		Selection: s, Rate: rate}
	b.Cursor, b.End = EventID(FirstID(s.Since)-1), EventID(FirstID(s.Until))
	var err error
	if b.Total, err = e.o.Store.CountEvents(ctx, e.triggersOf(s), b.Cursor, b.End); err != nil {
		return nil, fmt.Errorf("counting events: %w", err)
	}
	if err := e.o.Store.AddBatch(ctx, b); err != nil {
		return nil, fmt.Errorf("storing the batch: %w", err)
	}
	e.pokeBatches()
	return b, nil
}

// ErrBatchState means that a batch is not in a state in which the order makes sense.
var ErrBatchState = errors.New("that is not possible in this state")

// ChangeBatch pauses, resumes or cancels a batch: to is its new state. An order that
// changes nothing is no error.
func (e *Engine) ChangeBatch(ctx context.Context, id BatchID, to string) (*Batch, error) {
	from := map[string][]string{BatchPaused: {BatchRunning}, BatchRunning: {BatchPaused}, BatchCancelled: {BatchRunning, BatchPaused}}[to]
	_, err := e.o.Store.ChangeBatch(ctx, id, from, to, "", time.Now().UTC())
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", id, err)
	}
	b, err := e.o.Store.Batch(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", id, err)
	}
	if b.State != to {
		return nil, fmt.Errorf("batch %s is %s: %w", id, b.State, ErrBatchState)
	}
	e.pokeBatches()
	return b, nil
}

// Batches lists the batches, the newest first.
func (e *Engine) Batches(ctx context.Context) ([]Batch, error) { return e.o.Store.Batches(ctx, "") }

// Batch gives one.
func (e *Engine) Batch(ctx context.Context, id BatchID) (*Batch, error) {
	return e.o.Store.Batch(ctx, id)
}
