// Package egress makes the one HTTP client that leaves this process. It judges
// the address that is about to be dialled, after DNS, so that no URL, redirect
// or rebinding name reaches loopback, private or metadata addresses unless the
// configuration allows it. It must not know workflows, actions or secrets.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrRefused is wrapped by the error of a request whose address is not allowed.
// Its text does not tell what a name resolved to.
var ErrRefused = errors.New("address not allowed")

// Guard decides which addresses may be dialled.
type Guard struct {
	rules atomic.Pointer[rules]
}

// rules are the exceptions in force.
type rules struct {
	prefixes []netip.Prefix
	hosts    map[string]bool
}

// NewGuard makes a guard with the given exceptions.
func NewGuard(allow []string) (*Guard, error) {
	g := &Guard{}
	return g, g.Set(allow)
}

// Set replaces the exceptions by the entries of egress.allow: addresses, CIDR
// blocks, host names. A host name allows whatever it resolves to.
func (gd *Guard) Set(allow []string) error {
	g := &rules{hosts: map[string]bool{}}
	for _, a := range allow {
		if p, err := netip.ParsePrefix(a); err == nil {
			g.prefixes = append(g.prefixes, p.Masked())
		} else if ip, err := netip.ParseAddr(a); err == nil {
			g.prefixes = append(g.prefixes, netip.PrefixFrom(ip, ip.BitLen()))
		} else if strings.ContainsAny(a, "/ ") || a == "" {
			return fmt.Errorf("egress.allow: %q is no address, block or host name", a)
		} else {
			g.hosts[canonicalHost(a)] = true
		}
	}
	gd.rules.Store(g)
	return nil
}

func canonicalHost(h string) string { return strings.ToLower(strings.TrimSuffix(h, ".")) }

// special are the blocks of the IANA special-purpose registries that are not
// public, with the metadata addresses of the large clouds.
// Source: RFC 6890 and its updates; iana-ipv4-special-registry,
// iana-ipv6-special-registry, read 2026-11.
var special = mustPrefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
	"::/128", "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")

func mustPrefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// embedded gives the IPv4 address inside a transition address: the network
// would deliver there.
func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case a.Is4In6():
		return a.Unmap(), true
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214
		return netip.AddrFrom4([4]byte(b[12:16])), true
	}
	return netip.Addr{}, false
}

// Allowed judges one address.
func (g *Guard) Allowed(a netip.Addr) bool {
	a = a.WithZone("")
	if v4, ok := embedded(a); ok {
		return g.Allowed(v4)
	}
	for _, p := range g.rules.Load().prefixes {
		if p.Contains(a) {
			return true
		}
	}
	if !a.IsValid() || !a.IsGlobalUnicast() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// dial resolves and connects; every address is judged as the kernel gets it.
func (g *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	if !g.rules.Load().hosts[canonicalHost(host)] {
		d.Control = func(network, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil || !g.Allowed(ap.Addr()) {
				return ErrRefused
			}
			return nil
		}
	}
	c, err := d.DialContext(ctx, network, address)
	if errors.Is(err, ErrRefused) {
		return nil, fmt.Errorf("%s: %w (egress.allow in hookloom.yaml lists exceptions)", host, ErrRefused)
	}
	return c, err
}

// Client is the outbound HTTP client: no proxy from the environment, no
// cookies, no redirects followed, no transparent decompression.
//
// Idle connections are kept as many as runs may be at work (512), or those beyond
// would be dialled anew for each call.
func (g *Guard) Client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: g.dial, ForceAttemptHTTP2: true, MaxIdleConns: 1024, MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 0, ExpectContinueTimeout: time.Second, DisableCompression: true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
