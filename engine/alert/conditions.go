package alert

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
)

const (
	// conditionsEvery is how often the conditions that nothing reports are checked.
	conditionsEvery = 15 * time.Second
	// oldBacklog is the age of waiting events or runs that raises an alert.
	oldBacklog = 5 * time.Minute
)

// Changed tracks what became durable: failed runs, rules that cannot be evaluated, and their
// recovery.
func (m *Monitor) Changed(c engine.Change) {
	if c.Mask == nil {
		c.Mask = m.o.Registry.EveryRun()
	}
	switch {
	case c.Decision != nil && c.Decision.Outcome == engine.RuleFailed:
		d, reason := c.Decision, c.Mask.Text(c.Decision.Reason)
		what, fix := "the rule of workflow %s could not be evaluated for %s: %s; ", "fix it, then run "
		if strings.HasPrefix(reason, engine.InvalidFlag) {
			what, fix = "workflow %s does not run for %s: %s; ", "to run it all the same: "
		}
		m.Alert(context.Background(), engine.Alert{Kind: engine.AlertRuleFailed, Trigger: c.Event.Trigger, Subject: d.Workflow,
			Message: fmt.Sprintf(what+fix+"hookloom replay %s --workflow %s", d.Workflow, c.Event.ID, reason, c.Event.ID, d.Workflow),
			Data:    map[string]any{"workflow": d.Workflow, "event": c.Event.ID.String(), "error": reason}})
	case c.Decision != nil:
		m.AlertOver(engine.AlertRuleFailed, c.Decision.Workflow)
	case c.Run != nil && c.Run.Status.Ended():
		m.noteEnd(c.Run, c.Mask)
	}
}

func (m *Monitor) noteEnd(r *engine.Run, mask *redact.Masker) {
	m.AlertOver(engine.AlertApprovalWaiting, r.ID.String())
	switch r.Status {
	case engine.Succeeded:
		m.AlertOver(engine.AlertRunFailed, r.Workflow)
	case engine.Failed, engine.TimedOut:
		why := plan.Error{Message: string(r.Status)}
		if r.Error != nil {
			why = *r.Error
		}
		m.Alert(context.Background(), engine.Alert{Kind: engine.AlertRunFailed, Subject: r.Workflow,
			Message: fmt.Sprintf("a run of workflow %s has %s: %s", r.Workflow, ended(r.Status), mask.Text(why.Message)),
			Data: map[string]any{"workflow": r.Workflow, "run": r.ID.String(), "run_url": m.o.RunURL(r.ID), "status": string(r.Status),
				"step": why.Step, "code": why.Code}})
	}
}

func ended(s engine.RunStatus) string {
	if s == engine.TimedOut {
		return "timed out"
	}
	return string(s)
}

// AwaitsPerson tracks a waiting run: it waits for a person if there is a question.
func (m *Monitor) AwaitsPerson(r *engine.Run, q *plan.Question, mask *redact.Masker) {
	if q == nil {
		m.AlertOver(engine.AlertApprovalWaiting, r.ID.String())
		return
	}
	m.Alert(context.Background(), engine.Alert{Kind: engine.AlertApprovalWaiting, Subject: r.ID.String(),
		Message: fmt.Sprintf("run %s of workflow %s waits for a person: %s", r.ID, r.Workflow, mask.Text(q.Text)),
		Data:    map[string]any{"workflow": r.Workflow, "run": r.ID.String(), "run_url": m.o.RunURL(r.ID), "step": q.Path, "question": q.Kind}})
}

// RunConditions checks, until ctx ends, the conditions that nothing reports: the disk, the age of
// the backlog, hosts that do not answer, refusals that have ended.
func (m *Monitor) RunConditions(ctx context.Context) {
	every := time.NewTicker(m.o.Every)
	defer every.Stop()
	for {
		m.lookAtConditions(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func (m *Monitor) lookAtConditions(ctx context.Context, now time.Time) {
	for _, trigger := range m.refusals.over(now) {
		m.AlertOver(engine.AlertRefusals, trigger)
	}
	if m.o.Disk != nil {
		if free, total, err := m.o.Disk(); err == nil && engine.DiskLow(free, total) {
			m.Alert(ctx, engine.Alert{Kind: engine.AlertDiskLow,
				Message: fmt.Sprintf("%d MB are free on the database's disk; when it is full, deliveries are answered with 503: "+
					"free some space, or run hookloom prune", free>>20),
				Data: map[string]any{"free_bytes": free, "total_bytes": total}})
		} else if err == nil {
			m.AlertOver(engine.AlertDiskLow, "")
		}
	}
	if engine.Leads(ctx, m.o.Store, "conditions") {
		m.lookAtBacklog(ctx, now)
	}
	m.lookAtHosts(ctx)
	m.closeLeftOver()
	m.closeAbandoned(ctx)
}

// closeLeftOver closes alerts that nothing reports any more: those of removed workflows and
// triggers, and of refusals counted by the last process.
func (m *Monitor) closeLeftOver() {
	p := m.o.Registry.Snapshot()
	if p == nil {
		return
	}
	for _, a := range m.OpenAlerts() {
		over := false
		switch a.Kind {
		case engine.AlertRunFailed, engine.AlertRuleFailed:
			over = p.Workflows[a.Subject] == nil
		case engine.AlertRefusals:
			over = !m.refusals.counts(a.Subject)
		case engine.AlertShapeChanged:
			over = p.Triggers[a.Trigger] == nil
		case engine.AlertSilence, engine.AlertPollFailing, engine.AlertWebhookMissed:
			over = p.Triggers[a.Subject] == nil
		}
		if over {
			m.AlertOver(a.Kind, a.Subject)
		}
	}
}

func (m *Monitor) lookAtBacklog(ctx context.Context, now time.Time) {
	b, err := m.o.Store.Backlog(ctx, now)
	if err != nil {
		return // it is asked again
	}
	oldest, what := time.Duration(0), ""
	for x, at := range map[string]time.Time{"an event has waited to be decided": b.OldestEvent,
		"a run that is due has waited to begin": b.OldestRun} {
		if age := now.Sub(at); !at.IsZero() && age > oldest {
			oldest, what = age, x
		}
	}
	if oldest < oldBacklog {
		m.AlertOver(engine.AlertBacklogOld, "")
		return
	}
	m.Alert(ctx, engine.Alert{Kind: engine.AlertBacklogOld, Message: fmt.Sprintf("%s for %s", what, oldest.Round(time.Second)),
		Data: map[string]any{"seconds": int(oldest.Seconds())}})
}

func (m *Monitor) lookAtHosts(ctx context.Context) {
	for _, d := range m.o.Destinations() {
		if !d.Down() {
			m.AlertOver(engine.AlertCircuitOpen, d.Name)
			continue
		}
		m.Alert(ctx, engine.Alert{Kind: engine.AlertCircuitOpen, Subject: d.Name,
			Message: fmt.Sprintf("%s does not answer (%s); %d attempts wait", d.Name, d.Last, d.Waiting),
			Data:    map[string]any{"host": d.Name, "waiting": d.Waiting, "last_failure": d.Last}})
	}
	known := map[string]bool{}
	for _, d := range m.o.Destinations() {
		known[d.Name] = true
	}
	for _, a := range m.OpenAlerts() {
		if a.Kind == engine.AlertCircuitOpen && !known[a.Subject] {
			m.AlertOver(a.Kind, a.Subject)
		}
	}
}
