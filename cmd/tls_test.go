package cmd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/triggers"
)

// authority makes certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue writes NAME.pem and NAME.key into dir and gives the pair.
func (a *authority) issue(dir, name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: a.cert == nil, BasicConstraintsValid: true}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
		a.key = key
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for file, b := range map[string][]byte{name + ".pem": certPEM, name + ".key": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// TestHTTPSWithClientCertificates runs a real server: deliveries use TLS, a trigger that requires a
// client certificate accepts only the named ones, and a renewed certificate is used after a reload.
func TestHTTPSWithClientCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := &authority{t: t}
	ca.issue(dir, "ca")
	ca.issue(dir, "server")
	partner, stranger := ca.issue(dir, "partner.example.com"), ca.issue(dir, "stranger.example.com")
	other := &authority{t: t}
	other.issue(t.TempDir(), "ca")
	forged := other.issue(t.TempDir(), "partner.example.com")
	config := `server: {tls: {cert: server.pem, key: server.key, client_ca: ca.pem}}
triggers:
  open: {webhook: {provider: github, secret: "${{ secrets.S }}"}}
  mutual: {webhook: {provider: github, secret: "${{ secrets.S }}", client_cert: [partner.example.com]}}
`
	for file, text := range map[string]string{"hookloom.yaml": config, ".env": "S=a-secret-of-this-test\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, stop := startServer(t, dir)
	defer stop()
	ctx := t.Context()
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	post := func(trigger string, certs ...tls.Certificate) (int, string, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs},
			ForceAttemptHTTP2: true}}
		defer client.CloseIdleConnections()
		sample, err := triggers.Sample(l.project, trigger, l.secrets.Lookup, triggers.SampleOrder{})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(ctx, "POST", s.hooksURL()+sample.Path, bytes.NewReader(sample.Body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = sample.Header
		resp, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.TLS.PeerCertificates[0].SerialNumber.String(), nil
	}
	for _, c := range []struct {
		name, trigger string
		certs         []tls.Certificate
		want          int
	}{
		{"no certificate where none is demanded", "open", nil, 202},
		{"no certificate", "mutual", nil, 403},
		{"the partner's", "mutual", []tls.Certificate{partner}, 202},
		{"another's", "mutual", []tls.Certificate{stranger}, 403},
	} {
		if got, _, err := post(c.trigger, c.certs...); got != c.want || err != nil {
			t.Errorf("%s: %d %v, want %d", c.name, got, err, c.want)
		}
	}
	if got, _, err := post("mutual", forged); err == nil {
		t.Errorf("a certificate of another authority got as far as %d", got)
	}
	_, before, err := post("open")
	if err != nil {
		t.Fatal(err)
	}
	ca.issue(dir, "server")
	s.reload(ctx)
	if _, after, err := post("open"); err != nil || after == before {
		t.Errorf("the renewed certificate is not served: %v", err)
	}
}

// TestCapturedSecretsAreStoredOnce checks that .env is written completely, readable only by its
// owner, and that an existing secret is not replaced.
func TestCapturedSecretsAreStoredOnce(t *testing.T) {
	dir := t.TempDir()
	e := &envFile{dir: dir}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("A=1\nPENDING=\n# a comment"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		good        bool
	}{{"A", "2", true}, {"PENDING", `with "quotes" # and a hash`, true}, {"PENDING", "later", true}, {"LINES", "two\nlines", true},
		{"QUOTES", `both " and '`, true}, {"BAD", "a zero\x00", false}} {
		if err := e.add(c.name, c.value); (err == nil) != c.good {
			t.Errorf("%s=%q: %v", c.name, c.value, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "A=1\nPENDING=\n# a comment\nPENDING='with \"quotes\" # and a hash'\nLINES=\"two\nlines\"\n" +
		"QUOTES=\"both \\\" and '\"\n"; string(b) != want {
		t.Errorf(".env is\n%s", b)
	}
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"PENDING": `with "quotes" # and a hash`, "LINES": "two\nlines", "QUOTES": `both " and '`} {
		if v, _ := l.secrets.Lookup(name); v != want {
			t.Errorf("%s was read back as %q", name, v)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, ".env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}
