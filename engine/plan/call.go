package plan

import (
	"fmt"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// Call is a workflow to start for a step.
type Call struct {
	Path     string
	Attempt  int
	Workflow string
	Inputs   map[string]any
	// Detach reports that the caller does not wait for the run.
	Detach bool
	// Until is when the step stops waiting; zero for never.
	Until time.Time
	due   Due
}

// Step is the calling step.
func (c Call) Step() *workflows.Step { return c.due.Step }

// Output returns the step's output if the call is not waited for.
func (c Call) Output(runID string, result any) (any, error) { return c.due.Output(runID, result) }

// call starts another workflow. The run is stored as waiting and holds no slot; the end of the
// called run makes it due.
func (p *planner) call(s *workflows.Step, path string) outcome {
	list := p.st.Records[path]
	if s.Gone != "" && (len(list) == 0 || list[len(list)-1].Status == Failed) {
		return p.gone(s, path)
	}
	if len(list) == 0 {
		return p.calls(s, path, 1)
	}
	last := list[len(list)-1]
	if last.Status == Waiting {
		if last = p.called(s, path, last); last.Status == Waiting {
			p.out.Questions = append(p.out.Questions, Question{Path: path, Attempt: last.Attempt, Step: s, Kind: "call", Key: last.Call().Event,
				Text: "the run of workflow " + s.Call})
			p.out.open++
			return pending
		}
		list = p.st.Records[path]
	}
	if last.Status == Succeeded {
		p.bind(s, last, len(list))
		return done
	}
	if s.Retry != nil {
		if again, pause := p.retry(s, path, list); again {
			if at := last.FinishedAt.Add(pause); p.st.Now.Before(at) {
				p.wake(at)
				return pending
			}
			return p.calls(s, path, last.Attempt+1)
		}
	}
	return p.fails(s, path, last)
}

// calls renders the inputs of the called workflow.
func (p *planner) calls(s *workflows.Step, path string, attempt int) outcome {
	c := Call{Path: path, Attempt: attempt, Workflow: s.Call, Detach: s.Detach, Inputs: map[string]any{}}
	c.due = Due{Path: path, Step: s, names: p.names(), now: p.st.Now}
	env := p.env(p.st.Now, path)
	for _, k := range s.With.Keys() {
		v, err := s.With.Field(k).Render(env, workflows.FillPlain)
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, expressionError(fmt.Errorf("%s: %w", k, err), path)))
		}
		c.Inputs[k] = v
	}
	if s.Timeout > 0 {
		c.Until = p.st.Now.Add(s.Timeout)
	}
	p.out.Calls = append(p.out.Calls, c)
	p.out.open++
	return pending
}

// called returns the current record of an awaited call: still waiting, or ended. A call that has
// taken too long ends once the run that it called has ended, so that no retry and no handler runs
// at the same time.
func (p *planner) called(s *workflows.Step, path string, last *Record) *Record {
	call := last.Call()
	ending := call.Ending != nil
	if a := p.answer(last); a != nil && (!ending || a.Err == nil) {
		return p.answered(s, path, last, a)
	}
	if !ending {
		until := call.Until
		if until.IsZero() || p.st.Now.Before(until) {
			if !until.IsZero() {
				p.wake(until)
			}
			return last
		}
	}
	message := fmt.Sprintf("workflow %s has not ended within %s; its run was ended", s.Call, s.Timeout)
	return p.endCall(last, &Error{Message: message, Code: "timeout", Step: path, Retryable: true})
}

// endCall orders the end of the run that a record waits for, with the reason. Once that run has
// ended, the record ends: with the reason, or with the run's output if it succeeded just before.
func (p *planner) endCall(last *Record, why *Error) *Record {
	if known := last.Call().Ending; known != nil {
		why = known
	} else {
		r, call := *last, *last.Call()
		call.Ending = &Error{Message: why.Message, Code: why.Code, Retryable: why.Retryable, Step: last.Path}
		r.Waits = []Wait{call}
		p.st.AddRecord(&r)
		p.out.Finished = append(p.out.Finished, &r)
		last = &r
	}
	a := p.answer(last)
	switch {
	case a == nil:
		return last
	case a.Err == nil:
		return p.endWait(last, Succeeded, a.Output, nil)
	}
	e := *why
	e.InDoubt = a.Err.InDoubt
	return p.endWait(last, Failed, nil, &e)
}
