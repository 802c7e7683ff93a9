package engine

import "fmt"

// ruleFailed says in the log that a workflow could not decide about an event. The
// alert comes with the change, see noteChange.
func (e *Engine) ruleFailed(ev *Event, d *Decision, mask *Masker) {
	e.o.Log.Warn("a rule failed: this workflow does not run for the event", "event", ev.ID, "workflow", d.Workflow,
		"trigger", ev.Trigger, "error", mask.Text(d.Reason),
		"again", fmt.Sprintf("hookloom replay %s --workflow %s", ev.ID, d.Workflow))
}

// maskOf masks what is told of an event: secrets, and its own hidden values.
func (e *Engine) maskOf(ev *Event) *Masker {
	if len(ev.Hidden) > 0 {
		return e.o.Redactor.With(ev.Hidden)
	}
	return e.everyRun
}
