package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// stateLog is a log with fixed contents, which may fail.
type stateLog struct {
	now time.Time
	err error
	// polls is how often each trigger was compared. later is set when there is no WAL and no learned gap any more.
	polls map[string]int
	later bool
}

func (l *stateLog) ago(d time.Duration) *time.Time { t := l.now.Add(-d); return &t }

func (l *stateLog) CurrentState(context.Context) (engine.CurrentState, error) {
	return engine.CurrentState{Inbox: 1, Queued: 2, Waiting: 3, AtWork: 4, DeadLetters: 5, RuleFailures: 6, NeedPeople: 7,
		OldestEvent: l.ago(time.Minute),
		OldestRun:   l.ago(-time.Minute), DatabaseBytes: 8, WALBytes: 9, HasWAL: !l.later}, l.err
}

func (l *stateLog) InletState(_ context.Context, trigger, inlet string) (engine.InletState, error) {
	st := engine.InletState{Failures: 2}
	if trigger == "both" {
		st.OKAt = l.now.Add(-1500 * time.Millisecond)
	}
	return st, l.err
}

func (l *stateLog) TriggerStats(_ context.Context, trigger string, since time.Time) (engine.TriggerStats, error) {
	last := map[string]*time.Time{"late": l.ago(time.Hour + 1), "on-time": l.ago(time.Hour), "learned": l.ago(2 * time.Hour),
		"both": l.ago(2500 * time.Millisecond)}
	return engine.TriggerStats{LastAt: last[trigger]}, l.err
}

func (l *stateLog) LearnedGap(context.Context, string) (time.Duration, error) {
	if l.later {
		return time.Minute, errors.New("not known")
	}
	return time.Hour, nil
}

func (l *stateLog) Sightings(_ context.Context, trigger string, since time.Time) (engine.Sightings, error) {
	if time.Since(since) != 24*time.Hour {
		return engine.Sightings{}, fmt.Errorf("since %s", since)
	}
	l.polls[trigger]++
	var s engine.Sightings
	for i := range 2 + l.polls[trigger] {
		e := engine.SeenEvent{Key: fmt.Sprint(i), Time: *l.ago(time.Hour)}
		if i != 0 {
			e.See(workflows.InletWebhook, *l.ago(time.Hour - time.Duration(i)*time.Second))
		}
		if i != 1 {
			e.See(workflows.InletPoll, *l.ago(time.Hour - time.Minute))
		}
		s.Events = append(s.Events, e)
	}
	s.Polls = []engine.PollEntry{{At: *l.ago(time.Hour), Requests: 6, Items: 2, Fresh: 2, Outcome: "ok"}}
	return s, l.err
}

