// Package alert tracks conditions that people should know of: those reported to it (a run failed, a
// connection needs a person), and those it checks itself (the disk, the age of the backlog, hosts
// that do not answer). A condition is reported once when it begins and once when it is over: to the
// log, to metrics, and to the workflows that listen to hookloom.alerts.
//
// It must not know how events are decided or how runs are executed.
package alert

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// Options are the dependencies of a Monitor.
type Options struct {
	Store    engine.Store
	Registry *registry.Registry
	Redactor *redact.Redactor
	Log      *slog.Logger
	// Accept stores the event that passes an alert to workflows.
	Accept func(ctx context.Context, d *engine.Delivery) (engine.Receipt, error)
	// Destinations lists the recently used hosts.
	Destinations func() []destination.State
	// Every is how often conditions are checked; 15 s by default.
	Every time.Duration
	// Recent visits the newest stored events of a trigger, the newest first, until visit returns
	// false. If it is nil, no events are compared. ShapesEvery is how often they are compared; 10
	// min by default.
	Recent      func(ctx context.Context, trigger string, limit int, visit func(*engine.Event) bool) error
	ShapesEvery time.Duration
	// Disk returns the free and total bytes of the database's disk; nil if unknown.
	Disk func() (free, total int64, err error)
	// RunURL returns the address of a run's page.
	RunURL func(engine.RunID) string
	// Watch receives alerts that open; may be nil.
	Watch engine.Watch
}

// key identifies one condition.
type key struct{ kind, subject string }

// maxAlerts is the largest number of conditions tracked at once: many runs may wait for a person.
const maxAlerts = 10_000

// maxMessage is the largest size in bytes of an alert's message in events.
const maxMessage = 4 << 10

// Monitor tracks conditions. They are reported on the hot path of events, so one goroutine (Run)
// publishes them. Make it with New. Its methods are safe for concurrent use.
type Monitor struct {
	// Immutable after New.

	o Options
	// wake makes Run publish pending reports. It holds at most one signal.
	wake chan struct{}

	mu sync.Mutex

	// Guarded by mu.

	// open are the published conditions; pending are the reports to publish, by condition: nil
	// means that it is over.
	open    map[key]engine.OpenAlert
	pending map[key]*engine.Alert
	// publishing is the condition whose report is being published: it can no longer be withdrawn.
	publishing key
	// own are the conditions that this node has reported last as holding.
	own map[key]bool
	// loaded reports whether open includes the alerts that were open when the last process ended.
	// Until then, reports are only collected.
	loaded bool

	// some counts open and pending, so that the end of a condition costs nothing if none is open.
	// It is atomic.
	some atomic.Int64

	// refusals has its own lock.
	refusals refusalRates
}

// New makes a Monitor.
func New(o Options) *Monitor {
	if o.Every == 0 {
		o.Every = conditionsEvery
	}
	if o.ShapesEvery == 0 {
		o.ShapesEvery = shapesEvery
	}
	return &Monitor{o: o, wake: make(chan struct{}, 1), open: map[key]engine.OpenAlert{}, pending: map[key]*engine.Alert{},
		own: map[key]bool{}}
}

// Alert reports that a condition holds. It is published once, until it is over: to the log, to
// metrics, and to the workflows that listen to hookloom.alerts.
func (m *Monitor) Alert(_ context.Context, a engine.Alert) {
	if a.Subject == "" {
		a.Subject = a.Trigger
	}
	m.report(key{a.Kind, a.Subject}, &a)
}

// endBeforeLoad are the kinds of conditions that may end before the open alerts are loaded.
var endBeforeLoad = []string{engine.AlertReloadFailed, engine.AlertConnectionHeld, engine.AlertSecretsFailing}

// AlertOver reports that a condition is over. It costs nothing if none is open. The conditions that
// end before the open alerts are loaded are always recorded.
func (m *Monitor) AlertOver(kind, subject string) {
	if m.some.Load() > 0 || slices.Contains(endBeforeLoad, kind) {
		m.report(key{kind, subject}, nil)
	}
}

