package triggers_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// internet is what the outside answers, by URL, and what it was asked.
type internet struct {
	answers map[string]string
	asked   []string
	bodies  []string
	down    bool
}

func (n *internet) fetch(_ context.Context, r *http.Request) ([]byte, error) {
	n.asked = append(n.asked, r.Method+" "+r.URL.String())
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		n.bodies = append(n.bodies, string(b)+" "+r.Header.Get("Authorization"))
	}
	if n.down {
		return nil, errors.New("connection refused")
	}
	a, ok := n.answers[r.URL.String()]
	if !ok {
		return nil, errors.New("404")
	}
	return []byte(a), nil
}

// serveFetched serves a trigger whose provider's keys come from a net.
func serveFetched(t *testing.T, n *internet, webhook string) (*triggers.Hooks, *memory) {
	t.Helper()
	p := load(t, "server: {public_url: https://hooks.example.com}\ntriggers: {hook: {webhook: {"+webhook+"}}}")
	sink := &memory{events: map[string]engine.EventID{}}
	h, err := triggers.NewHooks(sink, slog.New(slog.DiscardHandler), triggers.Deps{Fetch: n.fetch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	use, err := h.Prepare(p, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	use()
	return h, sink
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	rsaKey = must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
)

// certificate is self-signed, or signed by a parent.
func certificate(key crypto.Signer, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, []byte) {
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	if parent == nil {
		parent, signer = c, key
	}
	der := must(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer))
	return must(x509.ParseCertificate(der)), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func publicPEM(key crypto.Signer) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))}))
}

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func jwkOf(kid string, key crypto.Signer) map[string]any {
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": kid, "n": b64url(k.N.Bytes()), "e": b64url(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point := must(k.Bytes())
		return map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64url(point[1:33]), "y": b64url(point[33:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64url(k)}
	}
	panic("no key")
}

func asJSON(v any) string { return string(must(json.Marshal(v))) }

func jwks(keys ...map[string]any) string { return asJSON(map[string]any{"keys": keys}) }

func sha256Of(b []byte) []byte { h := crypto.SHA256.New(); h.Write(b); return h.Sum(nil) }
func sha1Of(b []byte) []byte   { h := crypto.SHA1.New(); h.Write(b); return h.Sum(nil) }

// snsMessage is a signed message of Amazon SNS.
func snsMessage(version string, change func(map[string]string)) string {
	m := map[string]string{"Type": "Notification", "MessageId": "m-1", "TopicArn": "arn:aws:sns:eu-central-1:1:orders", "Subject": "Order",
		"Message":   `{"order":"A-1001"}`,
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": version,
		"SigningCertURL": "https://sns.eu-central-1.amazonaws.com/cert.pem"}
	if change != nil {
		change(m)
	}
	var text strings.Builder
	for _, k := range []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"} {
		if v, ok := m[k]; ok {
			text.WriteString(k + "\n" + v + "\n")
		}
	}
	sum, hash := sha256Of([]byte(text.String())), crypto.SHA256
	if version == "1" {
		sum, hash = sha1Of([]byte(text.String())), crypto.SHA1
	}
	m["Signature"] = base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, rsaKey, hash, sum)))
	if tamper := m["tamper"]; tamper != "" {
		m["Message"] = tamper
	}
	delete(m, "tamper")
	return asJSON(m)
}

