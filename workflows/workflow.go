package workflows

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// Workflow is a workflow file: its triggers, its rule and its steps.
type Workflow struct {
	// ID is the file's path under workflows/ without its extension.
	ID, Name, Description string
	File                  string
	// Version is the first 16 hex digits of the SHA-256 of Text.
	Version string
	Text    []byte
	Enabled bool
	Starts  []Start
	Inputs  []Input
	When    []*Expr
	// Vars are evaluated in file order.
	Vars    []Var
	Timeout time.Duration
	// Deadline limits the total time of a run from its start, including waits; 0 for none.
	Deadline time.Duration
	Steps    []*Step
	OnFailed []*Step
	// Finally are steps that run last, however the run ends.
	Finally []*Step
	Output  *Value
	// Trigger is the trigger declared in the workflow, if any.
	Trigger     *Trigger
	src         *source
	secrets     []string // the allowed secrets; nil if the file lists none
	mayWait     bool     // a step may wait for something external
	awaited     []string // triggers whose events a step waits for
	secretNames []string
	// Concurrency and Rate limit its runs; nil for no limit.
	Concurrency *Concurrency
	Rate        *Rate
	// Tool offers the workflow to agents; nil if it is not a tool.
	Tool *Tool
	// Gather starts one run for several events; nil for one run per event.
	Gather *Gather
	// CancelOn describes the events that cancel open runs.
	CancelOn []CancelOn
	// Strict fails steps that insert nothing into text for people.
	Strict bool
	tests  *yaml.Node
}

// Start is one way to start a run.
type Start struct {
	// Kind is trigger, manual, mcp, call or workflow_run.
	Kind string
	// Trigger is the trigger's name when Kind is trigger.
	Trigger string
	// Events are the accepted types; empty accepts all.
	Events    []string
	Workflows []string
	// Statuses are the final statuses that workflow_run listens to.
	Statuses []string
	// form is set if the value of on: is not in a valid form.
	form *startForm
	// eventPos are the positions of the event types.
	eventPos []Pos
	pos      Pos
}

// AnyWorkflow in workflow_run stands for all other workflows.
const AnyWorkflow = "*"

// AlertsTrigger is the trigger of Hookloom's own alerts: a trigger went quiet, polls fail, a
// webhook was missed.
const AlertsTrigger = "hookloom.alerts"

// MatchType reports whether a type matches a list whose entries may end in *; an empty list matches
// all.
func MatchType(patterns []string, eventType string) bool {
	for _, p := range patterns {
		if p == eventType || strings.HasSuffix(p, "*") && strings.HasPrefix(eventType, strings.TrimSuffix(p, "*")) {
			return true
		}
	}
	return len(patterns) == 0
}

// Var is a computed value.
type Var struct {
	Name  string
	Value *Value
	pos   Pos
}

// Input is a declared input of a workflow or of a connector's action.
type Input struct {
	Name, Type, Description string
	Required, Secret        bool
	Default                 any
	Options                 []any
	Min, Max                any
	Pattern                 string
	// Of is the type of the elements or fields of an action's list or object; nil if unknown.
	Of *DataType
}

// Retry says how often and when a failed attempt is retried.
type Retry struct {
	// Max is the number of attempts after the first.
	Max    int
	Delay  time.Duration
	Factor float64
	// MaxDelay limits a delay, including one from Retry-After.
	MaxDelay time.Duration
	Jitter   bool
	When     *Expr
	// For is the time after the start of the first attempt within which another may start; 0 for no
	// limit.
	For time.Duration
	// OnlyUndone retries only if the service cannot have processed the request.
	OnlyUndone bool
	// Implicit marks the default policy of safe methods, without retry: in the file.
	Implicit bool
}

// mostRetries is the maximum number of retries.
const mostRetries = 50

// Defaults of docs/retries.md and docs/workflows.md.
const (
	DefaultRunTimeout    = time.Hour
	DefaultActionTimeout = 30 * time.Second
	defaultRetryDelay    = time.Second
	defaultMaxDelay      = 5 * time.Minute
)

