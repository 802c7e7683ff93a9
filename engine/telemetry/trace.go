package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// tracer emits spans when what they describe is over. Their ids are derived from the ids of events,
// runs and attempts (engine.TraceOf), so that one trace leads from the delivery to the last step,
// across restarts. A nil tracer does nothing.
type tracer struct {
	provider *sdk.TracerProvider
	spans    trace.Tracer
}

// newTracer returns a tracer that sends by OTLP over HTTP if the environment configures an endpoint
// (OpenTelemetry specification, "Environment Variable Specification"), otherwise nil. Sampling,
// headers, attributes and timeouts are configured by the SDK's own OTEL_*.
func newTracer(ctx context.Context, version string, log *slog.Logger) (*tracer, error) {
	if ok, err := traces.asked(); err != nil || !ok {
		return nil, err
	}
	reportErrors(log)
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("sending traces: %w", err)
	}
	res, err := describeProcess(ctx, version)
	if err != nil {
		return nil, err
	}
	return made(sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(res), sdk.WithIDGenerator(ids{}))), nil
}

// reportErrors logs export errors.
func reportErrors(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry was not sent", "error", err) }))
}

// describeProcess returns the resource attributes of this process.
func describeProcess(ctx context.Context, version string) (*resource.Resource, error) {
	res, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "hookloom"),
		attribute.String("service.version", version)), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("describing this process for OpenTelemetry: %w", err)
	}
	return res, nil
}

func made(p *sdk.TracerProvider) *tracer {
	return &tracer{p, p.Tracer("github.com/hookloom/hookloom")}
}

func (t *tracer) close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last traces: %w", err)
	}
	return nil
}

// ids provides precomputed ids to the SDK.
type ids struct{}

type idKey struct{}

type idPair struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements sdk.IDGenerator.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	p, _ := ctx.Value(idKey{}).(idPair)
	return p.trace, p.span
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	p, _ := ctx.Value(idKey{}).(idPair)
	return p.span
}

// span emits one span of an event's trace. A zero parent begins the trace.
func (t *tracer) span(of engine.Trace, id, parent [8]byte, name string, kind trace.SpanKind, from, to time.Time, problem string,
	attrs ...attribute.KeyValue) {
	ctx := context.WithValue(context.Background(), idKey{}, idPair{of.ID, id})
	if parent != ([8]byte{}) {
		flags := trace.TraceFlags(0)
		if t.sampled(of) {
			flags = trace.FlagsSampled
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx,
			trace.NewSpanContext(trace.SpanContextConfig{TraceID: of.ID, SpanID: parent, TraceFlags: flags, Remote: true}))
	}
	_, s := t.spans.Start(ctx, name, trace.WithTimestamp(from), trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	if problem != "" {
		s.SetStatus(codes.Error, problem)
	}
	s.End(trace.WithTimestamp(to))
}

// sampled reports whether a trace is kept: as its sender decided, or else as the SDK's sampler
// decides for a new trace, which depends only on its id.
func (t *tracer) sampled(of engine.Trace) bool {
	if of.Parent != ([8]byte{}) {
		return of.Sampled
	}
	_, probe := t.spans.Start(context.WithValue(context.Background(), idKey{}, idPair{of.ID, [8]byte{1}}), "probe")
	return probe.SpanContext().IsSampled() // never ended, so never sent
}

// served writes the span of a request to the hooks address, in the trace of each of its events: one
// trace if the sender began it.
func (t *tracer) served(r engine.ServedRequest) {
	attrs := []attribute.KeyValue{attribute.String("http.request.method", r.Method), attribute.String("http.route", r.Route),
		attribute.String("url.path", r.Path), attribute.Int("http.response.status_code", r.Status),
		attribute.String("hookloom.trigger", r.Trigger)}
	if u, err := url.Parse(r.URL); err == nil && u.Host != "" {
		attrs = append(append(attrs, attribute.String("url.scheme", u.Scheme)), serverOf(u)...)
	}
	problem := ""
	if r.Status >= http.StatusInternalServerError {
		problem = strconv.Itoa(r.Status)
		attrs = append(attrs, attribute.String("error.type", problem))
	}
	written := map[[16]byte]bool{}
	for _, id := range r.Events {
		of := engine.TraceOf(id, r.Headers)
		if written[of.ID] {
			continue
		}
		written[of.ID] = true
		t.span(of, engine.RequestSpan(of, r.ReceivedAt), of.Parent, r.Method+" "+r.Route, trace.SpanKindServer, r.ReceivedAt, time.Now(),
			problem, attrs...)
	}
}

// serverOf are the host and the port of a URL. The port is written even if it is the scheme's own,
// as the conventions require of clients.
func serverOf(u *url.URL) []attribute.KeyValue {
	attrs := []attribute.KeyValue{attribute.String("server.address", u.Hostname())}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443, "smtp": 25, "smtps": 465}[u.Scheme]
	}
	if port > 0 {
		attrs = append(attrs, attribute.Int("server.port", port))
	}
	return attrs
}

