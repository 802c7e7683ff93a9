package runner

import (
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// Report publishes a change that is on disk to alerts, Observe and Watch.
func (rn *Runner) Report(c engine.Change) {
	rn.alerts.Changed(c)
	if rn.o.Observe != nil {
		rn.o.Observe(c)
	}
	if rn.o.Watch != nil {
		rn.o.Watch.Changed(c)
	}
}

// ReportUpdate reports the update of a run.
func (rn *Runner) ReportUpdate(ev *engine.Event, s engine.RunUpdate) {
	m := s.Mask
	if m == nil {
		m = rn.reg.EveryRun()
	}
	c := engine.Change{Event: ev, Run: s.Run, Mask: m}
	if rn.o.Observe == nil && rn.o.Watch == nil {
		rn.alerts.Changed(c)
		return
	}
	if len(s.Records) > 0 {
		c.Steps = make([]engine.StepChange, 0, len(s.Records))
	}
	for _, x := range s.Records {
		s := engine.StepChange{Path: x.Path, Action: x.Action, Status: x.Shown(), Attempt: x.Attempt, StartedAt: x.StartedAt,
			Destination: x.Destination}
		if x.Error != nil {
			s.Error, s.Code, s.HTTPStatus = m.Text(x.Error.Message), x.Error.Code, x.Error.Status
		}
		if input, ok := x.Input.(map[string]any); ok {
			s.Method, _ = input["method"].(string)
		}
		if output, ok := x.Output.(map[string]any); ok && x.Error == nil {
			s.HTTPStatus, _ = output["status"].(int)
		}
		if !x.FinishedAt.IsZero() {
			s.Took = x.FinishedAt.Sub(x.StartedAt)
		}
		c.Steps = append(c.Steps, s)
	}
	rn.Report(c)
}

// noteQuestions reports a waiting run to alerts, which alert on questions to a person.
func (rn *Runner) noteQuestions(ex *Execution) {
	var asked *plan.Question
	for i, q := range ex.questions {
		if q.Kind == "approval" || q.Kind == "review" {
			asked = &ex.questions[i]
			break
		}
	}
	rn.alerts.AwaitsPerson(ex.Run, asked, ex.Masker())
}
