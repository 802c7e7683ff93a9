package plan

import (
	"fmt"
	"maps"
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
			p.out.Questions = append(p.out.Questions, Question{Path: path, Attempt: last.Attempt, Step: s, Kind: "call", Key: Called(last),
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
	ending := endingOf(last) != nil
	if a := p.answer(last); a != nil && (!ending || a.Err == nil) {
		return p.answered(s, path, last, a)
	}
	if !ending {
		until := waitsUntil(last)
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
	if known := endingOf(last); known != nil {
		why = known
	} else {
		m, _ := last.Output.(map[string]any)
		r := *last
		what := maps.Clone(m)
		what["ending"] = map[string]any{"message": why.Message, "code": why.Code, "retryable": why.Retryable}
		r.Output = what
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

// Called is the id of the event that began the run that a record waits for; empty when
// it waits for none.
func Called(r *Record) string {
	m, _ := r.Output.(map[string]any)
	id, _ := m["call"].(string)
	if r.Status != Waiting {
		return ""
	}
	return id
}

// Ending is the id of the event that began a called run which is to be ended, and why;
// empty for other records.
func Ending(r *Record) (event, why string) {
	if e := endingOf(r); e != nil {
		return Called(r), e.Message
	}
	return "", ""
}

// endingOf is why the run is being ended that a record waits for; nil while it is not.
func endingOf(r *Record) *Error {
	m, _ := r.Output.(map[string]any)
	why, is := m["ending"].(map[string]any)
	if !is || r.Status != Waiting {
		return nil
	}
	e := &Error{Step: r.Path}
	e.Message, _ = why["message"].(string)
	e.Code, _ = why["code"].(string)
	e.Retryable, _ = why["retryable"].(bool)
	return e
}
