package machine

import (
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
)

// ruleFailed says in the log that a workflow could not decide about an event. The
// alert comes with the change, see noteChange.
func (e *Engine) ruleFailed(ev *engine.Event, d *engine.Decision, mask *redact.Masker) {
	e.o.Log.Warn("a rule failed: this workflow does not run for the event", "event", ev.ID, "workflow", d.Workflow,
		"trigger", ev.Trigger, "error", mask.Text(d.Reason),
		"again", fmt.Sprintf("hookloom replay %s --workflow %s", ev.ID, d.Workflow))
}

// maskOf masks what is told of an event: secrets, and its own hidden values.
func (e *Engine) maskOf(ev *engine.Event) *redact.Masker {
	if len(ev.Hidden) > 0 {
		return e.o.Redactor.With(ev.Hidden)
	}
	return e.everyRun
}
