package cmd

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// oauthServer starts an authorization server with an API that accepts its tokens, and sets OAUTH to
// its URL. After POST /revoke it refuses every grant and token issued so far; /restore ends that.
func oauthServer(ts *testscript.TestScript, _ bool, _ []string) {
	x := &authorizationServer{valid: map[string]bool{}, challenges: map[string]string{}}
	server := httptest.NewServer(x)
	ts.Defer(server.Close)
	ts.Setenv("OAUTH", server.Listener.Addr().String())
}

type authorizationServer struct {
	mu         sync.Mutex
	revoked    bool
	issued     int
	valid      map[string]bool
	challenges map[string]string // of RFC 7636, by code
}

func (x *authorizationServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/revoke", "/restore":
		x.revoked = r.URL.Path == "/revoke"
		clear(x.valid)
	case "/authorize":
		code := fmt.Sprint("code-", len(x.challenges))
		x.challenges[code] = r.FormValue("code_challenge")
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?code="+code+"&state="+r.FormValue("state"), http.StatusFound)
	case "/token":
		x.token(w, r)
	default:
		if !x.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

func (x *authorizationServer) token(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	proved := r.FormValue("grant_type") != "authorization_code" ||
		x.challenges[r.FormValue("code")] == base64.RawURLEncoding.EncodeToString(sum[:])
	if x.revoked || !proved {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error": "invalid_grant"}`)
		return
	}
	x.issued++
	token := fmt.Sprintf("access-token-%d-in-clear", x.issued)
	x.valid[token] = true
	refresh := ""
	if r.FormValue("grant_type") != "client_credentials" {
		refresh = fmt.Sprintf(`"refresh_token": "refresh-token-%d-in-clear", `, x.issued)
	}
	fmt.Fprintf(w, `{"access_token": %q, %s"token_type": "Bearer", "expires_in": 3600}`, token, refresh)
}

var addressToOpen = regexp.MustCompile(`http://\S+/authorize\?\S+`)

// browse requests the URL that a file will contain, like a browser: browse FILE.
func browse(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(ts.MkAbs(args[0])) // it appears later
		if u := addressToOpen.Find(text); u != nil {
			resp, err := http.Get(string(u))
			ts.Check(err)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				ts.Fatalf("the page after the answer: %s", resp.Status)
			}
			return
		}
	}
	ts.Fatalf("%s names no address to open", args[0])
}
