package plan

import (
	"fmt"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// sleep stores the run as waiting, with the time at which it continues; it holds no slot meanwhile.
func (p *planner) sleep(s *workflows.Step, path string) outcome {
	last := p.last(path)
	if last == nil {
		until, err := p.sleepUntil(s, path)
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, err))
		}
		last = p.waits(s, path, []Wait{{Kind: WaitSleep, Until: until.UTC(), Fixed: s.SleepUntil}})
	}
	switch last.Status {
	case Failed:
		return p.fails(s, path, last)
	case Waiting:
		until := last.Until()
		if p.st.Now.Before(until) {
			p.wake(until)
			p.out.open++
			return pending
		}
		last = p.endWait(last, Succeeded, nil, nil)
	}
	p.bind(s, last, 1)
	return done
}

// sleepUntil evaluates a duration, or a time.
func (p *planner) sleepUntil(s *workflows.Step, path string) (time.Time, *Error) {
	v, err := s.Sleep.Render(p.env(p.st.Now, path), workflows.FillPlain)
	if err != nil {
		return time.Time{}, expressionError(err, path)
	}
	if t, ok := v.(time.Time); ok && s.SleepUntil {
		return t, nil
	}
	text, ok := v.(string)
	if ok && s.SleepUntil {
		if t, err := workflows.ParseUntil(text); err == nil {
			return t, nil
		}
		return time.Time{}, &Error{Message: fmt.Sprintf("sleep.until %q is not a time: write 2026-05-01T10:00:00Z", text),
			Code: "expression", Step: path}
	}
	if ok {
		if d, err := workflows.ParseDuration(text); err == nil {
			return p.st.Now.Add(d), nil
		}
	}
	return time.Time{}, &Error{Message: fmt.Sprintf("sleep: %v is not a duration: write 30s", v), Code: "expression", Step: path}
}
