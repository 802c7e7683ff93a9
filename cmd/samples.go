package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// poll polls a trigger now.
func (s *server) poll(ctx context.Context, trigger string) (any, error) {
	report, err := s.inlets.Poll(ctx, trigger)
	var elsewhere *triggers.ElsewhereError
	if errors.As(err, &elsewhere) {
		list, listed := s.store.Nodes(ctx)
		for _, n := range list {
			if listed == nil && slices.Contains(n.Leases, elsewhere.Work) {
				elsewhere.Node = n.Name + " " + n.Admin
			}
		}
		return nil, elsewhere
	}
	return report, err
}

// sample creates a signed delivery of a trigger's provider and passes it to the handler that
// senders use.
func (s *server) sample(ctx context.Context, trigger, kind string) (int, string, error) {
	t := s.project.Load().Triggers[trigger]
	if t == nil || t.Webhook == nil {
		return 0, "", fmt.Errorf("trigger %q with a webhook: %w", trigger, engine.ErrNotFound)
	}
	x, err := triggers.Sample(s.project.Load(), trigger, s.secrets.Load().Lookup, triggers.SampleOrder{Type: kind, Base: s.hooksURL()})
	if err != nil {
		return 0, "", err
	}
	url := s.hooksURL() + x.Path
	if len(x.Query) > 0 {
		url += "?" + x.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, x.Method, url, bytes.NewReader(x.Body))
	if err != nil {
		return 0, "", err
	}
	req.Header, req.RemoteAddr = x.Header.Clone(), "127.0.0.1:0"
	w := &heldAnswer{status: http.StatusOK, header: http.Header{}}
	s.hooks.ServeHTTP(w, req)
	return w.status, w.body.String(), nil
}

// checkSample verifies a signed sample of a trigger's provider, and stores nothing.
func (s *server) checkSample(ctx context.Context, trigger, kind string) (result, reason string, _ []*engine.Delivery, _ error) {
	p := s.project.Load()
	if t := p.Triggers[trigger]; t == nil || t.Webhook == nil {
		return "", "", nil, fmt.Errorf("trigger %q with a webhook: %w", trigger, engine.ErrNotFound)
	}
	deps := &triggers.Deps{Secret: s.secrets.Load().Lookup, Fetch: fetcher(s.guard.Client())}
	v, ds, err := triggers.JudgeSample(ctx, p, trigger, deps, triggers.SampleOrder{Type: kind, Base: s.hooksURL()}, time.Now())
	if err != nil {
		return "", "", nil, err
	}
	return v.Result, v.Reason, ds, nil
}

// heldAnswer keeps the response of a handler.
type heldAnswer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// admit verifies a quarantined delivery again.
func (s *server) admit(ctx context.Context, id string) (engine.Receipt, error) {
	item, _, err := s.store.History().Refusal(ctx, id)
	if err != nil {
		return engine.Receipt{}, err
	}
	if item.Event != "" {
		return engine.Receipt{}, fmt.Errorf("%s was admitted already, as %s", id, item.Event)
	}
	url, body, err := s.store.RefusedRequest(ctx, id)
	if err != nil {
		return engine.Receipt{}, err
	}
	receipt, err := s.hooks.VerifyAgain(ctx, &engine.Refusal{At: item.At, Trigger: item.Trigger, Method: item.Method, Path: item.Path,
		URL: url, Headers: item.Headers, Body: body, Size: item.Size})
	if err != nil {
		return engine.Receipt{}, err
	}
	n, err := store.ParseRefusalID(id)
	if err != nil {
		return engine.Receipt{}, err
	}
	return receipt, s.store.Admitted(ctx, n, receipt.Event)
}

// Header implements http.ResponseWriter, as do Write and WriteHeader.
func (a *heldAnswer) Header() http.Header { return a.header }

// Write keeps a part of the body.
func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }

// WriteHeader keeps the status.
func (a *heldAnswer) WriteHeader(status int) { a.status = status }
