package signature_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hookloom/hookloom/engine/signature"
)

var now = time.Unix(1_767_225_600, 0)

func verifier(t testing.TB, s signature.Scheme) *signature.Verifier {
	t.Helper()
	v, err := signature.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func key(t testing.TB, v *signature.Verifier, text string) signature.Key {
	t.Helper()
	k, err := v.NewKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func schemes() map[string]signature.Scheme {
	return map[string]signature.Scheme{
		"standard": signature.Standard(), "github": signature.GitHub(), "stripe": signature.Stripe(),
		"url and method": {Algorithm: "hmac-sha512", From: signature.Place{Header: "X-S"}, Encodings: []string{"base64"},
			SignedContent: []string{"{method}{public_url}{body}"}},
		"token": {Algorithm: "static-token", From: signature.Place{Header: "X-Token"}, Encodings: []string{"raw"}},
		"in the query": {Algorithm: "hmac-sha1", From: signature.Place{Query: "sig"}, Encodings: []string{"base64url_nopad"},
			SignedContent: []string{"{body}"}},
		"plain hash": {Algorithm: "sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
			SignedContent: []string{"{secret}{body}"}},
	}
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func request(body string) *signature.Request {
	return &signature.Request{Method: "POST", Header: http.Header{"Webhook-Id": {"msg_1"}}, Query: url.Values{},
		PublicURL: "https://hooks.example.com/in", Body: []byte(body)}
}

// TestOnlyWhatWasSignedVerifies signs by each scheme and then
// changes one thing at a time.
func TestOnlyWhatWasSignedVerifies(t *testing.T) {
	for name, s := range schemes() {
		t.Run(name, func(t *testing.T) {
			v := verifier(t, s)
			k, other := key(t, v, secret), key(t, v, "whsec_d3JvbmcgZm9yIHRoaXMgdGVzdA==")
			req := request(`{"a":1}`)
			if _, err := v.Sign(req, k, now); err != nil {
				t.Fatal(err)
			}
			if got := v.Verify(req, []signature.Key{other, k}, now); !got.OK() || got.Key != 1 {
				t.Fatalf("genuine: %+v", got)
			}
			if got := v.Verify(req, []signature.Key{other}, now); got.OK() || got.Key != -1 {
				t.Errorf("another secret: %+v", got)
			}
			if got := v.Verify(req, nil, now); got.OK() {
				t.Errorf("no secret at all: %+v", got)
			}
			if s.Algorithm != "static-token" {
				changed := *req
				changed.Body = []byte(`{"a":2}`)
				if got := v.Verify(&changed, []signature.Key{k}, now); got.OK() {
					t.Errorf("changed body: %+v", got)
				}
			}
			if s.Timestamp != nil {
				for _, off := range []time.Duration{-301 * time.Second, 301 * time.Second} {
					if got := v.Verify(req, []signature.Key{k}, now.Add(off)); got.OK() {
						t.Errorf("%v off: %+v", off, got)
					}
				}
				if got := v.Verify(req, []signature.Key{k}, now.Add(300*time.Second)); !got.OK() {
					t.Errorf("at the edge: %+v", got)
				}
			}
			malform(t, v, k, req)
		})
	}
}

// malform sends malformed signatures of each kind.
func malform(t *testing.T, v *signature.Verifier, k signature.Key, req *signature.Request) {
	name := v.From.Header
	if name == "" {
		return
	}
	good := req.Header.Get(name)
	try := func(what string, values ...string) {
		t.Helper()
		r := *req
		r.Header = req.Header.Clone()
		r.Header.Del(name)
		for _, x := range values {
			r.Header.Add(name, x)
		}
		if got := v.Verify(&r, []signature.Key{k}, now); got.OK() {
			t.Errorf("%s passes", what)
		}
	}
	try("no header")
	try("an empty header", "")
	try("a shortened signature", good[:len(good)-2])
	try("a lengthened signature", good+"00")
	try("garbage", "Zm9v, %%%")
	if v.Parse.Format != "space_list" {
		try("two different headers", good, "x")
	}
	if v.Prefix != "" {
		try("a missing prefix", strings.TrimPrefix(good, v.Prefix))
	}
	for i := range good {
		b := []byte(good)
		b[i] ^= 1
		if changed := string(b); !strings.EqualFold(changed, good) && !sameBase64(v.Encodings[0], good, changed) {
			try("a flipped bit at "+string(rune('0'+i%10)), changed)
		}
	}
}

// sameBase64 reports equal bytes: the last character of base64 has unused bits.
func sameBase64(encoding, a, b string) bool {
	return strings.HasPrefix(encoding, "base64") && strings.TrimRight(a, "=")[:len(strings.TrimRight(a, "="))-1] == strings.TrimRight(b,
		"=")[:max(0, len(strings.TrimRight(b, "="))-1)]
}

func TestUnusableSecretsAreRefused(t *testing.T) {
	v := verifier(t, signature.Standard())
	for _, text := range []string{"", "whsec_", "whsec_%%%"} {
		if _, err := v.NewKey(text); err == nil {
			t.Errorf("%q was taken as a secret", text)
		}
	}
	if _, err := verifier(t, signature.Standard()).StandardKey(""); err == nil {
		t.Error("an empty secret signs")
	}
}

func TestUnknownSchemesDoNotCompile(t *testing.T) {
	for _, s := range []signature.Scheme{{Algorithm: "none"}, {Algorithm: "hmac-sha256", SignedContent: []string{"{bdy}"}},
		{Algorithm: "hmac-sha256", SignedContent: []string{"{header:}"}}, {Algorithm: "hmac-sha256", SignedContent: []string{"{body"}}} {
		if _, err := signature.Compile(s); err == nil {
			t.Errorf("%+v compiles", s)
		}
	}
}

// FuzzSignatureHeader checks that the parsers of all schemes accept nothing unsigned.
func FuzzSignatureHeader(f *testing.F) {
	f.Add("t=1767225600,v1=00", "1767225600", "v1,AAAA v1,BBBB", "sha256=00")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		for name, s := range schemes() {
			if s.Algorithm == "static-token" {
				continue
			}
			v := verifier(t, s)
			req := request("body")
			for _, x := range []string{a, c, d} {
				req.Header.Set("Stripe-Signature", x)
				req.Header.Set("Webhook-Signature", x)
				req.Header.Set("X-Hub-Signature-256", x)
				req.Header.Set("X-S", x)
				req.Query.Set("sig", x)
				req.Header.Set("Webhook-Timestamp", b)
				if v.Verify(req, []signature.Key{key(t, v, secret)}, now).OK() {
					t.Fatalf("%s accepts %q", name, x)
				}
			}
		}
	})
}

// mechanisms returns one scheme of each kind, with a key that can sign.
func mechanisms(t testing.TB) map[string]struct {
	scheme signature.Scheme
	secret string
} {
	t.Helper()
	type mechanism = struct {
		scheme signature.Scheme
		secret string
	}
	private := func(k any, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, ecErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, rsErr := rsa.GenerateKey(rand.Reader, 2048)
	header := signature.Place{Header: "X-S"}
	out := map[string]mechanism{
		"stripe": {signature.Stripe(), secret}, "github": {signature.GitHub(), secret}, "standard": {signature.Standard(), secret},
		"ed25519": {signature.Scheme{Algorithm: "ed25519", From: header, Encodings: []string{"hex"}, SignedContent: []string{"{body}"}},
			private(ed, nil)},
		"ecdsa": {signature.Scheme{Algorithm: "ecdsa-p256-sha256", From: header, Encodings: []string{"base64"},
			SignedContent: []string{"{body}"}},
			private(ec, ecErr)},
		"rsa-sha256": {signature.Scheme{Algorithm: "rsa-sha256", From: header, Encodings: []string{"base64"}, SignedContent: []string{"{body}"}},
			private(rs, rsErr)},
		"token": {signature.Scheme{Algorithm: "static-token", From: header, Encodings: []string{"raw"}}, secret},
		"basic": {signature.Scheme{Algorithm: "basic-auth", From: signature.Place{Header: "Authorization"}, Prefix: "Basic ",
			Encodings: []string{"base64"}}, "user:pass:word"},
		"jwt": {signature.Scheme{Algorithm: "jwt", From: header, Encodings: []string{"jws_compact"},
			JWT: &signature.JWT{Algorithms: []string{"HS256"}, Present: []string{"exp"},
				Hashes: []signature.ClaimHash{{Name: "body", Of: "{body}", Encoding: "hex"}}}}, secret},
		"jwt rs256": {signature.Scheme{Algorithm: "jwt", From: header, Encodings: []string{"jws_compact"},
			JWT: &signature.JWT{Algorithms: []string{"RS256"}}}, private(rs, rsErr)},
		"detached": {signature.Scheme{Algorithm: "jwt", From: header, Encodings: []string{"jws_detached"},
			JWT: &signature.JWT{Algorithms: []string{"RS256"}, Detached: true}}, private(rs, rsErr)},
	}
	for _, a := range []string{"hmac-sha1", "hmac-sha384", "hmac-sha512", "hmac-md5", "md5", "sha1", "sha384", "sha512"} {
		out[a] = mechanism{signature.Scheme{Algorithm: a, From: header, Encodings: []string{"hex"}, SignedContent: []string{"{secret}{body}"}},
			secret}
	}
	return out
}

// TestEachMechanismVerifiesOnlyItsOwn signs by each and verifies by all.
func TestEachMechanismVerifiesOnlyItsOwn(t *testing.T) {
	all := mechanisms(t)
	for name, m := range all {
		v := verifier(t, m.scheme)
		req := request(`{"a":1}`)
		if _, err := v.Sign(req, key(t, v, m.secret), now); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for other, o := range all {
			w := verifier(t, o.scheme)
			if got := w.Verify(req, []signature.Key{key(t, w, o.secret)}, now); got.OK() != (name == other) {
				t.Errorf("signed by %s, verified by %s: %+v", name, other, got)
			}
		}
		changed := *req
		changed.Body = []byte(`{"a":2}`)
		if got := v.Verify(&changed, []signature.Key{key(t, v, m.secret)}, now); got.OK() && name != "token" && name != "basic" &&
			name != "jwt rs256" {
			t.Errorf("%s takes another body", name)
		}
	}
}

// TestHMACVerifiesWithoutGarbage checks that verification allocates nothing.
func TestHMACVerifiesWithoutGarbage(t *testing.T) {
	if raceDetector {
		t.Skip("pools are emptied at random under the race detector; the plain run counts")
	}
	for _, name := range []string{"github", "stripe", "standard"} {
		v := verifier(t, schemes()[name])
		keys := []signature.Key{key(t, v, secret)}
		req := request(strings.Repeat("x", 1200))
		if _, err := v.Sign(req, keys[0], now); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(200, func() {
			if !v.Verify(req, keys, now).OK() {
				t.Fatal("refused")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestTokenWithItsOwnCertificateChain checks that the chain must end in the pinned root, that each link
// must be valid, and that the first certificate must have signed the token.
func TestTokenWithItsOwnCertificateChain(t *testing.T) {
	make := func(parent *x509.Certificate, signer *ecdsa.PrivateKey, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: now.Add(-time.Hour),
			NotAfter: now.Add(time.Hour), IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		if parent == nil {
			parent, signer = c, k
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out, k
	}
	root, rootKey := make(nil, nil, true)
	middle, middleKey := make(root, rootKey, true)
	leaf, leafKey := make(middle, middleKey, false)
	_, strangerKey := make(nil, nil, true)
	evilRoot, evilKey := make(nil, nil, true)
	evilLeaf, evilLeafKey := make(evilRoot, evilKey, false)
	sum := sha256.Sum256(root.Raw)
	v := verifier(t, signature.Scheme{Algorithm: "jwt", From: signature.Place{JSON: "signedPayload"}, Encodings: []string{"jws_compact"},
		JWT: &signature.JWT{Algorithms: []string{"ES256"}},
		Key: &signature.KeySource{URL: "https://x.example", Format: "x5c", Root: hex.EncodeToString(sum[:])}})
	signed := func(k *ecdsa.PrivateKey, chain ...*x509.Certificate) *signature.Request {
		tk := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"notificationUUID": "u1"})
		var list []string
		for _, c := range chain {
			list = append(list, base64.StdEncoding.EncodeToString(c.Raw))
		}
		tk.Header["x5c"] = list
		text, err := tk.SignedString(k)
		if err != nil {
			t.Fatal(err)
		}
		return &signature.Request{JSON: func(string) (string, bool) { return text, true }}
	}
	for name, c := range map[string]struct {
		req  *signature.Request
		at   time.Time
		want bool
	}{
		"genuine":                      {signed(leafKey, leaf, middle, root), now, true},
		"signed by another key":        {signed(strangerKey, leaf, middle, root), now, false},
		"another root":                 {signed(evilLeafKey, evilLeaf, evilRoot), now, false},
		"the root put behind":          {signed(evilLeafKey, evilLeaf, evilRoot, root), now, false},
		"a link left out":              {signed(leafKey, leaf, root), now, false},
		"no chain":                     {signed(leafKey), now, false},
		"after the certificate's time": {signed(leafKey, leaf, middle, root), now.Add(2 * time.Hour), false},
	} {
		if got := v.Verify(c.req, []signature.Key{{}}, c.at); got.OK() != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzScheme generates templates and signature formats: no template may panic, a signed request
// must verify, and a changed body must not if the body is signed.
func FuzzScheme(f *testing.F) {
	f.Add("{timestamp}.{body}", "kv_list", ",", "X-A", "body", "1")
	f.Add("[id:{query:data.id|lower};]ts:{timestamp};{body|json}", "", "", "", "x", "2")
	f.Add("{method}{LF}{path_query_encoded}{LF}{header_lines:X-List}{LF}{body}", "positional", ",", "x-list", "b", "3")
	f.Fuzz(func(t *testing.T, content, format, separator, header, body, clock string) {
		s := signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"},
			SignedContent: []string{content},
			Parse: signature.Parse{Format: format, Separator: separator, SignatureKeys: []string{"v1"}, Versions: []string{"v1"},
				Select: "{body}"}}
		v, err := signature.Compile(s)
		if err != nil || separator == "" && format != "" {
			return
		}
		k := key(t, v, secret)
		req := request(body)
		req.Form = func() (url.Values, error) { return url.ParseQuery(body) }
		if header != "" && http.CanonicalHeaderKey(header) != "X-S" {
			req.Header.Set(header, clock)
		}
		if _, err := v.Sign(req, k, now); err != nil {
			return
		}
		v.Verify(req, []signature.Key{k}, now)
		changed := *req
		changed.Body = append([]byte("x"), req.Body...)
		if strings.HasSuffix(content, "{body}") && !strings.Contains(content, "[") && v.Verify(&changed, []signature.Key{k}, now).OK() {
			t.Fatalf("%q takes a changed body", content)
		}
	})
}

// BenchmarkVerify measures a verification of 1.2 KB by each mechanism.
func BenchmarkVerify(b *testing.B) {
	for name, m := range mechanisms(b) {
		v := verifier(b, m.scheme)
		keys := []signature.Key{key(b, v, m.secret)}
		req := request(strings.Repeat("x", 1200))
		if _, err := v.Sign(req, keys[0], now); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !v.Verify(req, keys, now).OK() {
					b.Fatal("refused")
				}
			}
		})
	}
}

// TestATemplateWithAnUnclosedVariableIsRefused checks it because such a template would read the
// next variable as part of a name, and sign less than it shows.
func TestATemplateWithAnUnclosedVariableIsRefused(t *testing.T) {
	for _, text := range []string{"{header_lines:{body}", "{json:{body}", "{body", "{{body}"} {
		if _, err := signature.ParseTemplate(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if _, err := signature.ParseTemplate("{json:a{b}"); err == nil || !strings.Contains(err.Error(), "is not closed") {
		t.Errorf("the message does not say what is missing: %v", err)
	}
}
