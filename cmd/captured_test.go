package cmd

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/secrets"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/jackc/pgx/v5"
)

// startNode runs a project as a node of a database in this process.
func startNode(t *testing.T, dir, db, name string) (*server, func()) {
	t.Helper()
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t.Context(), serveOptions{dir: dir, db: db, node: name, addr: "127.0.0.1:0", adminAddr: "127.0.0.1:0",
		grace: time.Second, log: slog.New(slog.DiscardHandler)}, l)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	reloads := make(chan struct{})
	go func() { defer close(reloads); _ = s.reloads(ctx, nil, nil) }()
	return s, func() {
		cancel()
		<-reloads
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// posted sends a body with headers to the hook of a node, and returns the status.
func posted(t *testing.T, s *server, body string, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.hooksURL()+"/hooks/hook", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestHandshakeSecretIsSharedByAllNodes: an operator asks for it at one node, the provider sends it to
// another one, and within a second both accept its deliveries, as does a node that starts later. The first
// secret counts. The project's folder does not have it.
func TestHandshakeSecretIsSharedByAllNodes(t *testing.T) {
	t.Parallel()
	db := postgrestest.Shared(t).Database(t)
	dir := projectIn(t, map[string]string{
		"hookloom.yaml": "triggers: {hook: {webhook: {provider: asana, secret: \"${{ secrets.ASANA_SECRET }}\"}}}\n"})
	a, stopA := startNode(t, dir, db, "a")
	defer stopA()
	b, stopB := startNode(t, dir, db, "b")
	defer stopB()
	if code := posted(t, b, "{}", "X-Hook-Secret", "one-secret-of-asana"); code != http.StatusForbidden {
		t.Errorf("a secret that nobody awaits: %d", code)
	}
	if _, err := a.hooks.AwaitSecret("hook"); err != nil {
		t.Fatal(err)
	}
	for asked := time.Now(); posted(t, b, "{}", "X-Hook-Secret", "one-secret-of-asana") != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Since(asked) > 5*time.Second { // half a second, but for a busy machine
			t.Fatal("the other node does not take the secret")
		}
	}
	captured := time.Now()
	n := 0
	delivered := func(s *server, secret string) bool {
		n++
		body := fmt.Sprintf(`{"events":[{"action":"changed","resource":{"gid":"%d"},"created_at":"2026-01-01T00:00:00Z"}]}`, n)
		m := hmac.New(sha256.New, []byte(secret))
		m.Write([]byte(body))
		return posted(t, s, body, "X-Hook-Signature", hex.EncodeToString(m.Sum(nil)))/100 == 2
	}
	for _, s := range []*server{a, b} {
		for !delivered(s, "one-secret-of-asana") {
			if time.Since(captured) > 5*time.Second { // a second, but for a busy machine
				t.Fatal("a node does not know the secret")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	t.Logf("all nodes know it after %s", time.Since(captured))
	code := posted(t, a, "{}", "X-Hook-Secret", "another-secret-of-somebody")
	if code != http.StatusForbidden && code != http.StatusUnauthorized {
		t.Errorf("a second secret: %d", code)
	}
	late, stop := startNode(t, dir, db, "late")
	defer stop()
	if !delivered(late, "one-secret-of-asana") || delivered(late, "another-secret-of-somebody") {
		t.Error("a node that starts later has another secret")
	}
	c, err := pgx.Connect(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // each statement is committed
	if _, err := c.Exec(t.Context(), `DELETE FROM hookloom.captured_secrets`); err != nil {
		t.Fatal(err)
	}
	for removed := time.Now(); delivered(a, "one-secret-of-asana"); time.Sleep(50 * time.Millisecond) {
		if time.Since(removed) > 5*time.Second {
			t.Fatal("a secret that was removed is accepted")
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".env")); err == nil {
		t.Error("a node wrote the secret into its folder")
	}
	code, out, errs := ran(t, "secrets", "list", "--dir", dir)
	says(t, "list without the database", code, exitOK, out+errs, "not set")
}

// TestUnloadableSecretIsTriedAgain, but not each time that the database is read.
func TestUnloadableSecretIsTriedAgain(t *testing.T) {
	t.Parallel()
	x := sharedOf(t, postgrestest.Shared(t).Database(t))
	if err := x.Open("hook", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := x.capture("hook", "KEY", "a-secret-of-a-provider"); err != nil {
		t.Fatal(err)
	}
	<-x.changed
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { x.follow(ctx, time.Millisecond); close(ended) }()
	defer func() { cancel(); <-ended }()
	for i := range 2 {
		if err := x.use(ctx, &secrets.Set{}); err != nil { // and loading the project then fails
			t.Fatal(err)
		}
		select {
		case <-x.changed:
		case <-time.After(time.Minute):
			t.Fatalf("after %d times the project is not loaded again", i)
		}
	}
	x.inUse()
}

// TestSecretIsNotAwaitedWithAnotherKey than that of the stored secrets: it would be captured for nothing.
func TestSecretIsNotAwaitedWithAnotherKey(t *testing.T) {
	t.Parallel()
	x := sharedOf(t, postgrestest.Shared(t).Database(t))
	until := time.Now().Add(time.Minute)
	if err := x.Open("hook", until); err != nil {
		t.Fatal(err)
	}
	if err := x.capture("hook", "KEY", "a-secret-of-a-provider"); err != nil {
		t.Fatal(err)
	}
	if err := x.Open("other", until); err != nil {
		t.Errorf("with the same key: %v", err)
	}
	x.keys = seal.New(t.TempDir())
	if _, err := x.keys.Key("any"); err != nil { // which creates the key
		t.Fatal(err)
	}
	err := x.Open("third", until)
	if err == nil || !strings.Contains(err.Error(), "secret KEY from an earlier handshake") || !strings.Contains(err.Error(), "HOOKLOOM_KEY") {
		t.Errorf("with another key: %v", err)
	}
	if awaited, err := x.store.AwaitedSecrets(t.Context()); err != nil || !awaited["third"].IsZero() || awaited["other"].IsZero() {
		t.Errorf("awaited: %v, %v", awaited, err)
	}
}

// TestHandshakesDoNotQueueDuringADatabaseOutage: anyone can send them.
func TestHandshakesDoNotQueueDuringADatabaseOutage(t *testing.T) {
	t.Parallel()
	db := postgrestest.Shared(t).Database(t)
	x := sharedOf(t, db)
	c, err := pgx.Connect(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // it is only read
	if _, err := c.Exec(t.Context(), `BEGIN; LOCK TABLE hookloom.awaited_secrets IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var senders sync.WaitGroup
	for range 20 {
		senders.Go(func() {
			if !x.Awaited("hook", time.Now()) {
				t.Error("the provider is refused, and not told to try again")
			}
		})
	}
	senders.Wait()
	if took := time.Since(began); took > 5*windowTime {
		t.Errorf("20 handshakes took %s", took)
	}
}

// sharedOf are the shared secrets of a node of a database.
func sharedOf(t *testing.T, db string) *sharedSecrets {
	t.Helper()
	s, err := store.Open(t.Context(), db, store.Options{Verb: "serve", Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &sharedSecrets{store: s, keys: seal.New(t.TempDir()), log: slog.New(slog.DiscardHandler), changed: make(chan struct{}, 1)}
}
