package plan

import (
	"fmt"
	"maps"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

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
			// Interrupted by a crash: sent again at once, with the same key and input.
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
		notBefore = time.Time{} // the clock was set back, which would lengthen the pause by that much
	}
	return p.due(s, path, last.Attempt+1, notBefore, list[0].StartedAt)
}

// gone fails a step whose action or trigger no longer exists, unless it has ended.
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

// due renders the input of an attempt. now() is the time at which the step first became due, so
// that a repeated attempt sends the same bytes.
func (p *planner) due(s *workflows.Step, path string, attempt int, notBefore, began time.Time) outcome {
	d := Due{Path: path, Attempt: attempt, Step: s, NotBefore: notBefore, Deadline: p.limit.at, Group: p.limit.path,
		GroupTimeout: p.limit.timeout, byDeadline: p.limit.deadline, now: began}
	if s.Output != nil {
		d.names = p.names()
	}
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

// render renders an action's inputs, each according to its kind, and at the same time the masked
// form that may be shown.
func (p *planner) render(s *workflows.Step, d *Due, env *expr.Env) error {
	env.Names["secrets"] = p.st.Secrets
	d.With = make(map[string]any, len(s.With.Keys()))
	nothing := workflows.Nothing{}
	shown := &workflows.Shown{Hidden: p.st.Hidden, Nothing: &nothing}
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

// hide makes the masked form of the input. masks are the inputs in which secrets were masked;
// values under auth:, sensitive headers and secret inputs are always hidden.
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
			if t, err := value.Text(v); err == nil {
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

// authValues are the credentials under auth:, which are masked wherever a response repeats them;
// user names and header names are not.
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

// Output computes a step's output from its action's result. Its error is an *Error.
func (d Due) Output(runID string, result any) (any, error) {
	if d.Step.Output == nil {
		return d.fit(result)
	}
	names := expr.Names{"result": result}
	for k, v := range d.names {
		names[k] = v
	}
	env := &expr.Env{Names: names, Now: d.now, Seed: runID + "/" + d.Path + "/output"}
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
