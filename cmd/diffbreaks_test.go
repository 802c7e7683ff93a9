package cmd

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// runEngine runs a project's engine on a database until do returns.
func runEngine(t *testing.T, path string, p *workflows.Project, do func(e *machine.Engine, s *store.Store)) {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	e := machine.New(machine.Options{Store: s, Actions: actions.Executors(actions.Options{Client: http.DefaultClient, Log: log}),
		Log: log, Grace: time.Second})
	if err := e.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	do(e, s)
	stop()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestARunWhoseVersionCannotBeCompiledEnds checks that diff says so of an open run whose version can no
// longer be compiled, and that the engine then ends the run as diff says.
func TestARunWhoseVersionCannotBeCompiledEnds(t *testing.T) {
	p, err := backtestedProject("on: hook\nsteps:\n  - sleep: 2s\n  - {uses: log, with: {message: hi}}\n")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.db")
	runEngine(t, path, p, func(e *machine.Engine, s *store.Store) {
		now := time.Now().UTC()
		d := &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: "k", Type: "hook", Time: now, ReceivedAt: now, Dedupe: time.Hour,
			Headers: map[string]string{"content-type": "application/json"}, Raw: []byte(`{"id": "1"}`)}
		if _, err := e.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		waitForRun(t, s, "waiting")
	})
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	// What an older program accepted and this one does not: there is no such workflow to make by hand.
	_, err = db.Exec(`UPDATE versions SET text = 'on: hook' || char(10) || 'steps: [{explode: now}]'`)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	p, err = backtestedProject("on: hook\nsteps:\n  - {uses: log, with: {message: edited}}\n")
	if err != nil {
		t.Fatal(err)
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := breakages(t.Context(), h, p)
	if err = errors.Join(err, h.Close()); err != nil || len(list) != 1 || list[0].Kind != runEnds || list[0].Runs != 1 {
		t.Fatalf("%+v: %v", list, err)
	}
	var out bytes.Buffer
	(&app{out: &out}).printBreakages(list)
	if text := out.String(); !strings.Contains(text, "breaking: 1 open run of w (version "+list[0].Version+") would end as failed: ") ||
		!strings.Contains(text, "explode") {
		t.Errorf("it says %q", text)
	}
	runEngine(t, path, p, func(_ *machine.Engine, s *store.Store) { waitForRun(t, s, "failed") })
}

// waitForRun waits until the only run has a status.
func waitForRun(t *testing.T, s *store.Store, status string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		runs, err := s.History().Runs(t.Context(), engine.Query{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) == 1 && runs[0].Status == status {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the runs are %+v, not %s", runs, status)
		}
	}
}
