package backtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// maxDecisions is the maximum number of calls of the planner per run, to end endless runs.
const maxDecisions = 100_000

// call is an attempt of a step that has an external effect, waits, or calls a workflow.
type call struct {
	path    string
	attempt int
	step    *workflows.Step
	// action is the step's action, call or wait. with is its input with placeholders for secrets,
	// shown the same with masks; for a wait it is what is awaited.
	action      string
	with, shown map[string]any
	// key is what similar requests have in common: action, host and the template of the path.
	key, host string
	began     time.Time
	answer    *answer
	// due and called are set for the two kinds whose output is computed by the step's output:.
	due    *plan.Due
	called *plan.Call
	allow  time.Duration
	// sent builds the request of an action of a connector, and made keeps what it returned.
	sent func() map[string]any
	made map[string]any
	// local reports whether it has no external effect: it is compared if both sides make it, and is
	// not a request.
	local bool
}

// answer is used as the answer to an attempt.
type answer struct {
	status plan.Status
	output any
	err    *plan.Error
	took   time.Duration
	// raw reports whether output is the action's output, before the step's output: is applied.
	raw bool
	// exact reports whether the attempt that took this long had more time than the one that gets it.
	exact bool
	// none reports whether nothing had arrived when the recorded step ended, took after it began.
	none bool
}

// answers provides the answer to a call; unknown says why there is none.
type answers interface {
	find(c *call) (a *answer, assumed bool, unknown string)
	// person returns what a person decided about an attempt; nil if nothing.
	person(path string, attempt int) *plan.Answer
}

// simulation is a run simulated in virtual time.
type simulation struct {
	w       *workflows.Workflow
	st      *plan.State
	answers answers
	clock   *clock
	// host returns the host that an attempt calls.
	host func(d plan.Due) string
	// sent builds the request of an attempt.
	sent func(s *simulation, d plan.Due) map[string]any
	// local runs an action without external effects; nil for none.
	local func(ctx context.Context, d plan.Due) (any, bool, error)
	ctx   context.Context
	// cancelAt is when the run was cancelled, zero if it was not; why is its error.
	cancelAt time.Time
	why      *plan.Error

	pending []completion
	asked   map[string]bool
	time    workingTime

	calls   []*call
	assumed int
	unknown string
	end     *plan.End
	ended   time.Time
}

// completion is a record that becomes due at a time. With unknown, nothing is recorded about the
// attempt from that time on. With ended, it is the end of the run that the attempt called.
type completion struct {
	at      time.Time
	record  *plan.Record
	unknown string
	ended   *plan.Answer
}

// run simulates the run to its end, or to where its continuation is unknown.
func (s *simulation) run() {
	s.asked = map[string]bool{}
	for range maxDecisions {
		d := plan.Next(s.st)
		s.pending = slices.DeleteFunc(s.pending, func(c completion) bool { return c.record != nil && !s.open(c.record) })
		if d.End != nil && len(s.pending) == 0 {
			s.end, s.ended = d.End, s.st.Now
			return
		}
		if d.End == nil {
			if s.begin(d) {
				continue
			}
			if s.unknown != "" {
				s.ended = s.st.Now
				return
			}
		}
		if !s.advance(d) {
			if s.end == nil && s.unknown == "" {
				s.unknown = "it waits for something that is not recorded"
			}
			s.ended = s.st.Now
			return
		}
	}
	s.unknown = fmt.Sprintf("it does not end: %d decisions were made", maxDecisions)
}

// begin starts what is due. It reports whether the planner must be called again at once.
func (s *simulation) begin(d plan.Decision) (again bool) {
	for i := range d.Calls {
		again = s.startCall(&d.Calls[i]) || again
		if s.unknown != "" {
			return false
		}
	}
	if again {
		return true
	}
	for _, q := range d.Questions {
		if s.ask(q, d.Questions); s.unknown != "" {
			return false
		}
	}
	for i := range d.Due {
		if d.Due[i].NotBefore.After(s.st.Now) {
			continue
		}
		again = s.startAttempt(&d.Due[i]) || again
		if s.unknown != "" {
			return false
		}
	}
	return again
}

