package workflows

import (
	"reflect"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// Concurrency limits the number of simultaneous runs of a workflow.
type Concurrency struct {
	// Group is the key of a group with its own limit; nil for a single group.
	Group *Value
	// Limit is the maximum number of active runs in a group.
	Limit int
	// OnFull is queue, drop or replace; MaxQueue is the maximum number of waiting runs in a group.
	OnFull   string
	MaxQueue int
	// Stale is a time or a number: an event with a lower value than the last applied one of its
	// group is dropped. It is nil if not used.
	Stale     *Expr
	onFullPos Pos
}

// Rate limits how many runs of a workflow start per unit of time.
type Rate struct {
	// Limit is the maximum number of starts of a group in any interval of length Per.
	Limit int
	Per   time.Duration
	Group *Value
	// OnFull is queue or drop.
	OnFull string
}

// DefaultMaxQueue is the default maximum number of waiting runs in a group.
const DefaultMaxQueue = 1000

// Gated reports whether a run of the workflow may have to wait before it starts. Its events are
// then processed one at a time, in order of arrival.
func (w *Workflow) Gated() bool { return w.Bounded() || w.Gather != nil || len(w.CancelOn) > 0 }

// Bounded reports whether a run of the workflow needs a slot or a rate token before it starts.
func (w *Workflow) Bounded() bool { return w.Concurrency != nil || w.Rate != nil }

func (b *builder) concurrency(o *objectNode) *Concurrency {
	n := o.vals["concurrency"]
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return &Concurrency{Limit: o.integer("concurrency", 1), OnFull: "queue", MaxQueue: DefaultMaxQueue}
	}
	f := o.object("concurrency")
	if f == nil {
		return nil
	}
	c := &Concurrency{
		Group:    b.value(f.vals["group"]),
		Limit:    f.integer("limit", 1),
		OnFull:   f.text("on_full", "queue"),
		MaxQueue: f.integer("max_queue", DefaultMaxQueue),
	}
	if v := f.vals["stale"]; v != nil {
		c.Stale = b.expression(v)
	}
	if f.has("max_queue") && c.OnFull != "queue" {
		b.add(f.keyAt("max_queue"), "exclusive-keys", "max_queue needs on_full: queue", "")
	}
	c.onFullPos = f.at("on_full")
	return c
}

func (b *builder) rate(o *objectNode) *Rate {
	n := o.vals["rate"]
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		limit, per, err := parseRate(n.Value)
		if err != nil {
			return nil // reported with the structure of the document
		}
		return &Rate{Limit: limit, Per: per, OnFull: "queue"}
	}
	f := o.object("rate")
	if f == nil {
		return nil
	}
	r := &Rate{
		Limit:  f.integer("limit", 1),
		Per:    f.duration("per", time.Minute),
		Group:  b.value(f.vals["group"]),
		OnFull: f.text("on_full", "queue"),
	}
	if r.Per < time.Millisecond {
		b.add(f.at("per"), "out-of-range", "per must be at least 1ms", "")
	}
	return r
}

// checkFlow checks the expressions of concurrency and rate.
func (w *Workflow) checkFlow(sc *expr.Scope) {
	flow := sc.In("concurrency and rate")
	flow.Drop("steps", "events")
	if w.Concurrency != nil {
		w.Concurrency.Group.check(flow)
		if w.Concurrency.Stale != nil {
			w.Concurrency.Stale.check(flow, reflect.Invalid)
		}
	}
	if w.Rate != nil {
		w.Rate.Group.check(flow)
	}
}

// warnOfReplacing warns about a step that is not safe to repeat: a newer run may cancel it after it
// took effect.
func (w *Workflow) warnOfReplacing() {
	if w.Concurrency == nil || w.Concurrency.OnFull != "replace" {
		return
	}
	warned := false
	w.EachStep(func(s *Step) {
		if !warned && s.Spec != nil && s.Spec.SideEffects && !s.Spec.Safe {
			warned = true
			w.src.warn(w.Concurrency.onFullPos, "replace-unsafe",
				"on_full: replace cancels a running run, and step "+s.Key+" ("+s.Uses+") may already have taken effect",
				"use on_full: queue to let each run finish")
		}
	})
}
