package triggers_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

const diagnosed = `server: {public_url: https://hooks.example.com}
triggers:
  github: {webhook: {provider: github, secret: "${{ secrets.S }}"}}
  other: {webhook: {provider: stripe, secret: "${{ secrets.OTHER }}"}}
  stripe: {webhook: {provider: stripe, secret: "${{ secrets.S }}"}}
  standard: {webhook: {provider: standard-webhooks, secret: "${{ secrets.STANDARD }}"}}
  square: {webhook: {provider: square, secret: "${{ secrets.S }}"}}
  twilio: {webhook: {provider: twilio, secret: "${{ secrets.S }}"}}
`

// TestDiagnosisNamesTheCause spoils a genuine delivery in the ways in
// which deliveries are spoilt in practice; each must be found out by trying.
func TestDiagnosisNamesTheCause(t *testing.T) {
	const good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	body := []byte(`{"id":"1","text":"Grüße & <b>/","n":[1,2.50]}`)
	ascii := []byte(`{"id":"1","text":"Gr\u00fc\u00dfe & <b>/","n":[1,2.50]}`)
	for _, c := range []struct {
		name, trigger string
		secret        string // what the server has
		body          []byte
		order         triggers.SampleOrder
		change        func(*triggers.SampleRequest)
		want          string
	}{
		{name: "wrong secret", trigger: "github", order: triggers.SampleOrder{Variant: "wrong-secret"}, want: "the secret is wrong"},
		{name: "pretty-printed on the way", trigger: "github", body: body, change: func(s *triggers.SampleRequest) {
			s.Body = []byte("{\n  \"id\": \"1\",\n  \"text\": \"Grüße & <b>/\",\n  \"n\": [\n    1,\n    2.50\n  ]\n}")
		}, want: "the sender's is compact"},
		{name: "made compact on the way", trigger: "github", body: []byte(`{"id": "1", "n": [1, 2]}`),
			change: func(s *triggers.SampleRequest) { s.Body = []byte(`{"id":"1","n":[1,2]}`) }, want: "puts a blank after"},
		{name: "made compact on the way, four blanks", trigger: "github", body: []byte("{\n    \"id\": \"1\"\n}"),
			change: func(s *triggers.SampleRequest) { s.Body = []byte(`{"id":"1"}`) }, want: "indents by four"},
		{name: "unescaped on the way", trigger: "github", body: ascii, change: func(s *triggers.SampleRequest) { s.Body = body },
			want: "escapes non-ASCII"},
		{name: "escaped on the way", trigger: "github", body: body, change: func(s *triggers.SampleRequest) { s.Body = ascii },
			want: "escaped or unescaped"},
		{name: "slashes", trigger: "github", body: []byte(`{"u":"https:\/\/x"}`),
			change: func(s *triggers.SampleRequest) { s.Body = []byte(`{"u":"https://x"}`) }, want: "escapes /"},
		{name: "HTML", trigger: "github", body: []byte(`{"u":"\u003cb\u003e"}`),
			change: func(s *triggers.SampleRequest) { s.Body = []byte(`{"u":"<b>"}`) }, want: "escapes <, > and &"},
		{name: "keys sorted", trigger: "github", body: []byte(`{"a":1,"b":2}`),
			change: func(s *triggers.SampleRequest) { s.Body = []byte(`{"b":2,"a":1}`) }, want: "keys sorted"},
		{name: "line feed cut", trigger: "github", body: []byte("{}\n"), change: func(s *triggers.SampleRequest) { s.Body = []byte("{}") },
			want: "its trailing line feed was removed"},
		{name: "line feed added", trigger: "github", body: []byte("{}"), change: func(s *triggers.SampleRequest) { s.Body = []byte("{}\r\n") },
			want: "trailing white space"},
		{name: "line ends", trigger: "github", body: []byte("{\r\n}"), change: func(s *triggers.SampleRequest) { s.Body = []byte("{\n}") },
			want: "line endings were changed"},
		{name: "quotes around the secret", trigger: "github", secret: `"` + good + `"`, want: "quotes around it"},
		{name: "decoded as base64 by the sender", trigger: "stripe", secret: good, change: func(s *triggers.SampleRequest) {
			// Signed by Standard Webhooks' reading of the key under Stripe's layout.
			s.Header.Set("Stripe-Signature", stripeHeader(t, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", s.Body))
		}, want: "its key is read as utf8 here"},
		{name: "the secret without its prefix", trigger: "stripe", secret: good, change: func(s *triggers.SampleRequest) {
			s.Header.Set("Stripe-Signature", stripeHeaderText("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", s.Body))
		}, want: "except for its prefix"},
		{name: "another trigger's secret", trigger: "stripe", change: func(s *triggers.SampleRequest) {
			s.Header.Set("Stripe-Signature", stripeHeaderText("the-secret-of-the-other-trigger", s.Body))
		}, want: "signed with the secret of trigger other"},
		{name: "stale", trigger: "stripe", order: triggers.SampleOrder{Variant: "expired"},
			want: "a replay of an old delivery, or a clock is off"},
		{name: "ahead", trigger: "stripe", order: triggers.SampleOrder{Now: time.Now().Add(time.Hour)}, want: "a clock is off"},
		{name: "the weaker scheme only", trigger: "github", change: func(s *triggers.SampleRequest) {
			s.Header.Del("X-Hub-Signature-256")
			s.Header.Set("X-Hub-Signature", "sha1="+hexHMACSHA1(good, s.Body))
		}, want: "legacy-sha1"},
		{name: "an unknown version only", trigger: "standard",
			change: func(s *triggers.SampleRequest) { s.Header.Set("webhook-signature", "v9,AAAA") }, want: "not in a supported form or version"},
		{name: "nothing signed", trigger: "github", change: func(s *triggers.SampleRequest) { s.Header = http.Header{} },
			want: "carries no signature"},
		{name: "another provider", trigger: "github",
			change: func(s *triggers.SampleRequest) { s.Header = http.Header{"X-Gitlab-Token": {"x"}} }, want: "x-gitlab-token"},
		{name: "another URL", trigger: "square", order: triggers.SampleOrder{}, change: func(s *triggers.SampleRequest) {
			s.Header.Set("x-square-hmacsha256-signature", base64HMAC256(good, "http://hooks.example.com/hooks/square"+string(s.Body)))
		}, want: "the sender signed the URL http://hooks.example.com/hooks/square"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, diagnosed)
			have := map[string]string{"S": good, "STANDARD": good, "OTHER": "the-secret-of-the-other-trigger"}
			lookup := func(n string) (string, bool) { return have[n], true }
			c.order.Body = c.body
			s, err := triggers.Sample(p, c.trigger, lookup, c.order)
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(s)
			}
			if c.secret != "" {
				have["S"] = c.secret
			}
			sink := &memory{events: map[string]engine.EventID{}}
			h := hooksWith(t, p, sink, lookup)
			if w := post(h, s.Method, s.Path, s.Header, s.Body); w.Code != 401 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			h.Flush()
			if len(sink.refusals) != 1 || !strings.Contains(sink.refusals[0].Diagnosis, c.want) {
				t.Errorf("diagnosis %s, want %q", reasons(sink), c.want)
			}
			if strings.Contains(fmt.Sprintf("%+v", sink.refusals), good) {
				t.Error("the secret stands in the quarantine")
			}
		})
	}
}

