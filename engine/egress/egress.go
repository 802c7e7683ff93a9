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
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrRefused is wrapped by the error of a request whose address is not allowed.
// Its text does not tell what a name resolved to.
var ErrRefused = errors.New("address not allowed")

// errOwn refuses the listeners of this process.
var errOwn = fmt.Errorf("%w: it is this server's own address, which steps may never call, whatever egress.allow says", ErrRefused)

// Guard decides which addresses may be dialled. All its methods are safe for
// concurrent use.
type Guard struct {
	rules atomic.Pointer[rules]
	// own are the addresses on which this process listens.
	own atomic.Pointer[[]netip.AddrPort]
	// transport keeps the connections made under the rules in force.
	transport atomic.Pointer[http.Transport]
	// places bound the connections.
	places places
}

// rules are the exceptions in force.
type rules struct {
	// allow is the list as written.
	allow    []string
	prefixes []netip.Prefix
	hosts    map[string]bool
}

// NewGuard makes a guard with the given exceptions, in the form that Set takes.
func NewGuard(allow []string) (*Guard, error) {
	g := &Guard{}
	g.own.Store(&[]netip.AddrPort{})
	return g, g.Set(allow)
}

// Set replaces the exceptions by the entries of egress.allow: addresses, CIDR
// blocks, host names. A host name allows whatever it resolves to. When the list
// changes, no request uses a connection made under the list before: requests in
// flight end on theirs.
func (gd *Guard) Set(allow []string) error {
	g := &rules{allow: slices.Clone(allow), hosts: map[string]bool{}}
	for _, a := range allow {
		if p, err := netip.ParsePrefix(a); err == nil {
			g.prefixes = append(g.prefixes, p.Masked())
		} else if ip, err := netip.ParseAddr(a); err == nil {
			g.prefixes = append(g.prefixes, netip.PrefixFrom(ip, ip.BitLen()))
		} else if strings.ContainsAny(a, "/ ") || a == "" {
			return fmt.Errorf("egress.allow: %q is not an address, a CIDR block or a host name", a)
		} else {
			g.hosts[canonicalHost(a)] = true
		}
	}
	before := gd.rules.Swap(g)
	if before != nil && slices.Equal(before.allow, g.allow) {
		return nil
	}
	if old := gd.transport.Swap(gd.newTransport()); old != nil {
		old.CloseIdleConnections()
	}
	return nil
}

// SetOwn names the addresses on which this process listens. They are never
// dialled, whatever egress.allow says: a payload's URL must not operate the
// console, nor send an event to itself.
func (gd *Guard) SetOwn(listeners ...net.Addr) {
	var own []netip.AddrPort
	for _, l := range listeners {
		if t, ok := l.(*net.TCPAddr); ok {
			own = append(own, t.AddrPort())
		}
	}
	gd.own.Store(&own)
}

// isOwn reports whether a dialled address reaches a listener of this process. A
// local address with the listener's port counts, on whatever interface: an
// unspecified address dials loopback, and one listener may serve all interfaces.
func (gd *Guard) isOwn(to netip.AddrPort) bool {
	for _, l := range *gd.own.Load() {
		if l.Port() == to.Port() && isLocal(to.Addr()) {
			return true
		}
	}
	return false
}

// isLocal reports whether an address is one of this machine's. When the interfaces
// cannot be listed, it is taken for one.
func isLocal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, x := range addrs {
		if n, ok := x.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a {
				return true
			}
		}
	}
	return false
}

func canonicalHost(h string) string { return strings.ToLower(strings.TrimSuffix(h, ".")) }

// dial resolves and connects; every address is judged as the kernel gets it.
func (gd *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	anyAddress := gd.rules.Load().hosts[canonicalHost(host)]
	d.Control = func(network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		switch {
		case err != nil:
			return ErrRefused
		case gd.isOwn(ap):
			return errOwn
		case !anyAddress && !gd.Allowed(ap.Addr()):
			return ErrRefused
		}
		return nil
	}
	release, err := gd.places.take(ctx, gd.closeIdle)
	if err != nil {
		return nil, err
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		release()
	}
	switch {
	case errors.Is(err, errOwn):
		return nil, fmt.Errorf("%s: %w", address, errOwn)
	case errors.Is(err, ErrRefused):
		return nil, fmt.Errorf("%s: %w (egress.allow in hookloom.yaml lists exceptions)", host, ErrRefused)
	}
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: c, release: release}, nil
}

// Client is the outbound HTTP client: no proxy from the environment, no
// cookies, no redirects followed, no transparent decompression, and no second
// request for one that has an effect (see Once). All clients of a guard share its
// connections.
func (gd *Guard) Client() *http.Client {
	return &http.Client{
		Transport:     transport{gd},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newTransport makes an empty pool of connections.
//
// Idle connections are kept as many as runs may be at work (512), or those beyond
// would be dialled anew for each call.
func (gd *Guard) newTransport() *http.Transport {
	return &http.Transport{
		Proxy: nil, DialContext: gd.dial, ForceAttemptHTTP2: true, MaxIdleConns: 1024, MaxIdleConnsPerHost: 512,
		IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 0,
		ExpectContinueTimeout: time.Second, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}
}

// transport sends each request over the connections of the rules in force.
type transport struct{ guard *Guard }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return sendOnce(t.guard.transport.Load(), r)
}

// CloseIdleConnections serves http.Client.CloseIdleConnections.
func (t transport) CloseIdleConnections() { t.guard.transport.Load().CloseIdleConnections() }
