package auth

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// tokenKind reports whether a kind of auth has a token that is fetched and stored.
func tokenKind(a *workflows.Auth) bool {
	return a != nil && (a.OAuth2 != nil || a.JWT != nil)
}

// filled are the settings of a connection with their expressions evaluated.
type filled struct {
	Kind, Grant, Use                  string            `json:",omitempty"`
	TokenURL, AuthorizeURL, DeviceURL string            `json:",omitempty"`
	Redirect                          string            `json:"-"`
	ClientID, ClientSecret, Refresh   string            `json:",omitempty"`
	Style                             string            `json:"-"`
	Scopes                            []string          `json:",omitempty"`
	Params                            map[string]string `json:",omitempty"`
	AuthorizeParams                   map[string]string `json:"-"`
	Issuer, Subject, Audience, Key    string            `json:",omitempty"`
	KeyID, Algorithm                  string            `json:",omitempty"`
	Claims                            map[string]any    `json:",omitempty"`
	// Fixed are the parts of a credential that is sent unchanged.
	Fixed []string `json:",omitempty"`
}

// filler evaluates values and keeps the first error.
type filler struct {
	c   Connection
	err error
}

// text evaluates a value that must not be empty; nil gives "".
func (f *filler) text(what string, v *workflows.Value) string {
	if v == nil || f.err != nil {
		return ""
	}
	x, err := v.Render(f.c.Env, workflows.FillNonempty)
	s := ""
	if err == nil && x != nil {
		s, err = value.Text(x)
	}
	if err != nil || strings.TrimSpace(s) == "" {
		f.err = misconfigured(f.c.Name, "%s is not set%s", what, because(err))
	}
	return strings.TrimSpace(s)
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func (f *filler) texts(what string, v *workflows.Value) map[string]string {
	m := f.data(what, v)
	if len(m) == 0 {
		return nil
	}
	out := map[string]string{}
	for k, e := range m {
		s, err := value.Text(e)
		if err != nil && f.err == nil {
			f.err = misconfigured(f.c.Name, "%s: %s: %v", what, k, err)
		}
		out[k] = s
	}
	return out
}

func (f *filler) data(what string, v *workflows.Value) map[string]any {
	if v == nil || f.err != nil {
		return nil
	}
	x, err := v.Render(f.c.Env, workflows.FillPlain)
	if err != nil {
		f.err = misconfigured(f.c.Name, "%s: %v", what, err)
		return nil
	}
	m, _ := x.(map[string]any)
	return m
}

// settings evaluates everything that a token depends on.
func settings(c Connection) (filled, error) {
	f := &filler{c: c}
	out := filled{Kind: c.Auth.Kind()}
	switch {
	case c.Auth.OAuth2 != nil:
		o := c.Auth.OAuth2
		out.Grant, out.Style, out.Scopes = o.Grant, o.AuthStyle, o.Scopes
		out.TokenURL, out.AuthorizeURL = f.text("token_url", o.TokenURL), f.text("authorize_url", o.AuthorizeURL)
		out.DeviceURL, out.Redirect = f.text("device_url", o.DeviceURL), f.text("redirect", o.Redirect)
		out.ClientID, out.ClientSecret = f.text("client_id", o.ClientID), f.text("client_secret", o.ClientSecret)
		out.Refresh = f.text("refresh_token", o.RefreshToken)
		out.Params, out.AuthorizeParams = f.texts("params", o.Params), f.texts("authorize_params", o.AuthorizeParams)
	case c.Auth.JWT != nil:
		j := c.Auth.JWT
		out.Use, out.Scopes, out.Algorithm = j.Use, j.Scopes, j.Algorithm
		out.TokenURL, out.Issuer, out.Subject = f.text("token_url", j.TokenURL), f.text("issuer", j.Issuer), f.text("subject", j.Subject)
		out.Audience, out.Key, out.KeyID = f.text("audience", j.Audience), f.text("key", j.Key), f.text("key_id", j.KeyID)
		out.Claims, out.Params = f.data("claims", j.Claims), f.texts("params", j.Params)
		if j.ServiceAccount != nil && f.err == nil {
			f.err = out.account(c.Name, f.text("service_account", j.ServiceAccount))
		}
	default:
		out.Fixed = f.fixedParts(c.Auth)
	}
	return out, f.err
}

// account reads a Google service account's key file: client_email, private_key, private_key_id,
// token_uri (https://developers.google.com/identity/protocols/oauth2/service-account).
func (f *filled) account(name, text string) error {
	v, err := value.DecodeJSON([]byte(text))
	m, _ := v.(map[string]any)
	if err != nil || m == nil {
		return misconfigured(name, "service_account is not the JSON key file of a service account")
	}
	field := func(key string) string { s, _ := m[key].(string); return s }
	f.Issuer, f.Key, f.KeyID = field("client_email"), field("private_key"), field("private_key_id")
	if f.TokenURL == "" {
		f.TokenURL = field("token_uri")
	}
	for key, s := range map[string]string{"client_email": f.Issuer, "private_key": f.Key, "token_uri": f.TokenURL} {
		if s == "" {
			return fmt.Errorf("%w", misconfigured(name, "service_account has no %s", key))
		}
	}
	return nil
}
