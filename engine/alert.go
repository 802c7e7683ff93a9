package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// Alert is something that a person should know and that no run of theirs says.
type Alert struct {
	// Kind is silence, poll_failing or webhook_missed; Trigger the one that it is about.
	Kind, Trigger, Message string
	// Data are the facts, for workflows.
	Data map[string]any
}

// Alert writes an alert to the log, and to the workflows that listen to
// hookloom.alerts. The same alert of the same trigger comes once an hour.
func (e *Engine) Alert(ctx context.Context, a Alert) {
	now := time.Now().UTC()
	if e.o.Watch != nil {
		e.o.Watch.Alerted(a)
	}
	e.o.Log.Error("alert: "+a.Message, "kind", a.Kind, "trigger", a.Trigger)
	if len(e.project.Load().byTrigger[workflows.AlertsTrigger]) == 0 {
		return
	}
	facts := map[string]any{"kind": a.Kind, "trigger": a.Trigger, "message": a.Message, "at": now.Format(time.RFC3339)}
	for k, v := range a.Data {
		facts[k] = v
	}
	raw, err := workflows.EncodeJSON(facts)
	if err == nil {
		_, err = e.Accept(ctx, &Delivery{Trigger: workflows.AlertsTrigger, Inlet: "schedule", Key: fmt.Sprintf("%s/%s/%s", a.Kind, a.Trigger, now.Format("2006-01-02T15")), Type: "alert." + a.Kind,
			Time: now, ReceivedAt: now, Headers: map[string]string{"content-type": "application/json"}, Query: map[string]string{}, Raw: raw, Dedupe: 24 * time.Hour})
	}
	if err != nil && ctx.Err() == nil {
		e.o.Log.Error("an alert was not handed to workflows", "kind", a.Kind, "trigger", a.Trigger, "error", err)
	}
}

// Rhythm is how long a trigger's webhook may be quiet, going by its history; zero when
// there is too little of it.
func (e *Engine) Rhythm(ctx context.Context, trigger string) (time.Duration, error) {
	return e.o.Store.Rhythm(ctx, trigger)
}

// LastDelivery is when a trigger's webhook brought its newest event; zero for never.
func (e *Engine) LastDelivery(ctx context.Context, trigger string) (time.Time, error) {
	return e.o.Store.LastDelivery(ctx, trigger)
}
