package cmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/workflows"
)

const certificateHost = "hooks.example.com"

// acmeAuthority is an authority with the part of RFC 8555 that a client needs. It does not check the
// signatures of requests. It asks for the challenge at all nodes.
type acmeAuthority struct {
	t     *testing.T
	key   *ecdsa.PrivateKey
	root  *x509.Certificate
	nodes []string

	mu       sync.Mutex
	orders   int
	accounts int
	chain    []byte
	ready    bool
	url      string
}

func newAuthority(t *testing.T) *acmeAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 365), BasicConstraintsValid: true}
	a := &acmeAuthority{t: t, key: key, root: root}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// ServeHTTP implements http.Handler.
func (a *acmeAuthority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", rand.Text())
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	identifiers := []map[string]string{{"type": "dns", "value": certificateHost}}
	order := map[string]any{"status": "pending", "identifiers": identifiers, "authorizations": []string{a.url + "/authz"},
		"finalize": a.url + "/finalize"}
	challenge := map[string]any{"type": "tls-alpn-01", "url": a.url + "/challenge", "token": "token", "status": "pending"}
	if a.ready {
		order["status"], challenge["status"] = "ready", "valid"
	}
	switch r.URL.Path {
	case "/":
		answer(http.StatusOK, map[string]string{"newNonce": a.url + "/nonce", "newAccount": a.url + "/account", "newOrder": a.url + "/order"})
	case "/nonce":
	case "/account":
		a.accounts++
		w.Header().Set("Location", a.url+"/accounts/1")
		answer(http.StatusCreated, map[string]string{"status": "valid"})
	case "/order":
		a.orders++
		a.ready = false
		order["status"] = "pending"
		w.Header().Set("Location", a.url+"/orders/1")
		answer(http.StatusCreated, order)
	case "/authz":
		answer(http.StatusOK, map[string]any{"status": challenge["status"], "identifier": identifiers[0], "challenges": []any{challenge}})
	case "/challenge":
		a.ready = a.answered()
		answer(http.StatusOK, challenge)
	case "/orders/1":
		answer(http.StatusOK, order)
	case "/finalize":
		a.issue(r)
		order["status"], order["certificate"] = "valid", a.url+"/certificate"
		w.Header().Set("Location", a.url+"/orders/1")
		answer(http.StatusOK, order)
	case "/certificate":
		_, _ = w.Write(a.chain)
	}
}

// answered reports whether each node answers the challenge (RFC 8737).
func (a *acmeAuthority) answered() bool {
	for _, node := range a.nodes {
		c, err := tls.Dial("tcp", node, &tls.Config{ServerName: certificateHost, NextProtos: []string{"acme-tls/1"},
			InsecureSkipVerify: true}) //nolint:gosec // the certificate of a challenge signs itself
		if err != nil {
			a.t.Errorf("a node does not answer the challenge: %v", err)
			return false
		}
		leaf := c.ConnectionState().PeerCertificates[0]
		_ = c.Close()
		if !slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool {
			return e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31})
		}) {
			a.t.Error("a node answers the challenge with another certificate")
			return false
		}
	}
	return true
}

