package workflows

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// listenAddress checks an address that the server listens on.
func (d *decoder) listenAddress(o *objectNode, key string) {
	text := o.text(key, "")
	if text == "" {
		return
	}
	_, port, err := net.SplitHostPort(text)
	example := map[string]string{"addr": "8080", "admin_addr": "8081"}[key]
	known := false
	if err == nil && port != "" {
		_, unknown := net.LookupPort("tcp", port)
		known = unknown == nil
	}
	switch {
	case known:
		return
	case strings.Contains(text, "://"):
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s is an address without a scheme, got %q", key, text), fmt.Sprintf(`write %s: "127.0.0.1:%s"; https is tls:`, key, example))
	case err != nil && strings.Trim(text, "0123456789") == "":
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q is only a port", key, text), fmt.Sprintf(`write %s: ":%s"`, key, text))
	case err != nil:
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q has no port", key, text), fmt.Sprintf(`write %s: "%s"`, key, net.JoinHostPort(strings.Trim(text, "[]:"), example)))
	default:
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q: the port is a number up to 65535", key, text), fmt.Sprintf(`write %s: "127.0.0.1:%s"`, key, example))
	}
}

// webAddress checks a URL of the project's own that stands as plain text.
func (d *decoder) webAddress(o *objectNode, key string) {
	text := o.text(key, "")
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "":
		return
	case !strings.Contains(text, "://"):
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q has no scheme", key, text), "write "+key+": "+schemeFor(text)+text)
	default:
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q is no http URL", key, text), "write "+key+": https://hooks.example.com")
	}
}

// baseURL checks a connection's base_url as far as it is written out.
func (d *decoder) baseURL(v *Value) {
	text, constant := v.constantText()
	if v == nil || !constant {
		return
	}
	if strings.HasPrefix(text, "/") || text == "" {
		d.add(v.pos, "bad-address", fmt.Sprintf("base_url %q has no host", text), "write base_url: https://api.example.com")
		return
	}
	if problem, hint := urlProblem(text, false, true); problem != "" {
		d.add(v.pos, "bad-address", "base_url: "+problem, hint)
	}
}
