package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// Rehearsal is a run without effects: the same rule and the same plan as of a
// real one, with other hands. Tests and backtests use it. The clock stands still;
// sleeps, pauses and waits pass at once.
type Rehearsal struct {
	Project  *workflows.Project
	Workflow *workflows.Workflow
	Event    *Event
	// More are further events of a batch.
	More []RehearsedEvent
	// Data is laid over event.data; nil for nothing.
	Data any
	Now  time.Time
	// Answer answers the n-th call, from 1, of a step that leaves the machine, waits or
	// calls another workflow; nil leaves it to the default: an action's example, an
	// approval given, the called workflow rehearsed.
	Answer func(c RehearsedCall, n int) *Reply
	// kept are the values that steps keep; called workflows see those of the caller's.
	kept values
	// Secret gives the values of secrets.
	Secret func(name string) string
}

// RehearsedEvent is a further event of a rehearsal.
type RehearsedEvent struct {
	Event *Event
	// Data is laid over event.data; nil for nothing.
	Data any
}

// RehearsedCall is one attempt that a rehearsal did not make.
type RehearsedCall struct {
	Path string
	// ID is the step's, empty for one without.
	ID string
	// With is the rendered input; for a wait what it waits for.
	With map[string]any
	// Due is the attempt of an action, nil for waits and called workflows.
	Due *plan.Due
}

// Reply is what an attempt is answered in a rehearsal: an output or an error.
type Reply struct {
	Output any
	Err    *plan.Error
}

// Rehearsed is how a rehearsal went.
type Rehearsed struct {
	Decision Decision
	// The rest is set when a run began.
	Status  RunStatus
	Output  any
	Error   *plan.Error
	Records []*plan.Record
	Calls   []RehearsedCall
	// Names are what expressions see at its end.
	Names workflows.Names
}

// maxRehearsed bounds the decisions of one rehearsal.
const maxRehearsed = 100_000

