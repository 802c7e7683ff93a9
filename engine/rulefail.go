package engine

import (
	"fmt"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// alertAgain is how long a workflow's failing rule is quiet after an alert.
const alertAgain = time.Minute

// ruleFailed says aloud that a workflow could not decide about an event: in the log
// each time, and as an alert.
func (e *Engine) ruleFailed(ev *Event, d *Decision) {
	reason := e.o.Redactor.Text(d.Reason)
	e.o.Log.Warn("a rule failed: nothing runs for this event", "event", ev.ID, "workflow", d.Workflow, "trigger", ev.Trigger, "error", reason,
		"again", fmt.Sprintf("hookloom replay %s --workflow %s", ev.ID, d.Workflow))
	now := time.Now()
	e.mu.Lock()
	// An alert about an alert would not end.
	due := ev.Trigger != workflows.AlertsTrigger && now.Sub(e.ruleAlerts[d.Workflow]) >= alertAgain && !e.stopping && e.work != nil
	if due {
		e.ruleAlerts[d.Workflow] = now
		e.drivers.Add(1)
	}
	e.mu.Unlock()
	if !due {
		return
	}
	a := Alert{Kind: "rule_failed", Trigger: ev.Trigger, Message: fmt.Sprintf("the rule of workflow %s failed for event %s: %s", d.Workflow, ev.ID, reason),
		Data: map[string]any{"workflow": d.Workflow, "event": ev.ID.String(), "error": reason}}
	go func() { // the event's own way does not wait for it
		defer e.drivers.Done()
		e.Alert(e.work, a)
	}()
}
