package plan

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// State is all that a decision may depend on.
type State struct {
	Workflow *workflows.Workflow
	// Event, Inputs and Run are what expressions see under these names.
	Event, Inputs, Run map[string]any
	// RunID seeds uuid() and the spread of pauses.
	RunID     string
	StartedAt time.Time
	// Began is when the run's event came; what is received later may end its waits.
	Began time.Time
	// Records holds the attempts of each path, oldest first.
	Records map[string][]*Record
	// Kept are the calls in doubt that the run goes on with, by path.
	Kept map[string]*Kept
	// Answers are those that came from outside, by path.
	Answers map[string]*Answer
	// Secrets are the values of the secrets that the workflow names.
	Secrets map[string]any
	// Hidden are the values of the run's secret inputs, as text.
	Hidden []string
	// GoneTriggers are those that the workflow waits for and that the project has no more.
	GoneTriggers map[string]bool
	// Now is the moment of the decision.
	Now time.Time
	// TimedOut tells that the run's working time is used up.
	TimedOut bool
	// Events are those of a batch, as expressions see them; nil for other runs.
	Events []any
	// Cancelled is why the run is being cancelled; nil for a run that is not. Nothing
	// begins any more but the steps of finally.
	Cancelled *Error
	// Until is when expressions end that take too long; zero for their usual bounds.
	Until time.Time
	// memory is what the outputs of Records take.
	memory int64
	// vars are computed once.
	vars    map[string]any
	varsErr *Error
}

// Kept is a call of an earlier run that may have taken effect. It is made again as it
// was: with the names that its first attempt saw as run, at the moment Began.
type Kept struct {
	Run   map[string]any
	Began time.Time
}

// Decision is what may happen next.
type Decision struct {
	// Finished are records of steps that needed no action: skipped, set, switch,
	// groups, stop, fail, and steps whose expressions failed. Store them first.
	Finished []*Record
	// Due are attempts to make, each not before its time.
	Due []Due
	// Wake is when the plan must be asked again though nothing happens: a sleep is
	// over, or a wait or a group has run out of time. Zero for never.
	Wake time.Time
	// Calls are workflows to start; with their records made, ask again.
	Calls []Call
	// Questions are what the run waits for from outside.
	Questions []Question
	// End is set when the run is over.
	End *End
	// open counts what is at work or waits, but not what pauses before its next try.
	open int
}

// Due is one attempt to make.
type Due struct {
	Path    string
	Attempt int
	Step    *workflows.Step
	// With is the rendered input; Shown the same as it may be kept on record: of what
	// is left in the clear, values of secrets are still masked.
	With, Shown map[string]any
	// Derived are parts of secrets that its expressions cut out, and secret inputs of
	// its action: they are masked from now on.
	Derived []string
	// Notes are warnings about what the attempt sends.
	Notes []string
	// NotBefore is zero for at once; HeldSince is when an attempt was due first that
	// waits for its destination, and zero for others.
	NotBefore, HeldSince time.Time
	// Deadline is when a group around the step runs out of time, or the deadline of a step
	// or of the run passes, zero for never; Group is its path and GroupTimeout what it may
	// take.
	Deadline     time.Time
	Group        string
	GroupTimeout time.Duration
	byDeadline   bool
	// Env evaluates the step's output.
	names workflows.Names
	now   time.Time
}

// Began is when the step was due first, the moment of now() in its expressions.
func (d Due) Began() time.Time { return d.now }

// End is how a run ended.
type End struct {
	// Status is succeeded, failed or timed_out.
	Status string
	Output any
	Error  *Error
	// Text is what stop said.
	Text string
}

// AddRecord puts an attempt on record, or replaces the one with its number.
func (s *State) AddRecord(r *Record) {
	if s.Records == nil {
		s.Records = map[string][]*Record{}
	}
	if r.Output != nil {
		r.count()
		s.memory += int64(r.memory)
	}
	list := s.Records[r.Path]
	for i, old := range list {
		if old.Attempt == r.Attempt {
			s.memory -= int64(old.memory) // also of r itself, which may be added twice
			list[i] = r
			return
		}
	}
	s.Records[r.Path] = append(list, r)
}

// outcome is how a list of steps stands.
type outcome int

const (
	done outcome = iota
	pending
	failed
	stopped
)

