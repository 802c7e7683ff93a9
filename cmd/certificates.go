package cmd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	// claimCertificate is how long a node may take to get a certificate before another one asks for it.
	claimCertificate = time.Minute
	// claimCertificateLook is how often a node looks whether another one has it.
	claimCertificateLook = 200 * time.Millisecond
	// sealedCertificate is the prefix of the context under which keys and certificates are encrypted.
	sealedCertificate = "certificate "
)

// sharedCertificates stores the keys and certificates of an ACME authority in the database, encrypted, so
// that all nodes have them, one node asks for each, and any node answers the authority's challenge.
type sharedCertificates struct {
	store engine.CertificateStore
	keys  *seal.Ring
	log   *slog.Logger
}

// prepareTLS prepares HTTPS on both addresses.
func (s *server) prepareTLS(w *workflows.Server) (err error) {
	shared := s.sharedCertificates()
	if s.certs, err = newCertificates(s.o.dir, "server.tls", w.TLS, shared); err != nil {
		return err
	}
	s.adminCerts, err = newCertificates(s.o.dir, "server.admin_tls", w.AdminTLS, shared)
	return err
}

// checkCertificateFiles reads the certificates' files before the database is opened, which may change it: a server with a mistake in
// its settings leaves the database as it is.
func checkCertificateFiles(dir string, w *workflows.Server) error {
	var errs []error
	for _, tls := range []*workflows.TLS{w.TLS, w.AdminTLS} {
		if tls == nil || tls.ACME != nil {
			continue
		}
		key := "server.tls"
		if tls == w.AdminTLS {
			key = "server.admin_tls"
		}
		_, err := newCertificates(dir, key, tls, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sharedCertificates returns the storage that the nodes share; nil if there is one node.
func (s *server) sharedCertificates() *sharedCertificates {
	if !s.store.Shared() {
		return nil
	}
	return &sharedCertificates{store: s.store, keys: s.keys, log: s.o.log}
}

// cache returns the cache of a manager. before has what this node stored when it was the only one.
func (s *sharedCertificates) cache(before autocert.Cache) *certificateCache {
	return &certificateCache{sharedCertificates: s, before: before, owner: rand.Text(), known: map[string]bool{},
		asking: map[string]chan struct{}{}}
}

// certificateCache implements autocert.Cache.
type certificateCache struct {
	*sharedCertificates
	before autocert.Cache
	// owner identifies the manager in claims.
	owner string

	mu sync.Mutex
	// known are the certificates that the manager has in memory: it reads them again only to renew them.
	known map[string]bool
	// asking has a channel for each name, with room for the handshake that looks at the claim.
	asking map[string]chan struct{}
}

// renewal is the name of the claim to renew a certificate.
func renewal(name string) string { return "renewal of " + name }

// Get implements autocert.Cache.
func (c *certificateCache) Get(ctx context.Context, name string) ([]byte, error) {
	if c.has(name) {
		// The claim ends with Put, or by itself.
		if err := c.claim(ctx, renewal(name)); err != nil {
			return nil, err
		}
	}
	sealed, err := c.store.Certificate(ctx, name)
	if errors.Is(err, engine.ErrNotFound) {
		return c.adopt(ctx, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", name, err)
	}
	plain, err := c.keys.Open(sealed, sealedCertificate+name)
	if err != nil {
		c.log.Warn("a stored certificate cannot be read, so a new one is requested", "certificate", name, "error", err)
		return nil, autocert.ErrCacheMiss
	}
	return plain, nil
}

// adopt stores what this node has in its folder.
func (c *certificateCache) adopt(ctx context.Context, name string) ([]byte, error) {
	if ofChallenge(name) {
		return nil, autocert.ErrCacheMiss
	}
	plain, err := c.before.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return plain, c.Put(ctx, name, plain)
}

// Put implements autocert.Cache.
func (c *certificateCache) Put(ctx context.Context, name string, plain []byte) error {
	sealed, err := c.keys.Seal(plain, sealedCertificate+name)
	if err != nil {
		return err
	}
	if err := c.store.SaveCertificate(ctx, name, sealed); err != nil {
		return fmt.Errorf("storing the certificate %s: %w", name, err)
	}
	if c.has(name) {
		return c.store.DropCertificateClaim(ctx, renewal(name), c.owner)
	}
	return nil
}

// Delete implements autocert.Cache.
func (c *certificateCache) Delete(ctx context.Context, name string) error {
	return c.store.DropCertificate(ctx, name)
}

func ofChallenge(name string) bool {
	return strings.HasSuffix(name, "+token") || strings.HasSuffix(name, "+http-01")
}

// has reports whether the manager has a certificate in memory.
func (c *certificateCache) has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[name]
}

// claim waits until no other node has the claim of a name.
func (c *certificateCache) claim(ctx context.Context, name string) error {
	for {
		now := time.Now()
		ok, err := c.store.ClaimCertificate(ctx, name, c.owner, now, now.Add(claimCertificate))
		if err != nil {
			return fmt.Errorf("claiming the certificate %s: %w", name, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(claimCertificateLook):
		}
	}
}

// first waits until this handshake is the one of all nodes that gets the first certificate of a name, or until
// the manager has it. done lets the next one go on. Only one handshake of a process looks at the claim: each look
// is a transaction, and clients may connect as often as they like. A client that is gone is not noticed, so the
// wait ends by itself.
func (c *certificateCache) first(ctx context.Context, name string) (done func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, claimCertificate)
	defer cancel()
	c.mu.Lock()
	place := c.asking[name]
	if place == nil {
		place = make(chan struct{}, 1)
		c.asking[name] = place
	}
	c.mu.Unlock()
	select {
	case place <- struct{}{}:
	case <-waiting.Done():
		return nil, waiting.Err()
	}
	next := func() { <-place }
	if c.has(name) {
		return next, nil
	}
	if err := c.claim(waiting, name); err != nil {
		next()
		return nil, err
	}
	return func() {
		if err := c.store.DropCertificateClaim(context.WithoutCancel(ctx), name, c.owner); err != nil {
			c.log.Warn("the claim of a certificate was not ended: other nodes wait up to a minute for it", "certificate", name, "error", err)
		}
		next()
	}, nil
}

// firstAlone returns GetCertificate of a manager, in which one node at a time gets the first certificate of a
// host: the others wait, and then find it. The wait is not in Get, where the manager would keep the
// handshakes of all hosts waiting.
func (c *certificateCache) firstAlone(m *autocert.Manager) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		host := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
		name := host
		if !takesECDSA(hello) {
			name += "+rsa"
		}
		ctx := hello.Context()
		if slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) || c.has(name) || m.HostPolicy(ctx, host) != nil {
			return m.GetCertificate(hello)
		}
		done, err := c.first(ctx, name)
		if err != nil {
			return nil, err
		}
		defer done()
		out, err := m.GetCertificate(hello)
		if err == nil {
			c.mu.Lock()
			c.known[name] = true
			c.mu.Unlock()
		}
		return out, err
	}
}

// takesECDSA reports whether a client takes a certificate with an ECDSA key; old ones get another one.
func takesECDSA(hello *tls.ClientHelloInfo) bool {
	return hello.SignatureSchemes == nil || slices.Contains(hello.SignatureSchemes, tls.ECDSAWithP256AndSHA256)
}
