// Package telemetry provides metrics (Prometheus) and, if configured by OTEL_*, exports them and
// traces (OpenTelemetry). The engine and the triggers report events to it, and it reads the current
// state from the history of the store.
//
// It must not know SQL, HTTP routes of the console, triggers or actions. No label may come from a
// payload, or senders could create any number of series.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/workflows"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Log provides the values of gauges. The store's History implements it.
type Log interface {
	CurrentState(context.Context) (engine.CurrentState, error)
	InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error)
	TriggerStats(ctx context.Context, trigger string, since time.Time) (engine.TriggerStats, error)
	LearnedGap(ctx context.Context, trigger string) (time.Duration, error)
	Sightings(ctx context.Context, trigger string, since time.Time) (engine.Sightings, error)
}

// Options configure Telemetry.
type Options struct {
	Version string
	Log     Log
	Logger  *slog.Logger
	Project func() *workflows.Project
	// Destinations returns the hosts that steps call.
	Destinations func() []destination.State
	// State returns which of the project's files are in use; nil for all.
	State func() *engine.ProjectState
	// Alerts returns the active alerts; nil for none.
	Alerts func() []engine.OpenAlert
	// Began is when deliveries could first arrive; now by default.
	Began time.Time
}

// Telemetry implements engine.Watch.
type Telemetry struct {
	o       Options
	handler http.Handler
	gather  prometheus.Gatherer
	tracer  *tracer
	pusher  *pusher

	deliveries, events, duplicates *prometheus.CounterVec
	decisions, runs, attempts      *prometheus.CounterVec
	polls, pollRequests, pollBytes *prometheus.CounterVec
	pollEvents, recovered, alerts  *prometheus.CounterVec
	reloads                        *prometheus.CounterVec
	ack, run, step, destination    *prometheus.HistogramVec
	worked                         *prometheus.HistogramVec
	hosts                          *hosts
	standing                       *standing
	acks                           acks
	answered                       sync.Map
	// metrics are the counters and histograms above.
	metrics []Metric
	// Unusual ways in which events were identified.
	byContent, repeatedBody, conflicting *prometheus.CounterVec
}

// buckets are in seconds: responses take a millisecond, runs up to hours.
var (
	ackBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	runBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400}
)

// New creates the metrics, and the tracer if OTEL_* configures one.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	t := &Telemetry{o: o}
	reg := prometheus.NewRegistry()
	counter := func(into **prometheus.CounterVec, name, help string, labels ...string) {
		*into = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookloom_" + name, Help: help}, labels)
		t.metrics = append(t.metrics, Metric{"hookloom_" + name, "counter", help, labels})
		reg.MustRegister(*into)
	}
	histogram := func(into **prometheus.HistogramVec, name, help string, buckets []float64, labels ...string) {
		*into = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hookloom_" + name, Help: help, Buckets: buckets}, labels)
		t.metrics = append(t.metrics, Metric{"hookloom_" + name, "histogram", help, labels})
		reg.MustRegister(*into)
	}
	counter(&t.deliveries, "deliveries_total", "Webhook deliveries by how they were answered; unknown paths have no trigger.",
		"trigger", "outcome")
	counter(&t.events, "events_total", "Events stored.", "trigger", "inlet")
	counter(&t.duplicates, "duplicates_total", "Deliveries of known events.", "trigger", "inlet")
	counter(&t.byContent, "events_by_content_total", "Events without an id, identified by their content.", "trigger")
	counter(&t.repeatedBody, "repeated_body_total", "Events whose body is that of an earlier one under another, unsigned id.", "trigger")
	counter(&t.conflicting, "conflicting_deliveries_total", "Deliveries of known events with another body or type.", "trigger")
	counter(&t.decisions, "decisions_total", "Decisions of workflows about events.", "workflow", "outcome")
	counter(&t.runs, "runs_total", "Runs that ended.", "workflow", "status")
	counter(&t.attempts, "attempts_total", "Attempts of steps that ended.", "workflow", "action", "status")
	counter(&t.polls, "polls_total", "Polls by result.", "trigger", "inlet", "outcome")
	counter(&t.pollRequests, "poll_requests_total", "Requests that polls made.", "trigger", "inlet")
	counter(&t.pollBytes, "poll_bytes_total", "Bytes that polls received.", "trigger", "inlet")
	counter(&t.pollEvents, "poll_events_total", "New events that polls found.", "trigger", "inlet")
	counter(&t.recovered, "recovered_total", "Events whose webhook never arrived and that polling found.", "trigger")
	counter(&t.alerts, "alerts_total", "Alerts by kind.", "trigger", "kind")
	counter(&t.reloads, "reloads_total", "Reloads of the project by result: ok, or failed when not all files are in effect.", "result")
	for _, result := range []string{"ok", "failed"} {
		t.reloads.WithLabelValues(result)
	}
	histogram(&t.ack, "ack_seconds", "Time from a delivery's arrival to its response.", ackBuckets, "trigger")
	histogram(&t.run, "run_seconds", "Time from a run's start to its end.", runBuckets, "workflow")
	histogram(&t.worked, "run_working_seconds", "Working time of runs that ended; the rest of run_seconds is waiting.", runBuckets,
		"workflow")
	histogram(&t.step, "step_seconds", "Duration of attempts of steps.", runBuckets, "workflow", "action")
	histogram(&t.destination, "destination_seconds", "Duration of attempts by the host they went to: those of the project's files, the "+
		"busiest 100 of others, the rest as other.", runBuckets, "destination", "status")
	t.hosts = newHosts(o.Project, func(d string) { t.destination.DeletePartialMatch(prometheus.Labels{"destination": d}) })
	t.standing = newStanding(o, t.hosts)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), t.standing)
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "hookloom_build_info", Help: buildHelp,
		ConstLabels: prometheus.Labels{"version": o.Version}})
	build.Set(1)
	reg.MustRegister(build)
	t.gather = reg
	t.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second,
		ErrorHandling: promhttp.ContinueOnError})
	var err error
	if t.tracer, err = newTracer(ctx, o.Version, o.Logger); err != nil {
		return nil, err
	}
	t.pusher, err = newPusher(ctx, o.Version, reg, o.Logger)
	return t, err
}