// TestSNSMessagesAreVerifiedByCertificateAndTopic: any account can sign.
func TestSNSMessagesAreVerifiedByCertificateAndTopic(t *testing.T) {
	_, cert := certificate(rsaKey, nil, nil)
	n := &internet{answers: map[string]string{"https://sns.eu-central-1.amazonaws.com/cert.pem": string(cert),
		"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t": "<ok/>",
		"https://sns.eu-central-1.amazonaws.com.evil.example/cert.pem":               string(cert)}}
	h, sink := serveFetched(t, n, "provider: aws-sns, params: {topic_arn: 'arn:aws:sns:eu-central-1:1:orders'}")
	send := func(body string) int {
		return post(h, "POST", "/hooks/hook", http.Header{"Content-Type": {"text/plain; charset=UTF-8"}}, []byte(body)).Code
	}
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"version 1":     {snsMessage("1", func(m map[string]string) { m["MessageId"] = "m-2" }), 202},
		"version 2":     {snsMessage("2", nil), 202},
		"another topic": {snsMessage("2", func(m map[string]string) { m["TopicArn"] = "arn:aws:sns:eu-central-1:2:mine" }), 401},
		"changed":       {snsMessage("2", func(m map[string]string) { m["tamper"] = "x" }), 401},
		"a certificate of another host": {snsMessage("2", func(m map[string]string) {
			m["SigningCertURL"] = "https://sns.eu-central-1.amazonaws.com.evil.example/cert.pem"
		}), 401},
		"a certificate over plain http": {
			snsMessage("2", func(m map[string]string) { m["SigningCertURL"] = "http://sns.eu-central-1.amazonaws.com/cert.pem" }), 401},
		"a certificate that is no .pem": {
			snsMessage("2", func(m map[string]string) { m["SigningCertURL"] = "https://sns.eu-central-1.amazonaws.com/cert.exe" }), 401},
		"a certificate behind user info": {snsMessage("2", func(m map[string]string) {
			m["SigningCertURL"] = "https://sns.eu-central-1.amazonaws.com@evil.example/cert.pem"
		}), 401},
		"too old":            {snsMessage("2", func(m map[string]string) { m["Timestamp"] = "2026-01-01T10:00:00.000Z" }), 401},
		"an unknown version": {snsMessage("3", nil), 401},
		"a confirmation": {snsMessage("1", func(m map[string]string) {
			m["Type"], m["Token"], m["SubscribeURL"] = "SubscriptionConfirmation", "t",
				"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
		}), 200},
		"a confirmation elsewhere": {snsMessage("1", func(m map[string]string) {
			m["Type"], m["Token"], m["SubscribeURL"] = "SubscriptionConfirmation", "t", "https://169.254.169.254/latest/meta-data"
		}), 403},
	} {
		if got := send(c.body); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	h.Flush()
	if len(sink.taken) != 2 || sink.taken[0].DataExpr != "body" {
		t.Errorf("%d events; %s", len(sink.taken), reasons(sink))
	}
	fetches, visits := 0, 0
	for _, a := range n.asked {
		switch {
		case strings.HasSuffix(a, "amazonaws.com/cert.pem"):
			fetches++
		case strings.Contains(a, "ConfirmSubscription"):
			visits++
		default:
			t.Errorf("the outside was asked %s", a)
		}
	}
	// One certificate, once for each of the two variants.
	if fetches != 2 || visits != 1 {
		t.Errorf("%d fetches and %d visits: %v", fetches, visits, n.asked)
	}
}

