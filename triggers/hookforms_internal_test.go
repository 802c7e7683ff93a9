package triggers

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// TestManyBodiesAtOnceAreACrowd above a limit, where the oldest slow one is ended for a new one; a buffer grows by its size.
func TestManyBodiesAtOnceAreACrowd(t *testing.T) {
	a := newAdmission()
	for count, want := range map[int]bool{manyArriving: false, manyArriving + 1: true} {
		if a.count = count; a.crowded() != want {
			t.Errorf("%d bodies are a crowd: %t", count, !want)
		}
	}
	for _, c := range [][3]int64{{2048, 1 << 30, 16384}, {smallBody - 1, 1 << 30, (smallBody - 1) * 8}, {smallBody, 1 << 30,
		smallBody * 16},
		{smallBody + 1, 1 << 30, (smallBody + 1) * 16}, {2048, 16383, 16383}, {smallBody, smallBody + 1, smallBody + 1}} {
		if got := grown(c[0], c[1]); got != c[2] {
			t.Errorf("%d of %d grows to %d, want %d", c[0], c[1], got, c[2])
		}
	}
	now := time.Now()
	for count, want := range map[int]bool{maxArriving - 1: false, maxArriving: true} {
		a := newAdmission()
		a.checking = true // no timer
		old := &arriving{caller: newCaller(), began: now.Add(-time.Hour)}
		a.begin(old)
		a.count = count
		if a.begin(&arriving{caller: newCaller(), began: now}); old.ended != want {
			t.Errorf("beside %d others the oldest one is ended: %t", count, old.ended)
		}
	}
	for size, want := range map[int64]int{smallBody: 0, smallBody + 1: 1} {
		x := &arriving{caller: newCaller()}
		if ok := newAdmission().take(x, size, now); !ok || x.pool != want || !x.due.Equal(now) {
			t.Errorf("%d bytes: %t, pool %d", size, ok, x.pool)
		}
	}
}

// TestRefusalsHaveLimitsOfNumberAndBytes, for one trigger and for all; each at its limit is kept.
func TestRefusalsHaveLimitsOfNumberAndBytes(t *testing.T) {
	for name, c := range map[string]struct {
		open, bytes, ownOpen, ownBytes int
		lost                           bool
	}{
		"none": {}, "one below": {open: maxRefusals - 1, ownOpen: triggerRefusals - 1, bytes: maxRefusalBytes - 2,
			ownBytes: triggerRefusalBytes - 2},
		"number": {open: maxRefusals, lost: true}, "own number": {ownOpen: triggerRefusals, lost: true},
		"bytes": {bytes: maxRefusalBytes - 1, lost: true}, "own bytes": {ownBytes: triggerRefusalBytes - 1, lost: true},
	} {
		r := &refusals{queue: make(chan refusal, 1), shares: map[string]*refusalShare{}}
		r.add(refusal{in: &inbound{}})
		<-r.queue
		s := r.shares[""]
		r.open, r.bytes, s.open, s.bytes = c.open, c.bytes, c.ownOpen, c.ownBytes
		r.add(refusal{in: &inbound{body: []byte("ab")}})
		if lost := r.lost == 1; lost != c.lost || !lost && (r.bytes != c.bytes+2 || s.bytes != c.ownBytes+2 || r.open != c.open+1) {
			t.Errorf("%s: %d are lost; %d with %d bytes", name, r.lost, r.open, r.bytes)
		}
	}
	r := &refusals{queue: make(chan refusal, 2*keptBurst), shares: map[string]*refusalShare{}}
	for range keptBurst + 100 {
		r.add(refusal{in: &inbound{}})
		r.open, r.shares[""].open = 0, 0
	}
	if n := len(r.queue); n < keptBurst || n > keptBurst+20 {
		t.Errorf("%d of one trigger are kept at once", n)
	}
}