// TestRefusedDeliveryIsAcceptedOnceTheCauseIsFixed judges it as of the moment
// that it came, so that its age does not count against it.
func TestRefusedDeliveryIsAcceptedOnceTheCauseIsFixed(t *testing.T) {
	p := load(t, diagnosed)
	have := map[string]string{"S": "the-wrong-secret-of-this-server", "STANDARD": "whsec_d3JvbmcgZm9yIHRoaXMgdGVzdA==",
		"OTHER": "x-other-secret"}
	lookup := func(n string) (string, bool) { return have[n], true }
	right := func(n string) (string, bool) {
		if n == "STANDARD" {
			return have[n], true
		}
		return "the-right-secret-0123456789", true
	}
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooksWith(t, p, sink, lookup)
	for _, trigger := range []string{"stripe", "github", "twilio"} {
		s, err := triggers.Sample(p, trigger, right, triggers.SampleOrder{})
		if err != nil {
			t.Fatal(err)
		}
		if w := post(h, s.Method, s.Path, s.Header, s.Body); w.Code != 401 {
			t.Fatalf("%d", w.Code)
		}
	}
	h.Flush()
	ctx := context.Background()
	for i := range sink.refusals {
		if _, err := h.VerifyAgain(ctx, &sink.refusals[i]); !errors.Is(err, triggers.ErrNotVerified) {
			t.Errorf("admitted before anything is mended: %v", err)
		}
	}
	use, err := h.Prepare(p, right)
	if err != nil {
		t.Fatal(err)
	}
	use()
	for i := range sink.refusals {
		r := sink.refusals[i]
		if _, err := h.VerifyAgain(ctx, &r); err != nil {
			t.Errorf("%s: %v", r.Trigger, err)
		}
		cut := r
		cut.Body = cut.Body[:len(cut.Body)-1]
		if _, err := h.VerifyAgain(ctx, &cut); !errors.Is(err, triggers.ErrNotVerified) {
			t.Errorf("%s: admitted although its body is not whole", r.Trigger)
		}
		late := r
		late.At = late.At.Add(time.Hour)
		if _, err := h.VerifyAgain(ctx, &late); r.Trigger == "stripe" && !errors.Is(err, triggers.ErrNotVerified) {
			t.Error("a delivery that was stale when it came is admitted")
		}
	}
	if len(sink.taken) != 3 {
		t.Errorf("%d events, want 3", len(sink.taken))
	}
}

