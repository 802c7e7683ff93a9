package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

func (a *app) benchBacktestCmd() *cobra.Command {
	events := 20_000
	c := &cobra.Command{Use: "backtest", Short: "Measure a backtest over events of 1.2 KB through three steps", Args: cobra.NoArgs,
		Long: `Makes a history of events of 1.2 KB, each processed by a workflow of three steps, and
compares an edited copy of the workflow with it. No request is sent. It prints the
events compared per second, and the memory used.`,
		Example: "  hookloom bench backtest --events 100000",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if events < 1 {
				return usageError("--events must be at least 1")
			}
			dir, err := os.MkdirTemp("", "hookloom-bench-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			return a.benchBacktest(c.Context(), filepath.Join(dir, "hookloom.db"), events)
		}}
	c.Flags().IntVar(&events, "events", events, "number of events in the history")
	return c
}

const benchBacktested = `on: hook
when: event.data.amount > 100
steps:
  - {id: order, uses: http/post, with: {url: "https://orders.example.com/${{ event.data.id }}", body: {amount: "${{ event.data.amount }}"}}}
  - {id: mail, uses: http/post, with: {url: "https://mail.example.com/", body: {text: "order ${{ steps.order.output.body.id }}"}}}
  - {id: note, uses: log, with: {message: "${{ event.data.id }}"}}
`

// backtestedProject parses a workflow as the only one of a project.
func backtestedProject(flow string) (*workflows.Project, error) {
	c, err := catalog()
	if err != nil {
		return nil, err
	}
	p, mistakes := workflows.LoadFiles(".", workflows.Files{"workflows/w.yaml": []byte(flow),
		"hookloom.yaml": []byte("triggers: {hook: {webhook: {auth: none, key: body.id}}}")}, c, nil)
	if mistakes.Errors() > 0 {
		return nil, mistakes
	}
	return p, nil
}

// answeringAtOnce is an action that returns at once, without a request.
type answeringAtOnce struct{}

// Do implements engine.Action.
func (answeringAtOnce) Do(context.Context, engine.Input) (any, error) {
	return map[string]any{"status": 200, "headers": map[string]any{"content-type": "application/json"},
		"body": map[string]any{"id": "ord_1", "ok": true}}, nil
}

func (a *app) benchBacktest(ctx context.Context, path string, events int) (err error) {
	fmt.Fprintf(a.err, "making a history of %d events\n", events)
	if err := benchHistory(ctx, path, events); err != nil {
		return err
	}
	edited, err := backtestedProject(strings.NewReplacer("> 100", "> 110", "text:", "body:").Replace(benchBacktested))
	if err != nil {
		return err
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	runtime.GC()
	began, peak, unknown := time.Now(), uint64(0), 0
	progress := a.progress()
	r, err := backtest.Run(ctx, backtest.Options{History: h, Project: edited,
		Actions: actions.Executors(actions.Options{}),
		Change:  func(backtest.Change) error { return nil }, Unknown: func(backtest.Unknown) error { unknown++; return nil },
		Progress: func(n int) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			progress(n)
		}})
	if err != nil {
		return err
	}
	took := time.Since(began)
	rate := float64(r.Events) / took.Seconds()
	if a.json() {
		return a.printJSON(map[string]any{"events": r.Events, "seconds": took.Seconds(), "per_second": rate, "heap_mb": peak >> 20,
			"unknown": unknown, "kinds": r.Kinds})
	}
	a.printf("%d events in %.1f s: %.0f a second, 100,000 in %.0f s; at most %d MB of heap; %d runs are unknown\n", r.Events, took.Seconds(),
		rate, 1e5/rate, peak>>20, unknown)
	return nil
}

// benchHistory runs the workflow for events with the engine.
func benchHistory(ctx context.Context, path string, events int) (err error) {
	p, err := backtestedProject(benchBacktested)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, path, store.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	log := slog.New(slog.DiscardHandler)
	table := actions.Executors(actions.Options{Log: log})
	table["http/post"] = answeringAtOnce{}
	e := machine.New(machine.Options{Store: s, Actions: table, Log: log, Grace: time.Second})
	if err := e.Use(ctx, p); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(working) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()
	filler := strings.Repeat("lorem ipsum ", 95)
	for i := 0; i < events; i += 100 {
		var list []*engine.Delivery
		for n := i; n < min(i+100, events); n++ {
			now := time.Now().UTC()
			id := fmt.Sprintf("o%d", n)
			list = append(list, &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: id, Type: "hook", Time: now, ReceivedAt: now,
				Dedupe: time.Hour, Headers: map[string]string{"content-type": "application/json"},
				Raw: fmt.Appendf(nil, `{"id":%q,"amount":%d,"text":%q}`, id, 101+n%90, filler)})
		}
		if _, err := e.AcceptAll(ctx, list); err != nil {
			return err
		}
		if err := idle(ctx, s, 2000); err != nil {
			return err
		}
	}
	return idle(ctx, s, 0)
}

// idle waits until at most some events and runs are open.
func idle(ctx context.Context, s *store.Store, most int) error {
	for {
		c, err := s.History().Counts(ctx)
		if err != nil || c.Open+c.Inbox <= most {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
