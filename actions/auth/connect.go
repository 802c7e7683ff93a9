package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/oauth2"
)

const (
	// authorizeTime is how long a person may take to authorize the connection.
	authorizeTime = 15 * time.Minute
	// maxPending is the maximum number of authorizations in progress.
	maxPending = 100
	// grantDevice is the grant type of RFC 8628, 3.4.
	grantDevice = "urn:ietf:params:oauth:grant-type:device_code"
)

// authorization is a connection that is waiting for a person's authorization.
type authorization struct {
	c                  Connection
	verifier, redirect string
	device             string
	until              time.Time
}

// Redirect returns the redirect URI of a connection's settings; empty if it has none, or if its
// grant needs none.
func Redirect(c Connection) (string, error) {
	if c.Auth == nil || c.Auth.OAuth2 == nil || c.Auth.OAuth2.Grant != workflows.GrantAuthorizationCode {
		return "", nil
	}
	f := &filler{c: c}
	return f.text("redirect", c.Auth.OAuth2.Redirect), f.err
}

// Begin starts to connect a connection. redirect is the URL to which the service redirects the
// person's browser, for a grant that needs one. A connection that needs no authorization gets its
// token at once.
func (s *Source) Begin(ctx context.Context, c Connection, redirect string) (engine.ConnectStart, error) {
	var out engine.ConnectStart
	if fixedKind(c) {
		was, err := s.release(ctx, c.Name)
		if err != nil || was {
			return engine.ConnectStart{Status: engine.ConnectRetried}, err
		}
	}
	if !tokenKind(c.Auth) {
		return out, misconfigured(c.Name, "auth %s has no token to connect", c.Auth.Kind())
	}
	f, err := settings(c)
	if err != nil {
		return out, err
	}
	switch f.Grant {
	case workflows.GrantAuthorizationCode:
		if f.Redirect != "" {
			redirect = f.Redirect
		}
		verifier := oauth2.GenerateVerifier()
		out = engine.ConnectStart{Status: engine.ConnectAuthorize, State: rand.Text(), Redirect: redirect}
		opts := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
		for k, v := range f.AuthorizeParams {
			opts = append(opts, oauth2.SetAuthURLParam(k, v))
		}
		cfg := oauth2.Config{ClientID: f.ClientID, RedirectURL: redirect, Scopes: f.Scopes, Endpoint: oauth2.Endpoint{AuthURL: f.AuthorizeURL}}
		out.URL = cfg.AuthCodeURL(out.State, opts...)
		return out, s.await(out.State, &authorization{c: c, verifier: verifier, redirect: redirect})
	case workflows.GrantDeviceCode:
		return s.beginDevice(ctx, c, f)
	}
	e := s.entry(c.Name)
	config, err := s.config(c)
	if err != nil {
		return out, err
	}
	tok, err := (&exchange{s: s, e: e, c: c, config: config}).again(ctx)
	if err != nil {
		return out, refused(c.Name, err)
	}
	return engine.ConnectStart{Status: engine.ConnectDone, Account: tok.Account, Scopes: tok.Scopes}, nil
}

// again fetches a token now, even if a token is stored or the connection is held.
func (x *exchange) again(ctx context.Context) (*token, error) {
	return x.claimed(ctx, func(ctx context.Context, known *token) (*token, error) { return x.fetch(ctx, known) })
}

func (s *Source) await(state string, a *authorization) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for k, p := range s.pending {
		if now.After(p.until) || p.c.Name == a.c.Name {
			delete(s.pending, k)
		}
	}
	if len(s.pending) >= maxPending {
		return errors.New("too many sign-ins are in progress; try again in 15 minutes")
	}
	a.until = now.Add(authorizeTime)
	s.pending[state] = a
	return nil
}

// beginDevice requests a code that a person enters on another device (RFC 8628, 3.1).
func (s *Source) beginDevice(ctx context.Context, c Connection, f filled) (engine.ConnectStart, error) {
	var out engine.ConnectStart
	x := &exchange{s: s, e: s.entry(c.Name), c: c}
	client, err := x.client()
	if err != nil {
		return out, err
	}
	cfg := oauth2.Config{ClientID: f.ClientID, Scopes: f.Scopes, Endpoint: oauth2.Endpoint{DeviceAuthURL: f.DeviceURL}}
	d, err := cfg.DeviceAuth(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return out, s.explain(c, err)
	}
	if u, err := url.Parse(d.VerificationURI); err != nil || u.Scheme != "https" && u.Scheme != "http" || d.DeviceCode == "" {
		return out, tokenError(c.Name, "its device endpoint returned no code and address")
	}
	s.o.Learn(d.DeviceCode)
	out = engine.ConnectStart{Status: engine.ConnectDevice, State: rand.Text(), URL: clip(d.VerificationURI, 500),
		UserCode: clip(d.UserCode, 50), Interval: int(max(1, min(d.Interval, 60)))}
	return out, s.await(out.State, &authorization{c: c, device: d.DeviceCode})
}

