package signature_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hookloom/hookloom/engine/signature"
)

// tokenScheme reads tokens from X-Token.
func tokenScheme(j signature.JWT) signature.Scheme {
	return signature.Scheme{Algorithm: "jwt", From: signature.Place{Header: "X-Token"}, Encodings: []string{"jws_compact"}, JWT: &j}
}

// withToken carries a token of HS256 that secret has signed.
func withToken(t *testing.T, claims jwt.MapClaims) *signature.Request {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	req := request("body")
	req.Header.Set("X-Token", text)
	req.Params = map[string]string{"aud": "ours", "none": ""}
	return req
}

// TestTokenIsValidWithinItsTimes: exp, nbf and iat count whenever they are there, with the leeway on
// each side; what must be there is said.
func TestTokenIsValidWithinItsTimes(t *testing.T) {
	at := func(s int) int64 { return now.Unix() + int64(s) }
	for _, c := range []struct {
		name   string
		claims jwt.MapClaims
		want   signature.Reason
		detail string
	}{
		{"no time at all", jwt.MapClaims{"iat": at(0)}, signature.NoClock, "no exp"},
		{"times that hold", jwt.MapClaims{"exp": at(60), "iat": at(-60), "nbf": at(-60)}, signature.Accepted, ""},
		{"just expired, within the leeway", jwt.MapClaims{"exp": at(-29), "iat": at(0)}, signature.Accepted, ""},
		{"expired by the leeway", jwt.MapClaims{"exp": at(-30), "iat": at(0)}, signature.Stale, "expired"},
		{"not yet, within the leeway", jwt.MapClaims{"exp": at(60), "iat": at(0), "nbf": at(30)}, signature.Accepted, ""},
		{"not yet", jwt.MapClaims{"exp": at(60), "iat": at(0), "nbf": at(31)}, signature.Future, "not valid yet"},
		{"made in the future", jwt.MapClaims{"exp": at(60), "iat": at(31)}, signature.Future, "not valid yet"},
		{"as old as is allowed", jwt.MapClaims{"exp": at(60), "iat": at(-330)}, signature.Accepted, ""},
		{"a second older", jwt.MapClaims{"exp": at(60), "iat": at(-331)}, signature.Stale, "5m31s old, 5m0s allowed"},
		{"no iat", jwt.MapClaims{"exp": at(60)}, signature.NoClock, "no iat"},
		{"an iat that is no time", jwt.MapClaims{"exp": at(60), "iat": "today"}, signature.Wrong, ""},
	} {
		v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Present: []string{"exp"}, Leeway: 30 * time.Second,
			MaxAge: 5 * time.Minute}))
		got := v.Verify(withToken(t, c.claims), []signature.Key{key(t, v, secret)}, now)
		if got.Reason != c.want || !strings.Contains(got.Detail, c.detail) || got.OK() != (got.Key == 0) || !got.OK() && got.Key != -1 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestClaimMustHaveOneOfTheRequiredValues, by its name or its path; a parameter that is not