// TestMissingPublishedKeyIsATemporaryRefusal: a provider's outage is no proof of
// forgery, and the failure is remembered for a while.
func TestMissingPublishedKeyIsATemporaryRefusal(t *testing.T) {
	n := &internet{down: true}
	h, sink := serveFetched(t, n, "provider: aws-sns, params: {topic_arn: 'arn:aws:sns:eu-central-1:1:orders'}")
	for range 5 {
		w := post(h, "POST", "/hooks/hook", nil, []byte(snsMessage("2", nil)))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
	if len(n.asked) != 1 || len(sink.taken) != 0 {
		t.Errorf("asked %d times, %d events", len(n.asked), len(sink.taken))
	}
}

func token(method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	tk := jwt.NewWithClaims(method, claims)
	if kid != "" {
		tk.Header["kid"] = kid
	}
	return must(tk.SignedString(key))
}

// TestTokensAreVerifiedByPublishedKeysAndClaims covers the providers that sign
// tokens with keys that are fetched.
func TestTokensAreVerifiedByPublishedKeysAndClaims(t *testing.T) {
	now := time.Now()
	body := `{"webhook_type":"TRANSACTIONS","webhook_code":"SYNC"}`
	hash := fmt.Sprintf("%x", sha256Of([]byte(body)))
	plaid := func(change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{"iat": now.Unix(), "request_body_sha256": hash}
		if change != nil {
			change(c)
		}
		return token(jwt.SigningMethodES256, ecKey, "k1", c)
	}
	pubsub := func(change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{"iss": "https://accounts.google.com", "aud": "https://hooks.example.com/hooks/hook",
			"email": "push@example.iam.gserviceaccount.com", "email_verified": true, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}
		if change != nil {
			change(c)
		}
		return "Bearer " + token(jwt.SigningMethodRS256, rsaKey, "g1", c)
	}
	plaidAnswer := asJSON(map[string]any{"key": jwkOf("k1", ecKey)})
	for _, c := range []struct {
		name, webhook, url, answer, header, token string
		want                                      int
	}{
		{"plaid", "provider: plaid, params: {client_id: c, secret: s}", "https://production.plaid.com/webhook_verification_key/get",
			plaidAnswer, "Plaid-Verification", plaid(nil), 200},
		{"plaid, another body", "provider: plaid, params: {client_id: c, secret: s}",
			"https://production.plaid.com/webhook_verification_key/get", plaidAnswer, "Plaid-Verification",
			plaid(func(c jwt.MapClaims) { c["request_body_sha256"] = strings.Repeat("0", 64) }), 401},
		{"plaid, old", "provider: plaid, params: {client_id: c, secret: s}", "https://production.plaid.com/webhook_verification_key/get",
			plaidAnswer, "Plaid-Verification", plaid(func(c jwt.MapClaims) { c["iat"] = now.Add(-10 * time.Minute).Unix() }), 401},
		{"plaid, no iat", "provider: plaid, params: {client_id: c, secret: s}", "https://production.plaid.com/webhook_verification_key/get",
			plaidAnswer, "Plaid-Verification", plaid(func(c jwt.MapClaims) { delete(c, "iat") }), 401},
		{"plaid, HS256 with the public key", "provider: plaid, params: {client_id: c, secret: s}",
			"https://production.plaid.com/webhook_verification_key/get", plaidAnswer, "Plaid-Verification",
			token(jwt.SigningMethodHS256, []byte(publicPEM(ecKey)), "k1", jwt.MapClaims{"iat": now.Unix(), "request_body_sha256": hash}), 401},
		{"plaid, alg none", "provider: plaid, params: {client_id: c, secret: s}", "https://production.plaid.com/webhook_verification_key/get",
			plaidAnswer, "Plaid-Verification",
			token(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k1", jwt.MapClaims{"iat": now.Unix(), "request_body_sha256": hash}),
			401},
		{"plaid, an expired key", "provider: plaid, params: {client_id: c, secret: s}",
			"https://production.plaid.com/webhook_verification_key/get",
			asJSON(map[string]any{"key": func() map[string]any { k := jwkOf("k1", ecKey); k["expired_at"] = 1; return k }()}),
			"Plaid-Verification", plaid(nil), 503},
		{"pubsub", "provider: google-pubsub, params: {service_account: push@example.iam.gserviceaccount.com}",
			"https://www.googleapis.com/oauth2/v3/certs", jwks(jwkOf("g0", rsaOther), jwkOf("g1", rsaKey)), "Authorization", pubsub(nil), 202},
		{"pubsub, another account", "provider: google-pubsub, params: {service_account: push@example.iam.gserviceaccount.com}",
			"https://www.googleapis.com/oauth2/v3/certs", jwks(jwkOf("g1", rsaKey)), "Authorization",
			pubsub(func(c jwt.MapClaims) { c["email"] = "x@evil.example" }), 401},
		{"pubsub, unverified mail", "provider: google-pubsub, params: {service_account: push@example.iam.gserviceaccount.com}",
			"https://www.googleapis.com/oauth2/v3/certs", jwks(jwkOf("g1", rsaKey)), "Authorization",
			pubsub(func(c jwt.MapClaims) { c["email_verified"] = false }), 401},
		{"pubsub, another audience", "provider: google-pubsub, params: {service_account: push@example.iam.gserviceaccount.com}",
			"https://www.googleapis.com/oauth2/v3/certs", jwks(jwkOf("g1", rsaKey)), "Authorization",
			pubsub(func(c jwt.MapClaims) { c["aud"] = "https://other.example" }), 401},
		{"pubsub, expired", "provider: google-pubsub, params: {service_account: push@example.iam.gserviceaccount.com}",
			"https://www.googleapis.com/oauth2/v3/certs", jwks(jwkOf("g1", rsaKey)), "Authorization",
			pubsub(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Minute).Unix() }), 401},
		{"pubsub, no account configured", "provider: google-pubsub", "https://www.googleapis.com/oauth2/v3/certs", jwks(jwkOf("g1", rsaKey)),
			"Authorization", pubsub(nil), 401},
		{"pubsub, an unknown key", "provider: google-pubsub, params: {service_account: push@example.iam.gserviceaccount.com}",
			"https://www.googleapis.com/oauth2/v3/certs", jwks(jwkOf("g9", rsaOther)), "Authorization", pubsub(nil), 401},
		{"entra", "provider: azure-event-grid, params: {tenant: t1, audience: api://a}",
			"https://login.microsoftonline.com/t1/discovery/v2.0/keys", jwks(jwkOf("m1", rsaKey)), "Authorization",
			"Bearer " + token(jwt.SigningMethodRS256, rsaKey, "m1", jwt.MapClaims{"iss": "https://sts.windows.net/t1/", "aud": "api://a",
				"exp": now.Add(time.Hour).Unix()}), 200},
		{"entra, another tenant", "provider: azure-event-grid, params: {tenant: t1, audience: api://a}",
			"https://login.microsoftonline.com/t1/discovery/v2.0/keys", jwks(jwkOf("m1", rsaKey)), "Authorization",
			"Bearer " + token(jwt.SigningMethodRS256, rsaKey, "m1", jwt.MapClaims{"iss": "https://sts.windows.net/t2/", "aud": "api://a",
				"exp": now.Add(time.Hour).Unix()}), 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &internet{answers: map[string]string{c.url: c.answer}}
			h, sink := serveFetched(t, n, c.webhook)
			w := post(h, "POST", "/hooks/hook", http.Header{"Content-Type": {"application/json"}, c.header: {c.token}}, []byte(body))
			if w.Code != c.want {
				h.Flush()
				t.Errorf("%d, want %d: %s; asked %v %v", w.Code, c.want, reasons(sink), n.asked, n.bodies)
			}
			if c.name == "plaid" && !strings.HasPrefix(n.bodies[0], `{"client_id":"c","secret":"s","key_id":"k1"}`) {
				t.Errorf("asked for the key with %s", n.bodies[0])
			}
		})
	}
}