// DefaultRetry returns the policy of safe methods without retry: in the file: two retries.
func DefaultRetry() *Retry {
	return &Retry{Max: 2, Delay: defaultRetryDelay, Factor: 2, MaxDelay: defaultMaxDelay, Jitter: true, Implicit: true}
}

// Step is a step of a workflow: some modifiers and exactly one body.
type Step struct {
	ID, Name string
	// misspelt reports whether the key uses was misspelled, which was reported.
	misspelt bool
	// Key is the step's name within its list: the id, or else the index from 0.
	Key string
	Pos Pos
	If  *Expr
	// Body is the key of the body: uses, steps, switch, set, stop, fail.
	Body string

	Uses string
	Spec *ActionSpec
	With *Value

	// ForEach repeats the body for each item; As names the item.
	ForEach     *Expr
	As          string
	MaxParallel int
	FailFast    bool
	Parallel    []*Step
	// Sleep is a duration, or with SleepUntil a time.
	Sleep      *Value
	SleepUntil bool
	Wait       *Wait
	Call       string
	callPos    Pos
	Detach     bool

	Steps, Else []*Step
	Switch      *Expr
	Cases       []Case
	Default     []*Step
	Set         []Var
	Text        *Value // of stop and fail

	// Gone says what the step needs that no longer exists; empty if everything exists. It is only
	// set in the stored text of a run that has begun.
	Gone string

	Retry   *Retry
	Timeout time.Duration
	// Deadline limits the total time of the step: attempts, delays and waits; 0 for none.
	Deadline        time.Duration
	ContinueOnError bool
	// OnUnknown is retry, fail or review.
	OnUnknown string
	OnFailure []*Step
	Output    *Value
}

// MayWait reports whether a step of the workflow may wait for something external: an approval, an
// event, the end of a called run, or a person's decision about an attempt with unknown outcome.
func (w *Workflow) MayWait() bool { return w.mayWait }

// AwaitedTriggers returns the triggers whose events the workflow's steps wait for.
func (w *Workflow) AwaitedTriggers() []string { return w.awaited }

// Case is one branch of a switch; its value is compared as text.
type Case struct {
	Value string
	Steps []*Step
}

// parseWorkflow parses a workflow file. Mistakes are added to src; the result may be nil.
func parseWorkflow(src *source, id string) *Workflow {
	d := &decoder{source: src}
	root := d.parse()
	if root == nil {
		return nil
	}
	o := d.object(root, "workflow")
	if o == nil {
		return nil
	}
	w := &Workflow{ID: id, Name: o.text("name", id), Description: o.text("description", ""), File: src.name, Version: versionOf(src.text),
		Text: src.text, Enabled: o.boolean("enabled", true), Timeout: o.duration("timeout", DefaultRunTimeout),
		Output: d.value(o.vals["output"]), src: src}
	if v := o.integer("version", 1); v > 1 {
		d.add(o.at("version"), "out-of-range", fmt.Sprintf("version %d is newer than this program (1)", v), "")
	}
	b := &builder{decoder: d, w: w, ids: map[string]int{}}
	w.Deadline = b.deadline(o)
	if dn := o.object("defaults"); dn != nil {
		b.defaultRetry, b.defaultTimeout = d.retry(dn, "retry"), dn.duration("timeout", 0)
		w.Strict = dn.boolean("strict", false)
	}
	b.on(o.vals["on"])
	b.inputs(o)
	w.When = d.expressions(o.vals["when"])
	w.Vars = b.vars(o.vals["vars"])
	if v := o.vals["secrets"]; v != nil {
		w.secrets = append([]string{}, o.texts("secrets")...)
	}
	w.Concurrency, w.Rate, w.Gather, w.CancelOn = b.concurrency(o), b.rate(o), b.gather(o), b.cancelOn(o)
	w.Steps = b.steps(o.vals["steps"], 1, "")
	w.OnFailed = b.steps(o.vals["on_failure"], 1, "on_failure")
	w.Finally = b.steps(o.vals["finally"], 1, "finally")
	b.checkDeadline(o)
	w.EachStep(func(s *Step) {
		w.mayWait = w.mayWait || s.Wait != nil || s.Call != "" || s.OnUnknown == "review"
		for _, one := range s.Wait.Choices() {
			if one.Event != "" && !slices.Contains(w.awaited, one.Event) {
				w.awaited = append(w.awaited, one.Event)
			}
		}
	})
	w.tests = o.vals["tests"]
	return w
}

