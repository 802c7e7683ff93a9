package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/workflows"
	"github.com/prometheus/client_golang/prometheus"
)

// compareInterval is how long a comparison is cached.
const compareInterval = time.Minute

// buildHelp is the help of hookloom_build_info.
const buildHelp = "Always 1; the version is a label."

// Metric is a family of series that /metrics serves.
type Metric struct {
	Name string
	// Kind is counter, gauge or histogram.
	Kind, Help string
	Labels     []string
}

// gauge is a metric that is read at each scrape.
type gauge struct {
	Metric
	desc *prometheus.Desc
}

func newGauge(name, help string, labels ...string) *gauge {
	name = "hookloom_" + name
	return &gauge{Metric{name, "gauge", help, labels}, prometheus.NewDesc(name, help, labels, nil)}
}

var (
	backlogDesc = newGauge("backlog", "Pending work: events without a decision, and runs that are queued, waiting or running.", "kind")
	oldestDesc  = newGauge("backlog_oldest_age_seconds", "Age of the oldest pending work: events without a decision, and runs that are "+
		"due; 0 for none.", "kind")
	peopleDesc     = newGauge("waiting_for_people", "Runs that wait for an approval.")
	deadDesc       = newGauge("dead_letters", "Failed runs and failed rules that were not replayed; each counted up to 10,000.")
	ruleFailedDesc = newGauge("rule_failures", "Events about which a workflow's rule could not decide, and that were not decided again; "+
		"counted up to 10,000.")
	alertsDesc      = newGauge("alerts_open", "Open alerts.", "kind")
	brokenFilesDesc = newGauge("project_broken_files", "Project files whose present version is not in effect because of a mistake.")
	bytesDesc       = newGauge("database_bytes", "Size of the database's files, database and wal; on PostgreSQL database only.", "file")
	openDesc        = newGauge("destination_open", "1 while a host does not answer and attempts to it are held.", "destination")
	useDesc         = newGauge("destination_in_use", "Attempts under way.", "destination")
	waitDesc        = newGauge("destination_waiting", "Attempts that wait for the host.", "destination")
	failuresDesc    = newGauge("inlet_failures", "Polls in a row that failed.", "trigger", "inlet")
	okDesc          = newGauge("inlet_last_success_timestamp_seconds", "Time of the last successful poll.", "trigger", "inlet")
	lastDesc        = newGauge("trigger_last_event_timestamp_seconds", "Time of the last event.", "trigger")
	silentDesc      = newGauge("trigger_silent", "1 when a trigger is silent for longer than its expect: allows.", "trigger")
	compareDesc     = newGauge("compare_events", "Events of the last day by the inlets that saw them.", "trigger", "seen")
	delayDesc       = newGauge("compare_delay_seconds", "Delay of the last day's events from their own time.", "trigger", "inlet", "quantile")
	perEventDesc    = newGauge("compare_requests_per_event", "Requests that polling made for each new event.", "trigger")
)

// gauges lists them.
var gauges = []*gauge{backlogDesc, oldestDesc, peopleDesc, deadDesc, ruleFailedDesc, alertsDesc, brokenFilesDesc, bytesDesc, openDesc,
	useDesc, waitDesc, failuresDesc, okDesc, lastDesc, silentDesc, compareDesc, delayDesc, perEventDesc}

// Metrics lists the metrics of /metrics by name, without those of the Go runtime and the process.
func Metrics(ctx context.Context) ([]Metric, error) {
	t, err := New(ctx, Options{Logger: slog.New(slog.DiscardHandler), Project: func() *workflows.Project { return nil },
		Destinations: func() []destination.State { return nil }})
	if err != nil {
		return nil, err
	}
	list := append(t.metrics, Metric{"hookloom_build_info", "gauge", buildHelp, []string{"version"}})
	for _, g := range gauges {
		list = append(list, g.Metric)
	}
	slices.SortFunc(list, func(x, y Metric) int { return strings.Compare(x.Name, y.Name) })
	return list, t.Close(ctx)
}
