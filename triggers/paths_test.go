package triggers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

const pathsProject = `server: {trusted_proxies: [10.0.0.0/8]}
triggers:
  tok: {webhook: {auth: none}}
  in: {webhook: {auth: none, path: /in/x/}}
  exact: {webhook: {auth: none, path: /both}}
  slash: {webhook: {auth: none, path: /both/}}
  hub: {webhook: {provider: github, secret: "${{ secrets.S }}"}}
`

// TestSlashesMakeNoDifference: a slash more or less is no reason to lose a delivery,
// unless it tells two triggers apart. What is stored is the path as it came.
func TestSlashesMakeNoDifference(t *testing.T) {
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, load(t, pathsProject), sink)
	for path, want := range map[string]string{
		"/hooks/tok": "tok", "/hooks/tok/": "tok", "//hooks/tok": "tok", "/hooks//tok//": "tok",
		"/in/x/": "in", "/in/x": "in", "//in//x": "in",
		"/both": "exact", "/both/": "slash",
		"/hooks/tokx": "", "/in": "", "/hooks/tok/x": "", "/": "",
	} {
		sink.taken = nil
		r := httptest.NewRequest("POST", "/", strings.NewReader(`{"p":"`+path+`"}`))
		r.URL.Path, r.RequestURI = path, path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch {
		case want == "" && w.Code != http.StatusNotFound:
			t.Errorf("%s: %d; want 404", path, w.Code)
		case want != "" && (len(sink.taken) != 1 || sink.taken[0].Trigger != want || sink.taken[0].Path != path):
			t.Errorf("%s: %d %s, %v; want trigger %s", path, w.Code, w.Body, sink.taken, want)
		}
	}
}

// TestWrongPathIsRecorded: a provider that was given a wrong path is seen in the
// quarantine, with the trigger that it may mean; what scanners ask for is not.
func TestWrongPathIsRecorded(t *testing.T) {
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, load(t, pathsProject), sink)
	for _, path := range []string{"/hooks/tokk", "/hooks/github", "/HOOKS/TOK", "/wp-login.php", "/hooks/hub/" + secrets["S"]} {
		post(h, "POST", path, http.Header{"Authorization": {"Bearer hidden"}, "X-Hub-Signature-256": {"sha256=aa"}, "X-Github-Event": {"push"}},
			[]byte("{}"))
	}
	h.Flush()
	got := map[string]engine.Refusal{}
	for _, r := range sink.refusals {
		got[r.Path] = r
		if r.Trigger != "" || r.Reason != "no such path" || r.Headers["authorization"] != "***" || r.Headers["x-hub-signature-256"] != "***" ||
			r.Headers["x-github-event"] != "push" {
			t.Errorf("%+v", r)
		}
	}
	if len(got) != 4 || !strings.Contains(got["/hooks/tokk"].Diagnosis, "trigger tok") ||
		!strings.Contains(got["/HOOKS/TOK"].Detail, "trigger tok") {
		t.Errorf("%d kept: %+v", len(got), got)
	}
	if _, ok := got["/hooks/hub/***"]; !ok {
		t.Errorf("the secret in a path is not masked: %+v", got)
	}
}

