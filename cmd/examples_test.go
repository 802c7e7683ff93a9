package cmd

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/examples"
	"github.com/hookloom/hookloom/triggers"
)

// TestEachExampleRunsAgainstTheFakes starts every example project as a user
// would and sends it a signed delivery.
func TestEachExampleRunsAgainstTheFakes(t *testing.T) {
	want := map[string]struct {
		trigger string
		order   triggers.SampleOrder
		output  string
		calls   []string
	}{
		"payment": {"stripe", triggers.SampleOrder{}, `{"order":"A-1001","shipment":"S-A-1001"}`,
			[]string{"fulfilment POST /v1/orders/A-1001/release", "fulfilment POST /v1/orders/A-1001/release",
				"crm PATCH /crm/v3/objects/deals/881", "chat POST /chat.postMessage"}},
		"push": {"github", triggers.SampleOrder{Type: "push"}, "", []string{"deploy POST /hooks/source"}},
		"order": {"shopify", triggers.SampleOrder{Type: "orders/paid"}, `{"deal":"882"}`,
			[]string{"crm POST /crm/v3/objects/contacts/batch/upsert", "crm POST /crm/v3/objects/deals", "chat POST /chat.postMessage"}},
		"invoice": {"shopify", triggers.SampleOrder{Type: "orders/paid"}, `{"bytes":19,"number":1}`,
			[]string{"documents POST /v1/invoices/1.pdf", "documents PUT /v1/archive/1.pdf"}},
		"lead": {"lead_intake", triggers.SampleOrder{Body: []byte(`{"email":"Ada@Example.com","form_id":"pricing","employees":240}`)},
			`{"grade":"hot","id":"lead-ada@example.com"}`,
			[]string{"leads PUT /leads/ada@example.com"}},
	}
	dirs, err := fs.ReadDir(examples.Files, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range dirs {
		if !e.IsDir() || e.Name() == "polling-vs-webhooks" || e.Name() == "bursts" || e.Name() == "approval" {
			continue // they have their own tests: a shop, several events, a person
		}
		t.Run(e.Name(), func(t *testing.T) {
			w, ok := want[e.Name()]
			if !ok {
				t.Fatal("this example is not tested")
			}
			secrets, err := demoSecrets()
			if err != nil {
				t.Fatal(err)
			}
			outside, err := newFakes(secrets)
			if err != nil {
				t.Fatal(err)
			}
			defer outside.close()
			dir := t.TempDir()
			if err := writeExample(dir, []string{e.Name()}, e.Name()+"/hookloom.yaml", outside, secrets); err != nil {
				t.Fatal(err)
			}
			s, stop := startServer(t, dir)
			defer stop()
			l, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			sample, err := triggers.Sample(l.project, w.trigger, l.secrets.Lookup, w.order)
			if err != nil {
				t.Fatal(err)
			}
			if status, body, err := deliver(t.Context(), s.hooksURL(), sample); err != nil || status != 202 {
				t.Fatalf("%d %s %v", status, body, err)
			}
			d := endedRun(t, s)
			if d.Status != "succeeded" || w.output != "" && string(d.Output) != w.output {
				t.Errorf("run %s: %s %s", d.Status, d.Output, d.Error)
			}
			var calls []string
			for _, c := range outside.took() {
				calls = append(calls, c.Service+" "+c.Method+" "+c.Path)
			}
			if strings.Join(calls, "\n") != strings.Join(w.calls, "\n") {
				t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(calls, "\n"), strings.Join(w.calls, "\n"))
			}
			for _, f := range outside.wrong() {
				t.Error(f)
			}
		})
	}
}

// startServer runs a project in this process.
func startServer(t *testing.T, dir string) (*server, func()) {
	t.Helper()
	return startServerAt(t, dir, "127.0.0.1:0")
}

func startServerAt(t *testing.T, dir, admin string) (*server, func()) {
	t.Helper()
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t.Context(), serveOptions{dir: dir, addr: "127.0.0.1:0", adminAddr: admin, grace: time.Second,
		log: slog.New(slog.DiscardHandler)}, l)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// endedRun waits for the one run to end.
func endedRun(t *testing.T, s *server) *engine.RunDetail {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		runs, err := s.store.History().Runs(t.Context(), engine.Query{})
		if err != nil {
			t.Fatal(err)
		}
		// The oldest belongs to the delivery; others to events that it emitted.
		if n := len(runs); n > 0 && runs[n-1].FinishedAt != nil {
			id, err := engine.ParseRunID(runs[n-1].ID)
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.store.History().RunDetail(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the run does not end")
	return nil
}

// TestTestsOfTheExamplesPass runs them like hookloom test.
func TestTestsOfTheExamplesPass(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Main([]string{"test", "../examples/lead", "../examples/payment", "../examples/polling-vs-webhooks", "../examples/bursts",
		"../examples/approval"},
		&out, &errs); code != 0 || !strings.Contains(out.String(), "15 passed, 0 failed") {
		t.Errorf("%d\n%s%s", code, out.String(), errs.String())
	}
}

func TestDemoEndsWithTheExpectedResults(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := Main([]string{"demo", "--exit"}, &out, &errOut); code != 0 {
		t.Fatalf("status %d\n%s%s", code, out.String(), errOut.String())
	}
	for _, want := range []string{"run succeeded", "401", `"duplicate"`, "skipped", "attempt 2", "starts matching",
		"Everything went as expected"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the demo's output:\n%s", want, out.String())
		}
	}
}

func TestBenchPrintsItsRatios(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := Main([]string{"bench", "--duration", "200ms", "--rounds", "1", "--connections", "8"}, &out, &errOut); code != 0 {
		t.Fatalf("status %d\n%s%s", code, out.String(), errOut.String())
	}
	for _, want := range []string{"b/a", "c/a", "bare", "accept", "whole"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