var rsaOther = must(rsa.GenerateKey(rand.Reader, 2048))

// TestSignaturesAreVerifiedByPublishedKeys covers the providers that sign the body
// with keys that are fetched.
func TestSignaturesAreVerifiedByPublishedKeys(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"recipient_client_id":"c1","resource_type":"API_BATCH","metadata":{"topic":"T"},"notification":{"notificationId":"n1"}}`
	stamp := time.Now().UTC().Format(time.RFC3339)
	unix := fmt.Sprint(time.Now().Unix())
	sign := func(content string) string {
		return base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, sha256Of([]byte(content)))))
	}
	ebay := base64.StdEncoding.EncodeToString(
		[]byte(asJSON(map[string]string{"alg": "ecdsa", "kid": "k7", "digest": "SHA1",
			"signature": base64.StdEncoding.EncodeToString(must(ecdsa.SignASN1(rand.Reader, ecKey, sha1Of([]byte(body)))))})))
	oneLine := strings.ReplaceAll(publicPEM(ecKey), "\n", "")
	for _, c := range []struct {
		name, webhook string
		answers       map[string]string
		header        http.Header
		want          int
	}{
		{"adobe", "provider: adobe-commerce, params: {client_id: c1}",
			map[string]string{"https://static.adobeioevents.com/prod/keys/1.pem": publicPEM(rsaKey)},
			http.Header{"X-Adobe-Digital-Signature-1": {sign(body)}, "X-Adobe-Public-Key1-Path": {"/prod/keys/1.pem"}}, 202},
		{"adobe, the second key", "provider: adobe-commerce, params: {client_id: c1}",
			map[string]string{"https://static.adobeioevents.com/prod/keys/2.pem": publicPEM(rsaKey)},
			http.Header{"X-Adobe-Digital-Signature-2": {sign(body)}, "X-Adobe-Public-Key2-Path": {"/prod/keys/2.pem"}}, 202},
		{"adobe, a path that leads elsewhere", "provider: adobe-commerce, params: {client_id: c1}",
			map[string]string{"https://static.adobeioevents.com.evil.example/1.pem": publicPEM(rsaKey)},
			http.Header{"X-Adobe-Digital-Signature-1": {sign(body)}, "X-Adobe-Public-Key1-Path": {".evil.example/1.pem"}}, 401},
		{"adobe, another client", "provider: adobe-commerce, params: {client_id: c2}",
			map[string]string{"https://static.adobeioevents.com/prod/keys/1.pem": publicPEM(rsaKey)},
			http.Header{"X-Adobe-Digital-Signature-1": {sign(body)}, "X-Adobe-Public-Key1-Path": {"/prod/keys/1.pem"}}, 401},
		{"ebay", "provider: ebay, params: {client_id: app, client_secret: cert}",
			map[string]string{"https://api.ebay.com/identity/v1/oauth2/token": `{"access_token":"tok"}`,
				"https://api.ebay.com/commerce/notification/v1/public_key/k7": asJSON(map[string]string{"key": oneLine, "algorithm": "ECDSA"})},
			http.Header{"X-Ebay-Signature": {ebay}}, 202},
		{"shipengine", "provider: shipstation", map[string]string{"https://api.shipengine.com/jwks": jwks(jwkOf("other", rsaOther),
			jwkOf("s1", rsaKey))},
			http.Header{"X-Shipengine-Rsa-Sha256-Signature": {sign(stamp + "." + body)}, "X-Shipengine-Timestamp": {stamp},
				"X-Shipengine-Rsa-Sha256-Key-Id": {"s1"}}, 202},
		{"fal", "provider: fal", map[string]string{"https://rest.alpha.fal.ai/.well-known/jwks.json": jwks(jwkOf("f1", edKey))},
			http.Header{"X-Fal-Webhook-Request-Id": {"r1"}, "X-Fal-Webhook-User-Id": {"u1"}, "X-Fal-Webhook-Timestamp": {unix},
				"X-Fal-Webhook-Signature": {
					fmt.Sprintf("%x", ed25519.Sign(edKey, []byte("r1\nu1\n"+unix+"\n"+fmt.Sprintf("%x", sha256Of([]byte(body))))))}}, 202},
		{"paypal, a certificate that leads to no root", "provider: paypal, params: {webhook_id: w1}",
			map[string]string{"https://api.paypal.com/cert": string(func() []byte { _, c := certificate(rsaKey, nil, nil); return c }())},
			http.Header{"Paypal-Auth-Algo": {"SHA256withRSA"}, "Paypal-Cert-Url": {"https://api.paypal.com/cert"},
				"Paypal-Transmission-Id": {"t1"}, "Paypal-Transmission-Time": {stamp}, "Paypal-Transmission-Sig": {sign("x")}}, 503},
		{"paypal, a certificate of another host", "provider: paypal, params: {webhook_id: w1}", nil,
			http.Header{"Paypal-Auth-Algo": {"SHA256withRSA"}, "Paypal-Cert-Url": {"https://paypal.com.evil.example/cert"},
				"Paypal-Transmission-Id": {"t1"}, "Paypal-Transmission-Time": {stamp}, "Paypal-Transmission-Sig": {sign("x")}}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &internet{answers: c.answers}
			h, sink := serveFetched(t, n, c.webhook)
			c.header.Set("Content-Type", "application/json")
			if w := post(h, "POST", "/hooks/hook", c.header, []byte(body)); w.Code != c.want {
				h.Flush()
				t.Errorf("%d, want %d: %s; asked %v", w.Code, c.want, reasons(sink), n.asked)
			}
			if c.name == "ebay" && !strings.Contains(strings.Join(n.bodies, ";"), "Bearer tok") {
				t.Errorf("the key was asked for without the token: %v", n.bodies)
			}
			if c.want == 202 {
				if w := post(h, "POST", "/hooks/hook", c.header, bytes.Replace([]byte(body), []byte("T"), []byte("U"), 1)); w.Code != 401 {
					t.Errorf("a changed body: %d", w.Code)
				}
			}
		})
	}
}

// TestTravisIsVerifiedByItsPublishedKey: the key lies deep in an answer.
func TestTravisIsVerifiedByItsPublishedKey(t *testing.T) {
	n := &internet{answers: map[string]string{
		"https://api.travis-ci.com/config": asJSON(
			map[string]any{"config": map[string]any{"notifications": map[string]any{"webhook": map[string]any{"public_key": publicPEM(rsaKey)}}}})}}
	h, _ := serveFetched(t, n, "provider: travis-ci")
	payload := `{"id":1,"state":"passed"}`
	sig := base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA1, sha1Of([]byte(payload)))))
	form := "payload=" + url.QueryEscape(payload)
	if w := post(h, "POST", "/hooks/hook", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Signature": {sig}},
		[]byte(form)); w.Code != 202 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