// TestAddressesBehindProxies: the address of a caller behind trusted proxies, in all the
// ways in which they write it. One that cannot be read is nobody's.
func TestAddressesBehindProxies(t *testing.T) {
	const config = `server: {trusted_proxies: [10.0.0.0/8]}
triggers: {hook: {webhook: {auth: none, allow_ips: [203.0.113.0/24, "2001:db8::/32", 10.0.0.0/8]}}}
`
	h := hooks(t, load(t, config), &memory{events: map[string]engine.EventID{}})
	for _, c := range []struct {
		name   string
		remote string
		header http.Header
		want   int
	}{
		{"plain", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.5"}}, 202},
		{"with a port, as Azure writes it", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.5:4711"}}, 202},
		{"IPv6 with brackets and port", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"[2001:db8::1]:443"}}, 202},
		{"IPv6 with brackets", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"[2001:db8::1]"}}, 202},
		{"a stranger with a port", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"198.51.100.7:4711"}}, 403},
		{"several lines, the last counts", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.5", "198.51.100.7"}}, 403},
		{"several lines, through two proxies", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.5", "10.0.0.2:80"}}, 202},
		{"unreadable: not the proxy's own address", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"unknown"}}, 403},
		{"empty", "10.0.0.1:1", http.Header{"X-Forwarded-For": {""}}, 403},
		{"Forwarded", "10.0.0.1:1", http.Header{"Forwarded": {`for=203.0.113.5;proto=https;by=10.0.0.1`}}, 202},
		{"Forwarded, IPv6 with a port", "10.0.0.1:1", http.Header{"Forwarded": {`For="[2001:db8::17]:4711"`}}, 202},
		{"Forwarded, several, the last counts", "10.0.0.1:1", http.Header{"Forwarded": {`for=203.0.113.5, for=198.51.100.7`}}, 403},
		{"Forwarded, several lines", "10.0.0.1:1", http.Header{"Forwarded": {`for=203.0.113.5`, `for="10.0.0.3:99"`}}, 202},
		{"Forwarded, hidden", "10.0.0.1:1", http.Header{"Forwarded": {`for=_hidden`}}, 403},
		{"no proxy: the header is anybody's", "198.51.100.7:1", http.Header{"X-Forwarded-For": {"203.0.113.5"}}, 403},
		{"the proxy itself", "10.0.0.1:1", nil, 202},
	} {
		r := httptest.NewRequest("POST", "/hooks/hook", strings.NewReader(`"`+c.name+`"`))
		r.RemoteAddr, r.Header = c.remote, c.header.Clone()
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d; want %d", c.name, w.Code, c.want)
		}
	}
}

