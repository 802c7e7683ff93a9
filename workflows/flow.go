package workflows

import (
	"reflect"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// Concurrency bounds how many runs of a workflow go on at once.
type Concurrency struct {
	// Group tells runs apart that may go on beside each other; nil for one group.
	Group *Value
	// Limit runs of a group have begun and not ended.
	Limit int
	// OnFull is queue, drop or replace; MaxQueue runs of a group may wait.
	OnFull   string
	MaxQueue int
	// Stale is a time or a number: an event with a lower one than the last that
	// was applied in its group is dropped. nil for no such guard.
	Stale     *Expr
	onFullPos Pos
}

// Rate bounds how many runs of a workflow start in a stretch of time.
type Rate struct {
	// Limit runs of a group start within any stretch as long as Per.
	Limit int
	Per   time.Duration
	Group *Value
	// OnFull is queue or drop.
	OnFull string
}

// DefaultMaxQueue is how many runs of a group may wait for their turn.
const DefaultMaxQueue = 1000

// Gated reports whether a run of the workflow may have to wait before it starts, so
// that its events are taken one after another, in the order of their arrival.
func (w *Workflow) Gated() bool { return w.Bounded() || w.Gather != nil || len(w.CancelOn) > 0 }

// Bounded reports whether a run of the workflow asks for a place before it starts.
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
			return nil // reported with the document's shape
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
		b.add(f.at("per"), "out-of-range", "per is at least 1ms", "")
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

// warnOfReplacing warns of a step that a newer run may cut when it has had its
// effect: one that is not safe to do again.
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
