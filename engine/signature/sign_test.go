package signature_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hookloom/hookloom/engine/signature"
)

// TestUnreadableKeyIsAnErrorWithTheReason, without a letter of the key.
func TestUnreadableKeyIsAnErrorWithTheReason(t *testing.T) {
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ algorithm, encoding, text, want string }{
		{"ed25519", "hex_public_key", "xyz", "the public key is not valid hex_public_key"},
		{"ed25519", "base64_public_key", "AAAA", "has 3 bytes and is not a SubjectPublicKeyInfo"},
		{"ed25519", "pem_public_key", "-----BEGIN PUBLIC KEY-----\nx", "the key is not PEM"},
		{"ed25519", "pem_public_key", pemText("CERTIFICATE", []byte("x"), nil), "reading the certificate"},
		{"ed25519", "pem_public_key", pemText("PUBLIC KEY", []byte("x"), nil), "contains no public key"},
		{"ed25519", "pem_public_key", pemText("PUBLIC KEY", spki(t, x25519.PublicKey()), nil), "cannot be used with ed25519"},
		{"ed25519", "pem_public_key", "-----BEGIN PRIVATE KEY-----\nx", "the private key is not PEM"},
		{"ed25519", "pem_public_key", pemText("PRIVATE KEY", []byte("x"), nil), "neither PKCS 8, PKCS 1 nor SEC 1"},
		{"ed25519", "pem_public_key", "{", "not JSON"}, {"ed25519", "pem_public_key", "{}", "no supported public key"},
	} {
		v := verifier(t, signature.Scheme{Algorithm: c.algorithm, KeyEncoding: c.encoding, Encodings: []string{"hex"}})
		if _, err := v.NewKey(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, want %q", c.encoding, c.text, err, c.want)
		}
	}
}

