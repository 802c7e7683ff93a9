package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
)

// grantJWT is the grant type of RFC 7523, 2.1.
const grantJWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// clockLead is how far iat is in the past, for a service whose clock is slow. GitHub recommends 60
// s (docs.github.com, "Generating a JSON Web Token (JWT) for a GitHub App").
const clockLead = 60 * time.Second

// jwt creates a signed JWT and exchanges it, unless it is the token itself.
func (x *exchange) jwt(ctx context.Context, f filled) (*token, error) {
	now := time.Now()
	ends := now.Add(x.c.Auth.JWT.Lifetime)
	assertion, err := f.sign(x.c.Name, now, ends)
	if err != nil {
		return nil, err
	}
	x.s.o.Learn(assertion)
	switch f.Use {
	case "direct":
		return &token{Access: assertion, Type: "Bearer", Expiry: ends, Scopes: f.Scopes, Account: f.accountName(), Of: f.owner()}, nil
	case "bearer":
		return x.bearer(ctx, f, assertion)
	}
	// A client that uses an assertion has no secret, so its id is not sent either.
	return x.ask(ctx, f, grantJWT, url.Values{"assertion": {assertion}}, nil)
}

// sign creates the JWT (RFC 7523, 3).
func (f *filled) sign(name string, now, ends time.Time) (string, error) {
	method := jwt.GetSigningMethod(f.Algorithm)
	key, err := signingKey(f.Algorithm, f.Key)
	if err != nil || method == nil {
		return "", misconfigured(name, "key is not a private key in PEM for %s: put the complete key file into the secret, with its BEGIN and "+
			"END lines", f.Algorithm)
	}
	claims := jwt.MapClaims{"iss": f.Issuer, "iat": now.Add(-clockLead).Unix(), "exp": ends.Unix()}
	if aud := f.Audience; aud != "" {
		claims["aud"] = aud
	} else if f.TokenURL != "" && f.Use == "grant" {
		claims["aud"] = f.TokenURL
	}
	if f.Subject != "" {
		claims["sub"] = f.Subject
	}
	if len(f.Scopes) > 0 {
		claims["scope"] = strings.Join(f.Scopes, " ")
	}
	id := make([]byte, 12)
	_, _ = rand.Read(id) // it never fails
	claims["jti"] = hex.EncodeToString(id)
	maps.Copy(claims, f.Claims)
	t := jwt.NewWithClaims(method, claims)
	if f.KeyID != "" {
		t.Header["kid"] = f.KeyID
	}
	s, err := t.SignedString(key)
	if err != nil {
		return "", misconfigured(name, "the JWT cannot be signed with %s by this key", f.Algorithm)
	}
	return s, nil
}

// signingKey parses the key for an algorithm. In environment variables PEM text often has \n
// instead of line breaks.
func signingKey(algorithm, text string) (crypto.PrivateKey, error) {
	pem := []byte(strings.ReplaceAll(text, `\n`, "\n"))
	switch {
	case strings.HasPrefix(algorithm, "HS"):
		return []byte(text), nil
	case strings.HasPrefix(algorithm, "ES"):
		return jwt.ParseECPrivateKeyFromPEM(pem)
	case algorithm == "EdDSA":
		return jwt.ParseEdPrivateKeyFromPEM(pem)
	}
	return jwt.ParseRSAPrivateKeyFromPEM(pem)
}

// bearer exchanges the JWT by sending it as a bearer token; GitHub responds with token and
// expires_at (docs.github.com, "Create an installation access token for an app").
func (x *exchange) bearer(ctx context.Context, f filled, assertion string) (*token, error) {
	body, err := json.Marshal(f.Params)
	if err != nil {
		return nil, err
	}
	if len(f.Params) == 0 {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.TokenURL, strings.NewReader(string(body)))
	if err != nil {
		return nil, misconfigured(x.c.Name, "token_url is not a URL")
	}
	req.Header.Set("Authorization", "Bearer "+assertion)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Hookloom")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client, err := x.client()
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("the connection broke before the end of the response")
	}
	var got struct {
		Token     string    `json:"token"`
		Access    string    `json:"access_token"`
		ExpiresAt time.Time `json:"expires_at"`
		ExpiresIn int64     `json:"expires_in"`
	}
	if resp.StatusCode/100 != 2 {
		code := ""
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusNotFound {
			code = "invalid_grant" // the key, the app or its installation is unknown
		}
		return nil, &oauth2.RetrieveError{Response: resp, ErrorCode: code, ErrorDescription: resp.Status}
	}
	if json.Unmarshal(raw, &got) != nil || got.Token == "" && got.Access == "" {
		return nil, fmt.Errorf("the response has no token")
	}
	if got.Token == "" {
		got.Token = got.Access
	}
	if got.ExpiresAt.IsZero() && got.ExpiresIn > 0 {
		got.ExpiresAt = time.Now().Add(time.Duration(got.ExpiresIn) * time.Second)
	}
	return &token{Access: got.Token, Type: "Bearer", Expiry: got.ExpiresAt, Scopes: f.Scopes, Account: f.accountName(), Of: f.owner()}, nil
}