// configured asks for nothing where it is optional.
func TestClaimMustHaveOneOfTheRequiredValues(t *testing.T) {
	for _, c := range []struct {
		name   string
		claim  signature.Claim
		claims jwt.MapClaims
		want   bool
	}{
		{"the value", signature.Claim{Name: "aud", Want: []string{"ours"}}, jwt.MapClaims{"aud": "ours"}, true},
		{"another value", signature.Claim{Name: "aud", Want: []string{"ours"}}, jwt.MapClaims{"aud": "theirs"}, false},
		{"no claim", signature.Claim{Name: "aud", Want: []string{"ours"}}, jwt.MapClaims{}, false},
		{"one of several", signature.Claim{Name: "aud", Want: []string{"x", "{param:aud}"}}, jwt.MapClaims{"aud": "ours"}, true},
		{"a list that holds it", signature.Claim{Name: "aud", Want: []string{"ours"}}, jwt.MapClaims{"aud": []string{"a", "ours"}}, true},
		{"a list that does not", signature.Claim{Name: "aud", Want: []string{"ours"}}, jwt.MapClaims{"aud": []string{"a", "b"}}, false},
		{"a list in a list", signature.Claim{Name: "aud", Want: []string{"ours"}}, jwt.MapClaims{"aud": []any{[]string{"ours"}}}, true},
		{"a number", signature.Claim{Name: "n", Want: []string{"12345678901234567"}}, jwt.MapClaims{"n": 12345678901234567}, true},
		{"a truth value", signature.Claim{Name: "b", Want: []string{"true"}}, jwt.MapClaims{"b": true}, true},
		{"an object", signature.Claim{Name: "o", Want: []string{"map[a:1]"}}, jwt.MapClaims{"o": map[string]int{"a": 1}}, false},
		{"a path", signature.Claim{Name: "a.b", Want: []string{"x"}}, jwt.MapClaims{"a": map[string]any{"b": "x"}}, true},
		{"a name with a dot", signature.Claim{Name: "a.b", Want: []string{"x"}}, jwt.MapClaims{"a.b": "x"}, true},
		{"a path through a text", signature.Claim{Name: "a.b", Want: []string{"x"}}, jwt.MapClaims{"a": "b"}, false},
		{"its other name", signature.Claim{Name: "a", Either: "b c", Want: []string{"x"}}, jwt.MapClaims{"c": "x"}, true},
		{"its other name, the first of which differs", signature.Claim{Name: "a", Either: "b c", Want: []string{"x"}},
			jwt.MapClaims{"b": "y", "c": "x"}, false},
		{"a parameter that is not configured", signature.Claim{Name: "a", Want: []string{"{param:none}"}}, jwt.MapClaims{"a": ""}, false},
		{"an optional one that is not configured", signature.Claim{Name: "a", Want: []string{"{param:none}"}, Optional: true},
			jwt.MapClaims{"a": "x"}, true},
		{"an optional one that is configured", signature.Claim{Name: "a", Want: []string{"{param:aud}"}, Optional: true},
			jwt.MapClaims{"a": "x"}, false},
		{"an empty header", signature.Claim{Name: "a", Want: []string{"{header:X-Empty}"}}, jwt.MapClaims{"a": ""}, false},
	} {
		v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Claims: []signature.Claim{c.claim}}))
		req := withToken(t, c.claims)
		req.Header.Set("X-Empty", "")
		got := v.Verify(req, []signature.Key{key(t, v, secret)}, now)
		if got.OK() != c.want || !got.OK() && (got.Reason != signature.Wrong || !strings.Contains(got.Detail, c.claim.Name)) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestHashInATokenCoversAPartOfTheRequest: only what it is the hash of passes.
func TestHashInATokenCoversAPartOfTheRequest(t *testing.T) {
	sum := sha256.Sum256([]byte("body"))
	// The canonical request of https://hooks.example.com/in?b=2&a=1&jwt=x by POST.
	query := sha256.Sum256([]byte("POST&/in&a=1&b=2"))
	hash := func(of, encoding string, absent bool) signature.ClaimHash {
		return signature.ClaimHash{Name: "h", Of: of, Encoding: encoding, EmptyAbsent: absent}
	}
	for _, c := range []struct {
		name string
		hash signature.ClaimHash
		h    any
		body string
		want bool
	}{
		{"hex", hash("{body}", "hex", false), hex.EncodeToString(sum[:]), "body", true},
		{"hex of another body", hash("{body}", "hex", false), hex.EncodeToString(sum[:]), "Body", false},
		{"hex that is none", hash("{body}", "hex", false), hex.EncodeToString(sum[:]) + "x", "body", false},
		{"base64", hash("{body}", "base64", false), base64.StdEncoding.EncodeToString(sum[:]), "body", true},
		{"base64 of another body", hash("{body}", "base64", false), base64.StdEncoding.EncodeToString(sum[:]), "b", false},
		{"base64 that is none", hash("{body}", "base64", false), base64.StdEncoding.EncodeToString(sum[:]) + "%", "body", false},
		{"base64 for URLs", hash("{body}", "base64url", false), base64.RawURLEncoding.EncodeToString(sum[:]), "body", true},
		{"no claim", hash("{body}", "hex", false), nil, "body", false},
		{"no claim for an empty body", hash("{body}", "hex", false), nil, "", false},
		{"no claim, and none is wanted without a body", hash("{body}", "hex", true), nil, "", true},
		{"no claim, but a body", hash("{body}", "hex", true), nil, "b", false},
		{"a claim that is no text", hash("{body}", "hex", false), 5, "body", false},
		{"the request", hash("canonical_request", "hex", false), hex.EncodeToString(query[:]), "", true},
		{"another request", hash("canonical_request", "hex", false), hex.EncodeToString(sum[:]), "", false},
		{"a header that is absent", hash("{header:Nope}", "hex", true), nil, "", false},
	} {
		v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Hashes: []signature.ClaimHash{c.hash}}))
		claims := jwt.MapClaims{"sub": "x"}
		if c.h != nil {
			claims["h"] = c.h
		}
		req := withToken(t, claims)
		req.Body, req.PublicURL = []byte(c.body), "https://hooks.example.com/in?b=2&a=1&jwt=x"
		if got := v.Verify(req, []signature.Key{key(t, v, secret)}, now); got.OK() != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestTheCanonicalRequestIsWrittenAsAtlassianDoes: method, path and query in one form.