// Rehearse decides and carries a run through. Its error says that the event, or
// the workflow, cannot be rehearsed at all.
func Rehearse(r Rehearsal) (*Rehearsed, error) {
	if r.kept == nil {
		r.kept = values{}
	}
	names, err := r.names()
	d := decide(r.listener(), r.Event, names, err, time.Time{})
	out := &Rehearsed{Decision: d}
	if d.Outcome != Matched {
		return out, nil
	}
	if r.Event.Inlet == "manual" || r.Event.Inlet == "call" {
		checked, problems := workflows.CheckInputs(r.Workflow.Inputs, r.Event.Inputs)
		if len(problems) > 0 {
			return nil, fmt.Errorf("%s: %s", r.Workflow.ID, strings.Join(problems, "; "))
		}
		r.Event.Inputs = checked
		if names, err = r.names(); err != nil {
			return nil, err
		}
	}
	secrets := map[string]any{}
	for _, n := range r.Workflow.SecretNames() {
		secrets[n] = r.Secret(n)
	}
	const id = RunID(1)
	st := plan.NewState(r.Workflow, names, r.Event.inputs(r.Workflow), id.String(), r.Now)
	st.Secrets, st.Answers = secrets, map[string]*plan.Answer{}
	st.Run = map[string]any{"id": id.String(), "url": "/runs/" + id.String(), "attempt": 1, "started_at": r.Now,
		"workflow": r.Workflow.ID, "trigger": r.Event.Trigger, "test": true}
	if isBatch(r.Workflow) {
		st.Events = []any{names}
		for _, ev := range r.More {
			more, err := ev.Event.names()
			if err != nil {
				return nil, err
			}
			more["data"] = workflows.Overlay(more["data"], ev.Data)
			st.Events = append(st.Events, more)
		}
	}
	p := performer{r: r, st: st, out: out, calls: map[string]int{}}
	for range maxRehearsed {
		next := plan.Next(st)
		p.note(next.Finished...)
		if end := next.End; end != nil {
			out.Status, out.Output, out.Error = RunStatus(end.Status), end.Output, end.Error
			out.Names = plan.Names(st)
			out.Names["output"], out.Names["error"] = end.Output, nil
			if end.Error != nil {
				out.Names["error"] = map[string]any{"message": end.Error.Message, "code": end.Error.Code, "status": end.Error.Status,
					"step":     end.Error.Step,
					"attempts": end.Error.Attempts, "retryable": end.Error.Retryable, "details": end.Error.Details}
			}
			return out, nil
		}
		if err := p.perform(next); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("workflow %s does not end: %d decisions were made", r.Workflow.ID, maxRehearsed)
}

func (r *Rehearsal) names() (map[string]any, error) {
	names, err := r.Event.names()
	if err == nil {
		names["data"] = workflows.Overlay(names["data"], r.Data)
	}
	return names, err
}

// listener is how the workflow listens to the event.
func (r *Rehearsal) listener() listener {
	l := listener{workflow: r.Workflow, start: workflows.Start{Kind: r.Event.Inlet}}
	for _, s := range r.Workflow.Starts {
		if s.Kind == "trigger" && s.Trigger == r.Event.Trigger {
			l.start = s
			if t := r.Project.Triggers[s.Trigger]; t != nil && t.Webhook != nil {
				l.types = t.Webhook.Events
			}
		}
	}
	return l
}

// performer answers what a plan asks for.
type performer struct {
	r   Rehearsal
	st  *plan.State
	out *Rehearsed
	// calls counts those of each step, however often it is walked.
	calls map[string]int
}

func (p *performer) note(records ...*plan.Record) {
	p.out.Records = append(p.out.Records, records...)
}

func (p *performer) add(r *plan.Record) {
	p.st.AddRecord(r)
	p.note(r)
}

func (p *performer) perform(next plan.Decision) error {
	moved := false
	for _, c := range next.Calls {
		if err := p.call(c); err != nil {
			return err
		}
		moved = true
	}
	for _, d := range next.Due {
		p.attempt(d)
		moved = true
	}
	for _, q := range next.Questions {
		if !q.Any || q.Index == 0 || p.st.Answers[q.Path] == nil {
			p.answer(q, next.Questions)
		}
		moved = true
	}
	for _, path := range slices.Sorted(maps.Keys(p.st.Records)) {
		list := p.st.Records[path]
		if last := list[len(list)-1]; last.Status == plan.Waiting && last.Action == "sleep" {
			woken := *last
			woken.Status, woken.FinishedAt, woken.Output = plan.Succeeded, p.r.Now, nil
			p.add(&woken)
			moved = true
		}
	}
	if moved {
		return nil
	}
	if next.Wake.IsZero() {
		return fmt.Errorf("workflow %s waits for something that a test cannot give", p.r.Workflow.ID)
	}
	p.st.Now = next.Wake // a pause between two calls of a workflow
	return nil
}

// reply asks for the answer to a call, nil for the default.
func (p *performer) reply(c RehearsedCall) *Reply {
	p.out.Calls = append(p.out.Calls, c)
	p.calls[c.ID]++
	if p.r.Answer == nil {
		return nil
	}
	return p.r.Answer(c, p.calls[c.ID])
}

// idOf is a step's id, also of the step that a loop makes of it for each item.
func idOf(s *workflows.Step) string {
	if s.Key != "" && s.Key[0] >= '0' && s.Key[0] <= '9' {
		return ""
	}
	return s.Key
}

func (p *performer) attempt(d plan.Due) {
	r := &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Succeeded, StartedAt: p.r.Now,
		FinishedAt: p.r.Now, Input: d.With}
	reply := p.reply(RehearsedCall{Path: d.Path, ID: idOf(d.Step), With: d.With, Due: &d})
	if result, failed := p.result(d, reply); failed != nil {
		p.fail(r, failed)
	} else if output, err := d.Output(p.st.RunID, result); err != nil {
		p.fail(r, &plan.Error{Message: err.Error(), Code: "expression"})
	} else {
		r.Output = output
	}
	p.add(r)
}

// result is what an attempt gives: what it is answered, what the store does, or the
// action's example.
func (p *performer) result(d plan.Due, reply *Reply) (any, *plan.Error) {
	if reply != nil {
		return reply.Output, reply.Err
	}
	if result, failed, inside := p.r.kept.perform(p.r.Workflow.ID, d, p.st); inside {
		return result, failed
	}
	if !d.Step.Spec.Leaves {
		return nil, nil
	}
	if example := d.Step.ExampleOutput(); example != nil {
		return example, nil
	}
	return map[string]any{}, nil
}