// versionOf returns the version of a file's text.
func versionOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// builder reads a workflow; ids are the step ids so far, with their lines.
type builder struct {
	*decoder
	w              *Workflow
	ids            map[string]int
	count          int
	defaultRetry   *Retry
	defaultTimeout time.Duration
}

func (b *builder) on(n *yaml.Node) {
	if n == nil {
		return
	}
	before := len(b.mistakes)
	switch n.Kind {
	case yaml.ScalarNode:
		b.startWord(n)
		return
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if c.Kind == yaml.MappingNode {
				b.startInList(n, c)
			} else if b.scalar(c, "on") {
				b.startWord(c)
			}
		}
	case yaml.MappingNode:
		b.startMap(n)
	}
	if len(b.w.Starts) == 0 && b.w.Trigger == nil && len(b.mistakes) == before {
		b.add(b.pos(n), "missing-key", "nothing starts this workflow", "name a trigger, or manual")
	}
}

func (b *builder) startWord(n *yaml.Node) {
	switch n.Value {
	case "manual":
		b.start(Start{Kind: "manual", pos: b.pos(n)})
	case "call":
		b.start(Start{Kind: "call", pos: b.pos(n)})
	case "webhook", "poll", "schedule", "workflow_run", "mcp":
		b.add(b.pos(n), "wrong-kind", fmt.Sprintf("%s needs its settings", n.Value), fmt.Sprintf("write on: {%s: {…}}", n.Value))
	default:
		b.start(Start{Kind: "trigger", Trigger: n.Value, pos: b.pos(n)})
	}
}

func (b *builder) start(s Start) { b.w.Starts = append(b.w.Starts, s) }

func (b *builder) startMap(n *yaml.Node) {
	inlets := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	var named *startForm // of an earlier key
	b.pairs(n, func(k, v *yaml.Node) {
		if f := b.startForm(k.Value, v); f != nil && k.Value != "manual" && k.Value != "call" && k.Value != "workflow_run" &&
			k.Value != "mcp" {
			switch {
			case v.Kind == yaml.SequenceNode && k.Value == "schedule" && len(f.names) == 0:
			case k.Value == "events" && named != nil:
				named.events = f.names
				return
			default:
				if triggerWords[k.Value] {
					named = f
				}
				b.start(Start{Kind: "trigger", Trigger: k.Value, form: f, pos: b.pos(k)})
				return
			}
		}
		switch k.Value {
		case "webhook", "poll", "schedule":
			inlets.Content = append(inlets.Content, k, v)
		case "manual", "call":
			b.start(Start{Kind: k.Value, pos: b.pos(k)})
		case "mcp":
			b.tool(v, b.pos(k))
		case "workflow_run":
			if o := b.object(v, "workflow_run"); o != nil {
				s := Start{Kind: "workflow_run", Workflows: o.texts("workflows"), Statuses: o.texts("status"), pos: o.at("workflows")}
				if len(s.Statuses) == 0 {
					s.Statuses = expr.RunStatuses
				}
				b.start(s)
			}
		default:
			s := Start{Kind: "trigger", Trigger: k.Value, pos: b.pos(k)}
			if v.Kind == yaml.MappingNode {
				if o := b.object(v, "filter"); o != nil {
					s.Events, s.eventPos = o.texts("events"), o.places("events")
				}
			}
			b.start(s)
		}
	})
	if len(inlets.Content) == 0 {
		return
	}
	o := b.object(inlets, "trigger")
	if o == nil {
		return
	}
	b.w.Trigger = b.trigger(b.w.ID, b.pos(n), o)
	s := Start{Kind: "trigger", Trigger: b.w.ID, pos: b.pos(n)}
	b.start(s)
}