// Source: atlassian-jwt 2.0.3, lib/jwt.ts, createCanonicalRequest.
func TestTheCanonicalRequestIsWrittenAsAtlassianDoes(t *testing.T) {
	for address, want := range map[string]string{
		"https://h.example":                              "POST&/&",
		"https://h.example/":                             "POST&/&",
		"https://h.example/a/":                           "POST&/a&",
		"https://h.example/a&b":                          "POST&/a%26b&",
		"https://h.example/a?z=1&y=2&y=10&jwt=token":     "POST&/a&y=10,2&z=1",
		"https://h.example/a?a%20b=c%2Cd%2Be&AZaz09=~_-": "POST&/a&AZaz09=~_-&a%20b=c%2Cd%2Be",
		"https://h.example/a?zZ=%5B%60%7B%40%2F%3A":      "POST&/a&zZ=%5B%60%7B%40%2F%3A",
	} {
		v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"},
			Hashes: []signature.ClaimHash{{Name: "qsh", Of: "canonical_request", Encoding: "hex"}}}))
		sum := sha256.Sum256([]byte(want))
		req := withToken(t, jwt.MapClaims{"qsh": hex.EncodeToString(sum[:])})
		req.PublicURL, req.Method = address, "post"
		if got := v.Verify(req, []signature.Key{key(t, v, secret)}, now); !got.OK() {
			t.Errorf("%s is not %q: %+v", address, want, got)
		}
	}
}

// TestTokenAlgorithmsAreNotInterchangeable: a public key must not be taken as the secret of an HMAC, and
// none proves nothing.
func TestTokenAlgorithmsAreNotInterchangeable(t *testing.T) {
	for _, list := range [][]string{nil, {"none"}, {"HS256", "none"}, {"HS256", "RS256"}, {"RS256", "HS256"}, {"RS256", "XS256"}, {"HS1"}} {
		if _, err := signature.Compile(tokenScheme(signature.JWT{Algorithms: list})); err == nil {
			t.Errorf("%q compiles", list)
		}
	}
	for _, j := range []signature.JWT{{Claims: []signature.Claim{{Name: "a", Want: []string{"{b"}}}},
		{Hashes: []signature.ClaimHash{{Of: "{b"}}}} {
		j.Algorithms = []string{"HS256"}
		if _, err := signature.Compile(tokenScheme(j)); err == nil {
			t.Errorf("%+v compiles", j)
		}
	}
	v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS384"}}))
	got := v.Verify(withToken(t, jwt.MapClaims{"a": 1}), []signature.Key{key(t, v, secret)}, now)
	if got.Reason != signature.Wrong || !strings.Contains(got.Detail, "algorithm is not one of HS384") {
		t.Errorf("a token of HS256 where HS384 is asked: %+v", got)
	}
}

