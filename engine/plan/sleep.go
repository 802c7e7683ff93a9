package plan

import (
	"fmt"
	"maps"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// sleep waits without anybody waiting: the run is stored with the moment at
// which it goes on.
func (p *planner) sleep(s *workflows.Step, path string) outcome {
	last := p.last(path)
	if last == nil {
		until, err := p.sleepUntil(s, path)
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, err))
		}
		what := map[string]any{"until": until.UTC().Format(time.RFC3339Nano)}
		if s.SleepUntil {
			what["fixed"] = true // a moment, whatever happens to the clock
		}
		last = p.waits(s, path, what)
	}
	switch last.Status {
	case Failed:
		return p.fails(s, path, last)
	case Waiting:
		until := waitsUntil(last)
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

// sleepUntil reads a duration, or a time.
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
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
			if t, err := time.Parse(layout, text); err == nil {
				return t, nil
			}
		}
		return time.Time{}, &Error{Message: fmt.Sprintf("sleep.until %q is no time: write 2026-05-01T10:00:00Z", text),
			Code: "expression", Step: path}
	}
	if ok {
		if d, err := workflows.ParseDuration(text); err == nil {
			return p.st.Now.Add(d), nil
		}
	}
	return time.Time{}, &Error{Message: fmt.Sprintf("sleep: %v is no duration: write 30s", v), Code: "expression", Step: path}
}

// waits puts a step on record that waits.
func (p *planner) waits(s *workflows.Step, path string, what map[string]any) *Record {
	r := &Record{Path: path, Attempt: 1, Action: s.Body, Status: Waiting, StartedAt: p.st.Now, Output: what}
	p.st.AddRecord(r)
	p.out.Finished = append(p.out.Finished, r)
	return r
}

// endWait closes the record of a step that waited.
func (p *planner) endWait(r *Record, status Status, output any, err *Error) *Record {
	ended := &Record{Path: r.Path, Attempt: r.Attempt, Action: r.Action, Status: status, StartedAt: r.StartedAt,
		FinishedAt: p.st.Now, Output: output, Error: err}
	p.st.AddRecord(ended)
	p.out.Finished = append(p.out.Finished, ended)
	return ended
}

// waitsUntil reads when a waiting record has waited long enough; zero for never.
func waitsUntil(r *Record) time.Time {
	m, _ := r.Output.(map[string]any)
	text, _ := m["until"].(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// SetBack gives a waiting record whose end is moved with a clock that was set back; nil
// for one that does not wait for a stretch of time.
func SetBack(r *Record, by time.Duration) *Record {
	m, _ := r.Output.(map[string]any)
	until := waitsUntil(r)
	if r.Status != Waiting || until.IsZero() || m["fixed"] != nil {
		return nil
	}
	moved := *r
	output := maps.Clone(m)
	output["until"] = until.Add(-by).UTC().Format(time.RFC3339Nano)
	moved.Output = output
	return &moved
}
