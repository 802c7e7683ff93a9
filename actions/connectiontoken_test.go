package actions_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// TestEveryActionWithAConnectionSendsItsToken also checks that the same request is sent again with
// a new token if the receiver refuses the first.
func TestEveryActionWithAConnectionSendsItsToken(t *testing.T) {
	issued := 0
	var got []string
	ids := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			issued++
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer", "expires_in": 3600}`, issued)
			return
		}
		got = append(got, r.URL.Path+" "+r.Header.Get("Authorization"))
		ids[r.Header.Get("Webhook-Id")+r.Header.Get("Ce-Id")] = true
		if r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	for _, c := range []struct {
		name string
		with map[string]any
	}{
		{"http/post", map[string]any{"body": map[string]any{"a": 1}}},
		{"webhook/send", map[string]any{"body": map[string]any{"a": 1}, "secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="}},
		{"cloudevents/send", map[string]any{"type": "a.b", "source": "/s", "mode": "binary", "data": map[string]any{"a": 1}}},
	} {
		issued, got = 0, nil
		clear(ids)
		project, source := connected(t, server.URL)
		table := actions.Executors(actions.Options{Client: server.Client(), Auth: source})
		c.with["connection"], c.with["url"] = "crm", "/in"
		in := engine.Input{With: c.with, Key: "key", Run: 1, Connections: project.Connections,
			Secret: func(string) (string, bool) { return "client-secret", true }}
		if _, err := table[c.name].Do(t.Context(), in); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if want := []string{"/v1/in Bearer token-1", "/v1/in Bearer token-2"}; !slices.Equal(got, want) || len(ids) != 1 {
			t.Errorf("%s sent %q with the ids %v; want %q with one id", c.name, got, ids, want)
		}
		if x, ok := table[c.name].(engine.Connected); !ok || x.Connection(in) != "crm" {
			t.Errorf("%s does not tell which connection it uses: its runs would not wait for it", c.name)
		}
		if x, ok := table[c.name].(engine.Endpointed); ok && x.Endpoint(in) != server.URL+"/v1/in" {
			t.Errorf("%s: endpoint %s", c.name, x.Endpoint(in))
		}
	}
}

// TestSpaceInAConfiguredQueryIsEncoded checks it, since servers refuse a request line with a space in
// the URL.
func TestSpaceInAConfiguredQueryIsEncoded(t *testing.T) {
	got := ""
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
	defer server.Close()
	table := actions.Executors(actions.Options{Client: server.Client()})
	in := engine.Input{With: map[string]any{"url": server.URL + "/a?prefix=a b"}}
	if _, err := table["http/get"].Do(t.Context(), in); err != nil || got != "/a?prefix=a%20b" {
		t.Errorf("asked for %q: %v", got, err)
	}
}

// connected returns a project whose connection crm gets its tokens from a server.
func connected(t *testing.T, server string) (*workflows.Project, *auth.Source) {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("egress: {allow: [127.0.0.1]}\nconnections:\n  crm:\n    connector: http\n    base_url: %[1]s/v1\n    auth: {oauth2: "+
		"{grant: client_credentials, token_url: \"%[1]s/token\", client_id: id, client_secret: \"${{ secrets.S }}\"}}\n", server)
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	project, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog()}, func(string) bool { return true })
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), filepath.Join(dir, "hookloom.db"), store.Options{Redactor: &redact.Redactor{}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	source := auth.New(auth.Options{Store: db, Sealer: seal.New(dir), Client: http.DefaultClient, Log: log})
	t.Cleanup(source.Close)
	return project, source
}
