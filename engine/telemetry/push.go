package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	prom "github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
)

// pusher sends the metrics of /metrics by OTLP over HTTP, every minute or at
// OTEL_METRIC_EXPORT_INTERVAL. A nil pusher does nothing.
type pusher struct{ provider *metric.MeterProvider }

// newPusher returns a pusher if the environment configures OTLP metrics (OpenTelemetry
// specification, "Environment Variable Specification"): like traces, by the endpoint for all
// signals or the one for metrics. Otherwise it returns nil.
func newPusher(ctx context.Context, version string, from prom.Gatherer, log *slog.Logger) (*pusher, error) {
	if ok, err := metrics.asked(); err != nil || !ok {
		return nil, err
	}
	reportErrors(log)
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("sending metrics: %w", err)
	}
	res, err := describeProcess(ctx, version)
	if err != nil {
		return nil, err
	}
	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(prometheus.NewMetricProducer(prometheus.WithGatherer(from))))
	return &pusher{metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(res))}, nil
}

// close sends the last values.
func (p *pusher) close(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if err := p.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last metrics: %w", err)
	}
	return nil
}

// signal is the configuration of traces or metrics in the environment.
type signal struct{ exporter, endpoint, protocol string }

var (
	traces  = signal{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"}
	metrics = signal{"OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"}
)

// asked reports whether the environment configures a signal for OTLP.
func (s signal) asked() (bool, error) {
	exporter := os.Getenv(s.exporter)
	named := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv(s.endpoint) != "" || exporter == "otlp"
	if !named || exporter == "none" || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false, nil
	}
	for _, name := range []string{s.protocol, "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if p := os.Getenv(name); p != "" && p != "http/protobuf" {
			return false, fmt.Errorf("%s is %s, but only http/protobuf is supported", name, p)
		}
	}
	return true, nil
}