// issue makes the certificate that a request asks for.
func (a *acmeAuthority) issue(r *http.Request) {
	var signed struct{ Payload string }
	var payload struct{ CSR string }
	err := json.NewDecoder(r.Body).Decode(&signed)
	text, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	if err == nil {
		err = json.Unmarshal(text, &payload)
	}
	der, _ := base64.RawURLEncoding.DecodeString(payload.CSR)
	var csr *x509.CertificateRequest
	if err == nil {
		csr, err = x509.ParseCertificateRequest(der)
	}
	if err != nil {
		a.t.Error(err)
		return
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(int64(100 + a.orders)), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(90 * 24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if der, err = x509.CreateCertificate(rand.Reader, c, a.root, csr.PublicKey, a.key); err != nil {
		a.t.Error(err)
	}
	a.chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// servingTLS answers handshakes at a new address.
func servingTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go s.Serve(l) //nolint:errcheck // it ends with Close
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// TestNodesShareTheCertificatesOfAnAuthority: two nodes that need one at once order it once, and both answer
// the challenge; a node that comes later orders none. The database does not show the private key.
func TestNodesShareTheCertificatesOfAnAuthority(t *testing.T) {
	t.Parallel()
	address, dir := postgrestest.Shared(t).Database(t), t.TempDir()
	keys := seal.New(dir)
	ca := newAuthority(t)
	settings := &workflows.TLS{ACME: &workflows.ACME{Hosts: []string{certificateHost}, Directory: ca.url, Cache: "acme"}}
	node := func(name string) (address2 string, s *store.Store) {
		s, err := store.Open(t.Context(), address, store.Options{Verb: "serve", Node: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		c, err := newCertificates(filepath.Join(dir, name), "server.tls", settings,
			&sharedCertificates{store: s, keys: keys, log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return servingTLS(t, c.config), s
	}
	first, db := node("a")
	second, _ := node("b")
	ca.nodes = []string{first, second}
	serials := make(chan int64, 2)
	for _, n := range ca.nodes {
		go func() { serials <- serialAt(t, n) }()
	}
	if x, y := <-serials, <-serials; x != 101 || y != 101 || ca.orders != 1 || ca.accounts != 1 {
		t.Errorf("the nodes have the certificates %d and %d of %d orders, %d accounts", x, y, ca.orders, ca.accounts)
	}
	third, _ := node("c")
	if x := serialAt(t, third); x != 101 || ca.orders != 1 {
		t.Errorf("a new node has the certificate %d of %d orders", x, ca.orders)
	}
	stored, err := db.Certificate(t.Context(), certificateHost)
	if err != nil || bytes.Contains(stored, []byte("PRIVATE KEY")) {
		t.Errorf("stored as it is: %v", err)
	}
	if b, err := keys.Open(stored, sealedCertificate+certificateHost); err != nil || !bytes.Contains(b, []byte("PRIVATE KEY")) {
		t.Errorf("not stored: %v", err)
	}
	if _, err := db.Certificate(t.Context(), certificateHost+"+token"); err == nil {
		t.Error("the certificate of the challenge is left")
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "acme")); err == nil {
		t.Error("the node stored it in its folder, too")
	}
}

// serialAt returns the serial number of the certificate at an address.
func serialAt(t *testing.T, address string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{ServerName: certificateHost,
		InsecureSkipVerify: true}} //nolint:gosec // nobody knows the authority
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer c.Close() //nolint:errcheck // it was only read
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestOneNodeRenewsACertificate: another one that is to renew it at the same time waits, and gets the new one.
func TestOneNodeRenewsACertificate(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), postgrestest.Shared(t).Database(t), store.Options{Verb: "serve", Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	shared := &sharedCertificates{store: s, keys: seal.New(t.TempDir()), log: slog.New(slog.DiscardHandler)}
	a, b := shared.cache(nil), shared.cache(nil)
	put := func(c *certificateCache, text string) {
		t.Helper()
		if err := c.Put(t.Context(), certificateHost, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	get := func(c *certificateCache) string {
		text, err := c.Get(t.Context(), certificateHost)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	put(a, "old")
	a.known[certificateHost], b.known[certificateHost] = true, true
	if got := get(a); got != "old" {
		t.Fatalf("stored old, read %s", got)
	}
	read := make(chan string)
	go func() { read <- get(b) }()
	select {
	case got := <-read:
		t.Fatalf("the other node does not wait: it has %s", got)
	case <-time.After(300 * time.Millisecond):
	}
	put(a, "new")
	if got := <-read; got != "new" {
		t.Errorf("the other node has %s", got)
	}
}

// countedClaims counts how often claims are looked at.
type countedClaims struct {
	engine.CertificateStore
	n atomic.Int64
}

func (c *countedClaims) ClaimCertificate(ctx context.Context, name, owner string, now, until time.Time) (bool, error) {
	c.n.Add(1)
	return c.CertificateStore.ClaimCertificate(ctx, name, owner, now, until)
}

// TestManyClientsReadAClaimOnce: while another node gets the first certificate, each look is a transaction.
func TestManyClientsReadAClaimOnce(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), postgrestest.Shared(t).Database(t), store.Options{Verb: "serve", Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if ok, err := s.ClaimCertificate(t.Context(), certificateHost, "another node", time.Now(), time.Now().Add(time.Hour)); err != nil || !ok {
		t.Fatalf("%v %v", ok, err)
	}
	counted, ca := &countedClaims{CertificateStore: s}, newAuthority(t)
	ca.nodes = []string{}
	c, err := newCertificates(t.TempDir(), "server.tls", &workflows.TLS{ACME: &workflows.ACME{Hosts: []string{certificateHost},
		Directory: ca.url, Cache: "acme"}}, &sharedCertificates{store: counted, keys: seal.New(t.TempDir()), log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	address, began := servingTLS(t, c.config), time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var clients sync.WaitGroup
	for range 30 {
		clients.Go(func() {
			d := tls.Dialer{Config: &tls.Config{ServerName: certificateHost, InsecureSkipVerify: true}} //nolint:gosec // there is no certificate
			if c, err := d.DialContext(ctx, "tcp", address); err == nil {
				_ = c.Close()
				t.Error("it has a certificate")
			}
		})
	}
	clients.Wait()
	if n, most := counted.n.Load(), int64(time.Since(began)/claimCertificateLook)+1; n == 0 || n > most {
		t.Errorf("%d looks at the claim, at most %d are needed", n, most)
	}
	if err := s.DropCertificateClaim(t.Context(), certificateHost, "another node"); err != nil {
		t.Fatal(err)
	}
	if x := serialAt(t, address); x != 101 || ca.orders != 1 {
		t.Errorf("then it has the certificate %d of %d orders", x, ca.orders)
	}
}