// Finish completes what Begin started: with the code sent to the redirect URI or, for a device, by
// asking whether the person has authorized it.
func (s *Source) Finish(ctx context.Context, state, code string) (engine.ConnectEnd, error) {
	var out engine.ConnectEnd
	s.mu.Lock()
	a := s.pending[state]
	if a != nil && (a.device == "" || time.Now().After(a.until)) {
		delete(s.pending, state) // each code is tried once
	}
	s.mu.Unlock()
	if a == nil || time.Now().After(a.until) {
		return out, errors.New("this sign-in has expired or is complete already: run hookloom connect again")
	}
	out.Connection = a.c.Name
	f, err := settings(a.c)
	if err != nil {
		return out, err
	}
	config, err := s.config(a.c)
	if err != nil {
		return out, err
	}
	x := &exchange{s: s, e: s.entry(a.c.Name), c: a.c, config: config}
	grant, params := workflows.GrantAuthorizationCode, url.Values{"code": {code}, "redirect_uri": {a.redirect}, "code_verifier": {a.verifier}}
	if a.device != "" {
		grant, params = grantDevice, url.Values{"device_code": {a.device}}
	}
	tok, err := x.ask(ctx, f, grant, params, nil)
	var re *oauth2.RetrieveError
	if a.device != "" && errors.As(err, &re) && (re.ErrorCode == "authorization_pending" || re.ErrorCode == "slow_down") {
		out.Status, out.Slower = engine.ConnectPending, re.ErrorCode == "slow_down"
		return out, nil
	}
	s.mu.Lock()
	delete(s.pending, state)
	s.mu.Unlock()
	if err != nil {
		return out, refused(a.c.Name, s.explain(a.c, err))
	}
	if len(tok.Scopes) == 0 {
		tok.Scopes = f.Scopes
	}
	if tok, err = x.claimed(ctx, func(context.Context, *token) (*token, error) { return tok, nil }); err != nil {
		return out, err
	}
	out.Status, out.Account, out.Scopes, out.Refreshes = engine.ConnectDone, tok.Account, tok.Scopes, tok.Refresh != ""
	return out, nil
}

// refused returns the error of a connect attempt that the service refused: a person is present to
// see it.
func refused(name string, err error) error {
	var held *engine.HeldError
	if errors.As(err, &held) {
		why := strings.TrimPrefix(held.Why, "connection "+name+" needs a sign-in: ")
		return fmt.Errorf("connection %s was not connected: %s", name, strings.TrimSuffix(why, "; run hookloom connect "+name))
	}
	return err
}

// claimed fetches a token while holding the claim of the connection, and stores it.
func (x *exchange) claimed(ctx context.Context, get func(ctx context.Context, known *token) (*token, error)) (*token, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTime)
	defer cancel()
	for {
		now := time.Now()
		state, ok, err := x.s.o.Store.ClaimToken(ctx, x.c.Name, x.s.owner, now, now.Add(claimTime))
		if err != nil {
			return nil, err
		}
		if !ok {
			select {
			case <-ctx.Done():
				return nil, tokenError(x.c.Name, "another process is still renewing its token")
			case <-time.After(claimLook):
			}
			continue
		}
		known, _ := x.s.open(state) // an unreadable one is replaced
		tok, err := get(ctx, known)
		if tok, err = x.s.settle(ctx, x.e, x.c, x.config, state, tok, err); err != nil {
			return nil, err
		}
		x.e.mu.Lock()
		x.e.tok, x.e.forcedAt = tok, time.Time{}
		x.e.mu.Unlock()
		x.s.o.Ready(ctx, x.c.Name)
		return tok, nil
	}
}

// CodeOf returns the parameters that a browser brings to the redirect URI (RFC 6749, 4.1.2).
func CodeOf(r *http.Request) (state, code string, err error) {
	q := r.URL.Query()
	state, code = q.Get("state"), q.Get("code")
	if e := q.Get("error"); e != "" {
		err = fmt.Errorf("the service refused: %s %s", clip(e, 60), clip(q.Get("error_description"), 200))
	} else if state == "" || code == "" {
		err = errors.New("this is not a service's response: state or code is missing")
	}
	return state, code, err
}
