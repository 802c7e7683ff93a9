// Package auth authenticates the requests of connections: fixed credentials, access tokens of OAuth
// 2 and of signed JWTs, AWS signatures, client certificates. It fetches each token once for all
// callers, stores it encrypted, and knows when only a person can help. It must not know steps,
// runs, or what a request is for.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"golang.org/x/oauth2"
)

const (
	// exchangeTime limits one request to a token endpoint. claimTime is how long a process holds
	// the claim of a connection; it is longer, so that the response can be stored.
	exchangeTime = 30 * time.Second
	claimTime    = 60 * time.Second
	// claimLook is the interval at which a process checks whether another one has renewed the
	// token.
	claimLook = 100 * time.Millisecond
	// margin is the maximum time before its expiry at which a token is renewed; for a short-lived
	// token it is a tenth of its lifetime.
	margin = time.Minute
	// forcedPause is how long no new token is fetched after a response refused a token that was
	// fetched because of such a response and never accepted: the service refuses the call itself.
	forcedPause = 30 * time.Second
)

// Sealer encrypts tokens and derives keys; it is implemented by seal.Ring.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
	Key(purpose string) ([]byte, error)
}

// Options configure a Source.
type Options struct {
	Store  engine.TokenStore
	Sealer Sealer
	// Client is the HTTP client for token endpoints. TLSClient returns a client with a client
	// certificate.
	Client    *http.Client
	TLSClient func(*tls.Config) *http.Client
	Log       *slog.Logger
	// Learn is called with each token before its first use, so that it is masked everywhere.
	Learn func(secrets ...string)
	// Held is called when only a person can repair a connection, Ready when it works again.
	Held  func(ctx context.Context, name, why string)
	Ready func(ctx context.Context, name string)
}

// Connection is the part of a connection that authentication needs.
type Connection struct {
	Name string
	Auth *workflows.Auth
	// Env has the names that the expressions of Auth read.
	Env     *expr.Env
	Expired *workflows.Expired
}

// Source provides the tokens of connections. It is safe for concurrent use. Close must be called
// after use.
type Source struct {
	o     Options
	owner string
	// fixed is the token of every connection; empty for real ones.
	fixed string

	mu      sync.Mutex
	entries map[string]*entry
	used    map[string]time.Time
	// pending are the authorizations in progress, by state.
	pending map[string]*authorization
	clients map[string]*http.Client
	closed  bool
	work    sync.WaitGroup
}

// entry is one connection's token in memory.
type entry struct {
	mu  sync.Mutex
	tok *token
	// flight is the renewal in progress, nil if there is none.
	flight *flight
	// unsaved is a token that could not be stored yet; it is not used before that.
	unsaved *unsaved
	// forcedAt is when the current token was fetched because a response refused the previous one;
	// zero after the service has accepted it.
	forcedAt time.Time
	// style is where the token endpoint expects the client's id and secret, once known.
	style oauth2.AuthStyle
}

type unsaved struct {
	state engine.TokenState
	tok   *token
}

// flight is a renewal for which several callers may wait.
type flight struct {
	done chan struct{}
	tok  *token
	err  error
}

// token is what is stored, encrypted.
type token struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"`
	Type    string    `json:"type,omitempty"`
	Expiry  time.Time `json:"expiry"`
	// Obtained is when the token was received; Config identifies the settings used.
	Obtained time.Time `json:"obtained"`
	Config   string    `json:"config"`
	// Of is a digest of what the refresh token belongs to: endpoint, client and grant.
	Of      string   `json:"of"`
	Account string   `json:"account,omitempty"`
	Scopes  []string `json:"scopes,omitempty"`
}

// usable reports whether a token can be used at now.
func (t *token) usable(config, refused string, now time.Time) bool {
	if t == nil || t.Access == "" || t.Config != config || t.Access == refused {
		return false
	}
	return t.Expiry.IsZero() || now.Before(t.Expiry.Add(-min(margin, t.Expiry.Sub(t.Obtained)/10)))
}

// New returns a new Source.
func New(o Options) *Source {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // it never fails
	if o.Learn == nil {
		o.Learn = func(...string) {}
	}
	if o.Held == nil {
		o.Held = func(context.Context, string, string) {}
	}
	if o.Ready == nil {
		o.Ready = func(context.Context, string) {}
	}
	return &Source{o: o, owner: hex.EncodeToString(id), entries: map[string]*entry{}, used: map[string]time.Time{},
		pending: map[string]*authorization{},
		clients: map[string]*http.Client{}}
}

// Close waits for renewals in progress, so that their results are stored.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
}

// Restore masks the stored tokens, holds the connections that a person must repair, and releases
// the others. It is called once, before anything runs.
func (s *Source) Restore(ctx context.Context) error {
	list, err := s.o.Store.Tokens(ctx)
	if err != nil {
		return fmt.Errorf("reading the tokens of connections: %w", err)
	}
	for _, t := range list {
		if tok, err := s.open(t); err == nil && tok != nil {
			s.o.Learn(secretsOf(tok)...)
		}
		if t.Held == "" {
			s.o.Ready(ctx, t.Connection) // another process may have connected it since
			continue
		}
		s.o.Held(ctx, t.Connection, t.Held)
	}
	return nil
}