// planner walks the steps once, over the records.
type planner struct {
	st   *State
	out  *Decision
	vars map[string]any
	// steps are the results that expressions see; locals are the item and index of
	// the loops around.
	steps  map[string]any
	locals workflows.Names
	// limit is the one around that runs out of time first: of a group, or a deadline.
	limit limit
	// bounded is the innermost step that is walked and has a deadline of its own, around
	// the limit outside of it; handling is the last step whose on_failure is open.
	bounded, handling string
	around            limit
	err               *Error
	text              string
	// handled is the error that an on_failure handler sees.
	handled *Error
	// frozen tells that steps which have not begun do not begin.
	frozen bool
	// ended is the status of the run, in finally.
	ended string
}

// Next decides. It changes nothing but the records it returns, which it also
// puts into the state, so that asking again gives the rest.
func Next(st *State) Decision {
	p := &planner{st: st, out: &Decision{}, steps: map[string]any{}}
	if end := p.start(); end != nil {
		return Decision{End: end}
	}
	if p.frozen = st.Cancelled != nil; p.frozen {
		p.sequence(st.Workflow.Steps, "") // what has run can be read in finally
		p.rewind(mark{})
		p.frozen = false
		return p.conclude(&End{Status: "cancelled", Error: st.Cancelled})
	}
	if mark := p.last(markOf("")); mark != nil {
		return p.afterRunDeadline(mark)
	}
	if end := st.runDeadline(); !end.IsZero() {
		p.limit = limit{at: end, timeout: st.Workflow.Deadline, deadline: true}
	}
	last := p.sequence(st.Workflow.Steps, "")
	if p.overdue(last) {
		return p.endOverdue()
	}
	switch last {
	case pending:
		if !st.TimedOut {
			if !p.limit.at.IsZero() {
				p.wake(p.limit.at)
			}
			return *p.out
		}
		p.rewind(mark{})
		p.err = &Error{Message: fmt.Sprintf("the run took longer than %s", st.Workflow.Timeout), Code: "timeout", Step: p.firstOpen()}
		if p.cut("", "the run took longer than its timeout of "+st.Workflow.Timeout.String(), "timeout") {
			return *p.out // what it called ends first
		}
		return p.finish("timed_out")
	case failed:
		if st.TimedOut && p.err.Code == "timeout" {
			return p.finish("timed_out")
		}
		return p.finish("failed")
	}
	end := &End{Status: "succeeded", Text: p.text}
	v, err := st.Workflow.Output.Render(p.env(st.Now, "output"), workflows.FillPlain)
	if err != nil && last == stopped {
		v, err = nil, nil // it reads steps that stop left out, and stop ends the run well
	}
	if err != nil {
		p.err = expressionError(err, "output")
		return p.finish("failed")
	}
	if end.Output, p.err = fit(v, "the output of the run", "return less with output:", "output"); p.err != nil {
		return p.finish("failed")
	}
	return p.conclude(end)
}

// Vars computes the workflow's vars, once for the life of the state.
func (st *State) Vars() (map[string]any, *Error) {
	if st.vars == nil {
		st.vars = map[string]any{}
		p := &planner{st: st, vars: st.vars, steps: map[string]any{}}
		for _, v := range st.Workflow.Vars {
			x, err := v.Value.Render(p.env(st.StartedAt, "vars."+v.Name), workflows.FillPlain)
			if err != nil {
				st.varsErr = expressionError(err, "vars."+v.Name)
				break
			}
			if x, st.varsErr = fit(x, "variable "+v.Name, "keep less in it", "vars."+v.Name); st.varsErr != nil {
				break
			}
			st.vars[v.Name] = x
		}
	}
	return st.vars, st.varsErr
}

// Names are what expressions see at the end of a run: its event, inputs, vars and
// the steps that can be seen from there.
func Names(st *State) workflows.Names {
	p := &planner{st: st, out: &Decision{}, steps: map[string]any{}}
	if p.start() == nil {
		p.sequence(st.Workflow.Steps, "")
	}
	return p.names()
}

func (p *planner) start() *End {
	vars, err := p.st.Vars()
	if err != nil {
		return &End{Status: "failed", Error: err}
	}
	p.vars = maps.Clone(vars)
	return nil
}

