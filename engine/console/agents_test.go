package console_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/console"
)

// TestAgentsNeedATokenAndActWithItsRole sends requests to the protocol's path, and calls the API on behalf of their tokens.
func TestAgentsNeedATokenAndActWithItsRole(t *testing.T) {
	var seen []string
	o := tokens("operate-token", "view-token")
	o.MCP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		seen = append(seen, fmt.Sprintf("%s %s %v %d %t", r.Method, console.RoleOf(r.Context()), r.Header["X-Hookloom-Remote"],
			len(b), err != nil))
	})
	c, op := made(t, o)
	k, _ := login(t, c, "operate-token", "/", nil)
	const spoofed = "203.0.113.9:1"
	for _, x := range []struct {
		method string
		header map[string]string
		size   int
		status int
		seen   string
	}{
		{"POST", map[string]string{"Authorization": "Bearer view-token", "X-Hookloom-Remote": spoofed}, 9, 200,
			"POST view [192.0.2.1:1234] 9 false"},
		{"POST", map[string]string{"Authorization": "Bearer operate-token"}, 4 << 20, 200, "POST operate [192.0.2.1:1234] 4194304 false"},
		{"POST", map[string]string{"Authorization": "Bearer operate-token"}, 4<<20 + 1, 200, "POST operate [192.0.2.1:1234] 4194304 true"},
		{"DELETE", map[string]string{"Authorization": "Bearer operate-token"}, 0, 200, "DELETE operate [192.0.2.1:1234] 0 false"},
		{"GET", map[string]string{"Authorization": "Bearer operate-token"}, 0, 405, ""},
		{"POST", map[string]string{"Cookie": k.Name + "=" + k.Value}, 9, 403, ""}, {"POST", nil, 9, 401, ""},
	} {
		seen = nil
		w := get(c, x.method, "/mcp", x.header, strings.Repeat("x", x.size))
		if w.Code != x.status || strings.Join(seen, ",") != x.seen {
			t.Errorf("%+v: %d %s, seen %q", x, w.Code, w.Body, seen)
		}
		if allow := w.Header().Get("Allow"); (allow == "POST, DELETE") != (x.status == 405) {
			t.Errorf("%+v: allows %q", x, allow)
		}
	}
	own := httptest.NewRequest("POST", "/mcp", nil)
	own.Header.Set("Authorization", "Bearer view-token")
	own.Header.Set("X-Hookloom-Remote", spoofed)
	if c.ServeHTTP(httptest.NewRecorder(), own); own.Header.Get("X-Hookloom-Remote") != spoofed {
		t.Error("the headers of the request itself are changed")
	}
	for _, x := range []struct {
		method, path, token, session string
		status                       int
		does                         string
	}{
		{"GET", "/api/v1/runs", "Bearer view-token", "", 200, ""},
		{"POST", "/api/v1/runs/run_0000000000000002/replay", "Bearer view-token", "", 403,
			"refused POST /api/v1/runs/run_0000000000000002/replay api 192.0.2.9"},
		{"POST", "/api/v1/runs/run_0000000000000002/replay", "Bearer operate-token", "", 202, "run.replay run_0000000000000002 api 192.0.2.9"},
		{"GET", "/api/v1/runs", "Bearer wrong", "", 401, ""}, {"GET", "/api/v1/runs", "", k.Value, 401, ""}, {"GET",
			"/api/v1/runs", "", "", 401, ""},
	} {
		op.audited = nil
		header := http.Header{"X-Hookloom-Remote": {"192.0.2.9:7"}}
		if x.token != "" {
			header.Set("Authorization", x.token)
		}
		if x.session != "" {
			header.Set("Cookie", k.Name+"="+x.session)
		}
		w := httptest.NewRecorder()
		c.OnBehalf(header).ServeHTTP(w, httptest.NewRequest(x.method, x.path, strings.NewReader("{}")))
		does := ""
		for _, a := range op.audited {
			does += fmt.Sprint(a.Action, " ", a.Target, " ", a.Who, " ", a.Remote)
		}
		if w.Code != x.status || does != x.does {
			t.Errorf("%s %s with %q: %d %s, audited %q", x.method, x.path, x.token, w.Code, w.Body, does)
		}
	}
	for range 5 {
		c.OnBehalf(http.Header{"Authorization": {"Bearer wrong"}, "X-Hookloom-Remote": {"192.0.2.9:7"}}).ServeHTTP(httptest.NewRecorder(),
			httptest.NewRequest("GET", "/api/v1/runs", nil))
	}
	w := httptest.NewRecorder()
	c.OnBehalf(http.Header{"Authorization": {"Bearer view-token"}, "X-Hookloom-Remote": {"192.0.2.9:7"}}).ServeHTTP(w,
		httptest.NewRequest("GET", "/api/v1/runs", nil))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" && w.Header().Get("Retry-After") != "2" &&
		w.Header().Get("Retry-After") != "3" {
		t.Errorf("after guesses: %d %v", w.Code, w.Header())
	}
	if console.RoleOf(t.Context()) != "" {
		t.Error("a request that was not admitted has a role")
	}
}