// Handler serves /metrics.
func (t *Telemetry) Handler() http.Handler { return t.handler }

// Close sends the pending traces, and the last values of the metrics.
func (t *Telemetry) Close(ctx context.Context) error {
	return errors.Join(t.tracer.close(ctx), t.pusher.close(ctx))
}

// Traces implements engine.Watch.
func (t *Telemetry) Traces() bool { return t.tracer != nil }

// Served returns the function that writes the spans of requests to the hooks address; nil if traces
// are off.
func (t *Telemetry) Served() func(engine.ServedRequest) {
	if t.tracer == nil {
		return nil
	}
	return t.tracer.served
}

// action returns an action of the current project; nil if there is none, or traces are off.
func (t *Telemetry) action(name string) *workflows.ActionSpec {
	if t.tracer == nil {
		return nil
	}
	if p := t.o.Project(); p != nil {
		return p.Actions.Get(name)
	}
	return nil
}

// Answered records the response to a delivery.
func (t *Telemetry) Answered(trigger, outcome string, took time.Duration) {
	// The series are looked up once, since this runs for every delivery.
	type key struct{ trigger, outcome string }
	type found struct {
		count prometheus.Counter
		ack   prometheus.Observer
	}
	x, ok := t.answered.Load(key{trigger, outcome})
	if !ok {
		x, _ = t.answered.LoadOrStore(key{trigger, outcome}, found{t.deliveries.WithLabelValues(trigger, outcome),
			t.ack.WithLabelValues(trigger)})
	}
	f := x.(found)
	f.count.Inc()
	f.ack.Observe(took.Seconds())
	if outcome == "accepted" || outcome == "duplicate" {
		t.acks.add(took)
	}
}

// Stored implements engine.Watch.
func (t *Telemetry) Stored(d *engine.Delivery, r engine.Receipt) {
	if r.Duplicate {
		t.duplicates.WithLabelValues(d.Trigger, string(d.Inlet)).Inc()
	} else {
		t.events.WithLabelValues(d.Trigger, string(d.Inlet)).Inc()
	}
	switch {
	case r.Conflict:
		t.conflicting.WithLabelValues(d.Trigger).Inc()
	case r.RepeatsBodyOf != 0:
		t.repeatedBody.WithLabelValues(d.Trigger).Inc()
	case !r.Duplicate && d.Identity == engine.ByContent:
		t.byContent.WithLabelValues(d.Trigger).Inc()
	}
	if d.Recovered && !r.Duplicate {
		t.recovered.WithLabelValues(d.Trigger).Inc()
	}
	t.tracer.stored(d, r)
}

