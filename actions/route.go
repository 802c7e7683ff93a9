package actions

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// route gives the client that a step asks for with proxy:, else that of the others. done
// closes its connections.
func route(in engine.Input, o *order) (client *http.Client, done func(), err error) {
	if in.With["proxy"] == nil {
		return in.Client, func() {}, nil
	}
	var r egress.Route
	if r.Proxy, err = proxyURL(value.Shown(in.With["proxy"])); err != nil {
		return nil, nil, err
	}
	if client, err = o.proof.Client(in.Client); err != nil {
		return nil, nil, err
	}
	if client, err = egress.Through(client, r); err != nil {
		return nil, nil, plan.Permanent("invalid_request", "%v", err)
	}
	o.routed = true
	return client, client.CloseIdleConnections, nil
}

// proxyURL reads the URL of a proxy. Its password may hold any character, as secrets do: the
// user and the password end at the last @. No error repeats it.
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

// percentDecoded undoes percent-encoding where a text has it.
func percentDecoded(s string) string {
	if out, err := url.PathUnescape(s); err == nil {
		return out
	}
	return s
}
