package signature_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// publisher is a provider that publishes documents at addresses. It keeps what it was asked.
type publisher struct {
	documents map[string]string
	asked     []string // method, address and body
	headers   []http.Header
}

func (p *publisher) fetch(_ context.Context, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.asked = append(p.asked, r.Method+" "+r.URL.String()+" "+string(body))
	p.headers = append(p.headers, r.Header)
	d, there := p.documents[r.URL.String()]
	if !there {
		return nil, errors.New("answered 404")
	}
	return []byte(d), nil
}

// fetching is a scheme whose key is fetched.
func fetching(t *testing.T, algorithm string, k signature.KeySource) *signature.Verifier {
	t.Helper()
	return verifier(t, signature.Scheme{Algorithm: algorithm, From: signature.Place{Header: "X-S"}, Encodings: []string{"base64"},
		SignedContent: []string{"{body}"}, Key: &k})
}

// pkcs8 is a private key in PEM.
func pkcs8(k any) string {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	return pemText("PRIVATE KEY", der, err)
}

// signedBy is a request that a private key has signed, whose keys are fetched from p.
func signedBy(t *testing.T, algorithm string, private any, p *publisher) *signature.Request {
	t.Helper()
	v := fetching(t, algorithm, signature.KeySource{URL: "https://none.example"})
	req := request("body")
	if _, err := v.Sign(req, key(t, v, pkcs8(private)), now); err != nil {
		t.Fatal(err)
	}
	req.Context, req.Params = t.Context(), map[string]string{}
	if p != nil {
		req.Fetch = p.fetch
	}
	return req
}

// TestAKeyIsFetchedFromPinnedAddressesOnly: whoever writes the request may name the address, and
// must not make a host of his own the provider's.
func TestAKeyIsFetchedFromPinnedAddressesOnly(t *testing.T) {
	k := newKeyPairs(t)
	document := pemText("PUBLIC KEY", spki(t, k.ed.Public()), nil)
	for address, want := range map[string]bool{
		"https://a.keys.example/x/key.pem":              true,
		"https://a.keys.example/key.pem?version=2":      true,
		"https://A.Keys.example/key.pem":                true,
		"https://other.example/key.pem":                 true, // the second pattern
		"http://a.keys.example/key.pem":                 false,
		"//a.keys.example/key.pem":                      false,
		"https://user@a.keys.example/key.pem":           false,
		"https://a.keys.example:8443/key.pem":           false,
		"https://a.keys.example/key.pem#x":              false,
		"https://a.keys.example/key.txt":                false,
		"https://a.keys.example/?/key.pem":              false,
		"https://a.keys.example.evil.example/key.pem":   false,
		"https://evil.example/a.keys.example/key.pem":   false,
		"https://evil.example?https://a.keys.example/x": false,
		"https://a.keys.example/%zz/key.pem":            false,
		"":                                              false,
	} {
		p := &publisher{documents: map[string]string{address: document}}
		v := fetching(t, "ed25519", signature.KeySource{URL: "{header:X-Key}", Format: "pem", Suffix: "/key.pem",
			Hosts: []string{`[a-z]+\.keys\.example`, `other\.example|another\.example`}})
		req := signedBy(t, "ed25519", k.ed, p)
		if address != "" {
			req.Header.Set("X-Key", address)
		}
		got := v.Verify(req, []signature.Key{{}}, now)
		if want && !got.OK() || !want && (got.Reason != signature.Wrong || len(p.asked) > 0) {
			t.Errorf("%q: %q %s, asked %q; genuine: %t", address, got.Reason, got.Detail, p.asked, want)
		}
	}
	for _, k := range []signature.KeySource{{URL: "https://x.example", Hosts: []string{"("}}, {URL: "{nothing}"}} {
		if _, err := signature.Compile(signature.Scheme{Algorithm: "ed25519", Key: &k}); err == nil {
			t.Errorf("%+v compiles", k)
		}
	}
}

