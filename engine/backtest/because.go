package backtest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// whyMatched returns the cause if only one side matches an event. before or after is nil if the
// workflow does not exist or does not listen.
func (b *run) whyMatched(it *item, before, after *workflows.Workflow) Because {
	off := func(d engine.Decision) bool { return d.Outcome == engine.Disabled || d.Outcome == engine.Held }
	if off(it.decided) != off(it.decidedAfter) {
		return Because{Expression: "enabled", Before: !off(it.decided), After: !off(it.decidedAfter)}
	}
	if it.typesBefore != "" || it.typesAfter != "" {
		return Because{Expression: "event.type in " + cmp.Or(it.typesAfter, it.typesBefore), Before: it.typesBefore == "",
			After: it.typesAfter == ""}
	}
	if before == nil || after == nil {
		return b.whyNotListening(it, before)
	}
	env := func(w *workflows.Workflow, side int) *expr.Env {
		ev, names, _ := it.event(side)
		return &expr.Env{Names: expr.Names{"event": names, "inputs": ev.InputsOf(w)}, Now: ev.ReceivedAt, Seed: ev.ID.String()}
	}
	if c, ok := b.differ.Conditions(texts(before.When), texts(after.When), env(before, beforeSide), env(after, afterSide)); ok {
		return because(c)
	}
	return Because{}
}

// whyNotListening tells a workflow that was removed from one that listens to something else.
func (b *run) whyNotListening(it *item, before *workflows.Workflow) Because {
	edited := b.o.Project.Workflows[it.workflow]
	if before == nil && b.o.Against != nil {
		before = b.o.Against // it does not listen to the event
	}
	switch {
	case edited == nil:
		return Because{Expression: "workflow", Before: true, After: false}
	case before == nil:
		return Because{Expression: "on", After: starts(edited)}
	}
	return Because{Expression: "on", Before: starts(before), After: starts(edited)}
}

// starts lists what begins a workflow.
func starts(w *workflows.Workflow) []string {
	out := []string{}
	for _, s := range w.Starts {
		out = append(out, cmp.Or(s.Trigger, s.Kind))
	}
	return out
}

func because(c expr.Cause) Because {
	return Because{Expression: c.Expression, Before: c.Before, After: c.After}
}

func texts(list []*workflows.Expr) (out []string) {
	for _, e := range list {
		out = append(out, e.Text)
	}
	return out
}

// why returns the expression that makes two runs differ: the condition of the first step that
// differs, the first request field that differs, or the output.
func (b *run) why(c *Change, before, after *simulation) Because {
	for _, x := range c.Path {
		s, t := before.w.StepAt(x.Step), after.w.StepAt(x.Step)
		if s == nil || t == nil {
			continue
		}
		for _, pair := range [][2]*workflows.Expr{{s.If, t.If}, {s.Switch, t.Switch}, {s.ForEach, t.ForEach}} {
			if pair[0] == nil && pair[1] == nil {
				continue
			}
			if out, ok := b.expressions(pair[0], pair[1], envOf(before, x.Step), envOf(after, x.Step)); ok {
				return out
			}
		}
	}
	for _, r := range c.Requests.Changed {
		if len(r.Fields) > 0 {
			field := "." + r.Fields[0].Field
			if !r.sent && !slices.Contains(structural, r.Fields[0].Field) {
				field = ".with" + field
			}
			return Because{Expression: r.Step + field, Before: r.Fields[0].Before, After: r.Fields[0].After}
		}
	}
	switch {
	case c.Error != nil:
		return Because{Expression: "error", Before: messageOf(c.Error.Before), After: messageOf(c.Error.After)}
	case len(c.Requests.Added) > 0:
		return Because{Expression: "steps." + c.Requests.Added[0].Step, After: c.Requests.Added[0].Action}
	case len(c.Requests.Removed) > 0:
		return Because{Expression: "steps." + c.Requests.Removed[0].Step, Before: c.Requests.Removed[0].Action}
	case len(c.Path) > 0:
		return Because{Expression: "steps." + c.Path[0].Step, Before: nothing(c.Path[0].Before), After: nothing(c.Path[0].After)}
	case c.Output != nil:
		if f := differences("output", c.Output.Before, c.Output.After, nil); len(f) > 0 {
			return Because{Expression: f[0].Field, Before: f[0].Before, After: f[0].After}
		}
	}
	return Because{}
}

// structural are the fields of a step that are not inputs.
var structural = []string{"uses", "call", "detach"}

func nothing(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func messageOf(e *plan.Error) any {
	if e == nil {
		return nil
	}
	return e.Message
}

// expressions compares two expressions, one of which may be missing: a missing if: is true.
func (b *run) expressions(before, after *workflows.Expr, envBefore, envAfter *expr.Env) (Because, bool) {
	text := func(e *workflows.Expr) string {
		if e == nil {
			return "true"
		}
		return e.Text
	}
	c, ok := b.differ.Expression(text(before), text(after), envBefore, envAfter)
	if ok && after == nil {
		c.Expression, c.After = before.Text, nil
	}
	if ok && before == nil {
		c.Before = nil
	}
	return because(c), ok
}

// envOf returns approximately what the expressions of a step saw: the names at the end of the run,
// without those of a loop's item, at the time the step began.
func envOf(s *simulation, path string) *expr.Env {
	env := &expr.Env{Names: plan.Names(s.st), Now: s.st.Now, Seed: s.st.RunID + "/" + path}
	if list := s.st.Records[path]; len(list) > 0 {
		env.Now = list[0].StartedAt
	}
	return env
}

// typesOf returns the accepted types of a decision that filtered the event by type.
func typesOf(d engine.Decision) string {
	if d.Outcome != engine.Filtered {
		return ""
	}
	_, list, _ := strings.Cut(d.Reason, " is not in events: ")
	return "[" + strings.Join(quoteAll(strings.Split(list, ", ")), ", ") + "]"
}

func quoteAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = `"` + s + `"`
	}
	return out
}
