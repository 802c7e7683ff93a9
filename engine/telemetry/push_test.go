package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// TestMetricsAreSentToTheConfiguredCollector checks that a collector receives the counters and
// histograms of /metrics by OTLP, at the latest when the server stops.
func TestMetricsAreSentToTheConfiguredCollector(t *testing.T) {
	sent := make(chan *collector.ExportMetricsServiceRequest, 16)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		m := &collector.ExportMetricsServiceRequest{}
		if err == nil && r.URL.Path == "/v1/metrics" {
			err = proto.Unmarshal(b, m)
			sent <- m
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", server.URL+"/v1/metrics")
	m := fresh(t)
	if m.Traces() {
		t.Error("an endpoint for metrics has traces made")
	}
	m.Stored(&engine.Delivery{Trigger: "shop", Inlet: "webhook"}, engine.Receipt{Event: 7})
	m.Answered("shop", "accepted", 3*time.Millisecond)
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	var events, answers float64
	for _, r := range (<-sent).ResourceMetrics {
		for _, scope := range r.ScopeMetrics {
			for _, x := range scope.Metrics {
				switch x.Name {
				case "hookloom_events_total":
					events += x.GetSum().DataPoints[0].GetAsDouble()
				case "hookloom_ack_seconds":
					answers += float64(x.GetHistogram().DataPoints[0].Count)
				}
			}
		}
	}
	if events != 1 || answers != 1 {
		t.Errorf("%v events and %v answers were sent, not 1 and 1", events, answers)
	}
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	if m := fresh(t); m.pusher != nil {
		t.Error("metrics are sent though OTEL_METRICS_EXPORTER is none")
	}
}