// TestTheHostBehindProxies: the host that a sender signed for is what the outermost
// trusted proxy says, if it is one: not what the sender put before it, and not a host with
// a path.
func TestTheHostBehindProxies(t *testing.T) {
	const config = `server: {trusted_proxies: [10.0.0.0/8]}
triggers: {phone: {webhook: {provider: twilio, secret: "${{ secrets.S }}"}}}
`
	p := load(t, config)
	h := hooks(t, p, &memory{events: map[string]engine.EventID{}})
	for _, c := range []struct {
		name, signed string
		remote       string
		header       http.Header
		want         int
	}{
		{"the proxy's word", "https://hooks.example", "10.0.0.1:1", http.Header{"X-Forwarded-Host": {"hooks.example"},
			"X-Forwarded-Proto": {"https"}}, 200},
		{"after the sender's own", "https://hooks.example", "10.0.0.1:1", http.Header{"X-Forwarded-Host": {"evil.example, hooks.example"},
			"X-Forwarded-Proto": {"https"}}, 200},
		{"the sender's own", "https://evil.example", "10.0.0.1:1", http.Header{"X-Forwarded-Host": {"evil.example, hooks.example"},
			"X-Forwarded-Proto": {"https"}}, 401},
		{"Forwarded", "https://hooks.example", "10.0.0.1:1", http.Header{"Forwarded": {`for=203.0.113.9;host="hooks.example";proto=https`}}, 200},
		{"a path in it", "https://evil.example/x?y=", "10.0.0.1:1", http.Header{"X-Forwarded-Host": {"evil.example/x?y="},
			"X-Forwarded-Proto": {"https"}}, 401},
		{"no proxy", "https://hooks.example", "198.51.100.7:1", http.Header{"X-Forwarded-Host": {"hooks.example"},
			"X-Forwarded-Proto": {"https"}}, 401},
	} {
		s, err := triggers.Sample(p, "phone", lookup, triggers.SampleOrder{ID: c.name, Base: c.signed})
		if err != nil {
			t.Fatal(err)
		}
		target := s.Path
		if len(s.Query) > 0 {
			target += "?" + s.Query.Encode()
		}
		r := httptest.NewRequest(s.Method, target, strings.NewReader(string(s.Body)))
		r.Header, r.RemoteAddr = s.Header, c.remote
		for k, v := range c.header {
			r.Header[k] = v
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Code; got/100 != c.want/100 {
			t.Errorf("%s: %d; want %d", c.name, got, c.want)
		}
	}
}

// TestBrowsersMayPostFromListedOrigins: pages of the listed origins may post from a
// browser, those of others may not, and without cors: nobody's may.
func TestBrowsersMayPostFromListedOrigins(t *testing.T) {
	const config = `triggers:
  form: {webhook: {auth: none, cors: {origins: [https://www.example.com]}}}
  any: {webhook: {auth: none, cors: {origins: ["*"]}}}
  none: {webhook: {auth: none}}
`
	h := hooks(t, load(t, config), &memory{events: map[string]engine.EventID{}})
	for _, c := range []struct{ trigger, method, origin, allowed string }{
		{"form", "OPTIONS", "https://www.example.com", "https://www.example.com"},
		{"form", "POST", "https://www.example.com", "https://www.example.com"},
		{"form", "OPTIONS", "https://evil.example", ""},
		{"form", "POST", "https://evil.example", ""},
		{"form", "OPTIONS", "null", ""},
		{"any", "OPTIONS", "https://evil.example", "*"},
		{"any", "POST", "null", "*"},
		{"none", "OPTIONS", "https://www.example.com", ""},
		{"none", "POST", "https://www.example.com", ""},
	} {
		header := http.Header{"Origin": {c.origin}}
		if c.method == "OPTIONS" {
			header.Set("Access-Control-Request-Method", "POST")
			header.Set("Access-Control-Request-Headers", "content-type,x-my")
		}
		w := post(h, c.method, "/hooks/"+c.trigger, header, []byte(`{"o":"`+c.trigger+c.origin+`"}`))
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != c.allowed {
			t.Errorf("%+v: %d, allowed %q", c, w.Code, got)
		}
		if c.method == "OPTIONS" && c.allowed != "" &&
			(w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != "POST" ||
				w.Header().Get("Access-Control-Allow-Headers") != "content-type,x-my") {
			t.Errorf("%+v: %d %v", c, w.Code, w.Header())
		}
		if c.method == "OPTIONS" && c.allowed == "" && w.Code < 400 {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

// TestCloudEventsOriginsAreListed: the CloudEvents handshake allows the origins that the
// trigger lists, no others.
func TestCloudEventsOriginsAreListed(t *testing.T) {
	const config = `triggers:
  plain: {webhook: {provider: cloudevents-webhook, secret: "${{ secrets.S }}"}}
  listed: {webhook: {provider: cloudevents-webhook, secret: "${{ secrets.S }}", params: {allowed_origins: "a.example b.example"}}}
  grid: {webhook: {provider: azure-event-grid, secret: "${{ secrets.S }}"}}
`
	h := hooks(t, load(t, config), &memory{events: map[string]engine.EventID{}})
	for _, c := range []struct {
		trigger, origin string
		want            int
	}{
		{"plain", "eventgrid.azure.net", 200}, {"plain", "evil.example", 403}, {"plain", "eventgrid.azure.net.evil.example", 403},
		{"listed", "a.example", 200}, {"listed", "b.example", 200}, {"listed", "a.example b.example", 403},
		{"listed", "eventgrid.azure.net", 403},
		{"grid", "eventgrid.azure.net", 200}, {"grid", "evil.example", 403},
	} {
		w := post(h, "OPTIONS", "/hooks/"+c.trigger, http.Header{"Webhook-Request-Origin": {c.origin}}, nil)
		if w.Code != c.want || c.want == 200 && w.Header().Get("WebHook-Allowed-Origin") != c.origin || c.want != 200 &&
			w.Header().Get("WebHook-Allowed-Origin") != "" {
			t.Errorf("%+v: %d %v", c, w.Code, w.Header())
		}
	}
}

// TestAnUnknownCodingIs415: another content coding is 415, with what is read.
func TestAnUnknownCodingIs415(t *testing.T) {
	h := hooks(t, load(t, pathsProject), &memory{events: map[string]engine.EventID{}})
	w := post(h, "POST", "/hooks/tok", http.Header{"Content-Encoding": {"br"}}, []byte("x"))
	if w.Code != http.StatusUnsupportedMediaType || !strings.Contains(w.Header().Get("Accept-Encoding"), "gzip") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