// TestTokensAreNeverStored: what lets its reader send deliveries is masked in the
// quarantine too.
func TestTokensAreNeverStored(t *testing.T) {
	p := load(t, `triggers:
  figma: {webhook: {provider: figma, secret: "${{ secrets.S }}"}}
  gitlab: {webhook: {provider: gitlab, secret: "${{ secrets.T }}"}}
  docker: {webhook: {provider: docker-hub, secret: "${{ secrets.T }}"}}
  livekit: {webhook: {provider: livekit, secret: "${{ secrets.T }}"}}
`)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	post(h, "POST", "/hooks/figma", http.Header{"Content-Type": {"application/json"}},
		[]byte(`{"event_type":"FILE_UPDATE","passcode":"`+secrets["S"]+`","webhook_id":"1","timestamp":"2026"}`))
	post(h, "POST", "/hooks/gitlab", http.Header{"X-Gitlab-Token": {"somebody-elses-token"}, "X-Gitlab-Event": {"Push Hook"}}, []byte(`{}`))
	post(h, "POST", "/hooks/docker/"+secrets["T"], nil, []byte(`{"push_data":{}}`))
	post(h, "POST", "/hooks/docker?token="+secrets["T"], nil, []byte(`{"push_data":{"x":1}}`))
	if w := post(h, "POST", "/hooks/docker/wrong", nil, []byte(`{}`)); w.Code != 401 {
		t.Errorf("a wrong secret in the path: %d", w.Code)
	}
	post(h, "POST", "/hooks/livekit", http.Header{"Authorization": {"eyJhbGciOiJIUzI1NiJ9.e30.xxxx"}}, []byte(`{}`))
	h.Flush()
	if len(sink.taken) != 3 {
		t.Errorf("%d events, want 3; %s", len(sink.taken), reasons(sink))
	}
	all := fmt.Sprintf("%+v %+v", sink.taken, sink.refusals)
	for _, d := range sink.taken {
		all += d.Path + fmt.Sprint(d.Query) + string(d.Raw)
	}
	for _, r := range sink.refusals {
		all += r.URL + string(r.Body)
	}
	for _, secret := range []string{secrets["S"], secrets["T"], "somebody-elses-token", "eyJhbGciOiJIUzI1NiJ9"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is kept", secret)
		}
	}
}

