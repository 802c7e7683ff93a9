package triggers_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// memory is a sink that keeps deliveries by key.
type memory struct {
	sync.Mutex
	events   map[string]engine.EventID
	taken    []*engine.Delivery
	refusals []engine.Refusal
	err      error
	await    func(context.Context, engine.EventID) (*engine.AwaitResult, error)
}

func (m *memory) Accept(_ context.Context, d *engine.Delivery) (engine.Receipt, error) {
	m.Lock()
	defer m.Unlock()
	if m.err != nil {
		return engine.Receipt{}, m.err
	}
	if id, ok := m.events[d.Trigger+"/"+d.Key]; ok {
		return engine.Receipt{Event: id, Duplicate: true}, nil
	}
	id := engine.EventID(len(m.events) + 1)
	m.events[d.Trigger+"/"+d.Key] = id
	m.taken = append(m.taken, d)
	return engine.Receipt{Event: id}, nil
}

func (m *memory) AcceptAll(ctx context.Context, ds []*engine.Delivery) ([]engine.Receipt, error) {
	var out []engine.Receipt
	for _, d := range ds {
		r, err := m.Accept(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (m *memory) Await(ctx context.Context, id engine.EventID) (*engine.AwaitResult, error) {
	if m.await == nil {
		return &engine.AwaitResult{}, nil
	}
	return m.await(ctx, id)
}

func (m *memory) Refuse(r engine.Refusal) {
	m.Lock()
	defer m.Unlock()
	m.refusals = append(m.refusals, r)
}

var secrets = map[string]string{"S": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "OLD": "whsec_b2xkIHNlY3JldCBvZiBhIHJvdGF0aW9u",
	"T": "a-long-shared-token"}

func lookup(n string) (string, bool) { v, ok := secrets[n]; return v, ok }

// load reads a project of one hookloom.yaml.
func load(t testing.TB, config string) *workflows.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	presets, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog(), Presets: presets, CheckCron: triggers.CheckCron}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	return p
}

func hooks(t testing.TB, p *workflows.Project, sink engine.Sink) *triggers.Hooks {
	t.Helper()
	return hooksWith(t, p, sink, lookup)
}

func hooksWith(t testing.TB, p *workflows.Project, sink engine.Sink, lookup func(string) (string, bool)) *triggers.Hooks {
	t.Helper()
	h := newHooks(t, sink)
	use, err := h.Prepare(p, lookup)
	if err != nil {
		t.Fatal(err)
	}
	use()
	return h
}

func newHooks(t testing.TB, sink engine.Sink) *triggers.Hooks {
	t.Helper()
	h, err := triggers.NewHooks(sink, slog.New(slog.DiscardHandler), triggers.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// outside looks secrets up and has no network.
func outside(values map[string]string) *triggers.Deps {
	return &triggers.Deps{Secret: func(n string) (string, bool) { s, ok := values[n]; return s, ok }}
}

func post(h http.Handler, method, target string, header http.Header, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const eachPreset = `triggers:
  stripe: {webhook: {provider: stripe, secret: ["${{ secrets.S }}", "${{ secrets.OLD }}"]}}
  github: {webhook: {provider: github, secret: "${{ secrets.S }}"}}
  shopify: {webhook: {provider: shopify, secret: "${{ secrets.S }}"}}
  slack: {webhook: {provider: slack, secret: "${{ secrets.S }}"}}
  standard: {webhook: {provider: standard, secret: "${{ secrets.S }}"}}
  generic: {webhook: {provider: generic, secret: "${{ secrets.S }}", allow_ips: [192.0.2.0/24], max_body: 2KiB}}
  stamped: {webhook: {provider: generic, variant: timestamp, secret: "${{ secrets.S }}"}}
  token: {webhook: {auth: {header: {name: X-Api-Key, value: "${{ secrets.T }}"}}, key: body.id}}
  some: {webhook: {provider: stripe, secret: "${{ secrets.S }}", events: ["invoice.*"]}}
`

// genericRequest signs a body for the trigger generic.
func generic(t testing.TB, p *workflows.Project, trigger, body string) *triggers.SampleRequest {
	t.Helper()
	s, err := triggers.Sample(p, trigger, lookup, triggers.SampleOrder{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestResponsesFollowTheContract(t *testing.T) {
	p := load(t, eachPreset)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	stripe := generic(t, p, "stripe", `{"id":"evt_1","type":"invoice.paid","data":{"object":{}}}`)
	wrongType := generic(t, p, "some", `{"id":"evt_2","type":"charge.failed","data":{"object":{}}}`)
	twice := generic(t, p, "stripe", `{"id":"evt_3","type":"a","type":"b"}`)
	gzip := generic(t, p, "stripe", `{}`)
	gzip.Header.Set("Content-Encoding", "gzip")
	for _, c := range []struct {
		name, method, path string
		header             http.Header
		body               []byte
		status             int
		want               string
	}{
		{"stored", "POST", "/hooks/stripe", stripe.Header, stripe.Body, 202, `{"status":"accepted","event":"evt_0000000000000001"}`},
		{"seen before", "POST", "/hooks/stripe", stripe.Header, stripe.Body, 200, `{"status":"duplicate","event":"evt_0000000000000001"}`},
		{"a type that is not asked for", "POST", "/hooks/some", wrongType.Header, wrongType.Body, 200, `"filtered"`},
		{"no such path", "POST", "/hooks/other", nil, nil, 404, `"error"`},
		{"a slash too many", "POST", "/hooks/stripe/", stripe.Header, stripe.Body, 200, `"duplicate"`},
		{"a path that only looks like it", "POST", "/hooks/stripe/x", stripe.Header, stripe.Body, 404, `"error"`},
		{"wrong method", "PUT", "/hooks/stripe", stripe.Header, stripe.Body, 405, `"error"`},
		{"signature missing", "POST", "/hooks/stripe", nil, stripe.Body, 401, `"signature verification failed"`},
		{"address not allowed", "POST", "/hooks/generic", nil, []byte("{}"), 403, `"error"`},
		{"proved, and no JSON", "POST", "/hooks/stripe", twice.Header, twice.Body, 202, `"accepted"`},
		{"said to be gzip, and plain", "POST", "/hooks/stripe", gzip.Header, gzip.Body, 202, `"accepted"`},
	} {
		if c.name == "address not allowed" {
			r := httptest.NewRequest("POST", c.path, bytes.NewReader(c.body))
			r.RemoteAddr = "198.51.100.1:1234"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%s: %d", c.name, w.Code)
			}
			continue
		}
		w := post(h, c.method, c.path, c.header, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.name, w.Code, w.Body, c.status, c.want)
		}
		if c.status == 405 && w.Header().Get("Allow") != "POST" {
			t.Errorf("Allow: %q", w.Header().Get("Allow"))
		}
		var v map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Errorf("%s: the answer is no JSON: %s", c.name, w.Body)
		}
	}
	big := generic(t, p, "generic", `{"x":"`+strings.Repeat("y", 4096)+`"}`)
	if w := post(h, "POST", "/hooks/generic", big.Header, big.Body); w.Code != 413 {
		t.Errorf("too large: %d", w.Code)
	}
	sink.err = engine.ErrFull
	full := generic(t, p, "stripe", `{"id":"evt_9","type":"a","data":{"object":{}}}`)
	if w := post(h, "POST", "/hooks/stripe", full.Header, full.Body); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("disk full: %d %v", w.Code, w.Header())
	}
}

func TestSlackChallengeIsAnsweredOnlyWhenSigned(t *testing.T) {
	p := load(t, eachPreset)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	s := generic(t, p, "slack", `{"type":"url_verification","challenge":"3eZbrw1aB10OQvfzrZ","token":"x"}`)
	w := post(h, "POST", s.Path, s.Header, s.Body)
	if w.Code != 200 || w.Body.String() != "3eZbrw1aB10OQvfzrZ" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	s.Header.Del("X-Slack-Signature")
	if w := post(h, "POST", s.Path, s.Header, s.Body); w.Code != 401 || strings.Contains(w.Body.String(), "3eZ") {
		t.Errorf("unsigned: %d %s", w.Code, w.Body)
	}
	if len(sink.taken) != 0 {
		t.Error("a challenge became an event")
	}
}

func TestBothSecretsOfARotationAreAccepted(t *testing.T) {
	p := load(t, eachPreset)
	old := load(t, strings.Replace(eachPreset, `["${{ secrets.S }}", "${{ secrets.OLD }}"]`, `"${{ secrets.OLD }}"`, 1))
	h := hooks(t, p, &memory{events: map[string]engine.EventID{}})
	s := generic(t, old, "stripe", `{"id":"evt_1","type":"a","data":{"object":{}}}`)
	if w := post(h, "POST", s.Path, s.Header, s.Body); w.Code != 202 {
		t.Errorf("signed by the old secret: %d %s", w.Code, w.Body)
	}
}

func TestMissingSecretRefusesDeliveries(t *testing.T) {
	p := load(t, `triggers: {a: {webhook: {provider: github, secret: "${{ secrets.NOT_SET }}"}}, b: {webhook: {auth: {bearer: "${{ `+
		`secrets.NOT_SET }}"}}}}`)
	h := newHooks(t, &memory{})
	if _, err := h.Prepare(p, lookup); err == nil {
		t.Error("a trigger without a secret was made reachable")
	}
}

func TestTypesAndKeysOfProvidersAreFound(t *testing.T) {
	p := load(t, eachPreset)
	for _, c := range []struct{ trigger, header, body, key, kind string }{
		{"github", "X-GitHub-Event: pull_request", `{"action":"opened"}`, "d-1", "pull_request.opened"},
		{"github", "X-GitHub-Event: push", `{"ref":"x"}`, "d-1", "push"},
		{"shopify", "X-Shopify-Topic: orders/paid", `{}`, "d-1", "orders/paid"},
		{"slack", "", `{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}`, "Ev1", "app_mention"},
		{"standard", "", `{"type":"invoice.paid","data":{}}`, "d-1", "invoice.paid"},
		{"generic", "X-Event-Type: lead", `{}`, "d-1", "lead"},
	} {
		s, err := triggers.Sample(p, c.trigger, lookup, triggers.SampleOrder{Body: []byte(c.body), ID: "d-1"})
		if err != nil {
			t.Fatal(err)
		}
		if k, v, ok := strings.Cut(c.header, ": "); ok {
			s.Header.Set(k, v)
		}
		sink := &memory{events: map[string]engine.EventID{}}
		r := httptest.NewRequest("POST", s.Path, bytes.NewReader(s.Body))
		r.Header, r.RemoteAddr = s.Header, "192.0.2.1:1"
		w := httptest.NewRecorder()
		hooks(t, p, sink).ServeHTTP(w, r)
		if w.Code/100 != 2 { // Slack's is 200
			t.Errorf("%s: %d %s", c.trigger, w.Code, w.Body)
			continue
		}
		if d := sink.taken[0]; d.Key != c.key || d.Type != c.kind {
			t.Errorf("%s %s: key %q type %q, want %q %q", c.trigger, c.header, d.Key, d.Type, c.key, c.kind)
		}
	}
}

// TestDocumentedExamplesGiveDocumentedResults runs requests that providers and
// their SDKs publish, with source, through the presets.
func TestDocumentedExamplesGiveDocumentedResults(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			ID, Provider, Variant, Method, URL, Expect, Source string
			Headers                                            map[string]string
			BodyB64                                            string `json:"body_b64"`
			Now                                                int64
			Config                                             struct {
				Secrets            []string
				Primary, Secondary string
			}
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			var list []string
			values := map[string]string{}
			if v.Config.Primary != "" {
				v.Config.Secrets = []string{v.Config.Primary, v.Config.Secondary}
			}
			if v.Config.Secrets[0] == "" {
				t.Skip("an example without a secret") // a trigger without one is not loaded: TestMissingSecretRefusesDeliveries
			}
			for i, s := range v.Config.Secrets {
				name := fmt.Sprintf("V%d", i)
				values[name] = s
				list = append(list, `"${{ secrets.`+name+` }}"`)
			}
			variant := ""
			if v.Variant != "default" {
				variant = ", variant: " + v.Variant
			}
			p := load(t, fmt.Sprintf("triggers: {x: {webhook: {provider: %s%s, secret: [%s]}}}", v.Provider, variant, strings.Join(list, ", ")))
			body, err := base64.StdEncoding.DecodeString(v.BodyB64)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(v.URL)
			if err != nil {
				t.Fatal(err)
			}
			raw := v.Method + " " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\n"
			for k, x := range v.Headers {
				raw += k + ": " + x + "\r\n"
			}
			raw += fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + string(body)
			got, err := triggers.Verify(p, "x", outside(values), []byte(raw), v.URL, time.Unix(v.Now, 0))
			if err != nil {
				t.Fatal(err)
			}
			if (got.Result != "refused") != (v.Expect == "accept") {
				t.Errorf("%s: %+v, want %s (%s)", v.Provider, got, v.Expect, v.Source)
			}
		})
	}
}

