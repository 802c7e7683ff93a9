package machine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// alertKey names one condition.
type alertKey struct{ kind, subject string }

// maxAlerts bounds the conditions that are followed at once: runs that wait for
// a person may be many.
const maxAlerts = 10_000

// alerts follows conditions. What is reported is told by one goroutine, since it is
// reported on the way of events.
type alerts struct {
	mu sync.Mutex
	// open are the conditions that have been told; pending what is to be told next, by
	// condition: nil says that it is over. Guarded by mu.
	open    map[alertKey]engine.OpenAlert
	pending map[alertKey]*engine.Alert
	// loaded tells that open holds what was open when the last process ended. Until
	// then, what is reported is only noted. Guarded by mu.
	loaded bool
	// some counts both, so that a condition's end costs nothing where none is open.
	some atomic.Int64
	wake chan struct{}
}

// Alert reports that a condition holds. It is told once, until it is over: to the
// log, to metrics, and to the workflows that listen to hookloom.alerts.
func (e *Engine) Alert(_ context.Context, a engine.Alert) {
	if a.Subject == "" {
		a.Subject = a.Trigger
	}
	e.alerts.report(alertKey{a.Kind, a.Subject}, &a)
}

// AlertOver reports that a condition is over. It costs nothing where none is open. The
// conditions that end before the open alerts are loaded are always noted.
func (e *Engine) AlertOver(kind, subject string) {
	if e.alerts.some.Load() > 0 || kind == engine.AlertReloadFailed || kind == engine.AlertConnectionHeld {
		e.alerts.report(alertKey{kind, subject}, nil)
	}
}

func (x *alerts) report(k alertKey, a *engine.Alert) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.loaded {
		x.pending[k] = a
		return
	}
	_, open := x.open[k]
	before, waits := x.pending[k]
	holds := open
	if waits {
		holds = before != nil
	}
	switch {
	case holds == (a != nil):
		return
	case waits && open == (a != nil):
		delete(x.pending, k) // it changed and changed back before it was told
	case len(x.pending)+len(x.open) < maxAlerts || a == nil:
		x.pending[k] = a
	}
	x.some.Store(int64(len(x.open) + len(x.pending)))
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// OpenAlerts lists the alerts whose condition holds, the newest first.
func (e *Engine) OpenAlerts() []engine.OpenAlert {
	e.alerts.mu.Lock()
	defer e.alerts.mu.Unlock()
	out := make([]engine.OpenAlert, 0, len(e.alerts.open))
	for _, a := range e.alerts.open {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b engine.OpenAlert) int {
		if c := b.OpenedAt.Compare(a.OpenedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Kind+a.Subject, b.Kind+b.Subject)
	})
	return out
}

// loadAlerts reads the alerts that were open when the last process ended.
func (e *Engine) loadAlerts(ctx context.Context) error {
	list, err := e.o.Store.OpenAlerts(ctx)
	if err != nil {
		err = fmt.Errorf("reading the open alerts: %w", err)
	}
	e.alerts.mu.Lock()
	defer e.alerts.mu.Unlock()
	for _, a := range list {
		e.alerts.open[alertKey{a.Kind, a.Subject}] = a
	}
	for k, a := range e.alerts.pending {
		if _, open := e.alerts.open[k]; open == (a != nil) {
			delete(e.alerts.pending, k) // it is as it was
		}
	}
	e.alerts.loaded = true
	e.alerts.poke()
	e.alerts.some.Store(int64(len(e.alerts.open) + len(e.alerts.pending)))
	return err
}

// tellAlerts tells what was reported until ctx ends, and then what is left. What
// cannot be stored now is told later.
func (e *Engine) tellAlerts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			e.tellPending(last)
			return
		case <-e.alerts.wake:
		}
		if !e.tellPending(ctx) {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
			e.alerts.poke()
		}
	}
}

