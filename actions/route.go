package actions

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// route returns the HTTP client for a step with proxy:, cert: or ca:, or else the shared one. done
// closes its connections.
func route(in engine.Input, shared *http.Client, o *order) (client *http.Client, done func(), err error) {
	var r egress.Route
	if r.TLS, err = certificate(in, o); err != nil {
		return nil, nil, err
	}
	if in.With["proxy"] != nil {
		if r.Proxy, err = proxyURL(value.Shown(in.With["proxy"])); err != nil {
			return nil, nil, err
		}
	}
	if r.Proxy == nil && r.TLS == nil {
		return shared, func() {}, nil
	}
	if client, err = o.proof.Client(shared); err != nil {
		return nil, nil, err
	}
	if client, err = egress.Through(client, r); err != nil {
		return nil, nil, plan.Permanent("invalid_request", "%v", err)
	}
	o.routed = true
	return client, client.CloseIdleConnections, nil
}

// certificate parses cert:, key: and ca: of a step; nil if it has none. They are PEM texts and
// never file names, because data may be inserted into a step.
func certificate(in engine.Input, o *order) (*tls.Config, error) {
	var pems [3][]byte
	names := []string{"cert", "key", "ca"}
	for i, name := range names {
		if v := in.With[name]; v != nil {
			text := value.Shown(v)
			if !strings.Contains(text, "-----BEGIN ") {
				return nil, plan.Permanent("invalid_request", "%s must be PEM text, such as ${{ secrets.NAME }} gives", name)
			}
			pems[i] = []byte(strings.ReplaceAll(text, `\n`, "\n")) // as in environment files
		}
	}
	conn := in.Connections[value.Shown(in.With["connection"])]
	switch {
	case pems[0] == nil && pems[1] == nil && pems[2] == nil:
		return nil, nil
	case (pems[0] == nil) != (pems[1] == nil):
		return nil, plan.Permanent("invalid_request", "cert and key belong together: give both")
	case conn != nil && conn.Auth != nil && conn.Auth.TLS != nil:
		return nil, plan.Permanent("invalid_request", "connection %s has a certificate of its own: remove cert, key and ca", conn.Name)
	case !strings.HasPrefix(strings.ToLower(o.url), "https://"):
		return nil, plan.Permanent("invalid_request", "cert and ca need a URL that begins with https://")
	case pems[0] != nil && o.redirects > 0:
		return nil, plan.Permanent("invalid_request", "cert and redirects are mutually exclusive: the certificate is for the first host only")
	}
	cfg, err := auth.TLSConfig(pems[0], pems[1], pems[2])
	if err != nil {
		return nil, plan.Permanent("invalid_request", "%v", err)
	}
	return cfg, nil
}

// proxyURL parses the URL of a proxy. Its password may contain any character, as secrets do: the
// user and the password end at the last @. Errors do not repeat it.
func proxyURL(raw string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" {
		return nil, plan.Permanent("invalid_request", "proxy must be a URL such as http://proxy.example.com:3128")
	}
	var user *url.Userinfo
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		name, password, _ := strings.Cut(rest[:at], ":")
		user, rest = url.UserPassword(percentDecoded(name), percentDecoded(password)), rest[at+1:]
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, plan.Permanent("invalid_request", "proxy must be a URL with a host and no path, such as http://proxy.example.com:3128")
	}
	return &url.URL{Scheme: scheme, Host: u.Host, User: user}, nil
}

// percentDecoded decodes a text if it is percent-encoded.
func percentDecoded(s string) string {
	if out, err := url.PathUnescape(s); err == nil {
		return out
	}
	return s
}
