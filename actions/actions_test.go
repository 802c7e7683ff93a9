package actions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// allActions are read once: tests ask for them often, and change none.
var allActions = sync.OnceValue(func() map[string]*workflows.ActionSpec {
	all := map[string]*workflows.ActionSpec{}
	for _, s := range actions.Catalog().All() {
		all[s.Name] = s
	}
	return all
})

// catalog returns the actions by name.
func catalog(t testing.TB) map[string]*workflows.ActionSpec {
	t.Helper()
	return allActions()
}

func client(t testing.TB, allow ...string) *http.Client {
	t.Helper()
	g, err := egress.NewGuard(allow)
	if err != nil {
		t.Fatal(err)
	}
	return g.Client()
}

// do makes one attempt of an action.
func do(t testing.TB, ctx context.Context, name string, with map[string]any, connections map[string]*workflows.Connection) (any, error) {
	t.Helper()
	spec := catalog(t)[name]
	if spec == nil {
		t.Fatalf("no action %s", name)
	}
	doer := name
	if spec.Connector != nil {
		doer = "connector"
	}
	a := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})[doer]
	return a.Do(ctx, engine.Input{Spec: spec, With: with, Key: "hl_key", Run: 1, Path: "a", Attempt: 1, Connections: connections,
		Secret: func(n string) (string, bool) { return "secret-of-" + n, true }})
}

// connections parses connections like a project.
func connections(t testing.TB, yaml string) map[string]*workflows.Connection {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog()}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	return p.Connections
}

func TestRequestsAreSentAsWritten(t *testing.T) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id": 12345678901234567890, "n": 7}`)
	}))
	defer server.Close()
	for _, c := range []struct {
		name, action string
		with         map[string]any
		method, path string
		header, body string
	}{
		{"JSON", "http/post", map[string]any{"url": server.URL + "/a", "body": map[string]any{"n": 1, "f": 2.5}}, "POST", "/a",
			"Content-Type: application/json", `{"f":2.5,"n":1}`},
		{"form", "http/post", map[string]any{"url": server.URL, "form": map[string]any{"b": "x y", "a": 1}}, "POST", "/",
			"Content-Type: application/x-www-form-urlencoded", "a=1&b=x+y"},
		{"text", "http/put", map[string]any{"url": server.URL, "text": "hi"}, "PUT", "/", "Content-Type: text/plain; charset=utf-8", "hi"},
		{"raw", "http/post", map[string]any{"url": server.URL, "raw": "aGk="}, "POST", "/", "Content-Type: application/octet-stream", "hi"},
		{"query", "http/get", map[string]any{"url": server.URL + "/q?a=1", "query": map[string]any{"b": "x&y"}}, "GET", "/q?a=1&b=x%26y", "", ""},
		{"bearer", "http/get", map[string]any{"url": server.URL, "auth": map[string]any{"bearer": "t"}}, "GET", "/",
			"Authorization: Bearer t", ""},
		{"basic", "http/get", map[string]any{"url": server.URL, "auth": map[string]any{"basic": map[string]any{"user": "u", "password": "p"}}},
			"GET", "/", "Authorization: Basic dTpw", ""},
		{"key in a header", "http/get",
			map[string]any{"url": server.URL, "auth": map[string]any{"header": map[string]any{"name": "x-api-key", "value": "k"}}}, "GET", "/",
			"X-Api-Key: k", ""},
		{"idempotency key", "http/post", map[string]any{"url": server.URL}, "POST", "/", "Idempotency-Key: hl_key", ""},
		{"own idempotency key", "http/post", map[string]any{"url": server.URL, "idempotency_key": "mine"}, "POST", "/",
			"Idempotency-Key: mine", ""},
		{"method", "http/request", map[string]any{"url": server.URL, "method": "DELETE"}, "DELETE", "/", "", ""},
	} {
		out, err := do(t, t.Context(), c.action, c.with, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		k, v, _ := strings.Cut(c.header, ": ")
		if got.Method != c.method || got.URL.RequestURI() != c.path || got.Header.Get(k) != v && k != "" || string(body) != c.body {
			t.Errorf("%s: %s %s %v %q", c.name, got.Method, got.URL.RequestURI(), got.Header, body)
		}
		answer := out.(map[string]any)["body"].(map[string]any)
		if answer["id"] != json.Number("12345678901234567890") || answer["n"] != 7 {
			t.Errorf("%s: digits were lost: %v", c.name, answer)
		}
	}
}