func (m *Monitor) report(k key, a *engine.Alert) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.loaded {
		m.pending[k] = a
		return
	}
	if a == nil && !m.mayEnd(k) {
		return
	}
	m.own[k] = a != nil
	_, open := m.open[k]
	before, waits := m.pending[k]
	holds := open
	if waits {
		holds = before != nil
	}
	switch {
	case holds == (a != nil):
		return
	case waits && open == (a != nil) && m.publishing != k:
		delete(m.pending, k) // it began and ended before it was published
	case len(m.pending)+len(m.open) < maxAlerts || a == nil:
		m.pending[k] = a
	}
	m.some.Store(int64(len(m.open) + len(m.pending)))
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// OpenAlerts lists the open alerts, newest first.
func (m *Monitor) OpenAlerts() []engine.OpenAlert {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]engine.OpenAlert, 0, len(m.open))
	for _, a := range m.open {
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

// Load reads the alerts that were open when the last process ended.
func (m *Monitor) Load(ctx context.Context) error {
	list, err := m.o.Store.OpenAlerts(ctx)
	if err != nil {
		err = fmt.Errorf("reading the open alerts: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range list {
		m.open[key{a.Kind, a.Subject}] = a // not in own: another node may have reported it
	}
	for k, a := range m.pending {
		m.own[k] = m.own[k] || a != nil
		if _, open := m.open[k]; open == (a != nil) || !m.mayEnd(k) {
			delete(m.pending, k) // it is unchanged, or that of another node
		}
	}
	m.loaded = true
	m.wakeUp()
	m.some.Store(int64(len(m.open) + len(m.pending)))
	return err
}

// Run publishes reports until ctx ends, and then the remaining ones. Reports that cannot be stored
// are retried.
func (m *Monitor) Run(ctx context.Context) {
	var follow <-chan time.Time
	if m.o.Store.Shared() {
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		follow = tick.C
	}
	for {
		select {
		case <-follow:
			m.follow(ctx)
			continue
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			m.notifyPending(last)
			return
		case <-m.wake:
		}
		if !m.notifyPending(ctx) {
			select {
			case <-ctx.Done():
			case <-time.After(m.retryAfter()):
			}
			m.wakeUp()
		}
	}
}

func (m *Monitor) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// notifyPending publishes the pending reports; it returns false if some must be retried.
func (m *Monitor) notifyPending(ctx context.Context) bool {
	m.mu.Lock()
	list := make(map[key]*engine.Alert, len(m.pending))
	for k, a := range m.pending {
		list[k] = a
	}
	m.mu.Unlock()
	if len(list) == 0 {
		return true
	}
	if m.o.Store.Shared() {
		if !engine.Leads(ctx, m.o.Store, publishLease) {
			return false
		}
		defer m.endTurn(ctx)
		m.follow(ctx)
	}
	all := true
	for k, a := range list {
		m.mu.Lock()
		m.publishing = k
		m.mu.Unlock()
		var err error
		if a != nil {
			err = m.openAlert(ctx, k, *a)
		} else {
			err = m.closeAlert(ctx, k)
		}
		m.mu.Lock()
		m.publishing = key{}
		m.mu.Unlock()
		if err != nil {
			all = false
			if ctx.Err() == nil {
				m.o.Log.Error("an alert was not passed to workflows; it will be tried again", "kind", k.kind, "subject", k.subject, "error", err)
			}
			continue
		}
		m.mu.Lock()
		if now, still := m.pending[k]; still && (now == nil) == (a == nil) {
			delete(m.pending, k)
		}
		m.some.Store(int64(len(m.open) + len(m.pending)))
		m.mu.Unlock()
	}
	return all
}

func (m *Monitor) openAlert(ctx context.Context, k key, a engine.Alert) error {
	m.mu.Lock()
	_, open := m.open[k]
	m.mu.Unlock()
	if open {
		return nil // another node has reported it
	}
	o := engine.OpenAlert{Kind: a.Kind, Subject: a.Subject, Trigger: a.Trigger, Message: m.o.Redactor.Text(a.Message),
		OpenedAt: time.Now().UTC()}
	if err := m.alertEvent(ctx, o, "open", o.OpenedAt, a.Data); err != nil {
		return err
	}
	if m.ofOneNode(k) { // before the alert is seen: without the lease another node would close it
		if _, err := m.o.Store.Lease(ctx, holdLease(k)); err != nil {
			return err
		}
	}
	if err := m.o.Store.SaveAlert(ctx, o); err != nil {
		return err
	}
	m.mu.Lock()
	m.open[k] = o
	m.mu.Unlock()
	if m.o.Watch != nil {
		m.o.Watch.Alerted(a)
	}
	level := slog.LevelError
	if a.Kind == engine.AlertApprovalWaiting {
		level = slog.LevelWarn // nothing has failed: the workflow asks for it
	}
	m.o.Log.Log(ctx, level, "alert: "+o.Message, "kind", a.Kind, "subject", a.Subject, "trigger", a.Trigger)
	return nil
}

func (m *Monitor) closeAlert(ctx context.Context, k key) error {
	m.mu.Lock()
	o, open := m.open[k]
	m.mu.Unlock()
	if !open { // the node that reported it has closed it since this one took its lease
		return m.endHold(ctx, k)
	}
	now := time.Now().UTC()
	o.Message = fmt.Sprintf("over after %s: %s", now.Sub(o.OpenedAt).Round(time.Second), o.Message)
	if err := m.alertEvent(ctx, o, "closed", now, nil); err != nil {
		return err
	}
	if err := m.o.Store.DropAlert(ctx, o.Kind, o.Subject); err != nil {
		return err
	}
	if err := m.endHold(ctx, k); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.open, k)
	m.mu.Unlock()
	m.o.Log.Info("alert closed: "+o.Message, "kind", o.Kind, "subject", o.Subject, "trigger", o.Trigger)
	return nil
}

// alertEvent passes an alert to the workflows that listen to hookloom.alerts. The key yields one
// event per opening and closing, even after a crash between the event and the record that it was
// published.
func (m *Monitor) alertEvent(ctx context.Context, o engine.OpenAlert, state string, at time.Time, data map[string]any) error {
	p := m.o.Registry.Snapshot()
	if p == nil || len(p.ByTrigger[workflows.AlertsTrigger]) == 0 {
		return nil
	}
	facts := map[string]any{"kind": o.Kind, "subject": o.Subject, "trigger": o.Trigger,
		"message": value.CutText(o.Message, maxMessage), "state": state,
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
	id := fmt.Sprintf("%s/%s/%s/%d", o.Kind, o.Subject, state, o.OpenedAt.UnixMilli())
	_, err = m.o.Accept(ctx, &engine.Delivery{Trigger: workflows.AlertsTrigger, Inlet: "schedule", Key: id, Type: kind, Time: at,
		ReceivedAt: at,
		Headers:    map[string]string{"content-type": "application/json"}, Query: map[string]string{}, Raw: raw, Dedupe: 24 * time.Hour})
	return err
}
