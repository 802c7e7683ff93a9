package machine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// orders is the machine as Control sees it.
type orders struct{ e *Engine }

// Working implements Machine.
func (o orders) Working() <-chan struct{} { return o.e.working }

// Accept implements Machine.
func (o orders) Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error) {
	return o.e.Accept(ctx, d)
}

// AwaitShare implements Machine.
func (o orders) AwaitShare(ctx context.Context, ev *engine.Event) (*engine.Event, error) {
	return o.e.awaitShare(ctx, ev)
}

// EvaluateQueued implements Machine.
func (o orders) EvaluateQueued(l engine.Listener, ev *engine.Event, names map[string]any, unreadable error,
	alone bool) (engine.Decision, *engine.RunUpdate) {
	return o.e.evaluateQueued(l, ev, names, unreadable, alone)
}

// Decided implements Machine.
func (o orders) Decided(ev *engine.Event, d *engine.Decision) {
	mask := o.e.reg.MaskOf(ev)
	o.e.report(engine.Change{Event: ev, Decision: d, Mask: mask})
	if d.Outcome == engine.RuleFailed {
		o.e.ruleFailed(ev, d, mask)
	}
}

// Answered implements Machine.
func (o orders) Answered(id engine.RunID, at time.Time) {
	o.e.dueAt(at)
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	if ex := o.e.atWork[id]; ex != nil {
		ex.notify()
	}
}

// DueAt implements Machine.
func (o orders) DueAt(t time.Time) { o.e.dueAt(t) }

// GatherDue implements Machine.
func (o orders) GatherDue(t time.Time) { o.e.gatherDue(t) }

// ReplayAt implements Machine.
func (o orders) ReplayAt(now time.Time) time.Time { return o.e.replayAt(now) }
