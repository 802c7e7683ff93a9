package engine

import "fmt"

// ruleFailed says in the log that a workflow could not decide about an event. The
// alert comes with the change, see noteChange.
func (e *Engine) ruleFailed(ev *Event, d *Decision) {
	e.o.Log.Warn("a rule failed: nothing runs for this event", "event", ev.ID, "workflow", d.Workflow, "trigger", ev.Trigger, "error", e.o.Redactor.Text(d.Reason),
		"again", fmt.Sprintf("hookloom replay %s --workflow %s", ev.ID, d.Workflow))
}
