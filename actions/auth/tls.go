package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// maxPEM is the size in bytes of the largest certificate or key file.
const maxPEM = 1 << 20

// clientOf returns the HTTP client with a connection's client certificate; nil if it has none. Each
// certificate has one client, so that network connections are shared.
func (s *Source) clientOf(c Connection) (*http.Client, error) {
	t := c.Auth.TLS
	if t == nil {
		return nil, nil
	}
	f := &filler{c: c}
	parts := []string{f.text("tls: cert", t.Cert), f.text("tls: key", t.Key), f.text("tls: ca", t.CA)}
	if f.err != nil {
		return nil, f.err
	}
	var pems [3][]byte
	for i, p := range parts {
		if p == "" {
			continue
		}
		b, err := pemOf(t.Dir, p)
		if err != nil {
			return nil, misconfigured(c.Name, "tls: %s cannot be read: %v", []string{"cert", "key", "ca"}[i], err)
		}
		pems[i] = b
	}
	h := sha256.New()
	for _, b := range pems {
		h.Write(b)
		h.Write([]byte{0})
	}
	id := hex.EncodeToString(h.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	if client := s.clients[id]; client != nil {
		return client, nil
	}
	cfg, err := TLSConfig(pems[0], pems[1], pems[2])
	if err != nil {
		return nil, misconfigured(c.Name, "tls: %v", err)
	}
	client := s.o.TLSClient(cfg)
	s.clients[id] = client
	return client, nil
}

// TLSConfig parses a client certificate with its key, and the CAs for the server's certificate,
// from PEM. Without cert and key no client certificate is used; without ca the system's CAs are
// trusted.
func TLSConfig(cert, key, ca []byte) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if cert != nil || key != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert and key are not a matching pair in PEM: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if ca != nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("ca holds no certificate in PEM")
		}
	}
	return cfg, nil
}

// pemOf returns PEM text, or the content of a file of the project.
func pemOf(dir, text string) ([]byte, error) {
	if strings.Contains(text, "-----BEGIN ") {
		return []byte(strings.ReplaceAll(text, `\n`, "\n")), nil
	}
	if filepath.IsAbs(text) {
		return os.ReadFile(text)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(filepath.Clean(text))
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPEM {
		return nil, os.ErrInvalid
	}
	return root.ReadFile(filepath.Clean(text))
}