// TestCompiledSchemeSharesNoMemory: it stays as it is, whatever is compiled from the same values
// afterwards.
func TestCompiledSchemeSharesNoMemory(t *testing.T) {
	j := &signature.JWT{Algorithms: []string{"HS256"}, Claims: []signature.Claim{{Name: "a", Want: []string{"1"}}}}
	s := signature.Scheme{Algorithm: "jwt", From: signature.Place{Header: "X-Token"}, JWT: j}
	first := verifier(t, s)
	j.Claims = []signature.Claim{{Name: "b", Want: []string{"1"}}}
	second := verifier(t, s)
	again := *first.JWT
	again.Claims = j.Claims
	third := verifier(t, tokenScheme(again))
	for i, v := range []*signature.Verifier{first, second, third} {
		for claim, want := range map[string]bool{"a": i == 0, "b": i > 0} {
			if got := v.Verify(withToken(t, jwt.MapClaims{claim: "1"}), []signature.Key{key(t, v, secret)}, now); got.OK() != want {
				t.Errorf("verifier %d, claim %s: %+v", i, claim, got)
			}
		}
	}
}

// TestATokenIsTriedWithEachKey: the second one counts as much as the first.
func TestATokenIsTriedWithEachKey(t *testing.T) {
	v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Present: []string{"sub"}}))
	other := key(t, v, "another")
	for _, c := range []struct {
		name   string
		keys   []signature.Key
		claims jwt.MapClaims
		want   signature.Reason
		key    int
		detail string
	}{
		{"the second key", []signature.Key{other, key(t, v, secret)}, jwt.MapClaims{"sub": "a"}, signature.Accepted, 1, ""},
		{"no key", nil, jwt.MapClaims{"sub": "a"}, signature.Wrong, -1, "no key"},
		{"other keys", []signature.Key{other, other}, jwt.MapClaims{"sub": "a"}, signature.Wrong, -1, "signature does not match"},
		{"a key that is not configured", []signature.Key{{}}, jwt.MapClaims{"sub": "a"}, signature.Wrong, -1, "no key is configured"},
		{"a claim is missing", []signature.Key{other, key(t, v, secret)}, jwt.MapClaims{}, signature.Wrong, -1, "no claim sub"},
		{"expired, by the second key", []signature.Key{other, key(t, v, secret)}, jwt.MapClaims{"sub": "a", "exp": 1}, signature.Stale, -1, ""},
	} {
		got := v.Verify(withToken(t, c.claims), c.keys, now)
		if got.Reason != c.want || got.Key != c.key || !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestTheKeysOfTokensAreFetched, and the sender is asked to come again when they cannot be.
func TestTheKeysOfTokensAreFetched(t *testing.T) {
	k := newKeyPairs(t)
	j := signature.JWT{Algorithms: []string{"RS256"}}
	text := func(header map[string]any, claims jwt.MapClaims) string {
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
		for n, x := range header {
			token.Header[n] = x
		}
		s, err := token.SignedString(k.rsa2048)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	set := func(kid string) string {
		other := newKeyPairs(t).rsa2048
		return jsonText(map[string]any{"keys": []any{jwkOf(&other.PublicKey, map[string]any{"kid": "other"}),
			jwkOf(&k.rsa2048.PublicKey, map[string]any{"kid": kid})}})
	}
	for _, c := range []struct {
		name, document string
		header         map[string]any
		want           signature.Reason
		detail         string
	}{
		{"the key that is named", set("k"), map[string]any{"kid": "k"}, signature.Accepted, ""},
		{"no key is named", set("k"), nil, signature.Accepted, ""},
		{"keys without names", set(""), map[string]any{"kid": "k"}, signature.Accepted, ""},
		{"another key is named", set("k"), map[string]any{"kid": "other"}, signature.Wrong, "does not match"},
		{"a key that is not there", set("k"), map[string]any{"kid": "gone"}, signature.Wrong, `no key has the id "gone"`},
		{"no document", "", map[string]any{"kid": "k"}, signature.Unavailable, "404"},
	} {
		for _, detached := range []bool{false, true} {
			p := &publisher{documents: map[string]string{}}
			if c.document != "" {
				p.documents["https://keys.example/"] = c.document
			}
			j.Detached = detached
			s := tokenScheme(j)
			s.Key = &signature.KeySource{URL: "https://keys.example/", Hosts: []string{`keys\.example`}, Format: "jwks"}
			v := verifier(t, s)
			req := request("body")
			req.Fetch = p.fetch
			req.Header.Set("X-Token", text(c.header, jwt.MapClaims{"a": 1}))
			if detached {
				head := map[string]any{"alg": "RS256"}
				for n, x := range c.header {
					head[n] = x
				}
				enc := base64.RawURLEncoding.EncodeToString
				h := enc([]byte(jsonText(head)))
				sig, err := jwt.SigningMethodRS256.Sign(h+"."+enc([]byte("body")), k.rsa2048)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Token", h+".."+enc(sig))
			}
			got := v.Verify(req, []signature.Key{{}}, now)
			if got.Reason != c.want || !got.OK() && got.Key != -1 || !detached && !strings.Contains(got.Detail, c.detail) {
				t.Errorf("%s, detached %t: %+v", c.name, detached, got)
			}
		}
	}
}

// TestDetachedTokenVerifiesTheBody in both forms of RFC 7797, and nothing that is not whole.
func TestDetachedTokenVerifiesTheBody(t *testing.T) {
	v := verifier(t, tokenScheme(signature.JWT{Algorithms: []string{"HS256"}, Detached: true}))
	enc := base64.RawURLEncoding.EncodeToString
	sign := func(header, content string) string {
		h := enc([]byte(header))
		sig, err := jwt.SigningMethodHS256.Sign(h+"."+content, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return h + ".." + enc(sig)
	}
	const plain = `{"alg":"HS256","b64":false,"crit":["b64"]}`
	good := sign(plain, "body")
	for _, c := range []struct {
		name, token, body string
		want              signature.Reason
	}{
		{"the body as it is", good, "body", signature.Accepted},
		{"the body encoded, which is the default", sign(`{"alg":"HS256"}`, enc([]byte("body"))), "body", signature.Accepted},
		{"the body encoded", sign(`{"alg":"HS256","b64":true,"crit":["b64"]}`, enc([]byte("body"))), "body", signature.Accepted},
		{"another body", good, "Body", signature.Wrong},
		{"the body as it is, encoded", sign(plain, enc([]byte("body"))), "body", signature.Wrong},
		{"a payload of its own", strings.Replace(good, "..", "."+enc([]byte("body"))+".", 1), "body", signature.Malformed},
		{"no signature", strings.Split(good, "..")[0], "body", signature.Malformed},
		{"one part", strings.Split(good, "..")[0] + ".", "body", signature.Malformed},
		{"an empty signature", strings.Split(good, "..")[0] + "..", "body", signature.Wrong},
		{"a signature that is not base64", strings.Split(good, "..")[0] + "..%", "body", signature.Malformed},
		{"a header that is not base64", "%" + good, "body", signature.Malformed},
		{"a header that is not JSON", sign(`x`, "body"), "body", signature.Malformed},
		{"two algorithms", sign(`{"alg":"none","alg":"HS256","b64":false,"crit":["b64"]}`, "body"), "body", signature.Malformed},
		{"an extension that nobody knows", sign(`{"alg":"HS256","b64":false,"crit":["b64","x"]}`, "body"), "body", signature.Malformed},
		{"another algorithm", sign(`{"alg":"HS384","b64":false,"crit":["b64"]}`, "body"), "body", signature.Wrong},
	} {
		req := request(c.body)
		req.Header.Set("X-Token", c.token)
		got := v.Verify(req, []signature.Key{{}, key(t, v, "another"), key(t, v, secret)}, now)
		if got.Reason != c.want || got.OK() && got.Key != 2 || !got.OK() && got.Key != -1 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// chained makes certificates, each signed by the one behind it; the last signs itself.
func chained(t *testing.T, keys []*ecdsa.PrivateKey, critical ...int) (list []*x509.Certificate) {
	t.Helper()
	list = make([]*x509.Certificate, len(keys))
	for i := len(keys) - 1; i >= 0; i-- {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: string(rune('a' + i))},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: i > 0, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
		for _, n := range critical {
			if n == i {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
			}
		}
		parent, signer := c, keys[i]
		if i < len(keys)-1 {
			parent, signer = list[i+1], keys[i+1]
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &keys[i].PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		if list[i], err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestTheChainOfATokenHasABoundedLength, of two to eight certificates; marks of its authority that are
// critical say nothing against it, and each purpose that is asked needs a certificate of its own.
func TestTheChainOfATokenHasABoundedLength(t *testing.T) {
	keys := make([]*ecdsa.PrivateKey, 9)
	for i := range keys {
		keys[i] = newECKey(t)
	}
	mark := []string{"1.2.3.4"}
	for _, c := range []struct {
		name     string
		length   int
		critical []int
		purposes []string
		malform  func([]any) any
		detail   string // empty for a chain that proves
	}{
		{"two", 2, nil, nil, nil, ""}, {"eight", 8, nil, nil, nil, ""},
		{"one", 1, nil, nil, nil, "not a certificate chain"}, {"nine", 9, nil, nil, nil, "not a certificate chain"},
		{"a critical mark on the first", 3, []int{0}, nil, nil, ""}, {"on the second", 3, []int{1}, nil, nil, ""},
		{"on both", 2, []int{0}, mark, nil, ""},
		{"a purpose that is marked on each", 2, []int{0, 1}, []string{mark[0], mark[0]}, nil, ""},
		{"a purpose that the second has not", 2, []int{0}, []string{mark[0], mark[0]}, nil, "certificate 2 is not for this purpose"},
		{"a purpose without a certificate", 2, []int{0, 1}, []string{mark[0], mark[0], mark[0]}, nil, "certificate 3 is not for this purpose"},
		{"a certificate that is not base64", 2, nil, nil, func(x []any) any { return []any{"%", x[1]} }, "x5c is not base64"},
		{"a certificate that is none", 2, nil, nil, func(x []any) any { return []any{"AAAA", x[1]} }, "x5c: "},
		{"another root", 2, nil, nil, func(x []any) any { return []any{x[0], x[0]} }, "does not end in the pinned root"},
		{"no list", 2, nil, nil, func([]any) any { return "x" }, "not a certificate chain"},
	} {
		list := chained(t, keys[:c.length], c.critical...)
		sum := sha256.Sum256(list[len(list)-1].Raw)
		s := tokenScheme(signature.JWT{Algorithms: []string{"ES256"}})
		s.Key = &signature.KeySource{Format: "x5c", Root: hex.EncodeToString(sum[:]), Purposes: c.purposes}
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"a": 1})
		var x5c []any
		for _, x := range list {
			x5c = append(x5c, enc64(x.Raw))
		}
		token.Header["x5c"] = x5c
		if c.malform != nil {
			token.Header["x5c"] = c.malform(x5c)
		}
		text, err := token.SignedString(keys[0])
		if err != nil {
			t.Fatal(err)
		}
		req := &signature.Request{Method: http.MethodPost, Header: http.Header{"X-Token": {text}}}
		got := verifier(t, s).Verify(req, []signature.Key{{}}, now)
		if got.OK() != (c.detail == "") || !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestTokenErrorNamesTheFailedFetch, and is read behind its prefix.
func TestTokenErrorNamesTheFailedFetch(t *testing.T) {
	k := newKeyPairs(t)
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"a": 1}).SignedString(k.rsa2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{documents: map[string]string{"https://keys.example/": jsonText(jwkOf(&k.rsa2048.PublicKey, nil))}}
	for address, c := range map[string]struct{ method, want string }{
		"https://keys.example/": {"", ""}, "": {"", "key.url: header X-Key is missing"},
		"https://evil.example/":  {"", `not on a pinned https host: "https://evil.example/"`},
		"https://keys.example/?": {"a b", "requesting the key"},
	} {
		s := tokenScheme(signature.JWT{Algorithms: []string{"RS256"}})
		s.Prefix = "Bearer "
		s.Key = &signature.KeySource{URL: "{header:X-Key}", Hosts: []string{`keys\.example`}, Format: "jwk", Method: c.method}
		req := request("body")
		req.Fetch = p.fetch
		req.Header.Set("X-Token", "bearer "+text)
		if address != "" {
			req.Header.Set("X-Key", address)
		}
		got := verifier(t, s).Verify(req, []signature.Key{{}}, now)
		if got.OK() != (c.want == "") || !strings.Contains(got.Detail, c.want) {
			t.Errorf("%q: %+v", address, got)
		}
	}
}