// put records a call with its answer: as running, and as ended at its time. One that takes no time
// ends at once; put then reports true, and the planner must be called again.
func (s *simulation) put(c *call, open plan.Record) (again bool) {
	a, assumed, unknown := s.answers.find(c)
	s.calls = append(s.calls, c)
	if unknown != "" {
		s.unknown = "step " + c.path + ": " + unknown
		return false
	}
	if assumed {
		s.assumed++
	}
	c.answer = a
	if a.none {
		s.st.AddRecord(&open)
		s.expectNothing(c, &open)
		return false
	}
	ended := s.ending(c, open, a)
	if ended.FinishedAt.After(s.st.Now) {
		s.st.AddRecord(&open)
		s.pending = append(s.pending, completion{at: ended.FinishedAt, record: ended})
		return false
	}
	s.st.Fit(ended)
	s.st.AddRecord(ended)
	return true
}

// ending returns the record of a call with its answer.
func (s *simulation) ending(c *call, open plan.Record, a *answer) *plan.Record {
	r := open
	r.Waits, r.Status, r.Output, r.Error, r.FinishedAt = nil, a.status, a.output, a.err, s.st.Now.Add(a.took)
	limit := c.allow + slack
	if a.exact {
		limit = c.allow + time.Millisecond // recorded times are in milliseconds
	}
	if c.allow > 0 && a.took > limit {
		r.Status, r.Output, r.FinishedAt = plan.Failed, nil, s.st.Now.Add(c.allow)
		r.Error = &plan.Error{Message: fmt.Sprintf("no answer within %s", c.allow), Code: "timeout", Retryable: true, Step: c.path,
			Attempts: c.attempt}
		return &r
	}
	if a.raw && r.Status == plan.Succeeded {
		var err error
		switch {
		case c.due != nil:
			r.Output, err = c.due.Output(s.st.RunID, a.output)
		case c.called != nil:
			r.Output, err = c.called.Output(s.st.RunID, a.output)
		}
		if err != nil {
			r.Status, r.Output, r.Error = plan.Failed, nil, &plan.Error{Message: err.Error(), Code: "expression"}
		}
	}
	if r.Error != nil {
		e := *r.Error
		e.Step, e.Attempts = cmp.Or(e.Step, c.path), c.attempt
		r.Error = &e
	}
	return &r
}

// slack is the maximum time by which a recorded attempt may exceed its timeout.
const slack = 50 * time.Millisecond

func (s *simulation) startAttempt(d *plan.Due) (again bool) {
	c := &call{path: d.Path, attempt: d.Attempt, step: d.Step, action: d.Step.Uses, with: d.With, shown: d.Shown, began: s.st.Now, due: d,
		allow: s.allowed(d)}
	open := plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Running, StartedAt: s.st.Now}
	if d.Step.Spec != nil && !d.Step.Spec.SideEffects {
		return s.startLocal(c, open)
	}
	c.host = s.host(*d)
	c.key = keyOf(c)
	if s.sent != nil && connectorOf(c) != nil {
		c.sent = func() map[string]any { return s.sent(s, *d) }
	}
	return s.put(c, open)
}

// startLocal runs an action without external effects, or uses the record.
func (s *simulation) startLocal(c *call, open plan.Record) bool {
	c.key, c.local = c.action, true
	if a, assumed, unknown := s.answers.find(c); unknown == "" && !assumed {
		s.calls, c.answer = append(s.calls, c), a
		ended := s.ending(c, open, &answer{status: a.status, output: a.output, err: a.err, raw: a.raw})
		s.st.Fit(ended)
		s.st.AddRecord(ended)
		return true
	}
	result, done, err := s.local(s.ctx, *c.due)
	if !done {
		return s.put(c, open)
	}
	a := &answer{status: plan.Succeeded, output: result, raw: true}
	if err != nil {
		a = &answer{status: plan.Failed, err: asError(err)}
	}
	s.calls, c.answer = append(s.calls, c), a
	ended := s.ending(c, open, a)
	s.st.Fit(ended)
	s.st.AddRecord(ended)
	return true
}

