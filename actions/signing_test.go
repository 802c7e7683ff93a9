package actions_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// receiver records the last request.
func receiver(t *testing.T) (*httptest.Server, *http.Request, *[]byte) {
	got, body := &http.Request{}, new([]byte)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*got, *body = *r, b
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	return s, got, body
}

func verified(t *testing.T, s signature.Scheme, secret string, r *http.Request, body []byte) bool {
	t.Helper()
	v, err := signature.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	key, err := v.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(&signature.Request{Method: r.Method, Header: r.Header, Body: body, Query: r.URL.Query(),
		PublicURL: "http://" + r.Host + r.URL.String()}, []signature.Key{key}, time.Now()).OK()
}

// TestWebhookIsSignedWithBothKeysDuringARotation checks that receivers with the old key and
// with the new one both accept it.
func TestWebhookIsSignedWithBothKeysDuringARotation(t *testing.T) {
	server, r, body := receiver(t)
	old, fresh := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV3IHNlY3JldCBvZiAyNCBieXRlcw=="
	for name, s := range map[string]signature.Scheme{"standard": signature.Standard(), "stripe": signature.Stripe()} {
		if _, err := do(t, t.Context(), "webhook/send", map[string]any{"url": server.URL, "secret": []any{fresh, old}, "scheme": name,
			"body": 1}, nil); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{old, fresh} {
			if !verified(t, s, secret, r, *body) {
				t.Errorf("%s: %v does not verify with %s", name, r.Header, secret)
			}
		}
	}
	if _, err := do(t, t.Context(), "webhook/send", map[string]any{"url": server.URL, "secret": []any{fresh, old}, "scheme": "github",
		"body": 1}, nil); err == nil {
		t.Error("a scheme with one signature took two keys")
	}
}

func TestAWebhookIsSignedWithEd25519(t *testing.T) {
	server, r, body := receiver(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := signature.Standard()
	s.Algorithm, s.KeyEncoding, s.Parse.Versions = "ed25519", "base64_public_key", []string{"v1a"}
	for _, raw := range [][]byte{private, private.Seed()} {
		if _, err := do(t, t.Context(), "webhook/send", map[string]any{"url": server.URL, "body": map[string]any{"a": 1},
			"secret": "whsk_" + base64.StdEncoding.EncodeToString(raw)}, nil); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(r.Header.Get("webhook-signature"), "v1a,") ||
			!verified(t, s, base64.StdEncoding.EncodeToString(public), r, *body) {
			t.Errorf("%v", r.Header)
		}
	}
}

// TestWebhookIsSignedByACustomScheme uses the keys of a trigger's verify:, and compares the body
// byte for byte.
func TestWebhookIsSignedByACustomScheme(t *testing.T) {
	server, r, body := receiver(t)
	signing := map[string]any{"algorithm": "hmac-sha512", "signed_content": "{timestamp}.{body}",
		"signature": map[string]any{"from": map[string]any{"header": "x-sig"}, "prefix": "s=", "encoding": "base64"},
		"timestamp": map[string]any{"from": map[string]any{"header": "x-time"}, "unit": "unix_ms"}}
	text := "<a>\n1 &amp; 2</a>"
	if _, err := do(t, t.Context(), "webhook/send", map[string]any{"url": server.URL, "body": text, "raw": true, "secret": "k",
		"signing": signing}, nil); err != nil {
		t.Fatal(err)
	}
	s := signature.Scheme{Algorithm: "hmac-sha512", KeyEncoding: "utf8", From: signature.Place{Header: "X-Sig"}, Prefix: "s=",
		Encodings: []string{"base64"}, SignedContent: []string{"{timestamp}.{body}"},
		Timestamp: &signature.Timestamp{From: signature.Place{Header: "X-Time"}, Unit: "unix_ms", Tolerance: time.Minute}}
	if string(*body) != text || !verified(t, s, "k", r, *body) {
		t.Errorf("%q %v", *body, r.Header)
	}
	for name, with := range map[string]map[string]any{
		"no key":        {"signing": signing},
		"a wrong word":  {"secret": "k", "signing": map[string]any{"algoritm": "x"}},
		"no place":      {"secret": "k", "signing": map[string]any{"algorithm": "hmac-sha256"}},
		"an algorithm":  {"secret": "k", "signing": map[string]any{"algorithm": "md6", "signature": signing["signature"]}},
		"raw of a list": {"body": []any{1}, "raw": true},
		"raw with type": {"raw": true, "type": "a"},
	} {
		with["url"] = server.URL
		if with["body"] == nil {
			with["body"] = "x"
		}
		if _, err := do(t, t.Context(), "webhook/send", with, nil); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
}

func TestCloudEventsAreSentInBothModes(t *testing.T) {
	server, r, body := receiver(t)
	with := map[string]any{"url": server.URL, "type": "com.example.paid", "source": "/shop", "subject": `ü "a"`,
		"data":       map[string]any{"n": 1},
		"extensions": map[string]any{"tenant": "eu"}, "auth": map[string]any{"bearer": "t"}}
	out, err := do(t, t.Context(), "cloudevents/send", with, nil)
	if err != nil || out.(map[string]any)["id"] != "hl_key" || out.(map[string]any)["status"] != 202 {
		t.Fatalf("%v %v", out, err)
	}
	var event map[string]any
	if err := json.Unmarshal(*body, &event); err != nil || event["specversion"] != "1.0" || event["id"] != "hl_key" ||
		event["tenant"] != "eu" || event["subject"] != `ü "a"` || event["time"] != "2020-01-01T00:00:00Z" ||
		event["data"].(map[string]any)["n"] != 1.0 || r.Header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" ||
		r.Header.Get("Authorization") != "Bearer t" {
		t.Errorf("%s %v %v", *body, r.Header, err)
	}
	with["mode"] = "binary"
	if _, err := do(t, t.Context(), "cloudevents/send", with, nil); err != nil {
		t.Fatal(err)
	}
	if string(*body) != `{"n":1}` || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("ce-id") != "hl_key" ||
		r.Header.Get("ce-subject") != "%C3%BC%20%22a%22" || r.Header.Get("ce-specversion") != "1.0" || r.Header.Get("ce-tenant") != "eu" {
		t.Errorf("%s %v", *body, r.Header)
	}
	for name, bad := range map[string]map[string]any{"time": {"time": "yesterday"}, "extension": {"extensions": map[string]any{"Big-Name": 1}},
		"own": {"extensions": map[string]any{"id": "x"}}, "data": {"extensions": map[string]any{"data": "x"}}} {
		w := map[string]any{"url": server.URL, "type": "a", "source": "/b"}
		for k, v := range bad {
			w[k] = v
		}
		if _, err := do(t, t.Context(), "cloudevents/send", w, nil); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
}
