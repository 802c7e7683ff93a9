// Package dryrun runs a workflow for an event without effects: it uses the same rule and the same
// planner as a real run, while the caller or an action's example provides the results of calls. The
// tests of a project (hookloom test), the plan of a batch replay, and other predictions use it. It
// starts no goroutine, opens no connection, and knows nothing about the store, running engines, or
// how results are printed.
package dryrun

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Request is a workflow to run. The clock is fixed at Now; sleeps, delays and waits end at once.
type Request struct {
	Project  *workflows.Project
	Workflow *workflows.Workflow
	Event    *engine.Event
	// More are the further events of a batch.
	More []Event
	// Data is merged into event.data; nil changes nothing.
	Data any
	Now  time.Time
	// Answer returns the result of the n-th call, from 1, of a step that has an external effect,
	// waits or calls another workflow; nil uses the default: an action's example, an approval
	// given, a dry run of the called workflow.
	Answer func(c Call, n int) *Reply
	// Ran is called for each run, including those of called workflows; it may be nil.
	Ran func(*workflows.Workflow, *Result)
	// kept are the values that steps store; called workflows see those of the caller.
	kept values
	// Secret returns the values of secrets.
	Secret func(name string) string
}

// Event is a further event of a batch.
type Event struct {
	Event *engine.Event
	// Data is merged into event.data; nil changes nothing.
	Data any
}

// Call is one attempt that was not made.
type Call struct {
	Path string
	// ID is the step's id, empty if it has none.
	ID string
	// With is the rendered input; for a wait, what it waits for.
	With map[string]any
	// Due is the attempt of an action, nil for waits and called workflows.
	Due *plan.Due
}

// Reply is the result of an attempt: an output or an error.
type Reply struct {
	Output any
	Err    *plan.Error
}

// Result is what the run would have done.
type Result struct {
	Decision engine.Decision
	// The rest is set if a run began.
	Status  engine.RunStatus
	Output  any
	Error   *plan.Error
	Records []*plan.Record
	Calls   []Call
	// Names are the names that expressions see at its end.
	Names expr.Names
	// Asked are the conditions that were evaluated: of the rule, whose step is nil, and of steps.
	Asked []Asked
}

// Asked is a condition that was evaluated.
type Asked struct {
	Step     *workflows.Step
	Operands []expr.Operand
}

// maxDecisions is the maximum number of calls of the planner per run: a workflow that calls itself
// forever must end.
const maxDecisions = 100_000

// Run evaluates the workflow's rule and, if it matches, simulates a run to its end. It returns an
// error if that is not possible: the inputs are invalid, an event of the batch cannot be read, or
// the workflow does not end. It may change r.Event.Inputs.
func Run(r Request) (*Result, error) {
	out, err := run(r)
	if err == nil && r.Ran != nil {
		r.Ran(r.Workflow, out)
	}
	return out, err
}

