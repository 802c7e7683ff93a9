package plan

import (
	"github.com/hookloom/hookloom/workflows"
)

// parallel walks branches that run at once. One that fails does not stop the
// others; the group fails when all have ended.
func (p *planner) parallel(s *workflows.Step, path string) outcome {
	return p.within(s, path, func() outcome {
		start := p.mark()
		before := p.steps
		merged := map[string]any{}
		var failure *Error
		open, stop := false, false
		for _, b := range s.Parallel {
			c := p.child(nil)
			switch c.step(b, path+"/"+b.Key) {
			case pending:
				open = true
			case failed:
				if failure == nil {
					failure = c.err
				}
			case stopped:
				stop, p.text = true, c.text
			}
			for id, x := range c.steps {
				if _, known := before[id]; !known {
					merged[id] = x
				}
			}
		}
		for id, x := range merged {
			p.steps[id] = x
		}
		switch {
		case stop:
			return p.stops(path, start)
		case open:
			return pending
		case failure != nil:
			return p.groupFails(s, path, failure, nil)
		}
		return p.closeGroup(s, path, p.outputs(s.Parallel))
	})
}

// stops ends the run from inside a parallel group or a loop: nothing else begins, and open attempts
// end first.
func (p *planner) stops(path string, start mark) outcome {
	p.rewind(start)
	if open := p.cut(path, "the run was stopped", "cancelled"); open || p.running(path) {
		return pending
	}
	return stopped
}
