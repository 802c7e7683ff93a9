package plan

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// set computes vars in order. The record keeps them, so that a changed clock or file cannot change
// them later.
func (p *planner) set(s *workflows.Step, path string) outcome {
	if last := p.last(path); last != nil {
		if last.Status == Failed {
			return p.fails(s, path, last)
		}
		values, _ := last.Output.(map[string]any)
		for k, v := range values {
			p.vars[k] = v
		}
		p.bind(s, last, 1)
		return done
	}
	values := map[string]any{}
	for _, v := range s.Set {
		x, err := v.Value.Render(p.env(p.st.Now, path), workflows.FillPlain)
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, expressionError(err, path)))
		}
		x, tooLarge := fit(x, "variable "+v.Name, "store less data in it", path)
		if tooLarge != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, tooLarge))
		}
		values[v.Name], p.vars[v.Name] = x, x
	}
	r := p.put(s, path, Succeeded, values, nil)
	if r.Status == Failed {
		return p.fails(s, path, r)
	}
	p.bind(s, r, 1)
	return done
}

// branch walks the chosen case of a switch. The choice is recorded when it is made.
func (p *planner) branch(s *workflows.Step, path string) outcome {
	choice := p.last(path + "/switch")
	if choice == nil {
		v, err := s.Switch.Eval(p.env(p.st.Now, path))
		text := ""
		if err == nil {
			text, err = value.Text(v)
		}
		if err == nil {
			_, err = value.Fit(text)
		}
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, TooLarge(err, "the value of switch:", "compare a smaller value", path)))
		}
		choice = &Record{Path: path + "/switch", Attempt: 1, Action: "switch", Status: Succeeded, StartedAt: p.st.Now,
			FinishedAt: p.st.Now, Output: text}
		p.st.AddRecord(choice)
		p.out.Finished = append(p.out.Finished, choice)
	}
	for _, c := range s.Cases {
		if c.Value == choice.Output {
			return p.inside(s, path, c.Steps, path+"/"+strings.ReplaceAll(c.Value, "/", "%2F"))
		}
	}
	return p.inside(s, path, s.Default, path+"/default")
}

// inside walks the steps of a group, and closes the group when they have ended.
func (p *planner) inside(s *workflows.Step, path string, list []*workflows.Step, prefix string) outcome {
	return p.within(s, path, func() outcome {
		switch o := p.sequence(list, prefix); o {
		case pending, stopped:
			return o
		case failed:
			return p.groupFails(s, path, p.err, nil)
		}
		return p.closeGroup(s, path, p.outputs(list))
	})
}

// outputs are those of a list of steps, by id.
func (p *planner) outputs(list []*workflows.Step) map[string]any {
	out := map[string]any{}
	for _, c := range list {
		if x, ok := p.steps[c.ID].(map[string]any); ok && c.ID != "" {
			out[c.ID] = x["output"]
		}
	}
	return out
}

// groupFails closes a group in which a step failed. The run's error names that step, not the
// enclosing group.
func (p *planner) groupFails(s *workflows.Step, path string, inner *Error, output any) outcome {
	r := p.last(path)
	if r == nil {
		r = p.put(s, path, Failed, output, inner)
	}
	o := p.fails(s, path, r)
	if o == failed {
		e := *inner
		if p.err.Handler != nil {
			e.Handler = p.err.Handler
		}
		p.err = &e
	}
	return o
}

// closeGroup records the outcome of a group, so that later steps can read it.
func (p *planner) closeGroup(s *workflows.Step, path string, outputs map[string]any) outcome {
	r := p.last(path)
	if r == nil {
		var out any = outputs
		if s.Output != nil {
			env := p.env(p.st.Now, path)
			env.Names["result"] = outputs
			v, err := s.Output.Render(env, workflows.FillPlain)
			if err != nil {
				return p.fails(s, path, p.put(s, path, Failed, nil, expressionError(err, path)))
			}
			out = v
		}
		r = p.put(s, path, Succeeded, out, nil)
	}
	if r.Status == Failed {
		return p.fails(s, path, r)
	}
	p.bind(s, r, 1)
	return done
}

// ending executes stop and fail.
func (p *planner) ending(s *workflows.Step, path string) outcome {
	r := p.last(path)
	if r == nil {
		text, err := p.renderText(s, path)
		switch {
		case err != nil:
			r = p.put(s, path, Failed, nil, err)
		case s.Body == "fail":
			r = p.put(s, path, Failed, nil, &Error{Message: text, Code: "fail", Step: path})
		default:
			r = p.put(s, path, Succeeded, text, nil)
		}
	}
	if r.Status == Failed {
		return p.fails(s, path, r)
	}
	p.bind(s, r, 1)
	p.text, _ = r.Output.(string)
	return stopped
}

func (p *planner) renderText(s *workflows.Step, path string) (string, *Error) {
	v, err := s.Text.Render(p.env(p.st.Now, path), workflows.FillPlain)
	if err == nil {
		var t string
		if t, err = value.Text(v); err == nil {
			_, err = value.Fit(t)
		}
		if err == nil {
			return t, nil
		}
	}
	return "", TooLarge(err, "the text", "write less data into it", path)
}

