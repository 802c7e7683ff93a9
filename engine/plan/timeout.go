package plan

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// within walks a group that may have its own timeout. Once that has passed, nothing in the group
// begins, and it fails after its open attempts have ended.
func (p *planner) within(s *workflows.Step, path string, walk func() outcome) outcome {
	ofAttempt := s.Body == "uses" || s.Body == "wait" || s.Body == "call" // here the timeout is an attempt's
	if s.Timeout <= 0 || ofAttempt || p.last(path) != nil {
		return walk()
	}
	outer, before := p.limit, p.mark()
	own := limit{at: p.began(path).Add(s.Timeout), path: path, timeout: s.Timeout}
	if p.limit.at.IsZero() || own.at.Before(p.limit.at) {
		p.limit = own
	}
	o := walk()
	p.limit = outer
	if o != pending {
		return o
	}
	if p.st.Now.Before(own.at) {
		p.wake(own.at)
		return pending
	}
	p.rewind(before)
	if open := p.cut(path, own.over(), "timeout"); open || p.running(path) {
		return pending
	}
	return p.fails(s, path, p.put(s, path, Failed, nil,
		&Error{Message: fmt.Sprintf("the group took longer than %s", s.Timeout), Code: "timeout", Step: path}))
}

// limit is when the timeout of a group expires, or a deadline passes: of a step or, with an empty
// path, of the run.
type limit struct {
	at       time.Time
	path     string
	timeout  time.Duration
	deadline bool
}

// over is the reason recorded for a step that the limit has cut.
func (l limit) over() string {
	switch {
	case l.deadline && l.path == "":
		return "the run took longer than its deadline of " + workflows.DurationText(l.timeout)
	case l.deadline:
		return fmt.Sprintf("step %s took longer than its deadline of %s", l.path, workflows.DurationText(l.timeout))
	}
	return fmt.Sprintf("its group %s took longer than its timeout of %s", l.path, l.timeout)
}

// CutByGroup is the reason recorded for an attempt that was cut by the timeout of its group.
func (d Due) CutByGroup() string {
	return limit{d.Deadline, d.Group, d.GroupTimeout, d.byDeadline}.over()
}

// cut ends the waiting steps at or below a path, and records the reason. Called runs are ended
// first, which takes time: open reports that there is one left. It does not end the workflow's
// handler, or open attempts, which have their own limits.
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

// began is when the first record below a path was made, but not earlier than the run: a replay has
// records of another run. It is now if there is none.
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

// running reports whether an attempt at or below a path is open.
func (p *planner) running(path string) bool {
	for k, list := range p.st.Records {
		if (k == path || strings.HasPrefix(k, path+"/")) && list[len(list)-1].Status == Running {
			return true
		}
	}
	return false
}
