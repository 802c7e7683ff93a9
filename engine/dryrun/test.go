package dryrun

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Test runs one test of a project and returns its failures, each with its position in the file; nil
// if it passes.
func Test(p *workflows.Project, t *workflows.Test) []string { return TestCounted(p, t, nil) }

// TestCounted is Test that also adds to the coverage; nil adds nothing.
func TestCounted(p *workflows.Project, t *workflows.Test, counted *Coverage) []string {
	w := p.Workflows[t.Workflow]
	r := Request{Project: p, Workflow: w, Now: t.Now, Data: t.Data, Secret: func(name string) string { return "secret:" + name }}
	if counted != nil {
		r.Ran = counted.Add
	}
	var err error
	if r.Event, err = testEvent(p, w, t); err != nil {
		return []string{t.Where("") + ": " + err.Error()}
	}
	for _, more := range t.More {
		ev, err := testEvent(p, w, more)
		if err != nil {
			return []string{t.Where("") + ": " + err.Error()}
		}
		r.More = append(r.More, Event{Event: ev, Data: more.Data})
	}
	r.Answer = func(c Call, n int) *Reply {
		list := t.Mocks[c.ID]
		if c.ID == "" || len(list) == 0 {
			return nil
		}
		return replyOf(list[min(n, len(list))-1])
	}
	got, err := Run(r)
	if err != nil {
		return []string{t.Where("") + ": " + err.Error()}
	}
	return compare(t, got)
}

// replyOf returns the reply of a mock. An error with a status is retryable if a real response with
// that status is; one without is a network error.
func replyOf(m workflows.Mock) *Reply {
	if !m.Failed {
		return &Reply{Output: m.Output}
	}
	e := &plan.Error{Message: m.Message, Code: m.Code, Status: m.Status, Retryable: m.Status == 0 || plan.RetryableStatus(m.Status)}
	if e.Code == "" {
		e.Code = "http_status"
		if m.Status == 0 {
			e.Code = "network"
		}
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("answered %d", m.Status)
	}
	return &Reply{Err: e}
}

// testEvent returns the event of a test, as its inlet would create it.
func testEvent(p *workflows.Project, w *workflows.Workflow, t *workflows.Test) (*engine.Event, error) {
	inlet, trigger := t.Inlet, t.Trigger
	var start *workflows.Start
	for i, s := range w.Starts {
		fits := inlet == "" || string(inlet) == s.Kind || s.Kind == "trigger" && inlet.Kind().AtTrigger
		if start == nil && fits && (trigger == "" || s.Trigger == trigger) {
			start = &w.Starts[i]
		}
	}
	if start == nil {
		return nil, fmt.Errorf("workflow %s does not start on this event: inlet %q, trigger %q", w.ID, inlet, trigger)
	}
	trigger = cmp.Or(trigger, start.Trigger, w.ID)
	var declared *workflows.Trigger
	if start.Kind != "trigger" {
		inlet = engine.Inlet(start.Kind)
	} else if declared = p.Triggers[trigger]; inlet == "" {
		inlet = firstInlet(declared)
	}
	d := &engine.Delivery{Trigger: trigger, Inlet: inlet, Type: cmp.Or(t.Type, typeOf(start, declared, inlet)),
		Key: cmp.Or(t.Key, "test"), Time: t.Now, ReceivedAt: t.Now, Decoded: true,
		Headers: map[string]string{}, Query: map[string]string{}}
	switch kind := inlet.Kind(); {
	case kind.Data == workflows.DataInputs:
		d.Inputs = t.Inputs
		if d.Inputs == nil {
			d.Inputs = map[string]any{}
		}
	case kind.Data == workflows.DataFacts:
		m, _ := workflows.Overlay(t.Fixture, t.Data).(map[string]any)
		d.Inputs = m
		if s, ok := m["status"].(string); ok && t.Type == "" {
			d.Type = "workflow_run." + s
		}
	case kind.Outside:
		return webhookEvent(p, t, d)
	case inlet == workflows.InletPoll:
		item := workflows.Overlay(t.Fixture, t.Body)
		d.Body = item
		if declared.Poll != nil && declared.Poll.Data != nil && item != nil {
			v, err := declared.Poll.Data.Eval(&expr.Env{Names: expr.Names{"item": item}, Now: t.Now})
			if err != nil {
				return nil, fmt.Errorf("poll.data: %w", err)
			}
			d.Body = v
		}
	default:
		d.Body = workflows.Overlay(t.Fixture, t.Body)
		if d.Body == nil {
			d.Body = map[string]any{}
		}
	}
	return &engine.Event{ID: 1, Delivery: *d}, nil
}

func webhookEvent(p *workflows.Project, t *workflows.Test, d *engine.Delivery) (*engine.Event, error) {
	body := workflows.Overlay(t.Fixture, t.Body)
	headers := map[string]string{}
	given, _ := t.Headers.(map[string]any)
	for k, v := range given {
		text, err := value.Text(v)
		if err != nil {
			return nil, fmt.Errorf("headers.%s: %w", k, err)
		}
		headers[strings.ToLower(k)] = text
	}
	if body == nil {
		d.Headers = headers
		return &engine.Event{ID: 1, Delivery: *d}, nil
	}
	read, err := triggers.ParseUnverified(p, d.Trigger, body, headers, t.Now)
	if err != nil {
		return nil, err
	}
	if t.Type != "" || read.Type == read.Trigger {
		read.Type = d.Type
	}
	if t.Key != "" {
		read.Key = t.Key
	}
	return &engine.Event{ID: 1, Delivery: *read}, nil
}

func firstInlet(t *workflows.Trigger) engine.Inlet {
	switch {
	case t.Webhook != nil:
		return workflows.InletWebhook
	case t.Poll != nil:
		return workflows.InletPoll
	case len(t.Schedules) == 0 && t.Name != "":
		return workflows.InletEmit
	}
	return workflows.InletSchedule
}

// typeOf returns the type of a test's event if neither the test nor the body gives it: the first
// type that the workflow accepts.
func typeOf(s *workflows.Start, t *workflows.Trigger, inlet engine.Inlet) string {
	types := s.Events
	if t != nil && t.Webhook != nil && inlet == "webhook" {
		types = append(slices.Clone(types), t.Webhook.Events...)
	}
	for _, x := range types {
		if !strings.Contains(x, "*") {
			return x
		}
	}
	switch {
	case inlet.Kind().AtTrigger && inlet != workflows.InletSchedule:
		return t.Name
	case inlet.Kind().Data == workflows.DataFacts && len(s.Statuses) > 0:
		return "workflow_run." + s.Statuses[0]
	}
	return string(inlet)
}
