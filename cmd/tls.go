package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// certificates provides HTTPS on an address. A certificate file is read again when the project is
// reloaded.
type certificates struct {
	// key is server.tls or server.admin_tls, for messages.
	key    string
	config *tls.Config
	file   atomic.Pointer[tls.Certificate]
}

// newCertificates prepares HTTPS according to server.tls or server.admin_tls; nil if it is not
// configured. shared stores the certificates of an authority for all nodes; nil if there is one node.
func newCertificates(dir, key string, t *workflows.TLS, shared *sharedCertificates) (*certificates, error) {
	if t == nil {
		return nil, nil
	}
	c := &certificates{key: key}
	if t.ACME != nil {
		c.config = authorityConfig(dir, t.ACME, shared)
	} else {
		if err := c.read(dir, t); err != nil {
			return nil, err
		}
		c.config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.file.Load(), nil },
			NextProtos: []string{"h2", "http/1.1"}}
	}
	c.config.MinVersion = tls.VersionTLS12
	if t.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(inside(dir, t.ClientCA))
	if err != nil {
		return nil, fmt.Errorf("%s.client_ca: %w", key, err)
	}
	c.config.ClientCAs = x509.NewCertPool()
	if !c.config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s.client_ca: %s holds no certificate", key, t.ClientCA)
	}
	// Requested from all clients, required by the triggers with client_cert.
	c.config.ClientAuth = tls.VerifyClientCertIfGiven
	return c, nil
}

// authorityConfig requests certificates from an ACME authority.
func authorityConfig(dir string, a *workflows.ACME, shared *sharedCertificates) *tls.Config {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(a.Hosts...),
		Cache: autocert.DirCache(inside(dir, a.Cache)), Email: a.Email}
	if a.Directory != "" {
		m.Client = &acme.Client{DirectoryURL: a.Directory}
	}
	if shared == nil {
		return m.TLSConfig()
	}
	cache := shared.cache(m.Cache)
	m.Cache = cache
	config := m.TLSConfig()
	config.GetCertificate = cache.firstAlone(m)
	return config
}

// read loads the certificate's files; if they are invalid, the previous certificate stays.
func (c *certificates) read(dir string, t *workflows.TLS) error {
	if c == nil || t == nil || t.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(inside(dir, t.Cert), inside(dir, t.Key))
	if err != nil {
		return fmt.Errorf("%s: %w", c.key, err)
	}
	c.file.Store(&pair)
	return nil
}

// inside resolves a project's file name, absolute or relative to its folder.
func inside(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
