package triggers_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

const handshakeSecret = "handshake-secret-0123456789"

func mac256(text string) []byte {
	h := hmac.New(sha256.New, []byte(handshakeSecret))
	h.Write([]byte(text))
	return h.Sum(nil)
}

// TestHandshakesAreAnsweredAsDocumented sends, for each provider that checks a
// URL, the request it sends, and the same in ways that must be refused.
func TestHandshakesAreAnsweredAsDocumented(t *testing.T) {
	braintree := hmac.New(sha1.New, func() []byte { s := sha1.Sum([]byte(handshakeSecret)); return s[:] }())
	braintree.Write([]byte("20f9f8ed05f77439fe955c977e4c8a53"))
	ebay := sha256.Sum256([]byte("abc123" + "token-of-ours" + "https://hooks.example.com/hooks/hook"))
	for _, c := range []struct {
		provider, params string
		method, target   string
		header           map[string]string
		body             string
		signed           bool
		status           int
		want             string
		wantHeader       [2]string
	}{
		{provider: "meta", params: "verify_token: ours", method: "GET",
			target: "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=ours", status: 200, want: "1158201444"},
		{provider: "meta", params: "verify_token: ours", method: "GET",
			target: "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=other", status: 403},
		{provider: "meta", method: "GET", target: "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=", status: 403},
		{provider: "threads", params: "verify_token: ours", method: "GET", target: "?hub.mode=subscribe&hub.challenge=7&hub.verify_token=ours",
			status: 200, want: "7"},
		{provider: "strava", params: "verify_token: ours", method: "GET",
			target: `?hub.mode=subscribe&hub.challenge=a%22b&hub.verify_token=ours`, status: 200, want: `{"hub.challenge":"a\"b"}`},
		{provider: "dropbox", method: "GET", target: "?challenge=abc", status: 200, want: "abc", wantHeader: [2]string{"X-Content-Type-Options",
			"nosniff"}},
		{provider: "nylas", method: "GET", target: "?challenge=abc", status: 200, want: "abc"},
		{provider: "onfleet", method: "GET", target: "?check=abc", status: 200, want: "abc"},
		{provider: "adobe-commerce", params: "client_id: c", method: "GET", target: "?challenge=abc", status: 200, want: "abc"},
		{provider: "websub", params: "topic: https://feed.example.com/a", method: "GET",
			target: "?hub.mode=subscribe&hub.topic=https://feed.example.com/a&hub.challenge=xyz", status: 200, want: "xyz"},
		{provider: "websub", params: "topic: https://feed.example.com/a", method: "GET",
			target: "?hub.mode=subscribe&hub.topic=https://feed.example.com/other&hub.challenge=xyz", status: 404},
		{provider: "microsoft-graph", method: "POST", target: "?validationToken=Validation%3A+a%2Bb%20c", status: 200,
			want: "Validation: a+b c", wantHeader: [2]string{"Content-Type", "text/plain; charset=utf-8"}},
		{provider: "x", method: "GET", target: "?crc_token=abc", status: 200, want: `{"response_token":"sha256=` +
			base64.StdEncoding.EncodeToString(mac256("abc")) + `"}`},
		{provider: "x", method: "GET", target: "?crc_token=" + strings.Repeat("a", 300), status: 400},
		{provider: "linkedin", method: "GET", target: "?challengeCode=890e4665-4dfe-4ab1-b689-ed553bceeed0", status: 200,
			want: `{"challengeCode":"890e4665-4dfe-4ab1-b689-ed553bceeed0","challengeResponse":"` +
				hex.EncodeToString(mac256("890e4665-4dfe-4ab1-b689-ed553bceeed0")) + `"}`},
		{provider: "zoom", method: "POST", body: `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`,
			status: 200, want: `{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"` + hex.EncodeToString(mac256("qgg8vlvZRS6UYooatFL8Aw")) +
				`"}`},
		{provider: "zoom", method: "POST", body: `{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1767225600:{}"}}`, status: 400},
		{provider: "zoom", method: "POST", header: map[string]string{"x-zm-signature": "v0=00", "x-zm-request-timestamp": "1"},
			body: `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`, status: 401},
		{provider: "braintree", params: "public_key: pub", method: "GET", target: "?bt_challenge=20f9f8ed05f77439fe955c977e4c8a53", status: 200,
			want: "pub|" + hex.EncodeToString(braintree.Sum(nil))},
		{provider: "braintree", params: "public_key: pub", method: "GET", target: "?bt_challenge=bt_payload_of_an_attacker", status: 400},
		{provider: "ebay", params: "verification_token: token-of-ours", method: "GET", target: "?challenge_code=abc123", status: 200,
			want: `{"challengeResponse":"` + hex.EncodeToString(ebay[:]) + `"}`},
		{provider: "ebay", method: "GET", target: "?challenge_code=abc123", status: 400},
		{provider: "slack", method: "POST", signed: true, body: `{"type":"url_verification","challenge":"3eZ"}`, status: 200, want: "3eZ"},
		{provider: "slack", method: "POST", body: `{"type":"url_verification","challenge":"3eZ"}`, status: 401},
		{provider: "discord-interactions", method: "POST", signed: true, body: `{"type":1,"id":"1"}`, status: 200, want: `{"type":1}`},
		{provider: "discord-interactions", method: "POST", body: `{"type":1,"id":"1"}`, status: 401},
		{provider: "discord-webhook-events", method: "POST", signed: true, body: `{"type":0}`, status: 204},
		{provider: "twitch", method: "POST", signed: true,
			header: map[string]string{"Twitch-Eventsub-Message-Type": "webhook_callback_verification"}, body: `{"challenge":"pogchamp"}`,
			status: 200, want: "pogchamp"},
		{provider: "twitch", method: "POST", signed: true, header: map[string]string{"Twitch-Eventsub-Message-Type": "revocation"},
			body: `{"subscription":{}}`, status: 204},
		{provider: "twitch", method: "POST", header: map[string]string{"Twitch-Eventsub-Message-Type": "webhook_callback_verification"},
			body: `{"challenge":"pogchamp"}`, status: 401},
		{provider: "monday", method: "POST", body: `{"challenge":"3eZ\"}"}`, status: 200, want: `{"challenge":"3eZ\"}"}`},
		{provider: "azure-event-grid", method: "POST", header: map[string]string{"aeg-event-type": "SubscriptionValidation"},
			body: `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"512d38b6"}}]`, status: 200,
			want: `{"validationResponse":"512d38b6"}`},
		{provider: "cloudevents-webhook", method: "OPTIONS", header: map[string]string{"WebHook-Request-Origin": "eventgrid.azure.net"},
			status: 200, wantHeader: [2]string{"WebHook-Allowed-Origin", "eventgrid.azure.net"}},
		{provider: "azure-event-grid", method: "OPTIONS", header: map[string]string{"WebHook-Request-Origin": "eventgrid.azure.net"},
			status: 200, wantHeader: [2]string{"WebHook-Allowed-Rate", "*"}},
		{provider: "okta", method: "GET", header: map[string]string{"X-Okta-Verification-Challenge": `a"b`, "Authorization": handshakeSecret},
			status: 200, want: `{"verification":"a\"b"}`},
		{provider: "okta", method: "GET", header: map[string]string{"X-Okta-Verification-Challenge": "a", "Authorization": "wrong"}, status: 401},
		{provider: "worldline", method: "GET", header: map[string]string{"X-GCS-Webhooks-Endpoint-Verification": "abc"}, status: 200,
			want: "abc"},
		{provider: "adobe-sign", method: "GET", header: map[string]string{"X-AdobeSign-ClientId": handshakeSecret}, status: 200,
			wantHeader: [2]string{"X-Adobesign-Clientid", handshakeSecret}},
		{provider: "adobe-sign", method: "GET", header: map[string]string{"X-AdobeSign-ClientId": "another"}, status: 401},
		{provider: "trello", method: "HEAD", status: 200}, {provider: "mandrill", method: "HEAD", status: 200},
		{provider: "surveymonkey", method: "HEAD", status: 200}, {provider: "intercom", method: "HEAD", status: 200},
		{provider: "mailchimp", method: "GET", status: 200},
		{provider: "mandrill", method: "POST", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
			body: "mandrill_events=%5B%5D", status: 200},
		{provider: "bitbucket-server", method: "POST", header: map[string]string{"X-Event-Key": "diagnostics:ping"}, body: `{"test":true}`,
			status: 200},
		{provider: "bitbucket-server", method: "POST", header: map[string]string{"X-Event-Key": "diagnostics:ping", "X-Hub-Signature": ""},
			body: `{"test":true}`, status: 200},
		{provider: "bitbucket-server", method: "POST", header: map[string]string{"X-Event-Key": "diagnostics:ping",
			"X-Hub-Signature": "sha256=00"}, body: `{"test":true}`, status: 401},
		{provider: "woocommerce", method: "POST", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
			body: "webhook_id=7", status: 200},
		{provider: "figma", method: "POST", body: `{"event_type":"PING","passcode":"` + handshakeSecret + `"}`, status: 200},
		{provider: "figma", method: "POST", body: `{"event_type":"PING","passcode":"x"}`, status: 401},
		{provider: "xero", method: "POST", signed: true, body: `{"events":[],"firstEventSequence":0}`, status: 200, want: ""},
		{provider: "xero", method: "POST", header: map[string]string{"x-xero-signature": "d3Jvbmc="},
			body: `{"events":[],"firstEventSequence":0}`, status: 401, want: ""},
		{provider: "terraform-cloud", method: "POST", signed: true, body: `{"notifications":[{"trigger":"verification"}]}`, status: 200},
		{provider: "terraform-cloud", method: "POST", body: `{"notifications":[{"trigger":"verification"}]}`, status: 401},
		{provider: "pagerduty", method: "POST", signed: true, body: `{"event":{"event_type":"pagey.ping"}}`, status: 200},
		{provider: "intercom", method: "POST", signed: true, body: `{"topic":"ping"}`, status: 200},
		{provider: "line", method: "POST", signed: true, body: `{"events":[]}`, status: 200},
		{provider: "wise", method: "POST", signed: true, header: map[string]string{"X-Test-Notification": "true"}, body: `{}`, status: 200},
		{provider: "google-calendar-drive", method: "POST", header: map[string]string{"X-Goog-Channel-Token": handshakeSecret,
			"X-Goog-Resource-State": "sync"}, status: 200},
		{provider: "google-calendar-drive", method: "POST", header: map[string]string{"X-Goog-Channel-Token": "x",
			"X-Goog-Resource-State": "sync"}, status: 401},
	} {
		t.Run(c.provider+" "+c.method+c.target, func(t *testing.T) {
			h, sink, header := handshakeHooks(t, c.provider, c.params, c.body, c.signed, c.header)
			w := post(h, c.method, "/hooks/hook"+c.target, header, []byte(c.body))
			if w.Code != c.status {
				h.Flush()
				t.Fatalf("%d %s, want %d; %s", w.Code, w.Body, c.status, reasons(sink))
			}
			if got := w.Body.String(); c.status < 300 && got != c.want || c.provider == "xero" && got != "" {
				t.Errorf("answered %q, want %q", got, c.want)
			}
			if c.wantHeader[0] != "" && w.Header().Get(c.wantHeader[0]) != c.wantHeader[1] {
				t.Errorf("header %s is %q, want %q", c.wantHeader[0], w.Header().Get(c.wantHeader[0]), c.wantHeader[1])
			}
			if len(sink.taken) != 0 {
				t.Error("a handshake became an event")
			}
		})
	}
}

