package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/workflows"
)

// tokenServer is an authorization server with rotating refresh tokens: a token is valid until its
// successor is used.
type tokenServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	current  int
	mode     string
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests++
		w.Header().Set("Content-Type", "application/json")
		refuse := func(status int, code string) { w.WriteHeader(status); fmt.Fprintf(w, `{"error": %q}`, code) }
		switch used := r.FormValue("refresh_token"); {
		case s.mode == "down":
			w.WriteHeader(http.StatusBadGateway)
		case s.mode == "error with 200":
			refuse(200, "temporarily_unavailable")
		case s.mode == "revoked",
			used != fmt.Sprintf("refresh-secret-%d", s.current) && used != fmt.Sprintf("refresh-secret-%d", s.current-1):
			refuse(400, "invalid_grant")
		default:
			if used == fmt.Sprintf("refresh-secret-%d", s.current) {
				s.current++
			}
			fmt.Fprintf(w, `{"access_token": "access-secret-%d", "refresh_token": "refresh-secret-%d", "expires_in": 3600}`,
				s.requests, s.current)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) set(mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
}

func (s *tokenServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// place is a project with a database, and the processes that use it.
type place struct {
	dir string
	db  *store.Store
	log bytes.Buffer
	to  map[string]auth.Connection
	// linked returns its connections with other secrets.
	linked func(secrets map[string]string) map[string]auth.Connection
}

func newPlace(t *testing.T, s *tokenServer) *place {
	return placeWith(t, fmt.Sprintf(`{oauth2: {grant: refresh_token, token_url: %q, client_id: id, client_secret: "${{ secrets.SECRET }}",
      refresh_token: "${{ secrets.R }}", auth_style: params}}`, s.URL),
		map[string]string{"SECRET": "client-secret", "R": "refresh-secret-0"})
}

// placeWith returns a project whose connection crm has the given auth.
func placeWith(t *testing.T, written string, secrets map[string]string) *place {
	p := &place{dir: t.TempDir()}
	yaml := "connections:\n  crm:\n    connector: http\n    base_url: https://crm.example.com\n    auth: " + written + "\n"
	if err := os.WriteFile(filepath.Join(p.dir, "hookloom.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	project, mistakes := workflows.Load(p.dir, workflows.Catalog{Actions: actions.Catalog()}, func(string) bool { return true })
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	p.linked = func(secrets map[string]string) map[string]auth.Connection {
		return actions.Tokens(actions.Link(project, func(n string) (string, bool) { return secrets[n], true }))
	}
	p.to = p.linked(secrets)
	p.open(t)
	return p
}

func (p *place) open(t *testing.T) {
	options := store.Options{Redactor: &redact.Redactor{}, Log: slog.New(slog.DiscardHandler)}
	db, err := store.Open(t.Context(), filepath.Join(p.dir, "hookloom.db"), options)
	if err != nil {
		t.Fatal(err)
	}
	p.db = db
	t.Cleanup(func() { _ = db.Close() })
}

func (p *place) process(s engine.TokenStore) *auth.Source {
	return auth.New(auth.Options{Store: s, Sealer: seal.New(p.dir), Client: http.DefaultClient,
		Log: slog.New(slog.NewTextHandler(&p.log, nil))})
}

func ready(t *testing.T, s *auth.Source, c auth.Connection) (*auth.Credential, error) {
	k := s.For(c)
	return k, k.Ready(t.Context())
}

func TestOneTokenIsFetchedForAllWaitersOfAllProcesses(t *testing.T) {
	p, server := placeOfToken(t)
	fetchOnce(t, p, server, p.db, p.db)
}

// TestOneTokenIsFetchedForAllWaitersOfTwoNodes: of one database on PostgreSQL.
func TestOneTokenIsFetchedForAllWaitersOfTwoNodes(t *testing.T) {
	p, server := placeOfToken(t)
	address := postgrestest.Shared(t).Database(t)
	var nodes []*store.Store
	for _, name := range []string{"a", "b"} {
		s, err := store.Open(t.Context(), address, store.Options{Verb: "serve", Node: name, Redactor: &redact.Redactor{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		nodes = append(nodes, s)
	}
	fetchOnce(t, p, server, nodes[0], nodes[1])
}

func placeOfToken(t *testing.T) (*place, *tokenServer) {
	server := newTokenServer(t)
	return newPlace(t, server), server
}

// fetchOnce checks that 50 callers of two processes share one token.
func fetchOnce(t *testing.T, p *place, server *tokenServer, a, b engine.TokenStore) {
	t.Helper()
	first, second := p.process(a), p.process(b)
	var wg sync.WaitGroup
	var failed atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			if _, err := ready(t, []*auth.Source{first, second}[i%2], p.to["crm"]); err != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 || server.count() != 1 {
		t.Errorf("%d failed, and there were %d token requests for 50 steps of two processes", failed.Load(), server.count())
	}
}

func TestRefusedTokenIsRenewedOnceForAllCalls(t *testing.T) {
	server := newTokenServer(t)
	p := newPlace(t, server)
	source := p.process(p.db)
	var calls []*auth.Credential // all with the first token
	for range 50 {
		k, err := ready(t, source, p.to["crm"])
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, k)
	}
	var wg sync.WaitGroup
	for _, k := range calls {
		wg.Go(func() {
			again, err := k.Renew(t.Context(), 401, nil)
			if !again || err != nil {
				t.Errorf("not renewed: %v", err)
			}
			if again, _ := k.Renew(t.Context(), 401, nil); again {
				t.Error("renewed twice in one call")
			}
		})
	}
	wg.Wait()
	if n := server.count(); n != 2 {
		t.Errorf("%d token requests for 50 refused calls; want 2", n)
	}
}

// crashing is a store that executes neither its n-th write nor any later one.
type crashing struct {
	engine.TokenStore
	left int
}

var errCrash = errors.New("the process ended")

func (c *crashing) write() error {
	if c.left--; c.left < 0 {
		return errCrash
	}
	return nil
}

func (c *crashing) ClaimToken(ctx context.Context, name, owner string, now, until time.Time) (engine.TokenState, bool, error) {
	if err := c.write(); err != nil {
		return engine.TokenState{}, false, err
	}
	// The next process must not wait for the claim to expire.
	return c.TokenStore.ClaimToken(ctx, name, owner, now, now)
}

func (c *crashing) SaveToken(ctx context.Context, owner string, t engine.TokenState) error {
	if err := c.write(); err != nil {
		return err
	}
	return c.TokenStore.SaveToken(ctx, owner, t)
}

func TestACrashAtAnyWriteLosesNoRefreshToken(t *testing.T) {
	for writes := range 5 {
		server := newTokenServer(t)
		p := newPlace(t, server)
		source := p.process(&crashing{p.db, writes})
		k, err := ready(t, source, p.to["crm"])
		if err == nil {
			_, err = k.Renew(t.Context(), 401, nil)
		}
		source.Close()
		if (err == nil) != (writes >= 4) {
			t.Fatalf("with %d writes: %v", writes, err)
		}
		if err := p.db.Close(); err != nil {
			t.Fatal(err)
		}
		p.open(t)
		k, err = ready(t, p.process(p.db), p.to["crm"])
		if err == nil {
			_, err = k.Renew(t.Context(), 401, nil)
		}
		if err != nil {
			t.Errorf("after a crash with %d writes: %v", writes, err)
		}
	}
}

func TestTokenEndpointErrorIsRetriedAndARevokedGrantHolds(t *testing.T) {
	server := newTokenServer(t)
	p := newPlace(t, server)
	source := p.process(p.db)
	for _, mode := range []string{"down", "error with 200"} {
		server.set(mode)
		_, err := ready(t, source, p.to["crm"])
		var held *engine.HeldError
		if err == nil || errors.As(err, &held) || !strings.Contains(err.Error(), "connection crm") {
			t.Errorf("%s: %v", mode, err)
		}
	}
	server.set("revoked")
	before := server.count()
	for range 3 {
		_, err := ready(t, source, p.to["crm"])
		var held *engine.HeldError
		if !errors.As(err, &held) || !strings.Contains(held.Why, "set a new refresh token, then reload") {
			t.Errorf("revoked: %v", err)
		}
	}
	if n := server.count() - before; n != 1 {
		t.Errorf("a revoked grant was tried %d times", n)
	}
}

func TestDatabaseAndLogContainNoPlainToken(t *testing.T) {
	server := newTokenServer(t)
	p := newPlace(t, server)
	source := p.process(p.db)
	if _, err := ready(t, source, p.to["crm"]); err != nil {
		t.Fatal(err)
	}
	server.set("revoked")
	_, _ = source.For(p.to["crm"]).Renew(t.Context(), 401, nil)
	states, err := p.db.Tokens(t.Context())
	if err != nil || len(states) != 1 || len(states[0].Sealed) == 0 {
		t.Fatalf("%v %v", states, err)
	}
	text, err := json.Marshal(states)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "hookloom.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	text = append(text, p.log.Bytes()...)
	for _, secret := range []string{"access-secret", "refresh-secret", "client-secret"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s stands in clear", secret)
		}
	}
}