// scrape returns the lines of /metrics that are our own.
func scrape(m *Telemetry) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var out []string
	for _, line := range strings.Split(w.Body.String(), "\n") {
		if strings.HasPrefix(line, "hookloom_") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// less returns the lines of b that a does not have, and with a minus those of a that b does not have.
func less(a, b string) string {
	was, is := map[string]bool{}, map[string]bool{}
	for _, l := range strings.Split(a, "\n") {
		was[l] = true
	}
	var out []string
	for _, l := range strings.Split(b, "\n") {
		if is[l] = true; !was[l] {
			out = append(out, l)
		}
	}
	for _, l := range strings.Split(a, "\n") {
		if !is[l] {
			out = append(out, "-"+l)
		}
	}
	return strings.Join(out, "\n")
}

// reportAll reports one of each thing.
func reportAll(m *Telemetry, at time.Time) {
	for i, outcome := range []string{"accepted", "accepted", "duplicate", "refused"} {
		m.Answered("shop", outcome, time.Duration(i+1)*time.Millisecond)
	}
	for _, x := range []struct {
		d engine.Delivery
		r engine.Receipt
	}{
		{engine.Delivery{Trigger: "a"}, engine.Receipt{}}, {engine.Delivery{Trigger: "b"}, engine.Receipt{Duplicate: true}},
		{engine.Delivery{Trigger: "c"}, engine.Receipt{Duplicate: true, Conflict: true, RepeatsBodyOf: 3}},
		{engine.Delivery{Trigger: "d", Identity: engine.ByContent}, engine.Receipt{RepeatsBodyOf: 3}},
		{engine.Delivery{Trigger: "e", Identity: engine.ByContent}, engine.Receipt{}},
		{engine.Delivery{Trigger: "f", Identity: engine.ByContent, Recovered: true}, engine.Receipt{Duplicate: true}},
		{engine.Delivery{Trigger: "g", Recovered: true}, engine.Receipt{}},
	} {
		x.d.Inlet = workflows.InletWebhook
		m.Stored(&x.d, x.r)
	}
	m.Changed(engine.Change{Decision: &engine.Decision{Workflow: "pay", Outcome: engine.Skipped}})
	steps := []engine.StepChange{{Action: "log", Status: "running"}, {Action: "log", Status: "waiting"}, {Action: "log",
		Status: "succeeded", Took: time.Second},
		{Action: "http/get", Status: "failed", Took: 2 * time.Second, Destination: "https://crm.example"}}
	m.Changed(engine.Change{Event: &engine.Event{}, Run: &engine.Run{Workflow: "pay", Status: engine.Running}, Steps: steps})
	m.Changed(engine.Change{Event: &engine.Event{}, Run: &engine.Run{Workflow: "pay", Status: engine.Failed, CreatedAt: at,
		FinishedAt: at.Add(3 * time.Second),
		Active:     time.Second, Error: &plan.Error{}}})
	m.Alerted(engine.Alert{Kind: "silence", Trigger: "shop"})
	m.Polled(&engine.PollBatch{Trigger: "both", Inlet: "poll", Cost: engine.PollCost{Requests: 3, Bytes: 500, Outcome: "ok"}}, 2)
	m.Reloaded("failed")
}

// TestScrapeShowsTheStateAndWhatWasReported compares /metrics with its golden file, and what a failing log and the time change.
func TestScrapeShowsTheStateAndWhatWasReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &stateLog{now: time.Now(), polls: map[string]int{}}
		hook := func(expect time.Duration) *workflows.Trigger {
			return &workflows.Trigger{Webhook: &workflows.Webhook{Expect: expect}}
		}
		both := hook(0)
		both.Poll = &workflows.Poll{}
		p := &workflows.Project{Triggers: map[string]*workflows.Trigger{"late": hook(time.Hour), "on-time": hook(time.Hour),
			"never":   hook(time.Hour),
			"learned": hook(workflows.Learned), "both": both, "poll": {Poll: &workflows.Poll{}}}}
		failed := log.now
		o := Options{Version: "v1", Log: log, Logger: slog.New(slog.DiscardHandler), Project: func() *workflows.Project { return p },
			Destinations: func() []destination.State {
				return []destination.State{{Name: "https://crm.example", Circuit: "open", InUse: 1, Waiting: 2},
					{Name: "x", Host: "https://crm.example", Circuit: "closed", InUse: 3, Waiting: 4}, {Name: "https://rare.example",
						Circuit: "closed", InUse: 5}}
			},
			State: func() *engine.ProjectState {
				return &engine.ProjectState{FailedAt: &failed, Kept: []string{"a"}, Left: []string{"b", "c"}}
			},
			Alerts: func() []engine.OpenAlert {
				return []engine.OpenAlert{{Kind: engine.AlertRunFailed}, {Kind: engine.AlertRunFailed}}
			},
			Began: log.now.Add(-90 * time.Minute)}
		m, err := New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		first := scrape(m)
		fmt.Fprintf(&b, "=== at first\n%s\n", first)
		reportAll(m, log.now)
		log.later = true
		next := scrape(m)
		fmt.Fprintf(&b, "=== then\n%s\n", less(first, next))
		time.Sleep(compareInterval)
		later := scrape(m)
		fmt.Fprintf(&b, "=== a minute later\n%s\n", less(next, later))
		time.Sleep(time.Nanosecond)
		last := scrape(m)
		fmt.Fprintf(&b, "=== a moment later\n%s\n", less(later, last))
		log.err = errors.New("down")
		fmt.Fprintf(&b, "=== without the log\n%s\n", less(last, scrape(m)))
		log.err, p = nil, nil
		fmt.Fprintf(&b, "=== without a project\n%s\n", less(last, scrape(m)))
		fmt.Fprintf(&b, "=== response times\n%+v\n", *m.Acks())
		testgolden.Compare(t, "scrape.golden", b.String())
	})
}