func (s *simulation) startCall(pc *plan.Call) (again bool) {
	c := &call{path: pc.Path, attempt: pc.Attempt, step: pc.Step(), action: "call", with: pc.Inputs, shown: pc.Inputs, began: s.st.Now,
		called: pc, key: fmt.Sprintf("call %s %v", pc.Workflow, pc.Detach)}
	open := plan.Record{Path: pc.Path, Attempt: pc.Attempt, Action: "call", Status: plan.Waiting, StartedAt: s.st.Now,
		Waits: []plan.Wait{{Kind: plan.WaitCall, Workflow: pc.Workflow, Until: pc.Until}}}
	ended := s.put(c, open)
	// A wait is recorded as waiting, so the planner must see it.
	return ended || s.unknown == ""
}

// ask finds the answer to what a step waits for: from a person, or an event.
func (s *simulation) ask(q plan.Question, all []plan.Question) {
	if q.Kind == "review" {
		if a := s.answers.person(q.Path, q.Attempt); a != nil && s.st.Answers[q.Path] == nil {
			s.pending = append(s.pending, completion{at: later(a.At, s.st.Now), record: nil})
			s.st.Answers[q.Path] = a
		}
		return
	}
	if q.Kind == "call" {
		s.endCalled(q)
		return
	}
	if s.asked[q.Path] {
		return
	}
	s.asked[q.Path] = true
	var waits []any
	for _, x := range all {
		if x.Path == q.Path {
			waits = append(waits, map[string]any{"approval": approval(x), "event": x.Trigger, "key": x.Key})
		}
	}
	with := map[string]any{"for": waits}
	c := &call{path: q.Path, attempt: q.Attempt, step: q.Step, action: "wait", with: with, shown: with, began: s.st.Now}
	c.key = "wait " + fmt.Sprint(waits...)
	a, assumed, unknown := s.answers.find(c)
	if unknown != "" {
		s.unknown = "step " + q.Path + ": " + unknown
		return
	}
	if assumed {
		s.assumed++
	}
	list := s.st.Records[q.Path]
	if len(list) == 0 {
		return
	}
	s.calls = append(s.calls, c)
	c.answer = a
	if a.none {
		s.expectNothing(c, list[len(list)-1])
		return
	}
	s.pending = append(s.pending, completion{at: s.st.Now.Add(a.took), record: s.ending(c, *list[len(list)-1], a)})
}

// expectNothing leaves a wait or a call to the planner, which ended it in the recorded run: its
// timeout or a deadline passed, or a parallel iteration failed. What comes later is unknown.
func (s *simulation) expectNothing(c *call, r *plan.Record) {
	s.pending = append(s.pending, completion{at: s.st.Now.Add(c.answer.took + slack), record: r,
		unknown: "nothing had come for it when the recorded step ended"})
}

// endCalled ends the run that a step called, if the planner orders it and no earlier result of the
// run is recorded: it takes as long as recorded.
func (s *simulation) endCalled(q plan.Question) {
	list := s.st.Records[q.Path]
	r := list[len(list)-1]
	i := slices.IndexFunc(s.pending, func(c completion) bool {
		return c.unknown != "" && c.record.Path == r.Path && c.record.Attempt == r.Attempt
	})
	if w := r.Call(); i < 0 || w == nil || w.Ending == nil {
		return
	}
	at := later(s.pending[i].at.Add(-slack), s.st.Now)
	s.pending[i] = completion{at: at, record: r, ended: &plan.Answer{Attempt: r.Attempt, Verdict: "call", Err: r.Call().Ending}}
}