// TestHostileTargetsGiveErrorsWithAdvice is the contract of all actions with external
// effects.
func TestHostileTargetsGiveErrorsWithAdvice(t *testing.T) {
	var mu sync.Mutex
	status, header := 200, http.Header{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		for k, v := range header {
			w.Header()[k] = v
		}
		status := status
		mu.Unlock()
		// Only a server that has read the body notices that the client disconnected.
		_, _ = io.Copy(io.Discard, r.Body)
		switch status {
		case -1: // endless
			w.WriteHeader(200)
			chunk := bytes.Repeat([]byte("x"), 64<<10)
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case -2: // reset after the request arrived
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
		case -3: // never answers
			<-r.Context().Done()
		case -4: // garbage that claims to be JSON
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"a": }`)
		default:
			w.WriteHeader(status)
		}
	}))
	defer server.Close()
	dead := httptest.NewServer(nil)
	dead.Close()
	private := "http://10.255.255.1/"
	for _, action := range []string{"http/post", "webhook/send", "cloudevents/send"} {
		for _, c := range []struct {
			name, url  string
			status     int
			retryAfter string
			code       string
			retryable  bool
			unanswered bool
			wait       time.Duration
		}{
			{"429 with a wait", server.URL, 429, "7", "http_status", true, false, 7 * time.Second},
			{"a wait of years", server.URL, 503, "999999999", "http_status", true, false, 24 * time.Hour},
			{"a wait of garbage", server.URL, 503, "soon", "http_status", true, false, 0},
			{"500", server.URL, 500, "", "http_status", true, false, 0},
			{"501", server.URL, 501, "", "http_status", false, false, 0},
			{"404", server.URL, 404, "", "http_status", false, false, 0},
			{"a redirect", server.URL, 302, "", "http_status", false, false, 0},
			{"reset", server.URL, -2, "", "network", true, true, 0},
			{"no answer", server.URL, -3, "", "network", true, true, 0},
			{"nobody there", dead.URL, 0, "", "network", true, false, 0},
			{"a private address", private, 0, "", "address_not_allowed", false, false, 0},
			{"no HTTP", "ftp://example.com/", 0, "", "invalid_request", false, false, 0},
			{"a password in the URL", "http://u:p@127.0.0.1/", 0, "", "invalid_request", false, false, 0},
			{"endless", server.URL, -1, "", "too_large", false, false, 0},
		} {
			mu.Lock()
			status, header = c.status, http.Header{}
			if c.retryAfter != "" {
				header.Set("Retry-After", c.retryAfter)
			}
			mu.Unlock()
			limit := time.Minute
			if c.status == -3 { // never answered
				limit = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := do(t, ctx, action, map[string]any{"url": c.url, "body": map[string]any{"a": 1}, "type": "a", "source": "/b"}, nil)
			cancel()
			var e *plan.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Retryable != c.retryable || errors.Is(err, engine.ErrUnanswered) != c.unanswered ||
				e.RetryAfter != c.wait {
				t.Errorf("%s, %s: %v %+v", action, c.name, err, e)
			}
		}
	}
}

func TestHeadersCannotInjectLines(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer server.Close()
	for name, value := range map[string]string{"X-A": "a\r\nX-B: b", "X-C": "a\x00b", "Host": "evil", "Content-Length": "5",
		"Transfer-Encoding": "chunked", "X D": "a", "X-E\r\nX-F": "a", "": "a", "X-Ünï": "a"} {
		if _, err := do(t, t.Context(), "http/get", map[string]any{"url": server.URL, "headers": map[string]any{name: value}}, nil); err == nil {
			t.Errorf("%q: %q was sent", name, value)
		}
	}
}

// TestUserNameWithAColonIsRefused: RFC 7617 ends the user at the first colon, so the receiver would
// read another user and another password.
func TestUserNameWithAColonIsRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer server.Close()
	auth := map[string]any{"basic": map[string]any{"user": "shop:eu", "password": "p"}}
	if _, err := do(t, t.Context(), "http/get", map[string]any{"url": server.URL, "auth": auth}, nil); err == nil ||
		!strings.Contains(err.Error(), "colon") || strings.Contains(err.Error(), "shop") {
		t.Errorf("%v", err)
	}
}

func TestAcceptDefinesSuccess(t *testing.T) {
	status := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	for _, c := range []struct {
		accept any
		status int
		ok     bool
	}{{nil, 204, true}, {nil, 404, false}, {404, 404, true}, {[]any{200, "400-499"}, 410, true}, {"200-299", 300, false},
		{"all", 200, false}} {
		status = c.status
		_, err := do(t, t.Context(), "http/get", map[string]any{"url": server.URL, "accept": c.accept}, nil)
		if (err == nil) != c.ok {
			t.Errorf("accept %v, answered %d: %v", c.accept, c.status, err)
		}
	}
}

// TestOutboundWebhooksVerify verifies the output of webhook/send with the receiver's code, and
// checks that two attempts have the same id and body.
func TestOutboundWebhooksVerify(t *testing.T) {
	var ids, bodies []string
	schemes := map[string]signature.Scheme{"": signature.Standard(), "github": signature.GitHub(), "stripe": signature.Stripe()}
	for name, s := range schemes {
		v, err := signature.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		key, err := v.NewKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		ids, bodies = nil, nil
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			if got := v.Verify(&signature.Request{Method: r.Method, Header: r.Header, Body: b}, []signature.Key{key}, time.Now()); !got.OK() {
				t.Errorf("scheme %q: %+v", name, got)
			}
			ids, bodies = append(ids, r.Header.Get("webhook-id")), append(bodies, string(b))
		}))
		with := map[string]any{"url": server.URL, "secret": secret, "type": "order.paid", "body": map[string]any{"order": "A-1"}}
		if name != "" {
			with["scheme"] = name
		}
		for range 2 {
			if _, err := do(t, t.Context(), "webhook/send", with, nil); err != nil {
				t.Error(err)
			}
		}
		server.Close()
		if len(ids) != 2 || ids[0] != ids[1] || bodies[0] != bodies[1] || ids[0] != "hl_key" {
			t.Errorf("%v %v", ids, bodies)
		}
		if want := `{"data":{"order":"A-1"},"timestamp":"2020-01-01T00:00:00Z","type":"order.paid"}`; bodies[0] != want {
			t.Errorf("body %s, want %s", bodies[0], want)
		}
	}
}

func TestCredentialsGoOnlyToTheirOwnHost(t *testing.T) {
	var auth []string
	server := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { auth = append(auth, r.Header.Get("Authorization")) }))
	defer server.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("the other host was called") }))
	defer other.Close()
	conns := connections(t, "connections:\n  shop: {connector: http, base_url: \""+server.URL+
		"/api\", auth: {bearer: \"${{ secrets.SHOP }}\"}}\n")
	for _, u := range []string{"/orders", server.URL + "/full"} {
		if _, err := do(t, t.Context(), "http/get", map[string]any{"url": u, "connection": "shop"}, conns); err != nil {
			t.Error(err)
		}
	}
	if fmt.Sprint(auth) != "[Bearer secret-of-SHOP Bearer secret-of-SHOP]" {
		t.Errorf("%v", auth)
	}
	for _, u := range []string{other.URL, "//" + strings.TrimPrefix(other.URL, "http://"), server.URL[:len(server.URL)-1]} {
		if _, err := do(t, t.Context(), "http/get", map[string]any{"url": u, "connection": "shop"}, conns); err == nil {
			t.Errorf("%s took the credential along", u)
		}
	}
}

func TestConnectorsFollowTheirServicesAPI(t *testing.T) {
	answer, status := "", 200
	var got *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	conns := connections(t, "connections:\n  hubspot: {base_url: \""+server.URL+"\", token: \"${{ secrets.H }}\"}\n  slack: {base_url: \""+
		server.URL+"\", token: \"${{ secrets.S }}\"}\n")
	for _, c := range []struct {
		action string
		with   map[string]any
		status int
		answer string
		sent   string
		body   string
		out    string
		code   string
	}{
		{"hubspot/contacts.upsert", map[string]any{"email": "a@b.c", "properties": map[string]any{"x": 1}}, 200,
			`{"results":[{"id":"51","new":true}]}`,
			"POST /crm/v3/objects/contacts/batch/upsert", `{"inputs":[{"id":"a@b.c","idProperty":"email","properties":{"x":1}}]}`,
			`{"created":true,"id":"51"}`, ""},
		{"hubspot/contacts.find", map[string]any{"email": "a@b.c"}, 200, `{"results":[]}`, "POST /crm/v3/objects/contacts/search",
			`{"filterGroups":[{"filters":[{"operator":"EQ","propertyName":"email","value":"a@b.c"}]}],"limit":1}`, `null`, ""},
		{"hubspot/deals.create", map[string]any{"properties": map[string]any{"dealname": "d"}}, 201, `{"id":"9"}`, "POST /crm/v3/objects/deals",
			`{"properties":{"dealname":"d"}}`, `{"id":"9"}`, ""},
		{"hubspot/deals.update", map[string]any{"id": "8/8?x", "properties": map[string]any{"a": "b"}}, 200, `{"id":"88","updatedAt":"t"}`,
			"PATCH /crm/v3/objects/deals/8%2F8%3Fx", `{"properties":{"a":"b"}}`, `{"id":"88","updated_at":"t"}`, ""},
		{"hubspot/deals.update", map[string]any{"id": "9", "properties": map[string]any{}}, 404, `{"message":"no"}`,
			"PATCH /crm/v3/objects/deals/9", `{"properties":{}}`, "", "not_found"},
		{"hubspot/deals.find", map[string]any{"property": "order", "value": "A-1"}, 200, `{"results":[{"id":"1","properties":{"a":"b"}}]}`,
			"POST /crm/v3/objects/deals/search",
			`{"filterGroups":[{"filters":[{"operator":"EQ","propertyName":"order","value":"A-1"}]}],"limit":1}`,
			`{"id":"1","properties":{"a":"b"}}`, ""},
		{"slack/post", map[string]any{"channel": "#a", "text": "hi"}, 200, `{"ok":true,"ts":"1.2","channel":"C1"}`, "POST /chat.postMessage",
			`{"channel":"#a","text":"hi"}`, `{"channel":"C1","ts":"1.2"}`, ""},
		{"slack/post", map[string]any{"channel": "#a", "text": "hi"}, 200, `{"ok":false,"error":"not_in_channel"}`, "POST /chat.postMessage",
			`{"channel":"#a","text":"hi"}`, "", "slack_error"},
		{"slack/post", map[string]any{"channel": "#a", "text": "hi"}, 200, `not json`, "POST /chat.postMessage", `{"channel":"#a","text":"hi"}`,
			"", "any"},
	} {
		answer, status = c.answer, c.status
		out, err := do(t, t.Context(), c.action, c.with, conns)
		var e *plan.Error
		if c.code != "" {
			if !errors.As(err, &e) || e.Code != c.code && c.code != "any" {
				t.Errorf("%s: %v, want code %s", c.action, err, c.code)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.action, err)
		} else if b, _ := value.EncodeJSON(out); string(b) != c.out {
			t.Errorf("%s: output %s, want %s", c.action, b, c.out)
		}
		if sent := got.Method + " " + got.URL.EscapedPath(); sent != c.sent || body != c.body ||
			!strings.HasPrefix(got.Header.Get("Authorization"), "Bearer secret-of-") || got.Header.Get("Idempotency-Key") != "hl_key" {
			t.Errorf("%s: sent %s %s %v", c.action, sent, body, got.Header)
		}
	}
	if _, err := do(t, t.Context(), "hubspot/deals.create", map[string]any{"properties": map[string]any{}}, nil); err == nil ||
		!strings.Contains(err.Error(), "no connection") {
		t.Errorf("without a connection: %v", err)
	}
}

func TestEveryActionHasHelpAndAnExample(t *testing.T) {
	for name, s := range catalog(t) {
		if s.Help == "" {
			t.Errorf("%s has no help", name)
		}
		if s.SideEffects && s.Example == nil {
			t.Errorf("%s has no example output", name)
		}
	}
}
