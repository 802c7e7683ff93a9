package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/seal"
)

// proved returns the Authorization header of a request over connection crm.
func proved(t *testing.T, s *auth.Source, c auth.Connection) (string, error) {
	t.Helper()
	k, err := ready(t, s, c)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://crm.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = k.Prove(r)
	return r.Header.Get("Authorization"), err
}

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestTheServiceCanVerifyASignedJWT checks that its claims are those of RFC 7523, 3, and that use:
// determines whether it is exchanged as a grant, exchanged as a bearer token, or sent itself.
func TestTheServiceCanVerifyASignedJWT(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	written := pemOf(t, "PRIVATE KEY", der, err)
	verify := func(assertion, audience string) error {
		options := []jwt.ParserOption{jwt.WithIssuer("app-7"), jwt.WithSubject("ada@example.com"), jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(), jwt.WithValidMethods([]string{"RS256"})}
		if audience != "" {
			options = append(options, jwt.WithAudience(audience))
		}
		x, err := jwt.Parse(assertion, func(*jwt.Token) (any, error) { return &key.PublicKey, nil }, options...)
		if err == nil && x.Header["kid"] != "key-1" {
			return fmt.Errorf("kid is %v", x.Header["kid"])
		}
		return err
	}
	var audience string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		assertion, token := r.FormValue("assertion"), "access_token"
		if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			assertion, token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "token"
		}
		if err := verify(assertion, audience); err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error": "invalid_grant"}`)
			return
		}
		fmt.Fprintf(w, `{%q: "exchanged", "token_type": "Bearer", "expires_at": "2100-01-01T00:00:00Z"}`, token)
	}))
	defer server.Close()
	for _, pemText := range []string{written, strings.ReplaceAll(written, "\n", `\n`)} {
		for _, use := range []string{"grant", "bearer", "direct"} {
			if audience = ""; use == "grant" {
				audience = server.URL
			}
			p := placeWith(t, fmt.Sprintf(`{jwt_bearer: {issuer: app-7, subject: ada@example.com, key: "${{ secrets.KEY }}", key_id: key-1,
      token_url: %q, use: %s}}`, server.URL, use), map[string]string{"KEY": pemText})
			got, err := proved(t, p.process(p.db), p.to["crm"])
			assertion, _ := strings.CutPrefix(got, "Bearer ")
			switch {
			case err != nil:
				t.Errorf("%s: %v", use, err)
			case use == "direct" && verify(assertion, "") != nil:
				t.Errorf("direct: %v", verify(assertion, ""))
			case use != "direct" && assertion != "exchanged":
				t.Errorf("%s sends %q", use, got)
			}
		}
	}
	p := placeWith(t, `{jwt_bearer: {issuer: a, key: "${{ secrets.KEY }}", use: direct}}`, map[string]string{"KEY": "not-a-key-in-pem"})
	if _, err := proved(t, p.process(p.db), p.to["crm"]); err == nil || strings.Contains(err.Error(), "not-a-key") ||
		!strings.Contains(err.Error(), "BEGIN and END lines") {
		t.Errorf("a key that is none: %v", err)
	}
}

// certificate creates a certificate signed by parent, or a self-signed one if parent is nil.
func certificate(t *testing.T, name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out, key
}

