package plan

import (
	"fmt"
	"maps"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// Answer is what arrived for a step that waits: a person's answer, an event, or the end of a called
// run.
type Answer struct {
	// Attempt is the attempt that it answers.
	Attempt int
	// Verdict is approve or reject for an approval; resend, done or fail for an
	// attempt under review; event for an event, call for the end of a called run.
	Verdict string
	// Output is the step's output: {approved, by, at, comment}, the event, or the result that a
	// person supplies for an attempt under review.
	Output any
	// Err is why there is no output: a called run failed, or the event cannot be read.
	Err *Error
	// At is when a person answered; zero for an event or a call. Index is the position of the event
	// in the list of wait: any.
	At    time.Time
	Index int
}

// Question is what a run waits for from outside.
type Question struct {
	Path    string
	Attempt int
	Step    *workflows.Step
	// Kind is approval, review, event or call.
	Kind string
	// Text is the question; By are the names that may answer, empty for anyone.
	Text string
	By   []string
	// Trigger and Key select the awaited event; for a call, Key is the id of the event that began
	// it.
	Trigger, Key string
	// From is the earliest time of receipt of an event that counts.
	From time.Time
	// Any reports that the step waits for several things; Index is the position of this one.
	Any   bool
	Index int
	// Until is when the step stops waiting; zero for never.
	Until time.Time
}

// wait ends when a person or an event answers, or when its time is over. A rejected approval is a
// failure, because the following steps were not approved.
func (p *planner) wait(s *workflows.Step, path string) outcome {
	last := p.last(path)
	if last == nil && s.Gone != "" {
		return p.gone(s, path)
	}
	if last == nil {
		what, err := p.question(s, path)
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, err))
		}
		last = p.waits(s, path, what)
	}
	if last.Status == Waiting {
		until := last.Until()
		switch a := p.answer(last); {
		case a != nil:
			last = p.answered(s, path, last, a)
		case p.st.Now.Before(until):
			p.wake(until)
			for _, q := range questionsOf(last) {
				q.Step = s
				p.out.Questions = append(p.out.Questions, q)
			}
			p.out.open++
			return pending
		default:
			last = p.endWait(last, Failed, nil, &Error{Message: fmt.Sprintf("no answer within %s", s.Timeout), Code: "timeout", Step: path})
		}
	}
	if last.Status == Failed {
		return p.fails(s, path, last)
	}
	p.bind(s, last, 1)
	return done
}

// answer returns the answer to an attempt.
func (p *planner) answer(r *Record) *Answer {
	if a := p.st.Answers[r.Path]; a != nil && a.Attempt == r.Attempt {
		return a
	}
	return nil
}

func (p *planner) answered(s *workflows.Step, path string, r *Record, a *Answer) *Record {
	if a.Err != nil {
		return p.endWait(r, Failed, nil, a.Err)
	}
	if a.Verdict == "reject" {
		message := "rejected"
		if m, ok := a.Output.(map[string]any); ok {
			if by, _ := m["by"].(string); by != "" {
				message += " by " + by
			}
			if comment, _ := m["comment"].(string); comment != "" {
				message += ": " + comment
			}
		}
		return p.endWait(r, Failed, a.Output, &Error{Message: value.CutText(message, MaxErrorText), Code: "rejected", Step: path})
	}
	output := a.Output
	if s.Wait != nil && len(s.Wait.Any) > 0 {
		output = chosen(r, a)
	}
	if s.Output != nil {
		env := p.env(p.st.Now, path)
		env.Names["result"] = output
		v, err := s.Output.Render(env, workflows.FillPlain)
		if err != nil {
			return p.endWait(r, Failed, nil, expressionError(err, path))
		}
		output = v
	}
	what := "the output"
	if a.Verdict == "event" && s.Output == nil {
		what = "the event, which is the output of the step,"
	}
	output, tooLarge := fit(output, what, keepLess+", such as output: ${{ result.data.id }}", path)
	if tooLarge != nil {
		return p.endWait(r, Failed, nil, tooLarge)
	}
	return p.endWait(r, Succeeded, output, nil)
}

