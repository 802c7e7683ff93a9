package telemetry

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/workflows"
)

// TestPayloadCannotCreateMetricSeries checks that payloads do not determine the number of series, and that
// hosts in the project's files always have their own.
func TestPayloadCannotCreateMetricSeries(t *testing.T) {
	m := fresh(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"),
		[]byte("destinations: {crm.example.com: {concurrency: 2}}\nconnections: {a: {connector: http, base_url: "+
			"\"https://API.example.com:8443/v1\"}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _ := workflows.Load(dir, workflows.Catalog{}, nil)
	var states []destination.State
	m.hosts.project = func() *workflows.Project { return p }
	attempt := func(host string) {
		states = append(states, destination.State{Name: "https://" + host, Circuit: "open", Waiting: 1})
		m.Changed(engine.Change{Run: &engine.Run{Workflow: "w", Status: engine.Running},
			Steps: []engine.StepChange{{Action: "http/get", Status: "failed", Destination: "https://" + host}}})
	}
	for i := range 1500 {
		attempt(fmt.Sprintf("h%d.evil.example", i))
	}
	attempt("crm.example.com")
	attempt("api.example.com:8443")
	for range 50 {
		attempt("busy.example.com")
	}
	m.standing.o.Destinations = func() []destination.State { return states }
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{"https://crm.example.com", "https://api.example.com:8443", "https://busy.example.com", "other"} {
		for _, metric := range []string{"hookloom_destination_seconds_count", "hookloom_destination_open"} {
			if !strings.Contains(text, metric+`{destination="`+want+`"`) {
				t.Errorf("%s of %s is not there", metric, want)
			}
		}
	}
	for _, metric := range []string{"hookloom_destination_seconds_count{", "hookloom_destination_open{"} {
		if n := strings.Count(text, metric); n > maxHosts+4 {
			t.Errorf("%d series of %s", n, metric)
		}
	}
}

// TestReceiversOfASharedHostShareOneSeries checks that paths are not labels.
func TestReceiversOfASharedHostShareOneSeries(t *testing.T) {
	m := fresh(t)
	const host = "https://hooks.slack.com"
	m.hosts.used(host)
	m.standing.o.Destinations = func() []destination.State {
		return []destination.State{{Name: host + "/services/T/1", Host: host, Circuit: "closed", Waiting: 2},
			{Name: host + "/services/T/2", Host: host, Circuit: "open", Waiting: 3}}
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{`hookloom_destination_open{destination="` + host + `"} 1`, `hookloom_destination_waiting{destination="` +
		host + `"} 5`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s does not exist", want)
		}
	}
	if strings.Contains(text, "/services/") {
		t.Error("a path is a label")
	}
}

// TestBusiestHostsHaveLabels checks the number of labels, and when a busier host takes the label of another.
func TestBusiestHostsHaveLabels(t *testing.T) {
	var removed []string
	h := newHosts(func() *workflows.Project { return nil }, func(d string) { removed = append(removed, d) })
	for i := range 2 * maxHosts {
		host := fmt.Sprintf("https://h%d.example", i%maxHosts)
		if got := h.used(host); got != host {
			t.Fatalf("%d: %s", i, got)
		}
	}
	if len(h.labelled) != 100 {
		t.Errorf("%d hosts have labels", len(h.labelled))
	}
	h.used("https://h7.example")
	for n := 1; n <= 5; n++ {
		want := otherHosts
		if n == 5 { // more than twice the two attempts of the least busy
			want = "https://busy.example"
		}
		if got := h.used("https://busy.example"); got != want || h.label("https://busy.example") != want {
			t.Errorf("attempt %d: %s", n, got)
		}
	}
	if len(removed) != 1 || removed[0] == "https://h7.example" || h.label(removed[0]) != otherHosts ||
		len(h.labelled) != 100 || len(h.candidates) != 0 {
		t.Errorf("%q lost their labels; %d labels, %d candidates", removed, len(h.labelled), len(h.candidates))
	}
	var a acks
	if a.get() != nil {
		t.Error("there are response times before a response")
	}
	if a.add(0); a.get() == nil {
		t.Error("a response within no time does not count")
	}
}
