package plan

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// set computes vars in order; the record keeps them, so that a changed clock or
// file cannot change them later.
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
		x, tooLarge := fit(x, "variable "+v.Name, "keep less in it", path)
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

// branch walks the case of a switch that was chosen. The choice is put on
// record when it is made.
func (p *planner) branch(s *workflows.Step, path string) outcome {
	choice := p.last(path + "/switch")
	if choice == nil {
		v, err := s.Switch.Eval(p.env(p.st.Now, path))
		text := ""
		if err == nil {
			text, err = workflows.Text(v)
		}
		if err == nil {
			_, err = workflows.Fit(text)
		}
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, TooLarge(err, "the value of switch:", "compare less of it", path)))
		}
		choice = &Record{Path: path + "/switch", Attempt: 1, Action: "switch", Status: Succeeded, StartedAt: p.st.Now, FinishedAt: p.st.Now, Output: text}
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

// inside walks the steps of a group, and closes the group when they are done.
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

// groupFails closes a group whose inner step failed. The run's error names that
// step, not the group around it.
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

// closeGroup puts the outcome of a group on record and makes it visible.
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

// ending is stop and fail.
func (p *planner) ending(s *workflows.Step, path string) outcome {
	r := p.last(path)
	if r == nil {
		text, err := p.text1(s, path)
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

func (p *planner) text1(s *workflows.Step, path string) (string, *Error) {
	v, err := s.Text.Render(p.env(p.st.Now, path), workflows.FillPlain)
	if err == nil {
		var t string
		if t, err = workflows.Text(v); err == nil {
			_, err = workflows.Fit(t)
		}
		if err == nil {
			return t, nil
		}
	}
	return "", TooLarge(err, "the text", "write less of the data into it", path)
}

// uses walks a step with an action: which attempt is due, and when.
func (p *planner) uses(s *workflows.Step, path string) outcome {
	list := p.st.Records[path]
	if s.Gone != "" {
		return p.gone(s, path)
	}
	if len(list) == 0 {
		return p.due(s, path, 1, time.Time{}, p.st.Now)
	}
	last := list[len(list)-1]
	switch last.Status {
	case Succeeded:
		p.bind(s, last, len(list))
		return done
	case Running:
		p.out.open++
		return pending
	case Waiting:
		// It has been due since then, and could not be sent yet.
		o := p.due(s, path, last.Attempt, time.Time{}, list[0].StartedAt)
		if n := len(p.out.Due); o == pending && n > 0 && p.out.Due[n-1].Path == path {
			p.out.Due[n-1].HeldSince = last.StartedAt
		}
		return o
	case Unknown:
		switch s.OnUnknown {
		case "fail":
			return p.interrupted(s, path, last, "")
		case "review":
			return p.review(s, path, last)
		}
		if last.Error == nil {
			// Cut by a crash: sent again at once, with the same key and input.
			return p.due(s, path, last.Attempt+1, time.Time{}, list[0].StartedAt)
		}
	}
	again, pause := p.retry(s, path, list)
	if !again {
		if last.Error == nil {
			last.Error = &Error{Message: "failed", Code: "failed", Step: path}
		}
		return p.fails(s, path, last)
	}
	notBefore := last.FinishedAt.Add(pause)
	if last.FinishedAt.After(p.st.Now) {
		notBefore = time.Time{} // the clock was set back: the pause would be as long as that
	}
	return p.due(s, path, last.Attempt+1, notBefore, list[0].StartedAt)
}

// gone fails a step that needs what is there no more, unless it has ended.
func (p *planner) gone(s *workflows.Step, path string) outcome {
	last := p.last(path)
	e := &Error{Message: s.Gone, Code: "gone", Step: path}
	switch {
	case last == nil:
		last = p.put(s, path, Failed, nil, e)
	case last.Status == Succeeded:
		p.bind(s, last, len(p.st.Records[path]))
		return done
	case last.Status == Running:
		p.out.open++
		return pending
	case last.Status == Waiting:
		last = p.endWait(last, Failed, nil, e)
	case last.Error == nil || last.Error.Code != "gone":
		action := s.Uses
		if s.Body == "call" {
			action = "call"
		}
		last = &Record{Path: path, Attempt: last.Attempt + 1, Action: action, Status: Failed, StartedAt: p.st.Now, FinishedAt: p.st.Now, Error: e}
		p.st.AddRecord(last)
		p.out.Finished = append(p.out.Finished, last)
	}
	return p.fails(s, path, last)
}

// due renders the input of an attempt. now() is the moment the step first
// began, so that a repeated attempt sends the same bytes.
func (p *planner) due(s *workflows.Step, path string, attempt int, notBefore, began time.Time) outcome {
	d := Due{Path: path, Attempt: attempt, Step: s, NotBefore: notBefore, Deadline: p.limit.at, Group: p.limit.path, GroupTimeout: p.limit.timeout, byDeadline: p.limit.deadline, names: p.names(), now: began}
	if !notBefore.After(p.st.Now) {
		p.out.open++
	}
	if p.st.TimedOut && p.handled == nil {
		p.out.Due = append(p.out.Due, d)
		return pending
	}
	env := p.env(began, path)
	if k := p.st.Kept[path]; k != nil {
		env.Names["run"], env.Now = k.Run, k.Began
	}
	if err := p.render(s, &d, env); err != nil {
		return p.fails(s, path, p.put(s, path, Failed, nil, expressionError(err, path)))
	}
	p.out.Due = append(p.out.Due, d)
	return pending
}

// render fills an action's inputs, each the way its kind asks for, and at once what
// may be shown of them.
func (p *planner) render(s *workflows.Step, d *Due, env *workflows.Env) error {
	env.Names["secrets"] = p.st.Secrets
	d.With = make(map[string]any, len(s.With.Keys()))
	shown := &workflows.Shown{Hidden: p.st.Hidden}
	nothing := workflows.Nothing{}
	env.Nothing = &nothing
	var masks map[string]any
	for _, k := range s.With.Keys() {
		fill := workflows.FillPlain
		in := s.Spec.Input(k)
		if in != nil {
			fill = in.Fill
		}
		field := s.With.Field(k)
		v, safe, err := shown.RenderInput(k, field, env, fill)
		if err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		if in != nil {
			if v, err = in.Accept(v); err != nil {
				return err
			}
		}
		d.With[k] = v
		if field.UsesSecrets() || len(p.st.Hidden) > 0 {
			if masks == nil {
				masks = map[string]any{}
			}
			masks[k] = safe
		}
	}
	for _, in := range s.Spec.Inputs {
		if _, given := d.With[in.Name]; !given && in.Default != nil {
			d.With[in.Name] = in.Default
		}
	}
	if p.st.Workflow.Strict {
		if err := nothing.Err(); err != nil {
			return err
		}
	}
	d.Notes = nothing.Notes()
	d.hide(s, masks)
	d.Derived = append(d.Derived, shown.Derived...)
	return nil
}

// hide makes what may be shown: masks are inputs in which secrets were masked; what
// stands under auth:, sensitive headers and secret inputs are hidden always.
func (d *Due) hide(s *workflows.Step, masks map[string]any) {
	put := func(k string, v any) {
		if masks == nil {
			masks = map[string]any{}
		}
		masks[k] = v
	}
	current := func(k string) any {
		if v, ok := masks[k]; ok {
			return v
		}
		return d.With[k]
	}
	if v := current("auth"); v != nil {
		put("auth", workflows.HideAuth(v))
		d.Derived = authValues(d.With["auth"], d.Derived)
	}
	if headers, ok := current("headers").(map[string]any); ok {
		if h, hidden := workflows.HideNames(headers); hidden {
			put("headers", h)
			d.Derived = workflows.Credentials(map[string]any{"headers": d.With["headers"]}, d.Derived)
		}
	}
	for _, in := range s.Spec.Inputs {
		if v := d.With[in.Name]; in.Secret && v != nil {
			put(in.Name, workflows.Mask)
			if t, err := workflows.Text(v); err == nil {
				d.Derived = append(d.Derived, t)
			}
		}
	}
	d.Shown = d.With
	if masks != nil {
		d.Shown = maps.Clone(d.With)
		maps.Copy(d.Shown, masks)
	}
}

// authValues are the credentials under auth:, which are masked wherever an answer
// repeats them; users and the names of headers are not.
func authValues(v any, out []string) []string {
	switch x := v.(type) {
	case string:
		if len(x) >= workflows.ShortestMasked {
			out = append(out, x)
		}
	case map[string]any:
		for k, e := range x {
			if k != "name" && k != "user" {
				out = authValues(e, out)
			}
		}
	}
	return out
}

// Output gives a step's output from its action's result. Its error is an *Error.
func (d Due) Output(runID string, result any) (any, error) {
	if d.Step.Output == nil {
		return d.fit(result)
	}
	names := workflows.Names{"result": result}
	for k, v := range d.names {
		names[k] = v
	}
	env := &workflows.Env{Names: names, Now: d.now, Seed: runID + "/" + d.Path + "/output"}
	v, err := d.Step.Output.Render(env, workflows.FillPlain)
	if err != nil {
		return nil, TooLarge(fmt.Errorf("output: %w", err), "the output", keepLess, d.Path)
	}
	return d.fit(v)
}

func (d Due) fit(v any) (any, error) {
	out, err := fit(v, "the output", keepLess, d.Path)
	if err != nil {
		return nil, err
	}
	return out, nil
}
