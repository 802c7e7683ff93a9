package alert

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/shape"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file compares what triggers receive now with what they received before. It reads stored
// events, in which redacted fields are masked already, now and then and in one batch: nothing of
// it stands between a delivery and its answer.

const (
	// shapesEvery is how often the events of triggers are compared.
	shapesEvery = 10 * time.Minute
	// comparedEvents is how many of the newest events of a trigger are read; the newest
	// newerEvents of each type are compared with the others.
	comparedEvents = 2000
	newerEvents    = 50
	// maxShapes is how many types of events of one trigger are compared, maxShapeBody how many
	// bytes a body may have that is looked at, and maxChanges how many changes of one type of
	// event are alerts.
	maxShapes    = 50
	maxShapeBody = 256 << 10
	maxChanges   = 10
)

// versions are the two shapes of one type of event and version of the provider's API.
type versions struct{ newer, before *shape.Shape }

// RunShapes compares what triggers receive until ctx ends.
func (m *Monitor) RunShapes(ctx context.Context) {
	if m.o.Recent == nil {
		return
	}
	every := time.NewTicker(m.o.ShapesEvery)
	defer every.Stop()
	last := map[string]engine.EventID{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		p := m.o.Registry.Snapshot()
		if p == nil || !engine.Leads(ctx, m.o.Store, "shapes") {
			continue
		}
		for name := range p.Triggers {
			if ctx.Err() == nil && name != "" {
				m.lookAtShapes(ctx, p, name, last)
			}
		}
	}
}

// lookAtShapes opens and closes the alerts of one trigger. last is the newest event that was
// seen, by trigger: without a newer one nothing is read.
func (m *Monitor) lookAtShapes(ctx context.Context, p *registry.Snapshot, trigger string, last map[string]engine.EventID) {
	types := map[[2]string]*versions{}
	newest := engine.EventID(0)
	err := m.o.Recent(ctx, trigger, comparedEvents, func(ev *engine.Event) bool {
		if newest == 0 {
			if newest = ev.ID; newest == last[trigger] {
				return false
			}
		}
		if len(ev.Raw) > maxShapeBody {
			return ctx.Err() == nil
		}
		names, err := ev.Names()
		if err != nil || names["data"] == nil {
			return ctx.Err() == nil
		}
		version := p.APIVersion(trigger, ev.Headers, names)
		v := types[[2]string{ev.Type, version}]
		if v == nil && len(types) >= maxShapes {
			return ctx.Err() == nil
		}
		if v == nil {
			v = &versions{newer: shape.New(trigger, ev.Type, version), before: shape.New(trigger, ev.Type, version)}
			types[[2]string{ev.Type, version}] = v
		}
		if s := v.newer; s.Events < newerEvents {
			s.Add(names["data"], ev.ReceivedAt)
		} else {
			v.before.Add(names["data"], ev.ReceivedAt)
		}
		return ctx.Err() == nil
	})
	if err != nil || newest == 0 || newest == last[trigger] || ctx.Err() != nil {
		return // it is asked again
	}
	last[trigger] = newest
	holds := map[string]bool{}
	for of, v := range types {
		kind := strings.TrimSpace(of[0] + " " + of[1])
		for i, c := range shape.Changes(v.before, v.newer) {
			if i >= maxChanges {
				break
			}
			c.Path = value.Clip(c.Path, 200)
			subject := strings.Join([]string{trigger, kind, c.Path, c.Kind, c.What}, " ")
			holds[subject] = true
			m.shapeChanged(ctx, p, trigger, kind, subject, c)
		}
	}
	for _, a := range m.OpenAlerts() {
		if a.Kind == engine.AlertShapeChanged && a.Trigger == trigger && !holds[a.Subject] {
			m.AlertOver(a.Kind, a.Subject)
		}
	}
}

func (m *Monitor) shapeChanged(ctx context.Context, p *registry.Snapshot, trigger, kind, subject string, c shape.Change) {
	touched := []any{}
	var names []string
	for _, l := range p.ByTrigger[trigger] {
		for _, text := range l.Workflow.ExpressionsAbout(readers(c.Path)) {
			touched = append(touched, map[string]any{"workflow": l.Workflow.ID, "expression": text})
			if !slices.Contains(names, l.Workflow.ID) {
				names = append(names, l.Workflow.ID)
			}
		}
	}
	about := "no expression reads it"
	if len(names) > 0 {
		about = "it is read by " + strings.Join(names, ", ")
	}
	m.Alert(ctx, engine.Alert{Kind: engine.AlertShapeChanged, Trigger: trigger, Subject: subject,
		Message: fmt.Sprintf("events %s of trigger %s have changed: %s; %s", kind, trigger, c, about),
		Data: map[string]any{"event_type": kind, "path": c.Path, "change": c.Kind, "what": c.What, "count": c.Count, "of": c.Of,
			"touches": touched[:min(len(touched), 20)]}})
}

// readers finds the expressions that read a path or what is inside of it. What is inside of a
// list is read by those that read the list.
func readers(path string) *regexp.Regexp {
	path, _, _ = strings.Cut(path, "[]")
	text := strings.ReplaceAll(regexp.QuoteMeta(path), `\.`, `\??\.`)
	return regexp.MustCompile(text + `([^A-Za-z0-9_]|$)`)
}