// TestUnusableKeysOfAKeySetAreSkipped: exponents are from 3 to 31 bits.
func TestUnusableKeysOfAKeySetAreSkipped(t *testing.T) {
	k := newKeyPairs(t)
	good := jwkOf(&k.rsa2048.PublicKey, nil)
	v := verifier(t, signature.Scheme{Algorithm: "rsa-sha256", Encodings: []string{"hex"}})
	for name, beside := range map[string]map[string]any{
		"1024 bits":      jwkOf(&k.rsa1024.PublicKey, nil),
		"e of 65 bits":   jwkOf(&k.rsa2048.PublicKey, map[string]any{"e": "AQAAAAAAAAAA"}),
		"a secret":       {"kty": "oct", "k": "c2VjcmV0"},
		"e of 3":         jwkOf(&rsa.PublicKey{N: k.rsa2048.N, E: 3}, nil),
		"e of 31 bits":   jwkOf(&rsa.PublicKey{N: k.rsa2048.N, E: 1<<31 - 1}, nil),
		"an expired one": jwkOf(&k.rsa2048.PublicKey, map[string]any{"expired_at": 1}),
	} {
		if _, err := v.NewKey(jsonText(map[string]any{"keys": []any{beside, good}})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, e := range []int{3, 1<<31 - 1} {
		if _, err := v.NewKey(jsonText(jwkOf(&rsa.PublicKey{N: k.rsa2048.N, E: e}, nil))); err != nil {
			t.Errorf("e of %d: %v", e, err)
		}
	}
}

// TestTimestampIsHeldToItsTolerance on both sides; the message is for people.
func TestTimestampIsHeldToItsTolerance(t *testing.T) {
	s := signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
		SignedContent: []string{"{body}"},
		Timestamp:     &signature.Timestamp{From: signature.Place{Header: "X-Time"}, Unit: "unix_s", Tolerance: time.Minute}}
	v := verifier(t, s)
	k := []signature.Key{key(t, v, secret)}
	req := request("body")
	req.Header.Set("X-S", hexOf(t, "body"))
	if got := v.Verify(req, k, now); got.Reason != signature.NoClock || got.Detail != "no timestamp" || !got.Time.IsZero() {
		t.Errorf("no time: %+v", got)
	}
	req.Header.Set("X-Time", signature.FormatClock("unix_s", now))
	for off, want := range map[time.Duration]signature.Reason{
		0: signature.Accepted, time.Minute: signature.Accepted, time.Minute + 1: signature.Stale, -time.Minute: signature.Accepted,
		-time.Minute - 1: signature.Future,
	} {
		got := v.Verify(req, k, now.Add(off))
		if got.Reason != want || !got.Time.Equal(now) || !got.OK() && (got.Key != -1 || !strings.Contains(got.Detail, "1m0s allowed")) {
			t.Errorf("%s later: %+v", off, got)
		}
		if at := v.Expires(&got); !at.Equal(now.Add(time.Minute)) {
			t.Errorf("%s later: it is stale at %s", off, at)
		}
	}
}

// TestFormsOfTimesAreWrittenAndRead: each unit reads what it writes, to its last digit.
func TestFormsOfTimesAreWrittenAndRead(t *testing.T) {
	at := time.Unix(2_000_000_999, 999e6).UTC()
	for unit, c := range map[string]struct {
		text string
		is   time.Time
	}{
		"unix_s": {"2000000999", at.Truncate(time.Second)}, "unix_ms": {"2000000999999", at},
		"unix_auto": {"2000000999", at.Truncate(time.Second)},
		"http_date": {"Wed, 18 May 2033 03:49:59 GMT", at.Truncate(time.Second)}, "rfc3339": {"2033-05-18T03:49:59Z", at.Truncate(time.Second)},
	} {
		if got := signature.FormatClock(unit, at); got != c.text {
			t.Errorf("%s: %s, want %s", unit, got, c.text)
		}
		v := verifier(t, signature.Scheme{Algorithm: "static-token", From: signature.Place{Header: "X-S"}, Encodings: []string{"raw"},
			Timestamp: &signature.Timestamp{From: signature.Place{Header: "X-Time"}, Unit: unit, Tolerance: time.Minute}})
		req := request("body")
		req.Header.Set("X-S", "tok")
		req.Header.Set("X-Time", c.text)
		if got := v.Verify(req, []signature.Key{key(t, v, "tok")}, at); !got.OK() || !got.Time.Equal(c.is) {
			t.Errorf("%s: %+v, want %s", unit, got, c.is)
		}
	}
}

// TestVerificationExpires: at the end of its clock's tolerance, or of its token.
func TestVerificationExpires(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(now.Unix()+s, 0) }
	claims := func(names ...any) json.RawMessage {
		m := map[string]any{}
		for i := 0; i < len(names); i += 2 {
			m[names[i].(string)] = names[i+1]
		}
		return json.RawMessage(jsonText(m))
	}
	n := now.Unix()
	for _, c := range []struct {
		name   string
		jwt    *signature.JWT
		claims json.RawMessage
		want   time.Time
	}{
		{"no token", nil, nil, time.Time{}},
		{"a token without times", &signature.JWT{}, claims("a", 1), time.Time{}},
		{"claims that are none", &signature.JWT{}, json.RawMessage("x"), time.Time{}},
		{"exp", &signature.JWT{}, claims("exp", n+60), at(60)},
		{"exp and the leeway", &signature.JWT{Leeway: 5 * time.Second}, claims("exp", n+60), at(65)},
		{"iat without an age", &signature.JWT{}, claims("iat", n), time.Time{}},
		{"iat and an age", &signature.JWT{MaxAge: time.Minute, Leeway: 5 * time.Second}, claims("iat", n), at(65)},
		{"the earlier of both, exp", &signature.JWT{MaxAge: time.Minute}, claims("iat", n, "exp", n+30), at(30)},
		{"the earlier of both, iat", &signature.JWT{MaxAge: time.Minute}, claims("iat", n, "exp", n+90), at(60)},
		{"far in the future", &signature.JWT{}, claims("exp", 1e300), time.Unix(1<<40, 0)},
		{"an iat far in the future", &signature.JWT{MaxAge: time.Second}, claims("iat", 1e300), time.Unix(1<<40+1, 0)},
		{"negative", &signature.JWT{MaxAge: time.Second}, claims("exp", -5, "iat", -5), time.Time{}},
	} {
		v := &signature.Verifier{Scheme: signature.Scheme{JWT: c.jwt}}
		if got := v.Expires(&signature.Verdict{Claims: c.claims}); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestDigestIdentifiesTheSignedContent: the same content is the same however its signature is written, and a
// shared token signs nothing.
func TestDigestIdentifiesTheSignedContent(t *testing.T) {
	v := verifier(t, signature.Stripe())
	k := []signature.Key{key(t, v, secret)}
	digest := func(req *signature.Request) (sum [32]byte) {
		got := v.Verify(req, k, now)
		sum, moment, ok := v.Signed(req, &got)
		if !got.OK() || !ok || !moment {
			t.Fatalf("%+v %t %t", got, ok, moment)
		}
		return sum
	}
	signed := func(body string, at time.Time, before string) *signature.Request {
		req := request(body)
		if _, err := v.Sign(req, k[0], at); err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Stripe-Signature", before+req.Header.Get("Stripe-Signature"))
		return req
	}
	first := digest(signed("a", now, ""))
	if digest(signed("a", now, "v1="+strings.Repeat("00", 32)+",")) != first {
		t.Error("another signature beside it makes it another content")
	}
	if digest(signed("b", now, "")) == first || digest(signed("a", now.Add(time.Second), "")) == first {
		t.Error("another body, or another time, is the same content")
	}
	token := verifier(t, schemes()["token"])
	req := request("a")
	req.Header.Set("X-Token", "tok")
	got := token.Verify(req, []signature.Key{key(t, token, "tok")}, now)
	if sum, moment, ok := token.Signed(req, &got); !got.OK() || ok || moment || sum != [32]byte{} {
		t.Errorf("a shared token has signed: %t, %t, %x", ok, moment, sum)
	}
}

// TestTokenIsIdentifiedByItsContent: by its claims, or its body where it is detached; only one with a time, an
// id or a nonce is one of its kind.
func TestTokenIsIdentifiedByItsContent(t *testing.T) {
	v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"}}))
	k := []signature.Key{key(t, v, secret)}
	digest := func(v *signature.Verifier, req *signature.Request) ([32]byte, bool) {
		got := v.Verify(req, k, now)
		sum, moment, ok := v.Signed(req, &got)
		if !got.OK() || !ok {
			t.Fatalf("%+v %t", got, ok)
		}
		return sum, moment
	}
	plain, moment := digest(v, withToken(t, jwt.MapClaims{"sub": "a"}))
	if again, _ := digest(v, withToken(t, jwt.MapClaims{"sub": "a"})); moment || again != plain {
		t.Errorf("one token twice: moment %t, the same %t", moment, again == plain)
	}
	if other, _ := digest(v, withToken(t, jwt.MapClaims{"sub": "b"})); other == plain {
		t.Error("another token is the same content")
	}
	for _, name := range []string{"iat", "exp", "nbf", "jti", "nonce"} {
		value := any("x")
		if name == "iat" || name == "nbf" {
			value = now.Unix()
		} else if name == "exp" {
			value = now.Unix() + 60
		}
		if _, moment := digest(v, withToken(t, jwt.MapClaims{"sub": "a", name: value})); !moment {
			t.Errorf("a token with %s names no moment", name)
		}
	}
	d := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Detached: true}))
	detached := func(header, body string) *signature.Request {
		h := base64.RawURLEncoding.EncodeToString([]byte(header))
		sig, err := jwt.SigningMethodHS256.Sign(h+"."+base64.RawURLEncoding.EncodeToString([]byte(body)), []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		req := request(body)
		req.Header.Set("X-Token", h+".."+base64.RawURLEncoding.EncodeToString(sig))
		return req
	}
	one, moment := digest(d, detached(`{"alg":"HS256"}`, "a"))
	if other, _ := digest(d, detached(`{"alg":"HS256"}`, "b")); moment || other == one {
		t.Errorf("detached: moment %t, another body is the same %t", moment, other == one)
	}
	if _, moment := digest(d, detached(`{"alg":"HS256","iat":1}`, "a")); !moment {
		t.Error("a detached token with a time names no moment")
	}
}