// chosen is the output of a step that waited for several things: the output of the first to arrive,
// with its index and its kind.
func chosen(r *Record, a *Answer) any {
	m, isMap := a.Output.(map[string]any)
	if !isMap {
		return a.Output
	}
	out := maps.Clone(m)
	out["index"], out["kind"] = a.Index, "event"
	if a.Verdict != "event" {
		out["kind"] = "approval"
		for _, q := range questionsOf(r) {
			if q.Kind == "approval" {
				out["index"] = q.Index
			}
		}
	}
	return out
}

// question renders what the step waits for. It is recorded, so that it does not change.
func (p *planner) question(s *workflows.Step, path string) ([]Wait, *Error) {
	until := p.st.Now.Add(s.Timeout).UTC()
	var list []Wait
	for _, one := range s.Wait.Choices() {
		if p.st.GoneTriggers[one.Event] {
			return nil, &Error{Message: fmt.Sprintf("no trigger is named %q any more, so no event of it can end the wait", one.Event),
				Code: "gone", Step: path}
		}
		w, err := p.choice(one, path)
		if err != nil {
			return nil, err
		}
		w.Until, w.Any = until, len(s.Wait.Any) > 0
		list = append(list, w)
	}
	return list, nil
}

// choice renders one wait.
func (p *planner) choice(one *workflows.Wait, path string) (Wait, *Error) {
	template := one.Approval
	if one.Event != "" {
		template = one.Key
	}
	v, err := template.Render(p.env(p.st.Now, path), workflows.FillPlain)
	if err != nil {
		return Wait{}, expressionError(err, path)
	}
	text, err := value.Text(v)
	if err == nil {
		_, err = value.Fit(text)
	}
	if err != nil {
		what := "the text of the approval"
		if one.Event != "" {
			what = "wait.key"
		}
		return Wait{}, TooLarge(err, what, "write less data into it", path)
	}
	if one.Event == "" {
		return Wait{Kind: WaitApproval, Approval: text, By: one.By}, nil
	}
	if text == "" {
		return Wait{}, &Error{Message: "wait.key is empty, so it selects no event", Code: "expression", Step: path}
	}
	return Wait{Kind: WaitEvent, Trigger: one.Event, Key: workflows.ShortKey(text), From: p.eventsFrom(one).UTC()}, nil
}

// eventsFrom is the earliest time of receipt of an event that may end a wait: since: before now, or
// when the run's own event was received, if that is earlier. An event received during the run is
// never too old.
func (p *planner) eventsFrom(one *workflows.Wait) time.Time {
	from := p.st.Now.Add(-one.Since)
	if b := p.st.Began; !b.IsZero() && b.Before(from) {
		from = b
	}
	return from
}

// review holds a step whose attempt has an unknown outcome until a person says what to do.
func (p *planner) review(s *workflows.Step, path string, last *Record) outcome {
	switch a := p.answer(last); {
	case a == nil:
		p.out.Questions = append(p.out.Questions, Question{Path: path, Attempt: last.Attempt, Step: s, Kind: "review",
			Text: fmt.Sprintf("attempt %d of %s was interrupted, and it is unknown whether it took effect: "+
				"resend, done or fail?", last.Attempt, s.Uses)})
		p.out.open++
		return pending
	case a.Verdict == "done":
		r := &Record{Path: path, Attempt: last.Attempt + 1, Action: s.Uses, Status: Succeeded, StartedAt: p.st.Now,
			FinishedAt: p.st.Now, Output: a.Output}
		p.st.AddRecord(r)
		p.out.Finished = append(p.out.Finished, r)
		p.bind(s, r, last.Attempt)
		return done
	case a.Verdict == "fail":
		return p.interrupted(s, path, last, "; answered by a person")
	}
	return p.due(s, path, last.Attempt+1, time.Time{}, p.st.Records[path][0].StartedAt)
}

// interrupted fails a step whose attempt has an unknown outcome.
func (p *planner) interrupted(s *workflows.Step, path string, last *Record, why string) outcome {
	e := &Error{Message: "the attempt was interrupted, and it is unknown whether it took effect" + why, Code: "interrupted", Step: path}
	return p.fails(s, path, &Record{Path: path, Attempt: last.Attempt, Status: Failed, Error: e, StartedAt: last.StartedAt,
		FinishedAt: last.FinishedAt})
}