// TestSendersAreReadBehindProxies: addresses in each form that proxies write, and the URL as the sender knows it.
func TestSendersAreReadBehindProxies(t *testing.T) {
	var out strings.Builder
	for _, text := range []string{"", "192.0.2.1", " 192.0.2.1:80 ", `"192.0.2.1:80"`, "[2001:db8::1]:443", "[2001:db8::1]",
		"2001:db8::1",
		"[2001:db8::1", "2001:db8::1]", "::ffff:192.0.2.1", "fe80::1%eth0", "unknown", "_hidden", "192.0.2.256", "[]", "["} {
		a, ok := parseNode(text)
		fmt.Fprintf(&out, "node %q: %s %t\n", text, a, ok)
	}
	for _, text := range []string{"", "a", "a,b", `"a,b",c`, `"a\",b",c`, `a\,b`, ",", `"a`} {
		fmt.Fprintf(&out, "split %q: %q\n", text, splitQuoted(text, ','))
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	r := &route{webhook: &workflows.Webhook{}}
	for _, h := range []http.Header{{}, {"X-Forwarded-For": {"192.0.2.1"}}, {"X-Forwarded-For": {"192.0.2.1, 198.51.100.2"}},
		{"X-Forwarded-For": {"203.0.113.1, 192.0.2.1", "198.51.100.2"}}, {"X-Forwarded-For": {"198.51.100.3, 198.51.100.2"}},
		{"X-Forwarded-For": {"nobody, 198.51.100.2"}}, {"X-Forwarded-For": {""}}, {"X-Forwarded-For": {"nobody, 192.0.2.1"}},
		{"Forwarded": {`for=192.0.2.1;proto=https;host=a.example`}},
		{"Forwarded": {`For="[2001:db8::9]:80", for=198.51.100.7;PROTO=HTTPS`}},
		{"Forwarded": {`by=x, for=192.0.2.1`, " , "}, "X-Forwarded-Host": {"first.example, second.example"}},
		{"X-Forwarded-For": {"192.0.2.1, 198.51.100.2"}, "X-Forwarded-Proto": {"https, http"},
			"X-Forwarded-Host": {"a.example:80, b.example"}},
		{"X-Forwarded-For": {"192.0.2.9, 192.0.2.1"}, "X-Forwarded-Proto": {"https, http"},
			"X-Forwarded-Host": {"a.example, [2001:db8::1]:8"}},
		{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"ftp"}, "X-Forwarded-Host": {"a b"}},
		{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Host": {"a.example:123456"}}, {"X-Forwarded-Proto": {"https"}}} {
		fmt.Fprintf(&out, "%v: %q %q\n", h, forwardedFor(h), forwarded(h, "host"))
		for _, remote := range []string{"198.51.100.1:5", "192.0.2.7:5", "[::ffff:198.51.100.1]:5", "pipe"} {
			req := httptest.NewRequest(http.MethodPost, "http://own.example/hooks/t?q=1", nil)
			req.Header, req.RemoteAddr = h, remote
			from := (&table{trusted: trusted}).sender(req)
			fmt.Fprintf(&out, "  %s: %s %q %d proxies, %s", remote, from.ip, from.problem, from.proxies, r.publicURL(req, from))
			req.TLS = &tls.ConnectionState{}
			fmt.Fprintf(&out, " %s %s\n", r.publicURL(req, from), (&route{public: "https://pub.example"}).publicURL(req, from))
		}
	}
	for _, name := range []string{"a", "a.b-c_d", "-a", "a:1", "a:12345", "a:123456", "a:", "[::1]", "[::1]:80", "[]", "a/b", "",
		strings.Repeat("a", 253), strings.Repeat("a", 254)} {
		fmt.Fprintf(&out, "host %.20q: %t\n", name, hostName.MatchString(name))
	}
	testgolden.Compare(t, "senders.golden", out.String())
}

// TestCallersAreCheckedByAddressAndCertificate: one of the allowed networks, and one of the allowed names.
func TestCallersAreCheckedByAddressAndCertificate(t *testing.T) {
	own, theirs := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	cert := func(name string, dns ...string) *tls.ConnectionState {
		return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: name}, DNSNames: dns}}}}
	}
	const noCert, badCert = "client certificate needed", "client certificate not allowed"
	for i, c := range []struct {
		w    workflows.Webhook
		ip   string
		tls  *tls.ConnectionState
		want string
	}{
		{workflows.Webhook{}, "", nil, ""}, {workflows.Webhook{AllowIPs: own}, "192.0.2.1", nil, ""},
		{workflows.Webhook{AllowIPs: own}, "203.0.113.1", nil, "address not allowed"},
		{workflows.Webhook{AllowIPs: own}, "", nil, "address not allowed"},
		{workflows.Webhook{AllowIPs: own, AllowProvider: true}, "203.0.113.1", nil, ""},
		{workflows.Webhook{AllowProvider: true}, "203.0.113.1", nil, ""},
		{workflows.Webhook{AllowProvider: true}, "192.0.2.1", nil, "address not allowed"},
		{workflows.Webhook{ClientCert: true}, "", nil, noCert}, {workflows.Webhook{ClientCert: true}, "", &tls.ConnectionState{}, noCert},
		{workflows.Webhook{ClientCert: true}, "", cert("a"), ""},
		{workflows.Webhook{ClientCert: true, ClientNames: []string{"a", "b"}}, "", cert("b"), ""},
		{workflows.Webhook{ClientCert: true, ClientNames: []string{"a"}}, "", cert("x", "y", "a"), ""},
		{workflows.Webhook{ClientCert: true, ClientNames: []string{"a", ""}}, "", cert("", "y"), badCert},
		{workflows.Webhook{ClientCert: true, AllowIPs: own}, "203.0.113.1", cert("a"), "address not allowed"},
		{workflows.Webhook{ClientCert: true, AllowIPs: own}, "192.0.2.1", nil, noCert},
	} {
		r := &route{webhook: &c.w, preset: &workflows.Preset{IPs: theirs}}
		var from sender
		if c.ip != "" {
			from.ip = netip.MustParseAddr(c.ip)
		}
		if got, detail := r.checkCaller(&http.Request{TLS: c.tls}, from); got != c.want || (detail == "") != (c.want == "") {
			t.Errorf("%d: %q (%s), want %q", i, got, detail, c.want)
		}
	}
	r := &route{webhook: &workflows.Webhook{AllowIPs: own, AllowProvider: true}}
	if got, _ := r.checkCaller(&http.Request{}, sender{ip: netip.MustParseAddr("203.0.113.1")}); got == "" {
		t.Error("an address of no provider is allowed")
	}
}

