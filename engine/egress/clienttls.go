package egress

import (
	"crypto/tls"
	"net/http"
	"sync"
)

// ClientTLS returns a client with a client certificate, under the same rules as Client. It has its
// own connections, so that no other certificate is used on them.
func (gd *Guard) ClientTLS(cfg *tls.Config) *http.Client {
	return &http.Client{
		Transport:     &tlsTransport{guard: gd, cfg: cfg},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// tlsTransport sends requests over connections made under the current rules.
type tlsTransport struct {
	guard *Guard
	cfg   *tls.Config

	mu    sync.Mutex
	rules *rules
	made  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *tlsTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return sendOnce(t.transport(), r)
}

// CloseIdleConnections supports http.Client.CloseIdleConnections.
func (t *tlsTransport) CloseIdleConnections() { t.transport().CloseIdleConnections() }

func (t *tlsTransport) transport() *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.guard.rules.Load(); t.made == nil || t.rules != now {
		if t.made != nil {
			t.made.CloseIdleConnections()
		}
		t.made, t.rules = t.guard.newTransport(), now
		t.made.TLSClientConfig = t.cfg.Clone()
	}
	return t.made
}
