package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// lookupTimeout limits the DNS lookup for a target behind a proxy.
const lookupTimeout = 5 * time.Second

// Route is how requests leave, if not like other requests.
type Route struct {
	// Proxy is an http or https URL, optionally with a user and a password; nil for none.
	Proxy *url.URL
	// TLS contains a client certificate; nil uses the client's, if any.
	TLS *tls.Config
}

// ProxyError is the response of a proxy that did not connect to the target. Nothing was sent to the
// target.
type ProxyError struct{ Status int }

// Error implements error.
func (e *ProxyError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the proxy answered %d %s", e.Status, http.StatusText(e.Status)))
}

// Through returns a client with its own route, under the rules of the guard that created the given
// client. It has its own connections; the caller closes the idle ones.
//
// The address of a proxy is checked like any other. The proxy resolves the target's name itself, so
// the target is checked by what this machine knows: its address, or the addresses to which its name
// resolves here.
func Through(client *http.Client, r Route) (*http.Client, error) {
	var gd *Guard
	cfg := r.TLS
	if client != nil {
		switch t := client.Transport.(type) {
		case transport:
			gd = t.guard
		case *tlsTransport:
			gd = t.guard
			if cfg == nil {
				cfg = t.cfg
			}
		}
	}
	if gd == nil {
		return nil, errors.New("a proxy or a client certificate cannot be used here")
	}
	out := gd.newTransport()
	if cfg != nil {
		out.TLSClientConfig = cfg.Clone()
	}
	if r.Proxy != nil {
		if r.Proxy.Scheme == "https" && cfg != nil && len(cfg.Certificates) > 0 {
			// net/http would present the certificate to any server on the route that asks for one.
			return nil, errors.New("a client certificate needs a proxy whose URL begins with http://")
		}
		out.Proxy = func(req *http.Request) (*url.URL, error) {
			return r.Proxy, gd.check(req.Context(), req.URL)
		}
		out.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode != http.StatusOK {
				return &ProxyError{resp.StatusCode}
			}
			return nil
		}
	}
	return &http.Client{Transport: Once(out), CheckRedirect: client.CheckRedirect}, nil
}

// check checks a target behind a proxy. A name that does not resolve here is left to the proxy: in
// networks with a proxy, often only the proxy resolves public names.
func (gd *Guard) check(ctx context.Context, u *url.URL) error {
	host := canonicalHost(u.Hostname())
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		port = map[string]uint64{"http": 80, "https": 443}[u.Scheme]
	}
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, 6.3
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	} else if strings.ContainsFunc(host, func(c rune) bool { return c > 0x7e }) {
		// net/http maps such names when it sends the request, possibly to addresses (UTS 46).
		return fmt.Errorf("%s: %w (write the name in ASCII, xn--...)", host, ErrRefused)
	} else if endsInNumber(host) {
		return fmt.Errorf("%s: %w (write an IPv4 address as four decimal numbers)", host, ErrRefused)
	} else {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil
		}
	}
	allowed := gd.rules.Load().hosts[host]
	for _, a := range addrs {
		if gd.isOwn(netip.AddrPortFrom(a, uint16(port))) {
			return fmt.Errorf("%s: %w", net.JoinHostPort(host, strconv.FormatUint(port, 10)), errOwn)
		}
		if !allowed && !gd.Allowed(a) {
			return fmt.Errorf("%s: %w (egress.allow in hookloom.yaml lists exceptions)", host, ErrRefused)
		}
	}
	return nil
}

// endsInNumber reports whether a host is an IPv4 address in another spelling, such as 127.1 or
// 0x7f000001 (URL Standard, "ends in a number checker").
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits := strings.Trim(last, "0123456789") == ""
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		digits = strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && digits
}