// TestSampleSignaturesVerify: hookloom send writes each form of signature into the place where its
// scheme reads it.
func TestSampleSignaturesVerify(t *testing.T) {
	hmac := func(s signature.Scheme) signature.Scheme {
		s.Algorithm, s.Encodings = "hmac-sha256", []string{"hex"}
		if s.From.Headers == nil {
			s.From = signature.Place{Header: "X-S"}
		}
		if s.SignedContent == nil {
			s.SignedContent = []string{"{body}"}
		}
		return s
	}
	clock := &signature.Timestamp{From: signature.Place{Header: "X-Time"}, Unit: "unix_ms", Tolerance: time.Minute}
	field := &signature.Timestamp{From: signature.Place{Field: "t"}, Unit: "unix_s", Tolerance: time.Minute}
	timed := []string{"{timestamp}.{body}"}
	kv := signature.Parse{Format: "kv_list", Separator: ";", SignatureKeys: []string{"h1"}}
	packed := signature.Parse{Format: "json_base64", SignatureKeys: []string{"s"}, KeyID: "k"}
	sample := kv
	sample.Sample = "a=1;h1={signature};t={timestamp}"
	header := func(name, value string) map[string]string { return map[string]string{name: value} }
	for name, c := range map[string]struct {
		scheme signature.Scheme
		want   map[string]string // headers; a value that ends in * is a beginning
	}{
		"a clock in a header": {hmac(signature.Scheme{Timestamp: clock, SignedContent: timed}), header("X-Time", "1767225600000")},
		"kv_list":             {hmac(signature.Scheme{Parse: kv}), header("X-S", "h1=*")},
		"kv_list with a time": {hmac(signature.Scheme{Parse: kv, Timestamp: field, SignedContent: timed}),
			header("X-S", "t=1767225600;h1=*")},
		"kv_list with a sample": {hmac(signature.Scheme{Parse: sample, Timestamp: field, SignedContent: timed}), header("X-S", "a=1;h1=*")},
		"kv_list with a field":  {hmac(signature.Scheme{Parse: kv, SignedContent: []string{"{signature:nonce}{body}"}}), header("X-S", "h1=*")},
		"an HTTP signature": {hmac(signature.Scheme{Parse: kv, SignedContent: []string{"{http_signature:x}"}}),
			header("Date", "Thu, 01 Jan 2026 00:00:00 GMT")},
		"headers that are listed": {hmac(signature.Scheme{Timestamp: clock, SignedContent: []string{"{header_lines:X-List}"}}),
			header("X-List", "x-list,x-time")},
		"headers without a clock": {hmac(signature.Scheme{SignedContent: []string{"{header_lines:X-List}"}}), header("X-List", "x-list")},
		"space_list": {hmac(signature.Scheme{Parse: signature.Parse{Format: "space_list", Versions: []string{"v2"}}}),
			header("X-S", "v2,*")},
		"comma_list": {hmac(signature.Scheme{Parse: signature.Parse{Format: "comma_list"}}), nil},
		"positional": {hmac(signature.Scheme{Parse: signature.Parse{Format: "positional", Separator: ","}, Timestamp: field,
			SignedContent: timed}), map[string]string{"X-S": "1767225600,*"}},
		"pair_list": {hmac(signature.Scheme{Parse: signature.Parse{Format: "pair_list", Separator: "&", Select: "{param:user}"}}),
			map[string]string{"X-S": "ada|*"}},
		"json_base64":     {hmac(signature.Scheme{Parse: packed}), nil},
		"several headers": {hmac(signature.Scheme{From: signature.Place{Headers: []string{"X-A", "X-B"}}}), map[string]string{"X-B": ""}},
		"a prefix":        {hmac(signature.Scheme{Prefix: "p="}), map[string]string{"X-S": "p=*"}},
		"a required header and query": {hmac(signature.Scheme{SignedContent: []string{"{public_url}"}, Require: []signature.Requirement{
			{Place: signature.Place{Header: "X-V"}, Want: []string{"2"}},
			{Place: signature.Place{Query: "hash"}, Want: []string{"{body_sha256_hex}"}}}}), map[string]string{"X-V": "2"}},
		"a token with a user": {signature.Scheme{Algorithm: "basic-auth", From: signature.Place{Header: "Authorization"}, Prefix: "Basic ",
			Encodings: []string{"base64"}}, header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("ada:"+secret)))},
		"a token with claims": {tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Present: []string{"jti", "nbf", "iat", "exp"},
			MaxAge: time.Minute, Claims: []signature.Claim{{Name: "a.b.c", Want: []string{"{param:none}", "1"}},
				{Name: "a.b.d", Want: []string{"2"}}, {Name: "https://x.example/a", Want: []string{"3"}}},
			Hashes: []signature.ClaimHash{{Name: "h", Of: "{body}", Encoding: "base64url"}, {Name: "q", Of: "canonical_request", Encoding: "hex"},
				{Name: "b", Of: "{body}", Encoding: "base64"}}}), nil},
	} {
		v := verifier(t, c.scheme)
		k := key(t, v, secret)
		req := request(`{"a":1}`)
		req.Params = map[string]string{"user": "ada"}
		if parts, err := v.Sign(req, k, now); err != nil || len(parts) > 0 {
			t.Errorf("%s: %+v %v", name, parts, err)
			continue
		}
		if got := v.Verify(req, []signature.Key{k}, now); !got.OK() {
			t.Errorf("%s: %+v with %v", name, got, req.Header)
		}
		for h, want := range c.want {
			got := req.Header.Get(h)
			if start, isPart := strings.CutSuffix(want, "*"); isPart && !strings.HasPrefix(got, start) || !isPart && got != want {
				t.Errorf("%s: %s: %q, want %q", name, h, got, want)
			}
		}
	}
}