// TestEndpointControlsKeepCallersOut: addresses, rate, time, client certificates, and what
// a trusted proxy says.
func TestEndpointControlsKeepCallersOut(t *testing.T) {
	p := load(t, `server: {trusted_proxies: [192.0.2.0/24]}
triggers:
  paystack: {webhook: {provider: paystack, secret: "${{ secrets.S }}", allow_ips: [provider, 198.51.100.7]}}
  slow: {webhook: {provider: github, secret: "${{ secrets.S }}", timeout: 150ms}}
  often: {webhook: {provider: github, secret: "${{ secrets.S }}", rate: 2/h}}
  mutual: {webhook: {provider: github, secret: "${{ secrets.S }}", client_cert: [partner.example.com]}}
  square: {webhook: {provider: square, secret: "${{ secrets.S }}"}}
`)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	from := func(trigger, remote, forwarded string, change func(*http.Request)) *httptest.ResponseRecorder {
		s, err := triggers.Sample(p, trigger, lookup, triggers.SampleOrder{Base: "https://shop.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(s.Method, s.Path, bytes.NewReader(s.Body))
		r.Header, r.RemoteAddr = s.Header, remote
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		if change != nil {
			change(r)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		remote, forwarded string
		want              int
	}{
		{"52.31.139.75:1", "", 200}, {"198.51.100.7:1", "", 200}, {"198.51.100.8:1", "", 403},
		{"192.0.2.9:1", "52.31.139.75", 200}, {"192.0.2.9:1", "52.31.139.75, 203.0.113.5", 403}, {"203.0.113.5:1", "52.31.139.75", 403},
	} {
		if w := from("paystack", c.remote, c.forwarded, nil); w.Code != c.want {
			t.Errorf("from %s for %q: %d, want %d", c.remote, c.forwarded, w.Code, c.want)
		}
	}
	for i, want := range []int{202, 202, 429} {
		if w := from("often", "192.0.2.1:1", "", nil); w.Code != want || want == 429 && w.Header().Get("Retry-After") == "" {
			t.Errorf("delivery %d: %d %v", i, w.Code, w.Header())
		}
	}
	cert, _ := certificate(rsaKey, nil, nil)
	named := *cert
	named.DNSNames = []string{"partner.example.com"}
	for name, c := range map[string]struct {
		tls  *tls.ConnectionState
		want int
	}{
		"plain http": {nil, 403}, "no certificate": {&tls.ConnectionState{}, 403},
		"an unverified one": {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{&named}}, 403},
		"another name":      {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}}, 403},
		"the partner's":     {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{&named}}}, 202},
	} {
		if w := from("mutual", "192.0.2.1:1", "", func(r *http.Request) { r.TLS = c.tls }); w.Code != c.want {
			t.Errorf("%s: %d, want %d", name, w.Code, c.want)
		}
	}
	proxied := func(r *http.Request) {
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Host", "shop.example.com")
	}
	if w := from("square", "192.0.2.1:1", "198.51.100.1", proxied); w.Code != 202 {
		t.Errorf("the URL that a trusted proxy tells: %d", w.Code)
	}
	if w := from("square", "203.0.113.1:1", "", proxied); w.Code != 401 {
		t.Errorf("the URL that anybody tells: %d", w.Code)
	}
}

// TestSlowBodyIsAborted holds the time limit of a trigger over real sockets.
func TestSlowBodyIsAborted(t *testing.T) {
	p := load(t, `triggers: {slow: {webhook: {provider: github, secret: "${{ secrets.S }}", timeout: 200ms}}}`)
	server := httptest.NewServer(hooks(t, p, &memory{events: map[string]engine.EventID{}}))
	defer server.Close()
	pr, pw := newPipe()
	defer pw.Close()
	req, err := http.NewRequestWithContext(context.Background(), "POST", server.URL+"/hooks/slow", pr)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 100
	started := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout || time.Since(started) > 5*time.Second {
		t.Errorf("%d after %v", resp.StatusCode, time.Since(started))
	}
}

// TestCompressedBodyIsVerifiedBeforeDecompression: Nylas signs the bytes as
// they are sent.
func TestCompressedBodyIsVerifiedBeforeDecompression(t *testing.T) {
	p := load(t, `triggers: {nylas: {webhook: {provider: nylas, secret: "${{ secrets.S }}", max_body: 4KiB}}}`)
	pack := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	send := func(body []byte) int {
		s, err := triggers.Sample(p, "nylas", lookup, triggers.SampleOrder{Body: body})
		if err != nil {
			t.Fatal(err)
		}
		s.Header.Set("Content-Encoding", "gzip")
		return post(h, s.Method, s.Path, s.Header, s.Body).Code
	}
	if got := send(pack(`{"id":"m-1","type":"message.created"}`)); got/100 != 2 {
		t.Fatalf("%d", got)
	}
	if d := sink.taken[0]; d.Key != "m-1" || d.Type != "message.created" || string(d.Raw) != `{"id":"m-1","type":"message.created"}` {
		t.Errorf("key %q type %q body %s", d.Key, d.Type, d.Raw)
	}
	bomb := pack(`{"id":"` + strings.Repeat("x", 1<<20) + `"}`)
	if got := send(bomb); got/100 != 2 {
		t.Fatalf("a small body that becomes a huge one: %d", got)
	}
	if d := sink.taken[1]; !bytes.Equal(d.Raw, bomb) ||
		!strings.HasPrefix(d.Flag, "body not readable: the decompressed body is larger than 4096 bytes") {
		t.Errorf("a small body that becomes a huge one: %d bytes are kept, flag %q", len(d.Raw), d.Flag)
	}
}

