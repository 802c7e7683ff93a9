package auth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Credential authenticates the requests of one call.
type Credential struct {
	s *Source
	c Connection
	// sent is the token of the last request.
	sent    string
	renewed bool
	// v4 signs each request; nil for other kinds of credentials.
	v4 *sigv4
}

// Fixed returns a source that gives every connection the same token and no client certificate, for
// examples and dry runs, which reach no service.
func Fixed(token string) *Source {
	s := New(Options{})
	s.fixed = token
	return s
}

// For returns the credential for the requests of one call over a connection; nil if it has none, or
// a fixed one whose expiry no response can show.
func (s *Source) For(c Connection) *Credential {
	if s == nil || c.Name == "" {
		return nil
	}
	s.mu.Lock()
	s.used[c.Name] = time.Now()
	s.mu.Unlock()
	if c.Auth == nil || !tokenKind(c.Auth) && c.Auth.SigV4 == nil && c.Auth.TLS == nil && !fixedKind(c) {
		return nil
	}
	return &Credential{s: s, c: c}
}

// Client returns the HTTP client for the requests: base, or one with the connection's client
// certificate.
func (k *Credential) Client(base *http.Client) (*http.Client, error) {
	if k == nil || k.v4 != nil || k.s.fixed != "" {
		return base, nil
	}
	c, err := k.s.clientOf(k.c)
	if c == nil {
		return base, err
	}
	return c, err
}

// Ready obtains the token that Prove sends, if the connection has one.
func (k *Credential) Ready(ctx context.Context) error {
	if k == nil || k.v4 != nil || !tokenKind(k.c.Auth) {
		return nil
	}
	if k.sent = k.s.fixed; k.sent != "" {
		k.renewed = true
		return nil
	}
	t, err := k.s.token(ctx, k.c, "")
	if err != nil {
		return err
	}
	k.sent = t.Access
	return nil
}

// Prove adds the credential to a request that is otherwise complete. It keeps a header that the
// step sets itself.
func (k *Credential) Prove(r *http.Request) error {
	switch {
	case k == nil:
		return nil
	case k.v4 != nil:
		return k.v4.sign(r, time.Now())
	case k.c.Auth.SigV4 != nil:
		x, err := sigv4Of(k.c)
		if err != nil {
			return err
		}
		return x.sign(r, time.Now())
	case k.sent != "" && r.Header.Get("Authorization") == "":
		r.Header.Set("Authorization", "Bearer "+k.sent)
	}
	return nil
}

// Renew obtains a new token after a response that may mean that the last one is no longer valid. It
// reports whether to send the request again, which is true at most once per call.
func (k *Credential) Renew(ctx context.Context, status int, response map[string]any) (bool, error) {
	if k != nil && k.v4 == nil && fixedKind(k.c) && k.c.Expired.Says(status, response) {
		return false, k.s.expire(ctx, k.c, status)
	}
	if k == nil || k.sent == "" || k.renewed {
		return false, nil
	}
	if !k.c.Expired.Says(status, response) {
		k.s.taken(k.c.Name, k.sent)
		return false, nil
	}
	k.renewed = true
	t, err := k.s.token(ctx, k.c, k.sent)
	if errors.Is(err, errRefusedAgain) {
		return false, k.refusedAgain(status)
	}
	if err != nil {
		return false, err
	}
	k.sent = t.Access
	return true, nil
}

// Taken records the response to the second request of a call. It returns an error if a response
// with a success status says that the new token is not valid either.
func (k *Credential) Taken(status int, response map[string]any) error {
	if k.s.fixed != "" {
		return nil
	}
	if k.c.Expired.Says(status, response) {
		return k.refusedAgain(status)
	}
	k.s.taken(k.c.Name, k.sent)
	return nil
}

// refusedAgain returns the error for a response that refuses a new token; nil if the status is an
// error already.
func (k *Credential) refusedAgain(status int) error {
	if status < 200 || status > 299 {
		return nil
	}
	return misconfigured(k.c.Name, "the service says that its new token has expired too (it answered %d): "+
		"check expired: and the scopes of the token", status)
}

// taken records that the service accepts a token: if it refuses it later, a new one may help.
func (s *Source) taken(name, access string) {
	e := s.entry(name)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tok != nil && e.tok.Access == access {
		e.forcedAt = time.Time{}
	}
}
