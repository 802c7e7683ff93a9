package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// exchange is a request for a token.
type exchange struct {
	s      *Source
	e      *entry
	c      Connection
	config string
}

// errNotConnected means that hookloom connect has not been run for the connection.
var errNotConnected = errors.New("not connected")

// fetch requests a new token; known is the previous one, nil if there is none.
func (x *exchange) fetch(ctx context.Context, known *token) (*token, error) {
	f, err := settings(x.c)
	if err != nil {
		return nil, err
	}
	if x.c.Auth.JWT != nil {
		return x.jwt(ctx, f)
	}
	switch f.Grant {
	case workflows.GrantClientCredentials:
		return x.ask(ctx, f, f.Grant, url.Values{}, f.Scopes)
	case workflows.GrantRefreshToken:
		refresh := f.Refresh
		if known != nil && known.Of == f.owner() && known.Refresh != "" {
			refresh = known.Refresh
		}
		return x.refresh(ctx, f, refresh, known)
	}
	if known == nil || known.Of != f.owner() || known.Refresh == "" {
		return nil, errNotConnected
	}
	return x.refresh(ctx, f, known.Refresh, known)
}

// refresh requests a token with a refresh token (RFC 6749, 6). The scopes are those of the first
// grant.
func (x *exchange) refresh(ctx context.Context, f filled, refresh string, known *token) (*token, error) {
	tok, err := x.ask(ctx, f, "refresh_token", url.Values{"refresh_token": {refresh}}, nil)
	if err != nil {
		return nil, err
	}
	if known != nil && tok.Account == "" {
		tok.Account = known.Account
	}
	if known != nil && len(tok.Scopes) == 0 {
		tok.Scopes = known.Scopes
	}
	return tok, nil
}

// owner returns a digest of what a refresh token belongs to.
func (f *filled) owner() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{f.TokenURL, f.ClientID, f.Grant, f.Refresh}, "\n")))
	return hex.EncodeToString(sum[:8])
}

// ask makes the token request. It tries the other way of sending the client's id and secret only if
// the first response says that the client is unknown: another error, or no response, may have used
// up the refresh token.
func (x *exchange) ask(ctx context.Context, f filled, grant string, params url.Values, scopes []string) (*token, error) {
	params.Set("grant_type", grant)
	for k, v := range f.Params {
		params.Set(k, v)
	}
	styles := []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams}
	x.e.mu.Lock()
	known := x.e.style
	x.e.mu.Unlock()
	switch {
	case f.Style == "header":
		styles = styles[:1]
	case f.Style == "params" || f.ClientSecret == "": // a client without a secret sends only its id (RFC 6749, 3.2.1)
		styles = styles[1:]
	case known != oauth2.AuthStyleAutoDetect:
		styles = []oauth2.AuthStyle{known}
	}
	client, err := x.client()
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	for i, style := range styles {
		cfg := clientcredentials.Config{ClientID: f.ClientID, ClientSecret: f.ClientSecret, TokenURL: f.TokenURL, Scopes: scopes,
			EndpointParams: params, AuthStyle: style}
		t, err := cfg.Token(ctx)
		if err != nil {
			if i+1 < len(styles) && clientUnknown(err) {
				continue
			}
			return nil, err
		}
		x.e.mu.Lock()
		x.e.style = style
		x.e.mu.Unlock()
		return f.token(t, scopes), nil
	}
	return nil, errors.New("no way to authenticate the client")
}

// client returns the HTTP client for the token endpoint, with the connection's client certificate
// if it has one. It follows no redirects: they would send the client's secret elsewhere.
func (x *exchange) client() (*http.Client, error) {
	base, err := x.s.clientOf(x.c)
	if err != nil {
		return nil, err
	}
	if base == nil {
		base = x.s.o.Client
	}
	c := *base
	c.Timeout = exchangeTime
	return &c, nil
}

