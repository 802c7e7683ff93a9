package signature_test

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// TestStandardWebhooksPartsCannotBeMoved checks ids with a dot: id, time and body are joined by dots, so
// a dot in the id would let someone who controls part of the body move the boundaries.
func TestStandardWebhooksPartsCannotBeMoved(t *testing.T) {
	v := verifier(t, signature.Standard())
	k := key(t, v, secret)
	later := strconv.FormatInt(now.Unix()+200, 10)
	body := `{"type":"comment.created","data":{"text":"hi.` + later + `.type=admin.grant&user=mallory&z="}}`
	req := request(body)
	req.Header.Set("webhook-id", "msg_1")
	if _, err := v.Sign(req, k, now); err != nil {
		t.Fatal(err)
	}
	if got := v.Verify(req, []signature.Key{k}, now); !got.OK() {
		t.Fatalf("what was signed is refused: %s", got.Detail)
	}
	_, rest, _ := strings.Cut(body, "."+later+".")
	first, _, _ := strings.Cut(body, "."+later)
	again := request(rest)
	again.Header = req.Header.Clone()
	again.Header.Set("webhook-id", "msg_1."+strconv.FormatInt(now.Unix(), 10)+"."+first)
	again.Header.Set("webhook-timestamp", later)
	if got := v.Verify(again, []signature.Key{k}, now); got.Reason != signature.Ambiguous {
		t.Errorf("the same bytes with another id are %q, want %q", got.Reason, signature.Ambiguous)
	}
	for _, id := range []string{"a.b", "a b", `a"b`, "ä", "a,b", "{a"} {
		odd := request(`{}`)
		odd.Header.Set("webhook-id", id)
		if _, err := v.Sign(odd, k, now); err != nil {
			t.Fatal(err)
		}
		if got := v.Verify(odd, []signature.Key{k}, now); got.OK() {
			t.Errorf("the id %q is taken", id)
		}
	}
}

