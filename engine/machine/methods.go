package machine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file is the engine's interface: each method calls the registry, the intake or the runner.
// The methods of Control are embedded.

// Use makes a project the current one, see Registry.Use.
func (e *Engine) Use(ctx context.Context, p *workflows.Project) error { return e.reg.Use(ctx, p) }

// UseSecrets replaces the source of secrets, see Registry.UseSecrets.
func (e *Engine) UseSecrets(lookup func(name string) (string, bool)) { e.reg.UseSecrets(lookup) }

// SwitchedOff returns the workflows that a person has switched off.
func (e *Engine) SwitchedOff() map[string]engine.Switch { return e.reg.SwitchedOff() }

// Accept stores a delivery, see Intake.Accept.
func (e *Engine) Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error) {
	return e.intake.Accept(ctx, d)
}

// AcceptAll stores the events of one request, all or none.
func (e *Engine) AcceptAll(ctx context.Context, ds []*engine.Delivery) ([]engine.Receipt, error) {
	return e.intake.AcceptAll(ctx, ds)
}

// Await waits for the end of an event's run, see Intake.Await.
func (e *Engine) Await(ctx context.Context, id engine.EventID) (*engine.AwaitResult, error) {
	return e.intake.Await(ctx, id)
}

// Refuse stores a refused delivery. It never returns an error to the caller.
func (e *Engine) Refuse(r engine.Refusal) { e.intake.Refuse(r) }

// Fire starts one workflow by hand. who and why are stored with the event.
func (e *Engine) Fire(ctx context.Context, workflow string, inputs map[string]any, who, why string) (engine.Receipt, error) {
	return e.intake.Fire(ctx, workflow, inputs, who, why)
}

// Poll stores what a poll found. It returns how many events are new.
func (e *Engine) Poll(ctx context.Context, b *engine.PollBatch) (fresh int, err error) {
	return e.intake.Poll(ctx, b)
}

// Fired stores a planned time of a schedule as an event, see Intake.Fired.
func (e *Engine) Fired(ctx context.Context, f engine.Firing) error { return e.intake.Fired(ctx, f) }

// InletState returns the progress of a poll or a schedule.
func (e *Engine) InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error) {
	return e.store.InletState(ctx, trigger, inlet)
}

// Known returns the keys of a trigger that a poll would not treat as new.
func (e *Engine) Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error) {
	return e.store.Known(ctx, trigger, keys)
}

// Leads reports whether this node does work that only one node may do, see NodeStore.Lease.
func (e *Engine) Leads(ctx context.Context, work string) bool {
	return engine.Leads(ctx, e.store, work)
}

// LearnedGap is how long a trigger's webhook may be silent, learned from its history; zero if the
// history is too short.
func (e *Engine) LearnedGap(ctx context.Context, trigger string) (time.Duration, error) {
	return e.store.LearnedGap(ctx, trigger)
}

// LastDelivery is when a trigger's webhook delivered its newest event; zero for never.
func (e *Engine) LastDelivery(ctx context.Context, trigger string) (time.Time, error) {
	return e.store.LastDelivery(ctx, trigger)
}

// Alert reports that a condition holds, see Monitor.Alert.
func (e *Engine) Alert(ctx context.Context, a engine.Alert) { e.alerts.Alert(ctx, a) }

// AlertOver reports that a condition is over.
func (e *Engine) AlertOver(kind, subject string) { e.alerts.AlertOver(kind, subject) }

// OpenAlerts lists the alerts whose condition holds, the newest first.
func (e *Engine) OpenAlerts() []engine.OpenAlert { return e.alerts.OpenAlerts() }

// Cancel cancels a run, executing or stored.
func (e *Engine) Cancel(ctx context.Context, id engine.RunID) error { return e.runner.Cancel(ctx, id) }

// Destinations lists the recently used hosts, by name.
func (e *Engine) Destinations() []destination.State { return e.runner.Destinations() }

// Paused lists the paused endpoints.
func (e *Engine) Paused() []engine.Pause { return e.runner.Paused() }

// Unpause resumes an endpoint or a destination, see Runner.Unpause.
func (e *Engine) Unpause(ctx context.Context, endpoint string) (int, error) {
	return e.runner.Unpause(ctx, endpoint)
}

// HoldConnection makes the steps of a connection wait until ConnectionReady, and reports the reason
// once.
func (e *Engine) HoldConnection(ctx context.Context, name, why string) {
	e.runner.HoldConnection(ctx, name, why)
}

// ConnectionReady resumes the steps of a connection. It returns how many runs waited.
func (e *Engine) ConnectionReady(ctx context.Context, name string) (int, error) {
	return e.runner.ConnectionReady(ctx, name)
}

// arrivals passes the effects of runs to the intake, and answers to Control. The runner is made
// before both.
type arrivals struct{ e *Engine }

// Accepted implements Arrivals.
func (a arrivals) Accepted(d *engine.Delivery, r engine.Receipt) { a.e.intake.Accepted(d, r) }

// Answer implements Arrivals.
func (a arrivals) Answer(ctx context.Context, id engine.RunID, response engine.Response) (plan.Question, error) {
	return a.e.Answer(ctx, id, response)
}

// Arrived implements Arrivals.
func (a arrivals) Arrived(ev *engine.Event) { a.e.intake.Arrived(ev) }

// RunEnded implements Arrivals.
func (a arrivals) RunEnded(of engine.EventID) { a.e.intake.RunEnded(of) }

// SlotFreed implements Arrivals.
func (a arrivals) SlotFreed() { a.e.intake.SlotFreed() }