// TestSpansLeaveOutWhatIsNotKnown checks addresses without a host or a port, events without an id, and methods.
func TestSpansLeaveOutWhatIsNotKnown(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	m := made(sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithIDGenerator(ids{})))
	for url, want := range map[string]string{"": "", "/hooks/shop": "", "http://a.example:x": "",
		"https://a.example/x":   "https a.example 443",
		"http://a.example:8080": "http a.example 8080"} {
		m.served(engine.ServedRequest{URL: url, Events: []engine.EventID{7, 7}, Status: 499})
		span, got := attributes(kept)
		if have := strings.TrimSpace(got["url.scheme"] + " " + got["server.address"] + " " + got["server.port"]); have != want ||
			span.Status.Code == codes.Error {
			t.Errorf("%q: %q", url, have)
		}
	}
	if n := len(kept.GetSpans()); n != 5 {
		t.Errorf("%d spans of five requests", n)
	}
	for destination, want := range map[string]string{"smtp://a": "25", "smtps://a": "465", "http://a": "80", "https://a": "443",
		"ftp://a": "", "ftp://a:0": "",
		"ftp://a:1": "1"} {
		m.attempt(ended(time.Now()), engine.StepChange{Destination: destination}, nil)
		if _, got := attributes(kept); got["server.port"] != want || got["server.address"] != "a" {
			t.Errorf("%s: port %q", destination, got["server.port"])
		}
	}
	spec := &workflows.ActionSpec{Action: &workflows.ConnectorAction{}}
	for action, want := range map[string]string{"http/get": "GET", "http/put": "PUT", "http/post": "POST",
		"http/patch": "PATCH", "http/delete": "DELETE",
		"http/head": "HEAD", "http/request": "GET", "http/other": "POST", "crm/get": "POST"} {
		if got := methodOf(engine.StepChange{Action: action}, spec) + methodOf(engine.StepChange{Action: action},
			&workflows.ActionSpec{}); got != want+want {
			t.Errorf("%s: %s", action, got)
		}
	}
	kept.Reset()
	for event, want := range []int{0, 1} {
		m.stored(&engine.Delivery{Trigger: "shop", Inlet: workflows.InletWebhook}, engine.Receipt{Event: engine.EventID(event)})
		if n := len(kept.GetSpans()); n != want {
			t.Errorf("event %d: %d spans", event, n)
		}
	}
	m.stored(&engine.Delivery{Trigger: "shop", Inlet: workflows.InletPoll}, engine.Receipt{Event: 1, Duplicate: true})
	spans := kept.GetSpans()
	if spans[0].SpanContext.SpanID() == spans[1].SpanContext.SpanID() || !spans[0].Parent.IsValid() || spans[1].Parent.IsValid() {
		t.Errorf("%+v", spans)
	}
}

// TestTelemetryThatCannotBeSentSaysSo checks the errors of the environment, and of the end.
func TestTelemetryThatCannotBeSentSaysSo(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	m := fresh(t)
	if m.Served() == nil || m.pusher == nil {
		t.Fatal("nothing is sent")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m.Stored(&engine.Delivery{Trigger: "shop", Inlet: workflows.InletWebhook}, engine.Receipt{Event: 7})
	err := m.Close(ended)
	if err == nil || !strings.Contains(err.Error(), "sending the last traces") || !strings.Contains(err.Error(),
		"sending the last metrics") {
		t.Error(err)
	}
	log := slog.New(slog.DiscardHandler)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "nonsense")
	if _, err := newTracer(t.Context(), "v1", log); err == nil || !strings.Contains(err.Error(), "describing this process") {
		t.Error(err)
	}
	if _, err := newPusher(t.Context(), "v1", nil, log); err == nil || !strings.Contains(err.Error(), "describing this process") {
		t.Error(err)
	}
	for _, off := range []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"} {
		name, value, _ := strings.Cut(off, "=")
		t.Setenv(name, value)
		if ok, err := traces.asked(); ok || err != nil {
			t.Errorf("%s: %t %v", off, ok, err)
		}
		t.Setenv(name, "")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
	if _, err := New(t.Context(), Options{Logger: log}); err == nil || !strings.Contains(err.Error(), "only http/protobuf") {
		t.Error(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
	if ok, err := traces.asked(); !ok || err != nil {
		t.Errorf("%t %v", ok, err)
	}
}