// TestTimesHaveOneSpelling checks it because a time with several forms does not separate parts.
func TestTimesHaveOneSpelling(t *testing.T) {
	for unit, odd := range map[string][]string{
		"unix_s":    {"+1767225600", " 1767225600", "01767225600", "1767225600.0", "17672256000", "1_767225600", "１767225600", "1767225600000"},
		"unix_ms":   {"1767225600", "+767225600000", "01767225600000", "1767225600000 "},
		"unix_auto": {"17672256000", "+767225600"},
		"rfc3339":   {"2026-01-01T0:00:00Z", "2026-01-01T00:00:00,5Z", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00z"},
		"http_date": {"Thursday, 01-Jan-26 00:00:00 GMT",
			"Thu Jan  1 00:00:00 2026", "thu, 01 Jan 2026 00:00:00 GMT", "Thu, 1 Jan 2026 00:00:00 GMT"},
	} {
		s := signature.GitHub()
		s.SignedContent, s.Timestamp = []string{"{timestamp}.{body}"}, &signature.Timestamp{From: signature.Place{Header: "X-Time"}, Unit: unit,
			Tolerance: time.Hour}
		v := verifier(t, s)
		k := key(t, v, secret)
		try := func(clock string) signature.Reason {
			plain := signature.GitHub()
			req := request(clock + ".{}")
			p := verifier(t, plain)
			if _, err := p.Sign(req, key(t, p, secret), now); err != nil {
				t.Fatal(err)
			}
			req.Body = []byte("{}")
			req.Header.Set("X-Time", clock)
			return v.Verify(req, []signature.Key{k}, now).Reason
		}
		if got := try(signature.FormatClock(unit, now)); got != signature.Accepted {
			t.Errorf("%s: a plain time: %s", unit, got)
		}
		for _, clock := range odd {
			if got := try(clock); got != signature.NoClock {
				t.Errorf("%s: %q: %q", unit, clock, got)
			}
		}
	}
}

// TestSecretPrefixHashResistsLengthExtension checks length extension of SHA-256 of secret
// and body.
func TestSecretPrefixHashResistsLengthExtension(t *testing.T) {
	s := signature.GitHub()
	s.Algorithm, s.SignedContent, s.Prefix = "sha256", []string{"{secret}{body}"}, ""
	v := verifier(t, s)
	k := key(t, v, secret)
	for body, want := range map[string]bool{
		`{"a":1}`:                            true,
		"a=1&b=2":                            true,
		"{\"a\":1}\x80\x00\x00\x01&c=forged": false,
		"a=1\x80\x00&b":                      false,
		"a=1\x80":                            false,
	} {
		req := request(body)
		if _, err := v.Sign(req, k, now); err != nil {
			t.Fatal(err)
		}
		if got := v.Verify(req, []signature.Key{k}, now); got.OK() != want {
			t.Errorf("%q: %q", body, got.Reason)
		}
		if req.MediaType = "application/json"; body == "a=1&b=2" && v.Verify(req, []signature.Key{k}, now).OK() {
			t.Error("what is no JSON is taken as JSON")
		}
	}
}

// TestUnsignedBodyIsRefused is for schemes that sign only the URL and form fields.
func TestUnsignedBodyIsRefused(t *testing.T) {
	v := verifier(t, signature.Scheme{Algorithm: "hmac-sha1", From: signature.Place{Header: "X-Twilio-Signature"},
		Encodings: []string{"base64"}, SignedContent: []string{"{public_url}{form_sorted:concat_key_value}"}})
	k := key(t, v, secret)
	req := request("")
	if _, err := v.Sign(req, k, now); err != nil {
		t.Fatal(err)
	}
	if got := v.Verify(req, []signature.Key{k}, now); !got.OK() {
		t.Fatalf("a request without a body: %s", got.Reason)
	}
	req.Body = []byte(`{"SmsStatus":"received","Body":"forged"}`)
	if got := v.Verify(req, []signature.Key{k}, now); got.Reason != signature.Unsigned {
		t.Errorf("a JSON body under the signature of none: %q", got.Reason)
	}
}

// TestAmbiguousTokensAreRefused checks critical extensions, none of which are supported, and duplicate
// names.
func TestAmbiguousTokensAreRefused(t *testing.T) {
	v := verifier(t, signature.Scheme{Algorithm: "jwt", From: signature.Place{Header: "X-Token"},
		JWT: &signature.JWT{Algorithms: []string{"HS256"}}})
	k := key(t, v, secret)
	mac := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-Raw"},
		Encodings: []string{"base64url_nopad"}, SignedContent: []string{"{body}"}})
	enc := base64.RawURLEncoding.EncodeToString
	for _, c := range []struct {
		header, claims string
		want           bool
	}{
		{`{"alg":"HS256"}`, `{"a":1,"b":{"a":2},"l":["a","a"]}`, true},
		{`{"alg":"HS256","crit":["exp"]}`, `{"a":1}`, false},
		{`{"alg":"HS256","crit":["b64"],"b64":true}`, `{"a":1}`, false},
		{`{"alg":"HS256","crit":[]}`, `{"a":1}`, false},
		{`{"alg":"HS256","crit":null}`, `{"a":1}`, false},
		{`{"alg":"none","alg":"HS256"}`, `{"a":1}`, false},
		{`{"alg":"HS256"}`, `{"sub":"a","sub":"b"}`, false},
		{`{"alg":"HS256"}`, `{"sub":"a","\u0073ub":"b"}`, false},
		{`{"alg":"HS256"}`, `{"x":{"sub":"a","sub":"b"}}`, false},
	} {
		text := enc([]byte(c.header)) + "." + enc([]byte(c.claims))
		raw := request(text)
		if _, err := mac.Sign(raw, key(t, mac, secret), now); err != nil {
			t.Fatal(err)
		}
		req := request("")
		req.Header.Set("X-Token", text+"."+raw.Header.Get("X-Raw"))
		if got := v.Verify(req, []signature.Key{k}, now); got.OK() != c.want {
			t.Errorf("%s %s: %q %s", c.header, c.claims, got.Reason, got.Detail)
		}
	}
}

// TestURLMayBeSignedWithItsDefaultPort, or without it, whichever of the two is configured; no other port
// may be left out or put in.
func TestURLMayBeSignedWithItsDefaultPort(t *testing.T) {
	for _, c := range []struct {
		public, signed string
		want           bool
	}{
		{"https://h.example/in?a=1", "https://h.example/in?a=1", true}, {"https://h.example/in?a=1", "https://h.example:443/in?a=1", true},
		{"https://h.example:443/in", "https://h.example/in", true}, {"https://h.example:443/in", "https://h.example:443/in", true},
		{"http://h.example/in", "http://h.example:80/in", true}, {"http://h.example:80/in", "http://h.example/in", true},
		{"https://h.example:8443/in", "https://h.example:8443/in", true}, {"https://h.example:8443/in", "https://h.example/in", false},
		{"https://h.example/in", "https://h.example:8443/in", false}, {"https://h.example/in", "https://h.example:80/in", false},
		{"http://h.example/in", "http://h.example:443/in", false}, {"ftp://h.example/in", "ftp://h.example/in", true},
		{"ftp://h.example/in", "ftp://h.example:/in", false}, {"/in", "/in", true}, {"https://[", "https://[", true},
	} {
		v := verifier(t, signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
			SignedContent: []string{"{public_url}"}})
		req := request("")
		req.PublicURL = c.public
		req.Header.Set("X-S", hexOf(t, c.signed))
		if got := v.Verify(req, []signature.Key{key(t, v, secret)}, now); got.OK() != c.want {
			t.Errorf("%s, signed as %s: %q %s", c.public, c.signed, got.Reason, got.Detail)
		}
	}
}
