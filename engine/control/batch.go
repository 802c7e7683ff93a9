package control

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// normalize checks a selection against the project.
func (ctl *Control) normalize(s *engine.Selection, now time.Time) error {
	p := ctl.o.Registry.Snapshot()
	s.Again = s.Again || s.SkipDone
	for _, status := range s.Statuses {
		if !slices.Contains(engine.Outcomes, status) || status == "matched" && !s.Again {
			return fmt.Errorf("%w: unknown status %q; use one of %s", engine.ErrQuery, status, strings.Join(engine.Outcomes[1:], ", "))
		}
	}
	if s.Since.IsZero() {
		return fmt.Errorf("%w: since is missing: give one, such as 30d", engine.ErrQuery)
	}
	if s.Until.IsZero() || s.Until.After(now) {
		s.Until = now
	}
	if !s.Since.Before(s.Until) {
		return fmt.Errorf("%w: since must be before until", engine.ErrQuery)
	}
	w := p.Workflows[s.Workflow]
	switch {
	case s.Workflow == "" && s.Trigger == "":
		return fmt.Errorf("%w: give a trigger or a workflow", engine.ErrQuery)
	case s.Workflow != "" && w == nil:
		return fmt.Errorf("%w: there is no workflow %q; there are %s", engine.ErrQuery, s.Workflow,
			strings.Join(slices.Sorted(maps.Keys(p.Workflows)), ", "))
	case w != nil && p.Resting[w.ID]:
		return ctl.offError(p, w.ID)
	case w != nil && s.Trigger != "" && !slices.Contains(ctl.triggersOf(*s), s.Trigger):
		return fmt.Errorf("%w: workflow %s does not listen to trigger %s", engine.ErrQuery, s.Workflow, s.Trigger)
	case w == nil && len(p.ByTrigger[s.Trigger]) == 0:
		return fmt.Errorf("%w: no workflow listens to a trigger %q", engine.ErrQuery, s.Trigger)
	}
	return nil
}

// triggersOf are the triggers whose events a selection includes. Events about the ends of other
// runs are stored under the workflow's own name.
func (ctl *Control) triggersOf(s engine.Selection) []string {
	if s.Trigger != "" && s.Workflow == "" {
		return []string{s.Trigger}
	}
	names := []string{s.Workflow}
	if w := ctl.o.Registry.Snapshot().Workflows[s.Workflow]; w != nil {
		for _, st := range w.Starts {
			if st.Kind == "trigger" {
				names = append(names, st.Trigger)
			}
		}
		if !slices.ContainsFunc(w.Starts, func(st workflows.Start) bool { return len(st.Workflows) > 0 || st.ByHand() }) {
			names = names[1:]
		}
	}
	if s.Trigger != "" && slices.Contains(names, s.Trigger) {
		return []string{s.Trigger}
	}
	return names
}

// takes lists the workflows that decide about an event of a selection.
func takes(p *registry.Snapshot, s engine.Selection, ev *engine.Event, at engine.DecidedState) (take []engine.Listener, known int) {
	if at.Pending {
		return nil, 0
	}
	for _, l := range p.Listeners(&ev.Delivery) {
		id := l.Workflow.ID
		if s.Workflow != "" && id != s.Workflow || p.Resting[id] {
			continue
		}
		outcome := cmp.Or(string(at.Outcomes[id]), "unmatched")
		if len(s.Statuses) > 0 && !slices.Contains(s.Statuses, outcome) {
			continue
		}
		if !s.Again && (outcome == string(engine.Matched) || slices.Contains(at.Ran, id)) {
			known++
			continue
		}
		take = append(take, l)
	}
	return take, known
}

// StartBatch starts deciding events again, at a rate in runs per second.
func (ctl *Control) StartBatch(ctx context.Context, s engine.Selection, rate int, by string) (*engine.Batch, error) {
	now := time.Now().UTC()
	if err := ctl.normalize(&s, now); err != nil {
		return nil, err
	}
	if rate == 0 {
		rate = engine.DefaultRate
	}
	if rate < 1 || rate > engine.MaxRate {
		return nil, fmt.Errorf("%w: rate must be from 1 to %d runs per second", engine.ErrQuery, engine.MaxRate)
	}
	b := &engine.Batch{ID: engine.BatchID(ctl.o.Registry.NextID()).String(), At: now, By: ctl.o.Redactor.Text(cmp.Or(by, "somebody")),
		State:     engine.BatchRunning,
		Selection: s, Rate: rate}
	b.Cursor, b.End = engine.EventID(engine.FirstID(s.Since)-1), engine.EventID(engine.FirstID(s.Until))
	var err error
	if b.Total, err = ctl.o.Store.CountEvents(ctx, ctl.triggersOf(s), b.Cursor, b.End); err != nil {
		return nil, fmt.Errorf("counting events: %w", err)
	}
	if err := ctl.o.Store.AddBatch(ctx, b); err != nil {
		return nil, fmt.Errorf("storing the batch: %w", err)
	}
	ctl.signalBatches()
	return b, nil
}

// ChangeBatch pauses, resumes or cancels a batch: to is its new state. A change to the current
// state is no error.
func (ctl *Control) ChangeBatch(ctx context.Context, id engine.BatchID, to string) (*engine.Batch, error) {
	from := map[string][]string{engine.BatchPaused: {engine.BatchRunning}, engine.BatchRunning: {engine.BatchPaused},
		engine.BatchCancelled: {engine.BatchRunning, engine.BatchPaused}}[to]
	_, err := ctl.o.Store.ChangeBatch(ctx, id, from, to, "", time.Now().UTC())
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", id, err)
	}
	b, err := ctl.o.Store.Batch(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", id, err)
	}
	if b.State != to {
		return nil, fmt.Errorf("batch %s is %s: %w", id, b.State, engine.ErrBatchState)
	}
	ctl.signalBatches()
	return b, nil
}

// Batches lists the batches, newest first.
func (ctl *Control) Batches(ctx context.Context) ([]engine.Batch, error) {
	return ctl.o.Store.Batches(ctx, "")
}

// Batch returns one batch.
func (ctl *Control) Batch(ctx context.Context, id engine.BatchID) (*engine.Batch, error) {
	return ctl.o.Store.Batch(ctx, id)
}