func (b *builder) inputs(o *objectNode) {
	v := o.vals["inputs"]
	if v == nil {
		return
	}
	startable := false
	for _, s := range b.w.Starts {
		startable = startable || s.ByHand() || s.Kind == "call"
	}
	if !startable {
		b.add(o.keyAt("inputs"), "needs-key", "inputs need on: manual, on: call or on: mcp", "")
	}
	if len(b.w.Inputs) > 0 {
		b.add(o.keyAt("inputs"), "exclusive-keys", "the inputs are declared twice: here and under on.mcp", "keep one of the two")
		return
	}
	b.w.Inputs = b.inputList(v)
}

func (d *decoder) inputList(v *yaml.Node) []Input {
	var out []Input
	if v == nil {
		return nil
	}
	d.pairs(v, func(k, n *yaml.Node) {
		if !d.isName(k, "input") { // used only as inputs.NAME, so reserved names are allowed
			return
		}
		if o := d.object(n, "input"); o != nil {
			out = append(out, d.input(k.Value, o))
		}
	})
	return out
}

func (d *decoder) input(name string, o *objectNode) Input {
	in := Input{Name: name, Type: o.text("type", ""), Description: o.text("description", ""), Required: o.boolean("required", false),
		Secret: o.boolean("secret", false), Pattern: o.text("pattern", "")}
	if v := o.vals["default"]; v != nil {
		in.Default = d.literal(v)
		if in.Required {
			d.add(o.keyAt("default"), "exclusive-keys", "required and default are mutually exclusive", "")
		} else if problem := in.check(in.Default); problem != "" {
			d.add(o.at("default"), "wrong-type", "default: "+problem, "")
		}
	}
	if v := o.vals["options"]; v != nil {
		in.Options, _ = d.literal(v).([]any)
	}
	if v := o.vals["min"]; v != nil {
		in.Min = d.literal(v)
	}
	if v := o.vals["max"]; v != nil {
		in.Max = d.literal(v)
	}
	if in.Pattern != "" {
		if err := checkPattern(in.Pattern); err != nil {
			d.add(o.at("pattern"), "bad-regexp", "pattern is not a valid expression: "+err.Error(), "")
		}
	}
	return in
}

func (b *builder) vars(n *yaml.Node) []Var {
	var out []Var
	if n == nil {
		return nil
	}
	b.pairs(n, func(k, v *yaml.Node) {
		if b.fitsName(k, "var") {
			out = append(out, Var{Name: k.Value, Value: b.value(v), pos: b.pos(k)})
		}
	})
	return out
}

// hasKey reports whether a map in the file has a key, whatever its value.
func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (d *decoder) retry(o *objectNode, key string) *Retry {
	v := o.vals[key]
	if v == nil {
		return nil
	}
	r := DefaultRetry()
	r.Implicit = false
	if v.Kind == yaml.ScalarNode {
		r.Max = o.integer(key, 0)
		return r
	}
	m := o.object(key)
	if m == nil {
		return nil
	}
	most := 0
	if r.For = m.duration("for", 0); r.For > 0 {
		most = mostRetries
	} else if !hasKey(v, "max") && !m.unknown {
		d.add(m.pos(), "missing-key", "retry needs max: or for:", "max: 5 allows five retries, for: 1h limits the time for them")
	}
	r.Max, r.Delay, r.MaxDelay, r.Jitter = m.integer("max", most), m.duration("delay", r.Delay), m.duration("max_delay",
		r.MaxDelay), m.boolean("jitter", true)
	if f := m.vals["factor"]; f != nil {
		n, err := numberOf(f)
		x, ok := expr.Number(n)
		if err != nil || !ok || x < 1 || x > 100 {
			d.add(d.pos(f), "out-of-range", "factor is a number from 1 to 100", "")
		} else {
			r.Factor = x
		}
	}
	if w := m.vals["when"]; w != nil {
		r.When = d.expression(w)
	}
	return r
}

// workflowID returns the path under workflows/ without its extension.
func workflowID(rel string) string {
	return strings.TrimSuffix(rel, path.Ext(rel))
}
