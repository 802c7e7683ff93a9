package actions_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
)

// TestOneAttemptIsOneRequest tests every action with an effect: the server keeps connections alive,
// reads the complete request, and closes the connection.
func TestOneAttemptIsOneRequest(t *testing.T) {
	const kept = 4
	var effects atomic.Int32
	var together sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			together.Done()
			together.Wait()
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // only the number of requests matters
		effects.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	conns := connections(t, "connections:\n  hubspot: {connector: hubspot, base_url: \""+server.URL+"\", token: \"${{ secrets.T }}\"}\n"+
		"  slack: {connector: slack, base_url: \""+server.URL+"\", token: \"${{ secrets.T }}\"}\n")
	url, object := server.URL+"/x", map[string]any{"a": 1}
	for _, c := range []struct {
		action string
		with   map[string]any
	}{
		{"http/request", map[string]any{"url": url, "method": "POST", "body": object}},
		{"http/post", map[string]any{"url": url}},
		{"http/post", map[string]any{"url": url, "form": object, "redirects": 3}},
		{"http/put", map[string]any{"url": url, "text": "x"}},
		{"http/patch", map[string]any{"url": url, "body": object}},
		{"http/delete", map[string]any{"url": url}},
		{"webhook/send", map[string]any{"url": url, "body": object}},
		{"webhook/send", map[string]any{"url": url, "body": object, "headers": map[string]any{"Idempotency-Key": "k"}}},
		{"hubspot/deals.create", map[string]any{"properties": object}},
		{"hubspot/deals.update", map[string]any{"id": "1", "properties": object}},
		{"slack/post", map[string]any{"channel": "#a", "text": "x"}},
	} {
		cl := client(t, "127.0.0.1")
		attempt := func(name string, with map[string]any) error {
			spec := catalog(t)[name]
			doer := name
			if spec.Connector != nil {
				doer = "connector"
			}
			_, err := actions.Executors(actions.Options{Client: cl})[doer].Do(t.Context(),
				engine.Input{Spec: spec, With: with,
					Key: "hl_key", Run: 1, Path: "a", Attempt: 1, Connections: conns, Secret: func(string) (string, bool) { return "s", true }})
			return err
		}
		together.Add(kept)
		var warm sync.WaitGroup
		for range kept {
			warm.Go(func() {
				if err := attempt("http/get", map[string]any{"url": url}); err != nil {
					t.Error(err)
				}
			})
		}
		warm.Wait()
		effects.Store(0)
		if err := attempt(c.action, c.with); !errors.Is(err, engine.ErrUnanswered) || effects.Load() != 1 {
			t.Errorf("%s: %v, the server counted %d requests", c.action, err, effects.Load())
		}
		cl.CloseIdleConnections()
	}
}
