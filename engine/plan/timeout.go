package plan

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// within walks a group that may have a timeout of its own. When that has passed,
// nothing of the group begins any more, and it fails once what is open has ended.
func (p *planner) within(s *workflows.Step, path string, walk func() outcome) outcome {
	ofTheStep := s.Body == "uses" || s.Body == "wait" || s.Body == "call" // an attempt's
	if s.Timeout <= 0 || ofTheStep || p.last(path) != nil {
		return walk()
	}
	outer, before := p.limit, p.mark()
	mine := limit{at: p.began(path).Add(s.Timeout), path: path, timeout: s.Timeout}
	if p.limit.at.IsZero() || mine.at.Before(p.limit.at) {
		p.limit = mine
	}
	o := walk()
	p.limit = outer
	if o != pending {
		return o
	}
	if p.st.Now.Before(mine.at) {
		p.wake(mine.at)
		return pending
	}
	p.rewind(before)
	if open := p.cut(path, mine.over(), "timeout"); open || p.running(path) {
		return pending
	}
	return p.fails(s, path, p.put(s, path, Failed, nil,
		&Error{Message: fmt.Sprintf("the group took longer than %s", s.Timeout), Code: "timeout", Step: path}))
}

// limit is when a group has run out of time, or a deadline passes: of a step or, with no
// path, of the run.
type limit struct {
	at       time.Time
	path     string
	timeout  time.Duration
	deadline bool
}

// over says what happened to a step that the limit has cut.
func (l limit) over() string {
	switch {
	case l.deadline && l.path == "":
		return "the run took longer than its deadline of " + workflows.DurationText(l.timeout)
	case l.deadline:
		return fmt.Sprintf("step %s took longer than its deadline of %s", l.path, workflows.DurationText(l.timeout))
	}
	return fmt.Sprintf("its group %s took longer than its timeout of %s", l.path, l.timeout)
}

// CutByGroup says that an attempt was cut by the timeout of the group around it.
func (d Due) CutByGroup() string {
	return limit{d.Deadline, d.Group, d.GroupTimeout, d.byDeadline}.over()
}

// cut ends what waits at or below a path, with the reason on record. A called run is
// ended first, which takes its time: cut tells that there is one still. It leaves the
// handler of the workflow alone, and attempts that are open, which have their own end.
func (p *planner) cut(path, why, code string) (open bool) {
	var list []string
	for k, records := range p.st.Records {
		inside := path == "" && !strings.HasPrefix(k, "on_failure/") || k == path || strings.HasPrefix(k, path+"/") && path != ""
		if inside && records[len(records)-1].Status == Waiting {
			list = append(list, k)
		}
	}
	sort.Strings(list)
	for _, k := range list {
		last := p.last(k)
		e := &Error{Message: "cut: " + why, Code: code, Step: k}
		if call := last.Call(); call == nil {
			p.endWait(last, Failed, nil, e)
		} else if p.endCall(last, e).Status == Waiting {
			p.out.Questions = append(p.out.Questions, Question{Path: k, Attempt: last.Attempt, Kind: "call", Key: call.Event})
			p.out.open++
			open = true
		}
	}
	return open
}

// began is when the first record below a path was made, though not before the
// run: a replay has records of another. It is now when there is none.
func (p *planner) began(path string) time.Time {
	out := p.st.Now
	for k, list := range p.st.Records {
		if strings.HasPrefix(k, path+"/") && list[0].StartedAt.Before(out) {
			out = list[0].StartedAt
		}
	}
	if out.Before(p.st.StartedAt) {
		return p.st.StartedAt
	}
	return out
}

// running tells whether an attempt at or below a path is open.
func (p *planner) running(path string) bool {
	for k, list := range p.st.Records {
		if (k == path || strings.HasPrefix(k, path+"/")) && list[len(list)-1].Status == Running {
			return true
		}
	}
	return false
}
