package secrets_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// vault is a fake of the parts of Vault's API that are used, by its documentation
// (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2, .../auth/approle,
// .../auth/kubernetes). A real server is not available from the package sources of the test
// machines: the module proxy has no version of OpenBao, and the server of Vault 1.20 does not build
// from it, because it needs the sdk of its own repository at an untagged commit.
type vault struct {
	*httptest.Server
	mu      sync.Mutex
	secrets map[string]map[string]any
	seen    []string
	// status, if set, is the status of all responses.
	status atomic.Int64
}

func newVault(t *testing.T) *vault {
	v := &vault{secrets: map[string]map[string]any{}}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *vault) put(path string, data map[string]any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.secrets[path] = data
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	v.seen = append(v.seen, r.Method+" "+path+" "+r.Header.Get("X-Vault-Namespace"))
	fail := func(status int, errs ...string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": errs})
	}
	if s := v.status.Load(); s != 0 {
		fail(int(s), "Vault is sealed")
		return
	}
	if strings.HasPrefix(path, "auth/") {
		var body map[string]string
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &body); err != nil || r.Method != http.MethodPost {
			fail(400, "no JSON")
			return
		}
		switch {
		case path == "auth/approle/login" && body["role_id"] == "the-role" && body["secret_id"] == "the-secret-id",
			path == "auth/k8s/login" && body["role"] == "shop" && body["jwt"] == "the.service.jwt":
			_ = json.NewEncoder(w).Encode(map[string]any{"auth": map[string]any{"client_token": "root", "lease_duration": 3600}})
		default:
			fail(400, "invalid role or secret ID "+body["secret_id"])
		}
		return
	}
	switch data := v.secrets[path]; {
	case r.Header.Get("X-Vault-Token") != "root":
		fail(403, "permission denied for "+r.Header.Get("X-Vault-Token"))
	case data == nil:
		fail(404)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "1", "data": map[string]any{"data": data,
			"metadata": map[string]any{"version": 3}}})
	}
}