func (t *tracer) stored(d *engine.Delivery, r engine.Receipt) {
	if t == nil || r.Event == 0 {
		return
	}
	of := engine.TraceOf(r.Event, d.Headers)
	id, parent, name := engine.Span(r.Event.String()), of.Parent, "delivery "+d.Trigger
	if r.Duplicate {
		// One more delivery of an event: a span of its own, beside the first.
		id = engine.Span(r.Event.String(), string(d.Inlet), d.ReceivedAt.String())
	}
	if d.Inlet == workflows.InletWebhook {
		parent = engine.RequestSpan(of, d.ReceivedAt)
	}
	t.span(of, id, parent, name, trace.SpanKindConsumer, d.ReceivedAt, time.Now(), "", attribute.String("hookloom.trigger", d.Trigger),
		attribute.String("hookloom.inlet", string(d.Inlet)),
		attribute.String("hookloom.event", r.Event.String()), attribute.String("hookloom.type", d.Type),
		attribute.Bool("hookloom.duplicate", r.Duplicate))
}

func (t *tracer) ended(c engine.Change) {
	if t == nil {
		return
	}
	problem := ""
	if c.Run.Error != nil {
		problem = c.Run.Error.Code
	}
	t.span(engine.TraceOf(c.Event.ID, c.Event.Headers), engine.Span(c.Run.ID.String()), engine.Span(c.Event.ID.String()),
		"run "+c.Run.Workflow, trace.SpanKindInternal, c.Run.CreatedAt, c.Run.FinishedAt, problem,
		attribute.String("hookloom.run", c.Run.ID.String()), attribute.String("hookloom.workflow", c.Run.Workflow),
		attribute.String("hookloom.version", c.Run.Version), attribute.String("hookloom.status", string(c.Run.Status)))
}

// attempt writes the span of an attempt. action describes its action; nil if that is unknown.
func (t *tracer) attempt(c engine.Change, s engine.StepChange, action *workflows.ActionSpec) {
	if t == nil {
		return
	}
	kind := trace.SpanKindInternal
	attrs := []attribute.KeyValue{attribute.String("hookloom.run", c.Run.ID.String()), attribute.String("hookloom.step", s.Path),
		attribute.String("hookloom.action", s.Action), attribute.Int("hookloom.attempt", s.Attempt),
		attribute.String("hookloom.status", s.Status)}
	if u, err := url.Parse(s.Destination); err == nil && u.Host != "" {
		kind = trace.SpanKindClient
		attrs = append(attrs, serverOf(u)...)
		if u.Scheme == "http" || u.Scheme == "https" {
			attrs = append(attrs, attribute.String("url.scheme", u.Scheme), attribute.String("http.request.method", methodOf(s, action)))
			if s.HTTPStatus > 0 {
				attrs = append(attrs, attribute.Int("http.response.status_code", s.HTTPStatus))
			}
		}
	}
	switch {
	case s.Code == "http_status" && s.HTTPStatus > 0:
		attrs = append(attrs, attribute.String("error.type", strconv.Itoa(s.HTTPStatus)))
	case s.Code != "":
		attrs = append(attrs, attribute.String("error.type", s.Code))
	}
	t.span(engine.TraceOf(c.Event.ID, c.Event.Headers), engine.AttemptSpan(c.Run.ID, s.Path, s.Attempt), engine.Span(c.Run.ID.String()),
		"step "+s.Path, kind, s.StartedAt, s.StartedAt.Add(s.Took), s.Error, attrs...)
}

// methodOf is the method of an attempt's HTTP request.
func methodOf(s engine.StepChange, action *workflows.ActionSpec) string {
	_, name, _ := strings.Cut(s.Action, "/")
	switch {
	case s.Method != "":
		return s.Method
	case action != nil && action.Action != nil && action.Action.Method != "":
		return action.Action.Method
	case strings.HasPrefix(s.Action, "http/") && slices.Contains([]string{"get", "put", "post", "patch", "delete", "head"}, name):
		return strings.ToUpper(name)
	case s.Action == "http/request":
		return http.MethodGet
	}
	return http.MethodPost // native actions that send something
}