// finish runs the workflow's on_failure after the first failure, then ends. A
// failure inside it is put beside the first one, never in its place.
func (p *planner) finish(status string) Decision {
	first := p.err
	p.handled, p.limit = first, limit{}
	switch p.sequence(p.st.Workflow.OnFailed, "on_failure") {
	case pending:
		return *p.out
	case failed:
		e := *first
		e.Handler = p.err
		first = &e
	}
	return p.conclude(&End{Status: status, Error: first})
}

// conclude runs the workflow's finally, then ends. A run that succeeded fails when its
// finally does; else that failure is put beside the first one.
func (p *planner) conclude(end *End) Decision {
	if len(p.st.Workflow.Finally) > 0 {
		p.handled, p.ended, p.err, p.limit = end.Error, end.Status, nil, limit{}
		switch p.sequence(p.st.Workflow.Finally, FinallyPath) {
		case pending:
			return *p.out
		case failed:
			if end.Error == nil {
				end = &End{Status: "failed", Error: p.err}
			} else {
				e := *end.Error
				e.Handler = beside(e.Handler, p.err)
				end.Error = &e
			}
		}
	}
	p.out.End = end
	return *p.out
}

// beside adds the failure of finally to that of on_failure.
func beside(handler, e *Error) *Error {
	if handler == nil {
		return e
	}
	both := *handler
	both.Handler = e
	return &both
}

// FinallyPath is the first part of the paths of finally's steps.
const FinallyPath = "finally"

func (p *planner) firstOpen() string {
	if len(p.out.Due) > 0 {
		return p.out.Due[0].Path
	}
	for path, list := range p.st.Records {
		if last := list[len(list)-1]; last.Status == Running {
			return path
		}
	}
	return ""
}

// names are what expressions see now.
func (p *planner) names() workflows.Names {
	n := workflows.Names{"event": p.st.Event, "inputs": p.st.Inputs, "run": p.st.Run, "vars": p.vars, "steps": p.steps}
	for k, v := range p.locals {
		n[k] = v
	}
	if p.handled != nil {
		n["error"] = p.handled.names()
	}
	if p.st.Events != nil {
		n["events"] = p.st.Events
	}
	if p.ended != "" {
		run := maps.Clone(p.st.Run)
		run["status"] = p.ended
		n["run"] = run
		if p.handled == nil {
			n["error"] = nil
		}
	}
	return n
}

// child walks a branch or an iteration: it sees what is there, and what it sets
// is seen by nobody else.
func (p *planner) child(locals workflows.Names) *planner {
	c := &planner{st: p.st, out: p.out, vars: maps.Clone(p.vars), steps: maps.Clone(p.steps), locals: p.locals, limit: p.limit, handled: p.handled, frozen: p.frozen, ended: p.ended}
	if locals != nil {
		c.locals = maps.Clone(p.locals)
		if c.locals == nil {
			c.locals = workflows.Names{}
		}
		maps.Copy(c.locals, locals)
	}
	return c
}

func (p *planner) env(now time.Time, path string) *workflows.Env {
	return &workflows.Env{Names: p.names(), Now: now, Seed: p.st.RunID + "/" + path, Until: p.st.Until}
}

func expressionError(err error, step string) *Error {
	var limit *workflows.ExprLimitError
	if errors.As(err, &limit) { // it says what to do
		return &Error{Message: err.Error(), Code: "too_large", Step: step, Attempts: 1}
	}
	if errors.Is(err, workflows.ErrTooLarge) {
		return &Error{Message: err.Error() + ": write less of the data into it", Code: "too_large", Step: step, Attempts: 1}
	}
	return &Error{Message: err.Error(), Code: "expression", Step: step, Attempts: 1}
}

// sequence walks steps in order; the first that is open or failed ends it.
func (p *planner) sequence(list []*workflows.Step, prefix string) outcome {
	for _, s := range list {
		path := s.Key
		if prefix != "" {
			path = prefix + "/" + s.Key
		}
		if o := p.step(s, path); o != done {
			return o
		}
	}
	return done
}

// conditionCode is the error code of a step whose if could not be evaluated.
const conditionCode = "condition"

