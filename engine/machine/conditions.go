package machine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
)

const (
	// conditionsEvery is how often conditions are looked at that nothing reports.
	conditionsEvery = 15 * time.Second
	// oldBacklog is the age from which what waits for its turn is an alert.
	oldBacklog = 5 * time.Minute
	// refusalWindow is the stretch over which refused deliveries are counted, and
	// fewRefusals the number below which they never are an alert: a scanner's visit.
	refusalWindow = 5 * time.Minute
	fewRefusals   = 10
)

// refusalRate follows how many of a trigger's deliveries are refused.
type refusalRate struct {
	// began is when the window at hand began, and count what it holds so far.
	began time.Time
	count int
	// usual is the average of the windows before it, the newest weighing most.
	usual float64
	// risen tells that the trigger is over its usual number.
	risen bool
}

// refusalRates are those of all triggers.
type refusalRates struct {
	mu        sync.Mutex
	byTrigger map[string]*refusalRate
}

// add counts a refused delivery and tells whether the trigger rises by it.
func (x *refusalRates) add(trigger string, now time.Time) (count int, usual float64, risen bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.byTrigger[trigger]
	if r == nil {
		r = &refusalRate{began: now}
		if x.byTrigger == nil {
			x.byTrigger = map[string]*refusalRate{}
		}
		x.byTrigger[trigger] = r
	}
	r.roll(now)
	r.count++
	if !r.risen && r.count >= fewRefusals && float64(r.count) > 3*r.usual {
		r.risen = true
		return r.count, r.usual, true
	}
	return r.count, r.usual, false
}

// roll closes the windows that are over. A window of a risen trigger does not
// count: a flood that lasts is not what the trigger is used to.
func (r *refusalRate) roll(now time.Time) {
	for i := 0; now.Sub(r.began) >= refusalWindow && i < 100; i++ {
		calm := r.count < fewRefusals || float64(r.count) <= 2*r.usual
		if !r.risen || calm {
			r.usual += (float64(r.count) - r.usual) / 12
		}
		r.risen = r.risen && !calm
		r.count, r.began = 0, r.began.Add(refusalWindow)
	}
	if now.Sub(r.began) >= refusalWindow {
		r.began, r.usual = now, 0
	}
}

// over lists the triggers that are back at their usual number.
func (x *refusalRates) over(now time.Time) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for trigger, r := range x.byTrigger {
		if r.roll(now); !r.risen {
			out = append(out, trigger)
		}
	}
	return out
}

// counts tells whether a trigger's refusals are counted in this process.
func (x *refusalRates) counts(trigger string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byTrigger[trigger] != nil
}

// noteRefusal follows refused deliveries of a trigger.
func (e *Engine) noteRefusal(r engine.Refusal) {
	if r.Trigger == "" {
		return // an unknown path: anybody may ask for one
	}
	count, usual, risen := e.refusals.add(r.Trigger, time.Now())
	if risen {
		e.Alert(context.Background(), engine.Alert{Kind: engine.AlertRefusals, Trigger: r.Trigger,
			Message: fmt.Sprintf("%d deliveries of trigger %s were refused within %s, usually %.0f; the last one: %s", count,
				r.Trigger, refusalWindow, usual, r.Reason),
			Data: map[string]any{"count": count, "usual": usual, "reason": r.Reason}})
	}
}

// noteChange follows what became durable: runs that fail, rules that cannot be
// evaluated, and their end.
func (e *Engine) noteChange(c engine.Change) {
	if c.Mask == nil {
		c.Mask = e.reg.EveryRun()
	}
	switch {
	case c.Decision != nil && c.Decision.Outcome == engine.RuleFailed:
		d, reason := c.Decision, c.Mask.Text(c.Decision.Reason)
		e.Alert(context.Background(), engine.Alert{Kind: engine.AlertRuleFailed, Trigger: c.Event.Trigger, Subject: d.Workflow,
			Message: fmt.Sprintf("the rule of workflow %s could not be evaluated for %s: %s; fix it, then run hookloom replay "+
				"%s --workflow %s", d.Workflow, c.Event.ID, reason, c.Event.ID, d.Workflow),
			Data: map[string]any{"workflow": d.Workflow, "event": c.Event.ID.String(), "error": reason}})
	case c.Decision != nil:
		e.AlertOver(engine.AlertRuleFailed, c.Decision.Workflow)
	case c.Run != nil && c.Run.Status.Ended():
		e.noteEnd(c.Run, c.Mask)
	}
}