// TestServerWithoutAgentsHasNoPathForThem also checks the other parts that a server may lack.
func TestServerWithoutAgentsHasNoPathForThem(t *testing.T) {
	c, _ := made(t, tokens("a-token", ""))
	auth := map[string]string{"Authorization": "Bearer a-token"}
	for path, want := range map[string]int{"/mcp": 404, "/metrics": 404, "/connections/callback": 404} {
		if w := get(c, "GET", path, auth, ""); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := get(c, "POST", "/api/v1/triggers/shop/await-secret", auth, ""); w.Code != 404 || !strings.Contains(w.Body.String(),
		"does not accept secrets") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(console.Operations()) < 40 || console.Operations()[0].Method != "POST" || console.Operations()[0].About == "" {
		t.Errorf("%+v", console.Operations())
	}
}

// TestPlainHTTPIsForProxiesAndLoopbackOnly checks who may use it on an address that others can reach.
func TestPlainHTTPIsForProxiesAndLoopbackOnly(t *testing.T) {
	o := tokens("a-token", "")
	o.Loopback, o.TLS = false, true
	c, _, p := madeOf(t, o)
	p.Server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")}
	for from, want := range map[string]int{"192.0.2.1:9": 200, "192.0.2.4:9": 403, "127.0.0.1:9": 200,
		"[::ffff:192.0.2.1]:9": 200, "[2001:db8::1]:9": 403,
		"nonsense": 403} {
		r := httptest.NewRequest("GET", "http://admin.example/api/v1/runs", nil)
		r.RemoteAddr = from
		r.Header.Set("Authorization", "Bearer a-token")
		w := httptest.NewRecorder()
		if c.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d, want %d", from, w.Code, want)
		}
	}
}

// TestTokensOfACallerMustDiffer checks every pair of equal tokens, and which tokens suffice.
func TestTokensOfACallerMustDiffer(t *testing.T) {
	named := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, x := range []struct {
		t        console.Tokens
		loopback bool
		want     string
	}{
		{console.Tokens{Operate: "a", Named: named("ada", "a")}, true, "server.token and server.tokens.ada are the same"},
		{console.Tokens{View: "a", Named: named("ada", "a")}, true, "server.view_token and server.tokens.ada are the same"},
		{console.Tokens{Named: named("bob", "a", "ada", "a")}, true, "server.tokens.ada and server.tokens.bob are the same"},
		{console.Tokens{Named: named("bob", "b", "ada", "a")}, false, ""}, {console.Tokens{}, true, ""},
		{console.Tokens{View: "a"}, false, "needs a token"}, {console.Tokens{Operate: "a", View: "b", Named: named("ada", "c")}, false, ""},
	} {
		err := console.Reachable(x.loopback, true, false, x.t)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v", x.t, err)
		}
	}
}