// Recheck releases connections that were held under other settings: after a reload, a connection
// whose secret was replaced is tried again.
func (s *Source) Recheck(ctx context.Context, list map[string]Connection) error {
	states, err := s.o.Store.Tokens(ctx)
	if err != nil {
		return fmt.Errorf("reading the tokens of connections: %w", err)
	}
	for _, t := range states {
		if t.Held == "" {
			continue
		}
		c, there := list[t.Connection]
		if there && (tokenKind(c.Auth) || fixedKind(c)) {
			config, err := s.config(c)
			if err != nil || config == t.Config {
				continue
			}
		}
		if there && !tokenKind(c.Auth) {
			if _, err := s.release(ctx, t.Connection); err != nil {
				return err
			}
			continue
		}
		s.o.Ready(ctx, t.Connection)
	}
	return nil
}

func (s *Source) entry(name string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[name]
	if e == nil {
		e = &entry{}
		s.entries[name] = e
	}
	return e
}

// token returns the token of a connection. refused is one that the service no longer accepts; empty
// if there is none.
func (s *Source) token(ctx context.Context, c Connection, refused string) (*token, error) {
	config, err := s.config(c)
	if err != nil {
		return nil, err
	}
	e := s.entry(c.Name)
	e.mu.Lock()
	if e.unsaved == nil && e.tok.usable(config, refused, time.Now()) {
		defer e.mu.Unlock()
		return e.tok, nil
	}
	f := e.flight
	if f == nil {
		if refused != "" && time.Since(e.forcedAt) < forcedPause {
			e.mu.Unlock()
			return nil, errRefusedAgain
		}
		if f, err = s.start(ctx, e, c, config, refused); err != nil {
			e.mu.Unlock()
			return nil, err
		}
	}
	e.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return f.tok, f.err
}

// errRefusedAgain means that the service refuses a token that was just fetched.
var errRefusedAgain = errors.New("the service refuses a new token as well")

// start starts a renewal. It continues if the caller gives up, since the response may contain the
// only valid refresh token. The caller holds e.mu.
func (s *Source) start(ctx context.Context, e *entry, c Connection, config, refused string) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, context.Canceled
	}
	f := &flight{done: make(chan struct{})}
	e.flight = f
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeTime+claimTime)
		defer cancel()
		f.tok, f.err = s.renew(ctx, e, c, config, refused)
		e.mu.Lock()
		if f.err == nil {
			e.tok = f.tok
			if refused != "" {
				e.forcedAt = time.Now()
			}
		}
		e.flight = nil
		e.mu.Unlock()
		close(f.done)
	}()
	return f, nil
}

// renew returns a stored token: one that another process fetched, or a new one.
func (s *Source) renew(ctx context.Context, e *entry, c Connection, config, refused string) (*token, error) {
	if tok, err := s.saveLate(ctx, e); tok != nil || err != nil {
		return tok, err
	}
	for {
		now := time.Now()
		state, ok, err := s.o.Store.ClaimToken(ctx, c.Name, s.owner, now, now.Add(claimTime))
		if err != nil {
			return nil, tokenError(c.Name, "its token cannot be read: "+err.Error())
		}
		known, oerr := s.open(state)
		if oerr == nil && known.usable(config, refused, now) {
			s.o.Learn(secretsOf(known)...)
			return known, s.drop(ctx, c.Name, ok)
		}
		if ok {
			return s.fetch(ctx, e, c, config, state, known, oerr)
		}
		select {
		case <-ctx.Done():
			return nil, tokenError(c.Name, "another process is still renewing its token")
		case <-time.After(claimLook):
		}
	}
}

func (s *Source) drop(ctx context.Context, name string, claimed bool) error {
	if !claimed {
		return nil
	}
	return s.o.Store.DropClaim(ctx, name, s.owner)
}

// saveLate stores a token that could not be stored when it was received.
func (s *Source) saveLate(ctx context.Context, e *entry) (*token, error) {
	e.mu.Lock()
	u := e.unsaved
	e.mu.Unlock()
	if u == nil {
		return nil, nil
	}
	now := time.Now()
	if _, ok, err := s.o.Store.ClaimToken(ctx, u.state.Connection, s.owner, now, now.Add(claimTime)); err != nil || !ok {
		return nil, errors.Join(tokenError(u.state.Connection, "its new token has not been stored yet"), err)
	}
	if err := s.o.Store.SaveToken(ctx, s.owner, u.state); err != nil {
		return nil, tokenError(u.state.Connection, "its new token has not been stored yet: "+err.Error())
	}
	e.mu.Lock()
	e.unsaved = nil
	e.mu.Unlock()
	return u.tok, nil
}

