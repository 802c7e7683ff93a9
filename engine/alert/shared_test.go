package alert

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// nodeMonitor is the Monitor of one of several nodes.
func nodeMonitor(t *testing.T, address, name string) (*testMonitor, func()) {
	t.Helper()
	s, err := store.Open(t.Context(), address, store.Options{Verb: "serve", Node: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // closed by the test, or with it
	masks := &redact.Redactor{}
	reg := registry.New(registry.Options{Store: s, Redactor: masks, Log: slog.New(slog.DiscardHandler), RunURL: engine.RunID.String,
		Secrets: func(string) (string, bool) { return "", false }})
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "", "workflows/w.yaml": listens}, workflows.Catalog{})
	if err := reg.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	m := &testMonitor{t: t, store: s}
	m.restart(reg, masks)
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return m, stop
}

// isOpen waits until a node sees n open alerts.
func isOpen(t *testing.T, m *testMonitor, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); len(m.OpenAlerts()) != n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v are open, not %d", m.OpenAlerts(), n)
		}
	}
}

// TestTheAlertOfANodeThatIsGoneIsClosed by another one, which leaves it open as long as the node lives.
func TestTheAlertOfANodeThatIsGoneIsClosed(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, stop := nodeMonitor(t, address, "a")
	b, _ := nodeMonitor(t, address, "b")
	a.Alert(t.Context(), engine.Alert{Kind: engine.AlertReloadFailed, Message: "not all files are loaded"})
	isOpen(t, b, 1)
	c, _ := nodeMonitor(t, address, "c") // it starts with the alert open, and loads all files
	for _, m := range []*testMonitor{b, c} {
		m.lookAtConditions(t.Context(), time.Now())
		m.AlertOver(engine.AlertReloadFailed, "")
	}
	time.Sleep(2 * followEvery / 4)
	if list, err := b.store.OpenAlerts(t.Context()); err != nil || len(list) != 1 {
		t.Fatalf("another node closed the alert of a node that lives: %v %v", list, err)
	}
	stop()
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
	b.lookAtConditions(t.Context(), time.Now())
	isOpen(t, b, 0)
	isOpen(t, c, 0)
}

// TestStaleReadOfAClosedAlertLeavesTheNextOneOpen: it takes the lease of an alert that its node closes at the
// same time, and does not keep it.
func TestStaleReadOfAClosedAlertLeavesTheNextOneOpen(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, _ := nodeMonitor(t, address, "a")
	b, stop := nodeMonitor(t, address, "b")
	a.Alert(t.Context(), engine.Alert{Kind: engine.AlertReloadFailed, Message: "not all files are loaded"})
	isOpen(t, b, 1)
	stop() // it reads nothing more by itself
	a.AlertOver(engine.AlertReloadFailed, "")
	isOpen(t, a, 0)
	look := func() {
		b.lookAtConditions(t.Context(), time.Now())
		for end := time.Now().Add(time.Minute); !b.notifyPending(t.Context()) && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	}
	look()
	a.Alert(t.Context(), engine.Alert{Kind: engine.AlertReloadFailed, Message: "not all files are loaded again"})
	isOpen(t, a, 1)
	b.follow(t.Context())
	look()
	if list, err := b.store.OpenAlerts(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("another node closed the alert of a node that lives: %v %v", list, err)
	}
}