// Changed implements engine.Watch.
func (t *Telemetry) Changed(c engine.Change) {
	if d := c.Decision; d != nil {
		t.decisions.WithLabelValues(d.Workflow, string(d.Outcome)).Inc()
		return
	}
	for _, s := range c.Steps {
		if s.Status == "running" || s.Status == "waiting" {
			continue
		}
		t.attempts.WithLabelValues(c.Run.Workflow, s.Action, s.Status).Inc()
		t.step.WithLabelValues(c.Run.Workflow, s.Action).Observe(s.Took.Seconds())
		if s.Destination != "" {
			t.destination.WithLabelValues(t.hosts.used(s.Destination), s.Status).Observe(s.Took.Seconds())
		}
		t.tracer.attempt(c, s, t.action(s.Action))
	}
	if c.Run.Status.Ended() {
		t.runs.WithLabelValues(c.Run.Workflow, string(c.Run.Status)).Inc()
		t.run.WithLabelValues(c.Run.Workflow).Observe(c.Run.FinishedAt.Sub(c.Run.CreatedAt).Seconds())
		t.worked.WithLabelValues(c.Run.Workflow).Observe(c.Run.Active.Seconds())
		t.tracer.ended(c)
	}
}

// Alerted implements engine.Watch.
func (t *Telemetry) Alerted(a engine.Alert) { t.alerts.WithLabelValues(a.Trigger, a.Kind).Inc() }

// Use creates the error series of a project's workflows and triggers with value zero: an alert rule
// on an increase does not see the first failure of a series that starts with it.
func (t *Telemetry) Use(p *workflows.Project) {
	for id := range p.Workflows {
		for _, status := range []engine.RunStatus{engine.Succeeded, engine.Failed, engine.TimedOut} {
			t.runs.WithLabelValues(id, string(status))
		}
		t.decisions.WithLabelValues(id, string(engine.RuleFailed))
	}
	for name, trigger := range p.Triggers {
		t.recovered.WithLabelValues(name)
		if trigger.Webhook != nil {
			for _, outcome := range []string{"accepted", "refused", "unavailable"} {
				t.deliveries.WithLabelValues(name, outcome)
			}
		}
	}
}

// Reloaded records the result of a reload: ok or failed.
func (t *Telemetry) Reloaded(result string) { t.reloads.WithLabelValues(result).Inc() }

// Polled implements engine.Watch.
func (t *Telemetry) Polled(b *engine.PollBatch, fresh int) {
	t.polls.WithLabelValues(b.Trigger, b.Inlet, b.Cost.Outcome).Inc()
	t.pollRequests.WithLabelValues(b.Trigger, b.Inlet).Add(float64(b.Cost.Requests))
	t.pollBytes.WithLabelValues(b.Trigger, b.Inlet).Add(float64(b.Cost.Bytes))
	t.pollEvents.WithLabelValues(b.Trigger, b.Inlet).Add(float64(fresh))
}

// Acks returns the response times of the last deliveries; nil for none.
func (t *Telemetry) Acks() *engine.Delays { return t.acks.get() }

// acks are the last response times.
type acks struct {
	next atomic.Uint64
	last [4096]atomic.Int64
}

func (a *acks) add(d time.Duration) {
	a.last[a.next.Add(1)%uint64(len(a.last))].Store(max(1, int64(d)))
}

func (a *acks) get() *engine.Delays {
	var list []time.Duration
	for i := range a.last {
		if d := a.last[i].Load(); d > 0 {
			list = append(list, time.Duration(d))
		}
	}
	return engine.DelaysOf(list)
}

// standing collects the current state at each scrape. Comparisons are expensive and are computed
// once a minute.
type standing struct {
	o     Options
	hosts *hosts
	mu    sync.Mutex
	// compared are the cached comparisons, by trigger.
	compared map[string]engine.Comparison
	at       time.Time
	// began is when the process began to listen: nothing could arrive before.
	began time.Time
}

func newStanding(o Options, h *hosts) *standing {
	return &standing{o: o, hosts: h, compared: map[string]engine.Comparison{}, began: cmp.Or(o.Began, time.Now())}
}