// sequence walks steps in order; it ends at the first one that is open or failed.
func (p *planner) sequence(list []*workflows.Step, prefix string) outcome {
	for _, s := range list {
		path := s.Key
		if prefix != "" {
			path = prefix + "/" + s.Key
		}
		if o := p.step(s, path); o != done {
			return o
		}
	}
	return done
}

// conditionCode is the error code of a step whose if: could not be evaluated.
const conditionCode = "condition"

// step walks one step: its condition, its body, and its failure handling.
func (p *planner) step(s *workflows.Step, path string) outcome {
	last := p.last(path)
	if last == nil && p.frozen && p.untouched(path) {
		return pending
	}
	if last != nil && last.Status == Skipped {
		p.bind(s, last, 0)
		return p.elseBranch(s, path)
	}
	if last != nil && last.Status == Failed && last.Error != nil && last.Error.Code == conditionCode {
		return p.fails(s, path, last) // its body never began
	}
	if last == nil && s.If != nil {
		env := p.env(p.st.Now, path)
		if p.st.Asked != nil {
			p.st.Asked(s, path, env)
		}
		ok, err := s.If.Condition(env)
		if err != nil {
			e := expressionError(err, path)
			e.Code = conditionCode
			return p.fails(s, path, p.put(s, path, Failed, nil, e))
		}
		if !ok {
			p.bind(s, p.put(s, path, Skipped, nil, nil), 0)
			return p.elseBranch(s, path)
		}
	}
	if s.Deadline > 0 {
		return p.untilDeadline(s, path)
	}
	return p.walk(s, path)
}

// untouched reports whether neither a step nor any step inside it has begun.
func (p *planner) untouched(path string) bool {
	for k := range p.st.Records {
		if strings.HasPrefix(k, path+"/") {
			return false
		}
	}
	return true
}

// elseBranch walks the else: of a group whose condition was false.
func (p *planner) elseBranch(s *workflows.Step, path string) outcome {
	if len(s.Else) == 0 {
		return done
	}
	return p.sequence(s.Else, path+"/else")
}

func (p *planner) body(s *workflows.Step, path string) outcome {
	switch s.Body {
	case "uses":
		return p.uses(s, path)
	case "set":
		return p.set(s, path)
	case "switch":
		return p.branch(s, path)
	case "steps":
		return p.inside(s, path, s.Steps, path)
	case "parallel":
		return p.parallel(s, path)
	case "sleep":
		return p.sleep(s, path)
	case "wait":
		return p.wait(s, path)
	case "call":
		return p.call(s, path)
	case "stop", "fail":
		return p.ending(s, path)
	}
	return p.fails(s, path, p.put(s, path, Failed, nil,
		&Error{Message: fmt.Sprintf("this version cannot run %s", s.Body), Code: "unsupported", Step: path}))
}

// last returns the newest record of a path.
func (p *planner) last(path string) *Record {
	list := p.st.Records[path]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// put makes the record of a step that needed no action. A step whose output exceeds a limit fails;
// the record of a step that failed anyway drops such an output.
func (p *planner) put(s *workflows.Step, path string, status Status, output any, err *Error) *Record {
	if last := p.last(path); last != nil && last.Status != Running {
		return last
	}
	action := s.Body
	if s.Body == "uses" {
		action = s.Uses
	}
	if fitting, tooLarge := fit(output, "the output", keepLess, path); tooLarge == nil {
		output = fitting
	} else if output = nil; status == Succeeded {
		status, err = Failed, tooLarge
	}
	r := &Record{Path: path, Attempt: 1, Action: action, Status: status, StartedAt: p.st.Now, FinishedAt: p.st.Now, Output: output, Error: err}
	p.st.Fit(r)
	p.st.AddRecord(r)
	p.out.Finished = append(p.out.Finished, r)
	return r
}

// bind makes a step's result visible as steps.<id>.
func (p *planner) bind(s *workflows.Step, r *Record, attempts int) {
	if s.ID == "" {
		return
	}
	var errNames any
	if r.Error != nil {
		errNames = r.Error.names()
	}
	status := r.Status
	if status == Unknown { // the step has finally failed; only its record says that nobody knows whether it took effect
		status = Failed
	}
	p.steps[s.ID] = map[string]any{"output": r.Output, "status": string(status), "error": errNames, "attempts": attempts,
		"started_at": r.StartedAt, "finished_at": r.FinishedAt}
}

// fails handles a step that has finally failed: its own on_failure runs first, then the failure
// counts unless continue_on_error ignores it.
func (p *planner) fails(s *workflows.Step, path string, r *Record) outcome {
	attempts := len(p.st.Records[path])
	e := *r.Error
	if e.Step == "" {
		e.Step = path
	}
	e.Attempts = max(attempts, 1)
	p.bind(s, r, attempts)
	if len(s.OnFailure) > 0 {
		outer, within := p.handled, p.limit
		p.handled = &e
		if p.bounded == path {
			p.limit = p.around // its own has ended with it
		}
		o := p.sequence(s.OnFailure, path+"/on_failure")
		p.handled, p.limit = outer, within
		switch o {
		case pending:
			p.handling = path
			return pending
		case failed:
			e.Handler = p.err
		case stopped:
			return stopped
		}
	}
	if s.ContinueOnError {
		return done
	}
	p.err = &e
	return failed
}