// clientUnknown reports whether a token endpoint does not know the client (RFC 6749, 5.2).
func clientUnknown(err error) bool {
	var re *oauth2.RetrieveError
	if !errors.As(err, &re) || re.Response == nil {
		return false
	}
	return re.ErrorCode == "invalid_client" || re.ErrorCode == "" && re.Response.StatusCode == http.StatusUnauthorized ||
		re.ErrorCode == "invalid_request" && re.Response.StatusCode < 500
}

// token parses the response of a token endpoint.
func (f *filled) token(t *oauth2.Token, asked []string) *token {
	out := &token{Access: t.AccessToken, Refresh: t.RefreshToken, Type: t.TokenType, Expiry: t.Expiry, Scopes: asked, Of: f.owner()}
	if s, ok := t.Extra("scope").(string); ok && s != "" {
		out.Scopes = strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	}
	if id, ok := t.Extra("id_token").(string); ok {
		out.Account = accountOf(id)
	}
	if out.Account == "" {
		out.Account = f.accountName()
	}
	return out
}

// accountName returns a name for the account of a token without an identity.
func (f *filled) accountName() string {
	switch {
	case f.Subject != "":
		return f.Subject
	case f.Issuer != "":
		return f.Issuer
	case f.Grant == workflows.GrantClientCredentials:
		return f.ClientID
	}
	return ""
}

// accountOf returns the name in an id token. It was received from the token endpoint over TLS, so
// its signature need not be checked (OpenID Connect Core, 3.1.3.7); the name is only displayed.
func accountOf(idToken string) string {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Email string `json:"email"`
		User  string `json:"preferred_username"`
		Sub   string `json:"sub"`
	}
	if json.Unmarshal(b, &claims) != nil {
		return ""
	}
	for _, s := range []string{claims.Email, claims.User, claims.Sub} {
		if s != "" && len(s) <= 200 {
			return s
		}
	}
	return ""
}

// needsPerson are the error codes of a token endpoint for which a retry cannot help (RFC 6749,
// 5.2).
var needsPerson = map[string]bool{"invalid_grant": true, "invalid_client": true, "unauthorized_client": true}

// explain converts the error of a fetch to the error of an attempt. It never quotes a response,
// which may contain tokens.
func (s *Source) explain(c Connection, err error) error {
	if errors.Is(err, errNotConnected) {
		return &engine.HeldError{Connection: c.Name, Why: fmt.Sprintf("connection %s is not connected: run hookloom connect %s", c.Name, c.Name)}
	}
	var re *oauth2.RetrieveError
	if !errors.As(err, &re) {
		if errors.Is(err, egress.ErrRefused) {
			return misconfigured(c.Name, "its token endpoint: %v", egressError(err))
		}
		if known := asPlanError(err); known != nil {
			return known
		}
		return tokenError(c.Name, "its token endpoint returned no token: "+plainError(err))
	}
	reason := re.ErrorCode
	if re.ErrorDescription != "" {
		reason += " (" + clip(re.ErrorDescription, 200) + ")"
	}
	status := 0
	if re.Response != nil {
		status = re.Response.StatusCode
	}
	if needsPerson[re.ErrorCode] {
		return &engine.HeldError{Connection: c.Name, Why: fmt.Sprintf("connection %s needs a sign-in: its token endpoint answered %s; %s", c.Name,
			reason, advice(c, re.ErrorCode))}
	}
	if reason == "" {
		reason = "no OAuth error"
	}
	return tokenError(c.Name, fmt.Sprintf("its token endpoint answered %d: %s", status, reason))
}

// advice returns what the user has to do.
func advice(c Connection, code string) string {
	switch {
	case code != "invalid_grant":
		return "set the right client id and secret, then reload"
	case c.Auth.JWT != nil:
		return "check issuer, subject and key, and that the service has approved them; then run hookloom connect " + c.Name
	case c.Auth.OAuth2.Grant == workflows.GrantRefreshToken:
		return "set a new refresh token, then reload"
	}
	return "run hookloom connect " + c.Name
}