// approval returns the identity of a question to a person; the question's text does not affect the
// meaning of the answer.
func approval(q plan.Question) string {
	if q.Trigger != "" {
		return ""
	}
	return "asked"
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// advance advances to the next time at which something happens; it returns false if nothing does.
func (s *simulation) advance(d plan.Decision) bool {
	var next time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if d.End == nil {
		consider(d.Wake)
		for _, x := range d.Due {
			if x.NotBefore.After(s.st.Now) {
				consider(x.NotBefore)
			}
		}
	}
	for _, c := range s.pending {
		consider(c.at)
	}
	consider(s.cancelAt)
	if next.IsZero() {
		return false
	}
	if slices.ContainsFunc(s.pending, s.inFlight) {
		s.time.used += max(0, next.Sub(s.st.Now))
	}
	cancelled := !s.cancelAt.IsZero() && next.Equal(s.cancelAt)
	s.pending = slices.DeleteFunc(s.pending, func(c completion) bool {
		if c.at.After(next) {
			return false
		}
		if r := c.record; r != nil && s.open(r) {
			switch {
			case c.unknown != "":
				s.unknown = "step " + r.Path + ": " + c.unknown
				return true
			case c.ended != nil:
				s.st.Answers[r.Path] = c.ended
				return true
			}
			s.st.Fit(r)
			s.st.AddRecord(r)
		}
		return true
	})
	s.st.Now = later(s.clock.at(next, s.earliest()), s.st.Now)
	s.timeOut()
	if s.unknown != "" {
		return false
	}
	if cancelled {
		return s.cancel()
	}
	return true
}

// open reports whether the attempt that a record ends is still open: it may have been cancelled.
func (s *simulation) open(r *plan.Record) bool {
	status := s.statusOf(r)
	return status == plan.Running || status == plan.Waiting
}

// inFlight reports whether c is the end of an attempt, which counts as working time; waits and
// called runs do not.
func (s *simulation) inFlight(c completion) bool {
	return c.record != nil && s.statusOf(c.record) == plan.Running
}

// statusOf returns the current status of the attempt that a record ends.
func (s *simulation) statusOf(r *plan.Record) plan.Status {
	for _, x := range s.st.Records[r.Path] {
		if x.Attempt == r.Attempt {
			return x.Status
		}
	}
	return plan.Running
}

// earliest returns when the next record is due; zero if there is none.
func (s *simulation) earliest() (at time.Time) {
	for _, c := range s.pending {
		if at.IsZero() || c.at.Before(at) {
			at = c.at
		}
	}
	return at
}

// cancel ends the run as recorded, or continues with its finally steps.
func (s *simulation) cancel() bool {
	s.cancelAt = time.Time{}
	for _, list := range s.st.Records {
		if r := list[len(list)-1]; r.Status == plan.Waiting || r.Status == plan.Running {
			cut := *r
			cut.Status, cut.FinishedAt, cut.Waits = plan.Failed, s.st.Now, nil
			cut.Error = &plan.Error{Message: "the run ended", Code: plan.CutCode}
			s.st.AddRecord(&cut)
		}
	}
	s.pending = nil
	if len(s.w.Finally) == 0 {
		s.end, s.ended = &plan.End{Status: string(engine.Cancelled), Error: s.why}, s.st.Now
		return false
	}
	s.st.Cancelled = s.why
	if s.why == nil {
		s.st.Cancelled = &plan.Error{Message: "cancelled", Code: plan.CutCode}
	}
	return true
}

// cancelledAt returns when a recorded run was cancelled; zero if it was not.
func cancelledAt(r *engine.RecordedRun) time.Time {
	if r.Run.Status != engine.Cancelled {
		return time.Time{}
	}
	at := r.Run.FinishedAt
	for _, x := range r.Records {
		if strings.HasPrefix(x.Path, plan.FinallyPath+"/") && x.StartedAt.Before(at) {
			at = x.StartedAt
		}
	}
	return at
}
