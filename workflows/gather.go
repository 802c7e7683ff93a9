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

// MaxBatch is how many events one run may have.
const MaxBatch = 1000

// Bounds of how long events are gathered.
const (
	minGather = 10 * time.Millisecond
	maxGather = 7 * 24 * time.Hour
	// maxWaits times wait is the default of debounce.max: without it, a steady stream
	// of events would put the run off for ever.
	maxWaits = 10
)

// Gather makes one run of several events. A debounce has the last of them; a batch has
// all. They are known elsewhere as Inngest's debounce and batchEvents.
type Gather struct {
	Kind string
	// Key tells events apart that are not gathered together; empty for one key.
	Key []*Expr
	// Wait is how long it must be quiet, of a batch how long it may take.
	Wait time.Duration
	// Max is how long after its first event a burst ends.
	Max time.Duration
	// Size is how many events a batch has at most.
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

// CancelOn names events that end open runs.
type CancelOn struct {
	// Trigger is the trigger whose events they are, Events the types that count.
	Trigger string
	Events  []string
	// Key is of the run.
	Key []*Expr
	pos Pos
}

// RunKey returns the key by which a run can be ended; empty for none.
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

// EventKeys returns the keys of the runs that an event ends: its own key, and what the
// expression for the run gives for it.
func (c *CancelOn) EventKeys(key string, env *expr.Env) []string {
	out := []string{key}
	// Where the expression does not fit the event, only its own key counts.
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
			Events:  f.texts("events"),
			Key:     b.expressions(f.vals["key"]),
			pos:     f.at("event"),
		})
	}
	return out
}

// gather checks what a workflow gathers. rule is what its rule may read.
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

// cancelOn checks what ends a workflow's runs.
func (c *checker) cancelOn(w *Workflow, rule *expr.Scope) {
	sc := rule.In("cancel_on.key")
	for _, x := range w.CancelOn {
		for _, e := range x.Key {
			e.check(sc, reflect.Invalid)
		}
		t := c.p.Triggers[x.Trigger]
		if x.Trigger == "" {
			continue // reported with the document's shape
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
			c.eventNames(w.src, x.pos, t.Webhook, x.Events)
		}
	}
}

// checkFinally checks the steps that run last. after is what can be read behind the
// workflow's steps.
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

// String says in words how events are gathered.
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