// handshakeHooks serves one provider and signs a body for it if asked.
func handshakeHooks(t *testing.T, provider, params, body string, signed bool, more map[string]string) (*triggers.Hooks, *memory,
	http.Header) {
	t.Helper()
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	secret := handshakeSecret
	if v := library.Get(provider).Verify[0]; v.Algorithm == "ed25519" || strings.HasPrefix(v.Algorithm, "rsa") ||
		strings.HasPrefix(v.Algorithm, "ecdsa") {
		secret = secretFor(v, false)
	} else if v.KeyEncoding == "hex" {
		secret = strings.Repeat("a1", 32)
	}
	lookup := func(string) (string, bool) { return secret, true }
	p := load(t, fmt.Sprintf("server: {public_url: https://hooks.example.com}\ntriggers: {hook: {webhook: {provider: %s, params: {%s}, "+
		"secret: '${{ secrets.S }}'}}}", provider, params))
	sink := &memory{events: map[string]engine.EventID{}}
	header := http.Header{"Content-Type": {"application/json"}}
	if signed {
		s, err := triggers.Sample(p, "hook", lookup, triggers.SampleOrder{Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		header = s.Header
	}
	for k, v := range more {
		header.Set(k, v)
	}
	return hooksWith(t, p, sink, lookup), sink, header
}

// TestHandshakeSecretIsCapturedOnce: only while an operator awaits it; other
// handshakes are refused, and change nothing.
func TestHandshakeSecretIsCapturedOnce(t *testing.T) {
	for _, c := range []struct{ provider, header, body, secret, echo string }{
		{"asana", "X-Hook-Secret: b537207f20cbfa02357cf448134da559", "{}", "b537207f20cbfa02357cf448134da559", "X-Hook-Secret"},
		{"notion", "", `{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}`,
			"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl", ""},
		{"atlassian-connect", "", `{"eventType":"installed","clientKey":"c","sharedSecret":"shared-secret-of-jira"}`,
			"shared-secret-of-jira", ""},
		{"freshbooks", "Content-Type: application/x-www-form-urlencoded", "name=callback.verify&verifier=scADVVi5QuKuj5qTjVkbJNYQe7V7USpGd",
			"scADVVi5QuKuj5qTjVkbJNYQe7V7USpGd", ""},
	} {
		t.Run(c.provider, func(t *testing.T) {
			kept := map[string]string{}
			sink := &memory{events: map[string]engine.EventID{}}
			h, err := triggers.NewHooks(sink, slog.New(slog.DiscardHandler),
				triggers.Deps{Capture: func(_, name, value string) error { kept[name] = value; return nil }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(h.Close)
			p := load(t, fmt.Sprintf("triggers: {hook: {webhook: {provider: %s, secret: '${{ secrets.LATER }}'}}}", c.provider))
			prepare := func() {
				use, err := h.Prepare(p, func(n string) (string, bool) { v, ok := kept[n]; return v, ok })
				if err != nil {
					t.Fatal(err)
				}
				use()
			}
			prepare()
			if w := post(h, "POST", "/hooks/hook", http.Header{"Content-Type": {"application/json"}}, []byte(`{"id":1}`)); w.Code/100 == 2 {
				t.Errorf("a delivery is taken before any secret is known: %d", w.Code)
			}
			header := http.Header{"Content-Type": {"application/json"}}
			if k, v, ok := strings.Cut(c.header, ": "); ok {
				header.Set(k, v)
			}
			if w := post(h, "POST", "/hooks/hook", header, []byte(c.body)); w.Code != 403 || len(kept) > 0 || w.Header().Get("X-Hook-Secret") != "" {
				t.Fatalf("a handshake that nobody awaits is answered %d, kept %d", w.Code, len(kept))
			}
			if _, err := h.AwaitSecret("hook"); err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"short-7", strings.Repeat("x", 1025)} {
				wrong := header.Clone()
				if wrong.Get("X-Hook-Secret") != "" {
					wrong.Set("X-Hook-Secret", bad)
				}
				body := strings.ReplaceAll(c.body, c.secret, bad)
				if w := post(h, "POST", "/hooks/hook", wrong, []byte(body)); w.Code/100 == 2 || len(kept) > 0 {
					t.Fatalf("a secret of %d characters is taken: %d", len(bad), w.Code)
				}
			}
			w := post(h, "POST", "/hooks/hook", header, []byte(c.body))
			if w.Code != 200 || kept["LATER"] != c.secret {
				t.Fatalf("%d, kept %q", w.Code, kept["LATER"])
			}
			if c.echo != "" && w.Header().Get(c.echo) != c.secret {
				t.Errorf("not echoed: %v", w.Header())
			}
			prepare()
			kept["LATER"] = "is not written again"
			if w := post(h, "POST", "/hooks/hook", header, []byte(c.body)); w.Code != 200 || c.echo != "" && w.Header().Get(c.echo) != c.secret ||
				kept["LATER"] != "is not written again" {
				t.Errorf("the same handshake again, because its answer was lost, is answered %d", w.Code)
			}
			kept["LATER"] = c.secret
			again := strings.NewReplacer(c.secret, "another-secret-of-an-attacker").Replace(c.body)
			if header.Get("X-Hook-Secret") != "" {
				header.Set("X-Hook-Secret", "another-secret-of-an-attacker")
			}
			if w := post(h, "POST", "/hooks/hook", header, []byte(again)); w.Code != 403 && w.Code != 401 {
				t.Errorf("a later handshake is answered %d", w.Code)
			}
			if _, err := h.AwaitSecret("hook"); !errors.Is(err, triggers.ErrNoSecretAwaited) {
				t.Errorf("a secret that is set can be awaited: %v", err)
			}
			if kept["LATER"] != c.secret {
				t.Errorf("an active hook was given another key: %q", kept["LATER"])
			}
			if len(sink.taken) != 0 {
				t.Error("a handshake became an event")
			}
		})
	}
}

// TestProvidersGetTheirExpectedResponse: some count anything else as a failure.
func TestProvidersGetTheirExpectedResponse(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		provider string
		status   int
		body     string
	}{
		{"paytr", 200, "OK"}, {"xero", 200, ""}, {"salesforce-outbound", 200, "<Ack>true</Ack>"}, {"twilio", 200, "<Response></Response>"},
		{"linear", 200, `"status":"accepted"`},
		{"discord-webhook-events", 204, ""}, {"github", 202, `"status":"accepted"`},
	} {
		p := library.Get(c.provider)
		project, lookup := presetProject(t, p, p.Verify[0])
		sink := &memory{events: map[string]engine.EventID{}}
		s, err := triggers.Sample(project, "hook", lookup, triggers.SampleOrder{})
		if err != nil {
			t.Fatal(err)
		}
		w := post(hooksWith(t, project, sink, lookup), s.Method, s.Path, s.Header, s.Body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) || c.body == "" && w.Body.Len() > 0 || c.body == "OK" &&
			w.Body.String() != "OK" {
			t.Errorf("%s: %d %q, want %d %q", c.provider, w.Code, w.Body, c.status, c.body)
		}
	}
}

// FuzzHandshake feeds every handshake: whatever comes, the answer is short, holds
// no line break in a header, and nothing becomes an event unproved.
func FuzzHandshake(f *testing.F) {
	p := load(f, `triggers:
  meta: {webhook: {provider: meta, params: {verify_token: ours}, secret: "${{ secrets.S }}"}}
  zoom: {webhook: {provider: zoom, secret: "${{ secrets.S }}"}}
  braintree: {webhook: {provider: braintree, params: {public_key: pub}, secret: "${{ secrets.S }}"}}
  okta: {webhook: {provider: okta, secret: "${{ secrets.S }}"}}
  graph: {webhook: {provider: microsoft-graph, secret: "${{ secrets.S }}"}}
  asana: {webhook: {provider: asana, secret: "${{ secrets.S }}"}}
  cloud: {webhook: {provider: cloudevents-webhook, secret: "${{ secrets.S }}"}}
  sales: {webhook: {provider: salesforce-outbound, secret: "${{ secrets.S }}"}}
  plaid: {webhook: {provider: plaid}}
  sns: {webhook: {provider: aws-sns, params: {topic_arn: a}}}
`)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(f, p, sink)
	f.Add("zoom", "POST", "", "", "", `{"event":"endpoint.url_validation","payload":{"plainToken":"abcdefgh"}}`)
	f.Add("okta", "GET", "", "X-Okta-Verification-Challenge", "a", "")
	f.Add("graph", "POST", "validationToken=abc", "", "", "")
	f.Add("sales", "POST", "", "Content-Type", "text/xml",
		"<Envelope><Body><notifications><OrganizationId>x</OrganizationId></notifications></Body></Envelope>")
	f.Add("plaid", "POST", "", "Plaid-Verification", "eyJhbGciOiJub25lIn0.e30.", "{}")
	f.Add("sns", "POST", "", "x-amz-sns-message-type", "Notification",
		`{"Type":"Notification","SignatureVersion":"1","Signature":"AA==","SigningCertURL":"https://sns.eu-central-1.amazonaws.com/x.pem",`+
			`"TopicArn":"a"}`)
	f.Fuzz(func(t *testing.T, trigger, method, query, name, value, body string) {
		req, err := http.NewRequestWithContext(context.Background(), method, "http://x/", strings.NewReader(body))
		if err != nil {
			return
		}
		req.URL.Path, req.URL.RawQuery, req.RemoteAddr = "/hooks/"+trigger, query, "192.0.2.1:1"
		if name != "" {
			req.Header.Set(name, value)
		}
		w := newRecorder()
		h.ServeHTTP(w, req)
		if len(w.body) > 8192 {
			t.Fatalf("an answer of %d bytes", len(w.body))
		}
		for k, vs := range w.header {
			for _, v := range vs {
				if strings.ContainsAny(v, "\r\n") {
					t.Fatalf("header %s: %q", k, v)
				}
			}
		}
		if len(sink.taken) > 0 {
			t.Fatalf("an event without proof: %+v", sink.taken[0])
		}
	})
}

// recorder keeps an answer, headers as they were set.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func newRecorder() *recorder                    { return &recorder{header: http.Header{}} }
func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(n int)           { r.status = n }
func (r *recorder) Write(b []byte) (int, error) { r.body = append(r.body, b...); return len(b), nil }