func (p *performer) fail(r *plan.Record, e *plan.Error) {
	failure := *e
	failure.Step, failure.Attempts = r.Path, r.Attempt
	r.Status, r.Error, r.Output = plan.Failed, &failure, failure.Details
}

// answer gives what a step waits for from outside. Of several the first comes, or the
// one whose index the reply names.
func (p *performer) answer(q plan.Question, all []plan.Question) {
	reply := p.reply(RehearsedCall{Path: q.Path, ID: idOf(q.Step), With: map[string]any{"approval": q.Text, "event": q.Trigger, "key": q.Key}})
	if reply != nil && q.Any {
		q = named(q, all, reply.Output)
	}
	a := &plan.Answer{Attempt: q.Attempt, Verdict: q.Kind, Index: q.Index}
	if reply != nil {
		a.Output, a.Err = reply.Output, reply.Err
	}
	switch q.Kind {
	case "approval":
		a.Verdict = "approve"
		said := map[string]any{"approved": true, "by": "test", "at": p.r.Now.Format(time.RFC3339Nano), "comment": ""}
		if m, ok := a.Output.(map[string]any); ok {
			maps.Copy(said, m)
		}
		if said["approved"] == false {
			a.Verdict = "reject"
		}
		a.Output = said
	case "event":
		if reply == nil {
			a.Output = map[string]any{"trigger": q.Trigger, "key": q.Key, "data": map[string]any{}}
		}
	}
	p.st.Answers[q.Path] = a
}

// named is the question of a step's several whose index an output names.
func named(q plan.Question, all []plan.Question, output any) plan.Question {
	m, _ := output.(map[string]any)
	index, ok := workflows.Number(m["index"])
	for _, x := range all {
		if ok && x.Path == q.Path && x.Index == int(index) {
			return x
		}
	}
	return q
}

// call rehearses the called workflow, unless it is answered for.
func (p *performer) call(c plan.Call) error {
	r := &plan.Record{Path: c.Path, Attempt: c.Attempt, Action: "call", Status: plan.Succeeded, StartedAt: p.r.Now,
		FinishedAt: p.r.Now, Input: c.Inputs}
	reply := p.reply(RehearsedCall{Path: c.Path, ID: idOf(c.Step()), With: c.Inputs})
	if reply == nil {
		reply = p.called(c)
	}
	if c.Detach && reply.Err == nil {
		reply.Output = map[string]any{"event": EventID(1).String()}
	}
	if reply.Err != nil {
		p.fail(r, reply.Err)
		p.add(r)
		return nil
	}
	output, err := c.Output(p.st.RunID, reply.Output)
	if err != nil {
		p.fail(r, &plan.Error{Message: err.Error(), Code: "expression"})
	} else {
		r.Output = output
	}
	p.add(r)
	return nil
}

func (p *performer) called(c plan.Call) *Reply {
	w := p.r.Project.Workflows[c.Workflow]
	if w == nil {
		return &Reply{Err: &plan.Error{Message: "there is no workflow " + c.Workflow, Code: "cannot_call"}}
	}
	sub := p.r
	sub.Workflow, sub.Answer = w, nil
	sub.Event = &Event{ID: 1, Delivery: Delivery{Trigger: w.ID, Inlet: "call", Key: c.Path, Type: "call", Time: p.r.Now,
		ReceivedAt: p.r.Now, Inputs: c.Inputs, Only: w.ID, Decoded: true}}
	got, err := Rehearse(sub)
	switch {
	case err != nil:
		return &Reply{Err: &plan.Error{Message: err.Error(), Code: "cannot_call"}}
	case got.Decision.Outcome == RuleFailed:
		return &Reply{Err: &plan.Error{Message: fmt.Sprintf("workflow %s did not run: %s", w.ID, got.Decision.Reason), Code: "call_failed"}}
	case got.Error != nil:
		return &Reply{Err: &plan.Error{Message: fmt.Sprintf("workflow %s %s: %s", w.ID, got.Status, got.Error.Message),
			Code: "call_" + string(got.Status), Retryable: true}}
	}
	return &Reply{Output: got.Output}
}
