//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// nodeModules returns the folder with an npm package that .ci/run installs. A test that needs it is
// skipped if it is missing.
func nodeModules(t *testing.T, pkg string) string {
	t.Helper()
	dir := os.Getenv("HOOKLOOM_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(dir, pkg)); dir == "" || err != nil {
		t.Skipf("SKIPPED: HOOKLOOM_NODE_MODULES names no folder with the npm package %s", pkg)
	}
	return dir
}

// tokenServer is npm's oauth2-mock-server behind a proxy that counts, delays or drops token
// requests, and an API that accepts the issued tokens until they expire.
type tokenServer struct {
	*httptest.Server
	mu       sync.Mutex
	mode     string // "", error, revoked, slow or down
	life     string // of tokens, in seconds
	requests int
	issued   map[string]time.Time // when each access token expires
	secret   []string             // all tokens and refresh tokens issued
	taken    int                  // API calls with a valid token
	refused  int
}

func newTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	modules := nodeModules(t, "oauth2-mock-server")
	c := exec.Command("node", "testdata/oauth2-server.mjs", modules)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Skipf("SKIPPED: node cannot be started: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := &tokenServer{life: "3600", issued: map[string]time.Time{}}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))})
	proxy.ModifyResponse = s.record
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/"):
			s.api(w, r)
		case r.URL.Path == "/token":
			s.mu.Lock()
			s.requests++
			mode := s.mode
			r.Header.Set("X-Mode", mode)
			r.Header.Set("X-Life", s.life)
			s.mu.Unlock()
			if mode == "down" {
				panic(http.ErrAbortHandler)
			}
			if mode == "slow" {
				time.Sleep(time.Second)
			}
			fallthrough
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// record records the tokens in a response of the token endpoint.
func (s *tokenServer) record(r *http.Response) error {
	if r.Request.URL.Path != "/token" {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	var t struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Life    int    `json:"expires_in"`
	}
	if err := json.Unmarshal(b, &t); err != nil || t.Access == "" {
		return nil //nolint:nilerr // an answer without a token
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued[t.Access] = time.Now().Add(time.Duration(t.Life) * time.Second)
	s.secret = append(s.secret, t.Access)
	if t.Refresh != "" {
		s.secret = append(s.secret, t.Refresh)
	}
	return nil
}

func (s *tokenServer) api(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until, ok := s.issued[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; !ok || time.Now().After(until) {
		s.refused++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.taken++
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"ok": true}`)
}

// set sets the lifetime of the next tokens in seconds, and the mode of the token endpoint. It
// resets the counts.
func (s *tokenServer) set(mode, life string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode, s.life, s.requests, s.taken, s.refused = mode, life, 0, 0, 0
}

// expireAll makes the API refuse every token issued so far.
func (s *tokenServer) expireAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.issued)
}

func (s *tokenServer) want(t *testing.T, what string, requests, taken, refused int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests != requests || s.taken != taken || s.refused != refused {
		t.Errorf("%s: %d token requests, %d calls taken and %d refused; want %d, %d and %d", what, s.requests, s.taken, s.refused,
			requests, taken, refused)
	}
}

const oauthConfig = `egress: {allow: [127.0.0.1]}
connections:
  machine: {connector: http, base_url: "BASE/api", auth: {oauth2: {grant: client_credentials, token_url: "BASE/token",
    client_id: id, client_secret: "${{ secrets.CLIENT_SECRET }}", scopes: [crm.write]}}}
  keeper: {connector: http, base_url: "BASE/api", auth: {oauth2: {grant: refresh_token, token_url: "BASE/token",
    client_id: id, client_secret: "${{ secrets.CLIENT_SECRET }}", refresh_token: "${{ secrets.REFRESH }}"}}}
  person: {connector: http, base_url: "BASE/api", auth: {oauth2: {grant: authorization_code, authorize_url: "BASE/authorize",
    token_url: "BASE/token", client_id: id, client_secret: "${{ secrets.CLIENT_SECRET }}", scopes: [openid]}}}
`

func oauthProject(t *testing.T, s *tokenServer) *project {
	t.Helper()
	call := func(connection string) string {
		return "{uses: http/post, with: {connection: " + connection + ", url: /contacts, body: {a: 1}}"
	}
	return newProject(t, map[string]string{
		"hookloom.yaml":         strings.ReplaceAll(oauthConfig, "BASE", s.URL),
		".env":                  "CLIENT_SECRET=client-secret-0123456789\nREFRESH=first-refresh-token\n",
		"workflows/crowd.yaml":  "on: manual\nsteps:\n  - {id: all, foreach: 1..50, as: n, max_parallel: 50, " + call("machine")[1:] + "}\n",
		"workflows/long.yaml":   "on: manual\nsteps:\n  - " + call("machine") + "}\n  - sleep: 2s\n  - " + call("machine") + "}\n",
		"workflows/keeper.yaml": "on: manual\nsteps:\n  - " + call("keeper") + "}\n  - sleep: 2s\n  - " + call("keeper") + "}\n",
		"workflows/retry.yaml":  "on: manual\nsteps:\n  - " + call("keeper") + ", retry: {max: 40, delay: 200ms, factor: 1}}\n",
		"workflows/error.yaml":  "on: manual\nsteps:\n  - " + call("machine") + ", retry: 0}\n",
		"workflows/person.yaml": "on: manual\nsteps:\n  - " + call("person") + "}\n",
	})
}

// ran starts a workflow, waits for its end, and returns the status and error of its last run.
func (p *project) ran(t *testing.T, workflow string) (status, problem string) {
	t.Helper()
	if out, err := p.run("send", workflow); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.idle(t)
	return p.lastRun(t, workflow)
}

func (p *project) lastRun(t *testing.T, workflow string) (status, problem string) {
	t.Helper()
	run := p.latest(t, workflow)
	return run.Status, run.Error
}

// TestConnectionsUseARealTokenServer gets its tokens from npm's oauth2-mock-server.
func TestConnectionsUseARealTokenServer(t *testing.T) {
	realProcess(t)
	s := newTokenServer(t)
	p := oauthProject(t, s)
	server := p.start(t)
	succeeds := func(workflow string) {
		t.Helper()
		if status, problem := p.ran(t, workflow); status != "succeeded" {
			t.Errorf("%s: %s: %s", workflow, status, problem)
		}
	}

	s.set("slow", "3600")
	succeeds("crowd")
	s.want(t, "50 steps at once, at a slow token endpoint", 1, 50, 0)

	s.set("", "1")
	s.expireAll()
	succeeds("long")
	s.want(t, "a token that the service refuses, and one that expires in the middle of the run", 2, 2, 1)

	s.set("", "1")
	succeeds("keeper")
	s.want(t, "a refresh token that rotates", 2, 2, 0)
	server.stop(t)
	server = p.start(t)
	time.Sleep(1100 * time.Millisecond) // the stored access token expires
	s.set("", "3600")
	succeeds("keeper")
	s.want(t, "the refresh token that was stored, after a restart", 1, 2, 0)

	s.expireAll()
	s.set("down", "3600")
	if out, err := p.run("send", "retry"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	time.Sleep(700 * time.Millisecond)
	s.mu.Lock()
	if s.requests == 0 || s.taken > 0 {
		t.Errorf("while the token endpoint is down: %d token requests, %d calls", s.requests, s.taken)
	}
	s.mode = ""
	s.mu.Unlock()
	p.idle(t)
	if status, problem := p.lastRun(t, "retry"); status != "succeeded" {
		t.Errorf("after the token endpoint was down: %s: %s", status, problem)
	}

	s.expireAll()
	s.set("error", "3600")
	time.Sleep(time.Second)
	if status, problem := p.ran(t, "error"); status != "failed" || !strings.Contains(problem, "temporarily_unavailable") {
		t.Errorf("an error with status 200: %s: %s", status, problem)
	}
	personConnects(t, s, p, 1)
	revokedWaits(t, s, p)
	if out, err := p.run("backup", filepath.Join(p.dir, "copy.db")); err != nil && !onServer(p.db) {
		t.Errorf("%v\n%s", err, out)
	}
	server.stop(t)
	checkNoPlainSecret(t, p.dir, append(s.secret, "client-secret-0123456789"), server.log.String())
}

var signIn = regexp.MustCompile(`http://\S+/authorize\?\S+`)

// personConnects signs in, and runs the workflow of the connection. calls is the number of calls
// expected then.
func personConnects(t *testing.T, s *tokenServer, p *project, calls int) {
	t.Helper()
	s.set("", "3600")
	signsIn(t, p, "person")
	if status, problem := p.ran(t, "person"); status != "succeeded" {
		t.Errorf("after hookloom connect: %s: %s", status, problem)
	}
	s.want(t, "authorization code", 1, calls, 0)
	if out, err := p.run("connections"); err != nil || !strings.Contains(out, "johndoe") {
		t.Errorf("the account: %v\n%s", err, out)
	}
}

// revokedWaits checks that a run of a connection whose grant was revoked waits for a person, and
// continues.
func revokedWaits(t *testing.T, s *tokenServer, p *project) {
	t.Helper()
	s.expireAll()
	s.set("revoked", "3600")
	if out, err := p.run("send", "person"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if out, err := p.run("connections"); err == nil && strings.Contains(out, "needs_person") {
			break
		}
	}
	if status, _ := p.lastRun(t, "person"); status != "waiting" {
		t.Errorf("with a revoked grant the run is %s", status)
	}
	personConnects(t, s, p, 2) // the waiting run, and one more
}

// checkNoPlainSecret checks that no secret is in a file of a folder (except .env), or in a log.
func checkNoPlainSecret(t *testing.T, dir string, secrets []string, log string) {
	t.Helper()
	has := func(where string, text []byte) {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds the secret %.12s... in clear", where, secret)
			}
		}
	}
	has("the log", []byte(log))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == ".env" {
			return err
		}
		text, err := os.ReadFile(path)
		has(path, text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
