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
	if len(list) == 0 {
		return p.calls(s, path, 1)
	}
	last := list[len(list)-1]
	if last.Status == Waiting {
		until := waitsUntil(last)
		switch a := p.answer(last); {
		case a != nil:
			last = p.answered(s, path, last, a)
		case until.IsZero() || p.st.Now.Before(until):
			if !until.IsZero() {
				p.wake(until)
			}
			m, _ := last.Output.(map[string]any)
			id, _ := m["call"].(string)
			p.out.Questions = append(p.out.Questions, Question{Path: path, Attempt: last.Attempt, Step: s, Kind: "call", Key: id, Text: "the run of workflow " + s.Call})
			return pending
		default:
			last = p.endWait(last, Failed, nil, &Error{Message: fmt.Sprintf("workflow %s has not ended within %s; its run goes on", s.Call, s.Timeout), Code: "timeout", Step: path, Retryable: true})
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
	return pending
}