// TestVaultIsReadWithEachKindOfLogin checks that the paths, the namespace and the fields are the
// configured ones.
func TestVaultIsReadWithEachKindOfLogin(t *testing.T) {
	v := newVault(t)
	v.put("secret/data/shop", map[string]any{"KEY": "of shop", "PORT": 5432, "LIVE": true, "LIST": []int{1}})
	v.put("kv/team/data/shop/db", map[string]any{"url": "postgres://x"})
	dir := t.TempDir()
	write(t, dir, "token", "root\n")
	write(t, dir, "jwt", "the.service.jwt")
	write(t, dir, ".env", "SID=the-secret-id\nVAULT_TOKEN=root\nMINE=root\n")
	address := `address: "` + v.URL + `", path: shop`
	for name, login := range map[string]string{
		"VAULT_TOKEN": "", "token": `, token: "${{ secrets.MINE }}"`, "token file": ", token_file: token",
		"AppRole":    `, approle: {role_id: the-role, secret_id: "${{ secrets.SID }}"}`,
		"Kubernetes": ", kubernetes: {role: shop, mount: k8s, token_file: jwt}",
	} {
		t.Run(name, func(t *testing.T) {
			s := project(t, dir, "secrets:\n  vault: {"+address+", namespace: team-a"+login+"}\n"+
				"  names: {DB: {vault: {mount: kv/team, path: shop/db, field: url}}}\n", nil)
			s.Ask(t.Context(), []string{"KEY", "DB", "PORT", "LIVE"})
			for k, want := range map[string]string{"KEY": "of shop", "DB": "postgres://x", "PORT": "5432", "LIVE": "true", "LIST": "", "GONE": ""} {
				if got, _ := s.Lookup(k); got != want {
					problem, _ := s.Explain(k)
					t.Errorf("%s is %q: %s", k, got, problem)
				}
			}
		})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	logins := 0
	for _, line := range v.seen {
		if !strings.HasSuffix(line, " team-a") {
			t.Errorf("%s: without the namespace", line)
		}
		if strings.HasPrefix(line, "POST") {
			logins++
		}
	}
	if logins != 2 || len(v.seen) != 5*2+2 {
		t.Errorf("one login and one request a path is enough: %q", v.seen)
	}
}

// TestAFieldOfVaultIsNotAskedForAList: it may be set, and is not known.
func TestAFieldOfVaultIsNotAskedForAList(t *testing.T) {
	v := newVault(t)
	v.put("secret/data/shop", map[string]any{"url": "postgres://x"})
	dir := t.TempDir()
	write(t, dir, ".env", "VAULT_TOKEN=root\n")
	s := project(t, dir, "secrets:\n  vault: {address: '"+v.URL+"', path: other}\n  names: {DB: {vault: {path: shop, field: url}}}\n", nil)
	if _, ok := s.Known("DB"); ok || !s.MayBeSet("DB") || len(v.seen) > 0 {
		t.Errorf("known: %t; Vault was asked for %q", ok, v.seen)
	}
	if got, _ := s.Lookup("DB"); got != "postgres://x" {
		t.Errorf("DB is %q", got)
	}
	if got, _ := s.Known("DB"); got != "postgres://x" {
		t.Errorf("what was read is known no more: %q", got)
	}
}

// TestVaultRefusalHasTheRightAdvice checks the advice for each error, which must not contain what
// was sent.
func TestVaultRefusalHasTheRightAdvice(t *testing.T) {
	v := newVault(t)
	v.put("secret/data/shop", map[string]any{"OTHER": "x"})
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	t.Cleanup(other.Close)
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/secret/data/redirect":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/v1/secret/data/html":
			fmt.Fprint(w, "<html>")
		case "/v1/secret/data/v1":
			fmt.Fprint(w, `{"data": {"KEY": "a"}}`)
		case "/v1/secret/data/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		case "/v1/secret/data/silent":
			<-r.Context().Done()
		}
	}))
	t.Cleanup(odd.Close)
	secure := httptest.NewTLSServer(v)
	t.Cleanup(secure.Close)
	t.Setenv("VAULT_TOKEN", "root")
	t.Setenv("BAD", "s.bad-token-canary")
	for name, x := range map[string]struct{ vault, problem, advice string }{
		"another token": {`address: "` + v.URL + `", path: shop, token: "${{ secrets.BAD }}"`, "status 403: permission denied for ***",
			"read on secret/data/shop"},
		"no secret": {`address: "` + v.URL + `", path: gone`, "there is no secret at secret/gone", "vault kv get -mount=secret gone"},
		"a bad login": {`address: "` + v.URL + `", path: shop, approle: {role_id: r, secret_id: "${{ secrets.BAD }}"}`,
			"login was refused: status 400: invalid role or secret ID ***",
			"check role_id"},
		"no login": {`address: "` + v.URL + `", path: shop, token: "${{ secrets.UNSET }}"`, "needs secret UNSET, which is not set",
			"hookloom secrets set UNSET"},
		"no pod": {`address: "` + v.URL + `", path: shop, kubernetes: {role: r, token_file: gone}`, "no such file",
			"must run in a pod"},
		"redirected":     {`address: "` + odd.URL + `", path: redirect`, "status 307", "address of the active server"},
		"no JSON":        {`address: "` + odd.URL + `", path: html`, "its answer is not JSON", "Vault's API"},
		"KV 1":           {`address: "` + odd.URL + `", path: v1`, "no data.data", "KV version 2"},
		"endless":        {`address: "` + odd.URL + `", path: endless`, "cannot be read", "log"},
		"silent":         {`address: "` + odd.URL + `", path: silent`, "did not answer within 1s", "check address"},
		"nobody":         {`address: "http://127.0.0.1:1", path: shop`, "does not answer: connect: connection refused", "check address"},
		"no address":     {`path: shop`, "address of the server is not known", "VAULT_ADDR"},
		"an unknown CA":  {`address: "` + secure.URL + `", path: shop`, "unknown authority", "secrets.vault.ca"},
		"a CA without":   {`address: "` + secure.URL + `", path: shop, ca: gone.pem`, "no certificates", "PEM"},
		"the right path": {`address: "` + v.URL + `", path: shop`, "secret KEY is not set", "looked in"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			s := project(t, t.TempDir(), "secrets: {timeout: 1s, vault: {"+x.vault+"}}\n", nil)
			problem, advice := s.Explain("KEY")
			if !strings.Contains(problem, x.problem) || !strings.Contains(advice, x.advice) {
				t.Errorf("%s\n%s", problem, advice)
			}
			if strings.Contains(problem+advice, "canary") {
				t.Error("it tells a secret")
			}
			if time.Since(began) > 4*time.Second {
				t.Errorf("it took %s", time.Since(began))
			}
		})
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed, with the token")
	}
	v.status.Store(503)
	s := project(t, t.TempDir(), `secrets: {vault: {address: "`+v.URL+`", path: shop}}`, nil)
	if _, advice := s.Explain("KEY"); !strings.Contains(advice, "Vault is sealed") {
		t.Error(advice)
	}
	s = project(t, t.TempDir(), `secrets: {vault: {address: "`+v.URL+`", path: shop, approle: {role_id: r, secret_id: "${{ secrets.BAD }}"}}}`,
		nil)
	if problem, advice := s.Explain("KEY"); !strings.Contains(problem, "status 503") || !strings.Contains(advice, "Vault is sealed") {
		t.Errorf("a login at a server that is sealed: %s\n%s", problem, advice)
	}
	if last := v.seen[len(v.seen)-1]; !strings.HasPrefix(last, "POST auth/approle/login") {
		t.Errorf("asked without a login: %s", last)
	}
	v.status.Store(0)
	dir := t.TempDir()
	write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	s = project(t, dir, `secrets: {vault: {address: "`+secure.URL+`", path: shop, ca: ca.pem}}`, nil)
	if got, _ := s.Lookup("OTHER"); got != "x" {
		problem, _ := s.Explain("OTHER")
		t.Errorf("with its authority: %s", problem)
	}
}