// fetch fetches a new token while holding the claim, and stores the outcome.
func (s *Source) fetch(ctx context.Context, e *entry, c Connection, config string, state engine.TokenState, known *token,
	unreadable error) (*token, error) {
	if state.Held != "" && state.Config == config {
		held := &engine.HeldError{Connection: c.Name, Why: state.Held}
		s.o.Held(ctx, c.Name, state.Held)
		return nil, errors.Join(held, s.drop(ctx, c.Name, true))
	}
	x := &exchange{s: s, e: e, c: c, config: config}
	ectx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	tok, err := x.fetch(ectx, known)
	if err != nil && unreadable != nil {
		err = errors.Join(err, unreadable)
	}
	return s.settle(ctx, e, c, config, state, tok, err)
}

// settle stores the outcome of a fetch and returns it: only what is stored is used.
func (s *Source) settle(ctx context.Context, e *entry, c Connection, config string, state engine.TokenState, tok *token, err error) (
	*token, error) {
	wasHeld := state.Held != ""
	if err != nil {
		err = s.explain(c, err)
		state.LastError, state.ErrorAt = err.Error(), time.Now()
		var held *engine.HeldError
		if errors.As(err, &held) {
			state.Held, state.HeldAt, state.Config = held.Why, time.Now(), config
			s.o.Log.Warn("a connection needs a sign-in", "connection", c.Name, "why", held.Why)
		}
		serr := s.o.Store.SaveToken(ctx, s.owner, state)
		if held != nil {
			s.o.Held(ctx, c.Name, held.Why)
		}
		return nil, errors.Join(err, serr)
	}
	s.o.Learn(secretsOf(tok)...)
	tok.Config, tok.Obtained = config, time.Now()
	plain, err := json.Marshal(tok)
	if err != nil {
		return nil, err
	}
	if state.Sealed, err = s.o.Sealer.Seal(plain, sealedToken+c.Name); err != nil {
		return nil, errors.Join(tokenError(c.Name, "its token cannot be encrypted: "+err.Error()), s.drop(ctx, c.Name, true))
	}
	state.Connection, state.Account, state.Scopes, state.Config = c.Name, tok.Account, tok.Scopes, config
	state.ExpiresAt, state.ObtainedAt, state.Held, state.HeldAt = tok.Expiry, tok.Obtained, "", time.Time{}
	state.LastError, state.ErrorAt = "", time.Time{}
	if err := s.o.Store.SaveToken(ctx, s.owner, state); err != nil {
		e.mu.Lock()
		e.unsaved = &unsaved{state, tok}
		e.mu.Unlock()
		return nil, tokenError(c.Name, "its new token cannot be stored: "+err.Error())
	}
	if wasHeld {
		s.o.Ready(ctx, c.Name)
	}
	return tok, nil
}

// sealedToken is the prefix of the context under which tokens are encrypted.
const sealedToken = "token of connection "

// open decrypts a stored token; it returns nil if there is none.
func (s *Source) open(t engine.TokenState) (*token, error) {
	if len(t.Sealed) == 0 {
		return nil, nil
	}
	plain, err := s.o.Sealer.Open(t.Sealed, sealedToken+t.Connection)
	if err != nil {
		return nil, fmt.Errorf("the stored token of connection %s cannot be read: %w", t.Connection, err)
	}
	tok := &token{}
	if err := json.Unmarshal(plain, tok); err != nil {
		return nil, fmt.Errorf("the stored token of connection %s cannot be read", t.Connection)
	}
	return tok, nil
}

func secretsOf(t *token) []string {
	out := []string{t.Access}
	if t.Refresh != "" {
		out = append(out, t.Refresh)
	}
	return out
}

// config returns a digest of all settings that a token depends on, keyed with a key of the project:
// it discloses none of the secrets among them.
func (s *Source) config(c Connection) (string, error) {
	parts, err := settings(c)
	if err != nil {
		return "", err
	}
	key, err := s.o.Sealer.Key("settings of connections")
	if err != nil {
		return "", tokenError(c.Name, err.Error())
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return "", err
	}
	m := hmac.New(sha256.New, key)
	m.Write(text)
	return hex.EncodeToString(m.Sum(nil)[:12]), nil
}

// tokenError returns the retryable error of an attempt without a token.
func tokenError(name, what string) error {
	return &plan.Error{Message: fmt.Sprintf("connection %s: %s", name, what), Code: engine.CodeToken, Retryable: true}
}

// misconfigured returns the error of a connection whose settings cannot work.
func misconfigured(name, format string, args ...any) error {
	return &plan.Error{Message: fmt.Sprintf("connection %s: %s", name, fmt.Sprintf(format, args...)), Code: "no_credential"}
}

// Uses returns when connections were used since the last call.
func (s *Source) Uses() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.used
	s.used = map[string]time.Time{}
	return out
}