func FuzzCapturedRequest(f *testing.F) {
	p := load(f, eachPreset)
	f.Add([]byte("POST /hooks/slack HTTP/1.1\r\nHost: x\r\nX-Slack-Signature: v0=00\r\nX-Slack-Request-Timestamp: " +
		"1\r\n\r\n{\"type\":\"url_verification\"}"))
	f.Add([]byte("GET / HTTP/1.0\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range []string{"stripe", "slack", "token"} {
			v, err := triggers.Verify(p, name, outside(secrets), raw, "", time.Unix(1, 0))
			if err == nil && v.Result == "accepted" {
				t.Fatalf("%s accepts %q", name, raw)
			}
		}
	})
}

func TestAmbiguousCronsAreRefused(t *testing.T) {
	for _, bad := range []string{"TZ=Asia/Tokyo", "TZ=Asia/Tokyo 0 7 * * *", "CRON_TZ=UTC 0 7 * * *", "0 0 31 2 *", "1,2, * * * *",
		"0 0 7 * * 1", "60 * * * *", "* * * *", "", "@sometimes"} {
		if err := triggers.CheckCron(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"0 7 * * 1-5", "0 7 * * mon-fri", "@daily", "*/5 * * * *", "0 0 29 2 *", "0 9 * * 7"} {
		if err := triggers.CheckCron(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