// step walks one step: its condition, its body, and what follows a failure.
func (p *planner) step(s *workflows.Step, path string) outcome {
	last := p.last(path)
	if last == nil && p.frozen && p.untouched(path) {
		return pending
	}
	if last != nil && last.Status == Skipped {
		p.bind(s, last, 0)
		return p.elseBranch(s, path)
	}
	if last != nil && last.Status == Failed && last.Error != nil && last.Error.Code == conditionCode {
		return p.fails(s, path, last) // its body never began
	}
	if last == nil && s.If != nil {
		ok, err := s.If.Condition(p.env(p.st.Now, path))
		if err != nil {
			e := expressionError(err, path)
			e.Code = conditionCode
			return p.fails(s, path, p.put(s, path, Failed, nil, e))
		}
		if !ok {
			p.bind(s, p.put(s, path, Skipped, nil, nil), 0)
			return p.elseBranch(s, path)
		}
	}
	if s.Deadline > 0 {
		return p.untilDeadline(s, path)
	}
	return p.walk(s, path)
}

// untouched tells that neither a step nor one inside of it has begun.
func (p *planner) untouched(path string) bool {
	for k := range p.st.Records {
		if strings.HasPrefix(k, path+"/") {
			return false
		}
	}
	return true
}

// elseBranch walks the else of a group whose condition was false.
func (p *planner) elseBranch(s *workflows.Step, path string) outcome {
	if len(s.Else) == 0 {
		return done
	}
	return p.sequence(s.Else, path+"/else")
}

func (p *planner) body(s *workflows.Step, path string) outcome {
	switch s.Body {
	case "uses":
		return p.uses(s, path)
	case "set":
		return p.set(s, path)
	case "switch":
		return p.branch(s, path)
	case "steps":
		return p.inside(s, path, s.Steps, path)
	case "parallel":
		return p.parallel(s, path)
	case "sleep":
		return p.sleep(s, path)
	case "wait":
		return p.wait(s, path)
	case "call":
		return p.call(s, path)
	case "stop", "fail":
		return p.ending(s, path)
	}
	return p.fails(s, path, p.put(s, path, Failed, nil, &Error{Message: fmt.Sprintf("this version cannot run %s", s.Body), Code: "unsupported", Step: path}))
}

// last is the newest record of a path.
func (p *planner) last(path string) *Record {
	list := p.st.Records[path]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// put makes the record of a step that needed no action. One whose output passes a
// limit has failed; of one that has failed anyway the output is left out.
func (p *planner) put(s *workflows.Step, path string, status Status, output any, err *Error) *Record {
	if last := p.last(path); last != nil && last.Status != Running {
		return last
	}
	action := s.Body
	if s.Body == "uses" {
		action = s.Uses
	}
	if fitting, tooLarge := fit(output, "the output", keepLess, path); tooLarge == nil {
		output = fitting
	} else if output = nil; status == Succeeded {
		status, err = Failed, tooLarge
	}
	r := &Record{Path: path, Attempt: 1, Action: action, Status: status, StartedAt: p.st.Now, FinishedAt: p.st.Now, Output: output, Error: err}
	p.st.Fit(r)
	p.st.AddRecord(r)
	p.out.Finished = append(p.out.Finished, r)
	return r
}

// bind makes a step's result visible as steps.<id>.
func (p *planner) bind(s *workflows.Step, r *Record, attempts int) {
	if s.ID == "" {
		return
	}
	var errNames any
	if r.Error != nil {
		errNames = r.Error.names()
	}
	p.steps[s.ID] = map[string]any{"output": r.Output, "status": string(r.Status), "error": errNames, "attempts": attempts,
		"started_at": r.StartedAt, "finished_at": r.FinishedAt}
}

// fails handles a step that has finally failed: its own on_failure first, then
// the failure counts, unless it is forgiven.
func (p *planner) fails(s *workflows.Step, path string, r *Record) outcome {
	attempts := len(p.st.Records[path])
	e := *r.Error
	if e.Step == "" {
		e.Step = path
	}
	e.Attempts = max(attempts, 1)
	p.bind(s, r, attempts)
	if len(s.OnFailure) > 0 {
		outer, within := p.handled, p.limit
		p.handled = &e
		if p.bounded == path {
			p.limit = p.around // its own has ended with it
		}
		o := p.sequence(s.OnFailure, path+"/on_failure")
		p.handled, p.limit = outer, within
		switch o {
		case pending:
			p.handling = path
			return pending
		case failed:
			e.Handler = p.err
		case stopped:
			return stopped
		}
	}
	if s.ContinueOnError {
		return done
	}
	p.err = &e
	return failed
}