// TestUseOfSecretsIsCounted feeds "safe to remove".
func TestUseOfSecretsIsCounted(t *testing.T) {
	p := load(t, `triggers: {a: {webhook: {provider: stripe, secret: ["${{ secrets.S }}", "${{ secrets.OLD }}"]}}}`)
	sink := &memory{events: map[string]engine.EventID{}}
	h := hooks(t, p, sink)
	for _, variant := range []string{"valid", "old-secret", "old-secret", "wrong-secret"} {
		s, err := triggers.Sample(p, "a", lookup, triggers.SampleOrder{Variant: variant})
		if err != nil {
			t.Fatal(err)
		}
		post(h, s.Method, s.Path, s.Header, s.Body)
	}
	got := map[string]int64{}
	for _, u := range h.SecretUses() {
		got[u.Secret] = u.Count
	}
	if fmt.Sprint(got) != "map[OLD:2 S:1]" {
		t.Errorf("%v", got)
	}
	now := time.Now()
	day := 24 * time.Hour
	uses := []engine.SecretUse{{Trigger: "a", Secret: "S", Count: 9, FirstAt: now.Add(-5 * day), LastAt: now},
		{Trigger: "a", Secret: "OLD", Count: 2, FirstAt: now.Add(-9 * day), LastAt: now.Add(-4 * day)}}
	if s := engine.SecretStates("a", []string{"S", "OLD"}, uses, now); s[0].Advice != "" || !strings.Contains(s[1].Advice, "safe to remove") {
		t.Errorf("%+v", s)
	}
	uses[1].LastAt = now.Add(-time.Hour)
	if s := engine.SecretStates("a", []string{"S", "OLD"}, uses, now); s[1].Advice != "" {
		t.Errorf("a secret that was used an hour ago: %+v", s)
	}
}

// TestABodyForAnUnknownPathIsNotRead: a path of no trigger costs nothing, and tells
// nothing that other answers do not.
func TestABodyForAnUnknownPathIsNotRead(t *testing.T) {
	h := hooks(t, load(t, eachPreset), &memory{events: map[string]engine.EventID{}})
	body := &counted{left: 1000}
	r := httptest.NewRequest("POST", "/hooks/nobody", body)
	r.ContentLength = 1000
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound || body.left != 1000 {
		t.Errorf("%d, and %d bytes of the body were read", w.Code, 1000-body.left)
	}
}

// BenchmarkRefusal measures what a caller can measure: the median times of
// refusals for a wrong secret and for an unknown path, in random order.
func BenchmarkRefusal(b *testing.B) {
	p := load(b, eachPreset)
	h := hooks(b, p, &memory{events: map[string]engine.EventID{}})
	body := bytes.Repeat([]byte("x"), 1200)
	paths := []string{"/hooks/github", "/hooks/nobody"}
	took := make([][]time.Duration, 2)
	for b.Loop() {
		i := rand.IntN(2)
		r := httptest.NewRequest("POST", paths[i], bytes.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		w := httptest.NewRecorder()
		started := time.Now()
		h.ServeHTTP(w, r)
		took[i] = append(took[i], time.Since(started))
		if w.Code < 400 {
			b.Fatal(w.Code)
		}
		h.Flush()
	}
	for i, name := range []string{"wrong-secret-ns", "unknown-path-ns"} {
		slices.Sort(took[i])
		if n := len(took[i]); n > 0 {
			b.ReportMetric(float64(took[i][n/2].Nanoseconds()), name)
		}
	}
}