// TestClientCertificateIsSent checks requests to the service and to its token endpoint, with
// certificates from files and from secrets.
func TestClientCertificateIsSent(t *testing.T) {
	ca, caKey := certificate(t, "ca", nil, nil)
	own, ownKey := certificate(t, "127.0.0.1", ca, caKey)
	client, clientKey := certificate(t, "shop", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": "token of %s", "token_type": "Bearer"}`, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: ownKey}}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	der, err := x509.MarshalECPrivateKey(clientKey)
	keyText, certText := pemOf(t, "EC PRIVATE KEY", der, err), pemOf(t, "CERTIFICATE", client.Raw, nil)
	caText := pemOf(t, "CERTIFICATE", ca.Raw, nil)
	for _, form := range []string{"tls: {cert: client.pem, key: client.key, ca: ca.pem}",
		`tls: {cert: client.pem, key: "${{ secrets.KEY }}", ca: ca.pem}`} {
		p := placeWith(t, fmt.Sprintf(`{oauth2: {grant: client_credentials, token_url: %q, client_id: shop}, %s}`, server.URL, form),
			map[string]string{"KEY": keyText})
		for name, text := range map[string]string{"client.pem": certText, "client.key": keyText, "ca.pem": caText} {
			if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := auth.New(auth.Options{Store: p.db, Sealer: seal.New(p.dir), Client: http.DefaultClient, Log: slog.New(slog.DiscardHandler),
			TLSClient: func(c *tls.Config) *http.Client { return &http.Client{Transport: &http.Transport{TLSClientConfig: c}} }})
		if got, err := proved(t, s, p.to["crm"]); err != nil || got != "Bearer token of shop" {
			t.Errorf("%s: %q %v", form, got, err)
		}
		through, err := s.For(p.to["crm"]).Client(http.DefaultClient)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := through.Get(server.URL)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		through.CloseIdleConnections()
	}
}

// TestDeviceIsConnectedOnceTheCodeIsEntered follows RFC 8628, 3.1 to 3.5.
func TestDeviceIsConnectedOnceTheCodeIsEntered(t *testing.T) {
	answers := []string{`{"error": "authorization_pending"}`, `{"error": "slow_down"}`,
		`{"access_token": "access-secret", "refresh_token": "refresh-secret", "token_type": "Bearer", "expires_in": 3600}`}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/device" {
			fmt.Fprint(w, `{"device_code": "device-secret", "user_code": "ABCD-EFGH", "verification_uri": "https://id.example.com/device", `+
				`"interval": 5, "expires_in": 900}`)
			return
		}
		if r.FormValue("device_code") != "device-secret" || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" {
			t.Errorf("token request %v", r.Form)
		}
		if strings.Contains(answers[0], "error") {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprint(w, answers[0])
		answers = answers[1:]
	}))
	defer server.Close()
	p := placeWith(t, fmt.Sprintf("{oauth2: {grant: device_code, token_url: %q, device_url: %q, client_id: id, scopes: [read]}}",
		server.URL+"/token", server.URL+"/device"), nil)
	s := p.process(p.db)
	var held *engine.HeldError
	if _, err := proved(t, s, p.to["crm"]); !errors.As(err, &held) || !strings.Contains(held.Why, "hookloom connect crm") {
		t.Errorf("before it is connected: %v", err)
	}
	start, err := s.Begin(t.Context(), p.to["crm"], "")
	if err != nil || start.Status != engine.ConnectDevice || start.UserCode != "ABCD-EFGH" || start.URL != "https://id.example.com/device" ||
		start.Interval != 5 {
		t.Fatalf("%+v %v", start, err)
	}
	for i, want := range []engine.ConnectEnd{{Status: engine.ConnectPending, Connection: "crm"},
		{Status: engine.ConnectPending, Connection: "crm", Slower: true}, {Status: engine.ConnectDone, Connection: "crm", Refreshes: true}} {
		got, err := s.Finish(t.Context(), start.State, "")
		if err != nil || got.Status != want.Status || got.Connection != want.Connection || got.Slower != want.Slower ||
			got.Refreshes != want.Refreshes {
			t.Errorf("answer %d: %+v %v; want %+v", i, got, err, want)
		}
	}
	if got, err := proved(t, s, p.to["crm"]); err != nil || got != "Bearer access-secret" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := s.Finish(t.Context(), start.State, ""); err == nil {
		t.Error("an answer is taken twice")
	}
}

// TestLateTokenIsKept checks a token whose requester has given up: the next one needs no
// second request, for which a rotating refresh token would no longer be valid.
func TestLateTokenIsKept(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "late", "refresh_token": "next", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	defer server.Close()
	p := newPlace(t, &tokenServer{Server: server})
	s := p.process(p.db)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() { gaveUp <- s.For(p.to["crm"]).Ready(ctx) }()
	<-asked
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	close(answer)
	if got, err := proved(t, s, p.to["crm"]); err != nil || got != "Bearer late" || len(asked) != 0 {
		t.Errorf("%q %v after %d more requests", got, err, len(asked))
	}
}