func run(r Request) (*Result, error) {
	if r.kept == nil {
		r.kept = values{}
	}
	names, err := r.names()
	d := r.evaluate(names, err)
	out := &Result{Decision: d}
	var differ expr.Differ
	if r.Ran != nil {
		r.rule(out, names, &differ)
	}
	if d.Outcome != engine.Matched {
		return out, nil
	}
	if r.Event.Inlet.Kind().Data == workflows.DataInputs {
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
	const id = engine.RunID(1)
	st := plan.NewState(r.Workflow, names, r.Event.InputsOf(r.Workflow), id.String(), r.Now)
	st.Secrets, st.Answers = secrets, map[string]*plan.Answer{}
	st.Run = map[string]any{"id": id.String(), "url": "/runs/" + id.String(), "attempt": 1, "started_at": r.Now,
		"workflow": r.Workflow.ID, "trigger": r.Event.Trigger, "test": true}
	if g := r.Workflow.Gather; g != nil && g.Kind == workflows.Batch {
		st.Events = []any{names}
		for _, ev := range r.More {
			more, err := ev.Event.Names()
			if err != nil {
				return nil, err
			}
			more["data"] = workflows.Overlay(more["data"], ev.Data)
			st.Events = append(st.Events, more)
		}
	}
	if r.Ran != nil {
		out.ask(st, &differ)
	}
	p := answerer{r: r, st: st, out: out, calls: map[string]int{}}
	for range maxDecisions {
		next := plan.Next(st)
		p.note(next.Finished...)
		if end := next.End; end != nil {
			out.Status, out.Output, out.Error = engine.RunStatus(end.Status), end.Output, end.Error
			out.Names = plan.Names(st)
			out.Names["output"], out.Names["error"] = end.Output, nil
			if end.Error != nil {
				out.Names["error"] = map[string]any{"message": end.Error.Message, "code": end.Error.Code, "status": end.Error.Status,
					"step": end.Error.Step, "attempts": end.Error.Attempts, "retryable": end.Error.Retryable, "details": end.Error.Details}
			}
			return out, nil
		}
		if err := p.answer(next); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("workflow %s does not end: %d decisions were made", r.Workflow.ID, maxDecisions)
}

// ask notes the conditions of steps as they are evaluated, each once.
func (out *Result) ask(st *plan.State, differ *expr.Differ) {
	asked := map[string]bool{}
	st.Asked = func(s *workflows.Step, path string, env *expr.Env) {
		if !asked[path] {
			asked[path], out.Asked = true, append(out.Asked, Asked{s, differ.Operands(s.If.Text, env)})
		}
	}
}

// rule notes the parts of the rule, which must all hold, as far as they are evaluated.
func (r *Request) rule(out *Result, names map[string]any, differ *expr.Differ) {
	if out.Decision.Outcome == engine.Filtered {
		return
	}
	env := &expr.Env{Names: expr.Names{"event": names, "inputs": r.Event.InputsOf(r.Workflow)}, Now: r.Event.ReceivedAt,
		Seed: r.Event.ID.String()}
	for _, c := range operandsOfRule(r.Workflow, env, differ) {
		out.Asked = append(out.Asked, Asked{nil, c})
	}
}

// operandsOfRule returns the operands of each condition of a rule. If the rule is a list, its
// conditions are operands too. Conditions after one that does not hold are not evaluated.
func operandsOfRule(w *workflows.Workflow, env *expr.Env, differ *expr.Differ) (all [][]expr.Operand) {
	for _, e := range w.When {
		list := differ.Operands(e.Text, env)
		holds := true
		if env != nil {
			ok, err := e.Condition(env)
			holds = ok && err == nil
		}
		if len(list) == 0 && len(w.When) > 1 {
			list = []expr.Operand{{Text: e.Text}}
			if env != nil {
				list[0].Value = &holds
			}
		}
		if all = append(all, list); !holds {
			env = nil
		}
	}
	return all
}

func (r *Request) names() (map[string]any, error) {
	names, err := r.Event.Names()
	if err == nil {
		names["data"] = workflows.Overlay(names["data"], r.Data)
	}
	return names, err
}

// evaluate evaluates the workflow's rule, with the start by which it listens to the event.
func (r *Request) evaluate(names map[string]any, unreadable error) engine.Decision {
	start, types := workflows.Start{Kind: string(r.Event.Inlet)}, []string(nil)
	for _, s := range r.Workflow.Starts {
		if s.Kind == "trigger" && s.Trigger == r.Event.Trigger {
			start = s
			if t := r.Project.Triggers[s.Trigger]; t != nil && t.Webhook != nil {
				types = t.Webhook.Events
			}
		}
	}
	return engine.Listener{Workflow: r.Workflow, Start: start, Types: types}.Evaluate(r.Event, names, unreadable, time.Time{})
}

// answerer provides what a plan waits for.
type answerer struct {
	r   Request
	st  *plan.State
	out *Result
	// calls counts the calls of each step, including repetitions.
	calls map[string]int
}

func (p *answerer) note(records ...*plan.Record) {
	p.out.Records = append(p.out.Records, records...)
}

func (p *answerer) add(r *plan.Record) {
	p.st.AddRecord(r)
	p.note(r)
}

func (p *answerer) answer(next plan.Decision) error {
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
			p.answerQuestion(q, next.Questions)
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
	p.st.Now = next.Wake // a delay between two calls of a workflow
	return nil
}

// reply returns the result of a call, nil for the default.
func (p *answerer) reply(c Call) *Reply {
	p.out.Calls = append(p.out.Calls, c)
	p.calls[c.ID]++
	if p.r.Answer == nil {
		return nil
	}
	return p.r.Answer(c, p.calls[c.ID])
}

// idOf returns a step's id, also for the copies that a loop makes for each item.
func idOf(s *workflows.Step) string {
	if s.Key != "" && s.Key[0] >= '0' && s.Key[0] <= '9' {
		return ""
	}
	return s.Key
}

func (p *answerer) attempt(d plan.Due) {
	r := &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Succeeded, StartedAt: p.r.Now,
		FinishedAt: p.r.Now, Input: d.With}
	reply := p.reply(Call{Path: d.Path, ID: idOf(d.Step), With: d.With, Due: &d})
	if result, failed := p.result(d, reply); failed != nil {
		p.fail(r, failed)
	} else if output, err := d.Output(p.st.RunID, result); err != nil {
		p.fail(r, &plan.Error{Message: err.Error(), Code: "expression"})
	} else {
		r.Output = output
	}
	p.add(r)
}

// result returns the result of an attempt: the given reply, that of the key-value store, or the
// action's example.
func (p *answerer) result(d plan.Due, reply *Reply) (any, *plan.Error) {
	if reply != nil {
		return reply.Output, reply.Err
	}
	if result, failed, inside := p.r.kept.perform(p.r.Workflow.ID, d, p.st); inside {
		return result, failed
	}
	if !d.Step.Spec.SideEffects {
		return nil, nil
	}
	if example := d.Step.ExampleOutput(); example != nil {
		return example, nil
	}
	return map[string]any{}, nil
}

func (p *answerer) fail(r *plan.Record, e *plan.Error) {
	failure := *e
	failure.Step, failure.Attempts = r.Path, r.Attempt
	r.Status, r.Error, r.Output = plan.Failed, &failure, failure.Details
}

// answerQuestion returns what a step waits for. Of several alternatives it is the first, or the one
// whose index the reply names.
func (p *answerer) answerQuestion(q plan.Question, all []plan.Question) {
	reply := p.reply(Call{Path: q.Path, ID: idOf(q.Step), With: map[string]any{"approval": q.Text, "event": q.Trigger, "key": q.Key}})
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
		answer := map[string]any{"approved": true, "by": "test", "at": p.r.Now.Format(time.RFC3339Nano), "comment": ""}
		if m, ok := a.Output.(map[string]any); ok {
			maps.Copy(answer, m)
		}
		if answer["approved"] == false {
			a.Verdict = "reject"
		}
		a.Output = answer
	case "event":
		if reply == nil {
			a.Output = map[string]any{"trigger": q.Trigger, "key": q.Key, "data": map[string]any{}}
		}
	}
	p.st.Answers[q.Path] = a
}

