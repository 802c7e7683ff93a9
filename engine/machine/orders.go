package machine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// orders is the part of the machine that Control uses.
type orders struct{ e *Engine }

// Working implements Machine.
func (o orders) Working() <-chan struct{} { return o.e.intake.Working() }

// Accept implements Machine.
func (o orders) Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error) {
	return o.e.intake.Accept(ctx, d)
}

// AwaitShare implements Machine.
func (o orders) AwaitShare(ctx context.Context, ev *engine.Event) (*engine.Event, error) {
	return o.e.store.AwaitShare(ctx, ev)
}

// EvaluateQueued implements Machine.
func (o orders) EvaluateQueued(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error,
	alone bool) (engine.Decision, *engine.RunUpdate) {
	return o.e.intake.EvaluateQueued(l, ev, names, unreadable, alone)
}

// Decided implements Machine.
func (o orders) Decided(ev *engine.Event, d *engine.Decision) { o.e.intake.Decided(ev, d) }

// Answered implements Machine.
func (o orders) Answered(id engine.RunID, at time.Time) { o.e.runner.Answered(id, at) }

// DueAt implements Machine.
func (o orders) DueAt(t time.Time) { o.e.runner.DueAt(t) }

// GatherDue implements Machine.
func (o orders) GatherDue(t time.Time) { o.e.runner.GatherDue(t) }

// ReplayAt implements Machine.
func (o orders) ReplayAt(now time.Time) time.Time { return o.e.runner.ReplayAt(now) }
