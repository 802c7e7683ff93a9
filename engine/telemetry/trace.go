package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hookloom/hookloom/engine"
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

func (t *tracer) stored(d *engine.Delivery, r engine.Receipt) {
	if t == nil || r.Event == 0 {
		return
	}
	of := engine.TraceOf(r.Event, d.Headers)
	id, name := engine.Span(r.Event.String()), "delivery "+d.Trigger
	if r.Duplicate {
		// A further delivery of an event is a separate span beside the first.
		id = engine.Span(r.Event.String(), string(d.Inlet), d.ReceivedAt.String())
	}
	t.span(of, id, of.Parent, name, trace.SpanKindConsumer, d.ReceivedAt, time.Now(), "", attribute.String("hookloom.trigger", d.Trigger),
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

func (t *tracer) attempt(c engine.Change, s engine.StepChange) {
	if t == nil {
		return
	}
	kind := trace.SpanKindInternal
	if s.Destination != "" {
		kind = trace.SpanKindClient
	}
	t.span(engine.TraceOf(c.Event.ID, c.Event.Headers), engine.AttemptSpan(c.Run.ID, s.Path, s.Attempt), engine.Span(c.Run.ID.String()),
		"step "+s.Path, kind, s.StartedAt, s.StartedAt.Add(s.Took), s.Error,
		attribute.String("hookloom.run", c.Run.ID.String()), attribute.String("hookloom.step", s.Path),
		attribute.String("hookloom.action", s.Action), attribute.Int("hookloom.attempt", s.Attempt),
		attribute.String("hookloom.status", s.Status), attribute.String("server.address", s.Destination))
}
