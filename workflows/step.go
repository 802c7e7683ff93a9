package workflows

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

const (
	maxSteps     = 500
	maxStepDepth = 8
)

func (b *builder) steps(n *yaml.Node, depth int, prefix string) []*Step {
	return b.stepList(n, depth, prefix, true)
}

// stepList reads a list of steps that run in order. No step may follow one that always ends the
// run.
func (b *builder) stepList(n *yaml.Node, depth int, prefix string, inOrder bool) []*Step {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		b.wrongKind(n, "steps", "a list")
		return nil
	}
	if depth > maxStepDepth {
		b.add(b.pos(n), "too-large", fmt.Sprintf("steps are nested deeper than %d", maxStepDepth), "call another workflow")
		return nil
	}
	var out []*Step
	ended := false
	for i, c := range n.Content {
		o := b.object(c, "step")
		if o == nil {
			continue
		}
		if b.count++; b.count == maxSteps+1 {
			b.add(b.pos(c), "too-large", fmt.Sprintf("a workflow has at most %d steps", maxSteps), "call another workflow")
		}
		if ended {
			b.add(o.pos(), "unreachable", "this step is never reached", "the step before it ends the run")
			ended = false
		}
		s := b.step(o, depth, prefix)
		s.Key = s.ID
		if s.Key == "" {
			s.Key = strconv.Itoa(i)
		}
		ended = inOrder && (s.Body == "stop" || s.Body == "fail") && !o.has("if")
		out = append(out, s)
	}
	return out
}

func (b *builder) step(o *objectNode, depth int, prefix string) *Step {
	s := &Step{ID: o.text("id", ""), Pos: o.pos(), Uses: o.text("uses", ""), ContinueOnError: o.boolean("continue_on_error", false),
		OnUnknown: o.text("on_unknown", "retry"), As: o.text("as", "item"), MaxParallel: o.integer("max_parallel", 1),
		FailFast: o.boolean("fail_fast", true),
		Call:     o.text("call", ""), Detach: o.boolean("detach", false), Output: b.value(o.vals["output"]), With: b.with(o.vals["with"])}
	s.Pos.Width = 1
	if k := o.keys["uses"]; k != nil {
		s.misspelt = k.Value != "uses"
	}
	s.Body = b.body(o)
	s.Name = o.text("name", s.ID)
	if s.Name == "" {
		s.Name = s.Uses
	}
	b.stepID(o, s)
	if v := o.vals["if"]; v != nil {
		s.If = b.expression(v)
	}
	b.retryAndTimeout(o, s)
	b.checkModifiers(o, s)
	b.branches(o, s, depth, prefix)
	b.deadlineFits(o, s)
	return s
}

// body returns the name of the step's body.
func (b *builder) body(o *objectNode) string {
	var have []string
	for _, name := range StepKinds() {
		if o.has(name) {
			have = append(have, name)
		}
	}
	switch len(have) {
	case 1:
		return have[0]
	case 0:
		if o.unknown {
			return ""
		}
		b.add(o.pos(), "no-body", "a step needs exactly one of "+strings.Join(StepKinds(), ", "), "add one of them, such as uses: log")
	default:
		b.add(o.keyAt(have[1]), "two-bodies", fmt.Sprintf("a step does exactly one thing; this one has %s",
			strings.Join(have, " and ")), "make two steps")
	}
	return ""
}

func (b *builder) stepID(o *objectNode, s *Step) {
	if s.ID == "" {
		return
	}
	if line, twice := b.ids[s.ID]; twice {
		b.add(o.at("id"), "duplicate-id", fmt.Sprintf("step id %q is used twice, first on line %d", s.ID, line), "")
		s.ID = ""
		return
	}
	b.ids[s.ID] = o.at("id").Line
}

func (b *builder) retryAndTimeout(o *objectNode, s *Step) {
	s.Retry = b.retry(o, "retry")
	if s.Retry == nil && s.Body == "uses" {
		s.Retry = b.defaultRetry
	}
	s.Timeout = o.duration("timeout", 0)
	s.Deadline = b.deadline(o)
	if s.Timeout == 0 && s.Body == "uses" {
		s.Timeout = b.defaultTimeout
	}
	if s.Timeout == 0 && s.Body == "wait" {
		s.Timeout = 24 * time.Hour
	}
}

func (b *builder) checkModifiers(o *objectNode, s *Step) {
	for _, f := range o.shape.fields {
		fits, limited := kindsWith(f.name)
		if !limited || !o.has(f.name) || s.Body == "" || slices.Contains(fits, s.Body) {
			continue
		}
		hint := "use it with " + strings.Join(fits, ", ")
		problem := fmt.Sprintf("%s cannot be used with %s", f.name, s.Body)
		switch f.name {
		case "else":
			problem = "else needs if and steps"
			if s.Body == "switch" {
				hint = "for all other values, a switch has default:"
			}
		case "detach":
			problem = "detach needs call"
		case "retry":
			hint = "retry the action, not the group"
		}
		b.add(o.keyAt(f.name), "misplaced-key", problem, hint)
	}
	for _, k := range []string{"as", "max_parallel", "fail_fast"} {
		if o.has(k) && !o.has("foreach") {
			b.add(o.keyAt(k), "needs-key", k+" needs foreach", "")
		}
	}
	if o.has("else") && !o.has("if") && s.Body == "steps" {
		b.add(o.keyAt("else"), "needs-key", "else needs if and steps", "")
	}
	if s.Body == "switch" && !o.has("cases") {
		b.add(o.keyAt("switch"), "needs-key", "switch needs cases:", "cases: {paid: [...]}")
	}
}

// branches reads the steps inside a step.
func (b *builder) branches(o *objectNode, s *Step, depth int, prefix string) {
	if v := o.vals["foreach"]; v != nil {
		s.ForEach = b.expression(v)
	}
	r := stepReader{builder: b, o: o, depth: depth, prefix: prefix}
	for _, k := range stepKinds {
		k.read(r, s)
	}
	s.OnFailure = b.steps(o.vals["on_failure"], depth+1, "on_failure")
}

// with reads an action's inputs. Unlike other maps it keeps the position of each key.
func (b *builder) with(n *yaml.Node) *Value {
	if n == nil {
		return nil
	}
	v := &Value{pos: b.pos(n), kind: mapValue}
	b.pairs(n, func(k, x *yaml.Node) {
		v.keys = append(v.keys, k.Value)
		v.values = append(v.values, b.value(x))
	})
	return v
}
