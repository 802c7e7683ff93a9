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
	// Detach does not wait for it.
	Detach bool
	// Until is when the step stops waiting; zero for never.
	Until time.Time
	due   Due
}

// Step is the one that calls.
func (c Call) Step() *workflows.Step { return c.due.Step }

// Output gives the step's output when the call is not waited for.
func (c Call) Output(runID string, result any) (any, error) { return c.due.Output(runID, result) }

// call starts another workflow and waits for its run, without anybody waiting:
// the end of that run makes this one due.
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

// calls renders what the workflow is handed.
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

// called gives the record of a call that is waited for as it stands now: still waiting,
// or ended. A call that has taken too long ends when the run has that it called, so that
// no other try, and no handler, begins beside it.
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

// endCall has the run ended that a record waits for, for a reason. When that has come
// about, the record ends: with the reason, or with what the run gave if it ended well
// just before.
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
	return p.endWait(last, Failed, nil, why)
}