// TestKeyIsRequestedAsItsProviderRequires: by the id that the request names, with the headers, the
// body and the access token that the scheme says.
func TestKeyIsRequestedAsItsProviderRequires(t *testing.T) {
	k := newKeyPairs(t)
	document := jsonText(map[string]any{"key": map[string]string{"pem": pemText("PUBLIC KEY", spki(t, k.ed.Public()), nil)}})
	source := signature.KeySource{Method: "POST", URL: "https://keys.example/v1/{kid}", Hosts: []string{`keys\.example`}, Format: "pem",
		At: "key.pem", KID: "{header:X-Kid}", Body: signature.EscapeJSON(`{"id": "{kid}", "client": "{param:client}"}`),
		Headers: map[string]string{"X-Client": "{param:client}"},
		Token:   &signature.TokenSource{URL: "https://keys.example/token", ID: "{param:client}", Secret: "{param:secret}", Scope: "keys"}}
	documents := map[string]string{"https://keys.example/v1/k%201": document, "https://keys.example/token": `{"access_token":"at-1"}`}
	genuine := func(p *publisher) *signature.Request {
		req := signedBy(t, "ed25519", k.ed, p)
		req.Header.Set("X-Kid", "k 1")
		req.Params = map[string]string{"client": "c1", "secret": "s1"}
		return req
	}
	p := &publisher{documents: documents}
	if got := fetching(t, "ed25519", source).Verify(genuine(p), []signature.Key{{}}, now); !got.OK() {
		t.Fatalf("%+v", got)
	}
	want := []string{"POST https://keys.example/token grant_type=client_credentials&scope=keys",
		`POST https://keys.example/v1/k%201 {"id": "k 1", "client": "c1"}`}
	if fmt.Sprint(p.asked) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", p.asked, want)
	}
	if h := p.headers[0]; h.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("c1:s1")) ||
		h.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("the token is asked for with %v", h)
	}
	if h := p.headers[1]; h.Get("Authorization") != "Bearer at-1" || h.Get("X-Client") != "c1" {
		t.Errorf("the key is asked for with %v", h)
	}
	type change func(*signature.Request, *signature.KeySource, *publisher)
	without := func(param string) change {
		return func(r *signature.Request, _ *signature.KeySource, _ *publisher) { delete(r.Params, param) }
	}
	publishes := func(path, document string) change {
		return func(_ *signature.Request, _ *signature.KeySource, p *publisher) {
			p.documents["https://keys.example/"+path] = document
		}
	}
	for name, c := range map[string]struct {
		change change
		detail string
		reason signature.Reason
	}{
		"no client for the body": {without("client"), "client", ""},
		"no client for the header": {func(r *signature.Request, s *signature.KeySource, _ *publisher) {
			delete(r.Params, "client")
			s.Body = ""
		}, "client", ""},
		"no client for the token": {func(r *signature.Request, s *signature.KeySource, _ *publisher) {
			delete(r.Params, "client")
			s.Body, s.Headers = "", nil
		}, "client", ""},
		"a body that is no template": {func(_ *signature.Request, s *signature.KeySource, _ *publisher) { s.Body = "{x}" }, "not known", ""},
		"no secret for the token":    {without("secret"), "secret", ""},
		"no network":                 {func(r *signature.Request, _ *signature.KeySource, _ *publisher) { r.Fetch = nil }, "no network", ""},
		"no token": {func(_ *signature.Request, _ *signature.KeySource, p *publisher) {
			delete(p.documents, "https://keys.example/token")
		}, "404", ""},
		"an empty token":           {publishes("token", `{"access_token":""}`), "access_token", ""},
		"a token that is not JSON": {publishes("token", "at-1"), "access_token", ""},
		"a token's address that is none": {func(_ *signature.Request, s *signature.KeySource, _ *publisher) {
			s.Token.URL = ":"
		}, "", signature.Wrong},
		"a method that is none": {func(_ *signature.Request, s *signature.KeySource, _ *publisher) {
			s.Method = "a b"
		}, "", signature.Wrong},
		"no key of this id": {func(r *signature.Request, _ *signature.KeySource, _ *publisher) {
			r.Header.Set("X-Kid", "k2")
		}, "404", ""},
		"no id": {func(r *signature.Request, _ *signature.KeySource, _ *publisher) {
			r.Header.Del("X-Kid")
		}, "", signature.Wrong},
		"no JSON around the key": {publishes("v1/k%201", "x"), "not JSON", ""},
		"no such field":          {publishes("v1/k%201", `{"key":{}}`), "", ""},
	} {
		s, p := source, &publisher{documents: map[string]string{}}
		token := *source.Token
		s.Token = &token
		for a, d := range documents {
			p.documents[a] = d
		}
		req := genuine(p)
		c.change(req, &s, p)
		want := c.reason
		if want == "" {
			want = signature.Unavailable
		}
		got := fetching(t, "ed25519", s).Verify(req, []signature.Key{{}}, now)
		if got.Reason != want || want == signature.Unavailable && !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s: %q %s", name, got.Reason, got.Detail)
		}
	}
}