func (e *Engine) noteEnd(r *engine.Run, mask *redact.Masker) {
	e.AlertOver(engine.AlertApprovalWaiting, r.ID.String())
	switch r.Status {
	case engine.Succeeded:
		e.AlertOver(engine.AlertRunFailed, r.Workflow)
	case engine.Failed, engine.TimedOut:
		why := plan.Error{Message: string(r.Status)}
		if r.Error != nil {
			why = *r.Error
		}
		e.Alert(context.Background(), engine.Alert{Kind: engine.AlertRunFailed, Subject: r.Workflow,
			Message: fmt.Sprintf("a run of workflow %s has %s: %s", r.Workflow, ended(r.Status), mask.Text(why.Message)),
			Data: map[string]any{"workflow": r.Workflow, "run": r.ID.String(), "run_url": e.o.RunURL(r.ID), "status": string(r.Status),
				"step": why.Step, "code": why.Code}})
	}
}

func ended(s engine.RunStatus) string {
	if s == engine.TimedOut {
		return "timed out"
	}
	return string(s)
}

// noteQuestions follows a run that waits for a person.
func (e *Engine) noteQuestions(ex *execution) {
	r := ex.Run
	for _, q := range ex.questions {
		if q.Kind == "approval" || q.Kind == "review" {
			e.Alert(context.Background(), engine.Alert{Kind: engine.AlertApprovalWaiting, Subject: r.ID.String(),
				Message: fmt.Sprintf("run %s of workflow %s waits for a person: %s", r.ID, r.Workflow, ex.Masker().Text(q.Text)),
				Data:    map[string]any{"workflow": r.Workflow, "run": r.ID.String(), "run_url": e.o.RunURL(r.ID), "step": q.Path, "question": q.Kind}})
			return
		}
	}
	e.AlertOver(engine.AlertApprovalWaiting, r.ID.String())
}

// watchConditions looks at what nothing reports until ctx ends: the disk, the age
// of the backlog, hosts that do not answer, refusals that have ended.
func (e *Engine) watchConditions(ctx context.Context) {
	every := time.NewTicker(e.o.ConditionsEvery)
	defer every.Stop()
	for {
		e.lookAtConditions(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func (e *Engine) lookAtConditions(ctx context.Context, now time.Time) {
	for _, trigger := range e.refusals.over(now) {
		e.AlertOver(engine.AlertRefusals, trigger)
	}
	if e.o.Disk != nil {
		if free, total, err := e.o.Disk(); err == nil && engine.DiskLow(free, total) {
			e.Alert(ctx, engine.Alert{Kind: engine.AlertDiskLow,
				Message: fmt.Sprintf("%d MB are free on the database's disk; when it is full, deliveries are answered with 503: "+
					"free some space, or run hookloom prune", free>>20),
				Data: map[string]any{"free_bytes": free, "total_bytes": total}})
		} else if err == nil {
			e.AlertOver(engine.AlertDiskLow, "")
		}
	}
	e.lookAtBacklog(ctx, now)
	e.lookAtHosts(ctx)
	e.closeLeftOver()
}

// closeLeftOver closes the alerts that nothing reports on any more: those of workflows
// and triggers that are gone, and of refusals that the last process counted.
func (e *Engine) closeLeftOver() {
	p := e.reg.Snapshot()
	if p == nil {
		return
	}
	for _, a := range e.OpenAlerts() {
		over := false
		switch a.Kind {
		case engine.AlertRunFailed, engine.AlertRuleFailed:
			over = p.Workflows[a.Subject] == nil
		case engine.AlertRefusals:
			over = !e.refusals.counts(a.Subject)
		case engine.AlertSilence, engine.AlertPollFailing, engine.AlertWebhookMissed:
			over = p.Triggers[a.Subject] == nil
		}
		if over {
			e.AlertOver(a.Kind, a.Subject)
		}
	}
}

func (e *Engine) lookAtBacklog(ctx context.Context, now time.Time) {
	b, err := e.o.Store.Backlog(ctx, now)
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
		e.AlertOver(engine.AlertBacklogOld, "")
		return
	}
	e.Alert(ctx, engine.Alert{Kind: engine.AlertBacklogOld, Message: fmt.Sprintf("%s for %s", what, oldest.Round(time.Second)),
		Data: map[string]any{"seconds": int(oldest.Seconds())}})
}

func (e *Engine) lookAtHosts(ctx context.Context) {
	for _, d := range e.Destinations() {
		if !d.Down() {
			e.AlertOver(engine.AlertCircuitOpen, d.Name)
			continue
		}
		e.Alert(ctx, engine.Alert{Kind: engine.AlertCircuitOpen, Subject: d.Name,
			Message: fmt.Sprintf("%s does not answer (%s); %d attempts wait", d.Name, d.Last, d.Waiting),
			Data:    map[string]any{"host": d.Name, "waiting": d.Waiting, "last_failure": d.Last}})
	}
	known := map[string]bool{}
	for _, d := range e.Destinations() {
		known[d.Name] = true
	}
	for _, a := range e.OpenAlerts() {
		if a.Kind == engine.AlertCircuitOpen && !known[a.Subject] {
			e.AlertOver(a.Kind, a.Subject)
		}
	}
}