// TestSignatureForTheBodyIsReturned, and one in the address is put there.
func TestSignatureForTheBodyIsReturned(t *testing.T) {
	for _, place := range []signature.Place{{JSON: "sig"}, {Form: "sig"}, {XML: "a/sig"}, {Body: true}} {
		v := verifier(t, signature.Scheme{Algorithm: "static-token", From: place, Prefix: "p-", Encodings: []string{"raw"}})
		req := request("body")
		parts, err := v.Sign(req, key(t, v, "tok"), now)
		if err != nil || len(parts) != 1 || parts[0].Place.String() != place.String() || parts[0].Text != "p-tok" || len(req.Header) != 1 {
			t.Errorf("%+v: %+v %v, %v", place, parts, err, req.Header)
		}
	}
	v := verifier(t, signature.Scheme{Algorithm: "static-token", From: signature.Place{URL: true}, Encodings: []string{"raw"}})
	req := request("body")
	req.PublicURL = "https://h.example/in?a=1"
	req.Query.Set("a", "1")
	if parts, err := v.Sign(req, key(t, v, "tok"), now); err != nil || parts != nil || req.PublicURL != "https://h.example/in?a=1&token=tok" {
		t.Errorf("%+v %v %s", parts, err, req.PublicURL)
	}
	q := verifier(t, signature.Scheme{Algorithm: "static-token", From: signature.Place{Query: "k"}, Encodings: []string{"raw"}})
	req = request("body")
	req.PublicURL = ""
	if _, err := q.Sign(req, key(t, q, "tok"), now); err != nil || req.Query.Get("k") != "tok" || req.PublicURL != "" {
		t.Errorf("%v %q %q", err, req.Query, req.PublicURL)
	}
}