// authority is a certificate that the system trusts, for the life of the process.
var authority = sync.OnceValues(func() (*x509.Certificate, *ecdsa.PrivateKey) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := issue(nil, &k.PublicKey, k, true)
	pool := x509.NewCertPool()
	pool.AddCert(c)
	x509.SetFallbackRoots(pool)
	return c, k
})

// issue makes a certificate; parent is nil for one that signs itself.
func issue(parent *x509.Certificate, public, signer any, ca bool) *x509.Certificate {
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: fmt.Sprint(ca, parent == nil)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, signer)
	if err != nil {
		panic(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return out
}

// TestAPublishedKeyIsReadInEachFormat, and a document that holds no key for the algorithm is not
// taken as one.
func TestAPublishedKeyIsReadInEachFormat(t *testing.T) {
	t.Setenv("GODEBUG", "x509usefallbackroots=1")
	root, rootKey := authority()
	k := newKeyPairs(t)
	middleKey := newECKey(t)
	middle := issue(root, &middleKey.PublicKey, rootKey, true)
	leaf := issue(middle, &k.rsa2048.PublicKey, middleKey, false)
	direct := issue(root, &k.rsa2048.PublicKey, rootKey, false)
	ownLeaf := issue(nil, &k.rsa2048.PublicKey, k.rsa2048, false)
	ecLeaf := issue(root, &k.p256.PublicKey, rootKey, false)
	certificates := func(list ...*x509.Certificate) (text string) {
		for _, c := range list {
			text += pemText("CERTIFICATE", c.Raw, nil)
		}
		return text
	}
	rsaPEM := pemText("PUBLIC KEY", spki(t, &k.rsa2048.PublicKey), nil)
	inner := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(rsaPEM, "-----BEGIN PUBLIC KEY-----\n"),
		"\n-----END PUBLIC KEY-----\n"), "\n", "")
	jwks := func(keys ...map[string]any) string { return jsonText(map[string]any{"keys": keys}) }
	rsaJWK := jwkOf(&k.rsa2048.PublicKey, map[string]any{"kid": "r"})
	inPEM, inSet, begin, end := signature.KeySource{Format: "pem"}, signature.KeySource{Format: "jwks"},
		"-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
	inX509, chain := signature.KeySource{Format: "x509"}, signature.KeySource{Format: "x509", Chain: true}
	field := func(path ...string) (v any) {
		v = rsaPEM
		for _, name := range path {
			v = map[string]any{name: v}
		}
		return v
	}
	for name, c := range map[string]struct {
		source   signature.KeySource
		document string
		wrong    string // empty for a document that proves
	}{
		"PEM":                                 {inPEM, rsaPEM, ""},
		"PEM with its armour on one line":     {inPEM, begin + inner + end, ""},
		"PEM with a line feed behind it":      {inPEM, begin + inner + end + "\n", ""},
		"PEM of three lines":                  {inPEM, begin + "\n" + inner + "\n" + end, ""},
		"base64 without armour":               {inPEM, " " + inner + "\n", ""},
		"a field of JSON":                     {signature.KeySource{Format: "pem", At: "a.b"}, jsonText(field("b", "a")), ""},
		"a JWK in a field":                    {signature.KeySource{Format: "jwk", At: "key"}, jsonText(map[string]any{"key": rsaJWK}), ""},
		"a key set":                           {inSet, jwks(rsaJWK), ""},
		"a key set with other kinds":          {inSet, jwks(jwkOf(k.ed.Public(), nil), rsaJWK), ""},
		"a key set of other kinds":            {inSet, jwks(jwkOf(k.ed.Public(), nil)), "no key for rsa-sha256"},
		"an empty key set":                    {inSet, jwks(), "no supported public key"},
		"another key":                         {inPEM, pemText("PUBLIC KEY", spki(t, k.ed.Public()), nil), "no key for rsa-sha256"},
		"no key":                              {inPEM, begin + "\nAAAA\n" + end + "\n", "contains no public key"},
		"a certificate":                       {inX509, certificates(leaf), ""},
		"a certificate that signed itself":    {inX509, certificates(ownLeaf), ""},
		"a chain to a trusted root":           {chain, certificates(leaf, middle), ""},
		"a certificate of a trusted root":     {chain, certificates(direct), ""},
		"a chain with a link left out":        {chain, certificates(leaf), "trusted root"},
		"a chain that begins with its issuer": {chain, certificates(middle, leaf), "not RSA"},
		"a chain to a root that nobody knows": {chain, certificates(ownLeaf), "trusted root"},
		"a certificate of another kind":       {inX509, certificates(ecLeaf), "not RSA"},
		"a certificate that is none":          {inX509, pemText("CERTIFICATE", []byte("x"), nil), "reading the certificate"},
		"no certificate":                      {inX509, "x", "no certificate"},
	} {
		p := &publisher{documents: map[string]string{"https://keys.example/": c.document}}
		c.source.URL, c.source.Hosts = "https://keys.example/", []string{`keys\.example`}
		got := fetching(t, "rsa-sha256", c.source).Verify(signedBy(t, "rsa-sha256", k.rsa2048, p), []signature.Key{{}}, now)
		if want := c.wrong == ""; got.OK() != want || !want && (got.Reason != signature.Unavailable || !strings.Contains(got.Detail, c.wrong)) {
			t.Errorf("%s: %q %s", name, got.Reason, got.Detail)
		}
		if len(p.asked) != 1 || !strings.HasPrefix(p.asked[0], "GET ") {
			t.Errorf("%s: asked %q", name, p.asked)
		}
	}
}

