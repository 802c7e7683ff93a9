package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// listener loads a workflow with a rule, which listens to all events of hook.
func listener(t *testing.T, rule string) engine.Listener {
	t.Helper()
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {auth: none}}}\n",
		"workflows/w.yaml": "on: hook\n" + rule + "steps: [{sleep: 1m}]\n"}, workflows.Catalog{})
	return engine.Listener{Workflow: p.Workflows["w"], Start: p.Workflows["w"].Starts[0]}
}

// came returns an event of hook with a JSON body.
func came(body string) *engine.Event {
	return &engine.Event{ID: 1, Delivery: engine.Delivery{Trigger: "hook", Inlet: "webhook", Type: "paid", Key: "k", Raw: []byte(body),
		Headers: map[string]string{"content-type": "application/json"}}}
}

// TestRuleDecidesWhichEventsBeginRuns checks the outcome and its reason, also for events whose type or body
// does not fit.
func TestRuleDecidesWhichEventsBeginRuns(t *testing.T) {
	broken := func() *engine.Event {
		ev := came("{")
		ev.NotReadable(errors.New("no JSON"))
		return ev
	}
	for name, c := range map[string]struct {
		rule   string
		ev     *engine.Event
		set    func(*engine.Listener, *engine.Event)
		want   engine.Outcome
		reason string
	}{
		"true":             {"when: event.data.n > 0\n", came(`{"n": 1}`), nil, engine.Matched, ""},
		"no rule":          {"", came(`{"n": 1}`), nil, engine.Matched, ""},
		"false":            {"when: [event.data.n < 5, event.data.n > 1]\n", came(`{"n": 1}`), nil, engine.Skipped, "false: event.data.n > 1"},
		"fails":            {"when: event.data.x.y > 1\n", came(`{"n": 1}`), nil, engine.RuleFailed, "cannot read y"},
		"the type is sent": {"", came("{}"), func(l *engine.Listener, _ *engine.Event) { l.Types = []string{"paid"} }, engine.Matched, ""},
		"another type": {"", came("{}"), func(l *engine.Listener, _ *engine.Event) { l.Types = []string{"sent", "lost"} }, engine.Filtered,
			"type paid is not in events: sent, lost"},
		"another type of the workflow": {"", came("{}"), func(l *engine.Listener, _ *engine.Event) { l.Start.Events = []string{"sent"} },
			engine.Filtered, "type paid is not in events: sent"},
		"a polled item has no sender's type": {"", came("{}"), func(l *engine.Listener, ev *engine.Event) {
			l.Types, ev.Inlet = []string{"sent"}, "poll"
		}, engine.Matched, ""},
		"an unreadable body, which the rule does not read": {"when: event.type == 'paid'\n", broken(), nil, engine.Matched, ""},
		"an unreadable body, which the rule reads": {"when: event.data?.n == nil\n", broken(), nil, engine.RuleFailed,
			"it needs event.data: "},
		"a type in an unreadable body": {"", broken(), func(l *engine.Listener, ev *engine.Event) {
			l.Types, ev.Type = []string{"sent"}, "hook"
		}, engine.RuleFailed, "its type is unknown, and events: requires sent: "},
		"another type, with an unreadable body": {"", broken(), func(l *engine.Listener, _ *engine.Event) { l.Types = []string{"sent"} },
			engine.Filtered, "type paid is not in events: sent"},
	} {
		l := listener(t, c.rule)
		if c.set != nil {
			c.set(&l, c.ev)
		}
		names, err := c.ev.Names()
		d := l.Evaluate(c.ev, names, err, time.Time{})
		if d.Outcome != c.want || !strings.HasPrefix(d.Reason, c.reason) || (d.Reason == "") != (c.reason == "") || d.Workflow != "w" {
			t.Errorf("%s: %s %q, want %s %q", name, d.Outcome, d.Reason, c.want, c.reason)
		}
	}
}

// TestRuleOfAnUnreadableEventFails checks that an error about the event is the reason, whatever the rule says.
func TestRuleOfAnUnreadableEventFails(t *testing.T) {
	l := listener(t, "")
	if d := l.Evaluate(came("{}"), nil, errors.New("its key is missing"), time.Time{}); d.Outcome != engine.RuleFailed ||
		d.Reason != "its key is missing" {
		t.Errorf("%+v", d)
	}
	l.Off = engine.Disabled
	if d := l.Evaluate(came("{}"), nil, errors.New("its key is missing"), time.Time{}); d.Outcome != engine.Disabled {
		t.Errorf("a workflow that is off: %+v", d)
	}
}