// TestSecretsBecomeKeysByTheirForm: a scheme takes the secrets with its prefix, and a public key in PEM whatever the prefix is.
func TestSecretsBecomeKeysByTheirForm(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for i, c := range []struct {
		algorithm, prefix string
		nth               int
		own               string
		want              string
	}{
		{"hmac-sha256", "", 0, "", "[0 1 2]"}, {"hmac-sha256", "whsec_", 0, "", "[1]"}, {"hmac-sha256", "!whsec_", 0, "", "[0 2]"},
		{"hmac-sha256", "", 2, "", "[1]"}, {"hmac-sha256", "", 4, "", "the secret is empty"}, {"hmac-sha256", "none_", 0, "",
			"the secret is empty"},
		{"hmac-sha256", "", 0, "own-secret", "[-1]"}, {"ed25519", "whpk_", 0, "", "[2]"}, {"ed25519", "", 3, "", "[2]"},
		{"ed25519", "whpk_", 1, "", "the secret is empty"},
	} {
		r := &route{webhook: &workflows.Webhook{}, params: map[string]string{"own": c.own},
			secrets: []*secretUse{{text: "plain-secret-1"}, {text: "whsec_c2VjcmV0LXNlY3JldA=="}, {text: public}}}
		v := &workflows.Verify{SecretPrefix: c.prefix, SecretNth: c.nth, SecretParam: "own",
			Scheme: signature.Scheme{Algorithm: c.algorithm,
				From: signature.Place{Header: "X-S"}, Encodings: []string{"hex"}, SignedContent: []string{"{body}"}}}
		p, err := r.newProof(v, false)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(p.secret)
		}
		if got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
	for _, c := range [][4]string{{"static-token", "Bearer ", "Bearer abc", "abc"}, {"static-token", "Bearer ", "bearer  abc ", "abc"},
		{"static-token", "Bearer ", "Bearer ", "Bearer "}, {"static-token", "Bearer ", "abc", "abc"}, {"static-token", "",
			"Bearer abc", "Bearer abc"},
		{"static-token", "Bearer", "Bearer abc", "Bearer abc"}, {"hmac-sha256", "Bearer ", "Bearer abc", "Bearer abc"},
		{"basic-auth", "Basic ", "Basic dTpw", "u:p"}, {"basic-auth", "Basic ", "Basic dXA=", "Basic dXA="}, {"basic-auth", "Basic ",
			"Basic !", "Basic !"}} {
		v := &workflows.Verify{Scheme: signature.Scheme{Algorithm: c[0], Prefix: c[1]}}
		if got := schemeWordOff(v, c[2]); got != c[3] {
			t.Errorf("%q: %q", c, got)
		}
	}
	for text, want := range map[string]string{"": "", " a\n": "a", " \t": "the secret is blank: the secret is too weak"} {
		got, err := trimmed(text)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestProofsAreNamedByWhatTheySign, and of several refusals the one that is nearest to a valid signature is reported.
func TestProofsAreNamedByWhatTheySign(t *testing.T) {
	scheme := func(algorithm string, jwt bool) *workflows.Verify {
		v := &workflows.Verify{Scheme: signature.Scheme{Algorithm: algorithm, Variant: algorithm}}
		if jwt {
			v.JWT = &signature.JWT{}
		}
		return v
	}
	for i, c := range []struct {
		p      *proof
		cert   bool
		secret int
		want   engine.Proof
	}{
		{nil, false, -1, engine.NoProof}, {nil, true, 0, engine.ByCertificate}, {&proof{written: scheme("static-token", false)},
			false, 0, "token A"},
		{&proof{written: scheme("basic-auth", false)}, false, 1, "token B"}, {&proof{written: scheme("jwt", true)}, false, 0, "token A"},
		{&proof{written: scheme("jwt", true), signsBody: true}, false, -1, "signature"},
		{&proof{written: scheme("hmac-sha256", false), signsBody: true}, true, 0, "signature A"},
		{&proof{written: scheme("hmac-sha256", false)}, false, 0, engine.ProofOf(engine.BySender, "A")},
		{&proof{written: scheme("static-token", false), signsBody: true}, false, -1, "token"},
	} {
		r := &route{webhook: &workflows.Webhook{ClientCert: c.cert}, secrets: []*secretUse{{name: "A"}, {name: "B"}}}
		if got := r.provedBy(&inbound{proof: c.p}, c.secret); got != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
	rising := [][]signature.Reason{{signature.Missing}, {signature.Wrong}, {signature.NoClock}, {signature.Unmet}, {signature.Stale,
		signature.Future}, {signature.Unavailable}}
	for i, less := range rising {
		for j, more := range rising {
			for _, a := range more {
				for _, b := range less {
					if got := closer(a, b); got != (j > i) {
						t.Errorf("%s is nearer than %s: %t", a, b, got)
					}
				}
			}
		}
	}
	r := &route{proofs: []*proof{{written: scheme("a", false)}, {written: scheme("b", false)}}}
	if got := r.whens(); got != "a, b" {
		t.Error(got)
	}
}

// TestPlacesOfARequestAreCompared: with any text, with none, with an empty list, or with a text.
func TestPlacesOfARequestAreCompared(t *testing.T) {
	in := &inbound{method: http.MethodPost, path: "/", header: http.Header{"X-A": {"a"}, "X-Empty": {""},
		"Content-Type": {"Application/JSON; x=1"}},
		query: url.Values{"q": {"1"}, "e": {""}}, body: []byte(`{"list":[],"one":[1],"text":"t","n":null,"m":{}}`)}
	in.prepare(&route{webhook: &workflows.Webhook{}, maxBody: 1000})
	var whole route
	whole.want.Add()
	in.want = &whole.want
	var out strings.Builder
	for _, f := range []signature.Place{{Header: "X-A"}, {Header: "X-Empty"}, {Header: "X-None"}, {Header: "Content-Type"},
		{Query: "q"}, {Query: "e"},
		{Query: "none"}, {JSON: "list"}, {JSON: "one"}, {JSON: "text"}, {JSON: "n"}, {JSON: "m"}, {JSON: "none"}} {
		fmt.Fprintf(&out, "%s%s%s:", f.Header, f.Query, f.JSON)
		for _, want := range []string{"*", "!", "[]", "a", "1", "t", "", "application/json"} {
			fmt.Fprintf(&out, " %q %t", want, in.carries(f, []string{want}))
		}
		fmt.Fprintf(&out, " several %t none %t\n", in.carries(f, []string{"x", "a", "t"}), in.carries(f, nil))
	}
	for _, path := range []string{"list", "one", "one.0", "text", "n", "m", "none", "*", "one.*", "."} {
		fmt.Fprintf(&out, "each %s:", path)
		for _, read := range in.each(path) {
			for _, p := range []string{".", "0", "x"} {
				text, ok := read(p)
				fmt.Fprintf(&out, " %q %t", text, ok)
			}
		}
		out.WriteString("\n")
	}
	for _, v := range []any{nil, "", "a", 7, 7.5, true, json.Number("7.50"), []any{}, map[string]any{}} {
		text, ok := scalar(v)
		fmt.Fprintf(&out, "scalar %v: %q %t\n", v, text, ok)
	}
	testgolden.Compare(t, "places.golden", out.String())
}

// TestCompressedBodiesHaveALimit of their size, and must be complete.
func TestCompressedBodiesHaveALimit(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("0123456789")); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{9: "the decompressed body is larger than 9 bytes", 10: "<nil>", 11: "<nil>"} {
		if out, err := gunzip(b.Bytes(), limit); fmt.Sprint(err) != want || err == nil && string(out) != "0123456789" {
			t.Errorf("%d: %q %v", limit, out, err)
		}
	}
	if _, err := gunzip(b.Bytes()[:b.Len()-1], 10); err == nil || err.Error() != "the gzip body is incomplete" {
		t.Error(err)
	}
	if _, err := gunzip([]byte("x"), 10); err == nil || err.Error() != "the body is not gzip" {
		t.Error(err)
	}
}
