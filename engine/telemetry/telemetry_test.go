package telemetry

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/workflows"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func fresh(t *testing.T) *Telemetry {
	t.Helper()
	return over(t, filepath.Join(t.TempDir(), "x.db"))
}

// over is fresh over a database.
func over(t *testing.T, database string) *Telemetry {
	t.Helper()
	s, err := store.Open(t.Context(), database, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p := &workflows.Project{Triggers: map[string]*workflows.Trigger{"shop": {Name: "shop", Webhook: &workflows.Webhook{Expect: time.Hour},
		Poll: &workflows.Poll{}}}}
	m, err := New(t.Context(), Options{Version: "v1", Log: s.History(), Logger: slog.New(slog.DiscardHandler),
		Project: func() *workflows.Project { return p },
		Destinations: func() []destination.State {
			return []destination.State{{Name: "https://crm", Circuit: "open", Waiting: 3}}
		},
		State:  func() *engine.ProjectState { return nil },
		Alerts: func() []engine.OpenAlert { return []engine.OpenAlert{{Kind: engine.AlertDiskLow}} },
		Began:  time.Now().Add(-2 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ended(at time.Time) engine.Change {
	return engine.Change{Event: &engine.Event{ID: 7, Delivery: engine.Delivery{Trigger: "shop"}},
		Run: &engine.Run{ID: 8, Event: 7, Workflow: "pay", Status: engine.Failed, CreatedAt: at, FinishedAt: at.Add(2 * time.Second),
			Error: &plan.Error{Code: "http_status", Message: "secret stuff"}},
		Steps: []engine.StepChange{{Path: "charge", Action: "http/post", Status: "failed", Attempt: 2, StartedAt: at, Took: time.Second,
			Destination: "https://crm", Error: "answered 500"},
			{Path: "next", Action: "http/post", Status: "running"}}}
}

// TestPostgreSQLHasNoLogSizeMetric: it is that of the whole server.
func TestPostgreSQLHasNoLogSizeMetric(t *testing.T) {
	m := over(t, postgrestest.Shared(t).Database(t))
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	if !strings.Contains(text, `hookloom_database_bytes{file="database"}`) || strings.Contains(text, `{file="wal"}`) {
		t.Error(text)
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	m := fresh(t)
	m.Answered("shop", "accepted", 3*time.Millisecond)
	m.Answered("", "unknown", time.Millisecond)
	m.Stored(&engine.Delivery{Trigger: "shop", Inlet: "poll", Recovered: true}, engine.Receipt{Event: 7})
	m.Stored(&engine.Delivery{Trigger: "shop", Inlet: "webhook"}, engine.Receipt{Event: 7, Duplicate: true})
	m.Changed(engine.Change{Decision: &engine.Decision{Workflow: "pay", Outcome: engine.Skipped}})
	m.Changed(ended(time.Now()))
	m.Alerted(engine.Alert{Kind: "silence", Trigger: "shop"})
	m.Polled(&engine.PollBatch{Trigger: "shop", Inlet: "poll", Cost: engine.PollCost{Requests: 3, Bytes: 500, Outcome: "ok"}}, 2)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`hookloom_deliveries_total{outcome="accepted",trigger="shop"} 1`, `hookloom_deliveries_total{outcome="unknown",trigger=""} 1`,
		`hookloom_ack_seconds_bucket{trigger="shop",le="0.005"} 1`,
		`hookloom_events_total{inlet="poll",trigger="shop"} 1`, `hookloom_duplicates_total{inlet="webhook",trigger="shop"} 1`,
		`hookloom_recovered_total{trigger="shop"} 1`,
		`hookloom_decisions_total{outcome="skipped",workflow="pay"} 1`, `hookloom_runs_total{status="failed",workflow="pay"} 1`,
		`hookloom_run_seconds_sum{workflow="pay"} 2`,
		`hookloom_attempts_total{action="http/post",status="failed",workflow="pay"} 1`,
		`hookloom_destination_seconds_count{destination="https://crm",status="failed"} 1`,
		`hookloom_alerts_total{kind="silence",trigger="shop"} 1`, `hookloom_poll_requests_total{inlet="poll",trigger="shop"} 3`,
		`hookloom_poll_bytes_total{inlet="poll",trigger="shop"} 500`, `hookloom_poll_events_total{inlet="poll",trigger="shop"} 2`,
		`hookloom_destination_open{destination="https://crm"} 1`, `hookloom_backlog{kind="inbox"} 0`,
		`hookloom_trigger_silent{trigger="shop"} 1`, `hookloom_alerts_open{kind="disk_low"} 1`, `hookloom_alerts_open{kind="silence"} 0`,
		`hookloom_project_broken_files 0`, `hookloom_compare_events{seen="both",trigger="shop"} 0`,
		`hookloom_inlet_failures{inlet="poll",trigger="shop"} 0`, `hookloom_database_bytes{file="database"}`,
		`hookloom_database_bytes{file="wal"}`,
		`hookloom_build_info{version="v1"} 1`, `go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "secret stuff") || w.Code != 200 {
		t.Errorf("%d %s", w.Code, text)
	}
	if a := m.Acks(); a == nil || a.Count != 1 || a.Max != 0.003 {
		t.Errorf("%+v", a)
	}
}

// TestOneTraceSpansFromTheDeliveryToTheLastStep checks that the parts belong to one trace even if
// they are reported at different times by different processes.
func TestOneTraceSpansFromTheDeliveryToTheLastStep(t *testing.T) {
	const sender = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, headers := range map[string]map[string]string{"a sender with a trace": {"traceparent": sender}, "a sender without": {},
		"a trace that cannot be read": {"traceparent": "00-zz"}} {
		kept := tracetest.NewInMemoryExporter()
		first := &Telemetry{tracer: made(sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithIDGenerator(ids{})))}
		at := time.Now()
		c := ended(at)
		c.Event.Headers = headers
		first.tracer.stored(&engine.Delivery{Trigger: "shop", Inlet: "webhook", Headers: headers, ReceivedAt: at}, engine.Receipt{Event: 7})
		first.Served()(engine.ServedRequest{Trigger: "shop", Method: "POST", Route: "/hooks/shop", Path: "/hooks/shop",
			URL: "https://hooks.example.com/hooks/shop?token=abc", Status: 202, Headers: headers, Events: []engine.EventID{7}, ReceivedAt: at})
		second := made(sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithIDGenerator(ids{}))) // after a restart
		second.attempt(c, c.Steps[0], nil)
		second.ended(c)
		spans := kept.GetSpans()
		if len(spans) != 4 {
			t.Fatalf("%s: %d spans", name, len(spans))
		}
		delivery, request, attempt, run := spans[0], spans[1], spans[2], spans[3]
		for _, s := range spans {
			if s.SpanContext.TraceID() != delivery.SpanContext.TraceID() {
				t.Errorf("%s: %s is of another trace", name, s.Name)
			}
		}
		if attempt.Parent.SpanID() != run.SpanContext.SpanID() || run.Parent.SpanID() != delivery.SpanContext.SpanID() ||
			delivery.Parent.SpanID() != request.SpanContext.SpanID() {
			t.Errorf("%s: %v is under %v, %v under %v", name, attempt.Name, attempt.Parent, run.Name, run.Parent)
		}
		if name == "a sender with a trace" && (delivery.SpanContext.TraceID().String() != sender[3:35] ||
			request.Parent.SpanID().String() != sender[36:52]) {
			t.Errorf("the sender's trace is not taken up: %v under %v", request.SpanContext, request.Parent)
		}
		span := attempt.SpanContext.SpanID()
		if header := engine.TraceOf(7, headers).Header(engine.AttemptSpan(8, "charge", 2)); !strings.Contains(header,
			hex.EncodeToString(span[:])) || !strings.Contains(header, delivery.SpanContext.TraceID().String()) {
			t.Errorf("%s: the attempt carries %s", name, header)
		}
		if attempt.StartTime.Sub(at) != 0 || attempt.EndTime.Sub(at) != time.Second {
			t.Errorf("%s: an attempt from %v to %v", name, attempt.StartTime, attempt.EndTime)
		}
	}
}

// attributes are those of the last span, as text.
func attributes(kept *tracetest.InMemoryExporter) (span tracetest.SpanStub, attrs map[string]string) {
	spans := kept.GetSpans()
	span, attrs = spans[len(spans)-1], map[string]string{}
	for _, a := range span.Attributes {
		attrs[string(a.Key)] = a.Value.String()
	}
	return span, attrs
}

// TestSpansFollowTheConventionsForHTTP checks the attributes that the stable conventions require:
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
func TestSpansFollowTheConventionsForHTTP(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	m := made(sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithIDGenerator(ids{})))
	served := engine.ServedRequest{Trigger: "shop", Method: "POST", Route: "/hooks/shop", Path: "/hooks/shop/***",
		URL: "http://hooks.example.com:8080/hooks/shop/abc?token=abc", Status: 202, Events: []engine.EventID{7}, ReceivedAt: time.Now()}
	want := map[string]string{"http.request.method": "POST", "http.route": "/hooks/shop", "url.path": "/hooks/shop/***",
		"url.scheme": "http", "server.address": "hooks.example.com", "server.port": "8080", "http.response.status_code": "202",
		"hookloom.trigger": "shop"}
	m.served(served)
	span, got := attributes(kept)
	if span.Name != "POST /hooks/shop" || span.SpanKind != trace.SpanKindServer || span.Status.Code != codes.Unset || !maps.Equal(got, want) {
		t.Errorf("%s %v %v %v", span.Name, span.SpanKind, span.Status, got)
	}
	served.Status, served.URL = 500, "https://hooks.example.com/hooks/shop"
	m.served(served)
	if span, got = attributes(kept); span.Status.Code != codes.Error || got["error.type"] != "500" || got["server.port"] != "443" {
		t.Errorf("%v %v", span.Status, got)
	}
	own := &workflows.ActionSpec{Action: &workflows.ConnectorAction{Method: "PATCH"}}
	for name, c := range map[string]struct {
		step engine.StepChange
		spec *workflows.ActionSpec
		kind trace.SpanKind
		want map[string]string
	}{
		"a response": {engine.StepChange{Action: "http/get", Destination: "https://crm.example.com:8443", HTTPStatus: 200}, nil,
			trace.SpanKindClient, map[string]string{"http.request.method": "GET", "server.address": "crm.example.com", "server.port": "8443",
				"url.scheme": "https", "http.response.status_code": "200", "error.type": ""}},
		"an error status": {engine.StepChange{Action: "crm/update", Destination: "https://crm.example.com", HTTPStatus: 503,
			Code: "http_status", Error: "answered 503"}, own, trace.SpanKindClient, map[string]string{"http.request.method": "PATCH",
			"server.port": "443", "http.response.status_code": "503", "error.type": "503"}},
		"no response": {engine.StepChange{Action: "http/request", Method: "PUT", Destination: "http://10.1.2.3", Code: "timeout", Error: "x"},
			nil, trace.SpanKindClient, map[string]string{"http.request.method": "PUT", "server.address": "10.1.2.3", "server.port": "80",
				"http.response.status_code": "", "error.type": "timeout"}},
		"mail": {engine.StepChange{Action: "email/send", Destination: "smtp://mail.example.com:587"}, nil, trace.SpanKindClient,
			map[string]string{"server.address": "mail.example.com", "server.port": "587", "http.request.method": "", "url.scheme": ""}},
		"no request": {engine.StepChange{Action: "log", Code: "expression", Error: "x"}, nil, trace.SpanKindInternal,
			map[string]string{"server.address": "", "error.type": "expression"}},
	} {
		m.attempt(ended(time.Now()), c.step, c.spec)
		span, got := attributes(kept)
		if span.SpanKind != c.kind {
			t.Errorf("%s: %v", name, span.SpanKind)
		}
		for key, v := range c.want {
			if got[key] != v {
				t.Errorf("%s: %s is %q, want %q", name, key, got[key], v)
			}
		}
	}
}

func TestUnsampledSenderIsNotTraced(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	m := made(sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithIDGenerator(ids{})))
	c := ended(time.Now())
	c.Event.Headers = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
	m.attempt(c, c.Steps[0], nil)
	m.ended(c)
	ratio := made(sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithIDGenerator(ids{}),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(0)))))
	ratio.ended(ended(time.Now()))
	if n := len(kept.GetSpans()); n != 0 {
		t.Errorf("%d spans are sent", n)
	}
}

func TestTracesAreSentToTheConfiguredCollector(t *testing.T) {
	got := make(chan *http.Request, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case got <- r:
		default:
		}
	}))
	defer collector.Close()
	if m := fresh(t); m.Traces() {
		t.Error("traces are made though nobody asked")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	m := fresh(t)
	if !m.Traces() {
		t.Fatal("no traces are made")
	}
	m.Changed(ended(time.Now()))
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.URL.Path != "/v1/traces" || r.ContentLength == 0 {
		t.Errorf("%s %d", r.URL, r.ContentLength)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if _, err := newTracer(t.Context(), "v1", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("a protocol that is not spoken: %v", err)
	}
}

// TestDashboardAndAlertsUseExistingMetrics also checks that the metrics follow promlint's
// conventions.
func TestDashboardAndAlertsUseExistingMetrics(t *testing.T) {
	m := fresh(t)
	m.Answered("shop", "accepted", time.Millisecond)
	m.Stored(&engine.Delivery{Trigger: "shop", Inlet: "poll", Recovered: true}, engine.Receipt{Event: 7})
	m.Changed(engine.Change{Decision: &engine.Decision{Workflow: "pay", Outcome: engine.Skipped}})
	m.Changed(ended(time.Now()))
	m.Alerted(engine.Alert{Kind: "silence", Trigger: "shop"})
	m.Polled(&engine.PollBatch{Trigger: "shop", Inlet: "poll", Cost: engine.PollCost{Requests: 3, Outcome: "ok"}}, 2)
	families, err := m.gather.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"hookloom_compare_delay_seconds": true} // it does not exist before an inlet has received an event
	for _, f := range families {
		known[f.GetName()] = true
	}
	for _, file := range []string{"grafana.json", "alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "monitoring", file))
		if err != nil {
			t.Fatal(err)
		}
		asked := regexp.MustCompile(`\b(?:hookloom|process)_[a-z_]+`).FindAllString(string(text), -1)
		for _, name := range asked {
			if !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s asks for %s, which there is not", file, name)
			}
		}
		if len(asked) < 10 {
			t.Errorf("%s asks for %d metrics", file, len(asked))
		}
	}
	problems, err := testutil.GatherAndLint(m.gather)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestFailureSeriesStartAtZero checks it because an alert on an increase would miss the first
// failure of a series that starts with it.
func TestFailureSeriesStartAtZero(t *testing.T) {
	m := fresh(t)
	m.Use(&workflows.Project{Workflows: map[string]*workflows.Workflow{"pay": {ID: "pay"}},
		Triggers: map[string]*workflows.Trigger{"shop": {Name: "shop", Webhook: &workflows.Webhook{}}}})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`hookloom_runs_total{status="failed",workflow="pay"} 0`,
		`hookloom_runs_total{status="timed_out",workflow="pay"} 0`, `hookloom_decisions_total{outcome="rule_failed",workflow="pay"} 0`,
		`hookloom_recovered_total{trigger="shop"} 0`, `hookloom_deliveries_total{outcome="unavailable",trigger="shop"} 0`,
		`hookloom_deliveries_total{outcome="refused",trigger="shop"} 0`,
		`hookloom_reloads_total{result="failed"} 0`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestSilenceOfATriggerStartsWithTheServer checks that a server that started ten seconds ago does not
// report an hour of silence.
func TestSilenceOfATriggerStartsWithTheServer(t *testing.T) {
	s := fresh(t).standing
	s.began = time.Now()
	got := -1.0
	s.trigger(t.Context(), "shop", s.o.Project().Triggers["shop"], func(d *gauge, v float64, _ ...string) {
		if d == silentDesc {
			got = v
		}
	})
	if got != 0 {
		t.Errorf("silent is %v", got)
	}
}

// TestEachMetricIsInTheManualsTable scrapes and looks up each series in the table for the manual.
func TestEachMetricIsInTheManualsTable(t *testing.T) {
	m := fresh(t)
	m.Answered("shop", "accepted", 3*time.Millisecond)
	m.Stored(&engine.Delivery{Trigger: "shop", Inlet: "poll", Recovered: true}, engine.Receipt{Event: 7})
	m.Changed(ended(time.Now()))
	list, err := Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, x := range list {
		if kinds[x.Name] != "" {
			t.Errorf("%s stands in the table twice", x.Name)
		}
		kinds[x.Name] = x.Kind
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	served := regexp.MustCompile(`(?m)^# TYPE (hookloom_\w+) (\w+)$`).FindAllStringSubmatch(w.Body.String(), -1)
	if len(served) < 25 {
		t.Errorf("only %d metrics are served", len(served))
	}
	for _, x := range served {
		if kinds[x[1]] != x[2] {
			t.Errorf("%s is a %s, in the table it is %q", x[1], x[2], kinds[x[1]])
		}
	}
}
