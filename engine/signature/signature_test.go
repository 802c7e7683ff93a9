package signature_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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
		"url and method": {Algorithm: "hmac-sha512", From: signature.Place{Header: "X-S"}, Encodings: []string{"base64"}, Content: "{method}{public_url}{body}"},
		"token":          {Algorithm: "static-token", From: signature.Place{Header: "X-Token"}, Encodings: []string{"raw"}},
		"in the query":   {Algorithm: "hmac-sha1", From: signature.Place{Query: "sig"}, Encodings: []string{"base64url_nopad"}, Content: "{body}"},
		"plain hash":     {Algorithm: "sha256", From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"}, Content: "{secret}{body}"},
	}
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func request(body string) *signature.Request {
	return &signature.Request{Method: "POST", Header: http.Header{"Webhook-Id": {"msg_1"}}, Query: url.Values{}, PublicURL: "https://hooks.example.com/in", Body: []byte(body)}
}

// TestWhatIsSignedVerifiesAndNothingElseDoes signs by each scheme and then
// changes one thing at a time.
func TestWhatIsSignedVerifiesAndNothingElseDoes(t *testing.T) {
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
			spoil(t, v, k, req)
		})
	}
}

// spoil tries the ways in which a signature can be malformed.
func spoil(t *testing.T, v *signature.Verifier, k signature.Key, req *signature.Request) {
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

// sameBase64: the last letter of base64 carries bits that do not count.
func sameBase64(encoding, a, b string) bool {
	return strings.HasPrefix(encoding, "base64") && strings.TrimRight(a, "=")[:len(strings.TrimRight(a, "="))-1] == strings.TrimRight(b, "=")[:max(0, len(strings.TrimRight(b, "="))-1)]
}

func TestSecretsThatCannotProveAreRefused(t *testing.T) {
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
	for _, s := range []signature.Scheme{{Algorithm: "none"}, {Algorithm: "hmac-sha256", Content: "{bdy}"}, {Algorithm: "hmac-sha256", Content: "{header:}"}, {Algorithm: "hmac-sha256", Content: "{body"}} {
		if _, err := signature.Compile(s); err == nil {
			t.Errorf("%+v compiles", s)
		}
	}
}

// FuzzSignatureHeader feeds the parsers of all schemes: nothing unsigned passes.
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

func BenchmarkVerify(b *testing.B) {
	for _, name := range []string{"github", "stripe", "standard"} {
		v := verifier(b, schemes()[name])
		k := key(b, v, secret)
		req := request(strings.Repeat("x", 1200))
		if _, err := v.Sign(req, k, now); err != nil {
			b.Fatal(err)
		}
		keys := []signature.Key{k}
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
