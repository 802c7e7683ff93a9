package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// files are the project: each event of the trigger shop has a run that calls another and waits for the
// event that it emits, is in one run of a debounce and in one of a batch, and cancels a run of the
// event before it. No workflow listens to noise.
var files = map[string]string{
	"hookloom.yaml": "triggers: {shop: {webhook: {auth: none}}, noise: {webhook: {auth: none}}, paid: {}}\n",
	"workflows/order.yaml": "on: shop\nsteps:\n  - {id: c, call: charge, with: {n: \"${{ event.key }}\"}}\n" +
		"  - {wait: {event: paid, key: \"${{ event.key }}\"}, timeout: 1h}\noutput: ${{ steps.c.output }}\n",
	"workflows/charge.yaml": "on: call\ninputs: {n: {type: string}}\nsteps:\n  - {sleep: 20ms}\n" +
		"  - {uses: hookloom/emit, with: {trigger: paid, key: \"${{ inputs.n }}\", data: {n: \"${{ inputs.n }}\"}}}\noutput: ${{ inputs.n }}\n",
	"workflows/last.yaml": "on: shop\ndebounce: {key: event.data.n % 5, wait: 20ms, max: 200ms}\nsteps: [{set: {a: 1}}]\n",
	"workflows/all.yaml":  "on: shop\nbatch: {key: event.data.n % 3, size: 10, wait: 50ms}\nsteps: [{set: {a: 1}}]\n",
	"workflows/ended.yaml": "on: shop\nwhen: event.data.n % 4 == 0\ncancel_on: {event: shop, key: event.data.n % 16}\n" +
		"steps: [{sleep: 100ms}]\nfinally: [{set: {a: 1}}]\n",
}

// pruneAge is the age from which bodies are pruned.
const pruneAge = 300 * time.Millisecond

// withEngine runs the engine on a store until use returns.
func withEngine(s *store.Store, use func(ctx context.Context, e *machine.Engine) error) (err error) {
	dir, err := os.MkdirTemp("", "powercut-project-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog()}, nil)
	if mistakes.Errors() > 0 {
		return mistakes
	}
	log := slog.New(slog.DiscardHandler)
	e := machine.New(machine.Options{Store: s, Log: log,
		Actions: actions.Executors(actions.Options{Client: &http.Client{}, Log: log}), Secrets: func(string) (string, bool) { return "", false }})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := e.Use(ctx, p); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	err = use(ctx, e)
	cancel()
	return errors.Join(err, <-ended)
}

// write accepts events from several senders and prints the id of each when it is acknowledged. Their
// runs are executed meanwhile, and the bodies of half of the events are pruned, so that cuts also hit
// checkpoints and deletions.
func write(dir, mode string, load time.Duration) error {
	return open(dir, mode, func(s *store.Store) error {
		return withEngine(s, func(ctx context.Context, e *machine.Engine) error {
			var wg sync.WaitGroup
			var out sync.Mutex
			errs := make(chan error, 8)
			end := time.Now().Add(load)
			for sender := range 8 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := 0; i < maxEvents && time.Now().Before(end); i++ {
						key := fmt.Sprintf("%d-%d", sender, i)
						if _, err := e.Accept(ctx, delivery(key, i)); err != nil {
							errs <- err
							return
						}
						out.Lock()
						fmt.Println(key)
						out.Unlock()
					}
				}()
			}
			pruned := 0
			for time.Now().Before(end) {
				// A caller has read the result of the run that it called by then.
				n, err := s.Prune(ctx, engine.PruneOrder{Now: time.Now(), Bodies: time.Now().Add(-pruneAge), DefaultDedupe: time.Hour})
				if err != nil {
					return err
				}
				pruned += n.Bodies
				time.Sleep(100 * time.Millisecond)
			}
			wg.Wait()
			if pruned == 0 {
				return errors.New("nothing was pruned while events came")
			}
			select {
			case err := <-errs:
				return err
			default:
			}
			// Not closed: a power cut does not close it either.
			os.Exit(0)
			return nil
		})
	})
}

// delivery is the event of a sender; every second one is noise.
func delivery(key string, n int) *engine.Delivery {
	now := time.Now().UTC()
	trigger := []string{"shop", "noise"}[n%2]
	return &engine.Delivery{Trigger: trigger, Inlet: workflows.InletWebhook, Key: key, Type: "t", Time: now, ReceivedAt: now,
		Headers: map[string]string{"content-type": "application/json"}, Dedupe: time.Hour,
		Raw: fmt.Appendf(nil, `{"n":%d,"key":%q,"pad":%q}`, n/2, key, strings.Repeat("x", 600))}
}
