package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// This file implements deadline:, of steps and of whole runs. It limits the total time, pauses and
// waits included, whereas timeout: limits one attempt, or the working time of a run.

// deadlineCode is the error code of a step or run that exceeded its deadline.
const deadlineCode = "deadline"

// walk walks the body of a step whose condition holds.
func (p *planner) walk(s *workflows.Step, path string) outcome {
	if s.ForEach != nil {
		return p.loop(s, path)
	}
	return p.body(s, path)
}

// untilDeadline walks a step that has a deadline. Once it has passed, nothing of the step begins,
// open attempts are cut, and the step fails. This is recorded, so that a clock that is set back
// does not revive it.
func (p *planner) untilDeadline(s *workflows.Step, path string) outcome {
	if mark := p.last(markOf(path)); mark != nil {
		return p.afterDeadline(s, path, mark)
	}
	if last := p.last(path); last != nil && last.Status == Succeeded {
		return p.walk(s, path)
	}
	end := p.beganAt(path).Add(s.Deadline)
	late := !p.st.Now.Before(end)
	if late && !p.running(path) && p.cutAt(path, end) {
		return p.passes(s, path)
	}
	around, bounded, outer, before := p.around, p.bounded, p.limit, p.mark()
	p.around, p.bounded, p.handling = outer, path, ""
	if p.limit.at.IsZero() || end.Before(p.limit.at) {
		p.limit = limit{at: end, path: path, timeout: s.Deadline, deadline: true}
	}
	o := p.walk(s, path)
	p.around, p.bounded, p.limit = around, bounded, outer
	if o != pending || p.handling == path { // its own on_failure has no deadline
		return o
	}
	if !late {
		p.wake(end)
		return pending
	}
	p.rewind(before)
	if p.running(path) {
		return pending
	}
	return p.passes(s, path)
}

// beganAt is when the first record at or below a path was made, like began.
func (p *planner) beganAt(path string) time.Time {
	out := p.began(path)
	if list := p.st.Records[path]; len(list) > 0 && list[0].StartedAt.Before(out) && !list[0].StartedAt.Before(p.st.StartedAt) {
		out = list[0].StartedAt
	}
	return out
}

// cutAt reports whether an attempt at or below a path was cut when a deadline passed.
func (p *planner) cutAt(path string, end time.Time) bool {
	for k, list := range p.st.Records {
		if k != path && !strings.HasPrefix(k, path+"/") || strings.HasPrefix(k, path+"/on_failure/") {
			continue
		}
		if r := list[len(list)-1]; isCut(r) && !r.FinishedAt.Before(end) {
			return true
		}
	}
	return false
}

func isCut(r *Record) bool { return r.Error != nil && r.Error.Code == "timeout" }

// passes records that a step's deadline has passed, and closes its waiting steps.
func (p *planner) passes(s *workflows.Step, path string) outcome {
	e := &Error{Message: "the step took longer than its deadline of " + workflows.DurationText(s.Deadline), Code: deadlineCode, Step: path}
	if last := p.last(path); last != nil && last.Error != nil && !isCut(last) {
		e.Message += fmt.Sprintf("; attempt %d failed: %s", last.Attempt, last.Error.Message)
	}
	return p.afterDeadline(s, path, p.noteDeadline(path, e))
}

// afterDeadline fails a step whose deadline has passed, as soon as the runs it called have ended. A
// group is walked for the outputs of its inner steps; nothing in it begins.
func (p *planner) afterDeadline(s *workflows.Step, path string, mark *Record) outcome {
	if !p.handlerBegan(path) && p.cut(path, "the step took longer than its deadline of "+workflows.DurationText(s.Deadline), deadlineCode) {
		return pending
	}
	if len(s.Steps)+len(s.Parallel)+len(s.Cases)+len(s.Default) > 0 && s.ForEach == nil {
		p.discard(func() { p.walk(s, path) })
	}
	failed := *mark
	failed.Path = path
	return p.fails(s, path, &failed)
}

// handlerBegan reports whether a step's on_failure has begun; steps waiting in it are not closed by
// the deadline.
func (p *planner) handlerBegan(path string) bool {
	for k := range p.st.Records {
		if strings.HasPrefix(k, path+"/on_failure/") {
			return true
		}
	}
	return false
}

// discard walks steps only for their outputs: it discards what the walk would record or begin, and
// its outcome.
func (p *planner) discard(walk func()) {
	records, memory, finished, err, text, before := p.st.Records, p.st.memory, len(p.out.Finished), p.err, p.text, p.mark()
	p.st.Records = make(map[string][]*Record, len(records))
	for k, list := range records {
		p.st.Records[k] = slices.Clone(list)
	}
	walk()
	p.rewind(before)
	p.st.Records, p.st.memory, p.out.Finished, p.err, p.text = records, memory, p.out.Finished[:finished], err, text
}

// runDeadline is when the run must have ended; zero for never.
func (st *State) runDeadline() time.Time {
	if st.Workflow.Deadline == 0 {
		return time.Time{}
	}
	return st.StartedAt.Add(st.Workflow.Deadline)
}

// overdue reports whether the run's deadline passed before it finished. last is the outcome of its
// steps.
func (p *planner) overdue(last outcome) bool {
	end := p.st.runDeadline()
	if end.IsZero() || p.st.Now.Before(end) {
		return false
	}
	if last == failed {
		r := p.last(p.err.Step)
		return r != nil && isCut(r) && !r.FinishedAt.Before(end)
	}
	return last == pending
}

// endOverdue ends a run whose deadline has passed.
func (p *planner) endOverdue() Decision {
	e := &Error{Message: "the run took longer than its deadline of " + workflows.DurationText(p.st.Workflow.Deadline) +
		", waiting included", Code: deadlineCode, Step: p.openStep()}
	if p.err != nil {
		e.Step = p.err.Step // an attempt was cut
	}
	return p.afterRunDeadline(p.noteDeadline("", e))
}

// afterRunDeadline continues with the handlers of a run whose deadline has passed, as soon as the
// runs it called have ended. Its steps are walked for their outputs; none of them begins.
func (p *planner) afterRunDeadline(note *Record) Decision {
	p.rewind(mark{})
	if p.cut("", limit{timeout: p.st.Workflow.Deadline, deadline: true}.over(), deadlineCode) {
		return *p.out
	}
	p.discard(func() { p.sequence(p.st.Workflow.Steps, "") })
	p.err = note.Error
	return p.finish("timed_out")
}

// noteDeadline records that the deadline of a step has passed, or with an empty path that of the
// run.
func (p *planner) noteDeadline(path string, e *Error) *Record {
	note := &Record{Path: markOf(path), Attempt: 1, Action: deadlineCode, Status: Failed, StartedAt: p.st.Now, FinishedAt: p.st.Now, Error: e}
	p.st.AddRecord(note)
	p.out.Finished = append(p.out.Finished, note)
	return note
}

// markOf is the path of the record of a passed deadline. It cannot collide: no step's key has
// brackets.
func markOf(path string) string {
	if path == "" {
		return "(deadline)"
	}
	return path + "/(deadline)"
}

// openStep is the path of the first step that is due, running or waiting.
func (p *planner) openStep() string {
	if len(p.out.Due) > 0 {
		return p.out.Due[0].Path
	}
	out := ""
	for path, list := range p.st.Records {
		if s := list[len(list)-1].Status; (s == Running || s == Waiting) && (out == "" || path < out) {
			out = path
		}
	}
	return out
}