// named returns the alternative whose index an output names.
func named(q plan.Question, all []plan.Question, output any) plan.Question {
	m, _ := output.(map[string]any)
	index, ok := expr.Number(m["index"])
	for _, x := range all {
		if ok && x.Path == q.Path && x.Index == int(index) {
			return x
		}
	}
	return q
}

// call simulates the called workflow, unless a reply is given.
func (p *answerer) call(c plan.Call) error {
	r := &plan.Record{Path: c.Path, Attempt: c.Attempt, Action: "call", Status: plan.Succeeded, StartedAt: p.r.Now,
		FinishedAt: p.r.Now, Input: c.Inputs}
	reply := p.reply(Call{Path: c.Path, ID: idOf(c.Step()), With: c.Inputs})
	if reply == nil {
		reply = p.called(c)
	}
	if c.Detach && reply.Err == nil {
		reply.Output = map[string]any{"event": engine.EventID(1).String()}
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

func (p *answerer) called(c plan.Call) *Reply {
	w := p.r.Project.Workflows[c.Workflow]
	if w == nil {
		return &Reply{Err: &plan.Error{Message: "there is no workflow " + c.Workflow, Code: "cannot_call"}}
	}
	sub := p.r
	sub.Workflow, sub.Answer = w, nil
	sub.Event = &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: w.ID, Inlet: workflows.InletCall, Key: c.Path,
		Type: "call", Time: p.r.Now,
		ReceivedAt: p.r.Now, Inputs: c.Inputs, Only: w.ID, Decoded: true}}
	got, err := Run(sub)
	switch {
	case err != nil:
		return &Reply{Err: &plan.Error{Message: err.Error(), Code: "cannot_call"}}
	case got.Decision.Outcome == engine.RuleFailed:
		return &Reply{Err: &plan.Error{Message: fmt.Sprintf("workflow %s did not run: %s", w.ID, got.Decision.Reason), Code: "call_failed"}}
	case got.Error != nil:
		return &Reply{Err: &plan.Error{Message: fmt.Sprintf("workflow %s %s: %s", w.ID, got.Status, got.Error.Message),
			Code: "call_" + string(got.Status), Retryable: true}}
	}
	return &Reply{Output: got.Output}
}
