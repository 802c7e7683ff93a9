package backtest

import (
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// workingTime is what the timeout: of a run limits: the time during which an attempt is in flight.
// The engine also counts the time it needs between attempts, and recorded times are rounded to
// milliseconds, so for a recorded run the record determines whether it was used up.
type workingTime struct {
	used time.Duration
	// upAt is when a recorded run had used it up; zero if it did not. recorded reports whether
	// there is a recorded run.
	upAt     time.Time
	recorded bool
	// beside is the difference to the recorded run's time in attempts, for a run that follows it;
	// it may be negative.
	beside time.Duration
	// atEnd is the time used when it was up, or at the last decision of a run that did not use it
	// up.
	atEnd time.Duration
}

// timeOut tells the planner whether the working time is used up.
func (s *simulation) timeOut() {
	t := &s.time
	if s.st.TimedOut {
		return
	}
	if s.st.TimedOut = t.used+t.beside >= s.w.Timeout; t.recorded {
		s.st.TimedOut = !t.upAt.IsZero() && !s.st.Now.Before(t.upAt)
	}
	t.atEnd = t.used
}

// allowed returns how long an attempt may take: the step's timeout, the time to a deadline, or what
// is left of the run's working time. Finally steps and the handlers of a run that timed out have
// their own time.
func (s *simulation) allowed(d *plan.Due) time.Duration {
	allowed := d.Step.Timeout
	if !d.Deadline.IsZero() {
		allowed = min(allowed, max(d.Deadline.Sub(s.st.Now), time.Millisecond))
	}
	if !s.time.recorded && !s.st.TimedOut && !strings.HasPrefix(d.Path, plan.FinallyPath+"/") {
		allowed = min(allowed, max(s.w.Timeout-s.time.used-s.time.beside, time.Millisecond))
	}
	return allowed
}

// followTime returns the working time of a run that is compared with this one.
func (s *simulation) followTime() workingTime {
	left := s.w.Timeout - s.time.atEnd
	if s.st.TimedOut {
		return workingTime{beside: left}
	}
	return workingTime{beside: min(0, max(left-1, -time.Second))}
}

// timeOf returns the working time of a recorded run. It was used up at the last time at which one
// of its steps began or ended by itself: after that only handlers begin.
func timeOf(r *engine.RecordedRun) workingTime {
	out := workingTime{recorded: true}
	if r.Run.Status != engine.TimedOut || r.Run.Error == nil || r.Run.Error.Code != "timeout" {
		return out
	}
	out.upAt = r.Run.StartedAt
	for _, x := range r.Records {
		if strings.HasPrefix(x.Path, plan.FinallyPath+"/") || strings.HasPrefix(x.Path, "on_failure/") {
			continue
		}
		out.upAt = later(out.upAt, x.StartedAt)
		if strings.Contains(x.Action, "/") || x.Status == plan.Succeeded {
			out.upAt = later(out.upAt, x.FinishedAt)
		}
	}
	return out
}