func (x *alerts) poke() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// tellPending tells what was reported since; false when some of it has to wait.
func (e *Engine) tellPending(ctx context.Context) bool {
	x := &e.alerts
	x.mu.Lock()
	list := make(map[alertKey]*engine.Alert, len(x.pending))
	for k, a := range x.pending {
		list[k] = a
	}
	x.mu.Unlock()
	all := true
	for k, a := range list {
		var err error
		if a != nil {
			err = e.openAlert(ctx, k, *a)
		} else {
			err = e.closeAlert(ctx, k)
		}
		if err != nil {
			all = false
			if ctx.Err() == nil {
				e.o.Log.Error("an alert was not passed to workflows; it will be tried again", "kind", k.kind, "subject", k.subject, "error", err)
			}
			continue
		}
		x.mu.Lock()
		if now, still := x.pending[k]; still && (now == nil) == (a == nil) {
			delete(x.pending, k)
		}
		x.some.Store(int64(len(x.open) + len(x.pending)))
		x.mu.Unlock()
	}
	return all
}

func (e *Engine) openAlert(ctx context.Context, k alertKey, a engine.Alert) error {
	o := engine.OpenAlert{Kind: a.Kind, Subject: a.Subject, Trigger: a.Trigger, Message: e.o.Redactor.Text(a.Message),
		OpenedAt: time.Now().UTC()}
	if err := e.alertEvent(ctx, o, "open", o.OpenedAt, a.Data); err != nil {
		return err
	}
	if err := e.o.Store.SaveAlert(ctx, o); err != nil {
		return err
	}
	e.alerts.mu.Lock()
	e.alerts.open[k] = o
	e.alerts.mu.Unlock()
	if e.o.Watch != nil {
		e.o.Watch.Alerted(a)
	}
	e.o.Log.Error("alert: "+o.Message, "kind", a.Kind, "subject", a.Subject, "trigger", a.Trigger)
	return nil
}

func (e *Engine) closeAlert(ctx context.Context, k alertKey) error {
	e.alerts.mu.Lock()
	o, open := e.alerts.open[k]
	e.alerts.mu.Unlock()
	if !open {
		return nil
	}
	now := time.Now().UTC()
	o.Message = fmt.Sprintf("over after %s: %s", now.Sub(o.OpenedAt).Round(time.Second), o.Message)
	if err := e.alertEvent(ctx, o, "closed", now, nil); err != nil {
		return err
	}
	if err := e.o.Store.DropAlert(ctx, o.Kind, o.Subject); err != nil {
		return err
	}
	e.alerts.mu.Lock()
	delete(e.alerts.open, k)
	e.alerts.mu.Unlock()
	e.o.Log.Info("alert closed: "+o.Message, "kind", o.Kind, "subject", o.Subject, "trigger", o.Trigger)
	return nil
}

// alertEvent hands an alert to the workflows that listen to hookloom.alerts. The
// key makes one event of each opening and closing, also when a crash came between
// the event and the note that it was told.
func (e *Engine) alertEvent(ctx context.Context, o engine.OpenAlert, state string, at time.Time, data map[string]any) error {
	p := e.reg.Snapshot()
	if p == nil || len(p.ByTrigger[workflows.AlertsTrigger]) == 0 {
		return nil
	}
	facts := map[string]any{"kind": o.Kind, "subject": o.Subject, "trigger": o.Trigger,
		"message": value.CutText(o.Message, maxLogged), "state": state,
		"at": at.Format(time.RFC3339), "opened_at": o.OpenedAt.Format(time.RFC3339)}
	for k, v := range data {
		if _, taken := facts[k]; !taken {
			facts[k] = v
		}
	}
	raw, err := value.EncodeJSON(facts)
	if err != nil {
		return err
	}
	kind := "alert." + o.Kind
	if state == "closed" {
		kind += ".closed"
	}
	key := fmt.Sprintf("%s/%s/%s/%d", o.Kind, o.Subject, state, o.OpenedAt.UnixMilli())
	_, err = e.Accept(ctx, &engine.Delivery{Trigger: workflows.AlertsTrigger, Inlet: "schedule", Key: key, Type: kind, Time: at,
		ReceivedAt: at,
		Headers:    map[string]string{"content-type": "application/json"}, Query: map[string]string{}, Raw: raw, Dedupe: 24 * time.Hour})
	return err
}

// LearnedGap is how long a trigger's webhook may be quiet, going by its history; zero when
// there is too little of it.
func (e *Engine) LearnedGap(ctx context.Context, trigger string) (time.Duration, error) {
	return e.o.Store.LearnedGap(ctx, trigger)
}

// LastDelivery is when a trigger's webhook brought its newest event; zero for never.
func (e *Engine) LastDelivery(ctx context.Context, trigger string) (time.Time, error) {
	return e.o.Store.LastDelivery(ctx, trigger)
}
