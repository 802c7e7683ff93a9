package actions

import (
	"context"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file defines actions inside Hookloom: the key-value store, and events for triggers.

var scopeInput = workflows.ActionInput{Name: "scope", Type: "string", Words: []string{"workflow", "project"},
	Help: "the owner of the key: this workflow (the default) or the project"}

func keyInput(help string) workflows.ActionInput {
	return workflows.ActionInput{Name: "key", Type: "string", Required: true, Help: help, Fill: workflows.FillNonempty, Kept: true}
}

var ttlInput = workflows.ActionInput{Name: "ttl", Type: "duration",
	Help: "how long the value is kept; until it is deleted by default"}

// valueSpecs defines store/get and the other store actions.
func valueSpecs() []action {
	expect := workflows.ActionInput{Name: "expect", Type: "any", Kept: true,
		Help: "the expected current value, null for none; else the step fails with the code conflict"}
	return []action{
		{workflows.ActionSpec{Name: "store/get", Help: "the value of a key, or null", Safe: true,
			Inputs: []workflows.ActionInput{keyInput("at most 256 bytes"), scopeInput,
				{Name: "default", Type: "any", Help: "the value if the key has none"}}}, valueAction{"get"}},
		{workflows.ActionSpec{Name: "store/set", Help: "stores a value under a key, for later runs too; returns the value", SideEffects: true,
			Example: "value", Safe: true, Inputs: []workflows.ActionInput{keyInput("at most 256 bytes"),
				{Name: "value", Type: "any", Required: true, Kept: true, Help: "at most 64KiB as JSON"}, ttlInput, expect, scopeInput}},
			valueAction{engine.ValueSet}},
		{workflows.ActionSpec{Name: "store/delete", Help: "removes a key; returns the value it had, or null", SideEffects: true, Example: "value",
			Safe: true, Inputs: []workflows.ActionInput{keyInput("at most 256 bytes"), expect, scopeInput}}, valueAction{engine.ValueDelete}},
		{workflows.ActionSpec{Name: "store/increment", Help: "adds to the whole number of a key, starting at 0; returns the sum; " +
			"exactly once, also after a crash", SideEffects: true, Example: 1, Safe: true,
			Inputs: []workflows.ActionInput{keyInput("at most 256 bytes"),
				{Name: "by", Type: "integer", Help: "1 by default; may be negative"},
				{Name: "ttl", Type: "duration", Help: "how long the value is kept, counted from the step that created it; until it is deleted by " +
					"default"}, scopeInput}}, valueAction{engine.ValueIncrement}},
		{workflows.ActionSpec{Name: "hookloom/emit", Help: "sends an event to a trigger of the project, exactly once, also after a crash",
			SideEffects: true, Safe: true,
			Config:  "triggers: {invoice_ready: {}}\n",
			Example: map[string]any{"event": "evt_0000000000000001", "trigger": "", "key": "", "duplicate": false},
			Outputs: []workflows.ActionOutput{{Name: "event", Type: "string", Help: "the id of the event"},
				{Name: "trigger", Type: "string", Help: "its trigger"}, {Name: "key", Type: "string", Help: "its key"},
				{Name: "duplicate", Type: "boolean", Help: "true: an event with this key existed already"}},
			Inputs: []workflows.ActionInput{
				{Name: "trigger", Type: "string", Required: true, Help: "a trigger of hookloom.yaml", Fill: workflows.FillNonempty},
				{Name: "data", Type: "any", Kept: true, Help: "event.data of the runs that it starts"},
				{Name: "type", Type: "string", Kept: true, Help: "event.type; the trigger's name by default"},
				{Name: "key", Type: "string", Kept: true, Help: "the event's key: equal keys are one event; the step's own idempotency key by default",
					Fill: workflows.FillNonempty},
			}}, emitAction{}},
		answerSpec(),
	}
}

// answerSpec defines hookloom/answer.
func answerSpec() action {
	return action{workflows.ActionSpec{Name: "hookloom/answer",
		Help:        "answers a step of another run that waits for an approval, such as when somebody pressed a button in a chat",
		SideEffects: true, Safe: true,
		Example: map[string]any{"answered": true, "step": "ok", "question": "Ship A-1?", "reason": ""},
		Outputs: []workflows.ActionOutput{{Name: "answered", Type: "boolean", Help: "false: nothing waits for this answer any more"},
			{Name: "step", Type: "string", Help: "the step that waited"}, {Name: "question", Type: "string", Help: "what it asked"},
			{Name: "reason", Type: "string", Help: "why it was not answered"}},
		Inputs: []workflows.ActionInput{
			{Name: "run", Type: "string", Required: true, Help: "the run that waits: its run.id", Fill: workflows.FillNonempty},
			{Name: "step", Type: "string", Kept: true, Help: "the step that waits, when the run has several"},
			{Name: "verdict", Type: "string", Required: true, Words: []string{"approve", "reject"}, Fill: workflows.FillNonempty},
			{Name: "by", Type: "string", Required: true, Kept: true, Fill: workflows.FillNonempty,
				Help: "who answers; proved for the by: of the step only when this run's event is a delivery with a signed body"},
			{Name: "comment", Type: "string", Kept: true, Help: "why"},
		}}, answerAction{}}
}

// valueAction is an action of the key-value store.
type valueAction struct{ kind string }

// Do implements engine.Action.
func (a valueAction) Do(ctx context.Context, in engine.Input) (any, error) {
	project, key := in.With["scope"] == "project", value.Shown(in.With["key"])
	if in.Inside == nil {
		return nil, plan.Permanent("unsupported", "%s needs a running engine", in.Spec.Name)
	}
	if a.kind == "get" {
		v, found, err := in.Inside.Value(ctx, project, key)
		if err == nil && !found {
			v = in.With["default"]
		}
		return v, err
	}
	c, err := engine.ReadValueChange(a.kind, in.With)
	if err != nil {
		return nil, err
	}
	return in.Inside.ChangeValue(ctx, in, project, c)
}

// emitAction is hookloom/emit.
type emitAction struct{}

// Do implements engine.Action.
func (emitAction) Do(ctx context.Context, in engine.Input) (any, error) {
	if in.Inside == nil {
		return nil, plan.Permanent("unsupported", "%s needs a running engine", in.Spec.Name)
	}
	o := engine.Emission{Trigger: value.Shown(in.With["trigger"]), Data: in.With["data"]}
	if v := in.With["key"]; v != nil {
		o.Key = value.Shown(v)
	}
	if v := in.With["type"]; v != nil {
		o.Type = value.Shown(v)
	}
	return in.Inside.Emit(ctx, in, o)
}

// answerAction is hookloom/answer.
type answerAction struct{}

// Do implements engine.Action.
func (answerAction) Do(ctx context.Context, in engine.Input) (any, error) {
	if in.Inside == nil {
		return nil, plan.Permanent("unsupported", "%s needs a running engine", in.Spec.Name)
	}
	text := func(name string) string {
		if in.With[name] == nil {
			return ""
		}
		return value.Shown(in.With[name])
	}
	verdict := text("verdict")
	if verdict != "approve" && verdict != "reject" {
		return nil, plan.Permanent("invalid_input", "verdict is %q: approve or reject", verdict)
	}
	return in.Inside.AnswerRun(ctx, text("run"),
		engine.Response{Path: text("step"), Verdict: verdict, By: text("by"), Comment: text("comment")})
}