// TestTheKeyThatASignatureNamesIsUsed: a set may hold several, and only the one with the id that is
// named counts.
func TestTheKeyThatASignatureNamesIsUsed(t *testing.T) {
	k := newKeyPairs(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := func(ours, theirs map[string]any) string {
		return jsonText(map[string]any{"keys": []any{jwkOf(&other.PublicKey, theirs), jwkOf(&k.rsa2048.PublicKey, ours)}})
	}
	id := func(s string) map[string]any { return map[string]any{"kid": s} }
	for name, c := range map[string]struct {
		document, kid string
		want          signature.Reason
	}{
		"the key that is named":                {set(id("a"), id("b")), "a", signature.Accepted},
		"no id is named":                       {set(id("a"), id("b")), "", signature.Accepted},
		"keys without ids":                     {set(nil, nil), "a", signature.Accepted},
		"another key is named":                 {set(id("a"), id("b")), "b", signature.Wrong},
		"a key is named that the set has not":  {set(id("a"), id("b")), "c", signature.Wrong},
		"the ids are another letter's case":    {set(id("A"), id("b")), "a", signature.Wrong},
		"one without an id beside another one": {set(nil, id("b")), "a", signature.Accepted},
	} {
		p := &publisher{documents: map[string]string{"https://keys.example/": c.document}}
		v := verifier(t, signature.Scheme{Algorithm: "rsa-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"base64"},
			SignedContent: []string{"{body}"}, Parse: signature.Parse{Format: "json_base64", SignatureKeys: []string{"sig"}, KeyID: "kid"},
			Key: &signature.KeySource{URL: "https://keys.example/", Hosts: []string{`keys\.example`}, Format: "jwks"}})
		req := signedBy(t, "rsa-sha256", k.rsa2048, p)
		fields := map[string]string{"sig": req.Header.Get("X-S")}
		if c.kid != "" {
			fields["kid"] = c.kid
		}
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-S", base64.StdEncoding.EncodeToString(b))
		if got := v.Verify(req, []signature.Key{{}}, now); got.Reason != c.want {
			t.Errorf("%s: %q %s", name, got.Reason, got.Detail)
		}
	}
}