// TestUnsignableSchemesAreErrors: only the provider has its private key, and what is signed must be there.
func TestUnsignableSchemesAreErrors(t *testing.T) {
	k := newKeyPairs(t)
	public := pemText("PUBLIC KEY", spki(t, &k.rsa2048.PublicKey), nil)
	jwtBody := tokenScheme(signature.JWT{Algorithms: []string{"HS256"}})
	jwtBody.From = signature.Place{Body: true}
	for name, c := range map[string]struct {
		scheme    signature.Scheme
		key, want string
	}{
		"a public key": {signature.Scheme{Algorithm: "rsa-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
			SignedContent: []string{"{body}"}}, public, "only the provider can sign"},
		"a public key for a token": {tokenScheme(signature.JWT{Algorithms: []string{"RS256"}}), public, "only the provider can sign"},
		"a header that is absent": {signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
			SignedContent: []string{"{header:Nope}"}}, secret, "signing: header Nope is missing"},
		"a hash of a header that is absent": {tokenScheme(signature.JWT{Algorithms: []string{"HS256"},
			Hashes: []signature.ClaimHash{{Name: "h", Of: "{header:Nope}"}}}), secret, "signing: header Nope is missing"},
		"a body that is no object": {jwtBody, secret, "not a JSON object"},
	} {
		v := verifier(t, c.scheme)
		if _, err := v.Sign(&signature.Request{Method: "POST", Header: http.Header{}, Body: []byte("x")}, key(t, v, c.key), now); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTokenSentAsTheBodyContainsTheBody, with its times.
func TestTokenSentAsTheBodyContainsTheBody(t *testing.T) {
	s := tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Present: []string{"iat", "exp", "order"},
		Claims: []signature.Claim{{Name: "https://x.example/a", Want: []string{"3"}}}})
	s.From = signature.Place{Body: true}
	v := verifier(t, s)
	req := request(`{"order":7}`)
	parts, err := v.Sign(req, key(t, v, secret), now)
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	req.Body = []byte(parts[0].Text)
	if got := v.Verify(req, []signature.Key{key(t, v, secret)}, now); !got.OK() || !strings.Contains(string(got.Claims), `"order":7`) ||
		!strings.Contains(string(got.Claims), `"https://x.example/a":"3"`) {
		t.Errorf("%+v", got)
	}
}

// TestStandardKeysMayBePlainText: some senders hand out secrets without whsec_.
func TestStandardKeysMayBePlainText(t *testing.T) {
	v := verifier(t, signature.Standard())
	plain, err := v.StandardKey("no base64 %")
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := v.StandardKey("whsec_" + base64.StdEncoding.EncodeToString([]byte("no base64 %")))
	if err != nil {
		t.Fatal(err)
	}
	req := request("body")
	if _, err := v.Sign(req, plain, now); err != nil || !v.Verify(req, []signature.Key{encoded}, now).OK() {
		t.Errorf("the same key in two forms: %v", err)
	}
	if _, err := v.StandardKey("whsec_%"); err == nil {
		t.Error("whsec_ without base64 is taken")
	}
}