// Describe implements prometheus.Collector. It sends nothing, which makes the collector unchecked,
// since the series depend on the project.
func (s *standing) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *standing) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	set := func(d *gauge, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d.desc, prometheus.GaugeValue, v, labels...)
	}
	if x, err := s.o.Log.CurrentState(ctx); err == nil {
		for kind, n := range map[string]int{"inbox": x.Inbox, "queued": x.Queued, "waiting": x.Waiting, "at_work": x.AtWork} {
			set(backlogDesc, float64(n), kind)
		}
		for kind, at := range map[string]*time.Time{"inbox": x.OldestEvent, "due": x.OldestRun} {
			age := 0.0
			if at != nil {
				age = max(0, time.Since(*at).Seconds())
			}
			set(oldestDesc, age, kind)
		}
		set(peopleDesc, float64(x.NeedPeople))
		set(deadDesc, float64(x.DeadLetters))
		set(ruleFailedDesc, float64(x.RuleFailures))
		set(bytesDesc, float64(x.DatabaseBytes), "database")
		if x.HasWAL {
			set(bytesDesc, float64(x.WALBytes), "wal")
		}
	}
	s.destinations(set)
	if s.o.Alerts != nil {
		open := map[string]int{}
		for _, k := range engine.AlertKinds() {
			open[k.Kind] = 0
		}
		for _, a := range s.o.Alerts() {
			open[a.Kind]++
		}
		for kind, n := range open {
			set(alertsDesc, float64(n), kind)
		}
	}
	if s.o.State != nil {
		set(brokenFilesDesc, float64(s.o.State().BrokenFiles()))
	}
	p := s.o.Project()
	if p == nil {
		return
	}
	for name, t := range p.Triggers {
		s.trigger(ctx, name, t, set)
	}
	s.comparisons(ctx, p, set)
}

// destinations reports the hosts that steps call. The receivers of a shared host are added up, and
// so are the hosts without their own label.
func (s *standing) destinations(set func(*gauge, float64, ...string)) {
	type sums struct{ open, use, wait float64 }
	byLabel := map[string]sums{}
	for _, d := range s.o.Destinations() {
		host := d.Host
		if host == "" {
			host = d.Name
		}
		label := s.hosts.label(host)
		x := byLabel[label]
		if d.Down() {
			x.open = 1
		}
		x.use, x.wait = x.use+float64(d.InUse), x.wait+float64(d.Waiting)
		byLabel[label] = x
	}
	for label, x := range byLabel {
		set(openDesc, x.open, label)
		set(useDesc, x.use, label)
		set(waitDesc, x.wait, label)
	}
}

func (s *standing) trigger(ctx context.Context, name string, t *workflows.Trigger, set func(*gauge, float64, ...string)) {
	now := time.Now()
	if x, err := s.o.Log.TriggerStats(ctx, name, now); err == nil {
		if x.LastAt != nil {
			set(lastDesc, float64(x.LastAt.UnixMilli())/1000, name)
		}
		if within := s.within(ctx, name, t); within > 0 {
			silent, since := 0.0, s.began
			if x.LastAt != nil && x.LastAt.After(since) {
				since = *x.LastAt
			}
			if now.Sub(since) > within {
				silent = 1
			}
			set(silentDesc, silent, name)
		}
	}
	for _, inlet := range t.Polled() {
		if st, err := s.o.Log.InletState(ctx, name, inlet); err == nil {
			set(failuresDesc, float64(st.Failures), name, inlet)
			if !st.OKAt.IsZero() {
				set(okDesc, float64(st.OKAt.UnixMilli())/1000, name, inlet)
			}
		}
	}
}

// within returns how long a trigger may receive nothing; zero for no limit, or if it has not been
// learned yet.
func (s *standing) within(ctx context.Context, name string, t *workflows.Trigger) time.Duration {
	switch {
	case t.Webhook == nil:
		return 0
	case t.Webhook.Expect == workflows.Learned:
		d, err := s.o.Log.LearnedGap(ctx, name)
		if err != nil {
			return 0
		}
		return d
	}
	return t.Webhook.Expect
}

// comparisons reports the triggers with more than one inlet.
func (s *standing) comparisons(ctx context.Context, p *workflows.Project, set func(*gauge, float64, ...string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.at) > compareInterval {
		s.at, s.compared = now, map[string]engine.Comparison{}
		since := now.Add(-24 * time.Hour)
		for name, t := range p.Triggers {
			if len(t.Polled()) == 0 {
				continue
			}
			if seen, err := s.o.Log.Sightings(ctx, name, since); err == nil {
				s.compared[name] = engine.Compare(name, since, now, seen)
			}
		}
	}
	names := make([]string, 0, len(s.compared))
	for name := range s.compared {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := s.compared[name]
		set(compareDesc, float64(c.WebhookOnly), name, "webhook_only")
		set(compareDesc, float64(c.PollOnly), name, "poll_only")
		set(compareDesc, float64(c.Both), name, "both")
		set(perEventDesc, c.RequestsPerFind, name)
		for inlet, d := range map[string]*engine.Delays{"webhook": c.WebhookDelay, "poll": c.PollDelay} {
			if d == nil {
				continue
			}
			for q, v := range map[float64]float64{0.5: d.P50, 0.95: d.P95, 0.99: d.P99} {
				set(delayDesc, v, name, inlet, strconv.FormatFloat(q, 'g', -1, 64))
			}
		}
	}
}
