package workflows

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// The kinds of Gather.
const (
	Debounce = "debounce"
	Batch    = "batch"
)

// MaxBatch is the maximum number of events in a batch.
const MaxBatch = 1000

// Limits of how long events are collected.
const (
	minGather = 10 * time.Millisecond
	maxGather = 7 * 24 * time.Hour
	// maxWaits times wait is the default of debounce.max: without a maximum, a steady stream of
	// events would delay the run forever.
	maxWaits = 10
)

// Gather starts one run for several events. A debounce passes the last event, a batch all of them.
// Inngest calls them debounce and batchEvents.
type Gather struct {
	Kind string
	// Key separates events that are not collected together; empty for one key.
	Key []*Expr
	// Wait is the quiet period of a debounce, or the maximum duration of a batch.
	Wait time.Duration
	// Max is the maximum time after the first event of a debounce.
	Max time.Duration
	// Size is the maximum number of events in a batch.
	Size int
	pos  Pos
}

// KeyOf returns the key of an event.
func (g *Gather) KeyOf(env *expr.Env) (string, error) {
	if len(g.Key) == 0 {
		return "", nil
	}
	key, err := keyOf(g.Key, env)
	if err != nil {
		return "", fmt.Errorf("%s.key: %w", g.Kind, err)
	}
	return key, nil
}

// CancelOn describes events that cancel open runs.
type CancelOn struct {
	// Trigger is the trigger that receives the events; Events are their types.
	Trigger string
	Events  []string
	// eventPos are the positions of the types.
	eventPos []Pos
	// Key is evaluated for the run.
	Key []*Expr
	pos Pos
}

// RunKey returns the key by which events cancel the run; empty for none.
func (c *CancelOn) RunKey(env *expr.Env) (string, error) {
	key, err := keyOf(c.Key, env)
	if errors.Is(err, errEmptyKey) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cancel_on.key: %w", err)
	}
	return key, nil
}

// EventKeys returns the keys of the runs that an event cancels: the event's own key, and the value
// of the run's expression for the event.
func (c *CancelOn) EventKeys(key string, env *expr.Env) []string {
	out := []string{key}
	// If the expression cannot be evaluated for the event, only its own key counts.
	if same, err := keyOf(c.Key, env); err == nil && same != key {
		out = append(out, same)
	}
	return out
}

func (b *builder) gather(o *objectNode) *Gather {
	if o.has(Debounce) && o.has(Batch) {
		b.add(o.keyAt(Batch), "exclusive-keys", "debounce and batch are mutually exclusive", "debounce keeps the last event, batch keeps all")
		return nil
	}
	for _, kind := range []string{Debounce, Batch} {
		f := o.object(kind)
		if f == nil {
			continue
		}
		g := &Gather{
			Kind: kind,
			Key:  b.expressions(f.vals["key"]),
			Wait: f.duration("wait", 0),
			Size: f.integer("size", 0),
			pos:  o.keyAt(kind),
		}
		g.Max = f.duration("max", maxWaits*g.Wait)
		if kind == Batch {
			g.Max = g.Wait
		}
		if f.vals["wait"] != nil && (g.Wait < minGather || g.Wait > maxGather) {
			b.add(f.at("wait"), "out-of-range", fmt.Sprintf("%s.wait is 10ms to 7d", kind), "")
		}
		if f.has("max") && g.Max < g.Wait {
			b.add(f.at("max"), "out-of-range", "debounce.max is less than wait: no event could delay the run",
				"wait is the quiet time after each event, max the limit for the whole burst")
		}
		return g
	}
	return nil
}

func (b *builder) cancelOn(o *objectNode) []CancelOn {
	var out []CancelOn
	v := o.vals["cancel_on"]
	if v == nil {
		return nil
	}
	nodes := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		nodes = v.Content
	}
	for _, n := range nodes {
		f := b.object(n, "cancel_on")
		if f == nil {
			continue
		}
		out = append(out, CancelOn{
			Trigger: f.text("event", ""),
			Events:  f.texts("events"), eventPos: f.places("events"),
			Key: b.expressions(f.vals["key"]),
			pos: f.at("event"),
		})
	}
	return out
}

// gather checks debounce and batch. rule is the scope of the workflow's rule.
func (c *checker) gather(w *Workflow, rule *expr.Scope) {
	g := w.Gather
	if g == nil {
		return
	}
	sc := rule.In(g.Kind + ".key")
	for _, e := range g.Key {
		e.check(sc, reflect.Invalid)
	}
	for _, s := range w.Starts {
		t := c.p.Triggers[s.Trigger]
		switch {
		case s.Kind == "call":
			w.src.add(g.pos, "exclusive-keys",
				fmt.Sprintf("%s and on: call are mutually exclusive: a caller waits for a run of its own", g.Kind),
				"put the steps into a workflow that is called, and gather in another")
		case s.Kind == "trigger" && t != nil && t.Webhook != nil && t.Webhook.Respond != nil && t.Webhook.Respond.Sync:
			w.src.warn(g.pos, "sync-wait",
				fmt.Sprintf("the sender waits at most %s for a response (respond: sync), and %s delays the run",
					t.Webhook.Respond.Timeout, g.Kind),
				"use respond: async")
		}
	}
	if onlyManual(w.Starts) {
		w.src.warn(g.pos, "nothing-to-gather", fmt.Sprintf("%s does not apply to manual starts, and this workflow has no other",
			g.Kind), "name a trigger in on:")
	}
}

func onlyManual(starts []Start) bool {
	for _, s := range starts {
		if !s.ByHand() {
			return false
		}
	}
	return len(starts) > 0
}

// cancelOn checks what cancels a workflow's runs.
func (c *checker) cancelOn(w *Workflow, rule *expr.Scope) {
	sc := rule.In("cancel_on.key")
	for _, x := range w.CancelOn {
		for _, e := range x.Key {
			e.check(sc, reflect.Invalid)
		}
		t := c.p.Triggers[x.Trigger]
		if x.Trigger == "" {
			continue // reported with the structure of the document
		}
		if t == nil {
			hint := spelling.Suggest(x.Trigger, slices.Sorted(maps.Keys(c.p.Triggers)))
			if hint == "" {
				hint = "declare it under triggers: in hookloom.yaml"
			}
			w.src.add(x.pos, "unknown-trigger", fmt.Sprintf("no trigger is named %q", x.Trigger), hint)
			continue
		}
		if t.Webhook != nil {
			c.eventNames(w.src, x.eventPos, t.Webhook, x.Events)
		}
	}
}

// checkFinally checks the steps of finally. after is the scope after the workflow's steps.
func (w *Workflow) checkFinally(s *stepChecker, after *expr.Scope) {
	if len(w.Finally) == 0 {
		return
	}
	sc := after.In("finally")
	run := maps.Clone(expr.RunType())
	run["status"] = expr.String
	sc.Names["run"], sc.Names["error"] = run, expr.ErrorType()
	for id := range sc.Steps() {
		sc.MaybeNil[id] = true
	}
	sc.MaybeNil[expr.NoError] = true
	sc.Sync()
	s.sequence(w.Finally, sc)
}

// String describes how events are collected.
func (g *Gather) String() string {
	var keys []string
	for _, e := range g.Key {
		keys = append(keys, e.Text)
	}
	of := ""
	if len(keys) > 0 {
		of = " by " + strings.Join(keys, ", ")
	}
	if g.Kind == Batch {
		return fmt.Sprintf("batch%s: %d events or %s", of, g.Size, g.Wait)
	}
	return fmt.Sprintf("debounce%s: %s quiet, at most %s", of, g.Wait, g.Max)
}
