package actions_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// pemText encodes one block.
func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// clientCert creates a self-signed certificate and its key.
func clientCert(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemText("CERTIFICATE", der), pemText("EC PRIVATE KEY", keyDER)
}

// TestStepSendsItsClientCertificate uses PEM texts, also with literal \n, and checks that errors
// about invalid ones do not repeat them.
func TestStepSendsItsClientCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	ca := pemText("CERTIFICATE", server.Certificate().Raw)
	cert, key := clientCert(t)
	_, other := clientCert(t)
	for _, c := range []struct {
		with map[string]any
		err  string
	}{
		{map[string]any{"cert": cert, "key": strings.ReplaceAll(key, "\n", `\n`), "ca": ca}, ""},
		{map[string]any{"ca": ca}, "network: no answer: "},
		{map[string]any{"cert": cert, "key": key}, "network: no answer: tls: failed to verify certificate"},
		{map[string]any{"cert": cert, "ca": ca}, "invalid_request: cert and key belong together"},
		{map[string]any{"cert": cert, "key": other, "ca": ca}, "invalid_request: cert and key are not a matching pair in PEM"},
		{map[string]any{"cert": cert, "key": "/etc/ssl/private.pem"}, "invalid_request: key must be PEM text"},
		{map[string]any{"cert": cert, "key": key, "ca": "-----BEGIN X"}, "invalid_request: ca holds no certificate in PEM"},
		{map[string]any{"cert": cert, "key": key, "url": "http://127.0.0.1:1/"}, "invalid_request: cert and ca need a URL that"},
		{map[string]any{"cert": cert, "key": key, "redirects": 1}, "invalid_request: cert and redirects are mutually exclusive"},
	} {
		if c.with["url"] == nil {
			c.with["url"] = server.URL
		}
		out, err := do(t, t.Context(), "http/get", c.with, nil)
		if c.err == "" {
			if err != nil || out.(map[string]any)["body"] != "shop" {
				t.Errorf("%v %v", out, err)
			}
			continue
		}
		var e *plan.Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Code+": "+e.Message, c.err) || strings.Contains(e.Message, "BEGIN") {
			t.Errorf("%v %v, want %s", out, err, c.err)
		}
	}
	spec := catalog(t)["http/get"]
	if !spec.Input("cert").Secret || !spec.Input("key").Secret || !spec.Input("proxy").Secret {
		t.Error("records have the certificate, its key or the URL of the proxy")
	}
}
